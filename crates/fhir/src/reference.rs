//! The forms a reference can take (contract `fhir-endpoint.md` section 5) and where references are.

use crate::element::Element;
use crate::resource::Resource;
use crate::types::{self, Content, TypeDefinition};

/// Longest `Resource.id`.
const MAX_ID: usize = 64;

/// What a reference points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// `urn:uuid:…`: the entry of the same bundle with that `fullUrl`.
    Temporary(&'a str),
    /// `#id`: a resource contained in the same resource.
    Contained(&'a str),
    /// A resource of this server, given relative or below its own base.
    Internal(Literal<'a>),
    /// A resource of another server.
    External {
        /// The other server's base without slash at its end.
        base: &'a str,
        /// Which resource.
        literal: Literal<'a>,
    },
    /// `Type?query`: the one resource that a search finds.
    Conditional {
        /// Resource type.
        resource_type: &'a str,
        /// What follows the question mark.
        query: &'a str,
    },
    /// The one resource of a type with an identifier.
    Logical {
        /// Resource type.
        resource_type: &'a str,
        /// `identifier.system`
        system: &'a str,
        /// `identifier.value`
        value: &'a str,
    },
    /// None of these.
    Unknown,
}

/// `Type/id` or `Type/id/_history/version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Literal<'a> {
    /// Resource type.
    pub resource_type: &'a str,
    /// `Resource.id`
    pub id: &'a str,
    /// `meta.versionId`
    pub version: Option<&'a str>,
}

impl<'a> Literal<'a> {
    /// Reads `Type/id[/_history/version]`; the type must exist in R4.
    pub fn parse(text: &'a str) -> Option<Literal<'a>> {
        let mut parts = text.split('/');
        let (resource_type, id) = (parts.next()?, parts.next()?);
        let version = match parts.next() {
            None => None,
            Some("_history") => Some(parts.next()?),
            Some(_) => return None,
        };
        let valid = parts.next().is_none()
            && types::is_resource(resource_type)
            && is_id(id)
            && version.is_none_or(is_id);
        valid.then_some(Literal { resource_type, id, version })
    }
}

/// Whether a text is a valid `Resource.id`.
pub fn is_id(text: &str) -> bool {
    (1..=MAX_ID).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
}

/// The form of a literal reference or URL. `own_base` is this server's base, with or without slash
/// at its end.
pub fn literal<'a>(text: &'a str, own_base: &str) -> Target<'a> {
    if let Some(uuid) = text.strip_prefix("urn:uuid:") {
        return if is_uuid(uuid) { Target::Temporary(text) } else { Target::Unknown };
    }
    if let Some(id) = text.strip_prefix('#') {
        return Target::Contained(id);
    }
    if let Some((resource_type, query)) = text.split_once('?') {
        return if types::is_resource(resource_type) {
            Target::Conditional { resource_type, query }
        } else {
            Target::Unknown
        };
    }
    let own = text.strip_prefix(own_base.trim_end_matches('/')).and_then(|rest| rest.strip_prefix('/'));
    let relative = own.filter(|_| !own_base.is_empty()).unwrap_or(text);
    if let Some(literal) = Literal::parse(relative) {
        return Target::Internal(literal);
    }
    if text.starts_with("https://") || text.starts_with("http://") {
        return external(text).unwrap_or(Target::Unknown);
    }
    Target::Unknown
}

fn external(text: &str) -> Option<Target<'_>> {
    let resource = text.split_once("/_history/").map_or(text, |(resource, _)| resource);
    let (rest, _) = resource.rsplit_once('/')?;
    let (base, _) = rest.rsplit_once('/')?;
    let (_, host) = base.split_once("://")?;
    let literal = Literal::parse(&text[base.len() + 1..])?;
    (!host.is_empty() && !host.starts_with('/')).then_some(Target::External { base, literal })
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// The form of a Reference element: literal if it has `reference`, else logical.
pub fn of<'a>(reference: &'a Element, own_base: &str) -> Target<'a> {
    if let Some(text) = reference.text("reference") {
        return literal(text, own_base);
    }
    match (reference.text("type"), reference.text("identifier.system"), reference.text("identifier.value")) {
        (Some(resource_type), Some(system), Some(value)) => Target::Logical { resource_type, system, value },
        _ => Target::Unknown,
    }
}

/// Splits a canonical `url[|version]`.
pub fn canonical(text: &str) -> (&str, Option<&str>) {
    match text.split_once('|') {
        Some((url, version)) => (url, Some(version)),
        None => (text, None),
    }
}

/// A Reference found in a resource.
#[derive(Clone, Debug)]
pub struct Found<'a> {
    /// Where, for example `Task.requester`.
    pub path: String,
    /// The Reference.
    pub element: &'a Element,
    /// Resource types that the definitions allow; empty for any.
    pub targets: &'static [&'static str],
}

/// All References of a resource in order, those in extensions and contained resources included, those in the
/// resources of a bundle's entries not: they belong to the entries.
pub fn all(resource: &Resource) -> Vec<Found<'_>> {
    let mut found = Vec::new();
    if let Some(definition) = types::resource(resource.resource_type()) {
        collect(definition, resource.root(), &mut vec![resource.resource_type()], &mut found);
    }
    found
}

fn collect<'a>(
    definition: &'static TypeDefinition,
    element: &'a Element,
    path: &mut Vec<&'a str>,
    found: &mut Vec<Found<'a>>,
) {
    for child in element.children() {
        let Some(member) = definition.member(child.name()) else { continue };
        path.push(child.name());
        match member.content {
            Content::Complex(index) => {
                let inner = types::by_index(index);
                if inner.path() == "Reference" {
                    let types = definition.element(child.name()).map_or(&[][..], |element| &element.types);
                    let targets = types.iter().find(|reference| reference.code == "Reference");
                    let targets = targets.map_or(&[][..], |reference| &reference.targets);
                    found.push(Found { path: path.join("."), element: child, targets });
                }
                collect(inner, child, path, found);
            }
            Content::Resource if child.name() == "contained" => {
                if let Some(inner) = child.resource_type().and_then(types::resource) {
                    collect(inner, child, path, found);
                }
            }
            Content::Primitive(_) => collect(types::element(), child, path, found),
            Content::Resource => {}
        }
        path.pop();
    }
}

/// Calls `change` for every Reference of a resource, those of nested resources included.
pub fn for_each_mut(resource: &mut Resource, change: &mut impl FnMut(&mut Element)) {
    if let Some(definition) = types::resource(resource.resource_type()) {
        walk_mut(definition, resource.root_mut(), change);
    }
}

fn walk_mut(
    definition: &'static TypeDefinition,
    element: &mut Element,
    change: &mut impl FnMut(&mut Element),
) {
    for child in element.children_mut() {
        let Some(member) = definition.member(child.name()) else { continue };
        let inner = match member.content {
            Content::Complex(index) => Some(types::by_index(index)),
            Content::Resource => child.resource_type().and_then(types::resource),
            Content::Primitive(_) => Some(types::element()),
        };
        if let Some(inner) = inner {
            if inner.path() == "Reference" {
                change(child);
            }
            walk_mut(inner, child, change);
        }
    }
}

/// Data types whose `url` may be a reference to a resource (contract `fhir-endpoint.md` section 5.1).
const WITH_URL: [&str; 2] = ["Attachment", "RelatedArtifact"];

/// Calls `look` with the path and the text of every `url` of an attachment or related artifact, those in
/// extensions included, those of nested resources not.
pub fn for_each_url<'a>(resource: &'a Resource, look: &mut impl FnMut(&str, &'a str)) {
    if let Some(definition) = types::resource(resource.resource_type()) {
        walk_urls(definition, resource.root(), &mut vec![resource.resource_type()], look);
    }
}

fn walk_urls<'a>(
    definition: &'static TypeDefinition,
    element: &'a Element,
    path: &mut Vec<&'a str>,
    look: &mut impl FnMut(&str, &'a str),
) {
    for child in element.children() {
        let inner = match definition.member(child.name()).map(|member| member.content) {
            Some(Content::Complex(index)) => types::by_index(index),
            _ => continue,
        };
        path.push(child.name());
        if WITH_URL.contains(&inner.path())
            && let Some(url) = child.text("url")
        {
            look(&path.join("."), url);
        }
        walk_urls(inner, child, path, look);
        path.pop();
    }
}

/// Replaces those urls of attachments and related artifacts for which `change` gives another one.
pub fn replace_urls(resource: &mut Resource, change: &impl Fn(&str) -> Option<String>) {
    if let Some(definition) = types::resource(resource.resource_type()) {
        replace_urls_in(definition, resource.root_mut(), change);
    }
}

fn replace_urls_in(
    definition: &'static TypeDefinition,
    element: &mut Element,
    change: &impl Fn(&str) -> Option<String>,
) {
    for child in element.children_mut() {
        let inner = match definition.member(child.name()).map(|member| member.content) {
            Some(Content::Complex(index)) => types::by_index(index),
            _ => continue,
        };
        if WITH_URL.contains(&inner.path())
            && let Some(url) = child.text("url").and_then(change)
        {
            child.set_text("url", &url);
        }
        replace_urls_in(inner, child, change);
    }
}

/// Removes `reference` from every Reference that also has an `identifier`: on every output peers see
/// the logical form
/// they sent, whatever the server has resolved (contract `fhir-endpoint.md` section 5.5).
pub fn clean(resource: &mut Resource) {
    for_each_mut(resource, &mut |reference| {
        if reference.child("identifier").is_some() {
            reference.remove("reference");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let base = "https://own.example.org/fhir";
        let patient = |id, version| Literal { resource_type: "Patient", id, version };
        for (text, expected) in [
            ("Patient/1", Target::Internal(patient("1", None))),
            ("Patient/1/_history/2", Target::Internal(patient("1", Some("2")))),
            ("https://own.example.org/fhir/Patient/1", Target::Internal(patient("1", None))),
            (
                "https://other.example.org/fhir/Patient/1/_history/3",
                Target::External { base: "https://other.example.org/fhir", literal: patient("1", Some("3")) },
            ),
            (
                "https://own.example.org/fhirs/Patient/1",
                Target::External { base: "https://own.example.org/fhirs", literal: patient("1", None) },
            ),
            ("https://Patient/1", Target::Unknown),
            ("http:///Patient/1", Target::Unknown),
            ("Patient?name=a", Target::Conditional { resource_type: "Patient", query: "name=a" }),
            ("Nothing/1", Target::Unknown),
            ("Patient/1/2", Target::Unknown),
            ("Patient/a b", Target::Unknown),
            ("#p", Target::Contained("p")),
            (
                "urn:uuid:6f9f2a39-43a1-4a1a-9f5a-1f2b3c4d5e6f",
                Target::Temporary("urn:uuid:6f9f2a39-43a1-4a1a-9f5a-1f2b3c4d5e6f"),
            ),
            ("urn:uuid:x", Target::Unknown),
            ("", Target::Unknown),
        ] {
            assert_eq!(literal(text, base), expected, "{text}");
        }
    }

    #[test]
    fn found_and_cleaned() {
        let json = br##"{"resourceType":"Task","contained":[{"resourceType":"Patient","managingOrganization":{"reference":"Organization/1"}}],
            "status":"draft","requester":{"reference":"Organization/2","identifier":{"value":"x"}},
            "input":[{"type":{"text":"t"},"valueReference":{"reference":"Patient/3"}}]}"##;
        let mut resource = crate::parse(json, crate::Format::Json).unwrap();
        let found: Vec<_> = all(&resource).into_iter().map(|f| (f.path, f.targets.len())).collect();
        let expected = [
            ("Task.contained.managingOrganization", 1),
            ("Task.requester", 6),
            ("Task.input.valueReference", 0),
        ];
        assert_eq!(found, expected.map(|(path, targets)| (path.to_owned(), targets)));
        clean(&mut resource);
        assert_eq!(resource.text("requester.reference"), None);
        assert_eq!(resource.text("input.valueReference.reference"), Some("Patient/3"));
    }
}
