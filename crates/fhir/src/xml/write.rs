//! From the element tree to compact XML.

use crate::assemble::ordered;
use crate::element::Element;
use crate::primitive::{Primitive, is_character};
use crate::resource::Resource;
use crate::types::{self, Content, TypeDefinition};

pub(crate) fn write_resource(resource: &Resource) -> Vec<u8> {
    let mut out = String::with_capacity(2048);
    held(resource.root(), &mut out);
    out.into_bytes()
}

/// Writes the resource that an element holds as an element named after its type.
fn held(element: &Element, out: &mut String) {
    let Some(resource_type) = element.resource_type() else { return };
    out.push('<');
    out.push_str(resource_type);
    // As the public implementation does, also for a nested resource.
    out.push_str(" xmlns=\"");
    out.push_str(super::NAMESPACE);
    out.push('"');
    match types::resource(resource_type) {
        Some(definition) => content(definition, element, resource_type, out),
        None => out.push_str("/>"),
    }
}

/// Writes attributes, children and the end of an element whose `<name` is written.
fn content(definition: &'static TypeDefinition, element: &Element, name: &str, out: &mut String) {
    let children = ordered(definition, element);
    attribute("id", element.id_attr(), out);
    for (member, child) in children.iter().filter(|(member, _)| member.attribute) {
        attribute(member.name, child.value(), out);
    }
    let start = out.len();
    out.push('>');
    let empty = out.len();
    for (member, child) in children.iter().filter(|(member, child)| !member.attribute && !child.is_empty()) {
        if let Content::Primitive(Primitive::Xhtml) = member.content {
            out.push_str(child.value().unwrap_or_default());
            continue;
        }
        out.push('<');
        out.push_str(member.name);
        match member.content {
            Content::Primitive(_) => primitive(child, member.name, out),
            Content::Complex(index) => content(types::by_index(index), child, member.name, out),
            Content::Resource => {
                out.push('>');
                held(child, out);
                close(member.name, out);
            }
        }
    }
    if out.len() == empty {
        out.truncate(start);
        out.push_str("/>");
    } else {
        close(name, out);
    }
}

fn primitive(element: &Element, name: &str, out: &mut String) {
    // HAPI writes the id first; readers do not care.
    attribute("id", element.id_attr(), out);
    attribute("value", element.value(), out);
    if element.children().is_empty() {
        out.push_str("/>");
        return;
    }
    out.push('>');
    for (member, child) in ordered(types::element(), element) {
        if let Content::Complex(index) = member.content {
            out.push('<');
            out.push_str(member.name);
            content(types::by_index(index), child, member.name, out);
        }
    }
    close(name, out);
}

fn close(name: &str, out: &mut String) {
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

fn attribute(name: &str, value: Option<&str>, out: &mut String) {
    if let Some(value) = value {
        out.push(' ');
        out.push_str(name);
        out.push_str("=\"");
        escape(value, out);
        out.push('"');
    }
}

/// Writes text so that it survives in an attribute (where a plain line feed becomes a blank) and
/// in an element. A character that XML cannot hold, which no reader lets through, becomes U+FFFD.
pub(crate) fn escape(text: &str, out: &mut String) {
    let special = |character: char| {
        matches!(character, '&' | '<' | '>' | '"' | '\n' | '\r' | '\t') || !is_character(character)
    };
    let mut rest = text;
    while let Some((at, character)) = rest.char_indices().find(|(_, character)| special(*character)) {
        out.push_str(&rest[..at]);
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#xA;"),
            '\r' => out.push_str("&#xD;"),
            '\t' => out.push_str("&#x9;"),
            _ => out.push('\u{fffd}'),
        }
        rest = &rest[at + character.len_utf8()..];
    }
    out.push_str(rest);
}
