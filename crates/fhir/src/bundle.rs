//! A thin view of Bundle and what is needed to build one.

use crate::element::Element;
use crate::resource::Resource;

/// One `Bundle.entry`.
#[derive(Clone, Copy)]
pub struct Entry<'a>(&'a Element);

/// The entries of a bundle in order. A resource of another type has none.
pub fn entries(bundle: &Resource) -> impl Iterator<Item = Entry<'_>> {
    bundle.root().each("entry").map(Entry)
}

/// The url of the first link with this relation (`self`, `next`, …).
pub fn link<'a>(bundle: &'a Resource, relation: &str) -> Option<&'a str> {
    bundle
        .root()
        .each("link")
        .find(|link| link.text("relation") == Some(relation))
        .and_then(|link| link.text("url"))
}

impl<'a> Entry<'a> {
    /// The entry's element.
    pub fn element(&self) -> &'a Element {
        self.0
    }

    /// `entry.fullUrl`
    pub fn full_url(&self) -> Option<&'a str> {
        self.0.text("fullUrl")
    }

    /// `entry.resource`: a node that holds a resource.
    pub fn resource(&self) -> Option<&'a Element> {
        self.0.child("resource")
    }

    /// `entry.request.method`
    pub fn method(&self) -> Option<&'a str> {
        self.0.text("request.method")
    }

    /// `entry.request.url`
    pub fn url(&self) -> Option<&'a str> {
        self.0.text("request.url")
    }

    /// `entry.request.ifNoneExist`
    pub fn if_none_exist(&self) -> Option<&'a str> {
        self.0.text("request.ifNoneExist")
    }

    /// `entry.request.ifMatch`
    pub fn if_match(&self) -> Option<&'a str> {
        self.0.text("request.ifMatch")
    }

    /// `entry.search.mode`: `match`, `include` or `outcome`.
    pub fn search_mode(&self) -> Option<&'a str> {
        self.0.text("search.mode")
    }

    /// `entry.response.status`
    pub fn status(&self) -> Option<&'a str> {
        self.0.text("response.status")
    }

    /// `entry.response.location`
    pub fn location(&self) -> Option<&'a str> {
        self.0.text("response.location")
    }
}

/// An empty bundle of the given type (`searchset`, `transaction`, …).
pub fn new(bundle_type: &str) -> Resource {
    let mut bundle = Resource::new("Bundle");
    bundle.set_text("type", bundle_type);
    bundle
}

/// An entry with an optional url and an optional resource.
pub fn entry(full_url: Option<&str>, resource: Option<Resource>) -> Element {
    let mut entry = Element::new("entry");
    if let Some(url) = full_url {
        entry.push(Element::primitive("fullUrl", url));
    }
    if let Some(resource) = resource {
        entry.push(resource.into_element("resource"));
    }
    entry
}
