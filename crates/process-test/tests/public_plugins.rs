//! Every model of the public process plugins, of both generations, and every bundled one runs a complete
//! path: all sites have the plugin, stand-in workers do the jobs, messages go from site to site, and what
//! nobody sends (or waits too long for) is sent by the test.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use bpmn::{Value, Variables};
use fhir::task::Process;
use messaging::job::{Done, Job, Outcome, Variable};
use process_test::{InstanceId, Network, Post, answer};
use serde_json::json;

/// Variables that the services of the plugins compute, with values that let the models go on.
const COMPUTED: [(&str, &str); 10] = [
    ("needsConsentCheck", "true"),
    ("needsRecordLinkage", "true"),
    ("stop", "\"no\""),
    ("timerInterval", "\"PT1H\""),
    ("reportTimerInterval", "\"PT1H\""),
    ("reportFirstExecutionDelayed", "false"),
    ("extractionPeriod", "\"PT1H\""),
    ("allDataSetsReceived", "true"),
    ("consolidateDataSetReleased", "true"),
    ("mergeReceiveDataSharingErrorExists", "false"),
];
/// Rounds until a process must have ended; each advances it by a message, a form or an hour.
const ROUNDS: usize = 50;
/// In this round a process that repeats itself is told to stop, by its other start message.
const STOP: usize = 5;

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let shared = std::env::var_os("DSF_SHARED").map_or(root.join("../shared"), PathBuf::from);
    let mut found = vec![root.join("processes/ping-pong"), root.join("processes/allow-list")];
    if shared.is_dir() {
        let all = std::fs::read_dir(shared.join("plugins")).unwrap().map(|entry| entry.unwrap().path());
        found.extend(all.filter(|path| path.join("bpe").is_dir()));
    } else {
        println!("left out: no public plugins at {}", shared.display());
    }
    found.sort();
    found
}

/// A stand-in for every service of every plugin: sends what is to be sent; else sets what is missing.
fn stand_in(job: &Job) -> Outcome {
    let name = job.kind.rsplit(['.', '/']).next().unwrap_or_default().to_lowercase();
    if name.starts_with("send") || name.starts_with("startsend") {
        return answer::send(job);
    }
    let mut done = Done::default();
    let mut set = |name: &str, value: serde_json::Value| {
        if !job.variables.contains_key(name) {
            let variable = Value::from_json(value);
            let variable = Variable { kind: variable.kind().to_owned(), value: variable.to_json() };
            done.variables.insert(name.to_owned(), variable);
        }
    };
    for (name, value) in COMPUTED {
        set(name, serde_json::from_str(value).unwrap());
    }
    let key = |site: &str| format!("{}-{site}", job.business_key);
    set("target", answer::target("b.test", Some(&key("b.test"))));
    let entries: Vec<_> =
        ["b.test", "c.test"].iter().map(|site| answer::target(site, Some(&key(site)))).collect();
    set("targets", json!({ "entries": entries }));
    Outcome::Done(done)
}

/// Brings one instance to its end.
fn play(network: &mut Network, instance: InstanceId, process: &str, stop: Option<&String>, model: &str) {
    for round in 0..ROUNDS {
        network.run().unwrap();
        if let Some(stop) = stop.filter(|_| round == STOP) {
            network.start("a.test", process, stop).unwrap();
        }
        if network.has_ended(instance) {
            return;
        }
        if let Some(task) = network.user_tasks(instance).first() {
            network.complete_user_task(instance, task, Variables::new()).unwrap();
        } else if let Some((message_name, correlation_key)) = network.awaited(instance).into_iter().next() {
            let post = Post {
                from: "c.test".to_owned(),
                to: "a.test".to_owned(),
                process: process.to_owned(),
                message_name,
                business_key: network.business_key(instance).unwrap().to_owned(),
                correlation_key,
                ..Post::default()
            };
            network.post(post).unwrap();
        } else {
            network.advance(Duration::from_secs(3600)).unwrap();
        }
    }
    panic!("{model}: still waits at {:?} after {:?}", network.waiting(instance), network.path(instance));
}

#[test]
fn every_model_runs_a_complete_path() {
    let mut played = 0;
    for folder in folders() {
        let shown = folder.file_name().unwrap().to_string_lossy().into_owned();
        let options = plugin::Options { organization: "a.test".to_owned(), ..plugin::Options::default() };
        let plugin = plugin::load(&folder, &options).unwrap_or_else(|error| panic!("{shown}: {error}"));
        let form = plugin.generation.process_form;
        let separator = if plugin.generation.name == "modern" { '|' } else { '/' };
        // Process key to the canonical by which others name it.
        let mut canonicals = BTreeMap::new();
        for known in &plugin.resources {
            if let Some(url) = known.resource.text("url") {
                let canonical = format!("{url}{separator}{}", plugin.resource_version);
                if let Some(process) = Process::parse(&canonical, form) {
                    canonicals.insert(process.key, canonical);
                }
            }
        }
        for definition in plugin.definitions().unwrap() {
            let model = format!("{shown}: {}", definition.key());
            let mut network = Network::new(["a.test", "b.test", "c.test"]);
            for site in ["a.test", "b.test", "c.test"] {
                network.deploy(site, &plugin).unwrap();
            }
            network.worker_for_all(stand_in);
            let process = &canonicals[definition.key()];
            let messages = definition.start_messages();
            let instance = network.start("a.test", process, &messages[0]).unwrap();
            play(&mut network, instance, process, messages.get(1), &model);
            let incidents: Vec<_> =
                network.incidents().iter().filter(|incident| incident.instance == instance).collect();
            assert!(incidents.is_empty(), "{model}: {incidents:?}");
            let path = network.path(instance);
            println!("{model}: {}; {:?}", path.join(" "), network.sent());
            assert!(path.len() > 2, "{model}: {path:?}");
            played += 1;
        }
    }
    assert!(played == 35 || played == 5, "models played: {played}");
}
