//! FHIR R4 as a generic element tree with JSON and XML codecs driven by a generated type table.
//!
//! The codecs lose nothing: numbers are kept as text, primitive extensions and element ids, null
//! positions in arrays, contained resources and narratives survive any number of conversions.
//! Reading is as lenient as the public implementation (unknown members are dropped, any order is
//! accepted), writing is always in the order of the definitions.
//!
//! Invariants: everything here is a pure function of its arguments. The crate knows no HTTP, no SQL,
//! no NATS, opens no file and reads no configuration; only the vector runner in [`vectors`] reads
//! the files it is pointed at.
//! Nothing panics on any input, and no error text contains a value of a resource.
#![forbid(unsafe_code)]

mod assemble;
pub mod bundle;
pub mod datetime;
mod element;
mod error;
pub mod framework;
pub mod generation;
mod json;
mod limits;
pub mod outcome;
pub mod primitive;
pub mod reference;
mod resource;
pub mod search;
pub mod summary;
pub mod task;
pub mod types;
pub mod validation;
pub mod vectors;
mod xhtml;
mod xml;

pub use element::Element;
pub use error::ParseError;
pub use json::syntax;
pub use limits::Limits;
pub use resource::Resource;

/// The two wire formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `application/fhir+json`
    Json,
    /// `application/fhir+xml`
    Xml,
}

/// Reads a resource with the default [`Limits`].
///
/// # Errors
/// See [`ParseError`]: broken syntax, an unknown resource type, a primitive that is not of its type,
/// or a limit exceeded.
pub fn parse(bytes: &[u8], format: Format) -> Result<Resource, ParseError> {
    parse_with(bytes, format, &Limits::default())
}

/// Reads a resource with the given limits.
///
/// # Errors
/// As [`parse`].
pub fn parse_with(bytes: &[u8], format: Format, limits: &Limits) -> Result<Resource, ParseError> {
    match format {
        Format::Json => json::read_resource(bytes, limits),
        Format::Xml => xml::read_resource(bytes, limits),
    }
}

/// Writes a resource as compact JSON.
pub fn to_json(resource: &Resource) -> Vec<u8> {
    json::write_resource(resource)
}

/// Writes a resource as compact XML without declaration.
pub fn to_xml(resource: &Resource) -> Vec<u8> {
    xml::write_resource(resource)
}

/// Writes a resource in the given format.
pub fn write(resource: &Resource, format: Format) -> Vec<u8> {
    match format {
        Format::Json => to_json(resource),
        Format::Xml => to_xml(resource),
    }
}

/// Reads a part of a resource from a JSON object. `type_path` names its type: a data type (`Coding`) or the
/// path of a backbone element (`Task.output`); the last part becomes the element's name
/// (`output`, `Coding`).
///
/// # Errors
/// As [`parse`]; also if there is no type with that path.
pub fn fragment_from_json(json: &[u8], type_path: &str) -> Result<Element, ParseError> {
    json::read_fragment(json, type_path, &Limits::default())
}

/// Writes a part of a resource, of the type `type_path`, as a JSON object. Nothing is written for
/// children the
/// type does not know.
pub fn fragment_to_json(element: &Element, type_path: &str) -> Vec<u8> {
    json::write_fragment(element, type_path)
}
