//! Two replicas over NATS share the work; when one is killed no question stays without an answer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]
use std::{collections::HashMap, path::Path, sync::Arc};

use messaging::{
    connect::{Nats, NatsConfig},
    hospital::*,
    permissions::User,
    subject,
};
use stand::{NatsServer, Tools, hospital, replica};

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_share_the_work_and_killing_one_loses_nothing() {
    let tools = Tools::find().expect("nats-server");
    let folder = std::env::temp_dir().join(format!("dsf-pdp-adapter-replicas-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("folder");
    let mut nats =
        NatsServer::start(&tools, &folder.join("nats"), &["alpha".to_owned()]).await.expect("NATS");
    let known = HashMap::from([("ada".to_owned(), true), ("bob".to_owned(), false)]);
    let consents = hospital::consent_server(known).await.expect("consents");
    let audit = |name: &str| folder.join(format!("{name}.audit"));
    let settings = |name: &str| {
        let (user, password) = nats.credentials("alpha", User::Consent);
        vec![
            ("SITE", "alpha".to_owned()),
            ("BACKEND", "fhir-consent".to_owned()),
            ("ADDRESS", format!("http://{}/fhir", consents.address)),
            ("ALLOW_PLAINTEXT", "true".to_owned()),
            ("IDENTIFIER_SYSTEM", hospital::PERSON_SYSTEM.to_owned()),
            ("CACHE_LIFE", "0s".to_owned()),
            ("AUDIT_FILE", audit(name).display().to_string()),
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
    let (user, password) = nats.credentials("alpha", User::Worker);
    let config = NatsConfig { urls: vec![nats.url()], user: Some(user), password: Some(password), ca: None };
    let asker = Arc::new(Nats::connect(&config, "test").await);
    // The first record is that of the start.
    let works =
        |name: &&str| std::fs::read_to_string(audit(name)).is_ok_and(|records| records.lines().count() > 1);
    let shares = || ["one", "two"].iter().all(&works);
    let answers = replica::survive(&mut replicas[0], shares, |at| {
        let asker = Arc::clone(&asker);
        let request = DecideRequest {
            request_id: format!("r{at}"),
            subject: "site-b.test".to_owned(),
            purpose: "data-sharing+record-linkage".to_owned(),
            project: None,
            records: vec!["bob".to_owned(), "ada".to_owned(), "nobody".to_owned()],
        };
        async move { replica::insist::<_, DecideReply>(&asker, subject::PDP_DECIDE, &request).await }
    })
    .await
    .expect("every answer");
    assert!(answers.iter().all(|answer| answer.kept == ["ada"] && answer.decisions.len() == 3));
    nats.stop().await;
    std::fs::remove_dir_all(&folder).expect("clean");
}
