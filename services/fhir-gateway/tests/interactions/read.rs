//! Read and vread: contract 1.3 and 1.5; 13.3 Patient readVersion…, QuestionnaireResponse NotModifiedCheck….
use serde_json::{Value, json};
use uuid::Uuid;

use crate::site::{JSON, Local, Remote, Site, group};

#[tokio::test(flavor = "multi_thread")]
async fn answers_by_version_condition_and_right() {
    let site = Site::start().await;
    let id = site.create(Local, &group("1", &["ALL"])).await;
    let mut second = group("1", &["LOCAL"]);
    second["id"] = json!(id);
    assert_eq!(site.ask(Local, &format!("PUT Group/{id}"), &[], &second).await.status, 200);

    let table = [
        (Local, format!("Group/{id}"), 200),
        (Local, format!("Group/{id}/"), 200),
        (Local, format!("Group/{id}/_history/1"), 200),
        (Local, format!("Group/{id}/_history/2"), 200),
        (Local, format!("Group/{id}/_history/3"), 404),
        (Local, format!("Group/{id}/_history/x"), 404),
        (Local, format!("Group/{id}/_history/-1"), 404),
        (Local, format!("Group/{id}/_history/99999999999999999999"), 404),
        (Local, format!("Patient/{id}"), 404),
        (Local, "Group/7".to_owned(), 404),
        (Local, format!("Group/{}", Uuid::new_v4()), 404),
        // Rights are the version's; what never was is told before rights are looked at.
        (Remote, format!("Group/{id}"), 403),
        (Remote, format!("Group/{id}/_history/1"), 200),
        (Remote, format!("Group/{id}/_history/2"), 403),
        (Remote, format!("Group/{}", Uuid::new_v4()), 404),
    ];
    for (who, path, status) in &table {
        let got = site.get(*who, path).await;
        assert_eq!(got.status.as_u16(), *status, "{who:?} {path}");
        let head = site.ask(*who, &format!("HEAD {path}"), &[], &Value::Null).await;
        assert_eq!((head.status.as_u16(), head.body.as_str()), (*status, ""), "HEAD {path}");
        for name in ["content-length", "etag", "last-modified", "content-type", "cache-control", "vary"] {
            assert_eq!(head.header(name), got.header(name), "HEAD {path}: {name}");
        }
    }
    assert_eq!(site.get(Local, "Group/7").await.code(), "processing", "a broken id is explained");
    let forbidden = site.get(Remote, &format!("Group/{id}")).await;
    assert_eq!(
        (forbidden.code().as_str(), forbidden.diagnostics().as_str()),
        ("forbidden", "Operation read forbidden")
    );

    // Headers and conditions.
    let path = format!("Group/{id}");
    let read = site.get(Local, &path).await;
    let modified = read.header("last-modified").unwrap().to_owned();
    for (name, expected) in [
        ("etag", "W/\"2\""),
        ("cache-control", "private, no-cache, no-transform"),
        ("vary", "Accept"),
        ("content-type", "application/fhir+json;charset=UTF-8"),
    ] {
        assert_eq!(read.header(name), Some(expected), "{name}");
    }
    assert!(read.header("location").is_none());
    let past = "Sun, 06 Nov 1994 08:49:37 GMT";
    let future = "Sun, 06 Nov 2994 08:49:37 GMT";
    let conditions: [(&str, &str, u16); 12] = [
        ("if-none-match", "W/\"2\"", 304),
        ("if-none-match", "W/\"1\"", 200),
        ("if-none-match", "\"2\"", 200),
        ("if-none-match", "nonsense", 200),
        ("if-match", "W/\"2\"", 200),
        ("if-match", "W/\"1\"", 412),
        ("if-match", "\"1\"", 200),
        ("if-modified-since", &modified, 304),
        ("if-modified-since", past, 200),
        ("if-modified-since", future, 304),
        ("if-unmodified-since", &modified, 200),
        ("if-unmodified-since", past, 412),
    ];
    for (name, value, status) in conditions {
        let answer = site.ask(Local, &format!("GET {path}"), &[(name, value)], &Value::Null).await;
        assert_eq!(answer.status.as_u16(), status, "{name}: {value}");
        assert_eq!(answer.body.is_empty(), status != 200, "{name}: {value}");
        if status == 304 {
            assert_eq!(
                (answer.header("etag"), answer.header("last-modified")),
                (Some("W/\"2\""), Some(modified.as_str()))
            );
        }
        let remote = site.ask(Remote, &format!("GET {path}"), &[(name, value)], &Value::Null).await;
        assert_eq!(remote.status, 403, "rights come before conditions: {name}: {value}");
    }

    // Forms: XML, summaries.
    let xml =
        site.ask(Local, &format!("GET {path}"), &[("accept", "application/fhir+xml")], &Value::Null).await;
    assert!(xml.body.starts_with("<Group xmlns=\"http://hl7.org/fhir\">"), "{}", xml.body);
    let summary = site.get(Local, &format!("{path}?_summary=text")).await.json();
    assert_eq!(summary["meta"]["tag"][1]["code"], "SUBSETTED");
    assert!(
        summary["identifier"].is_null() && summary["actual"] == json!(true),
        "only what must be: {summary}"
    );
    let whole = site.get(Local, &format!("{path}?_summary=nonsense&_pretty=true")).await.json();
    assert!(whole["identifier"].is_array());

    // The same as entries of a batch: 13.3 Patient …ViaBatchBundle; Binary Head… and Get….
    site.ask(Local, &format!("DELETE {path}"), &[], &Value::Null).await;
    let get = |url: String| json!({"request": {"method": "GET", "url": url}});
    let mut entries = vec![
        (get(path.clone()), "410 Gone"),
        (get(format!("{path}/_history/1")), "200 OK"),
        (get(format!("{path}/_history/2")), "200 OK"),
        (get(format!("{path}/_history/3")), "410 Gone"),
        (get(format!("{path}/_history/4")), "404 Not Found"),
        (get(format!("Group/{}", Uuid::new_v4())), "404 Not Found"),
        (json!({"request": {"method": "HEAD", "url": format!("{path}/_history/1")}}), "200 OK"),
    ];
    for (name, value, status) in [
        ("ifNoneMatch", "W/\"1\"", "304 Not Modified"),
        ("ifNoneMatch", "W/\"2\"", "200 OK"),
        ("ifModifiedSince", "2994-11-06T08:49:37Z", "304 Not Modified"),
        ("ifModifiedSince", "1994-11-06T08:49:37Z", "200 OK"),
    ] {
        entries.push((
            json!({"request": {"method": "GET", "url": format!("{path}/_history/1"), name: value}}),
            status,
        ));
    }
    for kind in ["batch", "transaction"] {
        let requests: Vec<&Value> = entries.iter().map(|(entry, _)| entry).collect();
        let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": requests});
        let answer = site.ask(Local, "POST ", &[], &bundle).await;
        assert_eq!(answer.status, 200, "{kind}: what is missing does not fail a bundle: {}", answer.body);
        let answer = answer.json();
        for (index, (request, status)) in entries.iter().enumerate() {
            let entry = &answer["entry"][index];
            assert_eq!(entry["response"]["status"], *status, "{kind} {request}");
            let with_resource = *status == "200 OK" && request["request"]["method"] == "GET";
            assert_eq!(entry["resource"].is_object(), with_resource, "{kind} {request}");
        }
    }
    // A reader who may not gets 403 for the whole transaction, for the entry of a batch.
    for (kind, status) in [("batch", 200), ("transaction", 403)] {
        let bundle =
            json!({"resourceType": "Bundle", "type": kind, "entry": [get(format!("{path}/_history/2"))]});
        let answer = site.ask(Remote, "POST ", &[("accept", JSON)], &bundle).await;
        assert_eq!(answer.status.as_u16(), status, "{kind}: {}", answer.body);
        if kind == "batch" {
            assert_eq!(answer.json()["entry"][0]["response"]["status"], "403 Forbidden");
        }
    }
    site.stop().await;
}
