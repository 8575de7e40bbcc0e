//! Search: contract 1.10 and 2; 13.3 Endpoint, Organization, Measure, Group searches.
use serde_json::{Value, json};

use crate::site::{Local, Minimal, Remote, Site, group, meta};

#[tokio::test(flavor = "multi_thread")]
async fn pages_links_and_handling() {
    let site = Site::start().await;
    for number in 0..5 {
        site.create(Local, &group(&number.to_string(), if number == 4 { &["LOCAL"] } else { &["ALL"] }))
            .await;
    }
    let modes = |bundle: &Value| -> Vec<String> {
        let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
        entries.iter().map(|entry| entry["search"]["mode"].as_str().unwrap().to_owned()).collect()
    };
    let relations = |bundle: &Value| -> Vec<String> {
        bundle["link"]
            .as_array()
            .unwrap()
            .iter()
            .map(|link| link["relation"].as_str().unwrap().to_owned())
            .collect()
    };
    let table = [
        (Local, "", 5, 5, vec!["self", "first", "last"]),
        (Remote, "", 4, 4, vec!["self", "first", "last"]),
        (Local, "_count=2", 5, 2, vec!["self", "first", "next", "last"]),
        (Local, "_count=2&_page=2", 5, 2, vec!["self", "first", "previous", "next", "last"]),
        (Local, "_count=2&_page=3", 5, 1, vec!["self", "first", "previous", "last"]),
        (Local, "_count=2&_page=4", 5, 0, vec!["self"]),
        (Local, "_count=0", 5, 0, vec!["self"]),
        (Local, "_count=-1", 5, 0, vec!["self"]),
        (Local, "_page=0", 5, 0, vec!["self"]),
        (Local, "_summary=count", 5, 0, vec!["self"]),
        (Local, "_count=x&_page=y", 5, 5, vec!["self", "first", "last"]),
        (Local, "_count=2147483647&_page=2147483647", 5, 5, vec!["self", "first", "last"]),
        (Local, "identifier=http://test|none", 0, 0, vec!["self"]),
        (Local, "identifier=http://test|1&identifier=http://test|1", 1, 1, vec!["self", "first", "last"]),
        (Local, "identifier=http://test|1&identifier=http://test|2", 0, 0, vec!["self"]),
        (Local, "identifier=http://test|1,http://test|2", 2, 2, vec!["self", "first", "last"]),
    ];
    for (who, query, total, count, links) in table {
        let answer = site.get(who, &format!("Group?{query}")).await;
        let found = answer.json();
        assert_eq!((&found["resourceType"], &found["type"]), (&json!("Bundle"), &json!("searchset")));
        assert!(found["timestamp"].is_string());
        assert_eq!((found["total"].as_u64(), modes(&found).len()), (Some(total), count), "{who:?} {query}");
        assert_eq!(relations(&found), links, "{query}");
        assert!(modes(&found).iter().all(|mode| mode == "match"));
        if count == 0 {
            let own = found["link"][0]["url"].as_str().unwrap();
            assert!(own.ends_with("_count=0"), "{query}: {own}");
        }
        assert!(answer.header("etag").is_none() && answer.header("last-modified").is_none());
        let head = site.ask(who, &format!("HEAD Group?{query}"), &[], &Value::Null).await;
        assert_eq!((head.status.as_u16(), head.body.as_str()), (200, ""));
    }
    // Links hold what was understood, in a fixed order.
    let query = "_summary=data&_count=3&unknown=x&_sort=-_lastUpdated&identifier=http%3A%2F%2Ftest%7C1&_format=json&_lastUpdated=gt2020-01-01T00:00:00%2B01:00";
    let found = site.get(Local, &format!("Group?{query}")).await.json();
    let expected = format!(
        "{}/Group?_lastUpdated=gt2020-01-01T00:00:00%2B01:00&identifier=http://test%7C1&_sort=-_lastUpdated&_format=json&_summary=data&_count=3&_page=1",
        site.base
    );
    assert_eq!(found["link"][0]["url"], expected);
    assert_eq!(found["entry"][0]["resource"]["meta"]["tag"][1]["code"], "SUBSETTED");
    assert!(found["entry"][0]["fullUrl"].as_str().unwrap().starts_with(&format!("{}/Group/", site.base)));

    // 13.3 Endpoint and Organization: totals and includes.
    for (path, total, expected) in [
        ("Endpoint", 2, vec!["match"; 2]),
        ("Endpoint?_include=Endpoint:organization", 2, vec!["match", "match", "include", "include"]),
        (
            "Endpoint?_include=Endpoint:organization:Organization",
            2,
            vec!["match", "match", "include", "include"],
        ),
        ("Endpoint?_revinclude=Organization:endpoint", 2, vec!["match", "match", "include", "include"]),
        ("Organization", 3, vec!["match"; 3]),
        (
            "Organization?_include=Organization:endpoint",
            3,
            vec!["match", "match", "match", "include", "include"],
        ),
        (
            "Organization?_revinclude=Endpoint:organization",
            3,
            vec!["match", "match", "match", "include", "include"],
        ),
        (
            "Organization?_revinclude=Endpoint:organization&_revinclude=OrganizationAffiliation:primary-organization",
            3,
            vec!["match", "match", "match", "include", "include", "include", "include"],
        ),
        ("Organization?_revinclude=Endpoint:unknown", 3, vec!["match", "match", "match", "outcome"]),
        ("Endpoint?unknown=1", 2, vec!["match", "match", "outcome"]),
        ("Endpoint?_sort=unknown", 2, vec!["match", "match", "outcome"]),
        ("Endpoint?identifier:text=x", 2, vec!["match", "match", "outcome"]),
        ("Endpoint?organization:Organization=x", 2, vec!["match", "match", "outcome"]),
        ("Endpoint?identifier=a%00b", 2, vec!["match", "match", "outcome"]),
        ("Endpoint?_summary=nonsense", 2, vec!["match", "match"]),
    ] {
        let found = site.get(Local, path).await.json();
        assert_eq!(
            (found["total"].as_u64(), modes(&found)),
            (Some(total), expected.iter().map(|mode| (*mode).to_owned()).collect()),
            "{path}"
        );
        let strict =
            site.ask(Local, &format!("GET {path}"), &[("prefer", "handling=strict")], &Value::Null).await;
        let refused = expected.contains(&"outcome");
        assert_eq!(strict.status.as_u16(), if refused { 400 } else { 200 }, "strict {path}");
        if refused {
            assert_eq!(
                (strict.code().as_str(), strict.json()["issue"][0]["severity"].as_str()),
                ("processing", Some("error"))
            );
            let text = strict.diagnostics();
            assert!(text.contains("UNSUPPORTED_PARAMETER") || text.contains("UNPARSABLE_VALUE"), "{text}");
        }
    }
    let refused = site.get(Minimal, "Group").await;
    assert_eq!(
        (refused.status.as_u16(), refused.diagnostics().as_str()),
        (403, "Operation search forbidden")
    );
    // By form, which public servers lack (contract 1.1): the same answer as by URL.
    let answer = site
        .ask(
            Local,
            "POST Group/_search",
            &[("content-type", "application/x-www-form-urlencoded")],
            &json!("identifier=http%3A%2F%2Ftest%7C1"),
        )
        .await;
    assert_eq!((answer.status.as_u16(), answer.json()["total"].as_u64()), (200, Some(1)));
    site.stop().await;
}

/// 13.3 Measure: a Library is included by its canonical, in the version that is named, else in all.
#[tokio::test(flavor = "multi_thread")]
async fn libraries_are_included_by_canonical() {
    let site = Site::start().await;
    let url = "http://test.example/Library/query";
    for version in ["1.0", "2.0"] {
        let library = json!({
            "resourceType": "Library", "meta": meta(&["ALL"]), "status": "active", "url": url, "version": version,
            "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/library-type", "code": "logic-library"}]},
        });
        site.create(Local, &library).await;
    }
    let measure = |name: &str, member: &str, value: Value| {
        let mut measure = json!({
            "resourceType": "Measure", "meta": meta(&["ALL"]), "status": "active",
            "url": format!("http://test.example/Measure/{name}"), "version": "1.0", "name": name,
        });
        measure[member] = value;
        measure
    };
    let related = json!([{"type": "depends-on", "resource": format!("{url}|2.0")}]);
    for measure in [
        measure("all", "library", json!([url])),
        measure("one", "library", json!([format!("{url}|1.0")])),
        measure("artifact", "relatedArtifact", related),
        measure("none", "library", json!(["http://test.example/Library/other"])),
    ] {
        site.create(Local, &measure).await;
    }
    for (query, expected) in [
        ("name=all&_include=Measure:depends-on", vec!["Measure", "Library 1.0", "Library 2.0"]),
        ("name=one&_include=Measure:depends-on", vec!["Measure", "Library 1.0"]),
        ("name=one&_include=Measure:depends-on:Library", vec!["Measure", "Library 1.0"]),
        ("name=artifact&_include=Measure:depends-on", vec!["Measure", "Library 2.0"]),
        ("name=none&_include=Measure:depends-on", vec!["Measure"]),
        ("depends-on=http://test.example/Library/query|2.0", vec!["Measure"]),
    ] {
        let found = site.get(Local, &format!("Measure?{query}")).await.json();
        let mut seen: Vec<String> = found["entry"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| match (entry["search"]["mode"].as_str(), &entry["resource"]) {
                (Some("match"), resource) => resource["resourceType"].as_str().unwrap().to_owned(),
                (_, resource) => format!(
                    "{} {}",
                    resource["resourceType"].as_str().unwrap(),
                    resource["version"].as_str().unwrap()
                ),
            })
            .collect();
        seen[1..].sort();
        assert_eq!(
            (found["total"].as_u64(), seen),
            (Some(1), expected.into_iter().map(str::to_owned).collect()),
            "{query}"
        );
    }
    let strict =
        site.ask(Local, "GET Measure?depends-on=123", &[("prefer", "handling=strict")], &Value::Null).await;
    assert_eq!(strict.status, 400, "a bare id is no canonical");
    site.stop().await;
}
