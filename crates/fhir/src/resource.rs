//! A whole resource: its type and its root element.

use std::ops::{Deref, DerefMut};

use crate::element::Element;
use crate::types;

/// A resource. Dereferences to its root [`Element`], whose name is the resource type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    root: Element,
}

impl Resource {
    /// A resource of the given type without any content.
    pub fn new(resource_type: &str) -> Resource {
        let name = types::name(resource_type);
        Resource { root: Element::holding(name.clone(), name) }
    }

    /// The resource held by an element; `None` if the element holds none.
    pub(crate) fn from_element(mut element: Element) -> Option<Resource> {
        let resource_type = element.resource_type()?.to_owned();
        element.rename(&resource_type);
        Some(Resource { root: element })
    }

    /// The resource type, for example `Task`.
    pub fn resource_type(&self) -> &str {
        self.root.name()
    }

    /// The root element.
    pub fn root(&self) -> &Element {
        &self.root
    }

    /// The root element, for change.
    pub fn root_mut(&mut self) -> &mut Element {
        &mut self.root
    }

    /// `Resource.id`.
    pub fn id(&self) -> Option<&str> {
        self.root.text("id")
    }

    /// Sets `Resource.id`.
    pub fn set_id(&mut self, id: &str) {
        self.root.set_text("id", id);
    }

    /// `Resource.meta.versionId`.
    pub fn version_id(&self) -> Option<&str> {
        self.root.text("meta.versionId")
    }

    /// `Resource.meta.lastUpdated`.
    pub fn last_updated(&self) -> Option<&str> {
        self.root.text("meta.lastUpdated")
    }

    /// Sets `meta.versionId` and `meta.lastUpdated` and keeps everything else in `meta`.
    pub fn set_meta(&mut self, version: u64, last_updated: &str) {
        if self.root.child("meta").is_none() {
            self.root.push(Element::new("meta"));
        }
        if let Some(meta) = self.root.child_mut("meta") {
            meta.set_text("versionId", &version.to_string());
            meta.set_text("lastUpdated", last_updated);
        }
    }

    /// All values of `meta.profile`.
    pub fn profiles(&self) -> Vec<&str> {
        self.root.at("meta.profile").into_iter().filter_map(Element::value).collect()
    }

    /// The resource as a node named `name`, to be nested in another one: `Bundle.entry.resource` is
    /// called `resource`, a contained resource `contained`.
    pub fn into_element(self, name: &str) -> Element {
        let mut element = self.root;
        element.rename(name);
        element
    }
}

impl Deref for Resource {
    type Target = Element;

    fn deref(&self) -> &Element {
        &self.root
    }
}

impl DerefMut for Resource {
    fn deref_mut(&mut self) -> &mut Element {
        &mut self.root
    }
}
