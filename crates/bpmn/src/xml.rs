//! A model document as a tree of elements with line numbers, within limits.
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

use crate::model::ParseError;

/// Largest document, in bytes. The public models have up to 120 kB.
pub(crate) const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Deepest nesting of elements.
pub(crate) const MAX_DEPTH: usize = 64;
/// Most elements in a document, diagram included.
pub(crate) const MAX_ELEMENTS: usize = 200_000;

const BPMN: &str = "http://www.omg.org/spec/BPMN/20100524/MODEL";
const ENGINES: [&str; 2] = ["http://camunda.org/schema/1.0/bpmn", "http://operaton.org/schema/1.0/bpmn"];

/// The namespaces that matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Space {
    /// BPMN model elements; attributes without prefix.
    Bpmn,
    /// Extensions of the engine family.
    Engine,
    /// Anything else: diagrams, other tools.
    Other,
}

/// One element.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Xml {
    pub space: Space,
    pub name: String,
    pub line: u32,
    pub text: String,
    pub children: Vec<Xml>,
    attributes: Vec<(Space, String, String)>,
}

impl Xml {
    /// A BPMN attribute, white space around it cut; empty counts as absent.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.find(Space::Bpmn, name)
    }

    /// An attribute of the engine's namespace.
    pub(crate) fn engine(&self, name: &str) -> Option<&str> {
        self.find(Space::Engine, name)
    }

    /// An engine attribute that is a boolean.
    pub(crate) fn engine_flag(&self, name: &str, default: bool) -> bool {
        self.engine(name).map_or(default, |value| value == "true")
    }

    /// BPMN children with this name.
    pub(crate) fn each<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Xml> + 'a {
        self.children.iter().filter(move |child| child.space == Space::Bpmn && child.name == name)
    }

    /// First BPMN child with this name.
    pub(crate) fn child(&self, name: &str) -> Option<&Xml> {
        self.children.iter().find(|child| child.space == Space::Bpmn && child.name == name)
    }

    /// Engine elements with this name among the extension elements.
    pub(crate) fn extensions<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Xml> + 'a {
        self.each("extensionElements").flat_map(move |extension| extension.engine_children(name))
    }

    /// Engine children with this name.
    pub(crate) fn engine_children<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Xml> + 'a {
        self.children.iter().filter(move |child| child.space == Space::Engine && child.name == name)
    }

    /// The id attribute, or the tag where there is none, for messages.
    pub(crate) fn label(&self) -> String {
        self.attribute("id").map_or_else(|| format!("<{}>", self.name), str::to_owned)
    }

    /// Text without white space around it; `None` when nothing is left.
    pub(crate) fn trimmed(&self) -> Option<&str> {
        Some(self.text.trim()).filter(|text| !text.is_empty())
    }

    fn find(&self, space: Space, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(s, n, _)| *s == space && n == name);
        found.map(|(_, _, value)| value.trim()).filter(|value| !value.is_empty())
    }
}

/// Reads a document.
pub(crate) fn read(text: &str) -> Result<Xml, ParseError> {
    if text.len() > MAX_BYTES {
        return Err(ParseError {
            line: 1,
            message: format!("the document is larger than {MAX_BYTES} bytes"),
        });
    }
    let mut reader = NsReader::from_str(text);
    let mut lines = Lines { text, line: 1, at: 0 };
    let mut open: Vec<Xml> = Vec::new();
    let mut elements = 0;
    loop {
        let event = reader.read_event();
        let line = lines.at(usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX));
        let fail = |message: String| ParseError { line, message };
        match event.map_err(|error| fail(format!("not well-formed XML: {error}")))? {
            Event::Start(start) => {
                elements += 1;
                if elements > MAX_ELEMENTS {
                    return Err(fail(format!("more than {MAX_ELEMENTS} elements")));
                }
                if open.len() >= MAX_DEPTH {
                    return Err(fail(format!("elements are nested deeper than {MAX_DEPTH}")));
                }
                open.push(element(&reader, &start, line)?);
            }
            Event::Empty(start) => {
                elements += 1;
                if elements > MAX_ELEMENTS {
                    return Err(fail(format!("more than {MAX_ELEMENTS} elements")));
                }
                let empty = element(&reader, &start, line)?;
                match open.last_mut() {
                    Some(parent) => parent.children.push(empty),
                    None => return Ok(empty),
                }
            }
            Event::End(_) => {
                if let Some(done) = open.pop() {
                    match open.last_mut() {
                        Some(parent) => parent.children.push(done),
                        None => return Ok(done),
                    }
                }
            }
            Event::Text(piece) => append(&mut open, &piece),
            Event::CData(piece) => append(&mut open, &piece),
            Event::GeneralRef(reference) => {
                let character = match reference.resolve_char_ref() {
                    Ok(Some(character)) => character,
                    Ok(None) => match &*reference {
                        "lt" => '<',
                        "gt" => '>',
                        "amp" => '&',
                        "quot" => '"',
                        "apos" => '\'',
                        _ => return Err(fail("unknown entity".to_owned())),
                    },
                    Err(error) => return Err(fail(format!("bad character reference: {error}"))),
                };
                append(&mut open, character.encode_utf8(&mut [0; 4]));
            }
            // A DTD can define entities; BPMN needs none.
            Event::DocType(_) => return Err(fail("a document type declaration is not allowed".to_owned())),
            Event::Eof => return Err(fail("the document ends too early".to_owned())),
            _ => {}
        }
    }
}

fn append(open: &mut [Xml], piece: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(piece);
    }
}

fn space(result: &ResolveResult<'_>, unbound: Space) -> Space {
    match result {
        ResolveResult::Bound(namespace) if namespace.as_ref() == BPMN => Space::Bpmn,
        ResolveResult::Bound(namespace) if ENGINES.contains(&namespace.as_ref()) => Space::Engine,
        ResolveResult::Unbound => unbound,
        _ => Space::Other,
    }
}

fn element(reader: &NsReader<&[u8]>, start: &BytesStart<'_>, line: u32) -> Result<Xml, ParseError> {
    let fail = |message: String| ParseError { line, message };
    let (namespace, name) = reader.resolver().resolve_element(start.name());
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| fail(format!("bad attribute: {error}")))?;
        let (namespace, local) = reader.resolver().resolve_attribute(attribute.key);
        let value = attribute
            .normalized_value(XmlVersion::Explicit1_0)
            .map_err(|error| fail(format!("bad attribute value: {error}")))?;
        attributes.push((space(&namespace, Space::Bpmn), local.as_ref().to_owned(), value.into_owned()));
    }
    Ok(Xml {
        space: space(&namespace, Space::Other),
        name: name.as_ref().to_owned(),
        line,
        text: String::new(),
        children: Vec::new(),
        attributes,
    })
}

/// Turns growing byte positions into line numbers.
struct Lines<'a> {
    text: &'a str,
    line: u32,
    at: usize,
}

impl Lines<'_> {
    fn at(&mut self, position: usize) -> u32 {
        let position = position.min(self.text.len());
        if position > self.at {
            let passed = &self.text.as_bytes()[self.at..position];
            let breaks = passed.iter().filter(|byte| **byte == b'\n').count();
            self.line = self.line.saturating_add(u32::try_from(breaks).unwrap_or(u32::MAX));
            self.at = position;
        }
        self.line
    }
}
