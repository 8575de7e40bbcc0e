//! A Task can always fail: contract 1.7 (step 4), 4.5.
use serde_json::{Value, json};
use uuid::Uuid;

use crate::site::{Local, Remote, Site, business_key, process};

/// Whatever its output holds and whatever has become of its process: else an engine could never get rid of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_can_always_fail() {
    let site = Site::start().await;
    let definition = site.create(Local, &process("fails", &["REMOTE_ALL"], "LOCAL_ALL")).await;
    let mut tasks = Vec::new();
    for way in ["direct", "transaction", "batch"] {
        for from in ["requested", "in-progress"] {
            let id = site.create(Remote, &site.task(Remote, "fails", "requested")).await;
            let mut task = site.get(Local, &format!("Task/{id}")).await.json();
            if from == "in-progress" {
                task["status"] = json!(from);
                task["input"].as_array_mut().unwrap().push(business_key());
                let answer = site.ask(Local, &format!("PUT Task/{id}"), &[], &task).await;
                assert_eq!(answer.status, 200, "{}", answer.body);
                task = answer.json();
            }
            tasks.push((way, from, task));
        }
    }
    assert_eq!(
        site.ask(Local, &format!("DELETE ActivityDefinition/{definition}"), &[], &Value::Null).await.status,
        200
    );
    for (way, from, task) in tasks {
        let id = task["id"].as_str().unwrap();
        let to = |status: &str| {
            let mut next = task.clone();
            next["status"] = json!(status);
            next["output"] = json!([
                {"type": {"coding": [{"system": "http://test.example", "code": "nonsense"}]},
                 "valueReference": {"reference": format!("Group/{}", Uuid::new_v4())}},
                {"type": {"coding": [{"system": "http://dsf.dev/fhir/CodeSystem/bpmn-message", "code": "error"}]},
                 "valueString": "it did not work"},
            ]);
            next
        };
        let put = async |next: &Value| -> (u16, String) {
            let line = format!("Task/{id}");
            match way {
                "direct" => {
                    let answer = site.ask(Local, &format!("PUT {line}"), &[], next).await;
                    (answer.status.as_u16(), answer.body)
                }
                kind => {
                    let entry = json!({"fullUrl": format!("{}/{line}", site.base), "resource": next,
                        "request": {"method": "PUT", "url": line}});
                    let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": [entry]});
                    let answer = site.ask(Local, "POST ", &[], &bundle).await;
                    let status = answer.json()["entry"][0]["response"]["status"]
                        .as_str()
                        .map(|text| text[..3].parse().unwrap());
                    (status.unwrap_or(answer.status.as_u16()), answer.body)
                }
            }
        };
        let (status, body) = put(&to("completed")).await;
        assert_eq!(status, 403, "{way}, {from} to completed is held to the rules: {body}");
        let (status, body) = put(&to("failed")).await;
        assert_eq!(status, 200, "{way}, {from} to failed: {body}");
    }
    site.stop().await;
}
