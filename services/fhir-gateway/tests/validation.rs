//! Validation as clients see it: what is refused and how, which definitions count, at every replica.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]

#[allow(dead_code, reason = "shared with other tests")]
#[path = "gateway/client.rs"]
mod client;
#[allow(dead_code, reason = "shared with other tests")]
#[path = "gateway/world.rs"]
mod world;

use client::Client;
use serde_json::{Value, json};
use world::{Replica, World, until_async};

const JSON: &str = "application/fhir+json";
const HEADERS: [(&str, &str); 2] = [("content-type", JSON), ("accept", JSON)];
const PROFILE: &str = "http://test.local/fhir/StructureDefinition/patient";

struct Caller<'w> {
    client: Client,
    replica: &'w Replica,
}

impl Caller<'_> {
    async fn ask(&self, line: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let headers = if body.is_empty() { &HEADERS[1..] } else { &HEADERS[..] };
        let answer = self.client.ask(self.replica.address, line, headers, &body).await.unwrap();
        (answer.status.as_u16(), serde_json::from_str(&answer.body).unwrap_or(Value::Null))
    }
}

fn tagged(mut resource: Value, profiles: &[&str]) -> Value {
    let tag = json!({"system": "http://dsf.dev/fhir/CodeSystem/read-access-tag", "code": "ALL"});
    resource["meta"] = json!({"tag": [tag]});
    if !profiles.is_empty() {
        resource["meta"]["profile"] = json!(profiles);
    }
    resource
}

/// A profile of Patient that wants a birth date, or does not.
fn definition(url: &str, least: u32) -> Value {
    tagged(
        json!({
            "resourceType": "StructureDefinition", "url": url, "version": "1.0", "name": "TestPatient",
            "status": "active", "date": "2026-01-01", "kind": "resource", "abstract": false, "type": "Patient",
            "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient", "derivation": "constraint",
            "differential": {"element": [
                {"id": "Patient.birthDate", "path": "Patient.birthDate", "min": least},
            ]},
        }),
        &[],
    )
}

fn patient(profile: &str) -> Value {
    tagged(json!({"resourceType": "Patient", "active": true}), &[profile])
}

fn issues(outcome: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    outcome["issue"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|issue| (text(&issue["severity"]), text(&issue["code"]), text(&issue["location"][0])))
        .collect()
}

fn error(location: &str) -> (String, String, String) {
    ("error".to_owned(), "processing".to_owned(), location.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn resources_are_validated_at_every_replica() {
    let world = World::start().await;
    let (first, second) = (Replica::start(world.config()).await, Replica::start(world.config()).await);
    let caller = |replica| Caller { client: Client::new(&world.authority, Some(&world.local)), replica };
    let (here, there) = (caller(&first), caller(&second));

    // What the framework's own profiles and R4 say; every message is in the outcome.
    let bad = tagged(json!({"resourceType": "Patient", "contact": [{"gender": "male"}], "id": "a_b"}), &[]);
    let (status, outcome) = here.ask("POST /fhir/Patient", &bad).await;
    assert_eq!((status, issues(&outcome)), (403, vec![error("Patient.id"), error("Patient.contact[0]")]));
    let (status, outcome) = here.ask("POST /fhir/Patient", &patient(PROFILE)).await;
    assert_eq!((status, issues(&outcome)), (403, vec![error("Patient.meta.profile[1]")]), "not known yet");

    // A profile counts as soon as it is stored, here and at the other replica.
    let (status, stored) = here.ask("POST /fhir/StructureDefinition", &definition(PROFILE, 1)).await;
    assert_eq!(status, 201, "{stored}");
    let refused = (403, vec![error("Patient")]);
    let (status, outcome) = here.ask("POST /fhir/Patient", &patient(PROFILE)).await;
    assert_eq!((status, issues(&outcome)), refused, "{outcome}");
    until_async("the other replica knows the profile", async || {
        let (status, outcome) = there.ask("POST /fhir/Patient", &patient(PROFILE)).await;
        ((status, issues(&outcome)) == refused).then_some(())
    })
    .await;

    // The operations write nothing.
    let (status, outcome) = there.ask("POST /fhir/Patient/$validate", &patient(PROFILE)).await;
    assert_eq!((status, issues(&outcome)), (200, refused.1.clone()));
    let wrapped = json!({"resourceType": "Parameters", "parameter": [
        {"name": "profile", "valueUri": PROFILE},
        {"name": "resource", "resource": tagged(json!({"resourceType": "Patient", "active": true}), &[])},
    ]});
    let (status, outcome) = there.ask("POST /fhir/Patient/$validate", &wrapped).await;
    assert_eq!((status, issues(&outcome)), (200, refused.1.clone()));
    let (status, found) = here.ask("GET /fhir/Patient", &Value::Null).await;
    assert_eq!((status, &found["total"]), (200, &json!(0)));
    let id = stored["id"].as_str().unwrap();
    for line in [
        format!("GET /fhir/StructureDefinition/{id}/$snapshot"),
        format!("GET /fhir/StructureDefinition/$snapshot?url={PROFILE}"),
    ] {
        let (status, with) = there.ask(&line, &Value::Null).await;
        let elements = with["snapshot"]["element"].as_array().map_or(&[][..], Vec::as_slice);
        let birth = elements.iter().find(|element| element["path"] == "Patient.birthDate");
        assert_eq!((status, birth.map(|birth| &birth["min"])), (200, Some(&json!(1))), "{line}");
    }
    let (status, outcome) =
        here.ask(&format!("POST /fhir/StructureDefinition/{id}/$validate"), &Value::Null).await;
    assert_eq!(status, 200, "{outcome}");
    assert!(issues(&outcome).iter().all(|(severity, ..)| severity != "error"), "{outcome}");

    // A changed profile counts from then on.
    let mut looser = definition(PROFILE, 0);
    looser["id"] = json!(id);
    let (status, outcome) = here.ask(&format!("PUT /fhir/StructureDefinition/{id}"), &looser).await;
    assert_eq!(status, 200, "{outcome}");
    assert_eq!(here.ask("POST /fhir/Patient", &patient(PROFILE)).await.0, 201);
    until_async("the other replica knows the change", async || {
        (there.ask("POST /fhir/Patient", &patient(PROFILE)).await.0 == 201).then_some(())
    })
    .await;

    // A transaction sees the profiles it brings; what is refused leaves nothing behind.
    for (least, expected) in [(1, 403), (0, 200)] {
        let url = format!("{PROFILE}-of-the-bundle");
        let entry = |resource: Value| {
            json!({
                "fullUrl": format!("urn:uuid:{}", uuid::Uuid::new_v4()),
                "request": {"method": "POST", "url": resource["resourceType"]}, "resource": resource,
            })
        };
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
            entry(definition(&url, least)), entry(patient(&url)),
        ]});
        let (status, answer) = here.ask("POST /fhir", &bundle).await;
        assert_eq!(status, expected, "{answer}");
        let (_, found) = there.ask(&format!("GET /fhir/StructureDefinition?url={url}"), &Value::Null).await;
        assert_eq!(found["total"], json!(i32::from(expected == 200)), "{found}");
    }
    first.stop().await;
    second.stop().await;
}
