//! Identifiers of a person in other domains.
use serde_json::{Map, Value, json};

use super::{Input, envelope, failed, with};
use crate::{
    failure::Failure,
    hl7v2::{self, Message, pix},
    person::{Domain, Identifier},
    pixm, v3,
};

pub fn identifier(identifier: &Identifier) -> Value {
    let mut json = with(json!({"value": identifier.value}), domain_json(&identifier.domain));
    if let Some(kind) = &identifier.kind {
        json["type"] = json!(kind);
    }
    json
}

pub fn domain_json(domain: &Domain) -> Value {
    let mut json = Map::new();
    let parts = [
        ("namespace", &domain.namespace),
        ("universal_id", &domain.universal_id),
        ("universal_id_type", &domain.universal_id_type),
        ("system", &domain.system),
    ];
    for (name, part) in parts {
        if let Some(part) = part {
            json.insert(name.to_owned(), json!(part));
        }
    }
    Value::Object(json)
}

fn identifiers(result: Result<Vec<Identifier>, Failure>, head: Value) -> Value {
    match result {
        Ok(found) => {
            let outcome = if found.is_empty() { "not-found" } else { "found" };
            let found: Vec<Value> = found.iter().map(identifier).collect();
            with(json!({"outcome": outcome, "identifiers": found, "references": []}), head)
        }
        Err(failure) => with(with(failed(&failure), head), json!({"identifiers": [], "references": []})),
    }
}

pub fn pix_v2(bytes: &[u8], input: &Input<'_>) -> Value {
    let (head, result) = match Message::read(bytes, input.settings.options) {
        Ok(message) => pix::read(&message, &input.cross_reference()),
        Err(reason) => (hl7v2::Acknowledgement::default(), Err(reason.into())),
    };
    identifiers(result, json!({"ack": head.code, "query_status": head.query_status}))
}

pub fn pix_v3(bytes: &[u8], input: &Input<'_>) -> Value {
    let expected =
        v3::Expected { target_message: input.text("target_message"), query_id: input.text("query_id") };
    let (head, result) = match envelope(bytes, input) {
        Ok(envelope) => v3::pix::read(&envelope, &expected, &input.cross_reference()),
        Err(failure) => (v3::Head::default(), Err(failure)),
    };
    let head = json!({"ack": head.ack, "query_status": head.query_status, "query_state": head.query_state});
    identifiers(result, head)
}

pub fn pixm(bytes: &[u8], input: &Input<'_>) -> Value {
    match pixm::read(input.status(), bytes) {
        Ok(found) => {
            let asked = input.cross_reference();
            let asked_id = |id: &&Identifier| asked.id.as_ref() != Some(&id.value);
            let ids: Vec<Value> = found.identifiers.iter().filter(asked_id).map(identifier).collect();
            let outcome = if ids.is_empty() && found.references.is_empty() { "not-found" } else { "found" };
            json!({"outcome": outcome, "identifiers": ids, "references": found.references})
        }
        Err(failure) => with(failed(&failure), json!({"identifiers": [], "references": []})),
    }
}
