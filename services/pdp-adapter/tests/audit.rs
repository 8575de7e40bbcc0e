//! Audit records reach their repository, once it is up, in order; the start and the end of a service and
//! a failed handshake are records too.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use adapter::{
    TransportKind, Trouble,
    audit::{Asked, Audit, Parties},
    forward::forward,
    settings::AuditSettings,
    tls::TlsSettings,
};
use hospital::audit::table;
use serde_json::Value;
use stand::peer::{Act, Peer, Protocol, http};

#[tokio::test(flavor = "multi_thread")]
async fn records_wait_for_their_repository_and_arrive_in_order() {
    let folder = std::env::temp_dir().join(format!("dsf-audit-forward-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("folder");
    let file = folder.join("audit.ndjson");
    let parties = Parties {
        site: "alpha".into(),
        service: "pdp-adapter",
        server: "pdp",
        address: "https://pdp.example".into(),
        applications: None,
    };
    let audit = Audit::new(parties, Some(&file)).expect("audit");
    audit.started();
    let ids = ["person-4711".to_owned()];
    audit.record(Asked::new(table::ITI_79, "r1", &ids), Ok("decided"));
    let failed = Trouble::Transport(TransportKind::Tls);
    audit.record(Asked::new(table::ITI_79, "r2", &[]), Err(&failed));
    let backlog = Arc::clone(audit.backlog());
    drop(audit);
    let text = std::fs::read_to_string(&file).expect("records");
    assert!(!text.contains("person-4711"));
    let written: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let code = |event: &Value| {
        let last = event["subtype"].as_array().and_then(|codes| codes.last()).expect("a code");
        last["code"].as_str().expect("a code").to_owned()
    };
    let codes: Vec<String> = written.iter().map(code).collect();
    assert_eq!(codes, ["110120", "ITI-79", "ITI-79", "110126", "110121"]);

    let arrived: Arc<Mutex<Vec<Value>>> = Arc::default();
    let keep = Arc::clone(&arrived);
    let repository = Peer::start(Protocol::Http, None, move |bytes, number| {
        let head = String::from_utf8_lossy(bytes).into_owned();
        assert!(head.starts_with("POST /fhir/AuditEvent "), "{head}");
        if number < 2 {
            return Act::Send(http(503, "text/plain", ""));
        }
        let body = head.split_once("\r\n\r\n").expect("a body").1;
        keep.lock().unwrap().push(serde_json::from_str(body).expect("JSON"));
        Act::Send(http(201, "application/fhir+json", ""))
    })
    .await
    .expect("a repository");
    let tls = TlsSettings { roots: None, identity: None, server_name: None, allow_plaintext: true };
    let url = format!("http://{}/fhir", repository.address);
    let settings = AuditSettings { file: Some(file.clone()), url: Some(url), ..AuditSettings::default() };
    let start = || forward("pdp-adapter", &settings, &tls, &backlog).expect("an address").expect("a task");
    let carrier = start();
    wait(|| arrived.lock().unwrap().len() == written.len());
    assert_eq!(*arrived.lock().unwrap(), written);
    let sent = folder.join("audit.ndjson.sent");
    let whole = text.len().to_string();
    wait(|| std::fs::read_to_string(&sent).is_ok_and(|sent| sent.trim() == whole));
    carrier.abort();
    // Another start sends only what is new.
    let carrier = start();
    let more = text.lines().next().expect("a line").replace("110120", "110121");
    std::fs::write(&file, format!("{text}{more}\n")).expect("a record");
    wait(|| arrived.lock().unwrap().len() > written.len());
    assert_eq!(code(&arrived.lock().unwrap()[written.len()]), "110121");
    carrier.abort();
    let no_file = AuditSettings { file: None, ..settings };
    assert!(forward("pdp-adapter", &no_file, &tls, &backlog).is_err(), "records would be lost");
    std::fs::remove_dir_all(&folder).expect("clean");
}

fn wait(done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(30), "in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}
