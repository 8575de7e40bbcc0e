//! `docs/job-protocol.schema.json` says what the Rust types say: everything they write fits it, and
//! it names no field they do not know.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
use std::collections::{BTreeMap, BTreeSet};

use messaging::{engine::Reply, job::*};
use serde_json::{Value, json};

fn schema() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/job-protocol.schema.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Checks the keywords that the schema uses; collects which properties were met.
fn check(
    root: &Value,
    schema: &Value,
    value: &Value,
    met: &mut BTreeSet<String>,
    at: &str,
) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.strip_prefix("#/$defs/").unwrap();
        return check(root, &root["$defs"][name], value, met, name);
    }
    let fail = |what: String| Err(format!("{at}: {what}: {value}"));
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    match &schema["type"] {
        Value::String(wanted) if wanted != kind => return fail(format!("is no {wanted}")),
        Value::Array(wanted) if !wanted.contains(&json!(kind)) => {
            return fail(format!("is none of {wanted:?}"));
        }
        _ => {}
    }
    if let Some(wanted) = schema.get("const").filter(|wanted| *wanted != value) {
        return fail(format!("is not {wanted}"));
    }
    if let Some(list) = schema["enum"].as_array().filter(|list| !list.contains(value)) {
        return fail(format!("is none of {list:?}"));
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if value.get(name.as_str().unwrap()).is_none() {
            return fail(format!("lacks {name}"));
        }
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fits = |choice: &&Value| {
            choice["required"]
                .as_array()
                .unwrap()
                .iter()
                .all(|name| value.get(name.as_str().unwrap()).is_some())
        };
        let chosen: Vec<&Value> = choices.iter().filter(fits).collect();
        let [chosen] = chosen.as_slice() else { return fail(format!("fits {} choices", chosen.len())) };
        return check(root, chosen, value, met, at);
    }
    if let Some(properties) = schema["properties"].as_object() {
        for (name, inner) in value.as_object().into_iter().flatten() {
            let Some(property) = properties.get(name) else {
                return fail(format!("'{name}' is not in the schema"));
            };
            met.insert(format!("{at}.{name}"));
            check(root, property, inner, met, &format!("{at}.{name}"))?;
        }
    }
    for inner in value.as_object().into_iter().flat_map(|map| map.values()) {
        if let Some(additional) = schema.get("additionalProperties") {
            check(root, additional, inner, met, at)?;
        }
    }
    for inner in value.as_array().into_iter().flatten() {
        if let Some(items) = schema.get("items") {
            check(root, items, inner, met, at)?;
        }
    }
    Ok(())
}

fn variables() -> BTreeMap<String, Variable> {
    let kinds = ["null", "boolean", "integer", "decimal", "string", "date", "json", "document"];
    kinds
        .into_iter()
        .map(|kind| (kind.to_owned(), Variable { kind: kind.to_owned(), value: json!(1) }))
        .collect()
}

fn source() -> Source {
    Source { base_url: "https://a/fhir".into(), reference: "Task/1".into() }
}

fn done() -> Done {
    let output = MessageOutput { message: source(), output: json!({}) };
    Done { variables: variables(), local_variables: variables(), outputs: vec![output] }
}

fn job() -> Job {
    let message = ReceivedMessage {
        source: source(),
        document: Document { media_type: "application/fhir+json".into(), text: "{}".into() },
    };
    Job {
        id: "1".into(),
        kind: "p/1.0/n".into(),
        lease: "l".into(),
        attempt: 1,
        instance: "i".into(),
        process_key: "a_p".into(),
        process_version: "1.0".into(),
        business_key: "k".into(),
        activity: "t".into(),
        fields: [("f".to_owned(), json!("x"))].into(),
        variables: variables(),
        start_message: Some(message.clone()),
        latest_message: Some(message),
        send_failure: Some(SendFailure { status: Some(403), message: "403".into() }),
        send: None,
        write_back: None,
        form: None,
        traceparent: Some("00".into()),
    }
}

fn samples() -> Vec<(&'static str, Value)> {
    let to = |value: Result<Value, serde_json::Error>| value.unwrap();
    let result =
        |outcome| JobResult { version: PROTOCOL_VERSION, id: "1".into(), lease: "l".into(), outcome };
    let send = SendRequest {
        target: Target {
            organization_identifier_value: "o".into(),
            endpoint_identifier_value: "e".into(),
            endpoint_url: "https://o/fhir".into(),
            correlation_key: Some("c".into()),
        },
        instantiates: "http://x/bpe/Process/p|1.0".into(),
        message_name: "m".into(),
        profile: "http://x|1.0".into(),
        business_key: Some("k".into()),
        inputs: vec![json!({})],
        then: done(),
    };
    let outcomes = vec![
        Outcome::Done(done()),
        Outcome::Send(Box::new(send)),
        Outcome::BpmnError { code: "E".into(), message: Some("m".into()), variables: variables() },
        Outcome::BpmnError { code: "E".into(), message: None, variables: BTreeMap::new() },
        Outcome::Reject { reason: "no".into(), outputs: done().outputs },
        Outcome::Fault { reason: "broken".into(), unavailable: true },
    ];
    let claim = ClaimRequest {
        version: PROTOCOL_VERSION,
        worker: "w".into(),
        types: vec!["p/1.0/n".into()],
        max: 8,
        lease_millis: 30_000,
    };
    let mut samples = vec![
        ("claim-request", to(serde_json::to_value(claim))),
        ("claim-reply", to(serde_json::to_value(ClaimReply { jobs: vec![job()] }))),
        (
            "heartbeat",
            to(serde_json::to_value(Heartbeat { id: "1".into(), lease: "l".into(), lease_millis: 1000 })),
        ),
        ("acknowledgement", to(serde_json::to_value(Acknowledgement::Accepted))),
        ("acknowledgement", to(serde_json::to_value(Acknowledgement::Stale))),
        ("reply", to(serde_json::to_value(Reply::Ok(Acknowledgement::Stale)))),
        ("reply", to(serde_json::to_value(Reply::<()>::Invalid("x".into())))),
        ("reply", to(serde_json::to_value(Reply::<()>::Unavailable("x".into())))),
    ];
    samples.extend(
        outcomes.into_iter().map(|outcome| ("job-result", to(serde_json::to_value(result(outcome))))),
    );
    samples
}

#[test]
fn the_schema_fits_the_types() {
    let root = schema();
    let mut met = BTreeSet::new();
    for (name, sample) in samples() {
        check(&root, &root["$defs"][name], &sample, &mut met, name)
            .unwrap_or_else(|problem| panic!("{problem}"));
    }
    // Every field of a definition that the schema names was written by some type.
    for (name, definition) in root["$defs"].as_object().unwrap() {
        for field in definition["properties"].as_object().into_iter().flatten().map(|(field, _)| field) {
            assert!(met.contains(&format!("{name}.{field}")), "no type writes {name}.{field}");
        }
    }
    // And the check can fail.
    let broken = json!({"version": 2, "id": "1", "lease": "l", "outcome": {"done": {}}});
    assert!(check(&root, &root["$defs"]["job-result"], &broken, &mut met, "job-result").is_err());
    let unknown = json!({"version": 1, "id": "1", "lease": "l", "outcome": {"maybe": {}}});
    assert!(check(&root, &root["$defs"]["job-result"], &unknown, &mut met, "job-result").is_err());
}

#[test]
fn unknown_fields_are_ignored_and_optional_ones_may_be_absent() {
    let result =
        json!({"version": 1, "id": "1", "lease": "l", "later": true, "outcome": {"done": {"new": 1}}});
    assert!(serde_json::from_value::<JobResult>(result).is_ok());
    let fault = json!({"version": 1, "id": "1", "lease": "l", "outcome": {"fault": {"reason": "x"}}});
    assert!(serde_json::from_value::<JobResult>(fault).is_ok());
}
