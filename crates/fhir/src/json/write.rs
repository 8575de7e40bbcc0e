//! From the element tree to compact JSON.

use crate::assemble::ordered;
use crate::element::Element;
use crate::resource::Resource;
use crate::types::{self, Content, Member, TypeDefinition};

pub(crate) fn write_resource(resource: &Resource) -> Vec<u8> {
    let mut out = String::with_capacity(1024);
    write_held(resource.root(), &mut out);
    out.into_bytes()
}

pub(crate) fn write_fragment(element: &Element, type_path: &str) -> Vec<u8> {
    let mut out = String::with_capacity(256);
    out.push('{');
    if let Some(definition) = types::definition(type_path) {
        members(definition, element, &mut out);
    }
    out.push('}');
    out.into_bytes()
}

/// Writes the resource that an element holds.
fn write_held(element: &Element, out: &mut String) {
    let resource_type = element.resource_type().unwrap_or_default();
    out.push('{');
    name("resourceType", out);
    string(resource_type, out);
    if let Some(definition) = types::resource(resource_type) {
        members(definition, element, out);
    }
    out.push('}');
}

/// Writes the members of an object whose opening brace is written.
fn members(definition: &'static TypeDefinition, element: &Element, out: &mut String) {
    if let Some(id) = element.id_attr() {
        name("id", out);
        string(id, out);
    }
    let list = ordered(definition, element);
    let mut rest = &list[..];
    while let Some(((member, _), _)) = rest.split_first() {
        let count = rest.iter().take_while(|(other, _)| other.name == member.name).count();
        let (same, others) = rest.split_at(count);
        rest = others;
        // Of an element that must not repeat a reader takes the last one.
        let same = if member.repeats { same } else { &same[count - 1..] };
        match member.content {
            Content::Primitive(_) => primitives(member, same, out),
            Content::Complex(_) | Content::Resource => complexes(member, same, out),
        }
    }
}

fn complexes(member: &Member, elements: &[(&'static Member, &Element)], out: &mut String) {
    let mut written = 0;
    for (_, element) in elements.iter().filter(|(_, element)| !element.is_empty()) {
        if written > 0 {
            out.push(',');
        } else {
            name(member.name, out);
            if member.repeats {
                out.push('[');
            }
        }
        written += 1;
        match member.content {
            Content::Complex(index) => {
                out.push('{');
                members(types::by_index(index), element, out);
                out.push('}');
            }
            Content::Resource | Content::Primitive(_) => write_held(element, out),
        }
    }
    if written > 0 && member.repeats {
        out.push(']');
    }
}

fn primitives(member: &Member, elements: &[(&'static Member, &Element)], out: &mut String) {
    let has_more = |element: &Element| element.id_attr().is_some() || !element.children().is_empty();
    if elements.iter().any(|(_, element)| element.value().is_some()) {
        name(member.name, out);
        list(member, elements, out, |element, out| match element.value() {
            Some(value) => primitive(member, value, out),
            None => out.push_str("null"),
        });
    }
    if elements.iter().any(|(_, element)| has_more(element)) {
        separate(out);
        out.push_str("\"_");
        out.push_str(member.name);
        out.push_str("\":");
        list(member, elements, out, |element, out| {
            if has_more(element) {
                out.push('{');
                members(types::element(), element, out);
                out.push('}');
            } else {
                out.push_str("null");
            }
        });
    }
}

fn list(
    member: &Member,
    elements: &[(&'static Member, &Element)],
    out: &mut String,
    mut write: impl FnMut(&Element, &mut String),
) {
    if member.repeats {
        out.push('[');
    }
    for (index, (_, element)) in elements.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(element, out);
    }
    if member.repeats {
        out.push(']');
    }
}

fn primitive(member: &Member, value: &str, out: &mut String) {
    let unquoted = matches!(member.content, Content::Primitive(primitive) if primitive.is_unquoted());
    if unquoted && is_literal(value) {
        out.push_str(value);
    } else {
        string(value, out);
    }
}

/// Whether JSON can hold the text without quotes; false only for trees that no reader has made.
fn is_literal(value: &str) -> bool {
    matches!(value, "true" | "false")
        || super::syntax::document(value, 0, 1)
            .is_ok_and(|value| matches!(value, super::syntax::Value::Number(_)))
}

/// A comma unless this is the first member of its object.
fn separate(out: &mut String) {
    if !out.ends_with('{') {
        out.push(',');
    }
}

fn name(name: &str, out: &mut String) {
    separate(out);
    out.push('"');
    out.push_str(name);
    out.push_str("\":");
}

fn string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            control => out.push_str(&format!("\\u{control:04x}")),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}
