//! One decoder per kind of answer: what a file means, in the words of `expected.json`.
use std::path::Path;

use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{compare, read_file, request};
use crate::{
    audit,
    consent::{Consent, Kind, Policy, Zone, permits},
    decision::Check,
    failure::{Class, Failure, Reason, Told},
    gics,
    hl7v2::{self, Charset, Message, Options, acknowledgement, pdq, pix},
    json::Json,
    mllp, openehr, pdqm,
    person::{Continuation, Domain, Identifier, Person, Persons, Profile, Query, Repetition, Verdict},
    pixm, ser,
    soap::Envelope,
    v3, xacml,
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

/// Settings of an adapter, as far as they change what a message means.
pub struct Settings {
    frame_limit: usize,
    repetition: Option<Repetition>,
    pub(super) options: Options,
    zone: Zone,
}

impl Settings {
    /// Reads settings; the name of the first one that cannot be set.
    pub fn read(json: &Json) -> Result<Self, String> {
        let mut settings = Self {
            frame_limit: mllp::FRAME_LIMIT,
            repetition: None,
            options: Options::default(),
            zone: Zone::Berlin,
        };
        for (name, value) in json.members() {
            let known = match (name.as_str(), value) {
                ("frame_limit", Json::Number(number)) => {
                    number.parse().map(|limit| settings.frame_limit = limit).is_ok()
                }
                ("repetition", Json::Text(text)) => {
                    settings.repetition = match text.as_str() {
                        "first" => Some(Repetition::First),
                        "preferred" => Some(Repetition::Preferred),
                        _ => return Err(name.clone()),
                    };
                    true
                }
                ("charset", Json::Text(text)) => match Charset::from_setting(text) {
                    Some(charset) => {
                        settings.options.charset = charset;
                        true
                    }
                    None => false,
                },
                ("lenient", Json::Boolean(lenient)) => {
                    settings.options.lenient = *lenient;
                    true
                }
                ("mode" | "parser" | "segment_terminator", Json::Text(text)) => match text.as_str() {
                    "lenient" | "any" => {
                        settings.options.lenient = true;
                        true
                    }
                    "strict" | "cr" => true,
                    _ => false,
                },
                ("time_zone", Json::Text(text)) => match Zone::from_setting(text) {
                    Some(zone) => {
                        settings.zone = zone;
                        true
                    }
                    None => false,
                },
                ("on_indeterminate", Json::Text(text)) => text == "fail",
                ("on_multiple", Json::Text(text)) => text == "fail" || text == "ambiguous",
                _ => false,
            };
            if !known {
                return Err(name.clone());
            }
        }
        Ok(settings)
    }
}

/// What a decoder is given beside the bytes.
pub struct Input<'a> {
    pub folder: &'a Path,
    pub context: &'a Json,
    pub settings: &'a Settings,
}

impl Input<'_> {
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.context.get(name).filled()
    }

    fn texts(&self, name: &str) -> Vec<String> {
        self.context.get(name).items().iter().filter_map(Json::filled).collect()
    }

    fn status(&self) -> u16 {
        self.context.get("http_status").whole().and_then(|status| status.try_into().ok()).unwrap_or(200)
    }

    fn query(&self) -> Query {
        match self.context.get("query").text() {
            Some("demographics") => Query::Demographics,
            Some("match") => Query::Match,
            _ => Query::Identifier,
        }
    }

    fn profile(&self) -> Profile {
        let insurance = self.context.get("insurance_authority");
        Profile {
            authority: domain(self.context.get("authority")),
            insurance_authority: (!insurance.is_null()).then(|| domain(insurance)),
            repetition: self.settings.repetition,
        }
    }

    fn cross_reference(&self) -> pix::Asked {
        pix::Asked {
            control_id: self.text("control_id"),
            query_tag: self.text("query_tag"),
            id: self.text("asked_id"),
            source: domain(self.context.get("source_domain")),
            targets: self.context.get("target_domains").items().iter().map(domain).collect(),
        }
    }

    fn zone(&self) -> Zone {
        self.context.get("time_zone").text().and_then(Zone::from_setting).unwrap_or(self.settings.zone)
    }

    fn at(&self) -> Option<OffsetDateTime> {
        let text = self.text("at")?;
        match OffsetDateTime::parse(&text, &Rfc3339) {
            Ok(at) => Some(at),
            Err(_) => self.zone().span(&text).map(|span| span.first),
        }
    }

    fn codes(&self) -> Option<Vec<u32>> {
        let codes = self.context.find("codes")?.items();
        Some(codes.iter().filter_map(|code| code.whole().and_then(|code| code.try_into().ok())).collect())
    }
}

fn domain(json: &Json) -> Domain {
    Domain {
        namespace: json.get("namespace").filled(),
        universal_id: json.get("universal_id").filled(),
        universal_id_type: json.get("universal_id_type").filled(),
        system: json.get("system").filled(),
    }
}

/// What the bytes mean.
pub fn decode(kind: &str, bytes: &[u8], input: &Input<'_>) -> Json {
    let decoded = match kind {
        "pdq-v2-response" => pdq_v2(bytes, input),
        "pdqv3-response" => pdq_v3(bytes, input),
        "pdqm-bundle" | "match-bundle" => pdqm_bundle(bytes, input),
        "pix-v2-response" => pix_v2(bytes, input),
        "pixv3-response" => pix_v3(bytes, input),
        "pixm-response" => match pixm::read(input.status(), bytes) {
            Ok(found) => {
                let asked = input.cross_reference();
                let asked_id = |id: &&Identifier| asked.id.as_ref() != Some(&id.value);
                let ids: Vec<Value> = found.identifiers.iter().filter(asked_id).map(identifier).collect();
                let outcome =
                    if ids.is_empty() && found.references.is_empty() { "not-found" } else { "found" };
                json!({"outcome": outcome, "identifiers": ids, "references": found.references})
            }
            Err(failure) => with(failed(&failure), json!({"identifiers": [], "references": []})),
        },
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
        "openehr-error" => failed(&openehr::refused(input.status(), bytes)),
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

pub(super) fn identifier(identifier: &Identifier) -> Value {
    let mut json = with(json!({"value": identifier.value}), domain_json(&identifier.domain));
    if let Some(kind) = &identifier.kind {
        json["type"] = json!(kind);
    }
    json
}

pub(super) fn domain_json(domain: &Domain) -> Value {
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

fn person(person: &Person) -> Value {
    let score = person.score.as_deref().and_then(|score| score.parse::<serde_json::Number>().ok());
    json!({
        "medic_id": person.medic_id,
        "last": person.last,
        "first": person.first,
        "birth": person.birth,
        "sex": person.sex.map(|sex| sex.letter()),
        "street": person.street,
        "zip": person.zip,
        "city": person.city,
        "country": person.country,
        "insurance": person.insurance,
        "identifiers": person.identifiers.iter().map(identifier).collect::<Vec<_>>(),
        "confidence": person.confidence,
        "score": score,
        "grade": person.grade,
        "resource": person.resource,
    })
}

/// A page of persons, after the pages before it.
fn persons(result: Result<Persons, Failure>, before: &[Persons], input: &Input<'_>, head: Value) -> Value {
    let nobody = || json!({"count": 0, "persons": []});
    let page = match result {
        Ok(page) => page,
        Err(failure) => return with(with(failed(&failure), head), nobody()),
    };
    let repeats = page.continuation.is_some()
        && before.iter().any(|earlier| {
            let same = earlier.continuation == page.continuation;
            let (rest, now) = (earlier.counts.remaining, page.counts.remaining);
            same || matches!((rest, now), (Some(rest), Some(now)) if now >= rest)
        });
    if repeats {
        return with(with(failed(&Reason::ContinuationLoop.into()), head), nobody());
    }
    let asked = input.text("asked_id");
    let verdict = match page.verdict(input.query(), asked.as_deref(), &input.profile().authority) {
        Ok(verdict) => verdict,
        Err(reason) => return with(with(failed(&reason.into()), head), nobody()),
    };
    let mut counts = Map::new();
    let stated = [
        ("total", page.counts.total),
        ("current", page.counts.current),
        ("remaining", page.counts.remaining),
    ];
    for (name, count) in stated {
        if let Some(count) = count {
            counts.insert(name.to_owned(), json!(count));
        }
    }
    let all = before.iter().map(|page| page.persons.len()).sum::<usize>() + page.persons.len();
    let continuation = page.continuation.as_ref().map(|next| match next {
        Continuation::Pointer(pointer) => json!(pointer),
        Continuation::Start(start) => json!(start),
    });
    let mut decoded = json!({
        "outcome": verdict.as_str(),
        "count": page.persons.len(),
        "count_all_pages": all,
        "counts": counts,
        "continuation": continuation,
        "persons": page.persons.iter().map(person).collect::<Vec<_>>(),
    });
    if verdict == Verdict::Continue {
        decoded["on_repeat"] = failed(&Reason::ContinuationLoop.into());
    }
    with(decoded, head)
}

fn pdq_v2(bytes: &[u8], input: &Input<'_>) -> Value {
    let read = |bytes: &[u8], control_id: Option<String>| {
        let asked = pdq::Asked { control_id, query_tag: input.text("query_tag"), id: input.text("asked_id") };
        match Message::read(bytes, input.settings.options) {
            Ok(message) => pdq::read(&message, &asked, &input.profile()),
            Err(reason) => (hl7v2::Acknowledgement::default(), Err(reason.into())),
        }
    };
    let (head, result) = read(bytes, input.text("control_id"));
    // Earlier pages answered other messages of the same query.
    let before: Vec<Persons> = input
        .texts("previous_pages")
        .iter()
        .filter_map(|file| read(&read_file(input.folder, file)?, None).1.ok())
        .collect();
    persons(result, &before, input, json!({"ack": head.code, "query_status": head.query_status}))
}

fn envelope(bytes: &[u8], input: &Input<'_>) -> Result<Envelope, Failure> {
    Envelope::read(bytes)?.check(input.text("relates_to").as_deref())
}

fn pdq_v3(bytes: &[u8], input: &Input<'_>) -> Value {
    let expected =
        v3::Expected { target_message: input.text("target_message"), query_id: input.text("query_id") };
    let asked = input.text("asked_id");
    let mut before = Vec::new();
    let mut count = 0;
    for file in input.texts("previous_pages") {
        let Some(Ok(envelope)) = read_file(input.folder, &file).map(|bytes| Envelope::read(&bytes)) else {
            continue;
        };
        let any = v3::Expected { target_message: None, query_id: expected.query_id.clone() };
        if let Ok(page) = v3::pdq::read(&envelope, &any, asked.as_deref(), count, &input.profile()).1 {
            count += page.persons.len() as u64;
            before.push(page);
        }
    }
    let (head, result) = match envelope(bytes, input) {
        Ok(envelope) => v3::pdq::read(&envelope, &expected, asked.as_deref(), count, &input.profile()),
        Err(failure) => (v3::Head::default(), Err(failure)),
    };
    let head = json!({"ack": head.ack, "query_status": head.query_status, "query_state": head.query_state});
    persons(result, &before, input, head)
}

fn pdqm_bundle(bytes: &[u8], input: &Input<'_>) -> Value {
    let asked = input.text("asked_id");
    let read = |bytes: &[u8]| pdqm::read(input.status(), bytes, asked.as_deref(), &input.profile());
    let before: Vec<Persons> = input
        .texts("previous_pages")
        .iter()
        .filter_map(|file| read(&read_file(input.folder, file)?).ok())
        .collect();
    persons(read(bytes), &before, input, json!({}))
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

fn pix_v2(bytes: &[u8], input: &Input<'_>) -> Value {
    let (head, result) = match Message::read(bytes, input.settings.options) {
        Ok(message) => pix::read(&message, &input.cross_reference()),
        Err(reason) => (hl7v2::Acknowledgement::default(), Err(reason.into())),
    };
    identifiers(result, json!({"ack": head.code, "query_status": head.query_status}))
}

fn pix_v3(bytes: &[u8], input: &Input<'_>) -> Value {
    let expected =
        v3::Expected { target_message: input.text("target_message"), query_id: input.text("query_id") };
    let (head, result) = match envelope(bytes, input) {
        Ok(envelope) => v3::pix::read(&envelope, &expected, &input.cross_reference()),
        Err(failure) => (v3::Head::default(), Err(failure)),
    };
    let head = json!({"ack": head.ack, "query_status": head.query_status, "query_state": head.query_state});
    identifiers(result, head)
}

fn hl7_ack(bytes: &[u8], input: &Input<'_>) -> Value {
    let (control_id, tag) = (input.text("control_id"), input.text("query_tag"));
    let head = Message::read(bytes, input.settings.options).and_then(|message| {
        acknowledgement(&message, control_id.as_deref(), tag.as_deref(), Class::IdUnknown)
    });
    match head {
        Ok(head) => {
            let said = json!({"ack": head.code});
            match head.check() {
                Ok(()) => with(json!({"outcome": "acknowledged"}), said),
                Err(failure) => with(failed(&failure), said),
            }
        }
        Err(reason) => failed(&reason.into()),
    }
}

/// Frames of the bytes fed in pieces of `size`; what stopped the reading.
fn frames(bytes: &[u8], size: usize, limit: usize) -> (mllp::Decoder, Vec<Vec<u8>>, Option<Reason>) {
    let mut decoder = mllp::Decoder::new(limit);
    let mut frames = Vec::new();
    for piece in bytes.chunks(size.max(1)) {
        match decoder.push(piece) {
            Ok(complete) => frames.extend(complete),
            Err(reason) => return (decoder, frames, Some(reason)),
        }
    }
    let end = decoder.end().err();
    (decoder, frames, end)
}

fn mllp_frame(bytes: &[u8], input: &Input<'_>) -> Value {
    let limit = input.settings.frame_limit;
    let (decoder, whole, end) = frames(bytes, bytes.len(), limit);
    let (_, single, single_end) = frames(bytes, 1, limit);
    // A run in one piece loses the frames of the piece that fails; what counts is the end.
    let same = end == single_end && (end.is_some() || whole == single);
    let mut decoded = match end {
        Some(reason) => failed(&reason.into()),
        None => json!({"outcome": "found"}),
    };
    decoded["noise_bytes"] = json!(decoder.noise_before_first);
    decoded["frame_count"] = json!(single.len());
    decoded["restarts"] = json!(decoder.restarts);
    decoded["frames"] = Value::Array(vec![json!({}); single.len()]);
    if !same {
        decoded["outcome"] = json!("differs byte by byte");
        decoded["frame_count"] = json!(-1);
    }
    decoded
}

/// Compares what is in the frames: another file byte for byte, or the meaning of a message.
pub fn compare_frames(bytes: &[u8], input: &Input<'_>, expected: &[Json], places: &mut Vec<String>) {
    let (_, found, _) = frames(bytes, 1, input.settings.frame_limit);
    // Frames are compared here; the comparison before only counted them.
    places.retain(|place| !place.starts_with("/frames/"));
    for (at, expected) in expected.iter().enumerate() {
        let place = format!("/frames/{at}");
        let Some(payload) = found.get(at) else {
            places.push(place);
            continue;
        };
        if let Some(file) = expected.get("same_as").text() {
            if read_file(input.folder, file).as_ref() != Some(payload) {
                places.push(place);
            }
        } else {
            let kind = expected.get("kind").text().unwrap_or_default();
            if !KINDS.contains(&kind) || kind == "mllp-frame" {
                places.push(place);
                continue;
            }
            let inner = Input { context: expected.get("context"), ..*input };
            compare::compare(&place, expected.get("expect"), &decode(kind, payload, &inner), places);
        }
    }
}

fn decisions(result: Result<Vec<crate::decision::Answered>, Failure>, input: &Input<'_>) -> Value {
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

fn saml(bytes: &[u8], input: &Input<'_>) -> Value {
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

fn gics_answer(bytes: &[u8], input: &Input<'_>) -> Value {
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

fn fhir_consent(bytes: &[u8], input: &Input<'_>) -> Value {
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

fn openehr_result(bytes: &[u8], input: &Input<'_>) -> Json {
    let set = match openehr::ResultSet::read(input.status(), bytes, crate::json::MAX_BYTES) {
        Ok(set) => set,
        Err(failure) => return failed(&failure).into(),
    };
    let text = |text: &str| Json::Text(text.to_owned());
    let number = |number: u64| Json::Number(number.to_string());
    let object = |members: Vec<(&str, Json)>| {
        Json::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    };
    let option = |value: &Option<String>| value.as_deref().map_or(Json::Null, text);
    let columns = set
        .columns
        .iter()
        .map(|column| object(vec![("name", text(&column.name)), ("path", option(&column.path))]));
    let rows = set.rows.iter().map(|row| {
        Json::List(
            row.iter()
                .map(|cell| {
                    let mut members = vec![("type", text(cell.kind())), ("raw", option(&cell.raw()))];
                    if let openehr::Cell::Object(json) = cell {
                        let mut texts = Vec::new();
                        number_texts("", json, &mut texts);
                        members.push(("value", json.clone()));
                        members.push(("number_texts", Json::Object(texts)));
                    }
                    object(members)
                })
                .collect(),
        )
    });
    let mut decoded = vec![
        ("q", option(&set.q)),
        ("name", option(&set.name)),
        ("columns", Json::List(columns.collect())),
        ("row_count", number(set.rows.len() as u64)),
        ("rows", Json::List(rows.collect())),
        ("meta", if set.meta.is_empty() { Json::Null } else { Json::Object(set.meta.clone()) }),
    ];
    let mut outcome = if set.rows.is_empty() { "not-found" } else { "found" };
    let mut reason = None;
    match input.context.get("purpose").text() {
        Some("count") => match set.count() {
            Ok(count) => {
                outcome = "found";
                decoded.push(("count_value", number(count)));
            }
            Err(found) => reason = Some(found),
        },
        Some("ids") => {
            let column = input.context.get("id_column");
            let (name, path) = (column.get("name").text(), column.get("path").text());
            match set.ids(name.unwrap_or_default(), path.unwrap_or_default()) {
                Ok((ids, without)) => {
                    decoded.push(("ids", Json::List(ids.into_iter().map(Json::Text).collect())));
                    decoded.push(("rows_without_id", number(without as u64)));
                }
                Err(found) => reason = Some(found),
            }
        }
        _ => {}
    }
    if let Some(reason) = reason {
        return failed(&reason.into()).into();
    }
    decoded.push(("outcome", text(outcome)));
    object(decoded)
}

/// Text of every number in a value, by JSON pointer.
fn number_texts(pointer: &str, json: &Json, texts: &mut Vec<(String, Json)>) {
    match json {
        Json::Number(number) => texts.push((pointer.to_owned(), Json::Text(number.clone()))),
        Json::List(items) => {
            for (at, item) in items.iter().enumerate() {
                number_texts(&format!("{pointer}/{at}"), item, texts);
            }
        }
        Json::Object(members) => {
            for (name, value) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                number_texts(&format!("{pointer}/{name}"), value, texts);
            }
        }
        _ => {}
    }
}
