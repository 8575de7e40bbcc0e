//! Bytes of a client as a resource and as a query: nothing panics, and what was read can be written and read again.
use fhir::{Format, Limits, search};

/// Bounds under which no input costs memory worth speaking of.
fn limits() -> Limits {
    Limits { max_bytes: 1024 * 1024, max_elements: 20_000, ..Limits::default() }
}

/// A JSON body.
pub fn json(data: &[u8]) {
    codec(data, Format::Json);
}

/// An XML body.
pub fn xml(data: &[u8]) {
    codec(data, Format::Xml);
}

fn codec(data: &[u8], format: Format) {
    let Ok(resource) = fhir::parse_with(data, format, &limits()) else { return };
    let json = fhir::to_json(&resource);
    let again = fhir::parse(&json, Format::Json).expect("the JSON we write is JSON we read");
    assert_eq!(fhir::to_json(&again), json, "JSON is written the same again");
    let xml = fhir::to_xml(&resource);
    let again = fhir::parse(&xml, Format::Xml).expect("the XML we write is XML we read");
    assert_eq!(fhir::to_xml(&again), xml, "XML is written the same again");
    search::extract(&resource);
}

/// A query: `name=value` pairs, one a line, for every type.
pub fn search(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let pairs: Vec<(String, String)> = text
        .lines()
        .map(|line| line.split_once('=').unwrap_or((line, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    for row in search::types() {
        let query = search::parse_query(row.resource_type, &pairs).expect("a type of the table");
        assert!(query.criteria.len() + query.problems.len() <= pairs.len() * 101 + 1);
        let _ = search::parse_criteria(row.resource_type, &pairs);
        let _ = search::parse_conditions(row.resource_type, &pairs);
    }
    let _ = search::parse_history(&pairs);
}
