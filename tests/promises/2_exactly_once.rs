//! Promise 2: every accepted Task takes effect exactly once, however many replicas there are, however
//! often it is delivered, and whichever replica dies meanwhile.
use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

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

/// Pings of the run at least; it goes on until the last replica was killed.
const PINGS: usize = 200;
/// Pings under way at a time.
const AT_ONCE: usize = 16;
/// How long work that died with a replica waits for another one.
const LEASE: &str = "4s";
/// How often each Task is delivered again afterwards.
const AGAIN: usize = 3;

/// The pings under way, by number.
#[derive(Default)]
struct UnderWay(Mutex<BTreeSet<usize>>);

impl UnderWay {
    fn with<T>(&self, change: impl FnOnce(&mut BTreeSet<usize>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Ends one replica of every service at every site, one after the other. No ping sees two of them die: the
/// model gives an answer 20 s, and each death may cost a lease or the wait for an acknowledgement.
async fn kill_one_by_one(stand: &mut TestStand, under_way: &UnderWay) -> Result<()> {
    let mut victim = 0;
    for site in &mut stand.sites {
        for service in SERVICES {
            wait_for("pings to be under way", || async {
                Ok((under_way.with(|numbers| numbers.len()) >= AT_ONCE / 2).then_some(()))
            })
            .await?;
            let replica = victim % 2;
            site.kill(service, replica).await?;
            let seen = under_way.with(|numbers| numbers.clone());
            site.restart(service, replica).await?;
            wait_for("the pings that saw it to end", || async {
                Ok(under_way.with(|numbers| numbers.is_disjoint(&seen)).then_some(()))
            })
            .await?;
            victim += 1;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_redeliveries_and_deaths_change_no_result() -> Result<()> {
    // Catch-up all the time: every Task is delivered again while it waits.
    let sweep = ("DSF_ROUTER_SWEEP".to_owned(), "200ms".to_owned());
    let leases = ["DSF_ROUTER_LEASE", "DSF_WORKER_LEASE"].map(|name| (name.to_owned(), LEASE.to_owned()));
    let mut stand = stand_with(2, 2, true, leases.into_iter().chain([sweep]).collect()).await?;
    let peer = Peer::new(&stand, &stand.sites[0])?;
    let start = start_ping(&stand.sites[0]);
    let (under_way, killed) = (UnderWay::default(), AtomicBool::new(false));
    let (under_way, killed, peer, start) = (&under_way, &killed, &peer, &start);
    let run = async {
        stream::iter(0..)
            .take_while(|number| std::future::ready(*number < PINGS || !killed.load(Ordering::Relaxed)))
            .map(|number| async move {
                under_way.with(|numbers| numbers.insert(number));
                let path = peer.create(start).await?;
                let task = wait_for("a ping to end", || async {
                    let task = peer.get(&path).await?;
                    Ok(task.filter(|task| task["status"] == "completed" || task["status"] == "failed"))
                })
                .await?;
                under_way.with(|numbers| numbers.remove(&number));
                Ok::<_, anyhow::Error>(task)
            })
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<Value>>()
            .await
    };
    let kills = async {
        let result = kill_one_by_one(&mut stand, under_way).await;
        killed.store(true, Ordering::Relaxed);
        result
    };
    let (tasks, ()) = tokio::try_join!(run, kills)?;
    let pings = tasks.len();
    for task in &tasks {
        assert_eq!(ping_status(task), Some("pong-received"), "{task:#}");
    }

    // Each ping is one instance and one message to the other site, each answer one message back.
    let (first, second) = (&stand.sites[0], &stand.sites[1]);
    let (sent, received) = (settled(&stand, first).await?, settled(&stand, second).await?);
    for (site, tasks, expected) in [(first, &sent, 2 * pings), (second, &received, pings)] {
        assert_eq!(tasks.len(), expected, "{}: a message was lost or sent twice", site.name);
        assert!(tasks.iter().all(|task| task["status"] == "completed"), "{}: a Task failed", site.name);
        let rows = engine_rows(&stand, site).await?;
        assert_eq!(rows.instances, i64::try_from(pings)?, "{}: {rows:?}", site.name);
    }
    let pongs = received.iter().filter(|task| {
        coded(&task["output"], "pong-status")
            .iter()
            .any(|output| output["valueCoding"]["code"] == "pong-send")
    });
    assert_eq!(pongs.count(), pings, "every pong was sent, once");

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
