//! Persons that a patient index answers with.
use serde_json::{Map, Value, json};

use super::{Input, envelope, failed, identifier, with};
use crate::{
    failure::{Failure, Reason},
    hl7v2::{self, Message, pdq},
    pdqm,
    person::{Continuation, Person, Persons, Verdict},
    soap::Envelope,
    v3,
    vectors::read_file,
};

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

pub fn pdq_v2(bytes: &[u8], input: &Input<'_>) -> Value {
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

pub fn pdq_v3(bytes: &[u8], input: &Input<'_>) -> Value {
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

pub fn pdqm_bundle(bytes: &[u8], input: &Input<'_>) -> Value {
    let asked = input.text("asked_id");
    let read = |bytes: &[u8]| pdqm::read(input.status(), bytes, asked.as_deref(), &input.profile());
    let before: Vec<Persons> = input
        .texts("previous_pages")
        .iter()
        .filter_map(|file| read(&read_file(input.folder, file)?).ok())
        .collect();
    persons(read(bytes), &before, input, json!({}))
}
