//! Writes a compiled profile as the snapshot of a StructureDefinition.

use super::base::base;
use super::node::{DiscriminatorKind, Node, Rules};
use super::profile::Profile;
use crate::element::Element;
use crate::resource::Resource;

/// Most elements of a snapshot that is written.
const MAX_ELEMENTS: usize = 20_000;
/// Elements of a differential that the tree does not know, in the order they are kept.
const KEPT: [&str; 12] = [
    "representation",
    "label",
    "code",
    "short",
    "definition",
    "comment",
    "requirements",
    "alias",
    "example",
    "condition",
    "mustSupport",
    "isModifierReason",
];

/// The definition with a snapshot before its differential.
pub(super) fn with_snapshot(definition: &Resource, profile: &Profile) -> Resource {
    let mut snapshot = Element::new("snapshot");
    let root = &profile.root;
    write(root, &root.name, &root.name, None, &mut snapshot);
    let mut result = definition.clone();
    let at = result.children().iter().position(|child| child.name() == "differential");
    let at = at.unwrap_or(result.children().len());
    result.children_mut().insert(at, snapshot);
    result
}

fn write(node: &Node, path: &str, id: &str, slice: Option<&str>, snapshot: &mut Element) {
    if snapshot.children().len() >= MAX_ELEMENTS {
        return;
    }
    snapshot.push(element(node, path, id, slice));
    // Types are not unfolded, the members of backbone elements are.
    let backbone = node.types.first().map(|kind| kind.code).filter(|code| {
        code.contains('.') && path.split('.').count() == code.split('.').count() && !path.contains(':')
    });
    let children = match (&node.children, backbone) {
        (Some(children), _) => Some(children),
        (None, Some(code)) => base().plan(code).map(|plan| &plan.children),
        (None, None) => None,
    };
    for child in children.into_iter().flatten() {
        let name = if child.choice { format!("{}[x]", child.name) } else { child.name.to_string() };
        write(child, &format!("{path}.{name}"), &format!("{id}.{name}"), None, snapshot);
    }
    for slice in node.slicing.iter().flat_map(|slicing| &slicing.slices) {
        write(&slice.node, path, &format!("{id}:{}", slice.name), Some(&slice.name), snapshot);
    }
}

fn element(node: &Node, path: &str, id: &str, slice: Option<&str>) -> Element {
    let mut element = Element::new("element").with_text("path", path);
    element.set_id_attr(Some(id));
    if let Some(slice) = slice {
        element.push(Element::primitive("sliceName", slice));
    }
    if let Some(slicing) = &node.slicing
        && !slicing.discriminators.is_empty()
    {
        let mut out = Element::new("slicing");
        for discriminator in &slicing.discriminators {
            let kind = match discriminator.kind {
                DiscriminatorKind::Value => "value",
                DiscriminatorKind::Exists => "exists",
                DiscriminatorKind::Type => "type",
            };
            let path =
                if discriminator.path.is_empty() { "$this".to_owned() } else { discriminator.path.join(".") };
            out.push(Element::new("discriminator").with_text("type", kind).with_text("path", &path));
        }
        let rules = match slicing.rules {
            Rules::Open => "open",
            Rules::Closed => "closed",
            Rules::OpenAtEnd => "openAtEnd",
        };
        out.push(Element::primitive("rules", rules));
        element.push(out);
    }
    let source = node.source.as_deref();
    for name in KEPT {
        for child in source.into_iter().flat_map(|source| source.each(name)) {
            element.push(child.clone());
        }
    }
    if element.child("definition").is_none() {
        element.push(Element::primitive("definition", &format!("{path} as R4 defines it")));
    }
    let max = node.max.map_or_else(|| "*".to_owned(), |max| max.to_string());
    element.push(Element::primitive("min", &node.min.to_string()));
    element.push(Element::primitive("max", &max));
    element.push(
        Element::new("base")
            .with_text("path", path)
            .with_text("min", "0")
            .with_text("max", if node.repeats { "*" } else { "1" }),
    );
    if path.contains('.') {
        types(node, path, &mut element);
    }
    if let Some(fixed) = &node.fixed {
        element.push(fixed.value.clone());
    }
    if let Some(length) = node.max_length {
        element.push(Element::primitive("maxLength", &length.to_string()));
    }
    for constraint in &node.constraints {
        let severity = if constraint.error { "error" } else { "warning" };
        element.push(
            Element::new("constraint")
                .with_text("key", &constraint.key)
                .with_text("severity", severity)
                .with_text("human", &constraint.key)
                .with_text("expression", &constraint.text),
        );
    }
    if let Some(binding) = &node.binding {
        element.push(
            Element::new("binding")
                .with_text("strength", binding.strength.code())
                .with_text("valueSet", &binding.value_set),
        );
    }
    element
}

fn types(node: &Node, path: &str, element: &mut Element) {
    for kind in &node.types {
        if kind.code.contains('.') && kind.code != path {
            element.push(Element::primitive("contentReference", &format!("#{}", kind.code)));
            return;
        }
        let code = if kind.code.contains('.') { "BackboneElement" } else { kind.code };
        let mut out = Element::new("type").with_text("code", code);
        for profile in &kind.profiles {
            out.push(Element::primitive("profile", profile));
        }
        for target in &kind.targets {
            out.push(Element::primitive("targetProfile", target));
        }
        element.push(out);
    }
}
