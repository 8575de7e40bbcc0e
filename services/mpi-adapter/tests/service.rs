//! The adapter over NATS with a table in PostgreSQL: sealed answers, two instances, rights.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]
use std::{sync::Arc, time::Duration};

use messaging::{
    connect::{Nats, NatsConfig, RequestError},
    health::Health,
    hospital::*,
    permissions::User,
    recipient::{Context, Opener, Recipient, generate},
    subject,
};
use mpi_adapter::{Config, PREFIX};
use stand::{NatsServer, Postgres, Tools};

const REQUEST: Duration = Duration::from_secs(10);
const CSV: &str = "id,last,first,birth,sex,street,zip,city,country,insurance,id:KIS\n\
    1,Grünwald-Özdemir,Liselotte,1980-03-07,F,Lindenstraße 12a,37073,Göttingen,DE,K123456789,4711\n\
    2,\"Canary, Jr.\",Carl,1947,M,,,,,,\n\
    twice,Same,One,,,,,,,,\ntwice,Same,Two,,,,,,,,\n";

async fn connect(nats: &NatsServer, user: User) -> Nats {
    let (login, password) = nats.credentials("alpha", user);
    let config = NatsConfig { urls: vec![nats.url()], user: Some(login), password: Some(password), ca: None };
    Nats::connect(&config, "test").await
}

#[tokio::test(flavor = "multi_thread")]
async fn persons_leave_only_sealed_and_replicas_share_the_work() {
    let tools = Tools::find().expect("PostgreSQL and nats-server");
    let folder = std::env::temp_dir().join(format!("dsf-mpi-service-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("folder");
    let mut postgres = Postgres::start(&tools, &folder.join("postgres")).await.expect("PostgreSQL");
    postgres.execute("postgres", "CREATE DATABASE mpi").await.expect("a database");
    let mut nats =
        NatsServer::start(&tools, &folder.join("nats"), &["alpha".to_owned()]).await.expect("NATS");
    let csv = folder.join("persons.csv");
    std::fs::write(&csv, CSV).expect("CSV");
    let audit = folder.join("audit.ndjson");
    let (public, private) = generate().expect("keys");
    let (own_public, own_private) = generate().expect("keys");
    let (login, password) = nats.credentials("alpha", User::PatientIndex);
    let settings = |ready: &str| {
        let all = [
            ("SITE", "alpha".to_owned()),
            ("BACKEND", "table".to_owned()),
            ("RECIPIENTS", format!("rbf={public}")),
            ("PRIVATE_KEY", own_private.to_string()),
            ("DATABASE_URL", postgres.url("mpi")),
            ("TABLE_CSV", csv.display().to_string()),
            ("AUDIT_FILE", audit.display().to_string()),
            ("NATS_URLS", nats.url()),
            ("NATS_USER", login.clone()),
            ("NATS_PASSWORD", password.clone()),
            ("READY_FILE", folder.join(ready).display().to_string()),
        ];
        let all = all.into_iter().map(|(name, value)| (format!("{PREFIX}_{name}"), value));
        config::load_from::<Config>(PREFIX, None, all).expect("settings")
    };
    let mut replicas = Vec::new();
    for ready in ["one", "two"] {
        let config = settings(ready);
        replicas
            .push(tokio::spawn(async move { mpi_adapter::run(config, std::future::pending::<()>()).await }));
        let started = std::time::Instant::now();
        while !folder.join(ready).exists() {
            assert!(started.elapsed() < Duration::from_secs(30), "the adapter is ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let linkage = Arc::new(connect(&nats, User::Linkage).await);
    let opener = Opener::new(&private).expect("a key");
    let find = |request_id: &str, ids: &[&str]| FindRequest {
        request_id: request_id.to_owned(),
        recipient: "rbf".to_owned(),
        profile: "de-1".to_owned(),
        ids: ids.iter().map(|id| (*id).to_owned()).collect(),
    };
    let reply: FindReply = linkage
        .ask(subject::MPI_FIND, &find("r1", &["1", "none", "twice", "2"]), REQUEST)
        .await
        .expect("an answer");
    let context = Context { site: "alpha", request_id: "r1", profile: "de-1" };
    let open = |found: &Found| match found {
        Found::Person(sealed) => {
            serde_json::from_slice::<Idat>(&opener.open(context, sealed).expect("opens")).expect("a person")
        }
        other => panic!("expected a person, got {other:?}"),
    };
    let person = open(&reply.found[0]);
    assert_eq!(person.last.as_deref(), Some("Grünwald-Özdemir"));
    assert_eq!((person.birth.as_deref(), person.sex.as_deref()), (Some("1980-03-07"), Some("F")));
    assert_eq!(reply.found[1..3], [Found::NotFound, Found::Ambiguous]);
    assert_eq!(open(&reply.found[3]).last.as_deref(), Some("Canary, Jr."));
    let wire = serde_json::to_string(&reply).expect("JSON");
    assert!(!wire.contains("Canary") && !wire.contains("1980-03-07"), "nothing personal in the clear");

    let known = Demographics { last: Some("Canary, Jr.".into()), ..Demographics::default() };
    let sealed = Recipient::new(&own_public)
        .expect("a key")
        .seal(Context { profile: MATCH_CONTEXT, ..context }, &serde_json::to_vec(&known).expect("JSON"))
        .expect("seals");
    let matching = MatchRequest {
        request_id: "r1".into(),
        recipient: "rbf".into(),
        profile: "de-1".into(),
        person: sealed,
    };
    let found: Found = linkage.ask(subject::MPI_MATCH, &matching, REQUEST).await.expect("an answer");
    assert_eq!(open(&found).medic_id.as_deref(), Some("2"));
    // The sealed question belongs to its request.
    let moved = MatchRequest { request_id: "r2".into(), ..matching };
    let refused = linkage.ask::<_, Found>(subject::MPI_MATCH, &moved, REQUEST).await;
    assert!(matches!(refused, Err(RequestError::Invalid(_))), "{refused:?}");

    let references =
        CrossReferenceRequest { request_id: "r3".into(), ids: vec!["1".into(), "2".into()], targets: vec![] };
    let reply: CrossReferenceReply =
        linkage.ask(subject::MPI_CROSS_REFERENCE, &references, REQUEST).await.expect("an answer");
    let kis = Domain { namespace: Some("KIS".into()), ..Domain::default() };
    assert_eq!(
        reply.found,
        [CrossReferences::Identifiers(vec![(kis, "4711".into())]), CrossReferences::NotFound]
    );

    let mut stranger = find("r1", &["1"]);
    stranger.recipient = "somebody".into();
    let refused = linkage.ask::<_, FindReply>(subject::MPI_FIND, &stranger, REQUEST).await;
    assert!(matches!(refused, Err(RequestError::Invalid(_))), "{refused:?}");
    let worker = connect(&nats, User::Worker).await;
    let refused =
        worker.ask::<_, FindReply>(subject::MPI_FIND, &find("r1", &["1"]), Duration::from_secs(1)).await;
    assert!(
        matches!(refused, Err(RequestError::Unavailable { .. })),
        "a worker has no right to ask: {refused:?}"
    );

    // Both replicas tell an operator how they are.
    let operator = connect(&nats, User::Operator).await;
    let health: Vec<Health> =
        operator.ask_all(subject::MPI_HEALTH, &(), Duration::from_secs(1)).await.expect("a connection");
    let names: Vec<&str> = health.iter().map(|health| health.backends[0].name.as_str()).collect();
    assert_eq!(names, ["mpi-table", "mpi-table"]);
    assert!(health.iter().any(|health| health.backends[0].last_success_ms.is_some()), "{health:?}");

    // The database goes away: an outage, never "not found".
    postgres.stop().await;
    let reply: FindReply =
        linkage.ask(subject::MPI_FIND, &find("r9", &["1"]), REQUEST).await.expect("an answer");
    assert!(matches!(reply.found[..], [Found::Unavailable(_)]), "{reply:?}");

    let records = std::fs::read_to_string(&audit).expect("audit records");
    assert!(records.lines().count() >= 9, "a record per person and question");
    for canary in ["Canary", "Grünwald", "1980-03-07", "K123456789", "4711", "Göttingen"] {
        assert!(!records.contains(canary), "{canary} stands in the audit records");
    }
    for line in records.lines() {
        fhir_json(line);
    }
    replicas.iter().for_each(tokio::task::JoinHandle::abort);
    nats.stop().await;
    std::fs::remove_dir_all(&folder).expect("clean");
}

fn fhir_json(line: &str) {
    let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(event["resourceType"], "AuditEvent");
    assert!(["0", "4", "8"].contains(&event["outcome"].as_str().expect("an outcome")));
}
