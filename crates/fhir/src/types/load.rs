//! Unpacks the compiled-in type table.
//!
//! The table is gzip over tab-separated lines: `V url codes…` is a closed value set, `T path kind
//! abstract?` starts a type, `E name min max flags types binding` is an element of the last type.
//! Flags: `a` XML attribute, `m` modifier, `s` summary. A type is `code`, `code>Target+Target` or
//! `@path` for a backbone element, which may be one defined elsewhere (contentReference).

use std::collections::{HashMap, HashSet};
use std::io::Read;

use super::{Content, ElementDefinition, Kind, Member, Table, TypeDefinition, TypeIndex, TypeReference};
use crate::primitive::Primitive;

const COMPRESSED: &[u8] = include_bytes!("../../table/r4-types.tsv.gz");

#[allow(clippy::expect_used, reason = "the table is a constant of the program, which the tests load")]
pub(super) fn table() -> Table {
    let mut text = String::new();
    flate2::read::GzDecoder::new(COMPRESSED).read_to_string(&mut text).expect("the compiled-in type table");
    // Unpacked once and used until the process ends: names in trees borrow from it.
    let text: &'static str = Box::leak(text.into_boxed_str());
    parse(text).expect("the compiled-in type table")
}

fn parse(text: &'static str) -> Option<Table> {
    let mut value_sets: HashMap<&'static str, &'static [&'static str]> = HashMap::new();
    let mut types: Vec<TypeDefinition> = Vec::new();
    for line in text.lines() {
        let mut columns = line.split('\t');
        match columns.next()? {
            "V" => {
                let url = columns.next()?;
                let mut codes: Vec<&'static str> = columns.next()?.split(' ').collect();
                codes.sort_unstable();
                value_sets.insert(url, Vec::leak(codes));
            }
            "T" => types.push(TypeDefinition {
                path: columns.next()?,
                kind: match columns.next()? {
                    "resource" => Kind::Resource,
                    "complex" => Kind::Complex,
                    "backbone" => Kind::Backbone,
                    "primitive" => Kind::Primitive,
                    _ => return None,
                },
                is_abstract: columns.next()? == "abstract",
                elements: Vec::new(),
                members: Vec::new(),
            }),
            "E" => types.last_mut()?.elements.push(element(columns)?),
            _ => {}
        }
    }
    let mut by_path = HashMap::new();
    let mut names = HashSet::new();
    for (index, definition) in types.iter().enumerate() {
        by_path.insert(definition.path, TypeIndex(u16::try_from(index).ok()?));
        names.insert(definition.path);
    }
    for definition in &mut types {
        // The public implementation writes what is an attribute in XML first in JSON, too.
        definition.elements.sort_by_key(|element| !element.attribute);
        let mut members = Vec::with_capacity(definition.elements.len());
        for (order, element) in definition.elements.iter().enumerate() {
            let order = u16::try_from(order).ok()?;
            for reference in &element.types {
                members.push(member(element, order, reference.code, &by_path, &value_sets)?);
            }
        }
        // A second type of an element that is no choice (never in R4) would be a duplicate name.
        members.sort_by_key(|member| member.name);
        members.dedup_by_key(|member| member.name);
        names.extend(members.iter().map(|member| member.name));
        definition.members = members;
    }
    let element = *by_path.get("Element")?;
    Some(Table { types, by_path, names, element })
}

fn element(mut columns: std::str::Split<'static, char>) -> Option<ElementDefinition> {
    let name = columns.next()?;
    let min = columns.next()?.parse().ok()?;
    let max = match columns.next()? {
        "*" => None,
        number => Some(number.parse().ok()?),
    };
    let flags = columns.next()?;
    let types = columns.next()?.split(' ').filter(|code| !code.is_empty()).map(type_reference).collect();
    let binding = columns.next().and_then(|binding| binding.split_once(' '));
    Some(ElementDefinition {
        name,
        min,
        max,
        attribute: flags.contains('a'),
        modifier: flags.contains('m'),
        summary: flags.contains('s'),
        types,
        binding,
    })
}

fn type_reference(text: &'static str) -> TypeReference {
    let text = text.strip_prefix('@').unwrap_or(text);
    match text.split_once('>') {
        Some((code, targets)) => TypeReference { code, targets: targets.split('+').collect() },
        None => TypeReference { code: text, targets: Vec::new() },
    }
}

fn member(
    element: &ElementDefinition,
    order: u16,
    code: &'static str,
    by_path: &HashMap<&'static str, TypeIndex>,
    value_sets: &HashMap<&'static str, &'static [&'static str]>,
) -> Option<Member> {
    let name = match element.name.strip_suffix("[x]") {
        Some(prefix) => choice_name(prefix, code),
        None => element.name,
    };
    let content = match Primitive::from_code(code) {
        Some(primitive) => Content::Primitive(primitive),
        None if code == "Resource" => Content::Resource,
        None => Content::Complex(*by_path.get(code)?),
    };
    let codes = match (content, element.binding) {
        (Content::Primitive(Primitive::Code), Some(("required", url))) => value_sets.get(url).copied(),
        _ => None,
    };
    Some(Member {
        name,
        order,
        content,
        repeats: element.max != Some(1),
        attribute: element.attribute,
        codes,
    })
}

/// `value` and `string` make `valueString`.
fn choice_name(prefix: &str, code: &str) -> &'static str {
    let mut name = String::with_capacity(prefix.len() + code.len());
    name.push_str(prefix);
    let mut rest = code.chars();
    name.extend(rest.next().map(|first| first.to_ascii_uppercase()));
    name.push_str(rest.as_str());
    name.leak()
}
