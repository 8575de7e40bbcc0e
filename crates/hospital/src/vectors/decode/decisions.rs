//! Decisions about consents, and the consents that they come from.
use serde_json::{Value, json};

use super::{Input, envelope, error, failed, with};
use crate::{
    consent::{Consent, Kind, Policy, permits},
    decision::Check,
    failure::Failure,
    gics,
    json::Json,
    ser,
    vectors::read_file,
};

pub fn decisions(result: Result<Vec<crate::decision::Answered>, Failure>, input: &Input<'_>) -> Value {
    let asked = input.texts("asked");
    match result {
        Ok(answered) => check(&Check::new(&asked, answered, &input.texts("obligations_understood")), &asked),
        Err(failure) => with(
            failed(&failure),
            json!({"check": "failed", "kept": [], "decisions": {}, "fail_closed": "deny"}),
        ),
    }
}

fn check(check: &Check, asked: &[String]) -> Value {
    let map = |entries: Vec<(&String, &str)>| {
        Value::Object(entries.into_iter().map(|(id, word)| (id.clone(), json!(word))).collect())
    };
    let mut decoded = json!({
        "outcome": check.outcome(asked),
        "check": if check.failed { "failed" } else { "ok" },
        "decisions": map(check.decisions.iter().map(|(id, decision)| (id, decision.as_str())).collect()),
        "deny_reasons": map(check.deny_reasons.iter().map(|(id, reason)| (id, reason.as_str())).collect()),
        "status_codes": map(check.statuses.iter().map(|(id, code)| (id, code.as_str())).collect()),
        "status_texts": map(check.texts.iter().map(|(id, text)| (id, text.as_str())).collect()),
        "ignored_ids": check.ignored,
        "kept": check.kept,
        "fail_closed": if check.kept.is_empty() { "deny" } else { "permit" },
    });
    if check.failed
        && let Some(told) = &check.told
    {
        decoded["error"] = error(told);
    }
    decoded
}

pub fn saml(bytes: &[u8], input: &Input<'_>) -> Value {
    let envelope = match envelope(bytes, input) {
        Ok(envelope) => envelope,
        Err(failure) => return decisions(Err(failure), input),
    };
    let (status, result) = ser::read(&envelope, &input.text("request_id").unwrap_or_default());
    with(decisions(result, input), json!({"saml_status": status}))
}

fn policies<'a>(all: impl Iterator<Item = &'a Policy>) -> Vec<Value> {
    all.map(|policy| {
        json!({
            "code": policy.code,
            "gics_code": policy.gics,
            "type": policy.kind.as_str(),
            "start": policy.start,
            "end": policy.end,
        })
    })
    .collect()
}

pub fn gics_answer(bytes: &[u8], input: &Input<'_>) -> Value {
    let asked = input.texts("asked");
    let person = asked.first().cloned().unwrap_or_default();
    let permitted = match gics::read(input.status(), bytes, &person) {
        Err(failure) => return decisions(Err(failure), input),
        Ok(gics::Answer::UnknownPerson) => (Some(false), Vec::new()),
        Ok(gics::Answer::Consented(consented)) => (Some(consented), Vec::new()),
        Ok(gics::Answer::Policies(consents)) => {
            let codes = input.codes();
            let permitted = input.at().zip(codes).map(|(at, codes)| {
                !codes.is_empty() && codes.iter().all(|code| permits(&consents, *code, at, input.zone()))
            });
            (permitted, policies(consents.iter().flat_map(|consent| &consent.policies)))
        }
    };
    let (permitted, policies) = permitted;
    let said = json!({"policies": policies});
    let Some(permitted) = permitted else { return with(json!({"outcome": "found", "check": "ok"}), said) };
    let decision =
        if permitted { crate::decision::Decision::Permit } else { crate::decision::Decision::Deny };
    let answered = crate::decision::Answered {
        id: Some(person),
        decision,
        obligations: Vec::new(),
        status: None,
        told: None,
    };
    with(decisions(Ok(vec![answered]), input), said)
}

pub fn fhir_consent(bytes: &[u8], input: &Input<'_>) -> Value {
    let consent = match Json::read(bytes).and_then(|json| Consent::read(&json)) {
        Ok(consent) => consent,
        Err(reason) => return with(failed(&reason.into()), json!({"fail_closed": "deny"})),
    };
    let mut decoded = json!({
        "id": consent.id,
        "status": consent.status,
        "date_time": consent.date_time,
        "patient": consent.patient,
        "root_type": consent.root.map(Kind::as_str),
        "policies": policies(consent.policies.iter()),
    });
    let Some(at) = input.at() else { return decoded };
    let mut consents = vec![consent];
    for file in input.texts("together_with") {
        let other = read_file(input.folder, &file).and_then(|bytes| Json::read(&bytes).ok());
        match other.as_ref().map(Consent::read) {
            Some(Ok(other)) => consents.push(other),
            // What cannot be read might be a withdrawal.
            _ => return json!({"outcome": "indeterminate", "fail_closed": "deny"}),
        }
    }
    let word = |permitted: bool| if permitted { Kind::Permit.as_str() } else { Kind::Deny.as_str() };
    let permits = |code: u32| permits(&consents, code, at, input.zone());
    if let Some(codes) = input.codes() {
        let all = !codes.is_empty() && codes.iter().all(|code| permits(*code));
        decoded["outcome"] = json!(word(all));
        decoded["fail_closed"] = json!(word(all));
    }
    let mut mentioned: Vec<u32> = consents.iter().flat_map(Consent::codes).collect();
    mentioned.extend(input.codes().unwrap_or_default());
    decoded["codes"] = mentioned.iter().map(|code| (code.to_string(), json!(word(permits(*code))))).collect();
    decoded
}
