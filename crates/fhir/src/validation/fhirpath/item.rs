//! What a FHIRPath expression works on: elements of the tree, and values made by it.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::LazyLock;

use crate::datetime::{DateTime, Precision};
use crate::element::Element;
use crate::types;

/// One item of a collection.
#[derive(Clone, Debug)]
pub(super) enum Item<'a> {
    /// An element, with its type where that is known.
    Node(&'a Element, Option<&'static str>),
    Text(Cow<'a, str>),
    /// An integer or decimal as text.
    Number(Cow<'a, str>),
    Boolean(bool),
}

/// `String` to `string`: what a choice element's name ends in.
static SUFFIXES: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
    types::all()
        .map(types::TypeDefinition::path)
        .filter(|path| !path.contains('.'))
        .map(|path| {
            let mut characters = path.chars();
            let first = characters.next().map(|first| first.to_ascii_uppercase());
            (first.into_iter().chain(characters).collect(), path)
        })
        .collect()
});

/// The type that a choice element's name names behind `prefix`: `valueString` behind `value` is `string`.
pub(crate) fn type_suffix(name: &str, prefix: &str) -> Option<&'static str> {
    let rest = name.strip_prefix(prefix)?;
    SUFFIXES.get(rest).copied()
}

/// The type of an element as its name tells: that of a choice element, or that of a resource.
pub(crate) fn element_type(element: &Element) -> Option<&'static str> {
    if let Some(code) = element.resource_type() {
        return types::definition(code).map(types::TypeDefinition::path);
    }
    let name = element.name();
    name.char_indices()
        .filter(|(at, character)| *at > 0 && character.is_ascii_uppercase())
        .find_map(|(at, _)| if types::is_choice(&name[..at]) { type_suffix(name, &name[..at]) } else { None })
}

impl<'a> Item<'a> {
    /// The text of a primitive.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Item::Node(element, _) => element.value(),
            Item::Text(text) | Item::Number(text) => Some(text),
            Item::Boolean(value) => Some(if *value { "true" } else { "false" }),
        }
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match self {
            Item::Boolean(value) => Some(*value),
            Item::Node(element, _) => match element.value()? {
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether the item is of the type. Names are compared without regard to the case of the first
    /// letter: `Boolean` of the language is `boolean` of FHIR.
    pub(super) fn is(&self, name: &str) -> bool {
        let same =
            |code: &str| {
                code == name
                    || code.len() == name.len()
                        && code.as_bytes().iter().zip(name.as_bytes()).enumerate().all(|(index, (a, b))| {
                            if index == 0 { a.eq_ignore_ascii_case(b) } else { a == b }
                        })
            };
        match self {
            Item::Node(element, code) => code.or_else(|| element_type(element)).is_some_and(same),
            Item::Text(_) => same("string"),
            Item::Number(text) => same(if text.contains('.') { "decimal" } else { "integer" }),
            Item::Boolean(_) => same("boolean"),
        }
    }

    /// Whether two items are equal.
    pub(super) fn equal(&self, other: &Item<'_>) -> bool {
        match (self, other) {
            (Item::Node(left, _), Item::Node(right, _)) => match (left.value(), right.value()) {
                (Some(left_value), Some(right_value)) => {
                    left_value == right_value || numbers(left_value, right_value) == Some(Ordering::Equal)
                }
                (None, None) => same_content(left, right),
                _ => false,
            },
            (Item::Number(_), _) | (_, Item::Number(_)) => match (self.text(), other.text()) {
                (Some(left), Some(right)) => numbers(left, right) == Some(Ordering::Equal),
                _ => false,
            },
            _ => match (self.text(), other.text()) {
                (Some(left), Some(right)) => left == right,
                _ => false,
            },
        }
    }

    /// The order of two items; `None` if they cannot be compared.
    pub(super) fn compare(&self, other: &Item<'_>) -> Option<Ordering> {
        if let (Item::Node(left, _), Item::Node(right, _)) = (self, other)
            && let (None, None) = (left.value(), right.value())
        {
            // Quantities of one unit.
            let unit = |element: &Element| {
                (element.text("system") == right.text("system"), element.text("code") == right.text("code"))
            };
            if unit(left) != (true, true) {
                return None;
            }
            return numbers(left.text("value")?, right.text("value")?);
        }
        let (left, right) = (self.text()?, other.text()?);
        if let Some(order) = numbers(left, right) {
            return Some(order);
        }
        match (DateTime::parse(left), DateTime::parse(right)) {
            (Some(left), Some(right)) => moments(&left, &right),
            _ => Some(left.cmp(right)),
        }
    }

    /// The children of an element with a name.
    pub(super) fn children(&self, name: &str, choice: bool, found: &mut Vec<Item<'a>>) {
        let Item::Node(element, _) = self else { return };
        let mut any = false;
        for child in element.children() {
            if child.name() == name {
                found.push(Item::Node(child, None));
                any = true;
            } else if choice
                && !any
                && child.name().len() > name.len()
                && let Some(code) = type_suffix(child.name(), name)
            {
                found.push(Item::Node(child, Some(code)));
            }
        }
        if any || element.children().iter().any(|child| child.name() == name) {
            return;
        }
        match name {
            "value" => {
                if let Some(value) = element.value() {
                    found.push(Item::Text(Cow::Borrowed(value)));
                }
            }
            "id" => {
                if let Some(id) = element.id_attr() {
                    found.push(Item::Text(Cow::Borrowed(id)));
                }
            }
            _ => {}
        }
    }

    /// A key that is equal for equal items.
    pub(super) fn key(&self) -> String {
        match self {
            Item::Node(element, _) if element.value().is_none() => {
                let mut key = String::new();
                structure(element, &mut key);
                key
            }
            _ => self.text().unwrap_or_default().to_owned(),
        }
    }
}

fn structure(element: &Element, key: &mut String) {
    for child in element.children() {
        key.push('\u{1}');
        key.push_str(child.name());
        key.push('\u{2}');
        key.push_str(child.value().unwrap_or_default());
        structure(child, key);
        key.push('\u{3}');
    }
}

/// Whether two elements have the same content, whatever they are called.
fn same_content(left: &Element, right: &Element) -> bool {
    left.value() == right.value()
        && left.children().len() == right.children().len()
        && left
            .children()
            .iter()
            .zip(right.children())
            .all(|(left, right)| left.name() == right.name() && same_content(left, right))
}

/// The order of two decimal texts, exactly; `None` if one of them is none.
pub(super) fn numbers(left: &str, right: &str) -> Option<Ordering> {
    let (left_negative, left_whole, left_fraction) = parts(left)?;
    let (right_negative, right_whole, right_fraction) = parts(right)?;
    if left_negative != right_negative {
        return Some(if left_negative { Ordering::Less } else { Ordering::Greater });
    }
    let magnitude = left_whole
        .len()
        .cmp(&right_whole.len())
        .then_with(|| left_whole.cmp(right_whole))
        .then_with(|| left_fraction.cmp(right_fraction));
    Some(if left_negative { magnitude.reverse() } else { magnitude })
}

/// Sign, whole part without zeros in front, fraction without zeros behind.
fn parts(text: &str) -> Option<(bool, &str, &str)> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !number(whole) || !number(fraction) {
        return None;
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    Some((negative && !(whole.is_empty() && fraction.is_empty()), whole, fraction))
}

/// The order of two moments; `None` if it depends on what is not given.
fn moments(left: &DateTime, right: &DateTime) -> Option<Ordering> {
    let coarse = |value: &DateTime| value.precision().min(Precision::Second);
    let (left_range, right_range) = (left.range(), right.range());
    if left_range.high < right_range.low {
        return Some(Ordering::Less);
    }
    if left_range.low > right_range.high {
        return Some(Ordering::Greater);
    }
    (coarse(left) == coarse(right)).then(|| left_range.low.cmp(&right_range.low))
}
