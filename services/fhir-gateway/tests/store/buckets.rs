//! Buckets tell exactly what they hold, at every moment and whoever writes, and those that hold nothing go.
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};

use fhir_gateway::store::{MIGRATIONS, Store, WriteError};
use uuid::Uuid;

use crate::{START, create, postgres::Cluster, search, task, version};

const STATUS: [&str; 4] = ["requested", "in-progress", "completed", "failed"];
const TAGS: [&[&str]; 2] = [&["LOCAL"], &["LOCAL", "ORGANIZATION|b.test"]];

/// Buckets that do not hold what they tell, and resources without one: in one look, as a search has.
async fn wrong(store: &Store) -> (i64, i64) {
    let client = store.pool().get().await.unwrap();
    let row = client
        .query_one(
            "SELECT (SELECT count(*) FROM bucket b WHERE \
               b.count + (SELECT coalesce(sum(c.n), 0) FROM bucket_change c WHERE c.bucket = b.id) \
               <> (SELECT count(*) FROM resource r WHERE r.bucket = b.id AND r.current AND r.deleted IS NULL)), \
             (SELECT count(*) FROM resource r WHERE r.current AND r.deleted IS NULL \
               AND NOT EXISTS (SELECT FROM bucket b WHERE b.id = r.bucket))",
            &[],
        )
        .await
        .unwrap();
    (row.get(0), row.get(1))
}

async fn count(store: &Store, table: &str) -> i64 {
    let client = store.pool().get().await.unwrap();
    client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.unwrap().get(0)
}

/// Writes versions of a few Tasks, each of another status than before, now and then several in one transaction, and
/// deletes some. What it leaves, by status.
async fn write(store: Store, writer: usize) -> BTreeMap<&'static str, u64> {
    const STEPS: usize = 150;
    // Id, version and status of each.
    let mut own: Vec<(Uuid, u64, usize)> = Vec::new();
    let mut session = store.session().await.unwrap();
    for step in 0..STEPS {
        let at = START + i64::try_from(step).unwrap();
        let mix = (step * 7 + writer * 13) % 10;
        let status = (step + writer) % STATUS.len();
        let tags = TAGS[step % TAGS.len()];
        // A requester of its own: its buckets fill and become empty all the time.
        let json = task(STATUS[status], &format!("{writer}-{}.test", step % 3));
        match mix {
            0..4 => {
                let id = Uuid::new_v4();
                session.write(&version(&json, id, 1, at, tags)).await.unwrap();
                own.push((id, 1, status));
            }
            4..8 if !own.is_empty() => {
                let several = own.len().min(if mix == 4 { 3 } else { 1 });
                let transaction = session.begin().await.unwrap();
                for (id, number, current) in own.iter_mut().take(several) {
                    *number += 1;
                    *current = status;
                    transaction.write(&version(&json, *id, *number, at, tags)).await.unwrap();
                }
                if mix == 5 {
                    // Takes it back.
                    drop(transaction);
                    let (id, number, current) = &mut own[0];
                    *number -= 1;
                    let stored = session.read("Task", *id).await.unwrap().unwrap();
                    let text = String::from_utf8(stored.content).unwrap();
                    *current = STATUS.iter().position(|code| text.contains(&format!("\"{code}\""))).unwrap();
                } else {
                    transaction.commit().await.unwrap();
                }
                let (id, number, _) = own[0];
                let late = version(&json, id, number, at, tags);
                assert!(matches!(session.write(&late).await, Err(WriteError::Changed)));
            }
            _ if own.len() > 1 => {
                let (id, ..) = own.swap_remove(step % own.len());
                assert!(session.delete("Task", id, at).await.unwrap());
            }
            _ => {}
        }
    }
    let mut left = BTreeMap::new();
    for (.., status) in own {
        *left.entry(STATUS[status]).or_default() += 1;
    }
    left
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_exact_whoever_writes() {
    const WRITERS: usize = 4;
    let cluster = Cluster::start().await;
    let store = Store::new(cluster.pool(MIGRATIONS).await);
    let done = std::sync::Arc::new(AtomicBool::new(false));
    // Two replicas add up, one of them tidies, and somebody looks.
    let background: Vec<_> = (0..3)
        .map(|role| {
            let (store, done) = (store.clone(), std::sync::Arc::clone(&done));
            tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    match role {
                        0 => store.add_up_buckets().await.unwrap(),
                        1 => {
                            store.add_up_buckets().await.unwrap();
                            store.remove_empty_buckets().await.unwrap();
                        }
                        _ => assert_eq!(wrong(&store).await, (0, 0)),
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let writers: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(write(store.clone(), writer))).collect();
    let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
    for writer in writers {
        for (status, count) in writer.await.unwrap() {
            *expected.entry(status).or_default() += count;
        }
    }
    done.store(true, Ordering::Relaxed);
    for role in background {
        role.await.unwrap();
    }

    assert_eq!(wrong(&store).await, (0, 0));
    let session = store.session().await.unwrap();
    for status in STATUS {
        let (total, _) = search(&session, "Task", &format!("status={status}")).await;
        assert_eq!(total, expected.get(status).copied().unwrap_or_default(), "{status}");
    }
    assert_eq!(search(&session, "Task", "").await.0, expected.values().sum::<u64>());
    let told: BTreeMap<String, u64> = store.tasks_by_status().await.unwrap().into_iter().collect();
    let expected: BTreeMap<String, u64> =
        expected.into_iter().map(|(status, count)| (status.to_owned(), count)).collect();
    assert_eq!(told, expected);
    let (_, figures) = session.figures().await.unwrap();
    let all = i64::try_from(expected.values().sum::<u64>()).unwrap();
    assert_eq!(figures, [("Task".to_owned(), all)]);
}

/// A requester may be a person: with the last of what they requested, their name is gone.
#[tokio::test]
async fn what_is_gone_leaves_nothing() {
    let cluster = Cluster::start().await;
    let store = Store::new(cluster.pool(MIGRATIONS).await);
    let session = store.session().await.unwrap();
    let gone = create(&session, &task("completed", "gone.test"), START, &["LOCAL"]).await;
    let kept = create(&session, &task("completed", "kept.test"), START, &["LOCAL"]).await;
    let values = count(&store, "bucket_value").await;
    assert!(session.delete("Task", gone, START + 1).await.unwrap());
    // Not yet: what has changed is not added up.
    assert!(store.remove_empty_buckets().await.unwrap());
    assert_eq!(count(&store, "bucket").await, 2);
    store.add_up_buckets().await.unwrap();
    assert!(store.remove_empty_buckets().await.unwrap());
    assert_eq!((count(&store, "bucket").await, count(&store, "bucket_value").await), (1, values / 2));
    assert_eq!(search(&session, "Task", "status=completed").await, (1, vec![kept]));

    // It comes back with the next one, but not while somebody writes.
    let mut writing = store.session().await.unwrap();
    let transaction = writing.begin().await.unwrap();
    let again = version(&task("completed", "gone.test"), Uuid::new_v4(), 1, START + 2, &["LOCAL"]);
    transaction.write(&again).await.unwrap();
    assert!(!store.remove_empty_buckets().await.unwrap(), "somebody writes");
    transaction.commit().await.unwrap();
    assert_eq!(wrong(&store).await, (0, 0));
    assert_eq!(search(&session, "Task", "_sort=_lastUpdated&status=completed").await.1, [kept, again.id]);
}
