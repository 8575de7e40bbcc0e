//! Create, update and their conditional forms: contract 1.4, 1.6, 1.7; 13.2 ParallelCreate (direct), 13.3
//! CodeSystem, Organization, NamingSystem, OrganizationAffiliation, Subscription.
use serde_json::{Value, json};
use uuid::Uuid;

use crate::site::{
    ENDPOINT, JSON, Local, Minimal, ORGANIZATION, PARENT_PROFILE, Remote, Site, code_system, group, meta,
};

#[tokio::test(flavor = "multi_thread")]
async fn create_follows_the_order_of_checks() {
    let site = Site::start().await;
    let post = async |headers: &[(&str, &str)], ty: &str, body: &Value| {
        site.ask(Local, &format!("POST {ty}"), headers, body).await
    };

    // Preferences: body by preference, headers always.
    for (prefer, body) in [
        ("", "Group"),
        ("return=representation", "Group"),
        ("return=minimal", ""),
        ("return=OperationOutcome", "OperationOutcome"),
        ("return=nonsense", "Group"),
    ] {
        let mut sent = group("prefer", &["ALL"]);
        sent["id"] = json!("client-made");
        let answer = post(&[("prefer", prefer)], "Group", &sent).await;
        assert_eq!(answer.status, 201, "{prefer}: {}", answer.body);
        let location = answer.header("location").unwrap().to_owned();
        let id = location
            .strip_prefix(&format!("{}/Group/", site.base))
            .unwrap()
            .strip_suffix("/_history/1")
            .unwrap();
        assert!(Uuid::parse_str(id).is_ok(), "the server chooses the id: {location}");
        assert_eq!(answer.header("etag"), Some("W/\"1\""));
        assert!(answer.header("last-modified").is_some());
        let kind = if answer.body.is_empty() {
            String::new()
        } else {
            answer.json()["resourceType"].as_str().unwrap().to_owned()
        };
        assert_eq!(kind, body, "{prefer}");
        if body.is_empty() {
            assert_eq!(answer.header("content-length"), Some("0"), "Java clients need a length");
        }
        if body == "OperationOutcome" {
            assert!(answer.diagnostics().contains(&location), "{}", answer.body);
            assert_eq!(answer.json()["issue"][0]["severity"], "information");
        }
    }

    // Unreadable bodies: 403, `structure`.
    let unreadable = [
        ("empty", json!(" ")),
        ("no JSON", json!("nonsense")),
        ("array", json!("[]")),
        ("other type", code_system("http://test/other", &["ALL"])),
        ("bad code", json!({"resourceType": "Group", "type": "nonsense", "actual": true})),
        ("bad primitive", json!({"resourceType": "Group", "type": "person", "actual": "perhaps"})),
        ("unknown type", json!({"resourceType": "Nothing"})),
        ("NUL", group("a\u{0}b", &["ALL"])),
    ];
    for (what, body) in unreadable {
        let answer = post(&[], "Group", &body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (403, "structure"),
            "{what}: {}",
            answer.body
        );
        assert_eq!(answer.diagnostics(), "Unable to parse resource", "{what}");
    }
    let doctype = "<!DOCTYPE Group [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><Group xmlns=\"http://hl7.org/fhir\"><type value=\"person\"/></Group>";
    let answer = post(&[("content-type", "application/fhir+xml")], "Group", &json!(doctype)).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "structure"), "DOCTYPE");
    let mut lenient = group("lenient", &["ALL"]);
    lenient["unknown"] = json!({"a": 1});
    assert_eq!(post(&[], "Group", &lenient).await.status, 201, "unknown members are dropped");

    // Rights: local identities with the role, with a valid tag.
    for (who, tags, status) in [
        (Local, vec!["ALL"], 201),
        (Local, vec!["LOCAL"], 201),
        (Local, vec!["LOCAL", "ORGANIZATION remote.test", "ROLE DIC"], 201),
        (Local, vec![], 403),
        (Local, vec!["ALL", "LOCAL"], 403),
        (Local, vec!["ORGANIZATION remote.test"], 403),
        (Local, vec!["LOCAL", "ORGANIZATION nobody.test"], 403),
        (Local, vec!["LOCAL", "ROLE XXX"], 403),
        (Remote, vec!["ALL"], 403),
        (Minimal, vec!["ALL"], 403),
    ] {
        let answer = site.ask(who, "POST Group", &[], &group("rights", &tags)).await;
        assert_eq!(answer.status.as_u16(), status, "{who:?} {tags:?}");
        if status == 403 {
            assert_eq!(
                (answer.code().as_str(), answer.diagnostics().as_str()),
                ("forbidden", "Operation create forbidden")
            );
        }
    }

    // If-None-Exist.
    let existing = site.create(Local, &group("once", &["LOCAL"])).await;
    let table = [
        ("identifier=http://test|once", 200),
        ("?identifier=http%3A%2F%2Ftest%7Conce", 200),
        ("identifier=http://test|rights", 412),
        ("identifier=http://test|new", 201),
        ("", 400),
        ("Group?identifier=http://test|once", 400),
        ("Patient?identifier=x", 400),
        ("unknown=1", 400),
        ("_count=1", 400),
    ];
    for (condition, status) in table {
        let answer = post(&[("if-none-exist", condition)], "Group", &group("new", &["ALL"])).await;
        assert_eq!(answer.status.as_u16(), status, "If-None-Exist: {condition:?}: {}", answer.body);
        match status {
            200 => {
                assert_eq!(
                    (answer.code().as_str(), answer.json()["issue"][0]["severity"].as_str()),
                    ("duplicate", Some("information"))
                );
                assert_eq!(
                    answer.header("location"),
                    Some(format!("{}/Group/{existing}/_history/1", site.base).as_str())
                );
                assert_eq!(answer.header("etag"), Some("W/\"1\""));
                assert!(answer.header("last-modified").is_some());
            }
            412 => assert_eq!(answer.code(), "multiple-matches"),
            400 => assert_eq!(answer.code(), "processing"),
            _ => {}
        }
    }
    // With a unique key the rules come first in a direct request.
    let system = code_system("http://test/CodeSystem/unique", &["ALL"]);
    site.create(Local, &system).await;
    let condition = [("if-none-exist", "url=http://test/CodeSystem/unique&version=1.0")];
    assert_eq!(post(&condition, "CodeSystem", &system).await.status, 403);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn update_follows_the_order_of_checks() {
    let site = Site::start().await;
    let id = site.create(Local, &group("1", &["ALL"])).await;
    let other = Uuid::new_v4().to_string();
    let with_id = |id: &str| {
        let mut group = group("1", &["ALL"]);
        group["id"] = json!(id);
        group
    };
    let put = async |target: &str, headers: &[(&str, &str)], body: &Value| {
        site.ask(Local, &format!("PUT Group{target}"), headers, body).await
    };
    type Row<'a> = (&'a str, String, &'a [(&'a str, &'a str)], Value, u16);
    let table: [Row<'_>; 8] = [
        ("unknown id", format!("/{other}"), &[], with_id(&other), 405),
        ("no UUID", "/7".into(), &[], with_id("7"), 405),
        ("no id in the body", format!("/{id}"), &[], group("1", &["ALL"]), 400),
        ("another id in the body", format!("/{id}"), &[], with_id(&other), 400),
        ("other version", format!("/{id}"), &[("if-match", "W/\"7\"")], with_id(&id), 412),
        (
            "no tag",
            format!("/{id}"),
            &[],
            {
                let mut group = with_id(&id);
                group["meta"] = json!({});
                group
            },
            403,
        ),
        ("this version", format!("/{id}"), &[("if-match", "W/\"1\"")], with_id(&id), 200),
        ("any version", format!("/{id}"), &[], with_id(&id), 200),
    ];
    for (what, target, headers, body, status) in table {
        let answer = put(&target, headers, &body).await;
        assert_eq!(answer.status.as_u16(), status, "{what}: {}", answer.body);
        if status == 412 {
            let text = answer.diagnostics();
            assert!(
                text.contains('7') && text.contains('1'),
                "expected and latest version are named: {text}"
            );
        }
    }
    let answer = put(&format!("/{id}"), &[("prefer", "return=minimal")], &with_id(&id)).await;
    let location = format!("{}/Group/{id}/_history/4", site.base);
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, ""));
    assert_eq!(
        (answer.header("location"), answer.header("etag")),
        (Some(location.as_str()), Some("W/\"4\""))
    );
    for who in [Remote, Minimal] {
        let answer = site.ask(who, &format!("PUT Group/{id}"), &[], &with_id(&id)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.diagnostics().as_str()),
            (403, "Operation update forbidden")
        );
    }

    // Conditional update.
    let twice = group("twice", &["ALL"]);
    site.create(Local, &twice).await;
    site.create(Local, &twice).await;
    let table = [
        ("none, without id", "identifier=http://test|fresh", group("fresh", &["ALL"]), 201),
        ("none, with id", "identifier=http://test|none", with_id(&other), 405),
        ("one, without id", "identifier=http://test|fresh", group("fresh", &["ALL"]), 200),
        ("one, same id", "identifier=http://test|1", with_id(&id), 200),
        ("one, other id", "identifier=http://test|1", with_id(&other), 400),
        ("several", "identifier=http://test|twice", twice.clone(), 412),
        ("unknown parameter", "unknown=1", twice.clone(), 400),
        ("empty", "", twice.clone(), 400),
        (
            "control parameters are ignored",
            "identifier=http://test|fresh&_count=1&_sort=_id&_format=json",
            group("fresh", &["ALL"]),
            200,
        ),
    ];
    for (what, query, body, status) in table {
        let answer = put(&format!("?{query}"), &[], &body).await;
        assert_eq!(answer.status.as_u16(), status, "{what}: {}", answer.body);
    }

    // GHSA-448w-h27c-w53m: a conditional update is held against the stored version.
    site.create(Local, &code_system("http://test/CodeSystem/a", &["ALL"])).await;
    let changed = code_system("http://test/CodeSystem/b", &["ALL"]);
    let answer = site.ask(Local, "PUT CodeSystem?url=http://test/CodeSystem/a", &[], &changed).await;
    assert_eq!(answer.status, 403, "url and version never change");
    site.stop().await;
}

/// 13.2: of concurrent creates with one unique key exactly one wins.
#[tokio::test(flavor = "multi_thread")]
async fn duplicates_are_refused() {
    let site = Site::start().await;
    let metadata = |ty: &str| {
        let mut value = code_system(&format!("http://test/{ty}/x"), &["ALL"]);
        value["resourceType"] = json!(ty);
        value
    };
    let mut structure = metadata("StructureDefinition");
    for (name, value) in [
        ("kind", json!("resource")),
        ("abstract", json!(false)),
        ("type", json!("Patient")),
        ("derivation", json!("constraint")),
        ("baseDefinition", json!("http://hl7.org/fhir/StructureDefinition/Patient")),
        ("differential", json!({"element": [{"id": "Patient", "path": "Patient"}]})),
    ] {
        structure[name] = value;
    }
    let endpoints = site.get(Local, "Endpoint?identifier=fhir.local.test").await.json();
    let own_endpoint = endpoints["entry"][0]["resource"]["id"].as_str().unwrap();
    let organization = |identifier: &str, thumbprint: Option<String>| {
        let mut value = json!({
            "resourceType": "Organization", "meta": meta(&["ALL"]), "active": true,
            "identifier": [{"system": ORGANIZATION, "value": identifier}],
        });
        if let Some(thumbprint) = thumbprint {
            value["extension"] = json!([{
                "url": "http://dsf.dev/fhir/StructureDefinition/extension-certificate-thumbprint", "valueString": thumbprint,
            }]);
            value["endpoint"] = json!([{"reference": format!("Endpoint/{own_endpoint}")}]);
        } else {
            value["meta"]["profile"] = json!([PARENT_PROFILE]);
        }
        value
    };
    let local = site.organization(crate::world::LOCAL).await;
    let subscription = |payload: Value| {
        let mut channel = json!({"type": "websocket"});
        if !payload.is_null() {
            channel["payload"] = payload;
        }
        json!({"resourceType": "Subscription", "meta": meta(&["LOCAL"]), "status": "active", "reason": "test",
            "criteria": "Task?status=completed", "channel": channel})
    };
    let endpoint = json!({
        "resourceType": "Endpoint", "meta": meta(&["ALL"]), "status": "active", "address": "https://new.test/fhir",
        "identifier": [{"system": ENDPOINT, "value": "new.test"}],
        "connectionType": {"system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type", "code": "hl7-fhir-rest"},
        "payloadType": [{"coding": [{"system": "http://hl7.org/fhir/resource-types", "code": "Task"}]}],
        "payloadMimeType": ["application/fhir+xml", JSON],
        "managingOrganization": {"reference": format!("Organization/{local}")},
    });
    let naming = json!({
        "resourceType": "NamingSystem", "meta": meta(&["ALL"]), "name": "test", "status": "active", "kind": "identifier",
        "date": "2026-11-23", "uniqueId": [{"type": "other", "value": "http://test/sid"}],
    });
    let process = crate::site::process("duplicate", &["LOCAL_ALL"], "LOCAL_ALL");
    let variants = [
        ("ActivityDefinition", process.clone()),
        ("CodeSystem", metadata("CodeSystem")),
        ("ValueSet", metadata("ValueSet")),
        ("StructureDefinition", structure),
        ("NamingSystem", naming),
        ("Endpoint", endpoint),
        ("parent Organization", organization("parent-2.test", None)),
        ("member Organization", organization("member-2.test", Some("ab".repeat(64)))),
        ("Subscription with payload", subscription(json!(JSON))),
        ("Subscription without payload", subscription(Value::Null)),
        ("draft Task", site.task(Local, "duplicate", "draft")),
    ];
    for (name, resource) in &variants {
        let line = format!("POST {}", resource["resourceType"].as_str().unwrap());
        let attempts =
            futures_util::future::join_all((0..4).map(|_| site.ask(Local, &line, &[], resource))).await;
        let mut statuses: Vec<u16> = attempts.iter().map(|answer| answer.status.as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 403, 403, 403], "{name}: {}", attempts[0].body);

        // 13.2, in bundles: a transaction with both is refused and leaves nothing, a batch takes the first.
        let renamed = |number: u32| {
            let mut again = resource.clone();
            for key in ["url", "name", "criteria"] {
                if again[key].is_string() {
                    let suffix = if key == "criteria" {
                        format!("&identifier={number}")
                    } else {
                        format!("-{number}")
                    };
                    again[key] = json!(format!("{}{suffix}", again[key].as_str().unwrap()));
                }
            }
            if again["identifier"].is_array() {
                again["identifier"][0]["value"] = json!(Uuid::new_v4().to_string());
            }
            if again["address"].is_string() {
                again["address"] = json!(format!("https://again-{number}.test/fhir"));
            }
            if again["uniqueId"].is_array() {
                again["uniqueId"][0]["value"] = json!(format!("http://test/sid/{number}"));
            }
            if again["extension"][0]["valueString"].is_string() {
                again["extension"][0]["valueString"] = json!(format!("{number:0128x}"));
            }
            again
        };
        let again = renamed(1);
        let entry = || {
            json!({
                "fullUrl": format!("urn:uuid:{}", Uuid::new_v4()), "resource": again,
                "request": {"method": "POST", "url": again["resourceType"]},
            })
        };
        let bundle =
            |kind: &str| json!({"resourceType": "Bundle", "type": kind, "entry": [entry(), entry()]});
        let transaction = site.ask(Local, "POST ", &[], &bundle("transaction")).await;
        assert_eq!(transaction.status, 403, "{name} twice in a transaction: {}", transaction.body);
        let batch = site.ask(Local, "POST ", &[], &bundle("batch")).await.json();
        let statuses = [0, 1].map(|index| batch["entry"][index]["response"]["status"].clone());
        assert_eq!(statuses, ["201 Created", "403 Forbidden"], "{name} twice in a batch: {batch}");

        // 13.2, several bundles at the same time: one of them wins.
        for (number, kind) in [(2, "transaction"), (3, "batch")] {
            let resource = renamed(number);
            let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": [{
                "fullUrl": format!("urn:uuid:{}", Uuid::new_v4()), "resource": resource,
                "request": {"method": "POST", "url": resource["resourceType"]},
            }]});
            let all =
                futures_util::future::join_all((0..3).map(|_| site.ask(Local, "POST ", &[], &bundle))).await;
            let mut created: Vec<bool> = Vec::new();
            for answer in &all {
                let status = match kind {
                    "transaction" => answer.status.to_string(),
                    _ => answer.json()["entry"][0]["response"]["status"].as_str().unwrap().to_owned(),
                };
                let one = (status.starts_with("20"), status.starts_with("403"));
                assert!(one.0 != one.1, "{name} in a {kind}: {status}");
                created.push(one.0);
            }
            assert_eq!(created.iter().filter(|created| **created).count(), 1, "{name} in {kind} bundles");
        }
    }
    site.stop().await;
}

/// A sender that is cut off sends again while its first attempt may still be on its way: `If-None-Exist`
/// must hold between requests at the same moment, too.
#[tokio::test(flavor = "multi_thread")]
async fn of_creates_under_one_condition_at_once_one_creates() {
    let site = Site::start().await;
    let patient = |value: &str| {
        json!({"resourceType": "Patient", "meta": meta(&["LOCAL"]),
            "identifier": [{"system": "http://test/sid", "value": value}]})
    };
    let condition = |value: &str| format!("identifier=http://test/sid|{value}");
    let create = async |value: &str| {
        let headers = [("if-none-exist", condition(value))];
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        site.ask(Local, "POST Patient", &headers, &patient(value)).await
    };
    let stored = async |value: &str| {
        site.get(Local, &format!("Patient?{}", condition(value))).await.json()["total"].clone()
    };

    let answers = futures_util::future::join_all((0..16).map(|_| create("direct"))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!((statuses[0], statuses[14], statuses[15]), (200, 200, 201), "{statuses:?}");
    assert_eq!(stored("direct").await, 1);
    let location = answers[0].header("location").unwrap();
    assert!(answers.iter().all(|answer| answer.header("location") == Some(location)), "all name the one");

    for kind in ["transaction", "batch"] {
        let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": [{
            "fullUrl": "urn:uuid:3c1d0a5e-5d0b-4b0e-9d3c-2f6a7c1e8b11", "resource": patient(kind),
            "request": {"method": "POST", "url": "Patient", "ifNoneExist": condition(kind)},
        }]});
        let answers =
            futures_util::future::join_all((0..8).map(|_| site.ask(Local, "POST ", &[], &bundle))).await;
        let done = |answer: &crate::client::Answer| {
            answer.status == 200
                && matches!(answer.json()["entry"][0]["response"]["status"].as_str(), Some(status) if status.starts_with("20"))
        };
        assert!(answers.iter().all(done), "{kind}: {}", answers[0].body);
        assert_eq!(stored(kind).await, 1, "{kind}");
    }

    // What has changed, or is gone, is not what the condition asks for.
    let id = location.split("/Patient/").nth(1).and_then(|rest| rest.split('/').next()).unwrap();
    let mut changed = patient("changed");
    changed["id"] = json!(id);
    assert_eq!(site.ask(Local, &format!("PUT Patient/{id}"), &[], &changed).await.status, 200);
    assert_eq!(create("direct").await.status, 201, "after a change");
    assert_eq!(create("direct").await.status, 200, "the new one");
    assert_eq!(
        create("changed").await.status,
        200,
        "the changed one, which nobody created under this condition"
    );
}
