//! The bundled ping-pong plugin across three sites: answers, a site that never answers, one that is down,
//! and one that comes back in time.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
use std::time::Duration;

use bpmn::Value;
use process_test::{MessageStatus, Network, Reach, START, Visited, answer};
use serde_json::json;

const PING: &str = "http://dsf.dev/bpe/Process/ping|1.0";

fn network() -> Network {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../processes/ping-pong");
    let mut network = Network::new(["a.test", "b.test", "c.test"]);
    network.deploy_folder(folder).unwrap();
    network.worker("ping-pong/1.0/select-targets", |_| answer::targets(["b.test", "c.test"]));
    network.worker("ping-pong/1.0/send-ping", answer::send);
    network.worker("ping-pong/1.0/save-results", |_| answer::done([]));
    network.worker("ping-pong/1.0/select-sender", answer::reply_to_requester);
    network.worker("ping-pong/1.0/send-pong", answer::send);
    network
}

#[test]
fn everybody_answers() {
    let mut network = network();
    let ping = network.start("a.test", PING, "startPing").unwrap();
    network.run().unwrap();
    assert!(network.has_ended(ping), "waits at {:?}, {:?}", network.waiting(ping), network.incidents());
    assert_eq!(
        network.sent(),
        [
            "a.test -> b.test: ping",
            "a.test -> c.test: ping",
            "b.test -> a.test: pong",
            "c.test -> a.test: pong",
        ]
    );
    let path = network.path(ping);
    assert_eq!(path[..2], ["requested", "select-targets"]);
    assert_eq!(path[path.len() - 3..], ["each-target", "save-results", "done"]);
    assert_eq!(path.iter().filter(|step| **step == "note-pong").count(), 2, "{path:?}");
    assert!(network.messages().iter().all(|message| message.status == MessageStatus::Completed));
    assert_eq!(network.incidents(), []);
    assert_eq!((network.now(), network.next_due()), (START, None), "no time passed, nothing is left");
}

#[test]
fn silence_ends_after_twenty_seconds() {
    let mut network = network();
    network.set_reach("c.test", Reach::Silent).unwrap();
    let ping = network.start("a.test", PING, "startPing").unwrap();
    network.advance(Duration::from_millis(19_999)).unwrap();
    assert_eq!(network.waiting(ping), ["await-answer"]);
    network.advance(Duration::from_millis(1)).unwrap();
    assert!(network.has_ended(ping));
    let noted = |key: &str| network.variable(ping, &format!("statusCode_key-{key}")).cloned();
    assert_eq!(noted("b.test"), Some(Value::from("pong-received")));
    assert_eq!(noted("c.test"), Some(Value::from("pong-missing")));
    let silence = network.visits(ping).iter().find(|visit| visit.activity == "note-silence").unwrap();
    assert_eq!((silence.at, silence.what), (START + 20_000, Visited::Entered));
}

#[test]
fn a_site_that_is_down_is_noted() {
    let mut network = network();
    network.set_reach("b.test", Reach::Down).unwrap();
    network.set_reach("c.test", Reach::Down).unwrap();
    let ping = network.start("a.test", PING, "startPing").unwrap();
    network.advance(Duration::from_secs(5)).unwrap();
    assert_eq!(network.waiting(ping), ["send-ping", "send-ping"]);
    network.set_reach("c.test", Reach::Open).unwrap();
    network.advance(Duration::from_secs(5)).unwrap();
    assert!(network.has_ended(ping), "waits at {:?}, {:?}", network.waiting(ping), network.incidents());
    let noted = |key: &str| network.variable(ping, &format!("statusCode_key-{key}")).cloned();
    assert_eq!(noted("b.test"), Some(Value::from("not reachable")));
    assert_eq!(noted("c.test"), Some(Value::from("pong-received")));
}

#[test]
fn what_fails_is_tried_again_and_then_waits_for_an_operator() {
    let mut network = network();
    network.worker_at("a.test", "ping-pong/1.0/select-targets", |job| match job.attempt {
        1 => answer::fault("no connection"),
        _ => answer::targets(["b.test"]),
    });
    network.worker_at("b.test", "ping-pong/1.0/select-sender", |_| answer::fault("broken"));
    let ping = network.start("a.test", PING, "startPing").unwrap();
    network.advance(Duration::from_secs(1)).unwrap();
    assert_eq!(network.sent(), ["a.test -> b.test: ping"]);
    network.advance(Duration::from_secs(3600)).unwrap();
    assert!(network.has_ended(ping));
    let [incident] = network.incidents() else { panic!("one incident: {:?}", network.incidents()) };
    assert_eq!((incident.activity.as_str(), incident.reason.as_str()), ("select-sender", "broken"));
    assert!(!network.has_ended(incident.instance), "the instance is kept");
    // The operator's answer.
    let target = Value::Json(answer::target("a.test", Some("key-b.test")));
    let done = answer::done([("target", target)]);
    network.answer(incident.instance, "select-sender", done).unwrap();
    let pong = network.messages().last().unwrap();
    assert_eq!(pong.post.message_name, "pong");
    // Nobody waits any more: held, then failed.
    network.advance(Duration::from_secs(10)).unwrap();
    let failed = MessageStatus::Failed("Process with start message-name 'pong' not found".to_owned());
    assert_eq!(network.messages().last().unwrap().status, failed);
}

#[test]
fn workers_see_what_the_manifest_gives_them() {
    let mut network = network();
    network.worker("ping-pong/1.0/send-ping", |job| {
        assert_eq!(job.variables.keys().collect::<Vec<_>>(), ["target"]);
        assert_eq!(job.fields["messageName"], json!("ping"));
        assert!(job.start_message.as_ref().is_some_and(|m| m.document.text.contains("startPing")));
        answer::send(job)
    });
    network.start("a.test", PING, "startPing").unwrap();
    network.run().unwrap();
    assert_eq!(network.sent().len(), 4);
}

#[test]
fn definitions_start_by_themselves() {
    let folder = std::env::temp_dir().join(format!("process-test-{}", std::process::id()));
    let write = |path: &str, text: &str| {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("plugin.toml", "name = \"tick\"\nversion = \"1.0.0.0\"\n");
    write(
        "bpe/tick.bpmn",
        r##"<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:camunda="http://camunda.org/schema/1.0/bpmn" targetNamespace="urn:t"><process id="testexample_tick" isExecutable="true" camunda:versionTag="#{version}"><startEvent id="s"><timerEventDefinition><timeCycle>R3/PT10M</timeCycle></timerEventDefinition></startEvent><endEvent id="e"/><sequenceFlow id="f" sourceRef="s" targetRef="e"/></process></definitions>"##,
    );
    write(
        "fhir/ActivityDefinition/tick.xml",
        r##"<ActivityDefinition xmlns="http://hl7.org/fhir"><meta><profile value="http://dsf.dev/fhir/StructureDefinition/activity-definition"/></meta><url value="http://test.example/bpe/Process/tick"/><version value="#{version}"/><status value="unknown"/></ActivityDefinition>"##,
    );
    let mut network = Network::new(["a.test"]);
    let deployed = network.deploy_folder(&folder);
    std::fs::remove_dir_all(&folder).unwrap();
    deployed.unwrap();
    network.advance(Duration::from_secs(1199)).unwrap();
    assert_eq!(network.instances().count(), 1);
    network.advance(Duration::from_secs(3600)).unwrap();
    assert_eq!(network.instances().count(), 3);
    assert_eq!(network.next_due(), None);
}
