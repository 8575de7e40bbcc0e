//! Unpacks the compiled-in type table: names and places of all types at first use, what a type says when
//! someone asks for it. A service meets few of R4's types.
//!
//! The table is gzip over tab-separated lines: `V url codes…` is a closed value set, `T path kind
//! abstract?` starts a type, `E name min max flags types binding` is an element of the last type.
//! Flags: `a` XML attribute, `m` modifier, `s` summary. A type is `code`, `code>Target+Target` or
//! `@path` for a backbone element, which may be one defined elsewhere (contentReference).

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::sync::OnceLock;

use super::{
    Closed, Content, ElementDefinition, Kind, Member, Parts, Table, TypeDefinition, TypeIndex, TypeReference,
};
use crate::primitive::Primitive;

const COMPRESSED: &[u8] = include_bytes!("../../table/r4-types.tsv.gz");

#[allow(clippy::expect_used, reason = "the table is a constant of the program, which the tests load")]
pub(super) fn table() -> Table {
    let mut text = String::new();
    flate2::read::GzDecoder::new(COMPRESSED).read_to_string(&mut text).expect("the compiled-in type table");
    text.shrink_to_fit();
    // Unpacked once and used until the process ends: names in trees borrow from it.
    let text: &'static str = Box::leak(text.into_boxed_str());
    places(text).expect("the compiled-in type table")
}

/// Where each type stands, and all names.
fn places(text: &'static str) -> Option<Table> {
    let mut table = Table {
        types: Vec::new(),
        by_path: HashMap::new(),
        value_sets: HashMap::new(),
        names: HashSet::new(),
        choices: HashSet::new(),
        element: TypeIndex(0),
    };
    let mut rest = text;
    while let Some((line, after)) = rest.split_once('\n') {
        rest = after;
        let mut columns = line.split('\t');
        match columns.next()? {
            "V" => {
                let url = columns.next()?;
                table.value_sets.insert(url, Closed { text: columns.next()?, codes: OnceLock::new() });
            }
            "T" => {
                let path = columns.next()?;
                table.by_path.insert(path, TypeIndex(u16::try_from(table.types.len()).ok()?));
                table.names.insert(path);
                table.types.push(TypeDefinition {
                    path,
                    kind: match columns.next()? {
                        "resource" => Kind::Resource,
                        "complex" => Kind::Complex,
                        "backbone" => Kind::Backbone,
                        "primitive" => Kind::Primitive,
                        _ => return None,
                    },
                    is_abstract: columns.next()? == "abstract",
                    text: after,
                    parts: OnceLock::new(),
                });
            }
            "E" => {
                let name = columns.next()?;
                let Some(prefix) = name.strip_suffix("[x]") else {
                    table.names.insert(name);
                    continue;
                };
                table.choices.insert(prefix);
                for kind in columns.nth(3)?.split(' ') {
                    let name = choice_name(prefix, type_reference(kind).code);
                    if !table.names.contains(&*name) {
                        table.names.insert(name.leak());
                    }
                }
            }
            _ => {}
        }
    }
    table.names.shrink_to_fit();
    table.element = *table.by_path.get("Element")?;
    Some(table)
}

/// Elements and members of a type from the lines behind its own.
#[allow(clippy::expect_used, reason = "the table is a constant of the program, which the tests load")]
pub(super) fn parts(text: &'static str, table: &'static Table) -> Parts {
    parse(text, table).expect("the compiled-in type table")
}

fn parse(text: &'static str, table: &'static Table) -> Option<Parts> {
    let lines = text.lines().map_while(|line| line.strip_prefix("E\t"));
    let mut elements = lines.map(|line| element(line.split('\t'))).collect::<Option<Vec<_>>>()?;
    // The public implementation writes what is an attribute in XML first in JSON, too.
    elements.sort_by_key(|element| !element.attribute);
    let mut members = Vec::with_capacity(elements.len());
    for (order, element) in elements.iter().enumerate() {
        let order = u16::try_from(order).ok()?;
        for reference in &element.types {
            members.push(member(element, order, reference.code, table)?);
        }
    }
    // A second type of an element that is no choice (never in R4) would be a duplicate name.
    members.sort_by_key(|member| member.name);
    members.dedup_by_key(|member| member.name);
    elements.shrink_to_fit();
    members.shrink_to_fit();
    Some(Parts { elements, members })
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
    table: &'static Table,
) -> Option<Member> {
    let name = match element.name.strip_suffix("[x]") {
        Some(prefix) => table.names.get(&*choice_name(prefix, code))?,
        None => element.name,
    };
    let content = match Primitive::from_code(code) {
        Some(primitive) => Content::Primitive(primitive),
        None if code == "Resource" => Content::Resource,
        None => Content::Complex(*table.by_path.get(code)?),
    };
    let codes = match (content, element.binding) {
        (Content::Primitive(Primitive::Code), Some(("required", url))) => {
            table.value_sets.get(url).map(Closed::codes)
        }
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
fn choice_name(prefix: &str, code: &str) -> String {
    let mut name = String::with_capacity(prefix.len() + code.len());
    name.push_str(prefix);
    let mut rest = code.chars();
    name.extend(rest.next().map(|first| first.to_ascii_uppercase()));
    name.push_str(rest.as_str());
    name
}
