//! The R4 type table: which members a type has, in which order, how often, of which types.
//!
//! Generated from the definitions of FHIR R4 4.0.1 (`crates/fhir/table/README.md`), compiled in
//! compressed, unpacked at first use, type by type. A *type path* is a resource or data type (`Task`,
//! `Coding`) or a backbone element with members of its own (`Task.input`, `Timing.repeat`).

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{LazyLock, OnceLock};

use crate::primitive::Primitive;

mod load;
#[cfg(test)]
mod tests;

static TABLE: LazyLock<Table> = LazyLock::new(load::table);

/// What kind of type this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `Task`, `Bundle`, …
    Resource,
    /// `Coding`, `Reference`, …
    Complex,
    /// Members of one element, without a name of their own: `Task.input`.
    Backbone,
    /// `string`, `dateTime`, …
    Primitive,
}

/// One type and its members.
#[derive(Debug)]
pub struct TypeDefinition {
    path: &'static str,
    kind: Kind,
    is_abstract: bool,
    /// The table from the first line behind the type's own.
    text: &'static str,
    parts: OnceLock<Parts>,
}

/// What a type says, once someone has asked.
#[derive(Debug)]
struct Parts {
    elements: Vec<ElementDefinition>,
    /// Sorted by name, choice elements with one entry per type.
    members: Vec<Member>,
}

/// One element of a type as the definitions state it.
#[derive(Debug)]
pub struct ElementDefinition {
    /// Name as in the definitions: a choice element ends in `[x]`.
    pub name: &'static str,
    /// Least number of occurrences.
    pub min: u32,
    /// Most occurrences, `None` for no limit.
    pub max: Option<u32>,
    /// An attribute in XML (`id` of an element, `url` of an extension).
    pub attribute: bool,
    /// `isModifier`
    pub modifier: bool,
    /// `isSummary`
    pub summary: bool,
    /// The types it may have; for a backbone element one type whose code is its path.
    pub types: Vec<TypeReference>,
    /// Strength and canonical URL (without version) of the bound value set.
    pub binding: Option<(&'static str, &'static str)>,
}

/// A type that an element may have.
#[derive(Debug)]
pub struct TypeReference {
    /// Type path.
    pub code: &'static str,
    /// For `Reference` and `canonical`: the resource types it may point to; empty for any.
    pub targets: Vec<&'static str>,
}

/// What a member of a type holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A primitive value.
    Primitive(Primitive),
    /// Members of the given type.
    Complex(TypeIndex),
    /// A whole resource of any type.
    Resource,
}

/// Index of a type in the table; see [`by_index`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeIndex(u16);

/// A name that may stand in an instance: for a choice element one of `valueString`, `valueCoding`, ….
#[derive(Debug)]
pub struct Member {
    /// Name in the instance.
    pub name: &'static str,
    /// Position in [`TypeDefinition::elements`], and so the order in which codecs write.
    pub order: u16,
    /// What it holds.
    pub content: Content,
    /// Whether it may occur more than once (an array in JSON).
    pub repeats: bool,
    /// Whether it is an attribute in XML.
    pub attribute: bool,
    /// The only codes allowed, for a code whose value set is closed and enumerated.
    pub(crate) codes: Option<&'static [&'static str]>,
}

struct Table {
    types: Vec<TypeDefinition>,
    by_path: HashMap<&'static str, TypeIndex>,
    /// By canonical URL without version.
    value_sets: HashMap<&'static str, Closed>,
    /// All names of types and members.
    names: HashSet<&'static str>,
    /// Names of choice elements without `[x]`.
    choices: HashSet<&'static str>,
    element: TypeIndex,
}

/// A closed value set that is enumerated.
struct Closed {
    /// The codes with a blank between.
    text: &'static str,
    codes: OnceLock<Vec<&'static str>>,
}

impl Closed {
    /// Sorted.
    fn codes(&'static self) -> &'static [&'static str] {
        self.codes.get_or_init(|| {
            let mut codes: Vec<_> = self.text.split(' ').collect();
            codes.sort_unstable();
            codes
        })
    }
}

impl TypeDefinition {
    /// The type path.
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// Resource, data type, backbone element or primitive.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// `Resource`, `DomainResource`, `Element`, `BackboneElement`: no instance has such a type.
    pub fn is_abstract(&self) -> bool {
        self.is_abstract
    }

    /// The elements in the order of the definitions, attributes of XML before all others.
    pub fn elements(&self) -> &[ElementDefinition] {
        &self.parts().elements
    }

    fn parts(&self) -> &Parts {
        self.parts.get_or_init(|| load::parts(self.text, &TABLE))
    }

    /// The member with this name in an instance, for example `valueString`.
    pub fn member(&self, name: &str) -> Option<&Member> {
        let members = &self.parts().members;
        members.binary_search_by(|member| member.name.cmp(name)).ok().map(|index| &members[index])
    }

    /// The element behind a member's name.
    pub fn element(&self, name: &str) -> Option<&ElementDefinition> {
        self.member(name).map(|member| &self.parts().elements[usize::from(member.order)])
    }
}

/// The type with this path.
pub fn definition(path: &str) -> Option<&'static TypeDefinition> {
    TABLE.by_path.get(path).map(|index| by_index(*index))
}

/// The type with this index.
pub fn by_index(index: TypeIndex) -> &'static TypeDefinition {
    &TABLE.types[usize::from(index.0)]
}

/// The type `Element`: what a primitive has beside its value, an id and extensions.
pub fn element() -> &'static TypeDefinition {
    by_index(TABLE.element)
}

/// The concrete resource type of this name.
pub fn resource(name: &str) -> Option<&'static TypeDefinition> {
    definition(name).filter(|definition| definition.kind == Kind::Resource && !definition.is_abstract)
}

/// Whether FHIR R4 has a concrete resource type of this name.
pub fn is_resource(name: &str) -> bool {
    resource(name).is_some()
}

/// All types of the table.
pub fn all() -> impl Iterator<Item = &'static TypeDefinition> {
    TABLE.types.iter()
}

/// Whether a choice element has this name, without `[x]`.
pub(crate) fn is_choice(name: &str) -> bool {
    TABLE.choices.contains(name)
}

/// A name without allocation if the table knows it.
pub(crate) fn name(name: &str) -> Cow<'static, str> {
    match TABLE.names.get(name) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(name.to_owned()),
    }
}
