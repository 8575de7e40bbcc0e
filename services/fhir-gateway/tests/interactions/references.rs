//! References: contract 5; 13.3 ReferenceResolver, ResearchStudy …RelatedArtefact…, Endpoint literal and
//! logical references, Task …ReferenceToExternalBinary….
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    site::{ENDPOINT, JSON, Local, ORGANIZATION, Site, business_key, group, meta, process},
    world::{LOCAL, Replica},
};

fn study(reference: Value) -> Value {
    json!({"resourceType": "ResearchStudy", "meta": meta(&["ALL"]), "status": "active", "enrollment": [reference]})
}

fn with_artifact(url: &str) -> Value {
    json!({
        "resourceType": "ResearchStudy", "meta": meta(&["ALL"]), "status": "active",
        "relatedArtifact": [{"type": "documentation", "url": url}],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn own_references_must_resolve() {
    let site = Site::start().await;
    let group_id = site.create(Local, &group("1", &["ALL"])).await;
    let gone = site.create(Local, &group("2", &["ALL"])).await;
    site.ask(Local, &format!("DELETE Group/{gone}"), &[], &Value::Null).await;
    let nobody = Uuid::new_v4();
    let literal = |text: String| study(json!({"reference": text}));
    let identifier = |system: &str, value: &str, ty: Option<&str>| {
        let mut reference = json!({"identifier": {"system": system, "value": value}});
        if let Some(ty) = ty {
            reference["type"] = json!(ty);
        }
        json!({
            "resourceType": "Patient", "meta": meta(&["ALL"]), "managingOrganization": reference,
        })
    };
    let table = [
        ("relative", literal(format!("Group/{group_id}")), 201),
        ("absolute", literal(format!("{}/Group/{group_id}", site.base)), 201),
        ("version", literal(format!("Group/{group_id}/_history/1")), 201),
        ("missing version", literal(format!("Group/{group_id}/_history/2")), 403),
        ("missing", literal(format!("Group/{nobody}")), 403),
        ("deleted", literal(format!("Group/{gone}")), 403),
        ("other type", literal(format!("Patient/{group_id}")), 403),
        ("temporary outside of a bundle", literal(format!("urn:uuid:{nobody}")), 403),
        ("conditional outside of a bundle", literal("Group?identifier=http://test|1".to_owned()), 403),
        ("nonsense", literal("nonsense".to_owned()), 403),
        ("display alone", study(json!({"display": "x"})), 403),
        ("extension alone", study(json!({"extension": [{"url": "http://x", "valueString": "y"}]})), 201),
        (
            "UnknownAbsoluteLiteralExternalReference",
            literal("https://nobody.example/fhir/Group/1".to_owned()),
            201,
        ),
        ("UnknownLogicalReference", identifier("http://elsewhere", "x", Some("Organization")), 201),
        ("logical without type", identifier("http://elsewhere", "x", None), 403),
        ("KnownLogicalReference", identifier(ORGANIZATION, LOCAL, Some("Organization")), 201),
        ("KnownLogicalReferenceMissingType", identifier(ORGANIZATION, LOCAL, None), 403),
        (
            "UnknownLogicalReferenceBasedOnKnownNamingSystem",
            identifier(ORGANIZATION, "nobody.test", Some("Organization")),
            403,
        ),
        ("UnknownUrl", with_artifact("http://elsewhere.example/document"), 201),
        ("RelativeLiteralInternalUrl", with_artifact(&format!("Group/{group_id}")), 201),
        ("RelativeLiteralInternalUrlNonExisting", with_artifact(&format!("Group/{nobody}")), 403),
        ("AbsoluteLiteralInternalUrl", with_artifact(&format!("{}/Group/{group_id}", site.base)), 201),
        ("AbsoluteLiteralExternalUrl", with_artifact("https://nobody.example/fhir/Group/1"), 201),
    ];
    for (what, resource, status) in &table {
        let ty = resource["resourceType"].as_str().unwrap();
        let direct = site.ask(Local, &format!("POST {ty}"), &[], resource).await;
        assert_eq!(direct.status.as_u16(), *status, "{what}: {}", direct.body);
        if *status == 403 {
            assert_eq!(direct.code(), "processing", "{what}");
        } else {
            let reference = &direct.json()["managingOrganization"];
            assert!(reference["reference"].is_null(), "{what}: what was resolved is not shown: {reference}");
        }
        if what.contains("outside of a bundle") {
            continue;
        }
        let entry = json!({
            "fullUrl": format!("urn:uuid:{}", Uuid::new_v4()), "resource": resource, "request": {"method": "POST", "url": ty},
        });
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]});
        let answer = site.ask(Local, "POST ", &[], &bundle).await;
        assert_eq!(answer.status == 200, *status == 201, "{what} in a transaction: {}", answer.body);
        if *status == 403 {
            assert!(answer.diagnostics().contains("at bundle index 0"), "{what}: {}", answer.body);
        }
    }

    // Urls of related artifacts become absolute, however they were given.
    let urn = format!("urn:uuid:{}", Uuid::new_v4());
    let entry = |full_url: &str, resource: Value| json!({"fullUrl": full_url, "resource": resource, "request": {"method": "POST", "url": resource["resourceType"]}});
    let fresh = || format!("urn:uuid:{}", Uuid::new_v4());
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        entry(&urn, group("3", &["ALL"])),
        entry(&fresh(), with_artifact(&urn)),
        entry(&fresh(), with_artifact("Group?identifier=http://test|1")),
        entry(&fresh(), with_artifact(&format!("Group/{group_id}"))),
    ]});
    let answer = site.ask(Local, "POST ", &[], &bundle).await.json();
    let own = format!("{}/Group/{group_id}", site.base);
    for (index, expected) in [(1, answer["entry"][0]["fullUrl"].as_str().unwrap()), (2, &own), (3, &own)] {
        assert_eq!(
            answer["entry"][index]["resource"]["relatedArtifact"][0]["url"], expected,
            "entry {index}"
        );
    }

    // A draft names a stored process (canonical reference).
    let mut draft = site.task(Local, "unknown", "draft");
    assert_eq!(site.ask(Local, "POST Task", &[], &draft).await.status, 403);
    site.create(Local, &process("unknown", &["LOCAL_ALL"], "LOCAL_ALL")).await;
    draft["identifier"][0]["value"] = json!("again");
    assert_eq!(site.ask(Local, "POST Task", &[], &draft).await.status, 201);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_sites_are_asked() {
    let site = Site::start_with(|config| {
        config.database_connections = 2;
        config.reference_timeout = config::Duration::secs(5);
    })
    .await;
    // The partner is a gateway of its own at another address; it knows our certificate.
    let config = site.world.config();
    let base = config.base_url();
    let partner = Replica::start(config).await;
    let local = site.organization(LOCAL).await;
    let endpoint = json!({
        "resourceType": "Endpoint", "meta": meta(&["ALL"]), "status": "active", "address": base,
        "identifier": [{"system": ENDPOINT, "value": "partner.test"}],
        "connectionType": {"system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type", "code": "hl7-fhir-rest"},
        "payloadType": [{"coding": [{"system": "http://hl7.org/fhir/resource-types", "code": "Task"}]}],
        "payloadMimeType": ["application/fhir+xml", JSON],
        "managingOrganization": {"reference": format!("Organization/{local}")},
    });
    site.create(Local, &endpoint).await;
    let there = site.create(Local, &group("there", &["ALL"])).await;
    let nobody = Uuid::new_v4();
    let at = |id: &str| study(json!({"reference": format!("{base}/Group/{id}")}));
    let post = async |resource: &Value| site.ask(Local, "POST ResearchStudy", &[], resource).await;

    for (what, resource, status, text) in [
        ("there", at(&there), 201, ""),
        ("a version that is there", at(&format!("{there}/_history/1")), 201, ""),
        ("not there", at(&nobody.to_string()), 403, "not found on"),
        ("a url that is not there", with_artifact(&format!("{base}/Group/{nobody}")), 403, "not found on"),
        (
            "no Endpoint for the address",
            study(json!({"reference": format!("{base}/other/Group/{nobody}")})),
            201,
            "",
        ),
    ] {
        let answer = post(&resource).await;
        assert_eq!(answer.status.as_u16(), status, "{what}: {}", answer.body);
        if status == 403 {
            assert!(
                answer.diagnostics().contains(text) && answer.diagnostics().contains(&base),
                "{what}: {}",
                answer.body
            );
        }
        let ty = resource["resourceType"].as_str().unwrap();
        let entry = || {
            json!({
                "fullUrl": format!("urn:uuid:{}", Uuid::new_v4()), "resource": resource, "request": {"method": "POST", "url": ty},
            })
        };
        for kind in ["transaction", "batch"] {
            let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": [entry(), entry()]});
            let answer = site.ask(Local, "POST ", &[], &bundle).await;
            let accepted =
                answer.status == 200 && answer.json()["entry"][1]["response"]["status"] == "201 Created";
            assert_eq!(accepted, status == 201, "{what} in a {kind}: {}", answer.body);
        }
    }
    // As many at the same time as there are connections and more: nobody holds one while partners are asked.
    let (one, other) = (at(&there), at(&there));
    let all = (0..6).map(|number| post(if number % 2 == 0 { &one } else { &other }));
    for answer in futures_util::future::join_all(all).await {
        assert_eq!(answer.status, 201, "{}", answer.body);
    }

    // 13.3 Task …ReferenceToExternalBinary…
    site.create(Local, &process("test", &["LOCAL_ALL"], "LOCAL_ALL")).await;
    let with_input = |mut task: Value, id: &str| {
        let input = json!({
            "type": {"coding": [{"system": "http://test", "code": "data"}]},
            "valueReference": {"reference": format!("{base}/Group/{id}"), "type": "Group"},
        });
        task["input"].as_array_mut().unwrap().push(input);
        task
    };
    let next_of = |task: &Value, status: &str| {
        let mut next = task.clone();
        next["status"] = json!(status);
        if task["status"] == "requested" && status == "in-progress" {
            next["input"].as_array_mut().unwrap().push(business_key());
        }
        next
    };
    let step = async |task: &Value, status: &str, way: &str| {
        let next = next_of(task, status);
        let id = next["id"].as_str().unwrap().to_owned();
        if way == "direct" {
            let answer = site.ask(Local, &format!("PUT Task/{id}"), &[], &next).await;
            return (answer.status.as_u16(), next);
        }
        let entry = json!({"fullUrl": format!("{}/Task/{id}", site.base), "resource": next,
            "request": {"method": "PUT", "url": format!("Task/{id}")}});
        let bundle = json!({"resourceType": "Bundle", "type": way, "entry": [entry]});
        let answer = site.ask(Local, "POST ", &[], &bundle).await;
        let of_entry = || {
            answer.json()["entry"][0]["response"]["status"].as_str().map(|text| text[..3].parse().unwrap())
        };
        let status = if answer.status == 200 { of_entry().unwrap() } else { answer.status.as_u16() };
        (status, next)
    };
    let refused = with_input(site.task(Local, "test", "requested"), &nobody.to_string());
    assert_eq!(site.ask(Local, "POST Task", &[], &refused).await.status, 403, "a new Task is checked");
    let mut tasks = Vec::new();
    for _ in 0..9 {
        let task = with_input(site.task(Local, "test", "requested"), &there);
        let answer = site.ask(Local, "POST Task", &[], &task).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        tasks.push(answer.json());
    }
    let ways = ["direct", "transaction", "batch"];
    let mut rows: Vec<(&str, &Value, Value)> = Vec::new();
    for (way, tasks) in ways.into_iter().zip(tasks.chunks(3)) {
        let (status, running) = step(&tasks[0], "in-progress", way).await;
        assert_eq!(status, 200, "{way}");
        rows.push((way, &tasks[1], running));
    }
    // The input is gone at the partner: only `completed` and `failed` are still possible.
    site.ask(Local, &format!("DELETE Group/{there}"), &[], &Value::Null).await;
    for ((way, requested, running), failing) in rows.iter().zip(tasks.chunks(3).map(|tasks| &tasks[2])) {
        for (task, status, expected) in [
            (*requested, "in-progress", 403),
            (failing, "failed", 200),
            (running, "in-progress", 403),
            (running, "completed", 200),
        ] {
            assert_eq!(step(task, status, way).await.0, expected, "{} to {status}, {way}", task["status"]);
        }
    }

    // A partner that is away is told as such, soon without being asked.
    partner.stop().await;
    for attempt in 0..7 {
        let answer = post(&at(&there)).await;
        assert_eq!(answer.status, 403, "attempt {attempt}");
        let text = answer.diagnostics();
        assert!(
            text.contains("could not be resolved") && !text.contains("refused"),
            "the reason stays here: {text}"
        );
    }
    assert_eq!(
        site.ask(
            Local,
            "POST Group",
            &[("prefer", "return=minimal"), ("accept", JSON)],
            &group("still", &["ALL"])
        )
        .await
        .status,
        201
    );

    // Without a certificate the gateway does not start, unless checks are switched off.
    let mut config = site.world.config();
    config.client_key = None;
    let error = fhir_gateway::run(config.clone(), std::future::pending()).await.unwrap_err().to_string();
    assert!(error.contains("client_key") && error.contains("reference_checks"), "{error}");
    config.reference_checks = fhir_gateway::config::Switch::Off;
    Replica::start(config).await.stop().await;
    site.stop().await;
}
