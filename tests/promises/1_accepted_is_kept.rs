//! Promise 1: what was answered with 201 takes effect, whatever dies afterwards.
use anyhow::Result;
use end_to_end::{Peer, TestStand, settled, stand, start_ping, wait_for};
use stand::{Site, environment::SERVICES};

/// Pings per death.
const PINGS: usize = 8;

async fn pings(stand: &TestStand) -> Result<Vec<String>> {
    let site = &stand.sites[0];
    Peer::new(stand, site)?.create_many(&start_ping(site), PINGS, PINGS).await
}

/// Every start Task is completed, and nothing is left at either site.
async fn all_took_effect(stand: &TestStand, starts: &[String]) -> Result<()> {
    let tasks = settled(stand, &stand.sites[0]).await?;
    settled(stand, &stand.sites[1]).await?;
    for start in starts {
        let id = start.trim_start_matches("Task/");
        let task = tasks.iter().find(|task| task["id"] == id);
        let status = task.map(|task| &task["status"]);
        assert_eq!(status, Some(&serde_json::json!("completed")), "{start} was accepted: {task:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn accepted_tasks_survive_the_death_of_every_process() -> Result<()> {
    let mut stand = stand(2, 1).await?;
    let mut starts = Vec::new();
    for service in SERVICES {
        starts.extend(pings(&stand).await?);
        for site in &mut stand.sites {
            site.kill(service, 0).await?;
        }
        for site in &mut stand.sites {
            site.restart(service, 0).await?;
        }
    }
    starts.extend(pings(&stand).await?);
    stand.postgres.kill().await;
    stand.postgres.restart().await?;
    starts.extend(pings(&stand).await?);
    // Everything at once, as in a power failure.
    for site in &mut stand.sites {
        for service in SERVICES {
            site.kill(service, 0).await?;
        }
    }
    stand.nats.kill().await;
    stand.postgres.kill().await;
    stand.postgres.restart().await?;
    stand.nats.restart().await?;
    for site in &mut stand.sites {
        site.start(1).await?;
    }
    all_took_effect(&stand, &starts).await
}

/// Events that the outbox still holds.
async fn outbox(stand: &TestStand, site: &Site) -> Result<i64> {
    let database = stand.postgres.client(&stand::postgres::fhir_database(&site.name)).await?;
    Ok(database.query_one("select count(*) from outbox", &[]).await?.get(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn accepted_tasks_survive_the_loss_of_all_of_nats() -> Result<()> {
    let mut stand = stand(2, 1).await?;
    // In the middle of the work.
    let mut starts = pings(&stand).await?;
    stand.nats.kill().await;
    stand.nats.lose_everything()?;
    starts.extend(pings(&stand).await?);
    stand.nats.restart().await?;
    starts.extend(pings(&stand).await?);
    all_took_effect(&stand, &starts).await?;

    // At the worst moment: the events have left the outbox and nobody has read them.
    stand.sites[0].kill(stand::Service::Router, 0).await?;
    starts.extend(pings(&stand).await?);
    wait_for("the events to be in the stream", || async {
        Ok((outbox(&stand, &stand.sites[0]).await? == 0).then_some(()))
    })
    .await?;
    stand.nats.kill().await;
    stand.nats.lose_everything()?;
    stand.nats.restart().await?;
    stand.sites[0].restart(stand::Service::Router, 0).await?;
    all_took_effect(&stand, &starts).await
}
