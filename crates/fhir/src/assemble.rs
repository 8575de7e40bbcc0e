//! Puts the children of one element together as both readers need it.

use std::borrow::Cow;

use crate::element::Element;
use crate::error::ParseError;
use crate::limits::Limits;
use crate::primitive::Primitive;
use crate::types::{Member, TypeDefinition};

/// Collects the children of one element in any order and gives them in the order of the type.
pub(crate) struct Children {
    definition: &'static TypeDefinition,
    list: Vec<Element>,
    last: u16,
    in_order: bool,
}

impl Children {
    pub(crate) fn new(definition: &'static TypeDefinition) -> Children {
        Children { definition, list: Vec::new(), last: 0, in_order: true }
    }

    /// Adds a child unless it is empty. Of an element that must not repeat the last one stays, as
    /// in the public implementation.
    pub(crate) fn push(&mut self, member: &Member, child: Element) {
        if child.is_empty() {
            return;
        }
        if member.order < self.last {
            self.in_order = false;
        } else if member.order == self.last
            && !member.repeats
            && self.in_order
            && let Some(last) = self.list.last_mut()
        {
            *last = child;
            return;
        }
        self.last = member.order;
        self.list.push(child);
    }

    /// The children in order.
    pub(crate) fn finish(mut self) -> Vec<Element> {
        if !self.in_order {
            let key = |child: &Element| self.definition.member(child.name()).map(|m| (m.order, m.repeats));
            self.list.sort_by_key(key);
            let mut kept: Vec<Element> = Vec::with_capacity(self.list.len());
            for child in self.list {
                let place = key(&child);
                match kept.last_mut() {
                    Some(last) if key(last) == place && place.is_some_and(|(_, repeats)| !repeats) => {
                        *last = child;
                    }
                    _ => kept.push(child),
                }
            }
            return kept;
        }
        self.list
    }

    /// Whether the finished children of an extension violate ext-1: a value beside extensions.
    pub(crate) fn is_ambiguous_extension(&self) -> bool {
        self.definition.path() == "Extension"
            && self.list.iter().any(|child| child.name() == "extension")
            && self.list.iter().any(|child| child.name().starts_with("value"))
    }
}

/// Counts what has been read and keeps the path for error messages.
pub(crate) struct Position {
    path: Vec<&'static str>,
    max_depth: usize,
}

impl Position {
    pub(crate) fn new(limits: &Limits) -> Position {
        Position { path: Vec::new(), max_depth: limits.max_depth }
    }

    pub(crate) fn enter(&mut self, name: &'static str) -> Result<(), ParseError> {
        if self.path.len() >= self.max_depth {
            return Err(ParseError::LimitExceeded { what: "levels", allowed: self.max_depth });
        }
        self.path.push(name);
        Ok(())
    }

    pub(crate) fn leave(&mut self) {
        self.path.pop();
    }

    /// The path of the element being read, for example `Task.input.type`.
    pub(crate) fn path(&self) -> String {
        self.path.join(".")
    }

    pub(crate) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path()) }
    }
}

impl Member {
    /// The normal form of a text for this member; `None` if it stands for no value.
    pub(crate) fn accept(
        &self,
        primitive: Primitive,
        text: Cow<'_, str>,
        position: &Position,
    ) -> Result<Option<Box<str>>, ParseError> {
        let invalid =
            || ParseError::InvalidValue { path: position.path_of(self.name), expected: primitive.code() };
        let text = primitive.accept(text).map_err(|_| invalid())?;
        match (self.codes, &text) {
            (Some(codes), Some(code)) if codes.binary_search(&&**code).is_err() => Err(invalid()),
            _ => Ok(text),
        }
    }
}

/// The children of an element that its type knows, in the order of the type: what a writer writes.
pub(crate) fn ordered<'a>(
    definition: &'static TypeDefinition,
    element: &'a Element,
) -> Vec<(&'static Member, &'a Element)> {
    let mut list: Vec<(&'static Member, &Element)> = Vec::with_capacity(element.children().len());
    let mut in_order = true;
    for child in element.children() {
        if let Some(member) = definition.member(child.name()) {
            in_order &=
                list.last().is_none_or(|(last, _)| (last.order, last.name) <= (member.order, member.name));
            list.push((member, child));
        }
    }
    if !in_order {
        // Stable: elements of one name keep their order.
        list.sort_by_key(|(member, _)| (member.order, member.name));
    }
    list
}
