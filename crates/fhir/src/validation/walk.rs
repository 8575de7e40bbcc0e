//! The walk over a resource: every element against its type and the profiles that apply.
//!
//! One profile of the resource's own type (the first one) carries the checks of the base definitions
//! along; further profiles only add what they say themselves.

use std::sync::Arc;

use super::Validator;
use super::base::{PREFIX, base};
use super::fhirpath::{Budget, Context, Verdict, type_suffix};
use super::lexical::{self, is_absolute};
use super::message::Message;
use super::node::{Constraint, Criterion, Node, Rules, Slicing, Strength, Test};
use super::path::{Path, Suffix};
use super::profile::{ExtensionContext, Profile};
use super::terminology::{Coded, InSystem, Membership, split};
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

    fn slices<'r>(
        &mut self,
        node: &Node,
        slicing: &Slicing,
        element: &'r Element,
        code: &'static str,
        path: &Path<'_>,
        frame: Frame<'r, '_>,
    ) {
        let mut counts = vec![0u32; slicing.slices.len()];
        let mut any = false;
        let mut index = 0;
        for child in element.children() {
            let Some(child_code) = type_of(node, child) else { continue };
            let position = index;
            index += 1;
            if !is_present(child) {
                continue;
            }
            any = true;
            let path = path.child(&node.name, suffix(node, position, child_code));
            if !self.step(slicing.slices.len()) {
                return;
            }
            let slice = slicing.slices.iter().position(|slice| {
                !slice.criteria.is_empty()
                    && slice.criteria.iter().all(|criterion| self.meets(criterion, child, child_code))
            });
            match slice {
                Some(slice) => {
                    counts[slice] += 1;
                    self.value(&slicing.slices[slice].node, child, child_code, &path, frame);
                }
                None => {
                    if slicing.undecidable {
                        let text = "cannot be told which slice the element belongs to";
                        self.warning("slice-undecidable", &path, text);
                    } else if slicing.rules == Rules::Closed {
                        self.error(
                            "slice-closed",
                            &path,
                            "the element belongs to none of the slices allowed",
                        );
                    } else if code == "Extension"
                        && child_code == "Extension"
                        && child.extension_url().is_some_and(|url| !is_absolute(url))
                    {
                        let location =
                            format!("{}[url='{}']", path.text(), child.extension_url().unwrap_or_default());
                        self.report_at(
                            Severity::Error,
                            "sub-extension-unknown",
                            location,
                            "the extension has no part of this name",
                        );
                    }
                    self.value(node, child, child_code, &path, frame);
                }
            }
        }
        if slicing.undecidable && any {
            return;
        }
        for (slice, count) in slicing.slices.iter().zip(counts) {
            if count < slice.node.min {
                let text = format!(
                    "{}:{} is missing or too few: at least {}",
                    node.name, slice.name, slice.node.min
                );
                self.error("slice-minimum", path, &text);
            }
            if let Some(max) = slice.node.max
                && count > max
            {
                let text = format!("{}:{} too often: at most {max}", node.name, slice.name);
                self.error("slice-maximum", path, &text);
            }
        }
    }

    fn meets(&self, criterion: &Criterion, element: &Element, code: &'static str) -> bool {
        if let Test::Exists(expected) = criterion.test {
            return reach(element, &criterion.path, &mut |_| true) == expected;
        }
        if let (Test::Type(codes), []) = (&criterion.test, criterion.path.as_slice()) {
            return codes.contains(&code);
        }
        reach(element, &criterion.path, &mut |found| match &criterion.test {
            Test::Text(text) => found.value() == Some(&**text),
            Test::Value(fixed) => fixed.fits(found),
            Test::Member(set) => self.any_member(set, found),
            Test::Type(codes) => {
                super::fhirpath::element_type(found).is_some_and(|code| codes.contains(&code))
            }
            Test::Exists(_) => true,
        })
    }

    /// Whether some code of an element is in a set.
    fn any_member(&self, set: &str, element: &Element) -> bool {
        let terminology = self.validator.terminology();
        if let Some(code) = element.value() {
            let coded = Coded { system: None, version: None, code };
            return terminology.member(set, coded) == Membership::Member;
        }
        let one = |coding: &Element| {
            coding.text("code").is_some_and(|code| {
                let coded = Coded { system: coding.text("system"), version: coding.text("version"), code };
                terminology.member(set, coded) == Membership::Member
            })
        };
        if element.child("coding").is_some() { element.each("coding").any(one) } else { one(element) }
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

    /// Bound value sets, and codes of systems that are held.
    fn binding(
        &mut self,
        node: &Node,
        element: &Element,
        code: &'static str,
        path: &Path<'_>,
        with_base: bool,
    ) {
        let binding = node.binding.as_ref().filter(|binding| with_base || !binding.base);
        match code {
            "code" | "string" | "uri" | "markdown" | "canonical" | "url" => {
                let (Some(binding), Some(text)) = (binding, element.value()) else { return };
                let strict = match binding.strength {
                    Strength::Required => true,
                    Strength::Extensible => code == "code",
                    _ => false,
                };
                if !strict || &*binding.value_set == LANGUAGES {
                    return;
                }
                let text = if self.strip_media_parameters && path.name == "contentType" && is_root_child(path)
                {
                    without_parameters(text)
                } else {
                    text
                };
                let coded = Coded { system: None, version: None, code: text };
                match self.validator.terminology().member(&binding.value_set, coded) {
                    Membership::Member => {}
                    Membership::NoMember => {
                        self.error("code-not-in-set", path, &not_in(&binding.value_set));
                    }
                    Membership::Unknown => {
                        if !binding.base {
                            self.warning("set-unknown", path, &unknown_set(&binding.value_set));
                        }
                    }
                }
            }
            "Coding" => {
                if with_base {
                    self.known_code(element, path, false);
                }
                let Some(binding) = binding.filter(|binding| binding.strength == Strength::Required) else {
                    return;
                };
                match self.coding_in(&binding.value_set, element) {
                    Some(Membership::NoMember) => {
                        self.error("code-not-in-set", path, &not_in(&binding.value_set));
                    }
                    Some(Membership::Unknown) if !binding.base => {
                        self.warning("set-unknown", path, &unknown_set(&binding.value_set));
                    }
                    _ => {}
                }
            }
            "CodeableConcept" => {
                if with_base {
                    for coding in element.each("coding") {
                        self.known_code(coding, path, true);
                    }
                }
                let Some(binding) = binding.filter(|binding| binding.strength == Strength::Required) else {
                    return;
                };
                let mut member = false;
                let mut unknown = false;
                let mut foreign = false;
                for coding in element.each("coding") {
                    match self.coding_in(&binding.value_set, coding) {
                        Some(Membership::Member) => member = true,
                        Some(Membership::Unknown) => unknown = true,
                        Some(Membership::NoMember) => {
                            let system = coding.text("system").unwrap_or_default();
                            let code = coding.text("code").unwrap_or_default();
                            foreign |= matches!(
                                self.validator.terminology().in_system(system, None, code),
                                InSystem::Unknown
                            );
                        }
                        None => {}
                    }
                }
                if foreign || !member && !unknown {
                    self.error("code-not-in-set", path, &not_in(&binding.value_set));
                } else if unknown && !member && !binding.base {
                    self.warning("set-unknown", path, &unknown_set(&binding.value_set));
                }
            }
            _ => {}
        }
    }

    /// Whether a Coding is in a set; `None` if it has no code.
    fn coding_in(&self, set: &str, coding: &Element) -> Option<Membership> {
        let code = coding.text("code")?;
        let system = coding.text("system")?;
        let coded = Coded { system: Some(system), version: coding.text("version"), code };
        Some(self.validator.terminology().member(set, coded))
    }

    /// A code that its system, which is held here, does not have is an error whatever is bound.
    fn known_code(&mut self, coding: &Element, path: &Path<'_>, concept: bool) {
        let Some(system) = coding.text("system") else { return };
        if !is_absolute(system) {
            self.error("system-relative", path, "the system of a code is not absolute");
            return;
        }
        let Some(code) = coding.text("code").filter(|code| !code.is_empty()) else {
            // A concept needs its code; a Coding alone may name only its system.
            if concept && self.validator.terminology().in_system(system, None, "") == InSystem::NoCode {
                self.error("code-unknown", path, "the code system has no such code");
            }
            return;
        };
        let version = coding.text("version");
        if self.validator.terminology().in_system(system, version, code) == InSystem::NoCode {
            self.error("code-unknown", path, "the code system has no such code");
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

    fn extension<'r>(&mut self, element: &'r Element, path: &Path<'_>, frame: Frame<'r, '_>) {
        let Some(url) = element.extension_url() else {
            self.error("extension-without-url", &path.child("url", Suffix::None), "an extension needs a url");
            self.error("extension-without-url", path, "an extension needs a url");
            return;
        };
        let inside = path.up.is_some_and(|up| matches!(up.name, "extension" | "modifierExtension"));
        if !is_absolute(url) {
            if !inside {
                self.error("extension-url-relative", path, "the url of an extension is not absolute");
            }
            return;
        }
        let Some(profile) = self.validator.extension(url) else { return };
        if let Some(up) = path.up
            && !allowed_here(&profile, up, &|| outer_url(element, frame.context.resource))
        {
            self.error("extension-context", path, "the extension is not allowed at this place");
        }
        if let Some(first) = profile.unsupported.first() {
            let text = format!("the extension uses what cannot be checked here: {first}");
            self.error("profile-unsupported", path, &text);
        }
        if profile
            .root
            .children
            .as_ref()
            .is_some_and(|children| children.iter().any(|child| child.choice && child.max == Some(0)))
            && element.choice("value").is_some()
        {
            self.error("type-not-allowed", path, "the extension has a value, which is not allowed");
        }
        self.profile(&profile, element, path, frame);
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

/// Language tags are not looked up: any well-formed one passes.
const LANGUAGES: &str = "http://hl7.org/fhir/ValueSet/languages";

fn not_in(set: &str) -> String {
    format!("the code is not in the value set {set}")
}

fn unknown_set(set: &str) -> String {
    format!("the value set {set} is not known here, or not what its filters let through")
}

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

/// Whether a test holds for some element at a path.
fn reach(element: &Element, path: &[Arc<str>], test: &mut dyn FnMut(&Element) -> bool) -> bool {
    let [name, rest @ ..] = path else { return test(element) };
    let mut any = false;
    for child in element.children() {
        if *child.name() == **name || type_suffix(child.name(), name).is_some() {
            any = true;
            if reach(child, rest, test) {
                return true;
            }
        }
    }
    // `value` of a primitive is the primitive itself.
    !any && &**name == "value" && rest.is_empty() && element.value().is_some() && test(element)
}

/// The url of the extension that holds this one.
fn outer_url<'r>(inner: &Element, within: &'r Element) -> Option<&'r str> {
    for child in within.children() {
        if matches!(child.name(), "extension" | "modifierExtension")
            && child.children().iter().any(|grandchild| std::ptr::eq(grandchild, inner))
        {
            return child.extension_url();
        }
        if let Some(url) = outer_url(inner, child) {
            return Some(url);
        }
    }
    None
}

/// Whether the definition of an extension names the place.
fn allowed_here<'r>(profile: &Profile, parent: &Path<'_>, outer: &dyn Fn() -> Option<&'r str>) -> bool {
    if profile.contexts.is_empty() {
        return true;
    }
    let path = parent.definition();
    let resource = path.split('.').next().unwrap_or_default();
    profile.contexts.iter().any(|context| match context {
        ExtensionContext::Other => true,
        ExtensionContext::Extension(url) => outer() == Some(&**url),
        ExtensionContext::Element(expression) => {
            let expression = &**expression;
            if expression == "Element" || expression == path {
                return true;
            }
            if matches!(expression, "Resource" | "DomainResource" | "CanonicalResource" | "MetadataResource")
            {
                return !path.contains('.');
            }
            // A type stands for every element of that type.
            let code = match parent.suffix {
                Suffix::Type(code) => Some(code),
                _ => element_code(&path),
            };
            let Some(code) = code else { return true };
            code == expression
                || expression == "BackboneElement" && code.contains('.')
                || expression.split_once('.').is_some_and(|(owner, rest)| {
                    // A path within a data type (`Coding.system`, `ElementDefinition.type`).
                    types::definition(owner).is_some()
                        && owner != resource
                        && path.ends_with(&format!(".{rest}"))
                })
        }
    })
}

/// The type of the element at a definition path; `None` if it cannot be told.
fn element_code(path: &str) -> Option<&'static str> {
    let mut segments = path.split('.');
    let mut definition = types::definition(segments.next()?)?;
    for segment in segments {
        let plain = segment.strip_suffix("[x]");
        if plain.is_some() {
            return None;
        }
        let element = definition.elements().iter().find(|element| element.name == segment)?;
        definition = types::definition(element.types.first()?.code)?;
    }
    Some(definition.path())
}
