//! Both generations side by side: contract 11. The public plugins, HiGHmed 0.9 included, upload unchanged and
//! their Tasks are accepted.
use std::path::PathBuf;

use access::process_authorization::{Members, ProcessDefinition};
use fhir::{Format, Resource, generation};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    site::{Local, REMOTE, Remote, Site, Who, business_key, meta},
    world::LOCAL,
};

/// Published plugins, test data outside of this repository.
fn plugins() -> Option<Vec<PathBuf>> {
    let shared = std::env::var_os("DSF_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let Ok(entries) = std::fs::read_dir(shared.join("plugins")) else {
        println!("left out: there are no plugins in {}", shared.display());
        return None;
    };
    let mut folders: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    Some(folders)
}

/// What the profiles of the plugins' Tasks ask for beside the name of the message.
fn inputs(names: &generation::Generation, message: &str, bundle: &str) -> Vec<Value> {
    let input = |system: &str, code: &str, kind: &str, value: Value| {
        let mut input = json!({"type": {"coding": [{"system": system, "code": code}]}});
        input[kind] = value;
        input
    };
    let host = names.bpmn_message.strip_suffix("/CodeSystem/bpmn-message").unwrap();
    let key = |code: &str| input(names.bpmn_message, code, "valueString", json!(Uuid::new_v4().to_string()));
    let keys = || vec![key("business-key"), key("correlation-key")];
    match message {
        "pong" => keys(),
        "ping" => {
            let endpoint = json!({
                "type": "Endpoint",
                "identifier": {"system": names.endpoint_identifier, "value": "fhir.local.test"},
            });
            let system = format!("{host}/CodeSystem/ping");
            let mut all = keys();
            all.push(input(&system, "endpoint-identifier", "valueReference", endpoint));
            all
        }
        "downloadAllowListMessage" => {
            let name = if names.name == "highmed" { "update-allow-list" } else { "allow-list" };
            let system = format!("{host}/CodeSystem/{name}");
            let reference = json!({"reference": format!("Bundle/{bundle}")});
            vec![input(&system, "allow_list", "valueReference", reference)]
        }
        _ => Vec::new(),
    }
}

/// A Task for one rule of a process, in the names of its generation.
fn task(
    names: &generation::Generation,
    process: &ProcessDefinition,
    rule: usize,
    requester: &str,
    bundle: &str,
) -> Value {
    let organization = |value: &str| json!({"type": "Organization", "identifier": {"system": names.organization_identifier, "value": value}});
    let rule = &process.authorizations[rule];
    let named = match names.process_form {
        generation::ProcessForm::Canonical => format!("{}|{}", process.url, process.version),
        generation::ProcessForm::Uri => format!("{}/{}", process.url, process.version),
    };
    let mut task = json!({
        "resourceType": "Task", "meta": {"profile": [rule.task_profile]}, "status": "requested", "intent": "order",
        "authoredOn": "2026-11-23T04:50:27+00:00", "requester": organization(requester),
        "restriction": {"recipient": [organization(LOCAL)]},
        "input": [{
            "type": {"coding": [{"system": names.bpmn_message, "code": "message-name"}]}, "valueString": rule.message_name,
        }],
    });
    task[names.task_process_element] = json!(named);
    task["input"].as_array_mut().unwrap().extend(inputs(names, &rule.message_name, bundle));
    task
}

#[tokio::test(flavor = "multi_thread")]
async fn public_plugins_upload_and_their_tasks_are_accepted() {
    let Some(folders) = plugins() else { return };
    let site = Site::start().await;
    let (mut resources, mut accepted) = (0, [0, 0]);
    let bundle = json!({"resourceType": "Bundle", "meta": meta(&["ALL"]), "type": "collection"});
    let bundle = site.create(Local, &bundle).await;
    for folder in folders {
        let options = plugin::Options {
            date: Some("2026-01-02".to_owned()),
            organization: LOCAL.to_owned(),
            ..plugin::Options::default()
        };
        let plugin = plugin::load(&folder, &options).unwrap();
        let batch: Value = serde_json::from_slice(&fhir::to_json(&plugin.upload_bundle())).unwrap();
        for attempt in ["first", "second"] {
            let answer = site.ask(Local, "POST ", &[("prefer", "return=minimal")], &batch).await.json();
            for (index, entry) in answer["entry"].as_array().unwrap().iter().enumerate() {
                let status = entry["response"]["status"].as_str().unwrap();
                let wanted =
                    if attempt == "first" { ["201 Created", "200 OK"].as_slice() } else { &["200 OK"] };
                assert!(wanted.contains(&status), "{} {attempt}, entry {index}: {entry}", plugin.name);
                resources += 1;
            }
        }
        for entry in batch["entry"].as_array().unwrap() {
            if entry["resource"]["resourceType"] != "ActivityDefinition" {
                continue;
            }
            let definition: Resource =
                fhir::parse(entry["resource"].to_string().as_bytes(), Format::Json).unwrap();
            let process = ProcessDefinition::of(&definition).unwrap();
            for (index, rule) in process.authorizations.iter().enumerate() {
                let everybody = |local: bool| {
                    rule.requesters.iter().any(|party| {
                        party.local == local && party.members == Members::All && party.practitioner.is_none()
                    })
                };
                if !rule.recipients.iter().any(|party| party.members == Members::All) {
                    continue;
                }
                for (who, requester, local) in [(Local, LOCAL, true), (Remote, REMOTE, false)] {
                    if everybody(local) {
                        check(
                            &site,
                            who,
                            &task(plugin.generation, &process, index, requester, &bundle),
                            plugin.generation,
                        )
                        .await;
                        accepted[usize::from(plugin.generation.name == "highmed")] += 1;
                    }
                }
            }
        }
    }
    assert!(resources > 200, "{resources} resources");
    assert!(accepted.iter().all(|count| *count >= 4), "Tasks of modern and HiGHmed processes: {accepted:?}");
    site.stop().await;
}

/// Accepted as it is, refused in names of the other generation; taken up and finished.
async fn check(site: &Site, who: Who, task: &Value, names: &generation::Generation) {
    let process = &task[names.task_process_element];
    let answer = site.ask(who, "POST Task", &[], task).await;
    assert_eq!(answer.status, 201, "{who:?} {process}: {}", answer.body);
    let mut other = task.clone();
    other.as_object_mut().unwrap().remove(names.task_process_element);
    for generation in generation::all() {
        if generation.name != names.name {
            other[generation.task_process_element] = process.clone();
        }
    }
    assert_eq!(site.ask(who, "POST Task", &[], &other).await.status, 403, "{process} in the other element");
    let mut current = answer.json();
    // The framework's profile wants a key of Tasks that are taken up, HiGHmed's does not know that.
    let keyed = current["input"]
        .as_array()
        .unwrap()
        .iter()
        .any(|input| input["type"]["coding"][0]["code"] == "business-key");
    if !keyed && names.name != "highmed" {
        current["input"].as_array_mut().unwrap().push(business_key());
    }
    for status in ["in-progress", "completed"] {
        current["status"] = json!(status);
        let line = format!("PUT Task/{}", current["id"].as_str().unwrap());
        let answer = site.ask(Local, &line, &[], &current).await;
        assert_eq!(answer.status, 200, "{process} {status}: {}", answer.body);
        current = answer.json();
    }
    assert_eq!(site.get(who, &format!("Task/{}", current["id"].as_str().unwrap())).await.status, 200);
}
