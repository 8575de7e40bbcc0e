//! The audit trail of a running gateway: every decision is there, none of it can be changed unseen.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]
#[path = "gateway/client.rs"]
#[allow(dead_code, reason = "shared with the gateway's tests")]
mod client;
#[path = "gateway/world.rs"]
#[allow(dead_code, reason = "shared with the gateway's tests")]
mod world;

use audit::{Event, Fault, Key, Verifier, table};
use client::Client;
use serde_json::json;
use world::{LOCAL, Replica, World, until_async};

const JSON: [(&str, &str); 2] =
    [("accept", "application/fhir+json"), ("content-type", "application/fhir+json")];

fn code_system(url: &str) -> String {
    json!({
        "resourceType": "CodeSystem", "url": url, "version": "1", "name": "Test", "status": "active",
        "content": "complete", "date": "2026-11-24", "concept": [{"code": "a"}],
        "meta": {"tag": [{"system": "http://dsf.dev/fhir/CodeSystem/read-access-tag", "code": "LOCAL"}]},
    })
    .to_string()
}

async fn faults(world: &World, key: &Key) -> Vec<Fault> {
    let pool = world.store.pool();
    let head = table::head(pool).await.unwrap();
    let mut verifier = Verifier::new(key, head.first, head.before);
    for row in table::page(pool, i64::MIN, 100_000).await.unwrap() {
        verifier.row(row.seq, &row.event, &row.hash);
    }
    verifier.end(head.last, &head.hash)
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_are_recorded_and_cannot_be_changed_unseen() {
    let world = World::start().await;
    let key_file = world.folder.join("audit.key");
    std::fs::write(&key_file, [5u8; 32]).unwrap();
    let key = Key::new(&[5; 32]).unwrap();
    let mut config = world.config();
    config.audit_key_file = Some(key_file);
    let gateway = Replica::start(config).await;
    let local = Client::new(&world.authority, Some(&world.local));
    let remote = Client::new(&world.authority, Some(&world.remote));
    let stranger = Client::new(
        &world.authority,
        Some(&world.authority.issue(&world.folder.join("x"), "x.test").unwrap()),
    );

    let created = local
        .ask(gateway.address, "POST /fhir/CodeSystem", &JSON, code_system("http://a").as_bytes())
        .await
        .unwrap();
    assert_eq!(created.status, 201, "{}", created.body);
    let created: serde_json::Value = serde_json::from_str(&created.body).unwrap();
    let id = created["id"].as_str().unwrap().to_owned();
    let table: [(&Client, String, u16); 7] = [
        (&local, format!("GET /fhir/CodeSystem/{id}"), 200),
        (&remote, format!("GET /fhir/CodeSystem/{id}"), 403),
        (&remote, "GET /fhir/CodeSystem".to_owned(), 200),
        (&remote, "POST /fhir/CodeSystem".to_owned(), 403),
        (&stranger, "GET /fhir/CodeSystem".to_owned(), 403),
        (&local, format!("DELETE /fhir/CodeSystem/{id}"), 200),
        (&local, format!("POST /fhir/CodeSystem/{id}/$permanent-delete"), 200),
    ];
    for (client, line, status) in &table {
        let body = if line == "POST /fhir/CodeSystem" { code_system("http://b") } else { String::new() };
        let headers = if body.is_empty() { &JSON[..1] } else { &JSON[..] };
        let answer = client.ask(gateway.address, line, headers, body.as_bytes()).await.unwrap();
        assert_eq!(answer.status.as_u16(), *status, "{line}: {}", answer.body);
    }
    // Writes what is left, also what only the queue held.
    gateway.stop().await;

    let rows = table::page(world.store.pool(), 0, 100_000).await.unwrap();
    type Seen = (String, Option<String>, String, Option<String>, bool);
    let seen: Vec<Seen> = rows
        .iter()
        .map(|row| Event::parse(&row.event).unwrap())
        .filter(|event| event.who.kind != "loader")
        .map(|event| {
            (event.who.kind.to_string(), event.who.id, event.interaction.to_string(), event.id, event.allowed)
        })
        .collect();
    let stranger_is = seen.iter().find(|event| event.0 == "unknown").and_then(|event| event.1.clone());
    assert_eq!(stranger_is.as_ref().map(String::len), Some(128), "a stranger is named by thumbprint");
    let expected = [
        ("local-organization", LOCAL, "create", true, true),
        ("local-organization", LOCAL, "read", true, true),
        ("remote-organization", "remote.test", "read", true, false),
        ("remote-organization", "remote.test", "search", false, true),
        ("remote-organization", "remote.test", "create", false, false),
        ("local-organization", LOCAL, "delete", true, true),
        ("local-organization", LOCAL, "permanent delete", true, true),
    ];
    for (kind, who, interaction, with_id, allowed) in expected {
        let event = (
            kind.to_owned(),
            Some(who.to_owned()),
            interaction.to_owned(),
            with_id.then(|| id.clone()),
            allowed,
        );
        assert_eq!(seen.iter().filter(|known| **known == event).count(), 1, "{event:?} in {seen:#?}");
    }
    assert_eq!(seen.len(), expected.len() + 1, "nothing else: {seen:#?}");
    assert_eq!(faults(&world, &key).await, [], "the chain holds");

    // The table itself takes no changes; who gets round that is seen.
    let connection = world.store.pool().get().await.unwrap();
    for statement in ["UPDATE audit SET event = '{}'", "DELETE FROM audit", "TRUNCATE audit"] {
        assert!(connection.batch_execute(statement).await.is_err(), "{statement}");
    }
    let last = rows.last().unwrap().seq;
    let changes: [(&str, Vec<Fault>); 3] = [
        (
            "UPDATE audit SET event = replace(event, '\"allowed\":true', '\"allowed\":false') WHERE seq = 2",
            vec![Fault::Changed { seq: 2 }],
        ),
        ("DELETE FROM audit WHERE seq IN (3, 4)", vec![Fault::Missing { from: 3, to: 4 }]),
        (
            "UPDATE audit SET seq = -1 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3;
             UPDATE audit SET seq = 3 WHERE seq = -1",
            vec![Fault::Changed { seq: 2 }, Fault::Changed { seq: 3 }, Fault::Changed { seq: 4 }],
        ),
    ];
    for (change, expected) in changes {
        let past_the_guard = format!("BEGIN; SET LOCAL session_replication_role = replica; {change}");
        connection.batch_execute(&past_the_guard).await.unwrap();
        let found = {
            // Within the transaction that holds the change.
            let head = connection.query_one("SELECT last_seq, last_hash FROM audit_head", &[]).await.unwrap();
            let mut verifier = Verifier::new(&key, 1, audit::chain::GENESIS);
            for row in connection.query("SELECT seq, event, hash FROM audit ORDER BY seq", &[]).await.unwrap()
            {
                verifier.row(row.get(0), row.get(1), row.get(2));
            }
            verifier.end(head.get(0), head.get(1))
        };
        connection.batch_execute("ROLLBACK").await.unwrap();
        assert_eq!(found, expected, "{change}");
    }
    assert_eq!(table::head(world.store.pool()).await.unwrap().last, last);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_write_is_never_without_its_event() {
    let world = World::start().await;
    let gateway = Replica::start(world.config()).await;
    let local = Client::new(&world.authority, Some(&world.local));
    // The writer cannot go on: only what is stored with the write itself survives.
    let blocker = world.store.pool().get().await.unwrap();
    blocker.batch_execute("BEGIN; SELECT * FROM audit_head FOR UPDATE").await.unwrap();
    let created = local
        .ask(gateway.address, "POST /fhir/CodeSystem", &JSON, code_system("http://c").as_bytes())
        .await
        .unwrap();
    assert_eq!(created.status, 201);
    let created: serde_json::Value = serde_json::from_str(&created.body).unwrap();
    let id = created["id"].as_str().unwrap().to_owned();
    let pending: i64 = blocker
        .query_one("SELECT count(*) FROM audit_pending WHERE event LIKE '%' || $1 || '%'", &[&id])
        .await
        .unwrap()
        .get(0);
    assert_eq!(pending, 1, "the event is committed with the create");
    blocker.batch_execute("COMMIT").await.unwrap();
    until_async("the event is in the chain", async || {
        let rows = table::page(world.store.pool(), 0, 100_000).await.unwrap();
        rows.iter().any(|row| row.event.contains(&id)).then_some(())
    })
    .await;
    assert_eq!(faults(&world, &Key::None).await, []);
    gateway.stop().await;
}
