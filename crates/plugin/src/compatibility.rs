//! What resources of plugins written for an older framework need to be accepted by the current one.
//!
//! Rules: contract `validation.md` section 6.5. The older generation of names is left as it is.
use fhir::{Element, Resource, generation::MODERN};

/// Versions of the questionnaire profile that named earlier releases of it.
const QUESTIONNAIRE_VERSIONS: [&str; 2] = ["1.0.0", "1.5.0"];
/// Items that every answer must have.
const REQUIRED_ITEMS: [&str; 2] = ["business-key", "user-task-id"];

/// Rewrites a resource in place.
pub(crate) fn upgrade(resource: &mut Resource) {
    let profile = |name: &str| format!("{}/fhir/StructureDefinition/{name}", MODERN.prefix);
    match resource.resource_type() {
        "StructureDefinition" => {
            let base = profile("task-base");
            let old = resource
                .text("baseDefinition")
                .is_some_and(|found| found == base || found == format!("{base}|1.0.0"));
            if old {
                resource.set_text("baseDefinition", &profile("task"));
            }
        }
        "Questionnaire" => {
            let current = profile("questionnaire");
            let old = QUESTIONNAIRE_VERSIONS.map(|version| format!("{current}|{version}"));
            for meta in resource.children_mut().iter_mut().filter(|child| child.name() == "meta") {
                for claimed in meta.children_mut().iter_mut().filter(|child| child.name() == "profile") {
                    if claimed.value().is_some_and(|value| old.iter().any(|old| old == value)) {
                        claimed.set_value(Some(&current));
                    }
                }
            }
            fill_required(resource.children_mut());
        }
        _ => {}
    }
}

/// Every item that asks for an answer says whether it is required.
fn fill_required(children: &mut [Element]) {
    for item in children.iter_mut().filter(|child| child.name() == "item") {
        if item.text("type") != Some("display") && item.child("required").is_none() {
            let required = item.text("linkId").is_some_and(|id| REQUIRED_ITEMS.contains(&id));
            item.push(Element::primitive("required", if required { "true" } else { "false" }));
        }
        fill_required(item.children_mut());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use fhir::Format;
    use serde_json::json;

    use super::*;

    #[test]
    fn older_resources_are_accepted_by_the_current_framework() {
        let base = "http://dsf.dev/fhir/StructureDefinition";
        for (given, expected) in [
            (
                json!({"resourceType": "StructureDefinition", "baseDefinition": format!("{base}/task-base")}),
                json!({"resourceType": "StructureDefinition", "baseDefinition": format!("{base}/task")}),
            ),
            (
                json!({"resourceType": "Questionnaire", "meta": {"profile": [format!("{base}/questionnaire|1.5.0")]},
                "item": [
                    {"linkId": "business-key", "type": "string"},
                    {"linkId": "text", "type": "display"},
                    {"linkId": "group", "type": "group", "required": true, "item": [{"linkId": "x", "type": "string"}]},
                ]}),
                json!({"resourceType": "Questionnaire", "meta": {"profile": [format!("{base}/questionnaire")]},
                "item": [
                    {"linkId": "business-key", "type": "string", "required": true},
                    {"linkId": "text", "type": "display"},
                    {"linkId": "group", "type": "group", "required": true,
                        "item": [{"linkId": "x", "type": "string", "required": false}]},
                ]}),
            ),
            (
                json!({"resourceType": "Questionnaire", "meta": {"profile": [format!("{base}/other|1.5.0")]}}),
                json!({"resourceType": "Questionnaire", "meta": {"profile": [format!("{base}/other|1.5.0")]}}),
            ),
        ] {
            let mut resource = fhir::parse(given.to_string().as_bytes(), Format::Json).unwrap();
            upgrade(&mut resource);
            let written: serde_json::Value = serde_json::from_slice(&fhir::to_json(&resource)).unwrap();
            assert_eq!(written, expected);
        }
    }
}
