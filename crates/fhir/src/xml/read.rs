//! From XML to the element tree.
//!
//! As in the public implementation only local names count: elements of a foreign namespace, or of
//! none, are read like FHIR's own, so that both sides see the same resource in the same bytes.

use std::borrow::Cow;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

use crate::assemble::{Children, Position};
use crate::element::Element;
use crate::error::ParseError;
use crate::limits::{Limits, MAX_ATTRIBUTES};
use crate::primitive::Primitive;
use crate::resource::Resource;
use crate::types::{self, Content, Member, TypeDefinition};

pub(crate) fn read_resource(bytes: &[u8], limits: &Limits) -> Result<Resource, ParseError> {
    if bytes.len() > limits.max_bytes {
        return Err(ParseError::LimitExceeded { what: "bytes", allowed: limits.max_bytes });
    }
    let source = decode(bytes)?;
    let mut reader = NsReader::from_str(&source);
    reader.config_mut().expand_empty_elements = true;
    let mut reader = Reader {
        reader,
        source: &source,
        start: 0,
        elements: 0,
        max_elements: limits.max_elements,
        max_depth: limits.max_depth,
        position: Position::new(limits),
        is_fhir: false,
    };
    let root = loop {
        match reader.next()? {
            Token::Start(start) => break start,
            Token::Blank => {}
            Token::Text | Token::End | Token::Eof => return Err(reader.error("the root element expected")),
        }
    };
    let resource = reader.resource(None, &root)?;
    loop {
        match reader.next()? {
            Token::Eof => break,
            Token::Blank => {}
            Token::Start(_) | Token::End | Token::Text => {
                return Err(reader.error("text after the root element"));
            }
        }
    }
    // `resource` always sets the type, so there is one.
    Resource::from_element(resource).ok_or_else(|| ParseError::NoResource { path: String::new() })
}

/// What matters of an XML event.
enum Token<'a> {
    Start(BytesStart<'a>),
    End,
    /// Text other than white space, which FHIR elements do not have.
    Text,
    /// White space, comment, processing instruction.
    Blank,
    Eof,
}

/// The attributes that FHIR knows.
#[derive(Default)]
struct Attributes<'a> {
    id: Option<Cow<'a, str>>,
    value: Option<Cow<'a, str>>,
    url: Option<Cow<'a, str>>,
}

struct Reader<'a> {
    reader: NsReader<&'a [u8]>,
    source: &'a str,
    /// Where the last event started.
    start: usize,
    elements: usize,
    max_elements: usize,
    max_depth: usize,
    position: Position,
    /// Whether the last start tag is in FHIR's namespace.
    is_fhir: bool,
}

impl<'a> Reader<'a> {
    fn error(&self, reason: &'static str) -> ParseError {
        ParseError::Syntax { offset: self.start, reason }
    }

    fn offset(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(self.source.len()).min(self.source.len())
    }

    fn next(&mut self) -> Result<Token<'a>, ParseError> {
        self.start = self.offset();
        let (namespace, event) = match self.reader.read_resolved_event() {
            Ok((ResolveResult::Unknown(_), _)) => (false, Event::Eof),
            Ok((ResolveResult::Bound(namespace), event)) => {
                self.is_fhir = namespace.as_ref() == super::NAMESPACE;
                (true, event)
            }
            Ok((_, event)) => (true, event),
            Err(_) => return Err(self.error("broken XML")),
        };
        if !namespace {
            return Err(self.error("an undeclared namespace prefix"));
        }
        Ok(match event {
            Event::Start(start) | Event::Empty(start) => {
                self.elements += 1;
                if self.elements > self.max_elements {
                    return Err(ParseError::LimitExceeded { what: "elements", allowed: self.max_elements });
                }
                Token::Start(start)
            }
            Event::End(_) => Token::End,
            Event::Text(text) if text.trim_ascii().is_empty() => Token::Blank,
            Event::Text(_) | Event::CData(_) => Token::Text,
            Event::GeneralRef(reference) => {
                let known = reference.is_char_ref() && reference.resolve_char_ref().is_ok()
                    || quick_xml::escape::resolve_xml_entity(&reference).is_some();
                if !known {
                    return Err(self.error("an unknown entity"));
                }
                Token::Text
            }
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) => Token::Blank,
            Event::DocType(_) => return Err(ParseError::DocumentType),
            Event::Eof => Token::Eof,
        })
    }

    /// Reads the attributes of a start tag and keeps those that FHIR knows; none of them has a prefix.
    fn attributes<'s>(&self, start: &'s BytesStart<'_>) -> Result<Attributes<'s>, ParseError> {
        let mut known = Attributes::default();
        for (index, attribute) in start.attributes().enumerate() {
            if index >= MAX_ATTRIBUTES {
                return Err(ParseError::LimitExceeded { what: "attributes", allowed: MAX_ATTRIBUTES });
            }
            let attribute = attribute.map_err(|_| self.error("broken attributes"))?;
            if attribute.value.contains('<') {
                return Err(self.error("'<' in an attribute"));
            }
            let slot = match attribute.key.as_ref() {
                "id" => &mut known.id,
                "value" => &mut known.value,
                "url" => &mut known.url,
                _ => continue,
            };
            let value = attribute
                .normalized_value(XmlVersion::Explicit1_0)
                .map_err(|_| self.error("an unknown entity in an attribute"))?;
            *slot = Some(value);
        }
        Ok(known)
    }

    /// Reads a resource whose start has been read; `member` is what holds it, `None` for the root.
    fn resource(
        &mut self,
        member: Option<&'static Member>,
        start: &BytesStart<'_>,
    ) -> Result<Element, ParseError> {
        let definition = types::resource(start.local_name().as_ref())
            .ok_or_else(|| ParseError::UnknownType { path: self.position.path() })?;
        let name = member.map_or(definition.path(), |member| member.name);
        let mut element = Element::holding(Cow::Borrowed(name), Cow::Borrowed(definition.path()));
        self.attributes(start)?;
        self.position.enter(name)?;
        self.members(definition, Children::new(definition), &mut element)?;
        self.position.leave();
        Ok(element)
    }

    /// Reads up to the end of the element whose start has been read.
    fn members(
        &mut self,
        definition: &'static TypeDefinition,
        mut children: Children,
        element: &mut Element,
    ) -> Result<(), ParseError> {
        loop {
            let start = match self.next()? {
                Token::Start(start) => start,
                Token::End => break,
                Token::Text | Token::Blank => continue,
                Token::Eof => return Err(self.error("an unfinished element")),
            };
            match definition.member(start.local_name().as_ref()).filter(|member| !member.attribute) {
                Some(member) => self.member(member, &start, &mut children)?,
                None => self.skip(&start)?,
            }
        }
        if children.is_ambiguous_extension() {
            return Err(ParseError::AmbiguousExtension { path: self.position.path() });
        }
        *element.children_mut() = children.finish();
        Ok(())
    }

    fn member(
        &mut self,
        member: &'static Member,
        start: &BytesStart<'_>,
        children: &mut Children,
    ) -> Result<(), ParseError> {
        let mut element = Element::named(Cow::Borrowed(member.name));
        self.position.enter(member.name)?;
        match member.content {
            Content::Primitive(Primitive::Xhtml) => {
                self.position.leave();
                // A narrative that forgets its namespace is one in FHIR's, which has no `div`: refused as
                // the public implementation does.
                if self.is_fhir {
                    let path = self.position.path_of(member.name);
                    return Err(ParseError::InvalidValue { path, expected: "xhtml" });
                }
                if let Some(div) = self.narrative(member, start)? {
                    element.set_boxed_value(div);
                }
                children.push(member, element);
                return Ok(());
            }
            Content::Primitive(primitive) => {
                let attributes = self.attributes(start)?;
                self.set_id(&attributes, &mut element)?;
                self.members(types::element(), Children::new(types::element()), &mut element)?;
                self.position.leave();
                if let Some(value) = attributes.value
                    && let Some(value) = member.accept(primitive, value, &self.position)?
                {
                    element.set_boxed_value(value);
                }
                children.push(member, element);
                return Ok(());
            }
            Content::Complex(index) => {
                let definition = types::by_index(index);
                let attributes = self.attributes(start)?;
                self.set_id(&attributes, &mut element)?;
                let mut inner = Children::new(definition);
                if let Some(text) = attributes.url
                    && let Some(url) = definition.member("url").filter(|url| url.attribute)
                    && let Some(value) = url.accept(Primitive::Uri, text, &self.position)?
                {
                    let mut child = Element::named(Cow::Borrowed(url.name));
                    child.set_boxed_value(value);
                    inner.push(url, child);
                }
                self.members(definition, inner, &mut element)?;
            }
            Content::Resource => {
                self.attributes(start)?;
                let mut held = None;
                loop {
                    match self.next()? {
                        Token::Start(start) if held.is_none() => {
                            held = Some(self.resource(Some(member), &start)?)
                        }
                        Token::Start(_) => return Err(self.error("more than one resource in one element")),
                        Token::End => break,
                        Token::Text | Token::Blank => {}
                        Token::Eof => return Err(self.error("an unfinished element")),
                    }
                }
                element = held.unwrap_or(element);
            }
        }
        self.position.leave();
        children.push(member, element);
        Ok(())
    }

    fn set_id(&self, attributes: &Attributes<'_>, element: &mut Element) -> Result<(), ParseError> {
        if let Some(id) = &attributes.id {
            let invalid =
                |_| ParseError::InvalidValue { path: self.position.path_of("id"), expected: "string" };
            let id = Primitive::String.accept(Cow::Borrowed(id)).map_err(invalid)?;
            element.set_id_attr(id.as_deref());
        }
        Ok(())
    }

    /// Reads a narrative from its source, which starts with the start tag just read.
    fn narrative(
        &mut self,
        member: &'static Member,
        start: &BytesStart<'_>,
    ) -> Result<Option<Box<str>>, ParseError> {
        let from = self.start;
        self.skip(start)?;
        let source = self.source.get(from..self.offset()).unwrap_or_default();
        member.accept(Primitive::Xhtml, Cow::Borrowed(source), &self.position)
    }

    /// Skips the rest of an element.
    fn skip(&mut self, start: &BytesStart<'_>) -> Result<(), ParseError> {
        self.attributes(start)?;
        let mut depth = 1usize;
        while depth > 0 {
            match self.next()? {
                Token::Start(start) => {
                    if depth >= self.max_depth {
                        return Err(ParseError::LimitExceeded { what: "levels", allowed: self.max_depth });
                    }
                    self.attributes(&start)?;
                    depth += 1;
                }
                Token::End => depth -= 1,
                Token::Text | Token::Blank => {}
                Token::Eof => return Err(self.error("an unfinished element")),
            }
        }
        Ok(())
    }
}

/// The document as text without byte order mark. Any spelling of the encodings that XML readers must know is
/// accepted, and Latin-1.
fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, ParseError> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks(2).map(|pair| match pair {
            [first, second] => Ok(unit([*first, *second])),
            _ => Err(ParseError::Encoding),
        });
        let units = units.collect::<Result<Vec<u16>, _>>()?;
        String::from_utf16(&units).map(Cow::Owned).map_err(|_| ParseError::Encoding)
    };
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => return utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => return utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => rest,
        _ => bytes,
    };
    match declared_encoding(text).as_deref() {
        None | Some("utf-8" | "utf8") => {
            std::str::from_utf8(text).map(Cow::Borrowed).map_err(|_| ParseError::Encoding)
        }
        Some("us-ascii" | "ascii") if text.is_ascii() => {
            std::str::from_utf8(text).map(Cow::Borrowed).map_err(|_| ParseError::Encoding)
        }
        Some("iso-8859-1" | "latin1" | "latin-1") => {
            Ok(Cow::Owned(text.iter().map(|byte| char::from(*byte)).collect()))
        }
        Some(_) => Err(ParseError::Encoding),
    }
}

/// The encoding in the XML declaration in lower case.
fn declared_encoding(text: &[u8]) -> Option<String> {
    let declaration = text.strip_prefix(b"<?xml")?;
    let end = declaration.windows(2).position(|pair| pair == b"?>")?;
    let declaration = std::str::from_utf8(&declaration[..end]).ok()?;
    let (_, rest) = declaration.split_once("encoding")?;
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let (name, _) = rest[1..].split_once(quote)?;
    Some(name.to_ascii_lowercase())
}
