//! The generic element tree: one node type for every FHIR element of every type.
//!
//! A node has a name, perhaps a primitive value (always the *lexical* text: numbers never pass
//! through a binary float), perhaps an element id, and children. Extensions are ordinary children
//! named `extension`; `Extension.url` is an ordinary primitive child named `url` although XML writes
//! it as an attribute. A narrative `div` is a primitive whose value is its XHTML source. A node
//! that holds a whole resource (`contained`, `Bundle.entry.resource`) also carries that resource's type.

use std::borrow::Cow;

use crate::resource::Resource;
use crate::types;

/// One FHIR element with everything below it.
#[derive(Clone, PartialEq, Eq)]
pub struct Element {
    name: Cow<'static, str>,
    value: Option<Box<str>>,
    id: Option<Box<str>>,
    resource_type: Option<Cow<'static, str>>,
    children: Vec<Element>,
}

impl Element {
    /// An element without value and children.
    pub fn new(name: &str) -> Element {
        Element::named(types::name(name))
    }

    /// A primitive element with the lexical text `value`.
    pub fn primitive(name: &str, value: &str) -> Element {
        let mut element = Element::new(name);
        element.value = Some(value.into());
        element
    }

    /// The codecs' constructor: the name is already known to the type table.
    pub(crate) fn named(name: Cow<'static, str>) -> Element {
        Element { name, value: None, id: None, resource_type: None, children: Vec::new() }
    }

    /// A node named `name` that holds a resource of type `resource_type`.
    pub(crate) fn holding(name: Cow<'static, str>, resource_type: Cow<'static, str>) -> Element {
        Element { name, value: None, id: None, resource_type: Some(resource_type), children: Vec::new() }
    }

    /// The element's name as in JSON without underscore and in XML without prefix, with the type for
    /// a choice element: `valueString`, not `value`.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn rename(&mut self, name: &str) {
        self.name = types::name(name);
    }

    /// The lexical text of a primitive; the XHTML source for a narrative's `div`.
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// Replaces the lexical text of this primitive.
    pub fn set_value(&mut self, value: Option<&str>) {
        self.value = value.map(Into::into);
    }

    pub(crate) fn set_boxed_value(&mut self, value: Box<str>) {
        self.value = Some(value);
    }

    /// The element id (the XML attribute `id`), which is not `Resource.id`.
    pub fn id_attr(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Replaces the element id.
    pub fn set_id_attr(&mut self, id: Option<&str>) {
        self.id = id.map(Into::into);
    }

    /// The type of the resource this node holds: for `contained`, `Bundle.entry.resource`,
    /// `Parameters.parameter.resource` and for a root.
    pub fn resource_type(&self) -> Option<&str> {
        self.resource_type.as_deref()
    }

    /// The resource nested in this node, as a resource of its own (a copy).
    pub fn resource(&self) -> Option<Resource> {
        self.clone().into_resource()
    }

    /// Turns a node that holds a resource into that resource.
    pub fn into_resource(self) -> Option<Resource> {
        Resource::from_element(self)
    }

    /// All children in document order.
    pub fn children(&self) -> &[Element] {
        &self.children
    }

    /// All children, for change. The order between different names does not matter: the codecs write
    /// in the order of the type table and keep only the order of equal names.
    pub fn children_mut(&mut self) -> &mut Vec<Element> {
        &mut self.children
    }

    /// The first child with exactly this name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The first child with exactly this name, for change.
    pub fn child_mut(&mut self, name: &str) -> Option<&mut Element> {
        self.children.iter_mut().find(|child| child.name == name)
    }

    /// All children with exactly this name.
    pub fn each<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a Element> + use<'a, 'n> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The child of a choice element: `choice("value")` finds `valueString`, `valueCoding`, ….
    pub fn choice(&self, prefix: &str) -> Option<&Element> {
        self.children.iter().find(|child| {
            child
                .name
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_uppercase()))
        })
    }

    /// The first primitive value at a dotted path, for example `requester.identifier.value`.
    pub fn text(&self, path: &str) -> Option<&str> {
        let (name, rest) = split(path);
        self.each(name).find_map(|child| match rest {
            Some(rest) => child.text(rest),
            None => child.value(),
        })
    }

    /// All elements at a dotted path in document order, for example `input.type.coding`.
    pub fn at<'a>(&'a self, path: &str) -> Vec<&'a Element> {
        let mut found = Vec::new();
        self.collect(path, &mut found);
        found
    }

    fn collect<'a>(&'a self, path: &str, found: &mut Vec<&'a Element>) {
        let (name, rest) = split(path);
        for child in self.children.iter().filter(|child| child.name == name) {
            match rest {
                Some(rest) => child.collect(rest, found),
                None => found.push(child),
            }
        }
    }

    /// The first extension with this url.
    pub fn extension(&self, url: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == "extension" && child.extension_url() == Some(url))
    }

    /// All extensions with this url.
    pub fn extensions<'a, 'n>(&'a self, url: &'n str) -> impl Iterator<Item = &'a Element> + use<'a, 'n> {
        self.each("extension").filter(move |extension| extension.extension_url() == Some(url))
    }

    /// The url of an extension node.
    pub fn extension_url(&self) -> Option<&str> {
        self.child("url").and_then(Element::value)
    }

    /// Adds a child at the end.
    pub fn push(&mut self, child: Element) -> &mut Self {
        self.children.push(child);
        self
    }

    /// The same element with one more child.
    pub fn with(mut self, child: Element) -> Self {
        self.children.push(child);
        self
    }

    /// The same element with one more primitive child.
    pub fn with_text(self, name: &str, value: &str) -> Self {
        self.with(Element::primitive(name, value))
    }

    /// Sets the value of the first child named `name`, adding the child if there is none.
    pub fn set_text(&mut self, name: &str, value: &str) {
        match self.child_mut(name) {
            Some(child) => child.set_value(Some(value)),
            None => self.children.push(Element::primitive(name, value)),
        }
    }

    /// Removes all children named `name` and tells how many there were.
    pub fn remove(&mut self, name: &str) -> usize {
        let before = self.children.len();
        self.children.retain(|child| child.name != name);
        before - self.children.len()
    }

    /// Whether neither value, id, child nor resource is there; FHIR knows no such elements and the
    /// codecs drop them.
    pub fn is_empty(&self) -> bool {
        self.value.is_none() && self.id.is_none() && self.children.is_empty() && self.resource_type.is_none()
    }
}

/// Names the structure only: element values may be personal data and must not reach a log.
impl std::fmt::Debug for Element {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.name)?;
        if let Some(value) = &self.value {
            write!(formatter, "({} bytes)", value.len())?;
        }
        if !self.children.is_empty() {
            formatter.debug_list().entries(&self.children).finish()?;
        }
        Ok(())
    }
}

fn split(path: &str) -> (&str, Option<&str>) {
    match path.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (path, None),
    }
}
