//! Retention rules at a running gateway: what is old and done goes with all its versions, nothing else does.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]
#[path = "gateway/client.rs"]
#[allow(dead_code, reason = "shared with the gateway's tests")]
mod client;
#[path = "gateway/world.rs"]
#[allow(dead_code, reason = "shared with the gateway's tests")]
mod world;

use serde_json::json;
use uuid::Uuid;
use world::{Replica, World, until_async};

async fn task(world: &World, id: Option<Uuid>, version: u64, status: &str) -> Uuid {
    let task = json!({"resourceType": "Task", "status": status, "intent": "order"});
    world.write(&task, id, version, Vec::new()).await
}

async fn left(world: &World) -> Vec<Uuid> {
    let connection = world.store.pool().get().await.unwrap();
    let rows = connection.query("SELECT DISTINCT id FROM resource WHERE type = 'Task'", &[]).await.unwrap();
    let mut left: Vec<Uuid> = rows.iter().map(|row| row.get(0)).collect();
    left.sort();
    left
}

#[tokio::test(flavor = "multi_thread")]
async fn old_work_goes_and_all_else_stays() {
    let world = World::start().await;
    let completed = task(&world, None, 1, "requested").await;
    task(&world, Some(completed), 2, "completed").await;
    let failed = task(&world, None, 1, "failed").await;
    let requested = task(&world, None, 1, "requested").await;
    let deleted = task(&world, None, 1, "requested").await;
    world.store.session().await.unwrap().delete("Task", deleted, 1).await.unwrap();
    let connection = world.store.pool().get().await.unwrap();
    let age = "UPDATE resource SET last_updated = last_updated - 100 * 86400000::bigint WHERE type = 'Task'";
    connection.batch_execute(age).await.unwrap();
    let fresh = task(&world, None, 1, "completed").await;
    let all = left(&world).await;
    assert_eq!(all.len(), 5);

    let rules = "every = '50ms'\n[[rule]]\ntype = 'Task'\nstatus = ['completed', 'failed']\nafter = '90d'\n\
                 [[rule]]\ntype = 'Task'\ndeleted = true\nafter = '7d'\n";
    let file = world.folder.join("retention.toml");
    let mut config = world.config();
    config.retention_file = Some(file.clone());

    // A dry run only counts.
    std::fs::write(&file, format!("dry-run = true\n{rules}")).unwrap();
    let dry = Replica::start(config.clone()).await;
    until_async("the dry run has seen both rules", async || {
        let rows =
            connection.query("SELECT event FROM audit WHERE event LIKE '%dry run%'", &[]).await.unwrap();
        let told = |part: &str| rows.iter().any(|row| row.get::<_, String>(0).contains(part));
        (told("dry run: 2") && told("dry run: 1")).then_some(())
    })
    .await;
    dry.stop().await;
    assert_eq!(left(&world).await, all, "a dry run removes nothing");

    // Two replicas do it together.
    std::fs::write(&file, rules).unwrap();
    let mut second = world.config();
    second.retention_file = Some(file);
    let (one, two) = (Replica::start(config).await, Replica::start(second).await);
    let mut expected = vec![requested, fresh];
    expected.sort();
    until_async("the old ones are gone", async || (left(&world).await.len() == 2).then_some(())).await;
    assert_eq!(left(&world).await, expected);
    one.stop().await;
    two.stop().await;
    let rest = connection
        .query_one("SELECT count(*) FROM search_value WHERE id = ANY($1)", &[&vec![completed, failed]])
        .await
        .unwrap();
    assert_eq!(rest.get::<_, i64>(0), 0, "index rows go with them");
    let events = connection
        .query("SELECT event FROM audit WHERE event LIKE '%\"retention\"%'", &[])
        .await
        .unwrap()
        .iter()
        .map(|row| audit::Event::parse(row.get(0)).unwrap())
        .filter(|event| event.allowed)
        .collect::<Vec<_>>();
    let mut named: Vec<String> = events.iter().filter_map(|event| event.id.clone()).collect();
    named.sort();
    let mut gone: Vec<String> = [completed, failed, deleted].map(|id| id.to_string()).into();
    gone.sort();
    assert_eq!(named, gone, "each removal is recorded once");
}
