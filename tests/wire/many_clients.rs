//! Many clients at once are all answered, whether their connections are new or kept.
use std::time::Duration;

use anyhow::{Context, Result};
use end_to_end::{Peer, stand, start_ping};
use futures_util::future::try_join_all;

/// Clients that create at the same time, each over a connection of its own.
const CLIENTS: usize = 256;
/// Tasks each of them creates, one after the other.
const EACH: usize = 4;
/// Longest wait for one answer: what the gateway lets a request wait for its turn, with room.
const ANSWER: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_and_fifty_six_clients_are_answered() -> Result<()> {
    let stand = stand(1, 1).await?;
    let site = &stand.sites[0];
    let task = start_ping(site);
    let clients: Vec<Peer> = (0..CLIENTS).map(|_| Peer::new(&stand, site)).collect::<Result<_>>()?;
    let created = try_join_all(clients.iter().map(|client| async {
        for _ in 0..EACH {
            let status = tokio::time::timeout(ANSWER, client.post(&task)).await.context("no answer")??;
            assert_eq!(status, 201, "a create was refused under load");
        }
        Ok::<_, anyhow::Error>(EACH)
    }))
    .await?;
    let created: usize = created.into_iter().sum();
    // Somebody new is still answered, and everything takes effect.
    let last = Peer::new(&stand, site)?;
    assert_eq!(last.post(&task).await?, 201);
    let tasks = end_to_end::settled(&stand, site).await?;
    assert_eq!(tasks.len(), created + 1);
    let completed = tasks.iter().filter(|task| task["status"] == "completed").count();
    assert_eq!(completed, created + 1, "every accepted Task was completed");
    Ok(())
}
