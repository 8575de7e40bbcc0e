//! Promise 2: every accepted Task takes effect exactly once, however many replicas there are, however
//! often it is delivered, and whichever replica dies meanwhile.
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use end_to_end::{
    Peer, TestStand, coded, engine_rows, ping_status, settled, stand_with, start_ping, wait_for,
};
use futures_util::{StreamExt, TryStreamExt, future::join_all, stream};
use messaging::{
    connect::{Nats, NatsConfig},
    engine::{DeliverRequest, Delivered},
    job::{Document, Source},
    permissions::User,
    subject,
};
use serde_json::Value;
use stand::{Site, environment::SERVICES};

/// Pings of the run.
const PINGS: usize = 200;
/// Pings under way at a time.
const AT_ONCE: usize = 16;
/// How often each Task is delivered again afterwards.
const AGAIN: usize = 3;

/// Ends one replica of every service at every site, one after the other, spread over the run.
async fn kill_one_by_one(stand: &mut TestStand, completed: &AtomicUsize) -> Result<()> {
    let victims = stand.sites.len() * SERVICES.len();
    let mut victim = 0;
    for site in &mut stand.sites {
        for service in SERVICES {
            let due = victim * PINGS / victims;
            wait_for("the run to get on", || async {
                Ok((completed.load(Ordering::Relaxed) >= due).then_some(()))
            })
            .await?;
            let replica = victim % 2;
            site.kill(service, replica).await?;
            site.restart(service, replica).await?;
            victim += 1;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_redeliveries_and_deaths_change_no_result() -> Result<()> {
    // Catch-up all the time: every Task is delivered again while it waits.
    let sweep = ("DSF_ROUTER_SWEEP".to_owned(), "200ms".to_owned());
    let mut stand = stand_with(2, 2, true, vec![sweep]).await?;
    let peer = Peer::new(&stand, &stand.sites[0])?;
    let start = start_ping(&stand.sites[0]);
    let completed = AtomicUsize::new(0);
    let run = async {
        stream::iter(0..PINGS)
            .map(|_| async {
                let path = peer.create(&start).await?;
                let task = wait_for("a ping to end", || async {
                    let task = peer.get(&path).await?;
                    Ok(task.filter(|task| task["status"] == "completed" || task["status"] == "failed"))
                })
                .await?;
                completed.fetch_add(1, Ordering::Relaxed);
                Ok::<_, anyhow::Error>(task)
            })
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<Value>>()
            .await
    };
    let (tasks, ()) = tokio::try_join!(run, kill_one_by_one(&mut stand, &completed))?;
    for task in &tasks {
        assert_eq!(ping_status(task), Some("pong-received"), "{task:#}");
    }

    // Each ping is one instance and one message to the other site, each answer one message back.
    let (first, second) = (&stand.sites[0], &stand.sites[1]);
    let (sent, received) = (settled(&stand, first).await?, settled(&stand, second).await?);
    for (site, tasks, expected) in [(first, &sent, 2 * PINGS), (second, &received, PINGS)] {
        assert_eq!(tasks.len(), expected, "{}: a message was lost or sent twice", site.name);
        assert!(tasks.iter().all(|task| task["status"] == "completed"), "{}: a Task failed", site.name);
        let rows = engine_rows(&stand, site).await?;
        assert_eq!(rows.instances, i64::try_from(PINGS)?, "{}: {rows:?}", site.name);
    }
    let pongs = received.iter().filter(|task| {
        coded(&task["output"], "pong-status")
            .iter()
            .any(|output| output["valueCoding"]["code"] == "pong-send")
    });
    assert_eq!(pongs.count(), PINGS, "every pong was sent, once");

    let before = (engine_rows(&stand, first).await?, engine_rows(&stand, second).await?);
    for (site, tasks) in [(first, &sent), (second, &received)] {
        deliver_again(&stand, site, tasks).await?;
    }
    let after = (engine_rows(&stand, first).await?, engine_rows(&stand, second).await?);
    assert_eq!(before, after, "deliveries that come again change nothing");
    Ok(())
}

/// Delivers Tasks to the engine as the router did, several times at once.
async fn deliver_again(stand: &TestStand, site: &Site, tasks: &[Value]) -> Result<()> {
    let (user, password) = stand.nats.credentials(&site.name, User::Router);
    let config =
        NatsConfig { urls: vec![stand.nats.url()], user: Some(user), password: Some(password), ca: None };
    let router = Nats::try_connect(&config, "test").await.map_err(anyhow::Error::msg)?;
    for task in tasks.iter().take(AT_ONCE) {
        let input =
            |code| coded(&task["input"], code).first().and_then(|input| input["valueString"].as_str());
        let process = task["instantiatesCanonical"].as_str().context("process")?;
        let name = if process.contains("/ping|") { "ping" } else { "pong" };
        let request = DeliverRequest {
            source: Source {
                base_url: site.base_url.clone(),
                reference: format!("Task/{}", task["id"].as_str().context("id")?),
            },
            process_key: format!("dsfdev_{name}"),
            process_version: "1.0".to_owned(),
            message_name: input("message-name").context("message name")?.to_owned(),
            business_key: input("business-key").map(str::to_owned),
            correlation_key: input("correlation-key").map(str::to_owned),
            requester: site.organization.clone(),
            document: Document { media_type: "application/fhir+json".to_owned(), text: task.to_string() },
        };
        let deliveries = (0..AGAIN).map(|_| {
            router.ask::<_, Delivered>(subject::DELIVER, &request, std::time::Duration::from_secs(20))
        });
        for delivered in join_all(deliveries).await {
            assert_eq!(delivered?, Delivered::Duplicate, "{task:#}");
        }
    }
    Ok(())
}
