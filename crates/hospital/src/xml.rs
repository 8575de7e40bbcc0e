//! XML as a tree of elements with their namespaces, within limits and without a DTD.
//!
//! Without a document type declaration there are no entities but the five of XML itself, so neither
//! external entities nor expansion can happen.
use quick_xml::{
    XmlVersion,
    events::{BytesStart, Event},
    name::{QName, ResolveResult},
    reader::NsReader,
};

use crate::failure::Reason;

/// Largest document, in bytes.
pub const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Deepest nesting of elements.
pub const MAX_DEPTH: usize = 64;
/// Most elements in a document.
pub const MAX_ELEMENTS: usize = 500_000;
/// Most attributes of one element.
const MAX_ATTRIBUTES: usize = 64;

/// Namespace of `xsi:type`.
pub const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// One element.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Element {
    /// Namespace; empty where there is none.
    pub space: String,
    /// Name without prefix.
    pub name: String,
    /// Text directly in it, comments left out.
    pub text: String,
    /// Elements directly in it.
    pub children: Vec<Element>,
    /// Namespace and name of `xsi:type`.
    pub kind: Option<(String, String)>,
    attributes: Vec<(String, String, String)>,
}

impl Element {
    /// An attribute without namespace.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(space, found, _)| space.is_empty() && found == name)
            .map(|(_, _, value)| value.as_str())
    }

    /// As [`Element::attribute`]; empty counts as absent.
    pub fn filled(&self, name: &str) -> Option<String> {
        self.attribute(name).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    /// True for an element of this namespace and name.
    pub fn is(&self, space: &str, name: &str) -> bool {
        self.space == space && self.name == name
    }

    /// Children with this name in the namespace of this element.
    pub fn each<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> + 'a {
        self.children.iter().filter(move |child| child.name == name && child.space == self.space)
    }

    /// First child with this name in the namespace of this element.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name && child.space == self.space)
    }

    /// First child of this namespace and name.
    pub fn child_in(&self, space: &str, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.is(space, name))
    }

    /// Down a path of first children, all in the namespace of this element.
    pub fn at(&self, path: &[&str]) -> Option<&Element> {
        path.iter().try_fold(self, |element, name| element.child(name))
    }

    /// Text without white space around it; `None` when nothing is left.
    pub fn trimmed(&self) -> Option<String> {
        Some(self.text.trim()).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// Number of elements of this namespace and name in the whole tree.
    pub fn count(&self, space: &str, name: &str) -> usize {
        usize::from(self.is(space, name))
            + self.children.iter().map(|child| child.count(space, name)).sum::<usize>()
    }
}

/// Reads a document.
///
/// # Errors
/// [`Reason::DtdForbidden`], [`Reason::TooLarge`], [`Reason::Charset`] (we take UTF-8 only) or
/// [`Reason::Malformed`].
pub fn read(bytes: &[u8]) -> Result<Element, Reason> {
    if bytes.len() > MAX_BYTES {
        return Err(Reason::TooLarge("XML document"));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|_| Reason::Charset)?;
    let mut reader = NsReader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    let mut elements = 0;
    loop {
        let event = reader.read_event().map_err(|_| Reason::Malformed("XML"))?;
        match event {
            Event::Start(start) => {
                elements += 1;
                if root.is_some() {
                    return Err(Reason::Malformed("XML after the root element"));
                }
                if elements > MAX_ELEMENTS || open.len() >= MAX_DEPTH {
                    return Err(Reason::TooLarge("XML elements"));
                }
                open.push(element(&reader, &start)?);
            }
            Event::Empty(start) => {
                elements += 1;
                if elements > MAX_ELEMENTS || open.len() >= MAX_DEPTH {
                    return Err(Reason::TooLarge("XML elements"));
                }
                let empty = element(&reader, &start)?;
                close(empty, &mut open, &mut root)?;
            }
            Event::End(_) => {
                let done = open.pop().ok_or(Reason::Malformed("XML"))?;
                close(done, &mut open, &mut root)?;
            }
            Event::Text(piece) => append(&mut open, &piece)?,
            Event::CData(piece) => append(&mut open, &piece)?,
            Event::GeneralRef(reference) => {
                let character = match reference.resolve_char_ref() {
                    Ok(Some(character)) => character,
                    Ok(None) => match &*reference {
                        "lt" => '<',
                        "gt" => '>',
                        "amp" => '&',
                        "quot" => '"',
                        "apos" => '\'',
                        _ => return Err(Reason::Malformed("XML entity")),
                    },
                    Err(_) => return Err(Reason::Malformed("XML character reference")),
                };
                append(&mut open, character.encode_utf8(&mut [0; 4]))?;
            }
            Event::DocType(_) => return Err(Reason::DtdForbidden),
            Event::Decl(declaration) => {
                if let Some(Ok(encoding)) = declaration.encoding()
                    && !encoding.eq_ignore_ascii_case("utf-8")
                    && !encoding.eq_ignore_ascii_case("us-ascii")
                {
                    return Err(Reason::Charset);
                }
            }
            Event::Eof => {
                return if open.is_empty() {
                    root.ok_or(Reason::Malformed("XML"))
                } else {
                    Err(Reason::Malformed("XML ends too early"))
                };
            }
            Event::Comment(_) | Event::PI(_) => {}
        }
    }
}

fn close(done: Element, open: &mut [Element], root: &mut Option<Element>) -> Result<(), Reason> {
    match open.last_mut() {
        Some(parent) => parent.children.push(done),
        None if root.is_none() => *root = Some(done),
        None => return Err(Reason::Malformed("XML after the root element")),
    }
    Ok(())
}

fn append(open: &mut [Element], piece: &str) -> Result<(), Reason> {
    match open.last_mut() {
        Some(element) => element.text.push_str(piece),
        None if piece.trim().is_empty() => {}
        None => return Err(Reason::Malformed("text outside the root element")),
    }
    Ok(())
}

fn space(result: &ResolveResult<'_>) -> Result<String, Reason> {
    match result {
        ResolveResult::Bound(namespace) => Ok(namespace.as_ref().to_owned()),
        ResolveResult::Unbound => Ok(String::new()),
        ResolveResult::Unknown(_) => Err(Reason::Malformed("XML prefix without namespace")),
    }
}

fn element(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Result<Element, Reason> {
    let (namespace, name) = reader.resolver().resolve_element(start.name());
    let mut element =
        Element { space: space(&namespace)?, name: name.as_ref().to_owned(), ..Element::default() };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|_| Reason::Malformed("XML attribute"))?;
        if attribute.key.as_namespace_binding().is_some() {
            continue;
        }
        let (namespace, local) = reader.resolver().resolve_attribute(attribute.key);
        let value = attribute
            .normalized_value(XmlVersion::Explicit1_0)
            .map_err(|_| Reason::Malformed("XML attribute value"))?
            .into_owned();
        let namespace = space(&namespace)?;
        if namespace == XSI && local.as_ref() == "type" {
            let (kind_space, kind) = reader.resolver().resolve_element(QName(value.trim()));
            element.kind = Some((space(&kind_space)?, kind.as_ref().to_owned()));
        }
        if element.attributes.len() >= MAX_ATTRIBUTES {
            return Err(Reason::TooLarge("XML attributes"));
        }
        element.attributes.push((namespace, local.as_ref().to_owned(), value));
    }
    Ok(element)
}

/// Escapes text for content and attribute values. Characters that XML cannot hold become U+FFFD.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' | '\n' | '\r' => out.push_str(&format!("&#{};", u32::from(character))),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}
