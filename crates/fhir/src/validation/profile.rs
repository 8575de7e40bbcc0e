//! From a StructureDefinition to a compiled profile: the differential is applied to the tree of its base.
//!
//! Elements are placed by `path` and `sliceName` below the slice that was named last; ids are not
//! looked at (validation contract 6.2). A profile only ever tightens: what it widens stays as it was.

use std::sync::Arc;

use super::base::{PREFIX, base};
use super::fhirpath::Expression;
use super::node::{
    Binding, Constraint, Criterion, Discriminator, DiscriminatorKind, Fixed, Node, Rules, Slice, Slicing,
    Strength, Test, Text, TypeRef,
};
use super::terminology::split;
use crate::element::Element;
use crate::types;

/// Most elements of one differential; the largest public one has about 100.
const MAX_ELEMENTS: usize = 5_000;
/// Most nodes of one profile.
const MAX_NODES: usize = 200_000;

/// A compiled profile.
#[derive(Debug)]
pub(super) struct Profile {
    /// Canonical without version.
    pub(super) url: Text,
    /// The type it is about.
    pub(super) code: &'static str,
    pub(super) root: Node,
    /// What cannot be checked: resources that claim the profile are refused.
    pub(super) unsupported: Vec<String>,
    /// For extensions: where they may stand.
    pub(super) contexts: Vec<ExtensionContext>,
    /// Canonicals of the profiles it was made from.
    pub(super) uses: Vec<Text>,
}

/// Where an extension may stand.
#[derive(Debug)]
pub(super) enum ExtensionContext {
    /// An element path or type.
    Element(Text),
    /// Inside of another extension.
    Extension(Text),
    /// Not evaluated.
    Other,
}

/// Why no profile can be made of a definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// The base definition is not there.
    #[error("the base definition {0} is not known here")]
    UnknownBase(String),
    /// The definition contradicts itself, its base or FHIR.
    #[error("{0}")]
    Malformed(String),
}

/// What is found under a canonical.
pub(super) enum Found {
    Profile(Arc<Profile>),
    /// There is one, but it is malformed.
    Malformed,
    Missing,
}

/// Compiles a definition; `find` gives the profiles it builds on.
pub(super) fn compile(
    definition: &Element,
    find: &mut dyn FnMut(&str) -> Found,
) -> Result<Profile, ProfileError> {
    let malformed = |text: String| ProfileError::Malformed(text);
    let url = definition.text("url").unwrap_or_default();
    let kind = definition.text("type").ok_or_else(|| malformed("type is missing".to_owned()))?;
    let kind = kind.strip_prefix(PREFIX).unwrap_or(kind);
    let code = types::definition(kind)
        .map(types::TypeDefinition::path)
        .ok_or_else(|| malformed(format!("type {kind} is not of R4")))?;
    let mut compiler = Compiler { find, uses: Vec::new(), unsupported: Vec::new(), nodes: 0 };
    let mut root = compiler.root(definition, code)?;
    let elements = definition
        .child("differential")
        .filter(|differential| !differential.children().is_empty())
        .or_else(|| definition.child("snapshot"));
    let mut current: Vec<(String, Text)> = Vec::new();
    for (index, element) in elements.into_iter().flat_map(|list| list.each("element")).enumerate() {
        if index >= MAX_ELEMENTS {
            return Err(malformed(format!("more than {MAX_ELEMENTS} elements")));
        }
        compiler.apply(&mut root, element, &mut current)?;
    }
    compiler.finish(&mut root);
    let contexts = definition
        .each("context")
        .map(|context| {
            let expression: Text = context.text("expression").unwrap_or_default().into();
            match context.text("type") {
                Some("element") => ExtensionContext::Element(expression),
                Some("extension") => ExtensionContext::Extension(expression),
                _ => ExtensionContext::Other,
            }
        })
        .collect();
    let Compiler { uses, unsupported, .. } = compiler;
    Ok(Profile { url: url.into(), code, root, unsupported, contexts, uses })
}

struct Compiler<'f> {
    find: &'f mut dyn FnMut(&str) -> Found,
    uses: Vec<Text>,
    unsupported: Vec<String>,
    nodes: usize,
}

impl Compiler<'_> {
    fn find(&mut self, canonical: &str) -> Found {
        let url = split(canonical).0;
        if !self.uses.iter().any(|other| &**other == url) {
            self.uses.push(url.into());
        }
        (self.find)(canonical)
    }

    fn root(&mut self, definition: &Element, code: &'static str) -> Result<Node, ProfileError> {
        let Some(canonical) = definition.text("baseDefinition") else {
            return Err(ProfileError::Malformed("baseDefinition is missing".to_owned()));
        };
        let mut root = match split(canonical).0.strip_prefix(PREFIX) {
            Some(name) if types::definition(name).is_some() => {
                // A profile of an abstract type stands for one of the type itself.
                if name != code && !types::definition(name).is_some_and(types::TypeDefinition::is_abstract) {
                    return Err(ProfileError::Malformed(format!("type {code} does not fit the base {name}")));
                }
                Node::root(code)
            }
            _ => match self.find(canonical) {
                Found::Missing => return Err(ProfileError::UnknownBase(canonical.to_owned())),
                Found::Malformed => {
                    return Err(ProfileError::Malformed(format!(
                        "the base definition {canonical} is malformed"
                    )));
                }
                Found::Profile(profile) if profile.code != code => {
                    return Err(ProfileError::Malformed(format!(
                        "type {code} does not fit the base, which is about {}",
                        profile.code
                    )));
                }
                Found::Profile(profile) => {
                    for text in &profile.unsupported {
                        self.unsupported.push(text.clone());
                    }
                    profile.root.clone()
                }
            },
        };
        root.source = None;
        self.unfold(&mut root)?;
        Ok(root)
    }

    /// Gives a node children of its own: those of its profile or of its type.
    fn unfold(&mut self, node: &mut Node) -> Result<(), ProfileError> {
        if node.children.is_some() {
            return Ok(());
        }
        let mut codes = node.types.iter().map(|kind| kind.code);
        let code = codes.next().unwrap_or("Element");
        let code = if codes.all(|other| other == code) { code } else { "Element" };
        let mut children = None;
        let profiles: Vec<Text> = node.types.iter().flat_map(|kind| kind.profiles.iter().cloned()).collect();
        if let [profile] = profiles.as_slice()
            && let Found::Profile(profile) = self.find(profile)
            && profile.code == code
        {
            children = profile.root.children.clone();
        }
        let children = match children {
            Some(children) => children,
            None => base().plan(code).map(|plan| plan.children.clone()).unwrap_or_default(),
        };
        self.nodes += children.len();
        if self.nodes > MAX_NODES {
            return Err(ProfileError::Malformed(format!("more than {MAX_NODES} elements")));
        }
        node.children = Some(children);
        Ok(())
    }

    fn apply(
        &mut self,
        root: &mut Node,
        element: &Element,
        current: &mut Vec<(String, Text)>,
    ) -> Result<(), ProfileError> {
        let Some(path) = element.text("path") else {
            return Err(ProfileError::Malformed("an element without path".to_owned()));
        };
        let slice_name = element.text("sliceName");
        // Slices named before stay current for what lies below them.
        current.retain(|(prefix, _)| {
            path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.starts_with('.'))
        });
        let mut segments = path.split('.');
        if segments.next() != Some(&*root.name) {
            return Err(ProfileError::Malformed(format!("path {path} does not begin with {}", root.name)));
        }
        let mut node = root;
        let mut prefix = node.name.to_string();
        for segment in segments {
            self.unfold(node)?;
            prefix.push('.');
            prefix.push_str(segment);
            node = self.child(node, segment, path)?;
            if let Some((_, slice)) = current.iter().find(|(other, _)| *other == prefix) {
                let slice = Arc::clone(slice);
                node = slice_of(node, &slice)
                    .ok_or_else(|| ProfileError::Malformed(format!("no slice {slice} at {prefix}")))?;
            }
        }
        if let Some(name) = slice_name {
            current.push((path.to_owned(), name.into()));
            node = self.slice(node, name, path)?;
        }
        self.tighten(node, element, path)
    }

    /// The child a path segment is about; for a choice element with its type in the name, the slice of
    /// that type.
    fn child<'n>(
        &mut self,
        node: &'n mut Node,
        segment: &str,
        path: &str,
    ) -> Result<&'n mut Node, ProfileError> {
        let children = node.children.get_or_insert_default();
        let plain = segment.strip_suffix("[x]").unwrap_or(segment);
        if let Some(index) = children.iter().position(|child| &*child.name == plain) {
            return Ok(&mut children[index]);
        }
        let typed = children.iter_mut().find_map(|child| {
            let code = child.choice.then(|| super::fhirpath::type_suffix(plain, &child.name)).flatten()?;
            child.types.iter().any(|kind| kind.code == code).then_some((child, code))
        });
        let Some((child, code)) = typed else {
            return Err(ProfileError::Malformed(format!("no element {path} in the base")));
        };
        let slicing = child.slicing.get_or_insert_with(by_type);
        let index = match slicing.slices.iter().position(|slice| &*slice.name == plain) {
            Some(index) => index,
            None => {
                let mut node = Node { slicing: None, min: 0, ..child.clone_without_slices() };
                node.types.retain(|kind| kind.code == code);
                let slicing = child.slicing.get_or_insert_with(by_type);
                slicing.slices.push(Slice { name: plain.into(), node, criteria: Vec::new() });
                slicing.slices.len() - 1
            }
        };
        let slicing = child.slicing.get_or_insert_with(by_type);
        Ok(&mut slicing.slices[index].node)
    }

    fn slice<'n>(
        &mut self,
        node: &'n mut Node,
        name: &str,
        path: &str,
    ) -> Result<&'n mut Node, ProfileError> {
        if name.contains('/') {
            self.unsupported.push(format!("the slice of a slice {name} at {path}"));
        }
        if node.slicing.is_none() {
            let slicing = if node.choice {
                by_type()
            } else if matches!(&*node.name, "extension" | "modifierExtension") {
                Box::new(Slicing {
                    discriminators: vec![Discriminator {
                        kind: DiscriminatorKind::Value,
                        path: vec!["url".into()],
                    }],
                    rules: Rules::Open,
                    slices: Vec::new(),
                    undecidable: false,
                })
            } else {
                return Err(ProfileError::Malformed(format!(
                    "the slice {name} at {path}, which is not sliced"
                )));
            };
            node.slicing = Some(slicing);
        }
        let copy = Node { min: 0, ..node.clone_without_slices() };
        self.nodes += 1 + copy.children.as_ref().map_or(0, Vec::len);
        if self.nodes > MAX_NODES {
            return Err(ProfileError::Malformed(format!("more than {MAX_NODES} elements")));
        }
        let slicing = node.slicing.get_or_insert_with(by_type);
        let index = match slicing.slices.iter().position(|slice| &*slice.name == name) {
            Some(index) => index,
            None => {
                slicing.slices.push(Slice { name: name.into(), node: copy, criteria: Vec::new() });
                slicing.slices.len() - 1
            }
        };
        Ok(&mut slicing.slices[index].node)
    }

    /// Applies what an element of the differential says about a node.
    fn tighten(&mut self, node: &mut Node, element: &Element, path: &str) -> Result<(), ProfileError> {
        let bad = |what: &str| ProfileError::Malformed(format!("{what} at {path} cannot be read"));
        node.source = Some(Arc::new(element.clone()));
        if let Some(min) = element.text("min") {
            node.min = node.min.max(min.parse().map_err(|_| bad("min"))?);
        }
        match element.text("max") {
            None | Some("*") => {}
            Some(max) => {
                let max = max.parse().map_err(|_| bad("max"))?;
                node.max = Some(node.max.map_or(max, |old| old.min(max)));
            }
        }
        if let Some(slicing) = element.child("slicing") {
            self.slicing(node, slicing, path);
        }
        let mut kinds: Vec<TypeRef> = Vec::new();
        for kind in element.each("type") {
            let code = kind.text("code").ok_or_else(|| bad("type.code"))?;
            let code = match code.strip_prefix("http://hl7.org/fhirpath/System.") {
                // The types of ids and values of primitives, which the type table has more exactly.
                Some(_) => continue,
                None => types::definition(code.strip_prefix(PREFIX).unwrap_or(code))
                    .map(types::TypeDefinition::path)
                    .ok_or_else(|| ProfileError::Malformed(format!("type {code} at {path} is not of R4")))?,
            };
            let canonicals = |name: &str| -> Vec<Text> {
                kind.each(name).filter_map(Element::value).map(Into::into).collect()
            };
            let (profiles, targets) = (canonicals("profile"), canonicals("targetProfile"));
            let backbone = node
                .types
                .iter()
                .find(|old| old.code.contains('.') && matches!(code, "BackboneElement" | "Element"));
            match (kinds.iter_mut().find(|other| other.code == code), backbone) {
                (Some(other), _) => {
                    other.profiles.extend(profiles);
                    other.targets.extend(targets);
                }
                (None, Some(backbone)) => kinds.push(backbone.clone()),
                (None, None) => kinds.push(TypeRef { code, profiles, targets }),
            }
        }
        if !kinds.is_empty() {
            node.types = kinds;
        }
        for (prefix, exact) in [("fixed", true), ("pattern", false)] {
            if let Some(value) = element
                .children()
                .iter()
                .find(|child| super::fhirpath::type_suffix(child.name(), prefix).is_some())
            {
                node.fixed = Some(Arc::new(Fixed { exact, value: value.clone() }));
            }
        }
        if let Some(binding) = element.child("binding")
            && let Some(value_set) = binding.text("valueSet")
        {
            let strength =
                binding.text("strength").and_then(Strength::from_code).ok_or_else(|| bad("binding"))?;
            node.binding = Some(Arc::new(Binding { strength, value_set: value_set.into(), base: false }));
        }
        if let Some(length) = element.text("maxLength") {
            node.max_length = Some(length.parse().map_err(|_| bad("maxLength"))?);
        }
        for name in ["minValue", "maxValue"] {
            if element.choice(name).is_some() {
                self.unsupported.push(format!("{name} at {path}"));
            }
        }
        for constraint in element.each("constraint") {
            let Some(text) = constraint.text("expression") else { continue };
            let key = constraint.text("key").unwrap_or_default();
            if node.constraints.iter().any(|other| &*other.key == key && &*other.text == text)
                || matches!(key, "ele-1" | "ext-1" | "dom-2" | "dom-3" | "dom-4" | "dom-5" | "dom-6")
            {
                continue;
            }
            match Expression::compile(text) {
                Ok(expression) => node.constraints.push(Arc::new(Constraint {
                    key: key.into(),
                    error: constraint.text("severity") != Some("warning"),
                    expression,
                    text: text.into(),
                    base: false,
                })),
                Err(error) => self.unsupported.push(format!("the constraint {key} at {path}: {error}")),
            }
        }
        Ok(())
    }

    fn slicing(&mut self, node: &mut Node, element: &Element, path: &str) {
        let rules = match element.text("rules") {
            Some("closed") => Rules::Closed,
            Some("openAtEnd") => Rules::OpenAtEnd,
            _ => Rules::Open,
        };
        let mut discriminators = Vec::new();
        for discriminator in element.each("discriminator") {
            let kind = match discriminator.text("type") {
                Some("value" | "pattern") => DiscriminatorKind::Value,
                Some("exists") => DiscriminatorKind::Exists,
                Some("type") => DiscriminatorKind::Type,
                other => {
                    self.unsupported
                        .push(format!("the discriminator type {} at {path}", other.unwrap_or("(none)")));
                    continue;
                }
            };
            let text = discriminator.text("path").unwrap_or("$this");
            if text.contains('(') {
                self.unsupported.push(format!("the discriminator path {text} at {path}"));
                continue;
            }
            let steps =
                text.split('.').filter(|step| !matches!(*step, "$this" | "")).map(Into::into).collect();
            discriminators.push(Discriminator { kind, path: steps });
        }
        let slices = node.slicing.take().map(|old| old.slices).unwrap_or_default();
        node.slicing = Some(Box::new(Slicing { discriminators, rules, slices, undecidable: false }));
    }

    /// Works out how members of slices are told apart, now that all slices are complete.
    fn finish(&mut self, node: &mut Node) {
        if let Some(slicing) = &mut node.slicing {
            slicing.undecidable = false;
            for slice in &mut slicing.slices {
                slice.criteria = slicing
                    .discriminators
                    .iter()
                    .filter_map(|discriminator| self.criterion(&slice.node, discriminator))
                    .collect();
                slicing.undecidable |= slice.criteria.is_empty();
                self.finish(&mut slice.node);
            }
        }
        for child in node.children.iter_mut().flatten() {
            self.finish(child);
        }
    }

    fn criterion(&mut self, node: &Node, discriminator: &Discriminator) -> Option<Criterion> {
        let test = self.test(node, discriminator.kind, &discriminator.path)?;
        Some(Criterion { path: discriminator.path.clone(), test })
    }

    fn test(&mut self, node: &Node, kind: DiscriminatorKind, path: &[Text]) -> Option<Test> {
        // A value given further up decides, too.
        if let Some(fixed) = &node.fixed
            && kind == DiscriminatorKind::Value
        {
            if path.is_empty() {
                return Some(match fixed.value.value() {
                    Some(text) => Test::Text(text.into()),
                    None => Test::Value(Arc::clone(fixed)),
                });
            }
            let below = fixed.value.at(&path.join("."));
            if let [value] = below.as_slice() {
                return Some(match value.value() {
                    Some(text) => Test::Text(text.into()),
                    None => Test::Value(Arc::new(Fixed { exact: fixed.exact, value: (*value).clone() })),
                });
            }
        }
        let [name, rest @ ..] = path else {
            return match kind {
                DiscriminatorKind::Value => node
                    .binding
                    .as_ref()
                    .filter(|binding| binding.strength == Strength::Required && !binding.base)
                    .map(|binding| Test::Member(Arc::clone(&binding.value_set))),
                DiscriminatorKind::Exists if node.max == Some(0) => Some(Test::Exists(false)),
                DiscriminatorKind::Exists if node.min > 0 => Some(Test::Exists(true)),
                DiscriminatorKind::Exists => None,
                DiscriminatorKind::Type => (!node.types.is_empty())
                    .then(|| Test::Type(node.types.iter().map(|kind| kind.code).collect())),
            };
        };
        // An extension is known by the url of its profile.
        if &**name == "url"
            && rest.is_empty()
            && let Some(kind) = node.types.iter().find(|kind| kind.code == "Extension")
            && let [profile] = kind.profiles.as_slice()
        {
            // Some extensions want another url than their canonical.
            let profile = Arc::clone(profile);
            if let Found::Profile(found) = self.find(&profile)
                && let Some(children) = &found.root.children
                && let Some(url) = children.iter().find(|child| &*child.name == "url")
                && let Some(text) = url.fixed.as_ref().and_then(|fixed| fixed.value.value())
            {
                return Some(Test::Text(text.into()));
            }
            return Some(Test::Text(split(&profile).0.into()));
        }
        let found = match &node.children {
            Some(children) => children.iter().find(|child| child.name == *name),
            None => {
                let code = node.types.first().map(|kind| kind.code)?;
                base().plan(code)?.children.iter().find(|child| child.name == *name)
            }
        };
        match found {
            Some(child) => self.test(child, kind, rest),
            // `value` of a primitive is the primitive itself.
            None if &**name == "value" && rest.is_empty() => self.test(node, kind, rest),
            None => None,
        }
    }
}

fn by_type() -> Box<Slicing> {
    Box::new(Slicing {
        discriminators: vec![Discriminator { kind: DiscriminatorKind::Type, path: Vec::new() }],
        rules: Rules::Open,
        slices: Vec::new(),
        undecidable: false,
    })
}

fn slice_of<'n>(node: &'n mut Node, name: &str) -> Option<&'n mut Node> {
    let slices = &mut node.slicing.as_mut()?.slices;
    slices.iter_mut().find(|slice| &*slice.name == name).map(|slice| &mut slice.node)
}

impl Node {
    /// A copy for a new slice.
    fn clone_without_slices(&self) -> Node {
        Node {
            name: Arc::clone(&self.name),
            choice: self.choice,
            repeats: self.repeats,
            min: self.min,
            max: self.max,
            types: self.types.clone(),
            fixed: self.fixed.clone(),
            binding: self.binding.clone(),
            constraints: self.constraints.clone(),
            max_length: self.max_length,
            slicing: None,
            children: self.children.clone(),
            source: None,
        }
    }
}
