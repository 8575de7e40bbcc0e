//! Two replicas over NATS share the work; when one is killed no question stays without an answer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]
use std::{path::Path, sync::Arc};

use messaging::{
    connect::{Nats, NatsConfig},
    hospital::*,
    permissions::User,
    recipient::{Context, Opener, generate},
    subject,
};
use stand::{NatsServer, Postgres, Tools, replica};

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_share_the_work_and_killing_one_loses_nothing() {
    let tools = Tools::find().expect("nats-server");
    let folder = std::env::temp_dir().join(format!("dsf-mpi-adapter-replicas-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("folder");
    let mut nats =
        NatsServer::start(&tools, &folder.join("nats"), &["alpha".to_owned()]).await.expect("NATS");
    let mut postgres = Postgres::start(&tools, &folder.join("postgres")).await.expect("PostgreSQL");
    postgres.execute("postgres", "CREATE DATABASE mpi").await.expect("a database");
    std::fs::write(folder.join("persons.csv"), "id,last,first\n1,Ada,Eva\n").expect("CSV");
    let (public, private) = generate().expect("keys");
    let audit = |name: &str| folder.join(format!("{name}.audit"));
    let settings = |name: &str| {
        let (user, password) = nats.credentials("alpha", User::PatientIndex);
        vec![
            ("SITE", "alpha".to_owned()),
            ("BACKEND", "table".to_owned()),
            ("RECIPIENTS", format!("rbf={public}")),
            ("DATABASE_URL", postgres.url("mpi")),
            ("TABLE_CSV", folder.join("persons.csv").display().to_string()),
            ("AUDIT_FILE", audit(name).display().to_string()),
            ("NATS_URLS", nats.url()),
            ("NATS_USER", user),
            ("NATS_PASSWORD", password),
        ]
    };
    let program = Path::new(env!("CARGO_BIN_EXE_mpi-adapter"));
    let mut replicas = Vec::new();
    for name in ["one", "two"] {
        let started = replica::start(program, mpi_adapter::PREFIX, &settings(name), &folder, name).await;
        replicas.push(started.expect("a replica"));
    }
    let (user, password) = nats.credentials("alpha", User::Linkage);
    let config = NatsConfig { urls: vec![nats.url()], user: Some(user), password: Some(password), ca: None };
    let asker = Arc::new(Nats::connect(&config, "test").await);
    // The first record is that of the start.
    let works =
        |name: &&str| std::fs::read_to_string(audit(name)).is_ok_and(|records| records.lines().count() > 1);
    let shares = || ["one", "two"].iter().all(&works);
    let answers = replica::survive(&mut replicas[0], shares, |at| {
        let asker = Arc::clone(&asker);
        let request = FindRequest {
            request_id: format!("r{at}"),
            recipient: "rbf".to_owned(),
            profile: "de-1".to_owned(),
            ids: vec!["1".to_owned(), "nobody".to_owned()],
        };
        async move { replica::insist::<_, FindReply>(&asker, subject::MPI_FIND, &request).await }
    })
    .await
    .expect("every answer");
    // Every answer is the one to its question.
    let opener = Opener::new(&private).expect("a key");
    for (at, answer) in answers.iter().enumerate() {
        let [Found::Person(sealed), Found::NotFound] = &answer.found[..] else { panic!("{answer:?}") };
        let context = Context { site: "alpha", request_id: &format!("r{at}"), profile: "de-1" };
        let person: Idat = serde_json::from_slice(&opener.open(context, sealed).expect("opens")).unwrap();
        assert_eq!(person.last.as_deref(), Some("Ada"));
    }
    nats.stop().await;
    postgres.stop().await;
    std::fs::remove_dir_all(&folder).expect("clean");
}
