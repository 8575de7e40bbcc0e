//! The compiled form of definitions: a tree of elements with everything a validation needs to know.

use std::sync::Arc;

use super::fhirpath::Expression;
use crate::element::Element;

/// A shared text: names and canonicals.
pub(super) type Text = Arc<str>;

/// One element of a profile or type.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Name without `[x]`.
    pub(super) name: Text,
    /// A choice element: instances carry the type in their name.
    pub(super) choice: bool,
    /// Whether the type itself lets it repeat, so that paths number it.
    pub(super) repeats: bool,
    pub(super) min: u32,
    pub(super) max: Option<u32>,
    /// Allowed types.
    pub(super) types: Vec<TypeRef>,
    pub(super) fixed: Option<Arc<Fixed>>,
    pub(super) binding: Option<Arc<Binding>>,
    pub(super) constraints: Vec<Arc<Constraint>>,
    pub(super) max_length: Option<usize>,
    pub(super) slicing: Option<Box<Slicing>>,
    /// Children that a profile says something about; without, the type alone counts.
    pub(super) children: Option<Vec<Node>>,
    /// The last element of a differential that is about this node, for snapshots.
    pub(super) source: Option<Arc<Element>>,
}

/// A type an element may have.
#[derive(Clone, Debug)]
pub(super) struct TypeRef {
    /// Type path, for a backbone element its path.
    pub(super) code: &'static str,
    /// Canonicals of which one must fit.
    pub(super) profiles: Vec<Text>,
    /// As written, for snapshots.
    pub(super) targets: Vec<Text>,
}

/// A value that is required, whole or in part.
#[derive(Debug)]
pub(super) struct Fixed {
    /// `fixed[x]`: nothing else may be there; otherwise `pattern[x]`.
    pub(super) exact: bool,
    pub(super) value: Element,
}

/// How binding a value set is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strength {
    Required,
    Extensible,
    Preferred,
    Example,
}

impl Strength {
    pub(super) fn from_code(code: &str) -> Option<Strength> {
        Some(match code {
            "required" => Strength::Required,
            "extensible" => Strength::Extensible,
            "preferred" => Strength::Preferred,
            "example" => Strength::Example,
            _ => return None,
        })
    }

    pub(super) fn code(self) -> &'static str {
        match self {
            Strength::Required => "required",
            Strength::Extensible => "extensible",
            Strength::Preferred => "preferred",
            Strength::Example => "example",
        }
    }
}

/// A bound value set.
#[derive(Debug)]
pub(super) struct Binding {
    pub(super) strength: Strength,
    /// Canonical, perhaps with a version.
    pub(super) value_set: Text,
    /// Comes with the type, not with a profile.
    pub(super) base: bool,
}

/// An invariant.
#[derive(Debug)]
pub(super) struct Constraint {
    pub(super) key: Text,
    /// An error, otherwise a warning.
    pub(super) error: bool,
    pub(super) expression: Expression,
    /// As written, for snapshots.
    pub(super) text: Text,
    /// Comes with the type, not with a profile.
    pub(super) base: bool,
}

/// What happens to list elements that belong to no slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rules {
    Open,
    Closed,
    OpenAtEnd,
}

/// How a list is cut into slices.
#[derive(Clone, Debug)]
pub(super) struct Slicing {
    pub(super) discriminators: Vec<Discriminator>,
    pub(super) rules: Rules,
    pub(super) slices: Vec<Slice>,
    /// Some slice says nothing about any discriminator: membership cannot be decided.
    pub(super) undecidable: bool,
}

/// One discriminator.
#[derive(Clone, Debug)]
pub(super) struct Discriminator {
    pub(super) kind: DiscriminatorKind,
    /// Steps; none for `$this`.
    pub(super) path: Vec<Text>,
}

/// Type of a discriminator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DiscriminatorKind {
    Value,
    Exists,
    Type,
}

/// One slice.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    pub(super) name: Text,
    pub(super) node: Node,
    /// All must hold; none means that nothing can be decided.
    pub(super) criteria: Vec<Criterion>,
}

/// A condition for belonging to a slice.
#[derive(Clone, Debug)]
pub(super) struct Criterion {
    pub(super) path: Vec<Text>,
    pub(super) test: Test,
}

/// What some element at the path must be.
#[derive(Clone, Debug)]
pub(super) enum Test {
    /// A primitive with this text.
    Text(Text),
    /// A fixed or pattern value.
    Value(Arc<Fixed>),
    /// A member of a value set.
    Member(Text),
    Exists(bool),
    /// Of one of the types.
    Type(Vec<&'static str>),
}

impl Node {
    /// The root of a type or of a profile of it.
    pub(super) fn root(code: &'static str) -> Node {
        Node {
            name: code.into(),
            choice: false,
            repeats: false,
            min: 0,
            max: None,
            types: vec![TypeRef::plain(code)],
            fixed: None,
            binding: None,
            constraints: Vec::new(),
            max_length: None,
            slicing: None,
            children: None,
            source: None,
        }
    }
}

impl TypeRef {
    pub(super) fn plain(code: &'static str) -> TypeRef {
        TypeRef { code, profiles: Vec::new(), targets: Vec::new() }
    }
}

impl Fixed {
    /// Whether an element has the value.
    pub(super) fn fits(&self, element: &Element) -> bool {
        if self.exact { same(&self.value, element) } else { contains(&self.value, element) }
    }
}

/// Whether two elements have the same content, whatever they are called.
fn same(left: &Element, right: &Element) -> bool {
    left.value() == right.value()
        && left.children().len() == right.children().len()
        && left
            .children()
            .iter()
            .zip(right.children())
            .all(|(left, right)| left.name() == right.name() && same(left, right))
}

/// Whether an element has at least the content of a pattern.
fn contains(pattern: &Element, element: &Element) -> bool {
    (pattern.value().is_none() || pattern.value() == element.value())
        && pattern.children().iter().all(|wanted| {
            element.children().iter().any(|child| child.name() == wanted.name() && contains(wanted, child))
        })
}
