//! Batch and transaction: contract 1.11; 13.3 Bundle, Endpoint …ViaBundle, Binary ExpectRollback.
use serde_json::{Value, json};
use uuid::Uuid;

use crate::site::{Local, Remote, Site, code_system, group};

fn urn() -> String {
    format!("urn:uuid:{}", Uuid::new_v4())
}

fn bundle(kind: &str, entries: &[Value]) -> Value {
    json!({"resourceType": "Bundle", "type": kind, "entry": entries})
}

fn post(resource: &Value) -> Value {
    json!({"fullUrl": urn(), "resource": resource, "request": {"method": "POST", "url": resource["resourceType"]}})
}

#[tokio::test(flavor = "multi_thread")]
async fn structure_is_checked_before_anything_happens() {
    let site = Site::start().await;
    let resource = group("1", &["ALL"]);
    let change = |pointer: &str, value: Value| {
        let mut entry = post(&resource);
        *entry.pointer_mut(pointer).unwrap() = value;
        entry
    };
    // 13.3 and 1.11: structural errors fail the whole call, whatever the type of bundle.
    let structural = [
        ("no method", change("/request", json!({"url": "Group"}))),
        ("PATCH", change("/request/method", json!("PATCH"))),
        ("no url", change("/request", json!({"method": "POST"}))),
        ("other type", change("/request/url", json!("Patient"))),
        ("unknown type", change("/request/url", json!("Nothing"))),
        ("id in a POST", change("/request/url", json!("Group/7"))),
        ("no resource", json!({"fullUrl": urn(), "request": {"method": "POST", "url": "Group"}})),
        ("a resource too many", change("/request/method", json!("GET"))),
    ];
    for kind in ["batch", "transaction"] {
        for (what, entry) in &structural {
            let answer =
                site.ask(Local, "POST ", &[], &bundle(kind, &[post(&resource), entry.clone()])).await;
            assert_eq!(answer.status.as_u16(), 400, "{kind}, {what}: {}", answer.body);
            assert!(answer.diagnostics().starts_with("Bad bundle request - "), "{what}: {}", answer.body);
        }
    }
    let empty = site.get(Local, "Group?_count=0").await.json();
    assert_eq!(empty["total"], 0, "nothing was stored");
    // Entry errors: the whole transaction, one entry of a batch.
    let id = site.create(Local, &group("stored", &["ALL"])).await;
    let with_id = |id: &str| {
        let mut group = group("stored", &["ALL"]);
        group["id"] = json!(id);
        group
    };
    let own = with_id(&id);
    let put = |full_url: Value| json!({"fullUrl": full_url, "resource": own, "request": {"method": "PUT", "url": format!("Group/{id}")}});
    let entries = [
        (
            "no fullUrl",
            json!({"resource": resource, "request": {"method": "POST", "url": "Group"}}),
            "400 Bad Request",
        ),
        ("fullUrl of a POST", change("/fullUrl", json!("https://x.test/Group/1")), "400 Bad Request"),
        (
            "id that is not the fullUrl",
            change("/resource", with_id(&Uuid::new_v4().to_string())),
            "400 Bad Request",
        ),
        ("fullUrl of a PUT", put(json!(urn())), "400 Bad Request"),
        (
            "update as create",
            json!({
                "fullUrl": format!("{}/Group/{}", site.base, "5f7d6a1e-3a57-4b57-8f3e-0d7b6e5c4a3b"),
                "resource": {"resourceType": "Group", "id": "5f7d6a1e-3a57-4b57-8f3e-0d7b6e5c4a3b", "meta": resource["meta"], "type": "person", "actual": true},
                "request": {"method": "PUT", "url": "Group/5f7d6a1e-3a57-4b57-8f3e-0d7b6e5c4a3b"},
            }),
            "405 Method Not Allowed",
        ),
        ("forbidden", post(&group("untagged", &[])), "403 Forbidden"),
    ];
    for (what, entry, status) in entries {
        let batch = site
            .ask(
                Local,
                "POST ",
                &[],
                &bundle("batch", &[put(json!(format!("{}/Group/{id}", site.base))), entry.clone()]),
            )
            .await;
        let seen = batch.json();
        assert_eq!(seen["entry"][0]["response"]["status"], "200 OK", "{what}: {seen}");
        assert_eq!(seen["entry"][1]["response"]["status"], status, "{what}: {seen}");
        let before = site.get(Local, &format!("Group/{id}")).await.json();
        let transaction = site
            .ask(
                Local,
                "POST ",
                &[],
                &bundle("transaction", &[put(json!(format!("{}/Group/{id}", site.base))), entry]),
            )
            .await;
        let expected = if status.starts_with("403") { 403 } else { 400 };
        assert_eq!(transaction.status.as_u16(), expected, "{what}: {}", transaction.body);
        let after = site.get(Local, &format!("Group/{id}")).await.json();
        assert_eq!(before["meta"]["versionId"], after["meta"]["versionId"], "{what}: rolled back");
    }
    for (kind, status, text) in
        [("collection", 403, "Operation bundle forbidden"), ("nonsense", 403, "Unable to parse resource")]
    {
        let answer = site.ask(Local, "POST ", &[], &bundle(kind, &[])).await;
        assert_eq!((answer.status.as_u16(), answer.diagnostics().as_str()), (status, text), "{kind}");
    }
    for kind in ["batch", "transaction"] {
        let answer = site.ask(Remote, "POST ", &[], &json!({"resourceType": "Bundle", "type": kind})).await;
        assert_eq!(answer.json(), json!({"resourceType": "Bundle", "type": format!("{kind}-response")}));
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_answer_in_their_order() {
    let site = Site::start().await;
    let system = code_system("http://test/CodeSystem/x", &["ALL"]);
    let once = || {
        let mut entry = post(&system);
        entry["request"]["ifNoneExist"] = json!("url=http://test/CodeSystem/x&version=1.0");
        entry
    };
    for (kind, returns) in [
        ("batch", "return=representation"),
        ("transaction", "return=minimal"),
        ("transaction", "return=OperationOutcome"),
    ] {
        let conditional = json!({
            "fullUrl": urn(), "resource": group(returns, &["ALL"]),
            "request": {"method": "PUT", "url": format!("Group?identifier=http://test|{returns}")},
        });
        let search =
            json!({"request": {"method": "GET", "url": format!("Group?identifier=http://test|{returns}")}});
        let counted =
            json!({"request": {"method": "GET", "url": "CodeSystem?url=http://test/CodeSystem/x&_count=0"}});
        let missing = json!({"request": {"method": "DELETE", "url": "Group?identifier=http://test|nothing"}});
        let entries = [search, once(), conditional, counted, missing];
        let answer = site.ask(Local, "POST ", &[("prefer", returns)], &bundle(kind, &entries)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let answer = answer.json();
        assert_eq!(answer["type"], format!("{kind}-response"));
        let first = kind == "batch";
        let statuses: Vec<&str> = answer["entry"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["response"]["status"].as_str().unwrap())
            .collect();
        let once = if first { "201 Created" } else { "200 OK" };
        assert_eq!(statuses, ["200 OK", once, "201 Created", "200 OK", "204 No Content"], "{answer}");
        // A search with one match is that match; `_count=0` is a searchset with a total.
        assert_eq!(
            answer["entry"][0]["resource"]["resourceType"], "Group",
            "searches see what was written: {answer}"
        );
        assert_eq!(answer["entry"][3]["resource"]["total"], 1);
        assert_eq!(answer["entry"][3]["resource"]["link"].as_array().unwrap().len(), 1);
        let created = &answer["entry"][2];
        let full_url = created["fullUrl"].as_str().unwrap();
        assert!(full_url.starts_with(&format!("{}/Group/", site.base)));
        assert_eq!(created["response"]["location"], format!("{full_url}/_history/1"));
        assert_eq!(created["response"]["etag"], "W/\"1\"");
        assert!(created["response"]["lastModified"].is_string());
        assert_eq!(created["resource"].is_object(), returns == "return=representation");
        assert_eq!(created["response"]["outcome"].is_object(), returns == "return=OperationOutcome");
        assert_eq!(created["resource"]["contained"], Value::Null);
    }

    // Temporary and conditional references, in both orders; resources refer to later entries.
    let (one, two) = (urn(), urn());
    let study = |reference: Value| {
        json!({
            "resourceType": "ResearchStudy", "meta": crate::site::meta(&["ALL"]), "status": "active", "enrollment": [{"reference": reference}],
            "identifier": [{"system": "http://test", "value": reference}],
        })
    };
    let entries = [
        json!({"fullUrl": one, "resource": study(json!(two)), "request": {"method": "POST", "url": "ResearchStudy"}}),
        json!({"fullUrl": two, "resource": group("enrolled", &["ALL"]), "request": {"method": "POST", "url": "Group"}}),
        post(&study(json!("Group?identifier=http://test|return=minimal"))),
    ];
    let answer = site.ask(Local, "POST ", &[], &bundle("transaction", &entries)).await.json();
    let group_url = answer["entry"][1]["fullUrl"].as_str().unwrap_or_else(|| panic!("{answer}"));
    let reference = answer["entry"][0]["resource"]["enrollment"][0]["reference"].as_str().unwrap();
    assert!(group_url.ends_with(reference), "{reference} is {group_url}");
    let conditional = answer["entry"][2]["resource"]["enrollment"][0]["reference"].as_str().unwrap();
    assert!(conditional.starts_with("Group/"), "{conditional}");
    for reference in [
        "Group?identifier=http://test|nothing",
        "urn:uuid:00000000-0000-4000-8000-000000000000",
        "Group/00000000-0000-4000-8000-000000000000",
    ] {
        let answer =
            site.ask(Local, "POST ", &[], &bundle("transaction", &[post(&study(json!(reference)))])).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (403, "processing"),
            "{reference}: {}",
            answer.body
        );
        assert!(answer.diagnostics().contains("at bundle index 0"), "{}", answer.body);
    }

    // 13.3 createBundleInBundle: stored, not executed.
    let inner = bundle("batch", &[json!({"request": {"method": "GET", "url": "Group"}})]);
    let mut stored = inner.clone();
    stored["meta"] = crate::site::meta(&["ALL"]);
    assert_eq!(site.ask(Local, "POST Bundle", &[], &stored).await.status, 201);
    site.stop().await;
}

/// Rules see what the entries before have written, although nothing of it is committed (contract 1.11: the
/// entries of a transaction are carried out one after the other).
#[tokio::test(flavor = "multi_thread")]
async fn entries_see_the_allow_list_of_their_own_transaction() {
    let site = Site::start().await;
    let organization = |active: bool| {
        json!({
            "resourceType": "Organization", "meta": crate::site::meta(&["ALL"]), "active": active, "name": "New",
            "identifier": [{"system": crate::site::ORGANIZATION, "value": "new.test"}],
            "extension": [{
                "url": "http://dsf.dev/fhir/StructureDefinition/extension-certificate-thumbprint",
                "valueString": "a".repeat(128),
            }],
            "endpoint": [{"reference": format!("Endpoint?identifier={}|fhir.remote.test", crate::site::ENDPOINT)}],
        })
    };
    let tagged = group("of the new one", &["LOCAL", "ORGANIZATION new.test"]);
    let alone = site.ask(Local, "POST Group", &[], &tagged).await;
    assert_eq!(alone.status, 403, "nobody of that name yet: {}", alone.body);
    let process = crate::site::process("within", &["LOCAL_ALL"], "LOCAL_ALL");
    let task = site.task(Local, "within", "requested");
    let all = [post(&tagged), post(&organization(true)), post(&task), post(&process)];
    let answer = site.ask(Local, "POST ", &[], &bundle("transaction", &all)).await;
    assert_eq!(answer.status, 403, "what comes later is not there yet: {}", answer.body);
    let all = [post(&organization(true)), post(&tagged), post(&process), post(&task)];
    let answer = site.ask(Local, "POST ", &[], &bundle("transaction", &all)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);

    // Deleted by an entry, it is unknown to the next; nothing of a refused transaction stays.
    let remove = |query: &str| json!({"request": {"method": "DELETE", "url": query}});
    let gone = "Organization?identifier=new.test";
    let answer = site.ask(Local, "POST ", &[], &bundle("transaction", &[remove(gone), post(&tagged)])).await;
    assert_eq!(answer.status, 403, "{}", answer.body);
    assert_eq!(site.get(Local, gone).await.json()["total"], 1, "rolled back");

    // A tag may name an organization that is not active (it exists); a process it does not open.
    let put =
        json!({"fullUrl": urn(), "resource": organization(false), "request": {"method": "PUT", "url": gone}});
    let answer = site.ask(Local, "POST ", &[], &bundle("transaction", &[put, post(&tagged)])).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(site.ask(Local, "POST Group", &[], &tagged).await.status, 201);
    site.stop().await;
}
