//! History: contract 1.9; 13.3 QuestionnaireResponse History, ResearchStudy/Binary BasedOnHistory, Task
//! HistoryLiteralReferenceClean.
use serde_json::{Value, json};

use crate::site::{Admin, Local, Minimal, Remote, Site, group, meta, process};

fn total(bundle: &Value) -> u64 {
    bundle["total"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn shows_versions_to_those_who_may_read_them() {
    let site = Site::start().await;
    let id = site.create(Local, &group("1", &["ALL"])).await;
    let mut second = group("1", &["LOCAL"]);
    second["id"] = json!(id);
    let answer = site.ask(Local, &format!("PUT Group/{id}"), &[], &second).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let deleted = site.ask(Local, &format!("DELETE Group/{id}"), &[], &Value::Null).await;
    assert_eq!(deleted.status, 200);

    let history = site.get(Local, &format!("Group/{id}/_history")).await.json();
    assert_eq!((&history["type"], total(&history)), (&json!("history"), 3));
    let entries = history["entry"].as_array().unwrap();
    let url = format!("{}/Group/{id}", site.base);
    let seen: Vec<Value> = entries
        .iter()
        .map(|entry| {
            let (request, response) = (&entry["request"], &entry["response"]);
            json!([
                request["method"],
                request["url"],
                response["status"],
                response["location"],
                response["etag"],
                entry["fullUrl"],
                entry["resource"].is_object(),
            ])
        })
        .collect();
    let expected = [
        json!(["POST", "Group", "201 Created", format!("{url}/_history/1"), "W/\"1\"", url, true]),
        json!(["PUT", "Group", "200 OK", format!("{url}/_history/2"), "W/\"2\"", url, true]),
        json!([
            "DELETE",
            format!("Group/{id}/_history/3"),
            "200 OK",
            format!("{url}/_history/3"),
            "W/\"3\"",
            url,
            false
        ]),
    ];
    assert_eq!(seen, expected);

    // Each version has its own rights: the remote organization sees the first only.
    let remote = site.get(Remote, &format!("Group/{id}/_history")).await.json();
    assert_eq!((total(&remote), &remote["entry"][0]["resource"]["meta"]["versionId"]), (1, &json!("1")));
    assert_eq!(total(&site.get(Remote, "Group/_history").await.json()), 1);

    // Paging, times, links, counts.
    let since = entries[1]["resource"]["meta"]["lastUpdated"].as_str().unwrap().replace('+', "%2B");
    let table = [
        ("_count=2", 3, 2, vec!["self", "first", "next", "last"]),
        ("_count=2&_page=2", 3, 1, vec!["self", "first", "previous", "last"]),
        ("_count=0", 3, 0, vec!["self"]),
        ("_summary=count", 3, 0, vec!["self"]),
        ("_count=2147483647&_page=2147483647", 3, 3, vec!["self", "first", "last"]),
        (&format!("_since={since}"), 2, 2, vec!["self", "first", "last"]),
        (&format!("_at=lt{since}"), 1, 1, vec!["self", "first", "last"]),
        (&format!("_at=ge{since}"), 2, 2, vec!["self", "first", "last"]),
        ("_at=gt2999-01-01", 0, 0, vec!["self"]),
    ];
    for (query, total, count, links) in table {
        let page = site.get(Local, &format!("Group/{id}/_history?{query}")).await.json();
        let relations: Vec<&str> =
            page["link"].as_array().unwrap().iter().map(|link| link["relation"].as_str().unwrap()).collect();
        let entries = page["entry"].as_array().map_or(0, Vec::len);
        assert_eq!((page["total"].as_u64(), entries, relations), (Some(total), count, links), "{query}");
    }
    let page = site.get(Local, &format!("Group/{id}/_history?_count=2&_since={since}")).await.json();
    let own = page["link"][0]["url"].as_str().unwrap();
    assert!(
        own.starts_with(&format!("{url}/_history?_since=")) && own.ends_with("&_count=2&_page=1"),
        "{own}"
    );

    // What is not understood: a warning, or an error where strict.
    for (query, kind) in [
        ("_since=2026", "UNPARSABLE_VALUE"),
        ("_since=2026-11-23T00:00:00", "UNPARSABLE_VALUE"),
        ("status=x", "UNSUPPORTED_PARAMETER"),
    ] {
        let path = format!("Group/{id}/_history?{query}");
        let lenient = site.get(Local, &path).await.json();
        assert_eq!(total(&lenient), 3, "{query}: the warning is not counted");
        let last = lenient["entry"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(last["search"]["mode"], "outcome", "{query}");
        assert!(last["resource"]["issue"][0]["diagnostics"].as_str().unwrap().contains(kind), "{query}");
        let strict =
            site.ask(Local, &format!("GET {path}"), &[("prefer", "handling=strict")], &Value::Null).await;
        assert_eq!((strict.status.as_u16(), strict.code().as_str()), (400, "processing"), "{query}");
    }

    // A person needs the role HISTORY for the type; the system history leaves out what is not theirs.
    let refused = site.get(Minimal, "Group/_history").await;
    assert_eq!(
        (refused.status.as_u16(), refused.diagnostics().as_str()),
        (403, "Operation history forbidden")
    );
    assert_eq!(total(&site.get(Minimal, "_history").await.json()), 0);
    assert_eq!(site.get(Local, "Group/7/_history").await.status, 404, "no UUID");
    let unknown = site.get(Local, &format!("Group/{}/_history", uuid::Uuid::new_v4())).await.json();
    assert_eq!(total(&unknown), 0);

    // The public implementation forgets DocumentReference in its system history.
    let before = total(&site.get(Local, "_history?_count=0").await.json());
    site.create(Local, &json!({
        "resourceType": "DocumentReference", "meta": meta(&["LOCAL"]), "status": "current",
        "content": [{"attachment": {"contentType": "text/plain", "url": "http://elsewhere.example/document"}}],
    })).await;
    assert_eq!(total(&site.get(Local, "_history?_count=0").await.json()), before + 1);

    // Tasks: rights follow requester and recipient, resolved references are never shown.
    site.create(Local, &process("test", &["LOCAL_ALL", "REMOTE_ALL"], "LOCAL_ALL")).await;
    let own = site.create(Local, &site.task(Local, "test", "requested")).await;
    let theirs = site.create(Remote, &site.task(Remote, "test", "requested")).await;
    for (who, expected) in [(Local, 2), (Remote, 1), (Admin, 2), (Minimal, 0)] {
        assert_eq!(total(&site.get(who, "Task/_history").await.json()), expected, "{who:?}");
    }
    let history = site.get(Remote, &format!("Task/{theirs}/_history")).await.json();
    let requester = &history["entry"][0]["resource"]["requester"];
    assert!(requester["reference"].is_null() && requester["identifier"].is_object(), "{requester}");
    assert_eq!(total(&site.get(Remote, &format!("Task/{own}/_history")).await.json()), 0);
    let draft = site.create(Local, &site.task(Local, "test", "draft")).await;
    assert_eq!(
        total(&site.get(Minimal, &format!("Task/{draft}/_history")).await.json()),
        1,
        "drafts for all persons"
    );
    site.ask(Local, &format!("DELETE Task/{draft}"), &[], &Value::Null).await;
    assert_eq!(
        total(&site.get(Local, &format!("Task/{draft}/_history")).await.json()),
        2,
        "also when deleted"
    );
    site.stop().await;
}
