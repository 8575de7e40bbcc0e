//! Two replicas tell an operator how they are: of their decision point, and of their audit records.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]
use std::{path::Path, time::Duration};

use messaging::{
    connect::{Nats, NatsConfig, RequestError},
    health::{BreakerState, Health},
    hospital::{DecideReply, DecideRequest},
    permissions::User,
    subject,
};
use stand::{NatsServer, Tools, replica};

const RECORD: &str = "Canary-4711";

#[tokio::test(flavor = "multi_thread")]
async fn every_replica_answers_and_an_open_breaker_shows() {
    let tools = Tools::find().expect("nats-server");
    let folder = std::env::temp_dir().join(format!("dsf-pdp-health-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("folder");
    let mut nats =
        NatsServer::start(&tools, &folder.join("nats"), &["alpha".to_owned()]).await.expect("NATS");
    let settings = |name: &str| {
        let (user, password) = nats.credentials("alpha", User::Consent);
        vec![
            ("SITE", "alpha".to_owned()),
            ("BACKEND", "xacml".to_owned()),
            ("ADDRESS", "http://127.0.0.1:1/".to_owned()),
            ("ALLOW_PLAINTEXT", "true".to_owned()),
            ("RETRIES", "0".to_owned()),
            ("BREAKER_FAILURES", "1".to_owned()),
            ("BREAKER_PAUSE", "10m".to_owned()),
            ("AUDIT_FILE", folder.join(format!("{name}.audit")).display().to_string()),
            ("AUDIT_URL", "http://127.0.0.1:1/fhir".to_owned()),
            ("NATS_URLS", nats.url()),
            ("NATS_USER", user),
            ("NATS_PASSWORD", password),
        ]
    };
    let program = Path::new(env!("CARGO_BIN_EXE_pdp-adapter"));
    let mut replicas = Vec::new();
    for name in ["one", "two"] {
        let started = replica::start(program, pdp_adapter::PREFIX, &settings(name), &folder, name).await;
        replicas.push(started.expect("a replica"));
    }
    let connect = |user: User| {
        let (user, password) = nats.credentials("alpha", user);
        NatsConfig { urls: vec![nats.url()], user: Some(user), password: Some(password), ca: None }
    };
    let operator = Nats::connect(&connect(User::Operator), "test").await;
    // Both replicas answer, on a slow machine not within the first second.
    let ask = || async {
        for _ in 0..60 {
            let answers =
                operator.ask_all::<_, Health>(subject::PDP_HEALTH, &(), Duration::from_secs(1)).await;
            let answers = answers.expect("a connection");
            if answers.len() >= replicas.len() {
                return answers;
            }
        }
        panic!("not every replica answers");
    };
    let before = ask().await;
    assert_eq!(before.len(), 2, "{before:?}");
    assert_ne!(before[0].replica, before[1].replica);
    for health in &before {
        let [backend] = &health.backends[..] else { panic!("{health:?}") };
        assert_eq!((health.service.as_str(), backend.name.as_str()), ("pdp-adapter", "pdp-xacml"));
        assert_eq!((backend.breaker, backend.places), (BreakerState::Closed, 16));
        assert_eq!((&backend.last_success_ms, &backend.last_failure), (&None, &None));
    }
    let worker = Nats::connect(&connect(User::Worker), "test").await;
    let question = DecideRequest {
        request_id: "r1".into(),
        subject: "site-b.example".into(),
        purpose: "feasibility".into(),
        project: None,
        records: vec![RECORD.into()],
    };
    let undecided =
        worker.ask::<_, DecideReply>(subject::PDP_DECIDE, &question, Duration::from_secs(30)).await;
    assert!(matches!(undecided, Err(RequestError::Unavailable { .. })), "{undecided:?}");
    // The records of the start and the question wait for a repository that is not there, either.
    let mut after = ask().await;
    for _ in 0..60 {
        if after.iter().all(|health| health.audit.failing.is_some()) {
            break;
        }
        after = ask().await;
    }
    let text = serde_json::to_string(&after).expect("JSON");
    assert!(!text.contains(RECORD) && !text.contains("site-b.example"), "{text}");
    let open: Vec<&Health> =
        after.iter().filter(|health| health.backends[0].breaker == BreakerState::Open).collect();
    let [open] = &open[..] else { panic!("one of two was asked: {after:?}") };
    assert!(open.backends[0].next_try_ms.is_some());
    assert_eq!(open.backends[0].last_failure.as_ref().expect("a failure").kind, "refused");
    for health in &after {
        let audit = &health.audit;
        assert_eq!((audit.target.as_deref(), audit.lost, audit.refused), (Some("fhir"), 0, 0));
        assert!(audit.waiting_bytes > 0);
        assert_eq!(audit.failing.as_ref().expect("a failure").kind, "refused");
    }
    for mut replica in replicas {
        replica.kill().await;
    }
    nats.stop().await;
    std::fs::remove_dir_all(&folder).expect("clean");
}
