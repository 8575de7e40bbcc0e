//! The engine's process is killed (SIGKILL) at every boundary between an effect and what follows it, once
//! per row of [`BOUNDARIES`], and started again. Nothing may be lost or doubled, and timers fire.
//!
//! Each row is a test of its own, with a site, a database and an engine process of its own; this program
//! has its own `main` because all rows share the PostgreSQL and NATS servers, which have to end with it.
//! Arguments are parts of names, as with other test programs.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]

#[allow(unused_imports, reason = "each test program uses its part")]
mod harness;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    os::unix::process::ExitStatusExt,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use harness::*;
use messaging::{
    engine::{CompleteTaskRequest, Delivered},
    job::*,
    operate::*,
};
use tokio::{process::Command, sync::Semaphore};

/// Where the engine dies: the setting `die_at`. `<what>/<place>/<n>` is the n-th time.
const BOUNDARIES: [&str; 48] = [
    "deploy/before-commit",
    "deploy/after-commit",
    "deliver/before-commit",
    "deliver/after-commit",
    "deliver/after-answer",
    "deliver/after-commit/3",
    "deliver/after-answer/8",
    "claim/before-commit",
    "claim/after-commit",
    "claim/after-commit/4",
    "job-done/before-commit",
    "job-done/after-commit",
    "job-done/after-answer",
    "job-done/before-commit/4",
    "job-done/after-commit/5",
    "job-done/after-answer/6",
    "job-send/before-commit",
    "job-send/after-commit",
    "job-send/after-answer",
    "job-fault/before-commit",
    "job-fault/after-commit",
    "job-fault/after-answer/2",
    "form-created/before-commit",
    "form-created/after-commit",
    "form-created/after-answer",
    "claim-write-back/before-commit",
    "claim-write-back/after-commit",
    "written/before-commit",
    "written/after-commit",
    "written/after-answer/5",
    "timer/before-commit",
    "timer/after-commit",
    "start-timer/before-commit",
    "start-timer/after-commit",
    "own-work/before-commit",
    "own-work/after-commit",
    "own-work/after-commit/2",
    "own-work/before-commit/3",
    "operation/before-commit",
    "operation/after-commit",
    "user-task/before-commit",
    "user-task/after-commit",
    "user-task/after-answer",
    "lease-over/after-commit",
    "admit/before-commit",
    "admit/after-commit",
    "expire/before-commit",
    "expire/after-commit",
];
/// Rows at a time: each waits most of the time.
const AT_ONCE: usize = 6;
/// Short, because a lost answer is part of the play: the request is made again.
const REQUEST: Duration = Duration::from_secs(1);
/// Short, because a lost claim is waited for.
const LEASE_MILLIS: u64 = 1000;
/// Everything a worker or the router does.
const TYPES: [&str; 11] = [
    "test.Choose",
    "test.Ask",
    "test.Save",
    "test.Greet",
    "test.After",
    "test.Work",
    "test.Decided",
    SEND,
    FORM,
    WRITE_BACK,
    "test.Otherwise",
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let chosen: Vec<&'static str> = BOUNDARIES
        .into_iter()
        .filter(|name| wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())))
        .collect();
    if arguments.iter().any(|argument| argument == "--list") {
        chosen.iter().for_each(|name| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let failed = runtime.block_on(tokio::task::LocalSet::new().run_until(rows(&chosen)));
    println!(
        "\ntest result: {}. {} rows, {failed} failed",
        if failed == 0 { "ok" } else { "FAILED" },
        chosen.len()
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn rows(chosen: &[&'static str]) -> usize {
    if chosen.is_empty() {
        return 0;
    }
    let sites: Vec<&'static str> =
        (0..chosen.len()).map(|row| &*Box::leak(format!("row{row}").into_boxed_str())).collect();
    let servers = Servers::start(&sites).await;
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let running: Vec<_> = chosen
        .iter()
        .zip(sites)
        .map(|(boundary, site)| {
            let (boundary, servers, room) = (*boundary, Arc::clone(&servers), Arc::clone(&room));
            let row = async move {
                let _place = room.acquire().await.unwrap();
                killed_at(boundary, site, &servers).await;
            };
            (boundary, tokio::task::spawn_local(row))
        })
        .collect();
    let mut failed = 0;
    for (boundary, row) in running {
        let ok = row.await.is_ok();
        println!("test {boundary} ... {}", if ok { "ok" } else { "FAILED" });
        failed += usize::from(!ok);
    }
    servers.stop().await;
    failed
}

/// What the stand-ins of worker and router have seen.
#[derive(Default)]
struct Seen {
    /// Business key to the send ids of its message.
    sent: RefCell<BTreeMap<String, BTreeSet<String>>>,
    /// Reference of a resource to the status written last.
    written: RefCell<BTreeMap<String, String>>,
    /// The user task a form asks for.
    form: RefCell<Option<String>>,
    /// The job that was never answered.
    ignored: RefCell<Option<String>>,
    /// The incident was handled.
    repaired: RefCell<bool>,
}

async fn killed_at(boundary: &'static str, name: &'static str, servers: &Servers) {
    let mut site = Site::prepare(servers, name, |_| {}).await;
    site.request = REQUEST;
    let seen = Seen::default();
    let mut engine = Engine::start(&site, Some(boundary));
    let deaths = RefCell::new(0);
    tokio::select! {
        () = engine.keep_alive(&site, &deaths) => {}
        () = stand_ins(&site, &seen) => {}
        () = play(&site, &seen, boundary) => {}
    }
    assert_eq!(*deaths.borrow(), 1, "{boundary}: the engine died once, at this point");
    engine.child.kill().await.unwrap();
}

/// An engine as a process of its own.
struct Engine {
    child: tokio::process::Child,
}

impl Engine {
    fn start(site: &Site, die_at: Option<&str>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bpmn-engine"));
        command.envs(site.environment().iter().map(|(name, value)| (name.as_str(), value.as_str())));
        // One start at a time per requester, so that a second one queues; early messages end soon.
        command.env("DSF_ENGINE_ADMISSION_LIMIT", "1").env("DSF_ENGINE_HOLD", "PT1S");
        command.env("DSF_ENGINE_SWEEP", "200ms").env("RUST_LOG", "error");
        if let Some(point) = die_at {
            command.env("DSF_ENGINE_DIE_AT", point);
        }
        command.stdin(std::process::Stdio::null()).kill_on_drop(true);
        Self { child: command.spawn().expect("the engine starts") }
    }

    /// Starts it again when it was killed; ends the row when it ended otherwise.
    async fn keep_alive(&mut self, site: &Site, deaths: &RefCell<u32>) {
        loop {
            let status = self.child.wait().await.unwrap();
            assert_eq!(status.signal(), Some(9), "{}: the engine ended by itself: {status}", site.name);
            *deaths.borrow_mut() += 1;
            *self = Self::start(site, None);
        }
    }
}

/// Worker and router: claims whatever is ready and answers it, for ever.
async fn stand_ins(site: &Site, seen: &Seen) {
    loop {
        let jobs = site.claim(&TYPES, 8, LEASE_MILLIS).await;
        if jobs.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for job in jobs {
            if let Some(outcome) = outcome(&job, seen) {
                // `Stale`: answered before, or the lease ran out and the job comes again.
                site.answer(&job, outcome).await;
            }
        }
    }
}

fn outcome(job: &Job, seen: &Seen) -> Option<Outcome> {
    Some(match job.kind.as_str() {
        "test.Choose" => Outcome::Done(chosen(&["b.test"])),
        "test.Ask" => send(job),
        SEND => {
            let order = job.send.as_ref().unwrap();
            let mut sent = seen.sent.borrow_mut();
            sent.entry(order.business_key.clone()).or_default().insert(order.send_id.clone());
            Outcome::Done(Done::default())
        }
        FORM => {
            let order = job.form.as_ref().unwrap();
            *seen.form.borrow_mut() = Some(order.user_task.clone());
            let reference = format!("QuestionnaireResponse/{}", order.user_task);
            Outcome::Created { source: Source { reference, ..source("") } }
        }
        WRITE_BACK => {
            let order = job.write_back.as_ref().unwrap();
            let mut written = seen.written.borrow_mut();
            let before = written.insert(order.source.reference.clone(), order.status.clone());
            let ended = |status: &str| ["completed", "failed", "amended"].contains(&status);
            assert!(
                before.as_deref().is_none_or(|before| !ended(before) || before == order.status),
                "{}: {before:?} became {}",
                order.source.reference,
                order.status
            );
            Outcome::Written { status: order.status.clone(), version: 2 }
        }
        // Breaks until an operator has repaired it.
        "test.Work" if !*seen.repaired.borrow() => {
            Outcome::Fault { reason: "broken".into(), unavailable: false }
        }
        // The first worker that gets it is never heard of again.
        "test.Greet" => {
            let mut ignored = seen.ignored.borrow_mut();
            if *ignored.get_or_insert_with(|| job.lease.clone()) == job.lease {
                return None;
            }
            Outcome::Done(Done::default())
        }
        _ => Outcome::Done(Done::default()),
    })
}

/// The script of every row, and what must hold at its end.
async fn play(site: &Site, seen: &Seen, boundary: &str) {
    site.deploy().await;
    let timer = "<timerEventDefinition><timeDuration>PT0.5S</timeDuration></timerEventDefinition>";
    site.deploy_model(&brief("once", "P30D", timer)).await;
    let start = async |id: &str, process: &str, requester: &str| {
        let message = format!("start{}{}", process[..1].to_uppercase(), &process[1..]);
        let mut request = task(id, process, &message, Some(&format!("key-{id}")));
        request.requester = requester.to_owned();
        site.deliver(&request).await;
        assert_eq!(site.deliver(&request).await, Delivered::Duplicate, "{boundary}: {id} counts once");
    };
    start("ask", "ask", "busy.test").await;
    start("listen", "listen", "listen.test").await;
    start("throw", "throw", "throw.test").await;
    start("call", "call", "call.test").await;
    start("form", "form", "form.test").await;
    start("plain", "plain", "plain.test").await;
    // A second one of the same requester waits for the first to be answered.
    start("ask2", "ask", "busy.test").await;
    // Nobody will ever wait for this one.
    let mut early = task("early", "ask", "answer", Some("nobody"));
    early.correlation_key = Some("ck-b.test".to_owned());
    site.deliver(&early).await;

    for id in ["ask", "ask2"] {
        let key = format!("key-{id}");
        until(site.name, &format!("{boundary}: the message of {id} is sent"), async || {
            seen.sent.borrow().contains_key(&key).then_some(())
        })
        .await;
        let mut answer = task(&format!("answer-{id}"), "ask", "answer", Some(&key));
        answer.correlation_key = Some("ck-b.test".to_owned());
        answer.requester = "b.test".to_owned();
        site.deliver(&answer).await;
    }
    let incident = until(site.name, &format!("{boundary}: an incident"), async || {
        let query = IncidentQuery::default();
        site.ask::<_, Vec<IncidentView>>(messaging::subject::INCIDENTS, &query).await.ok()?.pop()
    })
    .await;
    *seen.repaired.borrow_mut() = true;
    until(site.name, &format!("{boundary}: the incident is retried"), async || {
        use messaging::connect::RequestError;
        match site.operate(Action::RetryIncident { incident: incident.id.clone() }).await {
            // Refused: the answer to the first request was lost.
            Ok(()) | Err(RequestError::Invalid(_)) => Some(()),
            Err(_) => None,
        }
    })
    .await;
    let user_task =
        until(site.name, &format!("{boundary}: a form"), async || seen.form.borrow().clone()).await;
    let reference = format!("QuestionnaireResponse/{user_task}");
    let completion = CompleteTaskRequest {
        source: Source { reference: reference.clone(), ..source("") },
        user_task,
        business_key: Some("key-form".into()),
        document: Document { media_type: "application/fhir+json".into(), text: "{}".into() },
    };
    site.complete_task(&completion).await;
    assert_eq!(site.complete_task(&completion).await, Delivered::Duplicate, "{boundary}: once");

    // Everything comes to its end, and is written where it has to be.
    let completed = ["ask", "listen", "throw", "call", "form", "plain", "ask2", "answer-ask", "answer-ask2"];
    let mut wanted: BTreeMap<String, &str> =
        completed.iter().map(|id| (format!("Task/{id}"), "completed")).collect();
    wanted.insert(reference, "amended");
    wanted.insert("Task/early".to_owned(), "failed");
    until(site.name, &format!("{boundary}: every status written"), async || {
        let written = seen.written.borrow();
        wanted.iter().all(|(id, status)| written.get(id).is_some_and(|now| now == status)).then_some(())
    })
    .await;
    let instances = until(site.name, &format!("{boundary}: every instance completed"), async || {
        let all = site.instances(None).await;
        let over = all.iter().all(|instance| instance.status == "completed");
        // The seven that were started, the one that was called, and the one that started by itself.
        (over && all.len() >= 9).then_some(all)
    })
    .await;
    assert_eq!(instances.len(), 9, "{boundary}: no instance twice: {instances:?}");
    for instance in &instances {
        let mut ends: BTreeMap<&str, u32> = BTreeMap::new();
        for entry in instance.history.iter().filter(|entry| entry.what == "end") {
            *ends.entry(entry.activity.as_str()).or_default() += 1;
        }
        assert!(ends.values().all(|count| *count == 1), "{boundary}: each step once: {ends:?}");
    }
    let sent = seen.sent.borrow().clone();
    assert_eq!(sent.len(), 2);
    assert!(sent.values().all(|ids| ids.len() == 1), "{boundary}: one send id per message: {sent:?}");
    until(site.name, &format!("{boundary}: nothing is left"), async || {
        let left = site.status().await;
        let jobs = left.ready_jobs + left.leased_jobs + left.held_messages + left.queued_starts;
        assert_eq!(left.incidents, 0, "{boundary}");
        (jobs == 0).then_some(())
    })
    .await;
}
