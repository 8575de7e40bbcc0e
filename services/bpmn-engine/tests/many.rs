//! Many instances wait for many partners each, all answer at once, and two replicas share the work: none
//! fails, none waits for ever. `DSF_MANY=1000` is the full size.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]

mod harness;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use harness::*;
use messaging::{engine::Delivered, job::*};
use tokio::sync::{Mutex as AsyncMutex, mpsc};

/// Instances where the environment says nothing.
const INSTANCES: usize = 100;
/// Partners of each.
const TARGETS: usize = 20;
/// Loops that claim and answer jobs.
const WORKERS: usize = 3;
/// Answers of partners under way at a time.
const ANSWERS: usize = 32;
/// How long an answer is waited for: on a slow machine that is asked for all of this at once, and whoever
/// asks again learns that it was done already.
const ANSWER: Duration = Duration::from_secs(120);
/// So long nothing may happen at all before the test fails.
const STANDSTILL: Duration = Duration::from_secs(60);

/// What happens, and that it does.
#[derive(Default)]
struct Seen {
    /// Final status of each Task.
    written: Mutex<BTreeMap<String, String>>,
    steps: AtomicUsize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_come_all_at_once() {
    tokio::task::LocalSet::new().run_until(all_at_once()).await;
}

async fn all_at_once() {
    let instances = std::env::var("DSF_MANY").map_or(INSTANCES, |size| size.parse().expect("a number"));
    let servers = Servers::start(&["many"]).await;
    let mut site = Site::start(&servers, "many", 2, |_| {}).await;
    site.request = ANSWER;
    let site = Arc::new(site);
    let seen = Arc::new(Seen::default());
    let started = Instant::now();
    let (sent, answers) = mpsc::unbounded_channel();
    let answers = Arc::new(AsyncMutex::new(answers));
    let mut tasks = Vec::new();
    for _ in 0..WORKERS {
        tasks.push(tokio::task::spawn_local(work(Arc::clone(&site), Arc::clone(&seen), sent.clone())));
    }
    for _ in 0..ANSWERS {
        tasks.push(tokio::task::spawn_local(answer(
            Arc::clone(&site),
            Arc::clone(&seen),
            Arc::clone(&answers),
        )));
    }
    for first in (0..instances).step_by(ANSWERS) {
        let some = (first..instances.min(first + ANSWERS)).map(|n| {
            let start = task(&format!("start-{n}"), "ask", "startAsk", Some(&format!("key-{n}")));
            let site = Arc::clone(&site);
            async move { assert_eq!(site.deliver(&start).await, Delivered::Accepted) }
        });
        join_all(some).await;
    }

    let expected = instances * (1 + TARGETS);
    let (mut last, mut since) = (0, Instant::now());
    loop {
        let steps = seen.steps.load(Ordering::Relaxed);
        if steps != last {
            (last, since) = (steps, Instant::now());
        }
        let done = seen.written.lock().unwrap().values().filter(|status| *status == "completed").count();
        if done == expected {
            break;
        }
        let status = site.status().await;
        assert!(
            since.elapsed() < STANDSTILL,
            "{done} of {expected} Tasks completed and nothing moves: {status:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!(
        "{instances} instances of {TARGETS} partners: {:?}, {} steps of workers, router and partners",
        started.elapsed(),
        seen.steps.load(Ordering::Relaxed)
    );
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    {
        let written = seen.written.lock().unwrap();
        let failed: Vec<_> = written.iter().filter(|(_, status)| *status == "failed").collect();
        assert!(failed.is_empty(), "{failed:?}");
    }
    let status = site.status().await;
    assert_eq!((status.active_instances, status.incidents, status.held_messages), (0, 0, 0), "{status:?}");
    drop(site);
    servers.stop().await;
}

/// Worker and router: whatever is ready is answered; what is sent goes to the partners.
async fn work(site: Arc<Site>, seen: Arc<Seen>, sent: mpsc::UnboundedSender<(String, String)>) {
    let types = ["test.Choose", "test.Ask", "test.Save", SEND, WRITE_BACK];
    let partners: Vec<String> = (0..TARGETS).map(|n| format!("p{n}.test")).collect();
    let partners: Vec<&str> = partners.iter().map(String::as_str).collect();
    loop {
        let jobs = site.claim(&types, 64, 60_000).await;
        if jobs.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let answers = jobs.iter().map(|job| {
            let outcome = match job.kind.as_str() {
                "test.Choose" => Outcome::Done(chosen(&partners)),
                "test.Ask" => send(job),
                WRITE_BACK => {
                    let order = job.write_back.as_ref().unwrap();
                    Outcome::Written { status: order.status.clone(), version: 2 }
                }
                _ => Outcome::Done(Done::default()),
            };
            let (site, seen, sent) = (&site, &seen, &sent);
            async move {
                assert_eq!(site.answer(job, outcome).await, Acknowledgement::Accepted, "{}", job.kind);
                seen.steps.fetch_add(1, Ordering::Relaxed);
                if let Some(order) = &job.write_back {
                    let written = (order.source.reference.clone(), order.status.clone());
                    seen.written.lock().unwrap().extend([written]);
                }
                if let Some(order) = &job.send {
                    let key = order.request.target.correlation_key.clone().unwrap();
                    let _ = sent.send((order.business_key.clone(), key));
                }
            }
        });
        join_all(answers).await;
    }
}

/// One partner at a time answers what was sent to it.
async fn answer(
    site: Arc<Site>,
    seen: Arc<Seen>,
    sent: Arc<AsyncMutex<mpsc::UnboundedReceiver<(String, String)>>>,
) {
    loop {
        let next = sent.lock().await.recv().await;
        let Some((business_key, correlation_key)) = next else { return };
        let id = format!("answer-{business_key}-{correlation_key}");
        let mut message = task(&id, "ask", "answer", Some(&business_key));
        message.requester.clone_from(&correlation_key);
        message.correlation_key = Some(correlation_key);
        assert_eq!(site.deliver(&message).await, Delivered::Accepted);
        seen.steps.fetch_add(1, Ordering::Relaxed);
    }
}
