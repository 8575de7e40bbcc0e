//! From JSON to the element tree.

use std::borrow::Cow;

use super::syntax::{Value, document};
use crate::assemble::{Children, Position};
use crate::element::Element;
use crate::error::ParseError;
use crate::limits::Limits;
use crate::primitive::Primitive;
use crate::resource::Resource;
use crate::types::{self, Content, Member, TypeDefinition};

type Members<'a> = Vec<(Cow<'a, str>, Value<'a>)>;

pub(crate) fn read_resource(bytes: &[u8], limits: &Limits) -> Result<Resource, ParseError> {
    let mut reader = Reader { position: Position::new(limits) };
    let Value::Object(members) = value(bytes, limits)? else {
        return Err(ParseError::NoResource { path: "the document".to_owned() });
    };
    let definition = reader.resource_type(&members)?;
    let element = reader.resource(definition.path(), definition, members)?;
    // `resource` always sets the type, so there is one.
    Resource::from_element(element).ok_or_else(|| ParseError::NoResource { path: String::new() })
}

pub(crate) fn read_fragment(json: &[u8], type_path: &str, limits: &Limits) -> Result<Element, ParseError> {
    let mut reader = Reader { position: Position::new(limits) };
    let definition =
        types::definition(type_path).ok_or_else(|| ParseError::UnknownType { path: type_path.to_owned() })?;
    let Value::Object(members) = value(json, limits)? else {
        return Err(ParseError::Syntax { offset: 0, reason: "an object expected" });
    };
    reader.position.enter(definition.path())?;
    let name = definition.path().rsplit('.').next().unwrap_or(definition.path());
    let mut element = Element::named(Cow::Borrowed(name));
    reader.members(definition, members, &mut element)?;
    Ok(element)
}

fn value<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Value<'a>, ParseError> {
    if bytes.len() > limits.max_bytes {
        return Err(ParseError::LimitExceeded { what: "bytes", allowed: limits.max_bytes });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| ParseError::Encoding)?;
    // An element is at most an array and an object.
    document(text, limits.max_depth.saturating_mul(2), limits.max_elements)
}

struct Reader {
    position: Position,
}

impl Reader {
    fn resource_type(&self, members: &Members<'_>) -> Result<&'static TypeDefinition, ParseError> {
        match members.iter().find(|(name, _)| name == "resourceType") {
            Some((_, Value::String(name))) => {
                types::resource(name).ok_or_else(|| ParseError::UnknownType { path: self.position.path() })
            }
            _ => Err(ParseError::NoResource { path: self.position.path() }),
        }
    }

    fn resource(
        &mut self,
        name: &'static str,
        definition: &'static TypeDefinition,
        members: Members<'_>,
    ) -> Result<Element, ParseError> {
        self.position.enter(name)?;
        let mut element = Element::holding(Cow::Borrowed(name), Cow::Borrowed(definition.path()));
        self.members(definition, members, &mut element)?;
        self.position.leave();
        Ok(element)
    }

    /// Reads the members of one object into an element of the given type.
    fn members(
        &mut self,
        definition: &'static TypeDefinition,
        mut members: Members<'_>,
        element: &mut Element,
    ) -> Result<(), ParseError> {
        let mut children = Children::new(definition);
        let companions = members.iter().any(|(name, _)| name.starts_with('_'));
        for index in 0..members.len() {
            let (name, value) = &mut members[index];
            let value = std::mem::replace(value, Value::Null);
            if let Some(name) = name.strip_prefix('_') {
                // Taken already if the primitive's own member came first.
                let Some(member) = definition.member(name) else { continue };
                if let Content::Primitive(primitive) = member.content
                    && !matches!(value, Value::Null)
                {
                    let own = members.iter_mut().find(|(other, _)| *other == member.name);
                    let own = own.map_or(Value::Null, |(_, own)| std::mem::replace(own, Value::Null));
                    self.primitives(member, primitive, own, value, &mut children)?;
                }
                continue;
            }
            let Some(member) = definition.member(name) else { continue };
            match member.content {
                Content::Primitive(_) if member.attribute && member.name == "id" => {
                    if let Some(id) = self.text(member, Primitive::String, value)? {
                        element.set_id_attr(Some(&id));
                    }
                }
                Content::Primitive(primitive) => {
                    let companion =
                        if companions { take_companion(&mut members, member.name) } else { Value::Null };
                    self.primitives(member, primitive, value, companion, &mut children)?;
                }
                Content::Complex(_) | Content::Resource => match value {
                    Value::Array(items) => {
                        for item in items {
                            self.complex(member, item, &mut children)?;
                        }
                    }
                    value => self.complex(member, value, &mut children)?,
                },
            }
        }
        if children.is_ambiguous_extension() {
            return Err(ParseError::AmbiguousExtension { path: self.position.path() });
        }
        *element.children_mut() = children.finish();
        Ok(())
    }

    fn complex(
        &mut self,
        member: &'static Member,
        value: Value<'_>,
        children: &mut Children,
    ) -> Result<(), ParseError> {
        // Anything but an object stands for nothing here and is dropped like an unknown member.
        let Value::Object(members) = value else { return Ok(()) };
        match member.content {
            Content::Resource => {
                let definition = self.resource_type(&members)?;
                let element = self.resource(member.name, definition, members)?;
                children.push(member, element);
            }
            Content::Complex(index) => {
                let mut element = Element::named(Cow::Borrowed(member.name));
                self.position.enter(member.name)?;
                self.members(types::by_index(index), members, &mut element)?;
                self.position.leave();
                children.push(member, element);
            }
            Content::Primitive(_) => {}
        }
        Ok(())
    }

    /// Reads a primitive's member together with its underscore companion, both single or both arrays.
    fn primitives(
        &mut self,
        member: &'static Member,
        primitive: Primitive,
        value: Value<'_>,
        companion: Value<'_>,
        children: &mut Children,
    ) -> Result<(), ParseError> {
        match (value, companion) {
            (Value::Array(values), companion) => {
                let mut companions = items(companion).into_iter();
                for value in values {
                    let companion = companions.next().unwrap_or(Value::Null);
                    self.primitive(member, primitive, value, companion, children)?;
                }
                for companion in companions {
                    self.primitive(member, primitive, Value::Null, companion, children)?;
                }
                Ok(())
            }
            (value, Value::Array(companions)) => {
                let mut value = value;
                for companion in companions {
                    let value = std::mem::replace(&mut value, Value::Null);
                    self.primitive(member, primitive, value, companion, children)?;
                }
                Ok(())
            }
            (value, companion) => self.primitive(member, primitive, value, companion, children),
        }
    }

    fn primitive(
        &mut self,
        member: &'static Member,
        primitive: Primitive,
        value: Value<'_>,
        companion: Value<'_>,
        children: &mut Children,
    ) -> Result<(), ParseError> {
        let mut element = Element::named(Cow::Borrowed(member.name));
        if let Some(text) = self.text(member, primitive, value)? {
            element.set_boxed_value(text);
        }
        if let Value::Object(members) = companion {
            self.position.enter(member.name)?;
            self.members(types::element(), members, &mut element)?;
            self.position.leave();
        }
        children.push(member, element);
        Ok(())
    }

    /// The normal form of a primitive; text, number and boolean are taken for one another, as the
    /// public implementation does.
    fn text(
        &self,
        member: &'static Member,
        primitive: Primitive,
        value: Value<'_>,
    ) -> Result<Option<Box<str>>, ParseError> {
        let text = match value {
            Value::String(text) => text,
            Value::Number(text) => Cow::Borrowed(text),
            Value::Boolean(true) => Cow::Borrowed("true"),
            Value::Boolean(false) => Cow::Borrowed("false"),
            Value::Null | Value::Array(_) | Value::Object(_) => return Ok(None),
        };
        member.accept(primitive, text, &self.position)
    }
}

fn items(value: Value<'_>) -> Vec<Value<'_>> {
    match value {
        Value::Array(items) => items,
        Value::Null => Vec::new(),
        single => vec![single],
    }
}

fn take_companion<'a>(members: &mut Members<'a>, name: &str) -> Value<'a> {
    members
        .iter_mut()
        .find(|(other, _)| other.strip_prefix('_') == Some(name))
        .map_or(Value::Null, |(_, companion)| std::mem::replace(companion, Value::Null))
}
