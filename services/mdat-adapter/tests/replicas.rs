//! Two replicas over NATS share the work; when one is killed no question stays without an answer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]
use std::{path::Path, sync::Arc};

use messaging::{
    connect::{Nats, NatsConfig},
    health::{BreakerState, Health},
    hospital::*,
    permissions::User,
    subject,
};
use stand::{NatsServer, Tools, hospital, replica};

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_share_the_work_and_killing_one_loses_nothing() {
    let tools = Tools::find().expect("nats-server");
    let folder = std::env::temp_dir().join(format!("dsf-mdat-adapter-replicas-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("folder");
    let mut nats =
        NatsServer::start(&tools, &folder.join("nats"), &["alpha".to_owned()]).await.expect("NATS");
    let ids: Vec<String> = (0..7).map(|at| format!("P{at}")).collect();
    let repository = hospital::repository(ids.clone()).await.expect("a repository");
    let audit = |name: &str| folder.join(format!("{name}.audit"));
    let settings = |name: &str| {
        let (user, password) = nats.credentials("alpha", User::MedicalData);
        vec![
            ("SITE", "alpha".to_owned()),
            ("BACKEND", "openehr".to_owned()),
            ("ADDRESS", format!("http://{}/rest/openehr/v1", repository.address)),
            ("ALLOW_PLAINTEXT", "true".to_owned()),
            ("IDENTIFIER_SYSTEM", hospital::PERSON_SYSTEM.to_owned()),
            ("AUDIT_FILE", audit(name).display().to_string()),
            ("NATS_URLS", nats.url()),
            ("NATS_USER", user),
            ("NATS_PASSWORD", password),
        ]
    };
    let program = Path::new(env!("CARGO_BIN_EXE_mdat-adapter"));
    let mut replicas = Vec::new();
    for name in ["one", "two"] {
        let started = replica::start(program, mdat_adapter::PREFIX, &settings(name), &folder, name).await;
        replicas.push(started.expect("a replica"));
    }
    let (user, password) = nats.credentials("alpha", User::Worker);
    let config = NatsConfig { urls: vec![nats.url()], user: Some(user), password: Some(password), ca: None };
    let asker = Arc::new(Nats::connect(&config, "test").await);
    // The first record is that of the start.
    let works =
        |name: &&str| std::fs::read_to_string(audit(name)).is_ok_and(|records| records.lines().count() > 1);
    let shares = || ["one", "two"].iter().all(&works);
    let answers = replica::survive(&mut replicas[0], shares, |at| {
        let asker = Arc::clone(&asker);
        let request = DataRequest {
            request_id: format!("r{at}"),
            query: Query::Aql("SELECT COUNT(e) FROM EHR e CONTAINS COMPOSITION c WHERE c/x = 1".to_owned()),
            parameters: Default::default(),
            consented: None,
            offset: 0,
            limit: None,
        };
        async move { replica::insist::<_, IdsReply>(&asker, subject::MDAT_IDS, &request).await }
    })
    .await
    .expect("every answer");
    assert!(answers.iter().all(|answer| answer.ids == ids && answer.next.is_none()));
    // The one that is left tells an operator how it is.
    let (user, password) = nats.credentials("alpha", User::Operator);
    let config = NatsConfig { urls: vec![nats.url()], user: Some(user), password: Some(password), ca: None };
    let operator = Nats::connect(&config, "test").await;
    let health: Vec<Health> = operator
        .ask_all(subject::MDAT_HEALTH, &(), std::time::Duration::from_secs(1))
        .await
        .expect("a connection");
    let [health] = &health[..] else { panic!("{health:?}") };
    let backend = &health.backends[0];
    assert_eq!((backend.name.as_str(), backend.breaker), ("mdat-openehr", BreakerState::Closed));
    assert!(backend.last_success_ms.is_some());
    nats.stop().await;
    std::fs::remove_dir_all(&folder).expect("clean");
}
