//! One decoder per kind of answer: what a file means, in the words of `expected.json`.
mod cross_references;
mod decisions;
mod frames;
mod input;
mod openehr;
mod persons;

use serde_json::{Map, Value, json};

pub use self::{
    cross_references::{domain_json, identifier},
    frames::compare_frames,
    input::{Input, Settings},
};
use self::{
    cross_references::{pix_v2, pix_v3, pixm},
    decisions::{decisions, fhir_consent, gics_answer, saml},
    frames::{hl7_ack, mllp_frame},
    openehr::openehr_result,
    persons::{pdq_v2, pdq_v3, pdqm_bundle},
};
use super::request;
use crate::{
    audit,
    failure::{Failure, Reason, Told},
    json::Json,
    openehr as answer,
    soap::Envelope,
    xacml,
};

/// Kind of files that no adapter receives.
pub const FIXTURE: &str = "fixture";
/// All kinds.
pub const KINDS: [&str; 28] = [
    FIXTURE,
    "pdq-v2-response",
    "pdqv3-response",
    "pdqm-bundle",
    "match-bundle",
    "pix-v2-response",
    "pixv3-response",
    "pixm-response",
    "hl7-ack",
    "mllp-frame",
    "xacml-json-response",
    "xacml-xml-response",
    "saml-response",
    "soap-fault",
    "gics-response",
    "fhir-consent",
    "openehr-result",
    "openehr-error",
    "audit-event",
    "hl7-request",
    "pdqv3-request",
    "pixv3-request",
    "saml-request",
    "xacml-json-request",
    "xacml-xml-request",
    "match-request",
    "gics-request",
    "openehr-request",
];

/// What the bytes mean.
pub fn decode(kind: &str, bytes: &[u8], input: &Input<'_>) -> Json {
    let decoded = match kind {
        "pdq-v2-response" => pdq_v2(bytes, input),
        "pdqv3-response" => pdq_v3(bytes, input),
        "pdqm-bundle" | "match-bundle" => pdqm_bundle(bytes, input),
        "pix-v2-response" => pix_v2(bytes, input),
        "pixv3-response" => pix_v3(bytes, input),
        "pixm-response" => pixm(bytes, input),
        "hl7-ack" => hl7_ack(bytes, input),
        "mllp-frame" => mllp_frame(bytes, input),
        "xacml-json-response" => decisions(xacml::read(input.status(), bytes), input),
        "xacml-xml-response" => decisions(xacml::read_xml(input.status(), bytes), input),
        "saml-response" => saml(bytes, input),
        "soap-fault" => match envelope(bytes, input) {
            Ok(_) => decisions(Err(Reason::Malformed("SOAP fault").into()), input),
            Err(failure) => decisions(Err(failure), input),
        },
        "gics-response" => gics_answer(bytes, input),
        "fhir-consent" => fhir_consent(bytes, input),
        "openehr-result" => return openehr_result(bytes, input),
        "openehr-error" => failed(&answer::refused(input.status(), bytes)),
        "audit-event" => match Json::read(bytes) {
            Ok(event) => audit::read(&event),
            Err(reason) => failed(&reason.into()),
        },
        _ => return request::decode(kind, bytes, input),
    };
    decoded.into()
}

/// Members of `further` that are not in `base`.
fn with(mut base: Value, further: Value) -> Value {
    if let (Value::Object(base), Value::Object(further)) = (&mut base, further) {
        for (name, value) in further {
            base.entry(name).or_insert(value);
        }
    }
    base
}

fn failed(failure: &Failure) -> Value {
    let mut decoded = json!({"outcome": failure.outcome()});
    match failure {
        Failure::Rejected(told) | Failure::Unavailable(told) => decoded["error"] = error(told),
        Failure::Protocol(reason) => {
            decoded["reason"] = json!(reason.as_str());
            decoded["connection"] = json!("closed");
        }
    }
    decoded
}

fn error(told: &Told) -> Value {
    let mut error = Map::new();
    let texts = [
        ("code", &told.code),
        ("subcode", &told.subcode),
        ("code_system", &told.code_system),
        ("severity", &told.severity),
        ("location", &told.location),
        ("text", &told.text),
        ("diagnostics", &told.diagnostics),
        ("missing", &told.missing),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            error.insert(name.to_owned(), json!(text));
        }
    }
    if let Some(class) = told.class {
        error.insert("class".to_owned(), json!(class.as_str()));
    }
    if let Some(details) = told.details {
        error.insert("details".to_owned(), json!(details));
    }
    Value::Object(error)
}

fn envelope(bytes: &[u8], input: &Input<'_>) -> Result<Envelope, Failure> {
    Envelope::read(bytes)?.check(input.text("relates_to").as_deref())
}
