//! `dsf health` against replicas over NATS: their lines, and the exit status.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]
use std::time::Duration;

use messaging::{
    connect::{Nats, NatsConfig},
    engine::Reply,
    health::{AuditHealth, BackendHealth, BreakerState, Health},
    permissions::User,
    subject,
};
use stand::{NatsServer, Tools};
use tokio::{process::Command, task::JoinHandle};

fn health(replica: &str, breaker: BreakerState) -> Health {
    let backend = BackendHealth {
        name: "pdp-xacml".into(),
        breaker,
        next_try_ms: None,
        places: 16,
        in_use: 0,
        waiting: 0,
        last_success_ms: Some(1000),
        last_failure: None,
    };
    Health {
        service: "pdp-adapter".into(),
        replica: replica.into(),
        backends: vec![backend],
        audit: AuditHealth::default(),
    }
}

async fn replica(nats: &NatsServer, name: &'static str, breaker: BreakerState) -> JoinHandle<()> {
    let (user, password) = nats.credentials("alpha", User::Consent);
    let config = NatsConfig { urls: vec![nats.url()], user: Some(user), password: Some(password), ca: None };
    let adapter = Nats::connect(&config, name).await;
    let answer = move |_: serde_json::Value| std::future::ready(Reply::Ok(health(name, breaker)));
    let task = adapter.serve(subject::PDP_HEALTH, name, 1, Reply::Invalid, answer).await.expect("a right");
    // The subscription is with the server before anybody asks.
    adapter.client().flush().await.expect("a server");
    task
}

#[tokio::test(flavor = "multi_thread")]
async fn every_replica_has_its_lines_and_the_status_says_whether_all_is_well() {
    let tools = Tools::find().expect("nats-server");
    let folder = std::env::temp_dir().join(format!("dsf-cli-health-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("folder");
    let mut nats =
        NatsServer::start(&tools, &folder.join("nats"), &["alpha".to_owned()]).await.expect("NATS");
    let (user, password) = nats.credentials("alpha", User::Operator);
    let file = folder.join("password");
    std::fs::write(&file, password).expect("a file");
    let ask = |services: &'static str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dsf"));
        command.args(["health", "--nats", &nats.url(), "--user", &user, "--password-file"]);
        // Nobody knows how many answer, so all of the time is waited; a second is short on a slow machine.
        command.arg(&file).args(["--services", services, "--wait", "5"]);
        async move {
            let output = command.output().await.expect("dsf runs");
            (output.status.success(), String::from_utf8(output.stdout).expect("text"))
        }
    };
    let (well, text) = ask("pdp-adapter,rbf-worker").await;
    assert!(!well && text.lines().filter(|line| line.starts_with("! ")).count() == 2, "{text}");

    let mut replicas = vec![
        replica(&nats, "two", BreakerState::Closed).await,
        replica(&nats, "one", BreakerState::Closed).await,
    ];
    let (well, text) = ask("pdp-adapter").await;
    assert!(well, "{text}");
    let expected =
        ["one: pdp-xacml closed", "one: audit records", "two: pdp-xacml closed", "two: audit records"];
    assert_eq!(text.lines().count(), expected.len(), "{text}");
    for (line, part) in text.lines().zip(expected) {
        assert!(line.starts_with("  nats://") && line.contains(part), "{line}");
    }

    replicas.push(replica(&nats, "three", BreakerState::Open).await);
    let (well, text) = ask("pdp-adapter").await;
    assert!(!well && text.lines().count() == 6, "{text}");
    let wrong: Vec<&str> = text.lines().filter(|line| line.starts_with('!')).collect();
    assert!(wrong.len() == 1 && wrong[0].contains("three: pdp-xacml open"), "{text}");

    // A worker has no business there: it asks, and nobody hears it.
    let (user, password) = nats.credentials("alpha", User::Worker);
    let config = NatsConfig { urls: vec![nats.url()], user: Some(user), password: Some(password), ca: None };
    let worker = Nats::connect(&config, "test").await;
    let heard: Vec<Health> =
        worker.ask_all(subject::PDP_HEALTH, &(), Duration::from_millis(500)).await.expect("a connection");
    assert_eq!(heard, []);
    replicas.iter().for_each(JoinHandle::abort);
    nats.stop().await;
    std::fs::remove_dir_all(&folder).expect("clean");
}
