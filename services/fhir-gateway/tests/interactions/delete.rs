//! Delete, conditional delete and `$permanent-delete`: contract 1.8; 13.3 Patient, ResearchStudy, Task,
//! Binary and ValueSet deletes.
use serde_json::{Value, json};
use uuid::Uuid;

use crate::site::{Admin, Local, Minimal, Practitioner, Remote, Site, group, meta};

#[tokio::test(flavor = "multi_thread")]
async fn marks_and_erases() {
    let site = Site::start().await;
    let id = site.create(Local, &group("1", &["ALL"])).await;
    let ask = async |who, line: &str| site.ask(who, line, &[], &Value::Null).await;
    let outcome = |answer: &crate::client::Answer| {
        (answer.status.as_u16(), answer.json()["issue"][0]["severity"].clone())
    };

    // Who may not; what is not there.
    for (who, line, status) in [
        (Remote, format!("DELETE Group/{id}"), 403),
        (Minimal, format!("DELETE Group/{id}"), 403),
        (Local, format!("DELETE Group/{}", Uuid::new_v4()), 404),
        (Local, "DELETE Group/7".to_owned(), 404),
        (Local, format!("POST Group/{id}/$permanent-delete"), 400),
        (Remote, format!("POST Group/{id}/$permanent-delete"), 403),
        (Local, format!("POST Group/{}/$permanent-delete", Uuid::new_v4()), 404),
    ] {
        let answer = ask(who, &line).await;
        assert_eq!(answer.status.as_u16(), status, "{who:?} {line}: {}", answer.body);
    }

    // Marked, twice; versions stay readable.
    for attempt in ["first", "second"] {
        let answer = ask(Local, &format!("DELETE Group/{id}")).await;
        assert_eq!(outcome(&answer), (200, json!("information")), "{attempt} delete");
    }
    for (path, status) in [
        (format!("Group/{id}"), 410),
        (format!("Group/{id}/_history/1"), 200),
        (format!("Group/{id}/_history/2"), 410),
        (format!("Group/{id}/_history/3"), 404),
    ] {
        assert_eq!(site.get(Local, &path).await.status.as_u16(), status, "{path}");
    }
    let gone = site.get(Local, &format!("Group/{id}")).await;
    let location = format!("{}/Group/{id}/_history/2", site.base);
    assert_eq!((gone.header("etag"), gone.header("location")), (Some("W/\"2\""), Some(location.as_str())));
    assert_eq!(gone.code(), "deleted");
    let mut back = group("1", &["ALL"]);
    back["id"] = json!(id);
    assert_eq!(site.ask(Local, &format!("PUT Group/{id}"), &[], &back).await.status, 410, "no undelete");

    // Erased: nothing is left, under any address. Persons need the role for it.
    let line = format!("POST Group/{id}/$permanent-delete/");
    assert_eq!(ask(Practitioner, &line).await.diagnostics(), "Operation permanent delete forbidden");
    assert_eq!(
        outcome(&ask(Admin, &line).await),
        (200, json!("information")),
        "a trailing slash is tolerated"
    );
    for path in [format!("Group/{id}"), format!("Group/{id}/_history/1"), format!("Group/{id}/_history/2")] {
        let answer = site.get(Local, &path).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (404, ""), "{path}");
    }
    assert_eq!(site.get(Local, &format!("Group/{id}/_history")).await.json()["total"], 0);
    assert_eq!(ask(Local, &line).await.status, 404);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_condition_only_one() {
    let site = Site::start().await;
    for identifier in ["1", "2", "2"] {
        site.create(Local, &group(identifier, &["ALL"])).await;
    }
    let ask = async |who, query: &str| {
        site.ask(who, &format!("DELETE Group?{query}"), &[], &Value::Null).await.status.as_u16()
    };
    for (who, query, status) in [
        (Local, "identifier=http://test|3", 204),
        (Local, "identifier=http://test|2", 412),
        (Local, "unknown=1", 400),
        (Local, "", 400),
        (Remote, "identifier=http://test|1", 403),
        (Local, "identifier=http://test|1", 200),
        (Local, "identifier=http://test|1", 204),
    ] {
        assert_eq!(ask(who, query).await, status, "{who:?} {query}");
    }

    // 13.3 ValueSet: delete and create of the same url and version in one transaction.
    let value_set = json!({
        "resourceType": "ValueSet", "meta": meta(&["ALL"]), "url": "http://test/ValueSet/x", "version": "1",
        "name": "X", "status": "active", "date": "2026-11-23",
    });
    let id = site.create(Local, &value_set).await;
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"fullUrl": format!("urn:uuid:{}", Uuid::new_v4()), "resource": value_set, "request": {"method": "POST", "url": "ValueSet"}},
        {"request": {"method": "DELETE", "url": format!("ValueSet/{id}")}},
    ]});
    let answer = site.ask(Local, "POST ", &[], &bundle).await.json();
    assert_eq!(answer["entry"][0]["response"]["status"], "201 Created", "{answer}");
    assert_eq!(answer["entry"][1]["response"]["status"], "200 OK", "answers keep the order of the request");
    assert!(!answer["entry"][0]["fullUrl"].as_str().unwrap().ends_with(&id), "a new id");
    site.stop().await;
}
