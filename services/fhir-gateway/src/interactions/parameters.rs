//! Reading a Parameters resource.
use fhir::{Element, Resource};

fn named<'a>(parameters: &'a Resource, name: &'a str) -> impl Iterator<Item = &'a Element> {
    parameters.each("parameter").filter(move |parameter| parameter.text("name") == Some(name))
}

/// The first resource with this name.
pub(super) fn resource(parameters: &Resource, name: &str) -> Option<Resource> {
    named(parameters, name).find_map(|parameter| parameter.child("resource")?.resource())
}

/// All texts with this name, whatever primitive type they have.
pub(super) fn texts<'a>(parameters: &'a Resource, name: &'a str) -> impl Iterator<Item = &'a str> {
    named(parameters, name).filter_map(|parameter| parameter.choice("value")?.value())
}
