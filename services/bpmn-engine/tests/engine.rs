//! The engine on real PostgreSQL and NATS, driven by a scripted router and worker over NATS alone.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]

#[path = "engine/crashes.rs"]
mod crashes;
mod harness;
#[path = "engine/operate.rs"]
mod operate;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use harness::*;
use messaging::{
    engine::{CompleteTaskRequest, Delivered},
    job::*,
    operate::*,
    subject,
};
use serde_json::json;

/// Scenarios run at the same time, each at a site of its own; outages come last, alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn engine() {
    tokio::task::LocalSet::new().run_until(scenarios()).await;
}

async fn scenarios() {
    if std::env::var("RUST_LOG").is_ok() {
        let _ = telemetry::init("test");
    }
    let servers = Servers::start(&[
        "ping",
        "twice",
        "early",
        "leases",
        "ends",
        "admission",
        "replicas",
        "events",
        "ticks",
        "calls",
        "operators",
        "paused",
        "forms",
        "ours",
        "reference",
        "crashes",
        "example",
        "outage",
    ])
    .await;
    let running: Vec<(&str, tokio::task::JoinHandle<()>)> = vec![
        ("ping", tokio::task::spawn_local(a_message_runs_a_process_to_its_end(Arc::clone(&servers)))),
        ("twice", tokio::task::spawn_local(a_task_takes_effect_once(Arc::clone(&servers)))),
        ("early", tokio::task::spawn_local(an_early_message_is_held(Arc::clone(&servers)))),
        ("leases", tokio::task::spawn_local(a_lease_that_ends_goes_to_another_worker(Arc::clone(&servers)))),
        ("ends", tokio::task::spawn_local(rejects_errors_and_faults(Arc::clone(&servers)))),
        ("admission", tokio::task::spawn_local(starts_wait_for_answers(Arc::clone(&servers)))),
        ("replicas", tokio::task::spawn_local(replicas_share_the_work(Arc::clone(&servers)))),
        ("events", tokio::task::spawn_local(timers_and_signals(Arc::clone(&servers)))),
        ("ticks", tokio::task::spawn_local(definitions_start_by_themselves(Arc::clone(&servers)))),
        ("calls", tokio::task::spawn_local(calls_are_instances_of_their_own(Arc::clone(&servers)))),
        ("operators", tokio::task::spawn_local(operate::operators_help_failed_steps(Arc::clone(&servers)))),
        ("paused", tokio::task::spawn_local(operate::what_is_paused_waits(Arc::clone(&servers)))),
        (
            "crashes",
            tokio::task::spawn_local(crashes::a_crash_at_any_boundary_loses_nothing(Arc::clone(&servers))),
        ),
        ("example", tokio::task::spawn_local(the_example_worker_works(Arc::clone(&servers)))),
        ("forms", tokio::task::spawn_local(people_answer_forms(Arc::clone(&servers)))),
        ("ours", tokio::task::spawn_local(both_deviations_are_settings(Arc::clone(&servers), true))),
        ("reference", tokio::task::spawn_local(both_deviations_are_settings(Arc::clone(&servers), false))),
    ];
    let mut failed = Vec::new();
    for (name, scenario) in running {
        if scenario.await.is_err() {
            failed.push(name);
        }
    }
    if failed.is_empty()
        && tokio::task::spawn_local(outages_lose_nothing(Arc::clone(&servers))).await.is_err()
    {
        failed.push("outage");
    }
    servers.stop().await;
    assert!(failed.is_empty(), "scenarios failed (see above): {failed:?}");
}

fn output(value: &str) -> serde_json::Value {
    json!({"type": {"coding": [{"system": "http://test.example/cs", "code": "status"}]}, "valueString": value})
}

async fn a_message_runs_a_process_to_its_end(servers: Arc<Servers>) {
    let site = Site::start(&servers, "ping", 1, |_| {}).await;
    assert_eq!(site.deliver(&task("s1", "ask", "startAsk", None)).await, Delivered::Accepted);

    let order = site.written("Task/s1", "in-progress").await;
    let key = order.business_key.expect("the engine adds a business key where the Task has none");
    let choose = site.job("test.Choose").await;
    assert_eq!(choose.business_key, key);
    assert_eq!(choose.start_message.as_ref().unwrap().source, source("s1"));
    site.done(&choose, chosen(&["b.test", "c.test"])).await;

    let mut send_ids = BTreeSet::new();
    for _ in 0..2 {
        let ask = site.job("test.Ask").await;
        assert_eq!(ask.fields["messageName"], "startPlain");
        assert_eq!(site.answer(&ask, send(&ask)).await, Acknowledgement::Accepted);
        let first = site.job(SEND).await;
        let order = first.send.clone().unwrap();
        assert_eq!(order.business_key, key);
        let fault = Outcome::Fault { reason: "connection refused".into(), unavailable: false };
        site.answer(&first, fault).await;
        let second = site.job(SEND).await;
        let again = second.send.clone().unwrap();
        assert_eq!((second.attempt, &again.send_id), (2, &order.send_id), "one send id over all attempts");
        assert_eq!(again.authored_on, order.authored_on);
        site.done(&second, Done::default()).await;
        send_ids.insert(order.send_id);
    }
    assert_eq!(send_ids.len(), 2, "each message has a send id of its own");

    for name in ["c.test", "b.test"] {
        let mut answer = task(&format!("answer-{name}"), "ask", "answer", Some(&key));
        answer.correlation_key = Some(format!("ck-{name}"));
        assert_eq!(site.deliver(&answer).await, Delivered::Accepted);
    }
    site.written("Task/answer-b.test", "completed").await;
    let save = site.job("test.Save").await;
    let results = ["pong-received", "pong-received"];
    let outputs = results.map(|result| MessageOutput { message: source("s1"), output: output(result) });
    site.done(&save, Done { outputs: outputs.into(), ..Done::default() }).await;
    let order = site.written("Task/s1", "completed").await;
    assert_eq!(order.outputs, [output("pong-received"), output("pong-received")]);
    let instance = site.instance_is(&key, "completed").await;
    assert!(instance.history.iter().any(|entry| entry.activity == "Save" && entry.what == "end"));
    let status = site.status().await;
    assert_eq!((status.active_instances, status.leased_jobs, status.incidents), (0, 0, 0));

    // A send that fails for good goes back to its handler, which decides.
    site.deliver(&task("s2", "ask", "startAsk", Some("k2"))).await;
    let choose = site.job("test.Choose").await;
    site.done(&choose, chosen(&["b.test"])).await;
    let ask = site.job("test.Ask").await;
    site.answer(&ask, send(&ask)).await;
    let job = site.job(SEND).await;
    let failure = SendFailure { status: Some(403), message: "403 Forbidden".into() };
    site.answer(&job, Outcome::SendFailed(failure.clone())).await;
    let ask = site.job("test.Ask").await;
    assert_eq!(ask.send_failure, Some(failure));
    site.answer(&ask, send(&ask)).await;
    let order = site.written("Task/s2", "failed").await;
    assert_eq!(order.outputs[0]["valueString"], "Task send failed: 403 Forbidden");
    site.instance_is("k2", "failed").await;
}

async fn a_task_takes_effect_once(servers: Arc<Servers>) {
    let site = Site::start(&servers, "twice", 2, |_| {}).await;
    let start = task("t", "plain", "startPlain", Some("k"));
    let answers = futures_util::future::join_all((0..20).map(|_| site.deliver(&start))).await;
    let accepted = answers.iter().filter(|answer| **answer == Delivered::Accepted).count();
    assert_eq!(accepted, 1, "one of twenty deliveries of a Task takes effect");
    assert_eq!(site.deliver(&start).await, Delivered::Duplicate);
    // Two Tasks, one key: one instance. The second finds nobody who waits for it and fails.
    let racing: Vec<_> =
        (0..8).map(|n| task(&format!("race-{n}"), "plain", "startPlain", Some("race"))).collect();
    futures_util::future::join_all(racing.iter().map(|start| site.deliver(start))).await;
    assert_eq!(site.instances(Some("race")).await.len(), 1, "two starts with one key are one instance");
    assert_eq!(site.instances(None).await.len(), 2);
}

async fn an_early_message_is_held(servers: Arc<Servers>) {
    let site = Site::start(&servers, "early", 2, |config| config.hold = config::Duration::secs(15)).await;
    let mut answer = task("a", "ask", "answer", Some("k"));
    answer.correlation_key = Some("ck-b.test".into());
    site.deliver(&answer).await;
    assert_eq!(site.status().await.held_messages, 1, "held before its instance exists");
    site.deliver(&task("s", "ask", "startAsk", Some("k"))).await;
    let choose = site.job("test.Choose").await;
    site.done(&choose, chosen(&["b.test"])).await;
    let ask = site.job("test.Ask").await;
    site.answer(&ask, send(&ask)).await;
    let job = site.job(SEND).await;
    site.done(&job, Done::default()).await;
    let save = site.job("test.Save").await;
    assert_eq!(save.business_key, "k", "the held answer was given to the branch that came to wait");
    site.done(&save, Done::default()).await;
    site.instance_is("k", "completed").await;
    site.written("Task/a", "completed").await;

    let mut wrong = task("w", "ask", "answer", Some("nobody"));
    wrong.correlation_key = Some("x".into());
    let mut no_process = task("p", "nothing", "x", Some("p"));
    no_process.process_version = "9.9".into();
    site.deliver(&wrong).await;
    site.deliver(&no_process).await;
    let refused = site.written("Task/p", "failed").await;
    assert_eq!(refused.outputs[0]["valueString"], "Process not found");
    let refused = site.written("Task/w", "failed").await;
    assert_eq!(
        refused.outputs[0]["valueString"], "Process with start message-name 'answer' not found",
        "its time is over"
    );
    assert_eq!(refused.outputs[0]["type"]["coding"][0]["code"], "error");
}

async fn a_lease_that_ends_goes_to_another_worker(servers: Arc<Servers>) {
    let site = Site::start(&servers, "leases", 2, |_| {}).await;
    site.deliver(&task("t", "plain", "startPlain", Some("k"))).await;
    let first = site.job_with_lease("test.Work", 300).await;
    let second = site.job("test.Work").await;
    assert_eq!((&second.id, second.attempt), (&first.id, 2));
    assert_ne!(second.lease, first.lease);
    let late = site.answer(&first, Outcome::Done(Done::default())).await;
    assert_eq!(late, Acknowledgement::Stale, "the first lease is over");
    assert_eq!(site.heartbeat(&first).await, Acknowledgement::Stale);
    assert_eq!(site.heartbeat(&second).await, Acknowledgement::Accepted);
    site.done(&second, Done::default()).await;
    let again = site.answer(&second, Outcome::Done(Done::default())).await;
    assert_eq!(again, Acknowledgement::Stale, "a result counts once");
    site.instance_is("k", "completed").await;
}

async fn rejects_errors_and_faults(servers: Arc<Servers>) {
    let site = Site::start(&servers, "ends", 1, |_| {}).await;
    site.deliver(&task("r", "plain", "startPlain", Some("reject"))).await;
    let job = site.job("test.Work").await;
    let noted = MessageOutput { message: source("r"), output: output("noted") };
    site.answer(&job, Outcome::Reject { reason: "not allowed".into(), outputs: vec![noted] }).await;
    let order = site.written("Task/r", "failed").await;
    assert_eq!(order.outputs[0], output("noted"));
    assert_eq!(order.outputs[1]["valueString"], "not allowed");
    assert_eq!(
        order.outputs[1]["type"]["coding"][0]["system"],
        "http://dsf.dev/fhir/CodeSystem/bpmn-message"
    );
    site.instance_is("reject", "failed").await;

    // The model allows two attempts; then the instance waits for an operator, its Task in progress.
    site.deliver(&task("f", "plain", "startPlain", Some("fault"))).await;
    for attempt in 1..=2 {
        let job = site.job("test.Work").await;
        assert_eq!(job.attempt, attempt);
        let away = Outcome::Fault { reason: "our part is away".into(), unavailable: true };
        if attempt == 1 {
            site.answer(&job, away).await;
            let job = site.job("test.Work").await;
            assert_eq!(job.attempt, 1, "an outage of our own costs no attempt");
            site.answer(&job, Outcome::Fault { reason: "broken".into(), unavailable: false }).await;
        } else {
            site.answer(&job, Outcome::Fault { reason: "broken".into(), unavailable: false }).await;
        }
    }
    let instance = site.instance_is("fault", "incident").await;
    assert_eq!(instance.waiting, ["Work"], "the instance is kept");
    assert_eq!(site.status().await.incidents, 1);
    site.written("Task/f", "in-progress").await;

    site.deliver(&task("e", "plain", "startPlain", Some("error"))).await;
    let job = site.job("test.Work").await;
    let error = Outcome::BpmnError { code: "nobody-catches".into(), message: None, variables: [].into() };
    assert_eq!(site.answer(&job, error).await, Acknowledgement::Accepted);
    let instance = site.instance_is("error", "incident").await;
    assert_eq!(instance.waiting, ["Work"]);
}

async fn starts_wait_for_answers(servers: Arc<Servers>) {
    let site = Site::start(&servers, "admission", 1, |config| config.admission_limit = 4).await;
    let starts: Vec<_> =
        (0..12).map(|n| task(&format!("s{n}"), "ask", "startAsk", Some(&format!("k{n:02}")))).collect();
    for start in &starts {
        site.deliver(start).await;
    }
    let status = site.status().await;
    assert_eq!((status.active_instances, status.queued_starts), (4, 8), "at most four unanswered instances");
    // Each answer makes room for the oldest queued start.
    for n in 0..12 {
        let key = format!("k{n:02}");
        let choose = site.job("test.Choose").await;
        assert_eq!(choose.business_key, key, "first come, first served");
        site.done(&choose, chosen(&["b.test"])).await;
        let ask = site.job("test.Ask").await;
        site.answer(&ask, send(&ask)).await;
        let job = site.job(SEND).await;
        site.done(&job, Done::default()).await;
        site.deliver(&task(&format!("a{n}"), "ask", "answer", Some(&key))).await;
        assert!(site.status().await.active_instances <= 4 + n + 1);
    }
    until("admission", "no queued starts", async || (site.status().await.queued_starts == 0).then_some(()))
        .await;
}

/// Works on everything until an end is told.
async fn work(site: Arc<Site>, ended: Arc<std::sync::atomic::AtomicBool>) {
    while !ended.load(std::sync::atomic::Ordering::Relaxed) {
        let jobs = site
            // Longer than eight jobs take on a slow machine, or their leases run out again and again.
            .claim(&["test.Choose", "test.Ask", "test.Save", "test.Work", SEND, WRITE_BACK], 8, 15_000)
            .await;
        if jobs.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for job in jobs {
            let outcome = match job.kind.as_str() {
                "test.Choose" => Outcome::Done(chosen(&["b.test"])),
                "test.Ask" => send(&job),
                WRITE_BACK => Outcome::Written { status: job.write_back.clone().unwrap().status, version: 2 },
                SEND => {
                    let order = job.send.clone().unwrap();
                    let mut answer = task(
                        &format!("answer-{}", order.send_id),
                        "ask",
                        "answer",
                        Some(&order.business_key),
                    );
                    answer.correlation_key.clone_from(&order.request.target.correlation_key);
                    site.deliver(&answer).await;
                    Outcome::Done(Done::default())
                }
                _ => Outcome::Done(Done::default()),
            };
            site.answer(&job, outcome).await;
        }
    }
}

async fn all_completed(site: &Site, count: usize) {
    until(site.name, &format!("{count} completed instances"), async || {
        let instances = site.instances(None).await;
        let completed = instances.iter().filter(|instance| instance.status == "completed").count();
        (completed == count && instances.len() == count).then_some(())
    })
    .await;
    let status = site.status().await;
    assert_eq!(status.incidents, 0);
}

async fn replicas_share_the_work(servers: Arc<Servers>) {
    let mut site = Site::start(&servers, "replicas", 3, |_| {}).await;
    let engines = std::mem::take(&mut site.engines);
    let site = Arc::new(site);
    let ended = Arc::default();
    let workers: Vec<_> =
        (0..3).map(|_| tokio::task::spawn_local(work(Arc::clone(&site), Arc::clone(&ended)))).collect();
    for n in 0..60 {
        site.deliver(&task(&format!("s{n}"), "ask", "startAsk", None)).await;
        // One replica dies in the middle of it, and later another one.
        if n == 20 || n == 40 {
            engines[n / 20 - 1].abort();
        }
    }
    all_completed(&site, 60).await;
    ended.store(true, std::sync::atomic::Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    engines[2].abort();
}

async fn timers_and_signals(servers: Arc<Servers>) {
    let site = Site::start(&servers, "events", 2, |_| {}).await;
    for n in 0..3 {
        site.deliver(&task(&format!("l{n}"), "listen", "startListen", Some(&format!("l{n}")))).await;
    }
    let started = std::time::Instant::now();
    site.deliver(&task("t", "throw", "startThrow", Some("t"))).await;
    site.instance_is("t", "completed").await;
    assert!(started.elapsed() >= Duration::from_millis(500), "the timer ran its time");
    for n in 0..3 {
        site.instance_is(&format!("l{n}"), "completed").await;
        site.written(&format!("Task/l{n}"), "completed").await;
    }
    site.deliver(&task("late", "listen", "startListen", Some("late"))).await;
    assert_eq!(site.instance("late").await.status, "active", "a signal reaches only who was waiting");
}

async fn definitions_start_by_themselves(servers: Arc<Servers>) {
    let site = Site::start(&servers, "ticks", 3, |_| {}).await;
    let timer = |form: &str, text: &str| {
        format!("<timerEventDefinition><{form}>{text}</{form}></timerEventDefinition>")
    };
    let repeated = brief("repeated", "P30D", &timer("timeCycle", "R3/PT0.4S"));
    let once = brief("once", "P30D", &timer("timeDuration", "PT0.3S"));
    site.deploy_model(&repeated).await;
    site.deploy_model(&once).await;
    site.deploy_model(&once).await;
    let database = servers.postgres.read().await.client("ticks").await.unwrap();
    let over = async || {
        let sql = "select count(*) from start_timer where due is null";
        (database.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 2).then_some(())
    };
    until("ticks", "both timers to be over", over).await;
    // The same content again starts nothing again; another one replaces it.
    site.deploy_model(&once).await;
    until("ticks", "no timer to run", over).await;
    let count = async |key: &str| {
        site.instances(None)
            .await
            .iter()
            .filter(|one| one.process_key == format!("testexample_{key}"))
            .count()
    };
    // One start for each time, whoever of the three replicas sees it; a busy machine may skip one.
    let repeats = count("repeated").await;
    assert!((1..=3).contains(&repeats), "{repeats}");
    assert_eq!(count("once").await, 1);
    site.operate(Action::Pause {
        scope: PauseScope::Process { key: "testexample_paused".into(), version: "1.0".into() },
    })
    .await
    .unwrap();
    site.deploy_model(&brief("paused", "P30D", &timer("timeDate", "2020-01-01T00:00:00Z"))).await;
    site.deploy_model(&brief("once", "P30D", &timer("timeDate", "2020-01-01T00:00:00Z"))).await;
    until("ticks", "the new content to start", async || (count("once").await == 2).then_some(())).await;
    assert_eq!(count("paused").await, 0);
    site.operate(Action::Resume {
        scope: PauseScope::Process { key: "testexample_paused".into(), version: "1.0".into() },
    })
    .await
    .unwrap();
    until("ticks", "the resumed one to start", async || (count("paused").await == 1).then_some(())).await;

    // Kept for no time: gone once its Task is written; the Task still counts once.
    let message = r#"<messageEventDefinition messageRef="m"/>"#;
    site.deploy_model(&brief("forgotten", "PT0S", message)).await;
    let start = task("f", "forgotten", "start", Some("f"));
    site.deliver(&start).await;
    site.written("Task/f", "completed").await;
    until("ticks", "the instance to be forgotten", async || {
        site.instances(Some("f")).await.is_empty().then_some(())
    })
    .await;
    for table in ["history", "instance", "job", "incident"] {
        let column = if table == "instance" { "id" } else { "instance" };
        let sql = format!("select count(*) from {table} where {column} not in (select id from instance)");
        assert_eq!(database.query_one(&sql, &[]).await.unwrap().get::<_, i64>(0), 0, "{table}");
    }
    let body: String =
        database.query_one("select body from message where reference = 'Task/f'", &[]).await.unwrap().get(0);
    assert_eq!(body, "", "what the Task said is gone");
    assert_eq!(site.deliver(&start).await, Delivered::Duplicate);
}

async fn outages_lose_nothing(servers: Arc<Servers>) {
    let site = Arc::new(Site::start(&servers, "outage", 2, |_| {}).await);
    let ended = Arc::default();
    let worker = tokio::task::spawn_local(work(Arc::clone(&site), Arc::clone(&ended)));
    for n in 0..30 {
        site.deliver(&task(&format!("s{n}"), "ask", "startAsk", None)).await;
        if n == 10 {
            let mut postgres = servers.postgres.write().await;
            postgres.kill().await;
            postgres.restart().await.unwrap();
        }
        if n == 20 {
            let mut nats = servers.nats.write().await;
            nats.kill().await;
            nats.restart().await.unwrap();
        }
    }
    all_completed(&site, 30).await;
    ended.store(true, std::sync::atomic::Ordering::Relaxed);
    worker.await.unwrap();
}

fn variable(name: &str, value: &str) -> Done {
    let value = Variable { kind: "string".into(), value: json!(value) };
    Done { variables: [(name.to_owned(), value)].into(), ..Done::default() }
}

fn bpmn_error(code: &str) -> Outcome {
    Outcome::BpmnError { code: code.into(), message: None, variables: [].into() }
}

async fn calls_are_instances_of_their_own(servers: Arc<Servers>) {
    let site = Site::start(&servers, "calls", 2, |_| {}).await;
    site.deliver(&task("c1", "call", "startCall", Some("k1"))).await;
    let greet = site.job("test.Greet").await;
    assert_eq!((greet.process_key.as_str(), greet.business_key.as_str()), ("testexample_called", "k1"));
    assert_eq!(
        greet.start_message.as_ref().unwrap().source,
        source("c1"),
        "the Task that led here is at hand"
    );
    site.done(&greet, variable("greeting", "hello")).await;
    let after = site.job("test.After").await;
    assert_eq!(after.variables["greeting"].value, "hello", "what is mapped comes back");
    site.done(&after, Done::default()).await;
    site.written("Task/c1", "completed").await;

    // An error that the called process does not catch is caught by the caller.
    site.deliver(&task("c2", "call", "startCall", Some("k2"))).await;
    let greet = site.job("test.Greet").await;
    let called = greet.instance.clone();
    site.answer(&greet, bpmn_error("refused")).await;
    let otherwise = site.job("test.Otherwise").await;
    site.done(&otherwise, Done::default()).await;
    site.written("Task/c2", "completed").await;
    // The called instance is ended by a job of its own.
    until(site.name, "the called instance to be cancelled", async || {
        let instances = site.instances(Some("k2")).await;
        let caller = instances.iter().map(|instance| instance.id.clone()).find(|id| *id != called);
        let ended = instances.into_iter().find(|instance| instance.id == called)?;
        assert_eq!(ended.parent, caller);
        (ended.status == "cancelled").then_some(())
    })
    .await;

    // One that nobody catches waits at the called instance; an operator decides.
    site.deliver(&task("c3", "call", "startCall", Some("k3"))).await;
    let greet = site.job("test.Greet").await;
    site.answer(&greet, bpmn_error("unheard-of")).await;
    let incident =
        until("calls", "an incident", async || site.incidents(&IncidentQuery::default()).await.pop()).await;
    assert_eq!(incident.instance.as_ref(), Some(&greet.instance));
    site.operate(Action::RetryIncident { incident: incident.id }).await.unwrap();
    let again = site.job("test.Greet").await;
    site.answer(&again, Outcome::Reject { reason: "no".into(), outputs: Vec::new() }).await;
    let order = site.written("Task/c3", "failed").await;
    assert_eq!(order.outputs[0]["valueString"], "no", "a decision ends the callers as well");
    for instance in site.instances(Some("k3")).await {
        assert_eq!(instance.status, "failed");
    }
    // A caller that is cancelled takes the called instance along.
    site.deliver(&task("c4", "call", "startCall", Some("k4"))).await;
    let greet = site.job("test.Greet").await;
    let caller = site.instances(Some("k4")).await.into_iter().find(|i| i.id != greet.instance).unwrap();
    site.operate(Action::Cancel { instance: caller.id }).await.unwrap();
    until("calls", "both cancelled", async || {
        site.instances(Some("k4")).await.iter().all(|i| i.status == "cancelled").then_some(())
    })
    .await;
    assert_eq!(site.answer(&greet, Outcome::Done(Done::default())).await, Acknowledgement::Stale);
    assert_eq!(site.status().await.incidents, 0);
}

/// The two ways in which we differ from the reference engine on purpose, each as configured.
async fn both_deviations_are_settings(servers: Arc<Servers>, ours: bool) {
    let name = if ours { "ours" } else { "reference" };
    let site = Site::start(&servers, name, 1, |config| {
        assert!(config.uncaught_errors_raise && config.inclusive_join_reevaluates, "ours is the default");
        config.uncaught_errors_raise = ours;
        config.inclusive_join_reevaluates = ours;
    })
    .await;

    // A BPMN error that nobody catches: an incident that keeps the instance, or a silent end.
    site.deliver(&task("u", "plain", "startPlain", Some("u"))).await;
    let job = site.job("test.Work").await;
    let error = Outcome::BpmnError { code: "nobody-catches".into(), message: None, variables: [].into() };
    assert_eq!(site.answer(&job, error).await, Acknowledgement::Accepted);
    let (status, incidents) = if ours { ("incident", 1) } else { ("completed", 0) };
    site.instance_is("u", status).await;
    assert_eq!(site.status().await.incidents, incidents, "{name}");

    // An inclusive join whose other token ends elsewhere: it goes on, or it waits for good.
    site.deploy_model(
        r#"<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:camunda="http://camunda.org/schema/1.0/bpmn" targetNamespace="http://test.example/bpmn">
<message id="m" name="startJoin"/>
<process id="testexample_join" isExecutable="true" camunda:versionTag="1.0" camunda:historyTimeToLive="P1D">
<startEvent id="s"><messageEventDefinition messageRef="m"/></startEvent><parallelGateway id="fork"/>
<serviceTask id="first" camunda:class="test.First"/><serviceTask id="second" camunda:class="test.Second"/>
<exclusiveGateway id="choice" default="away"/><inclusiveGateway id="join"/>
<serviceTask id="after" camunda:class="test.After"/><endEvent id="gone"/><endEvent id="e"/>
<sequenceFlow id="f1" sourceRef="s" targetRef="fork"/><sequenceFlow id="f2" sourceRef="fork" targetRef="first"/>
<sequenceFlow id="f3" sourceRef="fork" targetRef="second"/><sequenceFlow id="f4" sourceRef="first" targetRef="join"/>
<sequenceFlow id="f5" sourceRef="second" targetRef="choice"/>
<sequenceFlow id="on" sourceRef="choice" targetRef="join"><conditionExpression>${on == 'yes'}</conditionExpression></sequenceFlow>
<sequenceFlow id="away" sourceRef="choice" targetRef="gone"/>
<sequenceFlow id="f6" sourceRef="join" targetRef="after"/><sequenceFlow id="f7" sourceRef="after" targetRef="e"/>
</process></definitions>"#,
    )
    .await;
    site.deliver(&task("j", "join", "startJoin", Some("j"))).await;
    let first = site.job("test.First").await;
    site.done(&first, Done::default()).await;
    assert!(
        site.instance("j").await.waiting.contains(&"join".to_owned()),
        "{name}: the other may still come"
    );
    let second = site.job("test.Second").await;
    let on = Variable { kind: "string".into(), value: json!("no") };
    site.done(&second, Done { variables: [("on".to_owned(), on)].into(), ..Done::default() }).await;
    // The answer to the result came after the commit: what follows from it is there.
    let waiting = if ours { "after" } else { "join" };
    assert_eq!(site.instance("j").await.waiting, [waiting], "{name}");
    if ours {
        let after = site.job("test.After").await;
        site.done(&after, Done::default()).await;
        site.instance_is("j", "completed").await;
    }
}

async fn people_answer_forms(servers: Arc<Servers>) {
    let site = Site::start(&servers, "forms", 2, |_| {}).await;
    site.deliver(&task("f", "form", "startForm", Some("f"))).await;
    let job = site.job(FORM).await;
    let order = job.form.clone().unwrap();
    assert_eq!(order.form_key, "http://test.example/fhir/Questionnaire/decide|1.0");
    assert_eq!((order.business_key.as_str(), &order.fields["practitionerRole"]), ("f", &json!("DSF_ADMIN")));
    let made = Source { base_url: source("").base_url, reference: "QuestionnaireResponse/q1".into() };
    assert_eq!(site.answer(&job, Outcome::Created { source: made.clone() }).await, Acknowledgement::Accepted);
    let request = CompleteTaskRequest {
        source: made,
        user_task: order.user_task.clone(),
        business_key: Some("f".into()),
        document: Document { media_type: "application/fhir+json".into(), text: "{}".into() },
    };
    let answers = futures_util::future::join_all((0..8).map(|_| site.complete_task(&request))).await;
    assert_eq!(answers.iter().filter(|answer| **answer == Delivered::Accepted).count(), 1, "{answers:?}");
    site.written("QuestionnaireResponse/q1", "amended").await;
    let decided = site.job("test.Decided").await;
    let name = "dev.dsf.bpe.subscription.QuestionnaireResponseHandler.questionnaireResponse";
    assert_eq!(decided.variables[name].value["text"], "{}");
    site.done(&decided, Done::default()).await;
    let order = site.written("Task/f", "completed").await;
    assert_eq!(order.outputs[0]["valueReference"]["reference"], "QuestionnaireResponse/q1");
    // Of a task that nobody knows: ignored.
    let unknown = CompleteTaskRequest {
        source: Source { reference: "QuestionnaireResponse/q2".into(), ..request.source.clone() },
        user_task: uuid_text(),
        ..request
    };
    assert_eq!(site.complete_task(&unknown).await, Delivered::Duplicate);
}

fn uuid_text() -> String {
    "00000000-0000-4000-8000-000000000000".to_owned()
}

async fn the_example_worker_works(servers: Arc<Servers>) {
    let site = Site::start(&servers, "example", 1, |_| {}).await;
    let mut worker = site.example_worker("test.Greet");
    site.deliver(&task("c", "call", "startCall", Some("k"))).await;
    let after = site.job("test.After").await;
    let greeting = &after.variables["greeting"];
    assert_eq!((greeting.kind.as_str(), &greeting.value), ("string", &json!("hello world")));
    site.done(&after, Done::default()).await;
    site.written("Task/c", "completed").await;
    worker.kill().unwrap();
    worker.wait().unwrap();
}
