//! An event as a FHIR R4 AuditEvent.
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::Event;

/// FHIR interaction code and AuditEvent action of each interaction.
const CODES: [(&str, &str, &str); 8] = [
    ("create", "create", "C"),
    ("read", "read", "R"),
    ("update", "update", "U"),
    ("delete", "delete", "D"),
    ("search", "search-type", "E"),
    ("history", "history-type", "R"),
    ("permanent delete", "delete", "D"),
    ("websocket", "operation", "E"),
];
/// Outcome of AuditEvent: done, and refused ("minor failure").
const OUTCOMES: [&str; 2] = ["4", "0"];

/// The AuditEvent of row `seq`, seen by the endpoint at `base_url`.
pub fn audit_event(seq: i64, event: &Event, base_url: &str) -> Value {
    let (code, action) = CODES
        .iter()
        .find(|(own, ..)| *own == event.interaction)
        .map_or(("operation", "E"), |(_, code, action)| (code, action));
    let recorded = OffsetDateTime::from_unix_timestamp_nanos(i128::from(event.at) * 1_000_000)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_default();
    let system = match event.who.kind.as_ref() {
        "practitioner" => "http://dsf.dev/sid/practitioner-identifier",
        _ => "http://dsf.dev/sid/organization-identifier",
    };
    let mut agent = json!({
        "type": {"text": event.who.kind},
        "requestor": true,
    });
    match (&event.who.id, event.who.kind.as_ref()) {
        (Some(id), "unknown") => agent["altId"] = json!(id),
        (Some(id), _) => agent["who"] = json!({"identifier": {"system": system, "value": id}}),
        (None, _) => {}
    }
    let mut resource = json!({
        "resourceType": "AuditEvent",
        "id": seq.to_string(),
        "type": {
            "system": "http://terminology.hl7.org/CodeSystem/audit-event-type",
            "code": "rest",
            "display": "RESTful Operation",
        },
        "subtype": [{"system": "http://hl7.org/fhir/restful-interaction", "code": code}],
        "action": action,
        "recorded": recorded,
        "outcome": OUTCOMES[usize::from(event.allowed)],
        "agent": [agent],
        "source": {"observer": {"display": base_url}},
    });
    if !event.reason.is_empty() {
        resource["outcomeDesc"] = json!(event.reason);
    }
    if let Some(ty) = &event.resource_type {
        let mut entity = json!({
            "type": {"system": "http://hl7.org/fhir/resource-types", "code": ty},
        });
        if let Some(id) = &event.id {
            let version = event.version.map(|version| format!("/_history/{version}")).unwrap_or_default();
            entity["what"] = json!({"reference": format!("{base_url}/{ty}/{id}{version}")});
        }
        resource["entity"] = json!([entity]);
    }
    resource
}
