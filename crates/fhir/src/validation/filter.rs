//! Filters of value sets (`ValueSet.compose.include.filter`): which codes of a system they let through.
//!
//! What cannot be decided with what a CodeSystem resource says is unsupported, never guessed.

use std::collections::{HashMap, HashSet};

use regex::Regex;

use crate::element::Element;

/// Largest compiled regular expression of a filter, in bytes.
const MAX_REGEX: usize = 64 * 1024;

/// How a filter compares.
#[derive(Clone, Debug)]
enum Test {
    /// `=`
    Is(Box<str>),
    /// `is-a`: the concept or one below it.
    IsA(Box<str>),
    /// `descendent-of`: one below the concept.
    Below(Box<str>),
    /// `is-not-a`
    IsNotA(Box<str>),
    /// `generalizes`: the concept or one above it.
    Above(Box<str>),
    /// `in` and `not-in`
    In(HashSet<Box<str>>, bool),
    /// `exists`
    Exists(bool),
    /// `regex`, on the whole value
    Regex(Regex),
}

/// One filter.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    property: Box<str>,
    test: Test,
}

/// What belongs to each code of a system.
type ByCode = HashMap<Box<str>, Vec<Box<str>>>;

/// What a CodeSystem says of its concepts besides their codes.
#[derive(Clone, Debug, Default)]
pub(super) struct Hierarchy {
    /// Codes right above a code: by nesting and by the property `parent`.
    parents: ByCode,
    /// Values by property, then by code.
    properties: HashMap<Box<str>, ByCode>,
    /// Nesting means something else than `is-a`.
    other_meaning: bool,
}

impl Filter {
    /// From a `filter` element; none where it is not supported.
    pub(super) fn read(filter: &Element) -> Option<Filter> {
        let (property, value) = (filter.text("property")?, filter.text("value")?);
        let values = || value.split(',').map(|value| value.trim().into()).collect();
        let test = match filter.text("op")? {
            "=" => Test::Is(value.into()),
            "is-a" => Test::IsA(value.into()),
            "descendent-of" => Test::Below(value.into()),
            "is-not-a" => Test::IsNotA(value.into()),
            "generalizes" => Test::Above(value.into()),
            "in" => Test::In(values(), true),
            "not-in" => Test::In(values(), false),
            "exists" => Test::Exists(value == "true"),
            "regex" => Test::Regex(
                regex::RegexBuilder::new(&format!("^(?:{value})$")).size_limit(MAX_REGEX).build().ok()?,
            ),
            _ => return None,
        };
        let hierarchical = matches!(test, Test::IsA(_) | Test::Below(_) | Test::IsNotA(_) | Test::Above(_));
        if hierarchical && !matches!(property, "concept" | "code") {
            return None;
        }
        Some(Filter { property: property.into(), test })
    }

    /// Whether a code of the system passes; none where the system does not say.
    pub(super) fn lets_through(&self, code: &str, system: &Hierarchy) -> Option<bool> {
        let related =
            |below: &str, above: &str| (!system.other_meaning).then(|| system.is_below(below, above));
        match &self.test {
            Test::IsA(value) => return Some(code == &**value || related(code, value)?),
            Test::Below(value) => return related(code, value),
            Test::IsNotA(value) => return Some(code != &**value && !related(code, value)?),
            Test::Above(value) => return Some(code == &**value || related(value, code)?),
            _ => {}
        }
        let own = [Box::from(code)];
        let none = Vec::new();
        let values: &[Box<str>] = match &*self.property {
            "concept" | "code" => &own,
            "parent" => system.parents.get(code).unwrap_or(&none),
            property => system.properties.get(property)?.get(code).unwrap_or(&none),
        };
        Some(match &self.test {
            Test::Is(value) => values.contains(value),
            Test::In(wanted, inside) => values.iter().any(|value| wanted.contains(value)) == *inside,
            Test::Exists(wanted) => values.is_empty() != *wanted,
            Test::Regex(regex) => values.iter().any(|value| regex.is_match(value)),
            Test::IsA(_) | Test::Below(_) | Test::IsNotA(_) | Test::Above(_) => return None,
        })
    }
}

impl Hierarchy {
    /// From a CodeSystem resource.
    pub(super) fn read(resource: &Element) -> Hierarchy {
        let meaning = resource.text("hierarchyMeaning");
        let mut hierarchy = Hierarchy {
            other_meaning: meaning.is_some_and(|meaning| meaning != "is-a"),
            ..Hierarchy::default()
        };
        // Declared ones may be asked for although no concept has them.
        for property in resource.each("property").filter_map(|property| property.text("code")) {
            hierarchy.properties.entry(property.into()).or_default();
        }
        hierarchy.add(resource, None);
        hierarchy
    }

    fn add(&mut self, element: &Element, above: Option<&str>) {
        for concept in element.each("concept") {
            let Some(code) = concept.text("code").map(Box::<str>::from) else { continue };
            if let Some(above) = above {
                self.parents.entry(code.clone()).or_default().push(above.into());
            }
            let display = concept.text("display").map(|display| ("display", display));
            let properties = concept.each("property").filter_map(|property| {
                let value = property.choice("value")?;
                // A Coding is compared by its code.
                Some((property.text("code")?, value.value().or_else(|| value.text("code"))?))
            });
            for (property, value) in display.into_iter().chain(properties) {
                if property == "parent" {
                    self.parents.entry(code.clone()).or_default().push(value.into());
                }
                let values = self.properties.entry(property.into()).or_default();
                values.entry(code.clone()).or_default().push(value.into());
            }
            self.add(concept, Some(&code));
        }
    }

    /// Whether a code lies below another, over any number of steps. Circles end.
    fn is_below(&self, code: &str, above: &str) -> bool {
        let (mut seen, mut open) = (HashSet::new(), vec![code]);
        while let Some(next) = open.pop() {
            for parent in self.parents.get(next).into_iter().flatten() {
                if &**parent == above {
                    return true;
                }
                if seen.insert(&**parent) {
                    open.push(parent);
                }
            }
        }
        false
    }
}
