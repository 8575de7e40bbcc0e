//! Roles of persons with a profile of the site's own: contract 4.3 and 2; 13.3 PractitionerRole.
use serde_json::{Value, json};

use crate::site::{Local, Remote, Site, code_system, meta};
use crate::world::LOCAL;

const SYSTEM: &str = "http://test.example/CodeSystem/duty";
const PROFILE: &str = "http://test.example/StructureDefinition/duty";
const VALUE_SET: &str = "http://test.example/ValueSet/duty";

/// A profile that wants both references and one code of a ValueSet.
fn profile(variant: &str) -> Value {
    json!({
        "resourceType": "StructureDefinition", "meta": meta(&["ALL"]), "url": format!("{PROFILE}-{variant}"), "version": "1.0",
        "name": "Duty", "status": "active", "date": "2026-11-23", "fhirVersion": "4.0.1", "kind": "resource",
        "abstract": false, "type": "PractitionerRole", "derivation": "constraint",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/PractitionerRole",
        "differential": {"element": [
            {"id": "PractitionerRole.practitioner", "path": "PractitionerRole.practitioner", "min": 1},
            {"id": "PractitionerRole.organization", "path": "PractitionerRole.organization", "min": 1},
            {
                "id": "PractitionerRole.code", "path": "PractitionerRole.code", "min": 1, "max": "1",
                "binding": {"strength": "required", "valueSet": format!("{VALUE_SET}-{variant}|1.0")},
            },
        ]},
    })
}

/// The whole system, its codes by name, or those below a concept.
fn value_set(variant: &str) -> Value {
    let mut include = json!({"system": SYSTEM, "version": "1.0"});
    match variant {
        "b" => include["concept"] = json!([{"code": "night"}]),
        "c" => include["filter"] = json!([{"property": "concept", "op": "is-a", "value": "shift"}]),
        _ => {}
    }
    json!({
        "resourceType": "ValueSet", "meta": meta(&["ALL"]), "url": format!("{VALUE_SET}-{variant}"), "version": "1.0",
        "name": "Duty", "status": "active", "date": "2026-11-23", "compose": {"include": [include]},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_have_what_their_profile_asks_for() {
    let site = Site::start().await;
    let mut system = code_system(SYSTEM, &["ALL"]);
    system["hierarchyMeaning"] = json!("is-a");
    system["concept"] =
        json!([{"code": "shift", "concept": [{"code": "day"}, {"code": "night"}]}, {"code": "office"}]);
    site.create(Local, &system).await;
    for variant in ["a", "b", "c"] {
        site.create(Local, &value_set(variant)).await;
        site.create(Local, &profile(variant)).await;
    }
    let practitioner = json!({"resourceType": "Practitioner", "meta": meta(&["ALL"]), "active": true});
    let practitioner = site.create(Local, &practitioner).await;
    let organization = site.organization(LOCAL).await;
    let role = |variant: &str, code: &str| {
        let mut meta = meta(&["ALL"]);
        meta["profile"] = json!([format!("{PROFILE}-{variant}|1.0")]);
        json!({
            "resourceType": "PractitionerRole", "meta": meta, "active": true,
            "identifier": [{"system": "http://test.example", "value": format!("{variant}-{code}")}],
            "practitioner": {"reference": format!("Practitioner/{practitioner}")},
            "organization": {"reference": format!("Organization/{organization}")},
            "code": [{"coding": [{"system": SYSTEM, "code": code}]}],
        })
    };
    let without = |name: &str| {
        let mut role = role("a", "day");
        role.as_object_mut().unwrap().remove(name);
        role
    };
    let elsewhere = |name: &str, target: &str| {
        let mut role = role("a", "day");
        role[name] = json!({"reference": format!("{target}/00000000-0000-4000-8000-000000000000")});
        role
    };
    for (what, role, expected) in [
        ("a: any code of the system", role("a", "office"), "201"),
        ("a: no code of the system", role("a", "other"), "403 processing"),
        ("b: a listed code", role("b", "night"), "201"),
        ("b: one that is not listed", role("b", "day"), "403 processing"),
        ("c: a code below", role("c", "night"), "201"),
        ("c: the concept itself", role("c", "shift"), "201"),
        ("c: one elsewhere", role("c", "office"), "403 processing"),
        ("no practitioner", without("practitioner"), "403 forbidden"),
        ("no organization", without("organization"), "403 forbidden"),
        ("no such practitioner", elsewhere("practitioner", "Practitioner"), "403 processing"),
        ("no such organization", elsewhere("organization", "Organization"), "403 processing"),
    ] {
        let answer = site.ask(Local, "POST PractitionerRole", &[], &role).await;
        let code = if answer.status == 201 { String::new() } else { format!(" {}", answer.code()) };
        assert_eq!(format!("{}{code}", answer.status.as_u16()), expected, "{what}: {}", answer.body);
    }
    assert_eq!(site.ask(Remote, "POST PractitionerRole", &[], &role("a", "day")).await.status, 403);

    for (query, total, entries) in [
        (format!("practitioner={practitioner}"), 4, 4),
        (format!("practitioner=Practitioner/{practitioner}&organization=Organization/{organization}"), 4, 4),
        ("identifier=http://test.example|b-night&active=true".to_owned(), 1, 1),
        ("active=false".to_owned(), 0, 0),
        ("_include=PractitionerRole:practitioner&_include=PractitionerRole:organization".to_owned(), 4, 6),
    ] {
        let found = site.get(Local, &format!("PractitionerRole?{query}")).await.json();
        let count = found["entry"].as_array().map_or(0, Vec::len);
        assert_eq!((found["total"].as_u64(), count), (Some(total), entries), "{query}");
    }

    // References may move, but not go.
    let found = site.get(Local, "PractitionerRole?identifier=a-office").await.json();
    let mut stored = found["entry"][0]["resource"].clone();
    let line = format!("PUT PractitionerRole/{}", stored["id"].as_str().unwrap());
    stored["active"] = json!(false);
    assert_eq!(site.ask(Local, &line, &[], &stored).await.status, 200);
    stored.as_object_mut().unwrap().remove("organization");
    assert_eq!(site.ask(Local, &line, &[], &stored).await.status, 403);
    site.stop().await;
}
