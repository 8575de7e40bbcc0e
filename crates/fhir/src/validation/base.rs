//! The base definitions of R4: type plans from the type table, and the rule table with invariants,
//! code systems, value sets and extensions.
//!
//! The rule table is gzip over tab-separated lines: `C path key e|w expression` is an invariant, `S url
//! version flags codes` a code system (flags: `c` complete, `i` case does not matter), `V url version`
//! a value set with its parts `I`/`X` (include, exclude: system, version, imported sets, `=codes` or
//! `F` for a filter), `D url contexts` an extension with its elements `E` (path, slice, min, max,
//! types with profiles, fixed url, binding).

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::sync::{Arc, LazyLock, OnceLock};

use super::fhirpath::Expression;
use super::node::{Binding, Constraint, Node, Strength, TypeRef};
use super::terminology::{CodeSystem, Codes, Filters, Part, Terminology, ValueSet};
use crate::element::Element;
use crate::resource::Resource;
use crate::types::{self, Kind, TypeDefinition};

const COMPRESSED: &[u8] = include_bytes!("../../table/r4-rules.tsv.gz");
/// The registered media types, which R4 names as a code system without listing its codes.
const MEDIA_TYPES: &[u8] = include_bytes!("../../table/media-types.txt.gz");

/// Where the definitions of R4 live.
pub(super) const PREFIX: &str = "http://hl7.org/fhir/StructureDefinition/";

/// Invariants that [`super::special`] checks by hand, or that ask for other resources.
const BY_HAND: [&str; 9] = ["dom-2", "dom-3", "dom-4", "dom-5", "txt-1", "txt-2", "ref-1", "ctm-1", "sdf-8"];

static BASE: LazyLock<Base> = LazyLock::new(load);

/// Everything R4 itself says. The tables are unpacked once and kept as text until the process ends; what stands
/// in them is built when it is asked for, because a site uses a small part of R4.
pub(super) struct Base {
    types: HashMap<&'static str, Planned>,
    pub(super) terminology: Terminology,
    /// Lines of the extensions: each one, then its elements.
    extension_lines: Vec<&'static str>,
    extension_urls: HashSet<&'static str>,
}

/// A type whose plan is made at first use.
struct Planned {
    definition: &'static TypeDefinition,
    /// Invariants of the type and of its elements.
    constraint_lines: Vec<&'static str>,
    plan: OnceLock<TypePlan>,
}

/// A type: resource, data type or backbone element.
pub(super) struct TypePlan {
    pub(super) constraints: Vec<Arc<Constraint>>,
    pub(super) children: Vec<Node>,
}

/// The base definitions, unpacked at first use.
pub(super) fn base() -> &'static Base {
    &BASE
}

impl Base {
    /// The plan of a type path.
    pub(super) fn plan(&self, code: &str) -> Option<&TypePlan> {
        let planned = self.types.get(code)?;
        Some(planned.plan.get_or_init(|| {
            let mut plan = type_plan(planned.definition);
            for line in &planned.constraint_lines {
                // Every line is compiled by the tests.
                let _ = constraint(line, code, &mut plan);
            }
            plan
        }))
    }

    /// Whether R4 defines an extension with this url.
    pub(super) fn has_extension(&self, url: &str) -> bool {
        self.extension_urls.contains(url)
    }

    /// StructureDefinitions of all extensions, in the order of the table.
    pub(super) fn extensions(&self) -> Vec<Resource> {
        let mut found: Vec<Resource> = Vec::new();
        for line in &self.extension_lines {
            match line.split_once('\t') {
                Some(("D", rest)) => found.extend(extension(rest.split('\t'))),
                Some((_, rest)) => {
                    let differential =
                        found.last_mut().and_then(|definition| definition.child_mut("differential"));
                    if let (Some(differential), Some(element)) = (differential, element(rest.split('\t'))) {
                        differential.push(element);
                    }
                }
                None => {}
            }
        }
        found
    }
}

#[allow(clippy::expect_used, reason = "the table is a constant of the program, which the tests load")]
fn unpack(bytes: &[u8]) -> &'static str {
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).expect("a compiled-in table");
    Box::leak(text.into_boxed_str())
}

#[allow(clippy::expect_used, reason = "the table is a constant of the program, which the tests load")]
fn load() -> Base {
    let planned = |definition: &'static TypeDefinition| Planned {
        definition,
        constraint_lines: Vec::new(),
        plan: OnceLock::new(),
    };
    let mut base = Base {
        types: types::all().map(|definition| (definition.path(), planned(definition))).collect(),
        terminology: Terminology::default(),
        extension_lines: Vec::new(),
        extension_urls: HashSet::new(),
    };
    rules(unpack(COMPRESSED), &mut base).expect("the compiled-in rule table");
    // Case does not matter in media types (RFC 2045), and the list has them in lower case.
    let system = CodeSystem::new(true, false, Codes::packed(unpack(MEDIA_TYPES), false));
    base.terminology.add_code_system("urn:ietf:bcp:13", "4.0.1", system);
    base
}

fn type_plan(definition: &'static TypeDefinition) -> TypePlan {
    // A primitive has what every element has.
    let elements = match definition.kind() {
        Kind::Primitive => types::element().elements(),
        _ => definition.elements(),
    };
    let children = elements
        .iter()
        // The id of an element is no child of the tree.
        .filter(|element| !(element.attribute && element.name == "id"))
        .map(|element| Node {
            name: element.name.trim_end_matches("[x]").into(),
            choice: element.name.ends_with("[x]"),
            repeats: element.max != Some(1),
            min: element.min,
            max: element.max,
            types: element
                .types
                .iter()
                .map(|kind| TypeRef {
                    code: kind.code,
                    profiles: Vec::new(),
                    targets: kind.targets.iter().map(|target| format!("{PREFIX}{target}").into()).collect(),
                })
                .collect(),
            binding: element.binding.and_then(|(strength, url)| {
                Some(Arc::new(Binding {
                    strength: Strength::from_code(strength)?,
                    value_set: url.into(),
                    base: true,
                }))
            }),
            ..Node::root("")
        })
        .collect();
    TypePlan { constraints: Vec::new(), children }
}

fn rules(text: &'static str, base: &mut Base) -> Option<()> {
    let mut set: Option<(&str, &str, ValueSet)> = None;
    for line in text.lines() {
        let mut columns = line.split('\t');
        let kind = columns.next()?;
        if !matches!(kind, "I" | "X")
            && let Some((url, version, set)) = set.take()
        {
            base.terminology.add_value_set(url, version, set);
        }
        match kind {
            "C" => {
                let path = columns.next()?;
                // Elements defined by reference to another one have no plan of their own.
                let owner = if base.types.contains_key(path) { path } else { path.rsplit_once('.')?.0 };
                if let Some(planned) = base.types.get_mut(owner) {
                    planned.constraint_lines.push(line);
                }
            }
            "S" => {
                let (url, version, flags) = (columns.next()?, columns.next()?, columns.next()?);
                let folded = flags.contains('i');
                let codes = Codes::packed(columns.next()?, folded);
                let system = CodeSystem::new(flags.contains('c'), !folded, codes);
                base.terminology.add_code_system(url, version, system);
            }
            "V" => set = Some((columns.next()?, columns.next()?, ValueSet::default())),
            "I" | "X" => {
                let (system, version, imports) = (columns.next()?, columns.next()?, columns.next()?);
                let codes = columns.next()?;
                let part = Part {
                    system: (!system.is_empty()).then(|| system.into()),
                    version: (!version.is_empty()).then(|| version.into()),
                    value_sets: imports.split(' ').filter(|url| !url.is_empty()).map(Into::into).collect(),
                    filters: if codes == "F" { Filters::Unsupported } else { Filters::None },
                    codes: match codes.strip_prefix('=') {
                        Some(codes) if !codes.is_empty() => Some(Codes::packed(codes, false)),
                        _ => None,
                    },
                };
                set.as_mut()?.2.add(kind == "I", part);
            }
            "D" => {
                base.extension_urls.insert(columns.next()?);
                base.extension_lines.push(line);
            }
            "E" => base.extension_lines.push(line),
            _ => {}
        }
    }
    if let Some((url, version, set)) = set {
        base.terminology.add_value_set(url, version, set);
    }
    Some(())
}

/// Adds the invariant of a line to the plan of its type.
fn constraint(line: &str, owner: &str, plan: &mut TypePlan) -> Option<()> {
    let mut columns = line.split('\t').skip(1);
    let (path, key, severity) = (columns.next()?, columns.next()?, columns.next()?);
    let text = columns.next()?;
    if BY_HAND.contains(&key) {
        return Some(());
    }
    let constraint = Arc::new(Constraint {
        key: key.into(),
        error: severity == "e",
        expression: Expression::compile(text).ok()?,
        text: text.into(),
        base: true,
    });
    if path == owner {
        plan.constraints.push(constraint);
        return Some(());
    }
    let name = path.rsplit_once('.')?.1.trim_end_matches("[x]");
    if let Some(node) = plan.children.iter_mut().find(|node| &*node.name == name) {
        node.constraints.push(constraint);
    }
    Some(())
}

fn extension(mut columns: std::str::Split<'_, char>) -> Option<Resource> {
    let url = columns.next()?;
    let mut definition = Resource::new("StructureDefinition");
    for (name, value) in [("url", url), ("version", "4.0.1"), ("kind", "complex-type"), ("type", "Extension")]
    {
        definition.push(Element::primitive(name, value));
    }
    for context in columns.next()?.split(' ').filter(|context| !context.is_empty()) {
        let (kind, expression) = context.split_once(':')?;
        definition.push(
            Element::new("context")
                .with_text("type", kind)
                .with_text("expression", &expression.replace("%20", " ")),
        );
    }
    definition.push(Element::primitive("baseDefinition", &format!("{PREFIX}Extension")));
    definition.push(Element::primitive("derivation", "constraint"));
    definition.push(Element::new("differential"));
    Some(definition)
}

fn element(mut columns: std::str::Split<'_, char>) -> Option<Element> {
    let mut element = Element::new("element");
    for name in ["path", "sliceName", "min", "max"] {
        let value = columns.next()?;
        if !value.is_empty() {
            element.push(Element::primitive(name, value));
        }
    }
    for kind in columns.next()?.split(' ').filter(|kind| !kind.is_empty()) {
        let mut parts = kind.split('>');
        let mut node = Element::new("type").with_text("code", parts.next()?);
        for profile in parts {
            node.push(Element::primitive("profile", profile));
        }
        element.push(node);
    }
    let fixed = columns.next()?;
    if !fixed.is_empty() {
        element.push(Element::primitive("fixedUri", fixed));
    }
    if let Some((strength, value_set)) = columns.next()?.split_once(' ')
        && !value_set.is_empty()
    {
        element
            .push(Element::new("binding").with_text("strength", strength).with_text("valueSet", value_set));
    }
    Some(element)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_understood() {
        let base = base();
        for (path, planned) in &base.types {
            let mut plan = type_plan(planned.definition);
            for line in &planned.constraint_lines {
                assert!(constraint(line, path, &mut plan).is_some(), "{line}");
            }
        }
        let wanted = |kind: &str| base.extension_lines.iter().filter(|line| line.starts_with(kind)).count();
        let extensions = base.extensions();
        let elements = |definition: &Resource| {
            definition.child("differential").map_or(0, |differential| differential.children().len())
        };
        assert_eq!(extensions.len(), wanted("D\t"));
        assert_eq!(extensions.iter().map(elements).sum::<usize>(), wanted("E\t"));
    }
}
