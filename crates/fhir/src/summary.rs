//! `_summary`: a resource with less in it (fhir-endpoint contract 1.2, FHIR R4 search 3.1.1.5.8).

use crate::element::Element;
use crate::resource::Resource;
use crate::search::Summary;
use crate::types::{self, Content, Kind, TypeDefinition};

/// System of the tag that says that something was left out.
const OBSERVATION_VALUE: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue";

/// The resource as `_summary` asks for it, with the tag `SUBSETTED`. `count` and `false` leave it as it is:
/// they are about bundles.
pub fn summarize(mut resource: Resource, summary: Summary) -> Resource {
    let Some(definition) = types::resource(resource.resource_type()) else { return resource };
    match summary {
        Summary::Count | Summary::False => return resource,
        Summary::True => keep_summary(definition, resource.root_mut()),
        Summary::Text => resource.root_mut().children_mut().retain(|child| {
            let mandatory = definition.element(child.name()).is_some_and(|element| element.min > 0);
            mandatory || matches!(child.name(), "id" | "meta" | "text")
        }),
        Summary::Data => {
            resource.remove("text");
        }
    }
    mark_subsetted(&mut resource);
    resource
}

/// Adds the tag `SUBSETTED`: something was left out.
pub fn mark_subsetted(resource: &mut Resource) {
    let tag = Element::new("tag").with_text("system", OBSERVATION_VALUE).with_text("code", "SUBSETTED");
    match resource.child_mut("meta") {
        Some(meta) => drop(meta.push(tag)),
        None => drop(resource.push(Element::new("meta").with(tag))),
    }
}

/// Keeps what the definitions mark as summary, and what they demand: the rest stays a valid resource.
/// Data types are kept whole; members of a resource's own backbone elements are looked at one by one.
fn keep_summary(definition: &'static TypeDefinition, element: &mut Element) {
    element.children_mut().retain(|child| {
        definition.element(child.name()).is_some_and(|element| element.summary || element.min > 0)
    });
    for child in element.children_mut() {
        if let Some(Content::Complex(index)) = definition.member(child.name()).map(|member| member.content) {
            let inner = types::by_index(index);
            if inner.kind() == Kind::Backbone {
                keep_summary(inner, child);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Format, parse};

    #[test]
    fn what_each_form_keeps() {
        let json = br#"{"resourceType":"Organization","id":"1","meta":{"versionId":"1"},
            "text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"},
            "identifier":[{"system":"s","value":"v"}],"active":true,"name":"n","alias":["a"],
            "contact":[{"name":{"text":"c"}}]}"#;
        let table = [
            (Summary::True, vec!["id", "meta", "identifier", "active", "name"]),
            (Summary::Text, vec!["id", "meta", "text"]),
            (Summary::Data, vec!["id", "meta", "identifier", "active", "name", "alias", "contact"]),
            (Summary::False, vec!["id", "meta", "text", "identifier", "active", "name", "alias", "contact"]),
        ];
        for (summary, expected) in table {
            let resource = summarize(parse(json, Format::Json).unwrap(), summary);
            let names: Vec<&str> = resource.children().iter().map(Element::name).collect();
            assert_eq!(names, expected, "{summary:?}");
            let tagged = resource.text("meta.tag.code") == Some("SUBSETTED");
            assert_eq!(tagged, summary != Summary::False, "{summary:?}");
        }
    }

    #[test]
    fn mandatory_elements_stay() {
        let json = br#"{"resourceType":"Task","status":"draft","intent":"order",
            "input":[{"type":{"text":"t"},"valueString":"x"}],"restriction":{"repetitions":1}}"#;
        for summary in [Summary::True, Summary::Text] {
            let resource = summarize(parse(json, Format::Json).unwrap(), summary);
            assert_eq!(resource.text("intent"), Some("order"), "{summary:?}");
            assert!(resource.child("input").is_none(), "{summary:?}");
        }
    }
}
