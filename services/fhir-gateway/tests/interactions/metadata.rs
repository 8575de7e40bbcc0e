//! CapabilityStatement: contract 1.13; 13.3 Bundle, supported profiles.
use serde_json::{Value, json};

use crate::site::{Local, Remote, Site, meta};

#[tokio::test(flavor = "multi_thread")]
async fn says_what_is_offered() {
    let site = Site::start().await;
    let statement = site.get(Remote, "metadata").await.json();
    let text = |path: &str| statement.pointer(path).cloned().unwrap_or_default();
    let table = [
        ("/resourceType", json!("CapabilityStatement")),
        ("/status", json!("active")),
        ("/kind", json!("instance")),
        ("/publisher", json!("DSF Developers")),
        ("/software/name", json!("Data Sharing Framework")),
        ("/implementation/url", json!(site.base)),
        ("/fhirVersion", json!("4.0.1")),
        ("/format", json!(["application/fhir+json", "application/fhir+xml"])),
        ("/rest/0/mode", json!("server")),
        ("/rest/0/extension/0/valueUrl", json!(site.base.replace("https", "wss") + "/ws")),
        ("/rest/0/security/service/0/coding/0/code", json!("Certificates")),
    ];
    for (path, expected) in table {
        assert_eq!(text(path), expected, "{path}");
    }
    let resources = statement["rest"][0]["resource"].as_array().unwrap();
    assert_eq!(resources.len(), 26);
    let of = |name: &str| resources.iter().find(|resource| resource["type"] == name).unwrap();
    let affiliation = of("OrganizationAffiliation");
    for (name, expected) in [
        ("profile", json!("http://dsf.dev/fhir/StructureDefinition/organization-affiliation")),
        ("versioning", json!("versioned")),
        ("readHistory", json!(true)),
        ("updateCreate", json!(false)),
        ("conditionalCreate", json!(true)),
        ("conditionalRead", json!("full-support")),
        ("conditionalUpdate", json!(true)),
        ("conditionalDelete", json!("single")),
        ("referencePolicy", json!(["literal", "logical"])),
    ] {
        assert_eq!(affiliation[name], expected, "{name}");
    }
    assert_eq!(
        of("Endpoint")["searchRevInclude"],
        json!(["Organization:endpoint"]),
        "what refers to endpoints"
    );
    assert_eq!(of("Task")["searchInclude"][1], "Task:requester:Organization", "the target must be named");
    let names = |resource: &Value, list: &str| -> Vec<String> {
        resource[list]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert!(names(of("QuestionnaireResponse"), "searchParam").contains(&"questionnaire".to_owned()));
    assert_eq!(names(of("StructureDefinition"), "operation"), ["permanent-delete", "snapshot"]);
    assert_eq!(names(of("Task"), "operation"), ["permanent-delete"]);

    // 13.3 Bundle: supportedProfile follows create and delete of a profile.
    let url = "http://dsf.dev/fhir/StructureDefinition/task-x";
    let profile = json!({
        "resourceType": "StructureDefinition", "meta": meta(&["ALL"]), "url": url, "version": "1.0", "name": "X",
        "status": "active", "kind": "resource", "abstract": false, "type": "Task",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Task", "derivation": "constraint",
        "date": "2026-11-23",
        "differential": {"element": [{"id": "Task", "path": "Task"}]},
    });
    let supported = async || {
        let statement = site.get(Local, "metadata").await.json();
        let resources = statement["rest"][0]["resource"].as_array().unwrap().clone();
        let task = resources.into_iter().find(|resource| resource["type"] == "Task").unwrap();
        task["supportedProfile"].as_array().cloned().unwrap_or_default().contains(&json!(url))
    };
    assert!(!supported().await);
    let id = site.create(Local, &profile).await;
    assert!(supported().await, "a stored profile is told");
    let answer = site.ask(Local, &format!("DELETE StructureDefinition/{id}"), &[], &Value::Null).await;
    assert_eq!(answer.status, 200);
    assert!(!supported().await, "a deleted one is not");
    let head = site.ask(Local, "HEAD metadata", &[], &Value::Null).await;
    assert_eq!((head.status.as_u16(), head.body.as_str()), (200, ""));
    assert_ne!(head.header("content-length"), Some("0"), "HEAD tells the length of GET");
    site.stop().await;
}
