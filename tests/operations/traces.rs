//! Traces and metrics as an operator's collector gets them: one trace follows a Task through every
//! service and to the partner, every service reports figures, and nothing personal or secret is in
//! either, nor in the logs.
use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result};
use end_to_end::{
    Peer, TestStand, add_input, curl, message_input, ping_message, ping_status, stand_with, start_ping,
    wait_for,
};
use serde_json::json;
use stand::{Collector, collector::Sender};

/// The way of a ping and its pong: site, service, span. In this order, but for the figures.
const WAY: [(&str, &str, &str); 16] = [
    ("site-a", "fhir-gateway", "POST Task"),
    ("site-a", "task-router", "intake"),
    ("site-a", "bpmn-engine", "engine.cmd.deliver"),
    ("site-a", "bpmn-engine", "engine deliver"),
    ("site-a", "process-worker", "ping-pong/1.0/select-targets"),
    ("site-a", "bpmn-engine", "engine job result"),
    ("site-a", "process-worker", "ping-pong/1.0/send-ping"),
    ("site-a", "task-router", "send"),
    ("site-b", "fhir-gateway", "POST Task"),
    ("site-b", "task-router", "intake"),
    ("site-b", "bpmn-engine", "engine deliver"),
    ("site-b", "process-worker", "ping-pong/1.0/send-pong"),
    ("site-b", "task-router", "send"),
    ("site-b", "task-router", "dsf/write-back"),
    ("site-a", "process-worker", "ping-pong/1.0/save-results"),
    ("site-a", "task-router", "dsf/write-back"),
];

/// Trace and span of whoever makes the first request.
const TRACE: [u8; 16] = [0xd5; 16];
const CALLER: [u8; 8] = [0xf5; 8];
/// What nobody may read in telemetry; each place has a word of its own.
const CANARIES: [&str; 6] = [
    "Canary-Description",
    "Canary-Input",
    "Canary-Business-Key",
    "Canary-Broken",
    "Canary-Search",
    "Canary-Refused",
];

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_follows_a_task_to_the_partner_and_back() -> Result<()> {
    let collector = Collector::start().await?;
    let stand = stand_with(2, 1, true, collector.environment(500)).await?;
    let (site, other) = (&stand.sites[0], &stand.sites[1]);

    let mut task = start_ping(site);
    task["description"] = json!(CANARIES[0]);
    add_input(&mut task, message_input("note", CANARIES[1]));
    let parent = format!("00-{}-{}-01", hex(&TRACE), hex(&CALLER));
    let headers = [
        ("Content-Type", "application/fhir+json"),
        ("Accept", "application/fhir+json"),
        ("traceparent", &parent),
    ];
    let body = task.to_string();
    let url = format!("{}/Task", site.base_url);
    let created = curl(&stand, site).send("POST", &url, &headers, Some(body.as_bytes())).await?;
    assert_eq!(created.status, 201, "{}", created.text());
    provoke(&stand).await?;
    let peer = Peer::new(&stand, site)?;
    peer.all_ended().await?;
    Peer::new(&stand, other)?.all_ended().await?;
    let ping = peer.tasks().await?.into_iter().find(|task| task["description"] == CANARIES[0]);
    assert_eq!(ping.as_ref().and_then(ping_status), Some("pong-received"), "{ping:#?}");

    let looked = wait_for("the whole trace", || async {
        let spans = collector.spans(&TRACE)?;
        let names: BTreeSet<(&str, &str, &str)> = spans
            .iter()
            .map(|(sender, span)| (sender.site.as_str(), sender.service.as_str(), span.name.as_str()))
            .collect();
        let known: BTreeSet<&[u8]> = spans.iter().map(|(_, span)| span.span_id.as_slice()).collect();
        let missing = WAY.iter().find(|step| !names.contains(*step)).map(|step| format!("{step:?}"));
        // Every span hangs on another one of the trace, the first on the caller.
        let loose = spans
            .iter()
            .find(|(_, span)| {
                span.parent_span_id != CALLER && !known.contains(span.parent_span_id.as_slice())
            })
            .map(|(sender, span)| format!("{sender:?}: {} hangs on no span", span.name));
        *last(&LAST) = missing.clone().or(loose.clone()).unwrap_or_default() + &format!(" of {names:?}");
        Ok((missing.is_none() && loose.is_none()).then_some(spans.len()))
    })
    .await;
    looked.with_context(|| format!("missing in the trace: {}", last(&LAST)))?;
    let everyone: BTreeSet<Sender> = ["site-a", "site-b"]
        .into_iter()
        .flat_map(|site| {
            let services = ["fhir-gateway", "bpmn-engine", "task-router", "process-worker"];
            services.map(|service| Sender { site: site.to_owned(), service: service.to_owned() })
        })
        .collect();
    let measured = || -> Result<BTreeSet<Sender>> {
        let ours = collector.figures()?.into_keys().filter(|(_, name)| name.starts_with("dsf."));
        Ok(ours.map(|(sender, _)| sender).collect())
    };
    wait_for("figures of every service", || async { Ok((measured()? == everyone).then_some(())) })
        .await
        .with_context(|| format!("figures came from {:?}", measured()))?;
    nothing_secret(&stand, &collector)
}

/// What was looked for last, for the failure message.
static LAST: Mutex<String> = Mutex::new(String::new());

fn last(kept: &Mutex<String>) -> std::sync::MutexGuard<'_, String> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Requests whose errors could give something away.
async fn provoke(stand: &TestStand) -> Result<()> {
    let (site, other) = (&stand.sites[0], &stand.sites[1]);
    let url = |path: &str| format!("{}/{path}", site.base_url);
    let curl = curl(stand, site);
    // An answer nobody waits for, which fails its Task.
    let mut pong = ping_message(other, site);
    pong["meta"]["profile"][0] = json!("http://dsf.dev/fhir/StructureDefinition/task-pong|1.0");
    pong["instantiatesCanonical"] = json!("http://dsf.dev/bpe/Process/ping|1.0");
    pong["input"][0] = message_input("message-name", "pong");
    pong["input"][1] = message_input("business-key", CANARIES[2]);
    pong["input"].as_array_mut().context("inputs")?.pop();
    let sent = end_to_end::curl(stand, other).post(&url("Task"), &pong).await?;
    assert_eq!(sent.status, 201, "{}", sent.text());
    let broken = format!(r#"{{"resourceType":"Task","description":"{}"#, CANARIES[3]);
    let headers = [("Content-Type", "application/fhir+json"), ("Accept", "application/fhir+json")];
    assert_eq!(curl.send("POST", &url("Task"), &headers, Some(broken.as_bytes())).await?.status, 403);
    let search = format!("Task?identifier={0}&{0}={0}", CANARIES[4]);
    curl.get(&url(&search)).await?;
    let mut refused = start_ping(site);
    refused["input"][0] = message_input("message-name", CANARIES[5]);
    assert_eq!(curl.post(&url("Task"), &refused).await?.status, 403);
    Ok(())
}

/// Neither canaries nor keys are in traces, metrics or logs.
fn nothing_secret(stand: &TestStand, collector: &Collector) -> Result<()> {
    let mut secrets: Vec<String> = CANARIES.iter().map(|word| (*word).to_owned()).collect();
    for site in &stand.sites {
        let key = std::fs::read_to_string(&site.identity.key)?;
        secrets
            .extend(key.lines().filter(|line| line.len() > 20 && !line.contains("KEY")).map(str::to_owned));
        for user in messaging::permissions::USERS {
            secrets.push(stand.nats.credentials(&site.name, user).1);
        }
    }
    let database = stand.postgres.url("postgres");
    let password = database.split([':', '@']).nth(2).context("password of the database")?;
    secrets.push(password.to_owned());
    let mut places: Vec<(String, Vec<u8>)> = Vec::new();
    places.extend(collector.raw().into_iter().map(|(path, body)| (path, body.to_vec())));
    for site in &stand.sites {
        for log in std::fs::read_dir(site.logs())? {
            let log = log?.path();
            places.push((log.display().to_string(), std::fs::read(&log)?));
        }
    }
    assert!(places.len() > 8, "there is something to look at");
    for (place, content) in &places {
        for secret in &secrets {
            let found = content.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "{secret} is in {place}");
        }
    }
    Ok(())
}
