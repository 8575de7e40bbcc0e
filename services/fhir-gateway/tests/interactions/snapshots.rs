//! StructureDefinitions with and without snapshot: contract 1.1, 12.1; 13.3 StructureDefinition.
use serde_json::{Value, json};
use uuid::Uuid;

use crate::site::{Local, Remote, Site, meta};

fn definition(url: &str, tags: &[&str]) -> Value {
    json!({
        "resourceType": "StructureDefinition", "meta": meta(tags), "url": url, "version": "1.0", "name": "Test",
        "status": "active", "date": "2026-11-23", "fhirVersion": "4.0.1", "kind": "resource", "abstract": false,
        "type": "Patient", "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "derivation": "constraint",
        "differential": {"element": [{"id": "Patient.active", "path": "Patient.active", "min": 1}]},
    })
}

/// Minimum of `Patient.active` in a snapshot.
fn minimum(definition: &Value) -> Value {
    let elements = definition["snapshot"]["element"].as_array().expect("a snapshot");
    elements.iter().find(|element| element["path"] == "Patient.active").expect("its element")["min"].clone()
}

/// A definition comes back as it was sent; its snapshot is there for who asks, whoever made it.
#[tokio::test(flavor = "multi_thread")]
async fn are_made_where_they_are_not_sent() {
    let site = Site::start().await;
    let entry = |method: &str, url: String, full_url: String, resource: &Value| json!({"fullUrl": full_url, "resource": resource, "request": {"method": method, "url": url}});
    let made = site
        .ask(
            Local,
            "POST StructureDefinition/$snapshot",
            &[],
            &definition("http://test.example/made", &["ALL"]),
        )
        .await;
    assert_eq!(made.status, 200, "{}", made.body);
    let snapshot = made.json()["snapshot"].clone();
    assert_eq!(minimum(&made.json()), 1);
    for way in ["direct", "transaction", "batch"] {
        for with in [false, true] {
            let mut sent = definition(&format!("http://test.example/{way}/{with}"), &["ALL"]);
            if with {
                sent["snapshot"] = snapshot.clone();
            }
            let mut id = String::new();
            for (method, version) in [("POST", "1"), ("PUT", "2")] {
                let (path, full_url) = match method {
                    "POST" => ("StructureDefinition".to_owned(), format!("urn:uuid:{}", Uuid::new_v4())),
                    _ => {
                        sent["id"] = json!(id);
                        let path = format!("StructureDefinition/{id}");
                        (path.clone(), format!("{}/{path}", site.base))
                    }
                };
                let stored = match way {
                    "direct" => site.ask(Local, &format!("{method} {path}"), &[], &sent).await.json(),
                    kind => {
                        let entries = [entry(method, path, full_url, &sent)];
                        let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": entries});
                        site.ask(Local, "POST ", &[], &bundle).await.json()["entry"][0]["resource"].clone()
                    }
                };
                let what = format!("{method}, {way}, with a snapshot: {with}");
                assert_eq!(stored["meta"]["versionId"], version, "{what}: {stored}");
                assert_eq!(stored.get("snapshot").is_some(), with, "{what}");
                stored["id"].as_str().unwrap().clone_into(&mut id);
            }
            let asked = site.get(Local, &format!("StructureDefinition/{id}/$snapshot")).await;
            assert_eq!(asked.status, 200, "{}", asked.body);
            assert_eq!(minimum(&asked.json()), 1);
        }
    }
    // GHSA-xw2h-2xx5-j86q: a snapshot is as readable as its definition.
    let secret = site.create(Local, &definition("http://test.example/secret", &["LOCAL"])).await;
    for path in [
        format!("StructureDefinition/{secret}/$snapshot"),
        "StructureDefinition/$snapshot?url=http://test.example/secret".to_owned(),
    ] {
        assert_eq!(site.get(Local, &path).await.status, 200, "{path}");
        assert_eq!(site.get(Remote, &path).await.status, 403, "{path}");
    }
    site.stop().await;
}
