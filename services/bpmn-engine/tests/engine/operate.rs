//! What operators do with incidents, instances and pauses.
use super::*;

/// Fails a job until it is an incident.
pub async fn to_incident(site: &Site, kind: &str) -> IncidentView {
    for _ in 0..2 {
        let job = site.job(kind).await;
        site.answer(&job, Outcome::Fault { reason: "broken".into(), unavailable: false }).await;
    }
    until(site.name, "an incident", async || site.incidents(&IncidentQuery::default()).await.pop()).await
}

pub async fn operators_help_failed_steps(servers: Arc<Servers>) {
    let site = Site::start(&servers, "operators", 2, |_| {}).await;
    site.deliver(&task("a", "plain", "startPlain", Some("retry"))).await;
    let incident = to_incident(&site, "test.Work").await;
    assert_eq!((incident.class.as_str(), incident.activity.as_deref()), ("job", Some("Work")));
    site.operate(Action::RetryIncident { incident: incident.id.clone() }).await.unwrap();
    assert!(site.operate(Action::RetryIncident { incident: incident.id }).await.is_err(), "it is over");
    let job = site.job("test.Work").await;
    assert_eq!(job.attempt, 1, "all attempts anew");
    assert_eq!(site.instance("retry").await.status, "active");
    site.done(&job, Done::default()).await;
    site.written("Task/a", "completed").await;

    // Retry of everything that fits.
    for n in 0..3 {
        site.deliver(&task(&format!("all{n}"), "plain", "startPlain", Some(&format!("all{n}")))).await;
        to_incident(&site, "test.Work").await;
    }
    let request = RetryAllRequest {
        actor: "op".into(),
        reason: String::new(),
        query: IncidentQuery {
            activity: Some("Work".into()),
            reason: Some("broken".into()),
            ..IncidentQuery::default()
        },
    };
    let done: RetryAllReply = site.ask(subject::INCIDENT_RETRY_ALL, &request).await.unwrap();
    assert_eq!((done.retried, done.left), (3, 0));
    for _ in 0..3 {
        let job = site.job("test.Work").await;
        site.done(&job, Done::default()).await;
    }
    assert_eq!(site.status().await.incidents, 0);

    // Edit, then skip.
    site.deliver(&task("s", "plain", "startPlain", Some("skip"))).await;
    let incident = to_incident(&site, "test.Work").await;
    let instance = incident.instance.clone().unwrap();
    let value = Variable { kind: "integer".into(), value: json!(7) };
    let edit =
        Action::SetVariable { instance: instance.clone(), token: None, name: "x".into(), value: Some(value) };
    site.operate(edit).await.unwrap();
    let export = site.export(&instance).await;
    assert_eq!(export.variables[0]["value"], 7);
    assert_eq!(export.operations[0]["action"], "set-variable");
    assert_eq!(export.tokens[0]["activity"], "Work");
    site.operate(Action::Skip { instance: instance.clone(), token: incident.token.unwrap() }).await.unwrap();
    site.written("Task/s", "completed").await;
    assert_eq!(site.incidents(&IncidentQuery::default()).await, [], "the incident went with its job");
    let export = site.export(&instance).await;
    assert_eq!(export.instance["status"], "completed");
    assert!(export.instance["keptUntil"].is_string());
    let history = export.history.as_array().unwrap();
    assert!(history.iter().any(|entry| entry["what"] == "operator" && entry["detail"]["actor"] == "op"));
    assert!(!history.iter().any(|entry| entry.to_string().contains("\"value\"")), "no values in the history");

    // Move back to the same step, then fail.
    site.deliver(&task("m", "plain", "startPlain", Some("move"))).await;
    let first = site.job("test.Work").await;
    let instance = first.instance.clone();
    let to =
        |to: &str| Action::Move { instance: instance.clone(), token: first.id.clone(), to: to.to_owned() };
    assert!(site.operate(to("nowhere")).await.is_err());
    site.operate(to("Work")).await.unwrap();
    let second = site.job("test.Work").await;
    assert_ne!(second.id, first.id);
    assert_eq!(site.answer(&first, Outcome::Done(Done::default())).await, Acknowledgement::Stale);
    site.operate(Action::Fail { instance: instance.clone() }).await.unwrap();
    let order = site.written("Task/m", "failed").await;
    assert_eq!(order.outputs[0]["valueString"], "a test");
    assert!(site.operate(Action::Fail { instance }).await.is_err(), "it has ended");

    // Early warning: a job that failed and has tries left.
    site.deliver(&task("w", "plain", "startPlain", Some("warn"))).await;
    let job = site.job("test.Work").await;
    site.answer(&job, Outcome::Fault { reason: "broken".into(), unavailable: false }).await;
    let warnings: Vec<Warning> = site.ask(subject::WARNINGS, &json!({})).await.unwrap();
    assert!(warnings.iter().any(|w| w.kind == "failing" && w.business_key == "warn"), "{warnings:?}");
    // And one that waits longer than such jobs usually take.
    for n in 0..25 {
        site.deliver(&task(&format!("fast{n}"), "plain", "startPlain", None)).await;
    }
    let mut fast = 0;
    while fast < 25 {
        for job in
            site.claim(&["test.Work"], 32, 30_000).await.into_iter().filter(|job| job.business_key != "warn")
        {
            site.done(&job, Done::default()).await;
            fast += 1;
        }
    }
    site.deliver(&task("slow", "form", "startForm", Some("slow"))).await;
    site.deliver(&task("late", "plain", "startPlain", Some("late"))).await;
    until("operators", "a warning about what is slow", async || {
        let warnings: Vec<Warning> = site.ask(subject::WARNINGS, &json!({})).await.unwrap();
        assert!(!warnings.iter().any(|w| w.business_key == "slow"), "nothing is known of its usual time");
        warnings.into_iter().find(|w| w.kind == "slow" && w.business_key == "late")
    })
    .await;

    // An action on another subject than its own is refused: permissions are given by subject.
    let operation = Operation {
        actor: "op".into(),
        reason: String::new(),
        action: Action::Fail { instance: String::new() },
    };
    assert!(site.ask::<_, ()>(subject::INCIDENT_RETRY, &operation).await.is_err());
}

pub async fn what_is_paused_waits(servers: Arc<Servers>) {
    let site = Site::start(&servers, "paused", 1, |_| {}).await;
    site.deliver(&task("p", "plain", "startPlain", Some("p"))).await;
    let instance = site.instance("p").await.id;
    let scopes = [
        PauseScope::Engine,
        PauseScope::Process { key: "testexample_plain".into(), version: "1.0".into() },
        PauseScope::Partner { organization: "requester.test".into() },
        PauseScope::Instance { instance },
    ];
    for scope in &scopes {
        site.operate(Action::Pause { scope: scope.clone() }).await.unwrap();
        assert_eq!(site.claim(&["test.Work"], 1, 30_000).await, [], "{scope}: nothing is handed out");
        site.operate(Action::Resume { scope: scope.clone() }).await.unwrap();
    }
    // Timers and what crosses instances wait, too: both run as soon as the pause ends.
    site.deliver(&task("l", "listen", "startListen", Some("l"))).await;
    let process =
        |key: &str| PauseScope::Process { key: format!("testexample_{key}"), version: "1.0".into() };
    site.operate(Action::Pause { scope: process("throw") }).await.unwrap();
    site.operate(Action::Pause { scope: process("listen") }).await.unwrap();
    site.deliver(&task("t", "throw", "startThrow", Some("t"))).await;
    let due = std::time::Instant::now() + Duration::from_millis(700);
    until("paused", "the timer to be due", async || (std::time::Instant::now() > due).then_some(())).await;
    assert_eq!(site.instance("t").await.status, "active", "its timer is due and waits");
    site.operate(Action::Resume { scope: process("throw") }).await.unwrap();
    site.instance_is("t", "completed").await;
    assert_eq!(site.instance("l").await.status, "active");
    site.operate(Action::Resume { scope: process("listen") }).await.unwrap();
    site.instance_is("l", "completed").await;
    let job = site.job("test.Work").await;
    site.done(&job, Done::default()).await;
    site.instance_is("p", "completed").await;
}
