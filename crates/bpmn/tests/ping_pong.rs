//! The bundled ping and pong models, driven step by step with stand-in jobs.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use bpmn::{
    Command, CompileOptions, Context, Definition, Effect, Inline, InlineAssignment, JobKind, Options,
    StartAt, State, Status, StepError, Value, Variables,
};
use serde_json::json;
use uuid::Uuid;

/// One instance and the effects of its last step.
struct Play {
    definition: Definition,
    state: State,
    effects: Vec<Effect>,
    ids: u128,
    now: i64,
}

impl Play {
    fn new(model: &str) -> Play {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../processes/ping-pong/bpe").join(model);
        let text = std::fs::read_to_string(path).unwrap().replace("#{version}", "1.0");
        let assign = |name: &str, value: &str| Inline {
            assignments: vec![InlineAssignment { name: name.into(), value: value.into(), local: false }],
        };
        let status = "statusCode_${target.correlationKey}";
        let options = CompileOptions {
            inline: BTreeMap::from([
                ("ping-pong/note-pong".to_owned(), assign(status, "pong-received")),
                ("ping-pong/note-silence".to_owned(), assign(status, "pong-missing")),
                ("ping-pong/note-send-error".to_owned(), assign(status, "${statusCode}")),
                ("ping-pong/note-ping".to_owned(), Inline::default()),
            ]),
            ..CompileOptions::default()
        };
        let model = bpmn::parse(&text).unwrap();
        let definition = bpmn::compile(&model, &options).unwrap();
        let state = State::new(&definition, Uuid::nil());
        Play { definition, state, effects: Vec::new(), ids: 0, now: 0 }
    }

    fn step(&mut self, command: Command) {
        self.try_step(command).unwrap();
    }

    fn try_step(&mut self, command: Command) -> Result<(), StepError> {
        let mut ids = || {
            self.ids += 1;
            Uuid::from_u128(self.ids)
        };
        let mut context = Context { now: self.now, ids: &mut ids, options: Options::default() };
        // Stored and loaded between steps, as a service does.
        let stored = serde_json::to_string(&self.state).unwrap();
        let state = serde_json::from_str(&stored).unwrap();
        (self.state, self.effects) = bpmn::step(&self.definition, state, command, &mut context)?;
        Ok(())
    }

    fn start(&mut self, message: &str) {
        self.step(Command::Start {
            at: StartAt::Message(message.to_owned()),
            business_key: Some("bk".to_owned()),
            variables: Variables::new(),
            source: Some("start-task".to_owned()),
        });
    }

    fn job(&self, activity: &str) -> Uuid {
        let jobs = self.state.jobs(&self.definition);
        jobs.iter()
            .find(|job| job.activity == activity)
            .unwrap_or_else(|| panic!("no job {activity}: {jobs:?}"))
            .id
    }

    fn done(&mut self, activity: &str, variables: &[(&str, Value)], local: &[(&str, Value)]) {
        let own = |list: &[(&str, Value)]| list.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        let command = Command::JobDone {
            job: self.job(activity),
            variables: own(variables),
            local_variables: own(local),
        };
        self.step(command);
    }

    fn completed_sources(&self) -> Vec<String> {
        let sources = |effect: &Effect| match effect {
            Effect::CompleteSources { sources } => sources.clone(),
            _ => Vec::new(),
        };
        self.effects.iter().flat_map(sources).collect()
    }

    fn variable(&self, name: &str) -> Option<&Value> {
        self.state.process_variables()?.get(name)
    }
}

fn targets(keys: &[&str]) -> Value {
    let entries: Vec<_> =
        keys.iter().map(|key| json!({"endpointUrl": "https://x", "correlationKey": key})).collect();
    Value::Json(json!({ "entries": entries }))
}

#[test]
fn ping_waits_for_each_answer_by_its_own_key() {
    let mut play = Play::new("ping.bpmn");
    play.start("startPing");
    play.done("select-targets", &[("targets", targets(&["ck-a", "ck-b", "ck-c"]))], &[]);
    let sends: Vec<_> =
        play.effects.iter().filter(|e| matches!(e, Effect::CreateJob { .. })).cloned().collect();
    let [Effect::CreateJob { id, kind, implementation, fields, .. }, _, _] = sends.as_slice() else {
        panic!("three sends expected: {sends:?}")
    };
    assert_eq!((*kind, implementation.as_str()), (JobKind::ThrowEvent, "ping-pong/send-ping"));
    assert_eq!(fields["instantiatesCanonical"], Value::from("http://dsf.dev/bpe/Process/pong|1.0"));
    let visible = play.state.visible_variables(*id).unwrap();
    assert_eq!(visible["target"].to_json()["correlationKey"], "ck-a");
    assert_eq!(visible["loopCounter"], Value::Integer(0));
    assert_eq!(play.state.latest_source(*id), Some("start-task"));

    // One send fails, two wait: the error is local to its own target.
    play.done("send-ping", &[], &[("statusCode", Value::from("not-reachable"))]);
    assert_eq!(play.variable("statusCode_ck-a"), Some(&Value::from("not-reachable")));
    assert_eq!(play.variable("statusCode"), None);
    play.done("send-ping", &[], &[]);
    play.done("send-ping", &[], &[]);
    let open = play.state.subscriptions(&play.definition);
    let keys: Vec<_> = open.iter().map(|s| (s.name.as_str(), s.correlation_key.as_deref())).collect();
    assert_eq!(keys, [("pong", Some("ck-b")), ("pong", Some("ck-c"))]);
    let timers = play.state.timers(&play.definition);
    assert_eq!(timers.iter().map(|timer| timer.due).collect::<Vec<_>>(), [20_000, 20_000]);

    // A pong and a time-out. The pong's message is completed at the end event of its target.
    let pong = Command::Message {
        subscription: open[1].id,
        variables: Variables::new(),
        source: Some("pong-task".to_owned()),
    };
    play.step(pong.clone());
    assert_eq!(play.completed_sources(), ["pong-task"]);
    assert!(play.effects.contains(&Effect::Unsubscribe { id: open[1].id }));
    assert!(play.effects.contains(&Effect::CancelTimer { id: timers[1].id }));
    assert_eq!(play.try_step(pong), Err(StepError::NotWaiting), "a second answer has no receiver");
    play.now = 20_000;
    play.step(Command::TimerFired { timer: timers[0].id });
    assert_eq!(play.variable("statusCode_ck-b"), Some(&Value::from("pong-missing")));
    assert_eq!(play.variable("statusCode_ck-c"), Some(&Value::from("pong-received")));

    play.done("save-results", &[], &[]);
    assert_eq!(play.completed_sources(), ["start-task"]);
    assert_eq!(play.effects.last(), Some(&Effect::InstanceCompleted));
    assert_eq!(play.state.status(), &Status::Completed);
    assert_eq!(
        play.try_step(Command::SetVariables { variables: Variables::new() }),
        Err(StepError::NotActive)
    );
}

#[test]
fn ping_without_targets_goes_straight_to_the_results() {
    let mut play = Play::new("ping.bpmn");
    play.start("startPing");
    play.done("select-targets", &[("targets", targets(&[]))], &[]);
    assert_eq!(play.state.waiting(&play.definition), ["save-results"]);
}

#[test]
fn a_failing_step_changes_nothing() {
    let mut play = Play::new("ping.bpmn");
    play.start("startPing");
    let before = play.state.clone();
    let job = play.job("select-targets");
    let done = Command::JobDone { job, variables: Variables::new(), local_variables: Variables::new() };
    let error = play.try_step(done).unwrap_err();
    assert!(matches!(&error, StepError::Model { activity, .. } if activity == "each-target"), "{error}");
    assert_eq!(play.state, before);
}

#[test]
fn pong_answers_or_is_refused() {
    let mut play = Play::new("pong.bpmn");
    play.start("ping");
    assert_eq!(play.state.waiting(&play.definition), ["select-sender"]);
    let before = play.state.clone();

    play.done("select-sender", &[("target", Value::Json(json!({"correlationKey": "ck"})))], &[]);
    let send = play.job("pong-sent");
    assert!(matches!(play.effects.iter().find(|e| matches!(e, Effect::CreateJob { .. })),
        Some(Effect::CreateJob { kind: JobKind::EndEvent, id, .. }) if *id == send));
    assert!(play.completed_sources().is_empty(), "the Task is done when the pong is sent");
    play.done("pong-sent", &[], &[]);
    assert_eq!(play.completed_sources(), ["start-task"]);
    assert_eq!(play.state.status(), &Status::Completed);

    let error = |job, code: &str| Command::JobBpmnError {
        job,
        code: code.to_owned(),
        message: None,
        variables: Variables::new(),
    };
    play.state = before.clone();
    let job = play.job("select-sender");
    play.step(error(job, "target_not_allowed"));
    assert_eq!(play.completed_sources(), ["start-task"]);
    assert_eq!(play.state.status(), &Status::Completed);

    // An error nobody catches is announced; the job stays open.
    play.state = before;
    play.step(error(job, "unheard-of"));
    assert!(
        matches!(play.effects.as_slice(), [Effect::UncaughtError { job: Some(open), .. }] if *open == job)
    );
    assert_eq!(play.job("select-sender"), job);

    play.step(Command::Cancel { reason: "rejected".to_owned() });
    assert!(play.effects.contains(&Effect::CancelJob { id: job }));
    assert_eq!(play.state.sources(), ["start-task"], "the caller can still fail the Task");
}

#[test]
fn a_state_of_another_model_is_refused() {
    let mut ping = Play::new("ping.bpmn");
    ping.start("startPing");
    let mut pong = Play::new("pong.bpmn");
    pong.state = ping.state;
    assert_eq!(
        pong.try_step(Command::SetVariables { variables: Variables::new() }),
        Err(StepError::WrongDefinition)
    );
}

/// Not a benchmark: notices when a step becomes slow by orders of magnitude.
#[test]
fn steps_are_fast() {
    let mut play = Play::new("ping.bpmn");
    play.start("startPing");
    let keys: Vec<String> = (0..300).map(|i| format!("ck-{i}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    play.done("select-targets", &[("targets", targets(&keys))], &[]);
    let begin = Instant::now();
    for _ in 0..300 {
        play.done("send-ping", &[], &[]);
    }
    let each = begin.elapsed() / 300;
    println!("a step among 300 targets, stored and loaded: {each:?}");
    assert!(each.as_millis() < 50, "{each:?} for one step");

    let mut pong = Play::new("pong.bpmn");
    let begin = Instant::now();
    for _ in 0..200 {
        pong.state = State::new(&pong.definition, Uuid::nil());
        pong.start("ping");
        pong.done("select-sender", &[], &[]);
        pong.done("pong-sent", &[], &[]);
    }
    println!("a step of pong, stored and loaded: {:?}", begin.elapsed() / 600);
}
