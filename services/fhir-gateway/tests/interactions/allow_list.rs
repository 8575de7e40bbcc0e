//! Rules of what makes up an allow list: contract 4.3; 13.3 OrganizationAffiliation, Organization, NamingSystem.
use serde_json::{Value, json};

use crate::site::{ENDPOINT, JSON, Local, PARENT, REMOTE, ROLE, Site, meta};
use crate::world::LOCAL;

/// The only match of a search.
async fn only(site: &Site, query: &str) -> Value {
    let found = site.get(Local, query).await.json();
    assert_eq!(found["total"], 1, "{query}");
    found["entry"][0]["resource"].clone()
}

fn reference(resource: &Value) -> Value {
    json!({"reference": format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap())})
}

fn codes(codes: &[&str]) -> Value {
    codes.iter().map(|code| json!({"coding": [{"system": ROLE, "code": code}]})).collect()
}

/// Status of a write; a refusal must be one of the rules, not of the validation.
async fn status(site: &Site, line: &str, resource: &Value) -> u16 {
    let answer = site.ask(Local, line, &[], resource).await;
    if answer.status == 403 {
        assert_eq!(answer.code(), "forbidden", "{line}: {}", answer.body);
    }
    answer.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn members_hold_a_role_and_an_endpoint_once() {
    let site = Site::start().await;
    let organization = async |name: &str| only(&site, &format!("Organization?identifier={name}")).await;
    let (parent, local, remote) =
        (organization(PARENT).await, organization(LOCAL).await, organization(REMOTE).await);
    let own = only(&site, "Endpoint?identifier=fhir.local.test").await;
    let theirs = only(&site, "Endpoint?identifier=fhir.remote.test").await;
    let third = json!({
        "resourceType": "Endpoint", "meta": meta(&["ALL"]), "status": "active", "address": "https://third.test/fhir",
        "identifier": [{"system": ENDPOINT, "value": "third.test"}],
        "connectionType": {"system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type", "code": "hl7-fhir-rest"},
        "payloadType": [{"coding": [{"system": "http://hl7.org/fhir/resource-types", "code": "Task"}]}],
        "payloadMimeType": ["application/fhir+xml", JSON], "managingOrganization": reference(&remote),
    });
    site.create(Local, &third).await;
    let third = only(&site, "Endpoint?identifier=third.test").await;
    // The remote organization has TTP and DTS for its own endpoint already.
    let affiliation = |endpoint: &Value, roles: &[&str]| {
        json!({
            "resourceType": "OrganizationAffiliation", "meta": meta(&["ALL"]), "active": true, "code": codes(roles),
            "organization": reference(&parent), "participatingOrganization": reference(&remote),
            "endpoint": [reference(endpoint)],
        })
    };
    for (what, endpoint, roles, expected) in [
        ("same endpoint, other role", &theirs, vec!["COS"], 403),
        ("other endpoint, same role", &third, vec!["TTP"], 403),
        ("other endpoint, one of two roles", &third, vec!["COS", "DTS"], 403),
        ("other endpoint, other role", &third, vec!["COS"], 201),
        ("the same again", &third, vec!["COS"], 403),
    ] {
        assert_eq!(
            status(&site, "POST OrganizationAffiliation", &affiliation(endpoint, &roles)).await,
            expected,
            "{what}"
        );
    }
    let all = site.get(Local, "OrganizationAffiliation").await.json();
    let second = all["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]);
    let second =
        second.filter(|found| found["endpoint"][0] == reference(&third)).collect::<Vec<_>>()[0].clone();
    let line = format!("PUT OrganizationAffiliation/{}", second["id"].as_str().unwrap());
    for (what, member, value, expected) in [
        ("a role that its sibling has", "code", codes(&["TTP"]), 403),
        ("another parent", "organization", reference(&local), 403),
        ("another member", "participatingOrganization", reference(&local), 403),
        ("another endpoint", "endpoint", json!([reference(&own)]), 403),
        ("a free role", "code", codes(&["DIC"]), 200),
    ] {
        let mut next = second.clone();
        next[member] = value;
        assert_eq!(status(&site, &line, &next).await, expected, "{what}");
    }
    let now = site.get(Local, line.strip_prefix("PUT ").unwrap()).await.json();
    assert_eq!((&now["meta"]["versionId"], &now["code"]), (&json!("2"), &codes(&["DIC"])));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_and_names_belong_to_one_organization() {
    let site = Site::start().await;
    let remote = only(&site, &format!("Organization?identifier={REMOTE}")).await;
    let line = format!("PUT Organization/{}", remote["id"].as_str().unwrap());
    let url = remote["extension"][0]["url"].clone();
    let thumbprints = |values: &[&str]| -> Value {
        values.iter().map(|value| json!({"url": url, "valueString": value})).collect()
    };
    let (first, second) = ("ab".repeat(64), "cd".repeat(64));
    let before = remote["extension"][0]["valueString"].as_str().unwrap();
    let taken = site.world.local.thumbprint.as_str();
    for (what, member, value, expected) in [
        ("the certificate of another", "extension", thumbprints(&[taken]), 403),
        ("one more, of another", "extension", thumbprints(&[before, taken]), 403),
        ("no thumbprint", "extension", thumbprints(&["AB"]), 403),
        (
            "another name",
            "identifier",
            json!([{"system": crate::site::ORGANIZATION, "value": "else.test"}]),
            403,
        ),
        ("one more", "extension", thumbprints(&[before, &first]), 200),
        ("a new one", "extension", thumbprints(&[&second]), 200),
        ("one that was given up", "extension", thumbprints(&[&first, &second]), 200),
    ] {
        let mut next = remote.clone();
        next[member] = value;
        let answer = site.ask(Local, &line, &[], &next).await;
        assert_eq!(answer.status.as_u16(), expected, "{what}: {}", answer.body);
    }
    assert_eq!(
        site.get(crate::site::Remote, "metadata").await.status,
        403,
        "its first certificate is nobody's now"
    );

    let naming = |name: &str, ids: &[(&str, &str)]| {
        let ids: Value = ids.iter().map(|(kind, value)| json!({"type": kind, "value": value})).collect();
        json!({
            "resourceType": "NamingSystem", "meta": meta(&["ALL"]), "name": name, "status": "active", "kind": "identifier",
            "date": "2026-11-23", "uniqueId": ids,
        })
    };
    for (what, resource, expected) in [
        ("new", naming("one", &[("uri", "http://test/a"), ("other", "http://test/b")]), 201),
        ("same name", naming("one", &[("uri", "http://test/c")]), 403),
        ("same id", naming("two", &[("uri", "http://test/a")]), 403),
        ("same id among several", naming("two", &[("uri", "http://test/c"), ("uri", "http://test/a")]), 403),
        (
            "same id of another kind",
            naming("two", &[("other", "http://test/c"), ("other", "http://test/b")]),
            403,
        ),
        ("one id twice", naming("two", &[("uri", "http://test/c"), ("uri", "http://test/c")]), 403),
        ("new name and ids", naming("two", &[("uri", "http://test/c"), ("uri", "http://test/d")]), 201),
    ] {
        let answer = site.ask(Local, "POST NamingSystem", &[], &resource).await;
        assert_eq!(answer.status.as_u16(), expected, "{what}: {}", answer.body);
    }
    site.stop().await;
}

/// 13.2, both variants of OrganizationAffiliation: of two that clash one is stored, however they come.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_affiliations_that_clash_one_is_stored() {
    let site = Site::start().await;
    let parent = only(&site, &format!("Organization?identifier={PARENT}")).await;
    let one = only(&site, "Endpoint?identifier=fhir.local.test").await;
    let other = only(&site, "Endpoint?identifier=fhir.remote.test").await;
    let mut number = 0_u32;
    for (what, second) in [("same endpoint", (&one, "COS")), ("same role", (&other, "DIC"))] {
        for way in ["transaction", "batch", "direct", "transactions", "batches"] {
            number += 1;
            let member = json!({
                "resourceType": "Organization", "meta": meta(&["ALL"]), "active": true, "name": "Member",
                "identifier": [{"system": crate::site::ORGANIZATION, "value": format!("member-{number}.test")}],
                "extension": [{
                    "url": "http://dsf.dev/fhir/StructureDefinition/extension-certificate-thumbprint",
                    "valueString": format!("{number:0128x}"),
                }],
                "endpoint": [reference(&one)],
            });
            let member = site.create(Local, &member).await;
            let affiliation = |(endpoint, role): (&Value, &str)| {
                json!({
                    "resourceType": "OrganizationAffiliation", "meta": meta(&["ALL"]), "active": true,
                    "code": codes(&[role]), "organization": reference(&parent), "endpoint": [reference(endpoint)],
                    "participatingOrganization": {"reference": format!("Organization/{member}")},
                })
            };
            let both = [affiliation((&one, "DIC")), affiliation(second)];
            let bundle = |kind: &str, resources: &[Value]| {
                let entries: Vec<Value> = resources
                    .iter()
                    .map(|resource| {
                        json!({"fullUrl": format!("urn:uuid:{}", uuid::Uuid::new_v4()), "resource": resource,
                            "request": {"method": "POST", "url": "OrganizationAffiliation"}})
                    })
                    .collect();
                json!({"resourceType": "Bundle", "type": kind, "entry": entries})
            };
            let post =
                async |body: Value, path: &str| site.ask(Local, &format!("POST {path}"), &[], &body).await;
            let answers = match way {
                "transaction" | "batch" => vec![post(bundle(way, &both), "").await],
                "direct" => {
                    let [first, second] = both.clone();
                    let path = "OrganizationAffiliation";
                    let (first, second) = tokio::join!(post(first, path), post(second, path));
                    vec![first, second]
                }
                several => {
                    let kind = if several == "batches" { "batch" } else { "transaction" };
                    let (first, second) =
                        tokio::join!(post(bundle(kind, &both[..1]), ""), post(bundle(kind, &both[1..]), ""));
                    vec![first, second]
                }
            };
            let bodies: Vec<&str> = answers.iter().map(|answer| answer.body.as_str()).collect();
            let stored = site
                .get(Local, &format!("OrganizationAffiliation?participating-organization={member}"))
                .await
                .json();
            // A transaction with both is refused as a whole.
            let expected = if way == "transaction" { 0 } else { 1 };
            assert_eq!(stored["total"], expected, "{what}, {way}: {bodies:?}");
            if way == "batch" {
                let statuses =
                    [0, 1].map(|index| answers[0].json()["entry"][index]["response"]["status"].clone());
                assert_eq!(statuses, ["201 Created", "403 Forbidden"], "{what}");
            }
        }
    }
    site.stop().await;
}

/// 13.3 OrganizationThumbprint: the start bundle's placeholder is the thumbprint of the setting, else that of
/// the client certificate.
#[tokio::test(flavor = "multi_thread")]
async fn the_own_thumbprint_comes_from_the_configuration() {
    const PLACEHOLDER: &str = "${dev.dsf.fhir.server.organization.thumbprint}";
    for computed in [false, true] {
        let mut expected = String::new();
        let site = Site::start_with(|config| {
            let path = config.init_bundle.as_ref().unwrap();
            let mut bundle: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            let thumbprint = bundle.pointer_mut("/entry/1/resource/extension/0/valueString").unwrap();
            let own = thumbprint.take();
            *thumbprint = json!(PLACEHOLDER);
            own.as_str().unwrap().clone_into(&mut expected);
            std::fs::write(path, bundle.to_string()).unwrap();
            // The site's client certificate is the caller's here.
            if !computed {
                config.organization_thumbprint = Some(expected.to_uppercase());
                config.client_certificate = None;
                config.reference_checks = fhir_gateway::config::Switch::Off;
            }
        })
        .await;
        let own = only(&site, &format!("Organization?identifier={LOCAL}")).await;
        assert_eq!(own["extension"][0]["valueString"], expected, "computed: {computed}");
        site.stop().await;
    }
}
