//! Subscriptions as resources: contract 4.3, 6.3; 13.3 Subscription.
use serde_json::{Value, json};

use crate::site::{JSON, Local, Remote, Site, meta};

fn subscription(criteria: &str, payload: Option<&str>) -> Value {
    let mut channel = json!({"type": "websocket"});
    if let Some(payload) = payload {
        channel["payload"] = json!(payload);
    }
    json!({"resourceType": "Subscription", "meta": meta(&["LOCAL"]), "status": "active", "reason": "test",
        "criteria": criteria, "channel": channel})
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_can_be_served_is_stored() {
    let site = Site::start().await;
    let post = async |resource: &Value| site.ask(Local, "POST Subscription", &[], resource).await;
    let patient = |payload| subscription("Patient?active=true", payload);
    let change = |pointer: &str, value: Value| {
        let mut resource = subscription("Group?identifier=x", Some(JSON));
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = resource.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Value::Null => drop(parent.remove(name)),
            value => drop(parent.insert(name.to_owned(), value)),
        }
        resource
    };
    for (what, resource, expected) in [
        ("JSON", patient(Some(JSON)), 201),
        ("XML", patient(Some("application/fhir+xml")), 201),
        ("no payload, as the payload is part of the key", patient(None), 201),
        ("no payload again", patient(None), 403),
        ("JSON again", patient(Some(JSON)), 403),
        ("several states", subscription("Task?status=completed,failed", Some(JSON)), 201),
        ("no status", change("/status", Value::Null), 403),
        ("unknown status", change("/status", json!("sometimes")), 403),
        ("no reason", change("/reason", Value::Null), 403),
        ("no criteria", change("/criteria", Value::Null), 403),
        ("no channel", change("/channel", Value::Null), 403),
        ("no channel type", change("/channel/type", Value::Null), 403),
        ("a rest-hook", change("/channel/type", json!("rest-hook")), 403),
        ("an e-mail", change("/channel/type", json!("email")), 403),
        ("a payload of text", change("/channel/payload", json!("text/plain")), 403),
        ("a payload of JSON, not FHIR", change("/channel/payload", json!("application/json")), 403),
        ("no such parameter", change("/criteria", json!("Group?unknown=x")), 403),
        ("no such modifier", change("/criteria", json!("Group?identifier:text=x")), 403),
        ("an unreadable value", change("/criteria", json!("Task?authored-on=soon")), 403),
        ("no such type", change("/criteria", json!("Observation?code=x")), 403),
        ("a path", change("/criteria", json!("Group/1?identifier=x")), 403),
        ("an address", change("/criteria", json!("https://x.test/Group?identifier=x")), 403),
        ("no type", change("/criteria", json!("?identifier=x")), 403),
        ("no tag", change("/meta", json!({})), 403),
    ] {
        let answer = post(&resource).await;
        assert_eq!(answer.status.as_u16(), expected, "{what}: {}", answer.body);
        if expected == 201 {
            assert_eq!(answer.json()["meta"]["versionId"], "1");
        }
    }
    let bundled = site
        .get(
            Local,
            "Subscription?criteria:exact=Task?status=requested,QuestionnaireResponse?status=completed",
        )
        .await
        .json();
    let bundled: Vec<&Value> =
        bundled["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]).collect();
    assert!(bundled.len() >= 2, "an engine finds what it binds: {bundled:?}");
    for resource in bundled {
        let mut copy = resource.clone();
        copy.as_object_mut().unwrap().remove("id");
        assert_eq!(post(&copy).await.status, 403, "there already: {copy}");
    }
    assert_eq!(
        site.ask(Remote, "POST Subscription", &[], &subscription("Group?identifier=y", None)).await.status,
        403
    );

    let id = site.create(Local, &subscription("Group?identifier=z", Some(JSON))).await;
    let stored = site.get(Local, &format!("Subscription/{id}")).await.json();
    let line = format!("PUT Subscription/{id}");
    let mut without = stored.clone();
    without["channel"].as_object_mut().unwrap().remove("payload");
    let changed = |pointer: &str, value: &str| {
        let mut next = stored.clone();
        *next.pointer_mut(pointer).unwrap() = json!(value);
        next
    };
    for (what, next, expected) in [
        ("criteria", changed("/criteria", "Group?identifier=other"), 403),
        ("payload", changed("/channel/payload", "application/fhir+xml"), 403),
        ("no payload", without, 403),
        ("reason", changed("/reason", "another"), 200),
        ("status", changed("/status", "off"), 200),
    ] {
        let answer = site.ask(Local, &line, &[], &next).await;
        assert_eq!(answer.status.as_u16(), expected, "{what}: {}", answer.body);
    }
    site.stop().await;
}
