//! Forms and their answers: contract 4.6; 13.3 QuestionnaireResponse (updates), QuestionnaireVsQuestionnaireResponse.
use serde_json::{Value, json};
use uuid::Uuid;

use crate::site::{
    Admin, Local, Minimal, ORGANIZATION, PERSON_ROLE, PRACTITIONER, Practitioner, Remote, Site, Who, meta,
};
use crate::world::LOCAL;

const BUSINESS_KEY: &str = "The business-key of the process execution";
const USER_TASK_ID: &str = "The user-task-id of the process execution";
const AUTHORIZATION: &str = "http://dsf.dev/fhir/StructureDefinition/extension-questionnaire-authorization";

fn questionnaire(url: &str) -> Value {
    let item = |link: &str, kind: &str, text: &str, required: bool| json!({"linkId": link, "type": kind, "text": text, "required": required});
    json!({
        "resourceType": "Questionnaire", "meta": meta(&["ALL"]), "url": url, "version": "1.0", "status": "active",
        "date": "2026-11-23", "subjectType": ["QuestionnaireResponse"], "item": [
            item("business-key", "string", BUSINESS_KEY, true),
            item("user-task-id", "string", USER_TASK_ID, true),
            {"linkId": "note", "type": "display", "text": "Please look closely"},
            item("release", "boolean", "Release?", true),
            item("why", "string", "Why?", false),
        ],
    })
}

fn answer(link: &str, text: &str, value: Value) -> Value {
    json!({"linkId": link, "text": text, "answer": [value]})
}

fn response(url: &str) -> Value {
    json!({
        "resourceType": "QuestionnaireResponse", "status": "in-progress", "questionnaire": format!("{url}|1.0"),
        "item": [
            answer("business-key", BUSINESS_KEY, json!({"valueString": "0a1b2c3d-73a6-44b2-9dd1-1d47c1c3b1f6"})),
            answer("user-task-id", USER_TASK_ID, json!({"valueString": "task-1"})),
            {"linkId": "note", "text": "Please look closely"},
            answer("release", "Release?", json!({"valueBoolean": true})),
            answer("why", "Why?", json!({"valueString": "because"})),
        ],
    })
}

/// Only persons with this role answer.
fn for_role(mut response: Value, role: &str) -> Value {
    let coding = json!({"system": PERSON_ROLE, "code": role});
    response["extension"] =
        json!([{"url": AUTHORIZATION, "extension": [{"url": "practitioner-role", "valueCoding": coding}]}]);
    response
}

/// The stored response as a caller completes it.
fn completed(site: &Site, who: Who, stored: &Value) -> Value {
    let mut next = stored.clone();
    let (ty, system, value) = match who {
        Local => ("Organization", ORGANIZATION, LOCAL),
        Remote => ("Organization", ORGANIZATION, "remote.test"),
        person => ("Practitioner", PRACTITIONER, site.person(person)),
    };
    next["status"] = json!("completed");
    next["authored"] = json!("2026-11-23T10:00:00+01:00");
    next["author"] = json!({"type": ty, "identifier": {"system": system, "value": value}});
    next
}

fn with(mut resource: Value, pointer: &str, value: Value) -> Value {
    *resource.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value;
    resource
}

fn without_item(mut resource: Value, link: &str) -> Value {
    resource["item"].as_array_mut().unwrap().retain(|item| item["linkId"] != link);
    resource
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_given_once_by_those_asked() {
    let site = Site::start().await;
    let url = "http://test.example/Questionnaire/release";
    site.create(Local, &questionnaire(url)).await;
    site.create(Local, &questionnaire("http://test.example/Questionnaire/other")).await;
    let plain = response(url);
    for (what, who, resource, expected) in [
        ("the site", Local, plain.clone(), 201),
        ("its administrator", Admin, plain.clone(), 201),
        ("a person", Practitioner, plain.clone(), 403),
        ("another site", Remote, plain.clone(), 403),
        ("completed at once", Local, completed(&site, Local, &plain), 403),
        (
            "of no Questionnaire",
            Local,
            with(plain.clone(), "/questionnaire", json!("http://test.example/none|1.0")),
            403,
        ),
        ("without user-task-id", Local, without_item(plain.clone(), "user-task-id"), 403),
    ] {
        let answer = site.ask(who, "POST QuestionnaireResponse", &[], &resource).await;
        assert_eq!(answer.status.as_u16(), expected, "create by {what}: {}", answer.body);
    }

    // What a row starts from, who changes it, how, and the status of the answer.
    let dic = for_role(plain.clone(), "DIC_USER");
    let uac = for_role(plain.clone(), "UAC_USER");
    type Change<'a> = Box<dyn Fn(&Value) -> Value + 'a>;
    let by = |who: Who| {
        let site = &site;
        move |stored: &Value| completed(site, who, stored)
    };
    let own = by(Local);
    let rows: Vec<(&str, &Value, Who, Change<'_>, u16)> = vec![
        ("completed", &plain, Local, Box::new(&own), 200),
        ("not changed", &plain, Local, Box::new(|stored| stored.clone()), 403),
        ("no user-task-id", &plain, Local, Box::new(|stored| without_item(own(stored), "user-task-id")), 403),
        (
            "another user-task-id",
            &plain,
            Local,
            Box::new(|stored| with(own(stored), "/item/1/answer/0/valueString", json!("x"))),
            403,
        ),
        (
            "another business-key",
            &plain,
            Local,
            Box::new(|stored| with(own(stored), "/item/0/answer/0/valueString", json!("x"))),
            403,
        ),
        (
            "another Questionnaire",
            &plain,
            Local,
            Box::new(|stored| {
                with(own(stored), "/questionnaire", json!("http://test.example/Questionnaire/other|1.0"))
            }),
            403,
        ),
        ("another author", &plain, Local, Box::new(|stored| completed(&site, Remote, stored)), 403),
        (
            "no time",
            &plain,
            Local,
            Box::new(|stored| {
                let mut next = own(stored);
                next.as_object_mut().unwrap().remove("authored");
                next
            }),
            403,
        ),
        (
            "a required answer is missing",
            &plain,
            Local,
            Box::new(|stored| without_item(own(stored), "release")),
            403,
        ),
        (
            "an optional answer is missing",
            &plain,
            Local,
            Box::new(|stored| without_item(own(stored), "why")),
            200,
        ),
        (
            "an answer of another type",
            &plain,
            Local,
            Box::new(|stored| with(own(stored), "/item/3/answer/0", json!({"valueString": "yes"}))),
            403,
        ),
        ("stopped", &plain, Local, Box::new(|stored| with(stored.clone(), "/status", json!("stopped"))), 200),
        (
            "stopped by a person",
            &plain,
            Practitioner,
            Box::new(|stored| with(stored.clone(), "/status", json!("stopped"))),
            403,
        ),
        ("by the administrator", &uac, Admin, Box::new(|stored| completed(&site, Admin, stored)), 200),
        (
            "by a person with the role",
            &dic,
            Minimal,
            Box::new(|stored| completed(&site, Minimal, stored)),
            200,
        ),
        (
            "by a person without the role",
            &uac,
            Minimal,
            Box::new(|stored| completed(&site, Minimal, stored)),
            403,
        ),
        (
            "a text changed by a person",
            &dic,
            Minimal,
            Box::new(|stored| with(completed(&site, Minimal, stored), "/item/2/text", json!("Do not look"))),
            403,
        ),
        (
            "a text changed by the site",
            &dic,
            Local,
            Box::new(|stored| with(own(stored), "/item/2/text", json!("Do not look"))),
            200,
        ),
        (
            "authorization changed by a person",
            &dic,
            Minimal,
            Box::new(|stored| for_role(completed(&site, Minimal, stored), "UAC_USER")),
            403,
        ),
        ("by another site", &plain, Remote, Box::new(|stored| completed(&site, Remote, stored)), 403),
    ];
    for (what, from, who, change, expected) in rows {
        let id = site.create(Local, from).await;
        let stored = site.get(Local, &format!("QuestionnaireResponse/{id}")).await.json();
        let line = format!("PUT QuestionnaireResponse/{id}");
        let answer = site.ask(who, &line, &[], &change(&stored)).await;
        assert_eq!(answer.status.as_u16(), expected, "{what}, {who:?}: {}", answer.body);
        let version =
            site.get(Local, &format!("QuestionnaireResponse/{id}")).await.json()["meta"]["versionId"].clone();
        assert_eq!(version, if expected == 200 { "2" } else { "1" }, "{what}");
    }

    // Once completed it is only amended, by the site.
    let id = site.create(Local, &dic).await;
    let line = format!("PUT QuestionnaireResponse/{id}");
    let stored = site.get(Local, &format!("QuestionnaireResponse/{id}")).await.json();
    let done = site.ask(Local, &line, &[], &completed(&site, Local, &stored)).await.json();
    let amended = with(done.clone(), "/status", json!("amended"));
    for (who, next, expected) in [
        (Local, &done, 403),
        (Minimal, &amended, 403),
        (Practitioner, &amended, 403),
        (Remote, &amended, 403),
        (Local, &with(amended.clone(), "/authored", json!("2026-11-24")), 403),
        (Admin, &amended, 200),
        (Local, &amended, 403),
    ] {
        let answer = site.ask(who, &line, &[], next).await;
        assert_eq!(answer.status.as_u16(), expected, "{who:?} to {}: {}", next["status"], answer.body);
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_and_its_answer_come_in_one_bundle() {
    let site = Site::start().await;
    let post = |resource: &Value| {
        json!({"fullUrl": format!("urn:uuid:{}", Uuid::new_v4()), "resource": resource,
            "request": {"method": "POST", "url": resource["resourceType"]}})
    };
    for (number, first) in [(1, true), (2, false)] {
        let url = format!("http://test.example/Questionnaire/{number}");
        let (form, answer) = (post(&questionnaire(&url)), post(&response(&url)));
        let entries = if first { [form, answer] } else { [answer, form] };
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
        let answer = site.ask(Local, "POST ", &[], &bundle).await;
        assert_eq!(answer.status, 200, "the form first: {first}: {}", answer.body);
        for index in [0, 1] {
            assert_eq!(answer.json()["entry"][index]["response"]["status"], "201 Created");
        }
    }
    let alone = json!({"resourceType": "Bundle", "type": "transaction", "entry": [post(&response("http://test.example/Questionnaire/3"))]});
    assert_eq!(site.ask(Local, "POST ", &[], &alone).await.status, 403);
    site.stop().await;
}
