//! The walk over a resource: every element against its type and the profiles that apply.
//!
//! One profile of the resource's own type (the first one) carries the checks of the base definitions
//! along; further profiles only add what they say themselves.

mod coded;
mod extension;
mod slicing;

use std::sync::Arc;

use super::Validator;
use super::base::{PREFIX, base};
use super::fhirpath::{Budget, Context, Verdict, type_suffix};
use super::lexical::{self, is_absolute};
use super::message::Message;
use super::node::{Constraint, Node, Strength};
use super::path::{Path, Suffix};
use super::profile::Profile;
use super::terminology::split;
use crate::element::Element;
use crate::outcome::Severity;
use crate::primitive::Primitive;
use crate::types;

/// Most messages of one resource; more help nobody.
pub(super) const MAX_MESSAGES: usize = 500;
/// Most steps of one validation, about a second of work.
const MAX_STEPS: u64 = 20_000_000;
/// Most steps of one invariant.
const MAX_INVARIANT_STEPS: u64 = 2_000_000;

/// The state of one validation.
pub(super) struct Walk<'v> {
    pub(super) validator: &'v Validator,
    pub(super) messages: Vec<Message>,
    steps: u64,
    /// Cut `charset` and `boundary` from the content type of a Binary.
    pub(super) strip_media_parameters: bool,
}

/// What holds for a part of the walk.
#[derive(Clone, Copy)]
pub(super) struct Frame<'r, 'w> {
    pub(super) context: Context<'r>,
    /// The base definitions are checked on the way.
    pub(super) base: bool,
    /// Names the profile in message ids.
    pub(super) source: &'w str,
}

impl<'v> Walk<'v> {
    pub(super) fn new(validator: &'v Validator) -> Walk<'v> {
        Walk { validator, messages: Vec::new(), steps: MAX_STEPS, strip_media_parameters: false }
    }

    pub(super) fn report(&mut self, severity: Severity, id: &str, path: &Path<'_>, text: &str) {
        self.report_at(severity, id, path.text(), text);
    }

    pub(super) fn report_at(&mut self, severity: Severity, id: &str, location: String, text: &str) {
        if self.messages.len() < MAX_MESSAGES {
            self.messages.push(Message { severity, id: id.to_owned(), location, text: text.to_owned() });
        } else if severity >= Severity::Error && self.messages.iter().all(|m| m.severity < Severity::Error) {
            // An error is never lost behind warnings.
            self.messages.pop();
            self.messages.push(Message { severity, id: id.to_owned(), location, text: text.to_owned() });
        }
    }

    pub(super) fn error(&mut self, id: &str, path: &Path<'_>, text: &str) {
        self.report(Severity::Error, id, path, text);
    }

    pub(super) fn warning(&mut self, id: &str, path: &Path<'_>, text: &str) {
        self.report(Severity::Warning, id, path, text);
    }

    /// Counts work; false when there was too much.
    fn step(&mut self, steps: usize) -> bool {
        match self.steps.checked_sub(steps as u64) {
            Some(left) => {
                self.steps = left;
                true
            }
            None => {
                if self.steps > 0 {
                    self.steps = 0;
                    let text = "checking takes too long: the resource or its profile is too large";
                    self.report_at(Severity::Fatal, "too-costly", String::new(), text);
                }
                false
            }
        }
    }

    /// A whole resource. `container` is the resource that contains it.
    pub(super) fn resource<'r>(
        &mut self,
        element: &'r Element,
        path: &Path<'_>,
        container: Option<&'r Element>,
    ) {
        let Some(code) = element.resource_type().and_then(types::resource).map(types::TypeDefinition::path)
        else {
            self.error("type-unknown", path, "the resource type is not of FHIR R4");
            return;
        };
        let context = Context { resource: element, root: container.unwrap_or(element), focus: element };
        let mut profiles: Vec<Arc<Profile>> = Vec::new();
        if let Some(meta) = element.child("meta") {
            let meta_path = path.child("meta", Suffix::None);
            for (index, profile) in meta.each("profile").enumerate() {
                let Some(canonical) = profile.value() else { continue };
                let path = meta_path.child("profile", Suffix::Index(index));
                profiles.extend(self.claimed(canonical, code, &path));
            }
        }
        let main = profiles.iter().position(|profile| profile.code == code);
        match main {
            Some(index) => {
                let profile = Arc::clone(&profiles[index]);
                let frame = Frame { context, base: true, source: &profile.url };
                self.value(&profile.root, element, code, path, frame);
            }
            None => {
                let frame = Frame { context, base: true, source: code };
                self.value(&Node::root(code), element, code, path, frame);
            }
        }
        for (index, profile) in profiles.iter().enumerate() {
            if Some(index) == main {
                continue;
            }
            if profile.code != code {
                self.error("profile-of-other-type", path, "a claimed profile is about another type");
            }
            let frame = Frame { context, base: false, source: &profile.url };
            self.profile(profile, element, path, frame);
        }
        self.special(element, code, path, container);
    }

    /// A profile that a resource claims; what is wrong with it is reported.
    fn claimed(&mut self, canonical: &str, code: &str, path: &Path<'_>) -> Option<Arc<Profile>> {
        if !is_absolute(canonical) {
            self.error("canonical-relative", path, "the canonical is not absolute");
            self.error("profile-unknown", path, "the profile is not known here");
            return None;
        }
        if let Some(name) = split(canonical).0.strip_prefix(PREFIX)
            && let Some(definition) = types::definition(name)
        {
            if definition.path() != code && !definition.is_abstract() {
                self.error("profile-of-other-type", path, "the profile is about another type");
            }
            return None;
        }
        match self.validator.profile(canonical) {
            None => {
                self.error("profile-unknown", path, &format!("the profile {canonical} is not known here"));
                None
            }
            Some(Err(error)) => {
                let text = format!("the profile {canonical} cannot be used: {error}");
                self.error("profile-unusable", path, &text);
                None
            }
            Some(Ok(profile)) => {
                if let Some(first) = profile.unsupported.first() {
                    let text = format!("the profile {canonical} uses what cannot be checked here: {first}");
                    self.error("profile-unsupported", path, &text);
                }
                Some(profile)
            }
        }
    }

    /// What a profile says about an element whose base is checked elsewhere.
    fn profile<'r>(
        &mut self,
        profile: &Profile,
        element: &'r Element,
        path: &Path<'_>,
        frame: Frame<'r, '_>,
    ) {
        let frame = Frame { base: false, source: &profile.url, ..frame };
        if let Some(children) = &profile.root.children {
            self.body(children, element, profile.code, path, frame);
        }
        self.constraints(&profile.root.constraints, element, Some(profile.code), path, frame);
    }

    /// One element against one node.
    fn value<'r>(
        &mut self,
        node: &Node,
        element: &'r Element,
        code: &'static str,
        path: &Path<'_>,
        frame: Frame<'r, '_>,
    ) {
        if !self.step(1 + element.children().len()) {
            return;
        }
        let kind = node.types.iter().find(|kind| kind.code == code);
        if kind.is_none() && node.choice {
            self.error("type-not-allowed", path, "the value is of a type that is not allowed here");
            if let Some(up) = path.up
                && up.name == "extension"
            {
                self.error("type-not-allowed", up, "the extension has a value of a type that is not allowed");
            }
        }
        if element.resource_type().is_some() && path.up.is_some() && code == "Resource" {
            if frame.base {
                let contained = path.name == "contained";
                let inner = Path {
                    suffix: match (path.suffix, element.resource_type()) {
                        (Suffix::Index(index), Some(code)) => {
                            Suffix::Resource(Some(index), code, element.text("id"))
                        }
                        (_, Some(code)) => Suffix::Resource(None, code, element.text("id")),
                        (suffix, None) => suffix,
                    },
                    ..*path
                };
                self.resource(element, &inner, contained.then_some(frame.context.root));
            }
            return;
        }
        if let Some(fixed) = &node.fixed
            && !fixed.fits(element)
        {
            self.error("fixed-value", path, "the value is not the one the profile wants");
        }
        let primitive = Primitive::from_code(code);
        if let Some(primitive) = primitive {
            self.primitive(node, primitive, element, path, frame.base);
        }
        self.binding(node, element, code, path, frame.base);
        match &node.children {
            Some(children) => self.body(children, element, code, path, frame),
            None if frame.base && !(primitive.is_some() && element.children().is_empty()) => {
                if let Some(plan) = base().plan(code) {
                    self.body(&plan.children, element, code, path, frame);
                }
            }
            None => {}
        }
        if frame.base {
            if let Some(plan) = base().plan(code) {
                self.constraints(&plan.constraints, element, Some(code), path, frame);
            }
            self.native(element, code, path, frame);
        }
        self.constraints(&node.constraints, element, Some(code), path, frame);
        if let Some(kind) = kind
            && !kind.profiles.is_empty()
        {
            self.type_profiles(&kind.profiles, element, code, path, frame);
        }
    }

    /// The profiles of a type: one of them must fit.
    fn type_profiles<'r>(
        &mut self,
        canonicals: &[Arc<str>],
        element: &'r Element,
        code: &'static str,
        path: &Path<'_>,
        frame: Frame<'r, '_>,
    ) {
        let mut candidates: Vec<Arc<Profile>> = Vec::with_capacity(canonicals.len());
        for canonical in canonicals {
            let plain = split(canonical).0.strip_prefix(PREFIX).and_then(types::definition);
            match self.validator.profile(canonical) {
                Some(Ok(profile)) => candidates.push(profile),
                // Any element of the type fits, or nothing can be said.
                _ if plain.is_some() => return,
                _ => {
                    self.warning(
                        "profile-unknown",
                        path,
                        &format!("the profile {canonical} is not known here"),
                    );
                    return;
                }
            }
        }
        if let [profile] = candidates.as_slice() {
            // An extension is checked against the profile of its url anyway.
            let known = (code == "Extension")
                .then(|| self.validator.extension(element.extension_url()?))
                .flatten()
                .is_some_and(|known| Arc::ptr_eq(&known, profile));
            if !known {
                self.profile(profile, element, path, frame);
            }
            return;
        }
        let before = self.messages.len();
        let mut failures = Vec::new();
        for profile in &candidates {
            self.profile(profile, element, path, frame);
            let mut found = self.messages.split_off(before.min(self.messages.len()));
            if found.iter().all(|message| message.severity < Severity::Error) {
                self.messages.append(&mut found);
                return;
            }
            if failures.len() < MAX_MESSAGES {
                failures.append(&mut found);
            }
        }
        self.error("profile-none-fits", path, "none of the profiles allowed here fits");
        for failure in failures {
            self.report_at(failure.severity, &failure.id, failure.location, &failure.text);
        }
    }

    /// The children of an element.
    fn body<'r>(
        &mut self,
        nodes: &[Node],
        element: &'r Element,
        code: &'static str,
        path: &Path<'_>,
        frame: Frame<'r, '_>,
    ) {
        let children = element.children();
        let mut matched = 0;
        for node in nodes {
            let mut count = 0;
            for child in children {
                if type_of(node, child).is_some() {
                    matched += 1;
                    count += usize::from(is_present(child));
                }
            }
            if count < node.min as usize {
                let text = format!("{} is missing or too few: at least {}", node.name, node.min);
                self.error("minimum", path, &text);
            }
            if let Some(max) = node.max
                && count > max as usize
            {
                let text = format!("{} too often: at most {max}", node.name);
                self.error("maximum", path, &text);
            }
            if let Some(slicing) = &node.slicing {
                self.slices(node, slicing, element, code, path, frame);
                continue;
            }
            if count == 0 {
                continue;
            }
            let mut index = 0;
            for child in children {
                let Some(code) = type_of(node, child) else { continue };
                if is_present(child) {
                    let path = path.child(&node.name, suffix(node, index, code));
                    self.value(node, child, code, &path, frame);
                }
                index += 1;
            }
        }
        if matched < children.len() {
            for child in children {
                if !nodes.iter().any(|node| type_of(node, child).is_some()) {
                    let path = path.child(child.name(), Suffix::None);
                    self.error("not-allowed", &path, "the element is not allowed by the profile");
                }
            }
        }
    }

    fn constraints<'r>(
        &mut self,
        constraints: &[Arc<Constraint>],
        element: &'r Element,
        code: Option<&'static str>,
        path: &Path<'_>,
        frame: Frame<'r, '_>,
    ) {
        for constraint in constraints {
            if constraint.base && !frame.base {
                continue;
            }
            let steps = MAX_INVARIANT_STEPS.min(self.steps);
            let mut budget = Budget::new(steps);
            let context = Context { focus: element, ..frame.context };
            let verdict = constraint.expression.check(element, code, &context, &mut budget);
            let used = usize::try_from(steps - budget.left()).unwrap_or(usize::MAX);
            if !self.step(used) || verdict == Verdict::Holds {
                continue;
            }
            let severity = if constraint.error { Severity::Error } else { Severity::Warning };
            let id = format!("{}#{}", frame.source, constraint.key);
            let text = if verdict == Verdict::TooLong {
                format!("the invariant {} takes too long to check", constraint.key)
            } else {
                format!("the invariant {} does not hold", constraint.key)
            };
            self.report(severity, &id, path, &text);
        }
    }

    fn primitive(
        &mut self,
        node: &Node,
        primitive: Primitive,
        element: &Element,
        path: &Path<'_>,
        with_base: bool,
    ) {
        let Some(text) = element.value() else {
            let required =
                node.binding.as_ref().is_some_and(|binding| binding.strength == Strength::Required);
            if primitive == Primitive::Code && required {
                self.error("code-missing", path, "a code is needed, not only extensions");
            }
            return;
        };
        if let Some(length) = node.max_length
            && text.chars().count() > length
        {
            self.error("too-long", path, &format!("longer than {length} characters"));
        }
        if !with_base {
            return;
        }
        if let Some(id) = lexical::check(primitive, text) {
            let id = if text == "urn:uuid:null" { UUID_NULL } else { id };
            self.error(id, path, &format!("not a valid {}", primitive.code()));
        }
        if primitive == Primitive::Canonical
            && !is_absolute(text)
            && !text.starts_with('#')
            && path.name != "profile"
        {
            self.error("canonical-relative", path, "the canonical is not absolute");
        }
    }

    /// Checks of types that no table holds.
    fn native<'r>(
        &mut self,
        element: &'r Element,
        code: &'static str,
        path: &Path<'_>,
        frame: Frame<'r, '_>,
    ) {
        match code {
            "Extension" => self.extension(element, path, frame),
            "Reference" => self.reference(element, path, frame.context.root),
            "Identifier" if element.text("system").is_some_and(|system| !is_absolute(system)) => {
                self.error("identifier-system-relative", path, "the system of an identifier is not absolute");
            }
            "Narrative" => {
                if let Some(div) = element.child("div").and_then(Element::value)
                    && !is_empty_div(div)
                {
                    let resource = frame.context.root;
                    let resolves =
                        |id: &str| resource.each("contained").any(|inner| inner.text("id") == Some(id));
                    let path = path.child("div", Suffix::None);
                    for id in super::narrative::check(div, &resolves) {
                        self.error(id, &path, "the narrative has content that is not allowed");
                    }
                }
            }
            _ => {}
        }
    }

    fn reference(&mut self, element: &Element, path: &Path<'_>, root: &Element) {
        let Some(reference) = element.text("reference") else { return };
        if reference.contains(char::is_whitespace) {
            self.error("reference-invalid", path, "the reference contains blanks");
        } else if let Some(id) = reference.strip_prefix('#')
            && !id.is_empty()
            && !root.each("contained").any(|inner| inner.text("id") == Some(id))
        {
            self.error("reference-unresolved", path, "no contained resource has this id");
        }
    }
}

/// The UUID that some programs write for none.
pub(super) const UUID_NULL: &str = "uuid-null";

fn is_root_child(path: &Path<'_>) -> bool {
    path.up.is_some_and(|up| up.up.is_none())
}

/// A media type without `charset` and `boundary`.
pub(super) fn without_parameters(media_type: &str) -> &str {
    let Some((plain, parameters)) = media_type.split_once(';') else { return media_type };
    let harmless = parameters.split(';').all(|parameter| {
        let name = parameter.split('=').next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case("charset") || name.eq_ignore_ascii_case("boundary")
    });
    if harmless { plain.trim_end() } else { media_type }
}

/// The type of a child if the node is about it.
fn type_of(node: &Node, child: &Element) -> Option<&'static str> {
    if node.choice {
        if child.name().len() <= node.name.len() {
            return None;
        }
        return type_suffix(child.name(), &node.name);
    }
    if *child.name() == *node.name {
        Some(node.types.first().map_or("Element", |kind| kind.code))
    } else {
        None
    }
}

fn suffix<'p>(node: &Node, index: usize, code: &'static str) -> Suffix<'p> {
    if node.choice {
        Suffix::Type(code)
    } else if node.repeats {
        Suffix::Index(index)
    } else {
        Suffix::None
    }
}

/// Blank texts and empty narratives count as absent (validation contract 3.2).
fn is_present(element: &Element) -> bool {
    match element.value() {
        Some(text) if element.children().is_empty() => {
            !(text.trim_ascii().is_empty() || element.name() == "div" && is_empty_div(text))
        }
        _ => true,
    }
}

fn is_empty_div(div: &str) -> bool {
    let Some(rest) = div.strip_prefix("<div") else { return false };
    match rest.split_once('>') {
        Some((head, tail)) => head.ends_with('/') || tail == "</div>",
        None => false,
    }
}
