//! Laws that hold for every model and every order of events: random walks over the public models.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bpmn::{
    Command, CompileOptions, Context, Definition, Effect, Options, StartAt, StartTrigger, State, Status,
    StepError, SubscriptionKind, Value, Variables,
};
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

/// Bundled models, and all public ones where they are at hand.
fn definitions() -> &'static Vec<Definition> {
    static DEFINITIONS: OnceLock<Vec<Definition>> = OnceLock::new();
    DEFINITIONS.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let shared = std::env::var_os("DSF_SHARED").map_or(root.join("../../../shared"), PathBuf::from);
        let mut files = Vec::new();
        for folder in [root.join("../../processes"), shared.join("plugins"), shared.join("vectors/bpmn")] {
            find_models(&folder, &mut files);
        }
        files.sort();
        let options = CompileOptions { stand_in_jobs: true, ..CompileOptions::default() };
        let mut definitions = Vec::new();
        for file in files {
            let text = std::fs::read_to_string(file).unwrap().replace("#{version}", "1.0");
            if let Ok(compiled) = bpmn::parse(&text).map(|model| bpmn::compile_all(&model, &options)) {
                definitions.extend(compiled.into_iter().flatten());
            }
        }
        assert!(definitions.len() >= 5, "models found: {}", definitions.len());
        definitions
    })
}

fn find_models(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            find_models(&path, found);
        } else if path.extension() == Some("bpmn".as_ref()) {
            found.push(path);
        }
    }
}

/// What the effects so far say is open.
#[derive(Default)]
struct Open {
    jobs: BTreeSet<Uuid>,
    asyncs: BTreeSet<Uuid>,
    timers: BTreeSet<Uuid>,
    subscriptions: BTreeSet<Uuid>,
    tasks: BTreeSet<Uuid>,
}

impl Open {
    fn apply(&mut self, effect: &Effect) {
        let (fresh, known) = match effect {
            Effect::CreateJob { id, .. } => (self.jobs.insert(*id), true),
            Effect::CancelJob { id } => (true, self.jobs.remove(id)),
            Effect::CreateAsyncJob { id, .. } => (self.asyncs.insert(*id), true),
            Effect::CancelAsyncJob { id } => (true, self.asyncs.remove(id)),
            Effect::CreateTimer { id, .. } => (self.timers.insert(*id), true),
            Effect::CancelTimer { id } => (true, self.timers.remove(id)),
            Effect::Subscribe { id, .. } => (self.subscriptions.insert(*id), true),
            Effect::Unsubscribe { id } => (true, self.subscriptions.remove(id)),
            Effect::CreateUserTask { id, .. } => (self.tasks.insert(*id), true),
            Effect::CancelUserTask { id } => (true, self.tasks.remove(id)),
            _ => (true, true),
        };
        assert!(fresh && known, "made twice or taken back unmade: {effect:?}");
    }

    fn check(&self, state: &State, definition: &Definition) {
        let ids = |list: Vec<Uuid>| list.into_iter().collect::<BTreeSet<_>>();
        assert_eq!(self.jobs, ids(state.jobs(definition).iter().map(|open| open.id).collect()), "jobs");
        assert_eq!(
            self.asyncs,
            ids(state.async_jobs(definition).iter().map(|open| open.id).collect()),
            "asyncs"
        );
        assert_eq!(self.timers, ids(state.timers(definition).iter().map(|open| open.id).collect()), "timers");
        let subscriptions = state.subscriptions(definition);
        assert_eq!(
            self.subscriptions,
            ids(subscriptions.iter().map(|open| open.id).collect()),
            "subscriptions"
        );
        assert_eq!(
            self.tasks,
            ids(state.user_tasks(definition).iter().map(|open| open.id).collect()),
            "tasks"
        );
    }
}

/// Values for the names that the models ask for.
fn variables(seed: u8) -> Variables {
    let flag = seed.is_multiple_of(2);
    let entries: Vec<_> = (0..seed % 4).map(|key| json!({"correlationKey": format!("ck-{key}")})).collect();
    let mut variables = Variables::new();
    for name in ["targets", "items", "people", "xs", "none", "list0", "list1"] {
        variables.insert(name.to_owned(), Value::Json(json!(entries)));
    }
    variables.insert("targets".to_owned(), Value::Json(json!({ "entries": entries })));
    for name in
        ["needsRecordLinkage", "needsConsentCheck", "direct", "ok", "ready", "again", "allDataSetsReceived"]
    {
        variables.insert(name.to_owned(), Value::Boolean(flag));
    }
    for name in ["timerInterval", "reportTimerInterval", "reportFirstExecutionDelayed", "extractionPeriod"] {
        variables.insert(name.to_owned(), Value::from("PT1M"));
    }
    variables.insert("stop".to_owned(), Value::from(if flag { "yes" } else { "no" }));
    variables.insert("n".to_owned(), Value::Integer(i64::from(seed % 4)));
    variables
}

/// A command to something that is open, chosen by two random numbers.
fn command(state: &State, definition: &Definition, choice: u8, seed: u8) -> Command {
    let source = Some(format!("message-{seed}"));
    let mut possible = Vec::new();
    for job in state.jobs(definition) {
        let local_variables = if seed.is_multiple_of(5) { variables(seed) } else { Variables::new() };
        possible.push(Command::JobDone { job: job.id, variables: variables(seed), local_variables });
        let code = if seed.is_multiple_of(3) { "E1" } else { "target_not_allowed" }.to_owned();
        possible.push(Command::JobBpmnError {
            job: job.id,
            code,
            message: None,
            variables: Variables::new(),
        });
    }
    possible.extend(state.async_jobs(definition).iter().map(|open| Command::AsyncDue { job: open.id }));
    possible.extend(state.timers(definition).iter().map(|open| Command::TimerFired { timer: open.id }));
    for open in state.subscriptions(definition) {
        let (subscription, variables) = (open.id, Variables::new());
        match open.kind {
            SubscriptionKind::Message => {
                possible.push(Command::Message { subscription, variables, source: source.clone() });
            }
            SubscriptionKind::Signal => possible.push(Command::Signal { subscription, variables }),
            SubscriptionKind::Conditional => {}
        }
    }
    for open in state.user_tasks(definition) {
        possible.push(Command::UserTaskCompleted { task: open.id, variables: variables(seed), source: None });
    }
    possible.push(Command::SetVariables { variables: variables(seed) });
    if choice == 255 {
        return Command::Cancel { reason: "stop".to_owned() };
    }
    possible.swap_remove(usize::from(choice) % possible.len())
}

/// Texts of the models, for damaging them.
fn texts() -> &'static Vec<String> {
    static TEXTS: OnceLock<Vec<String>> = OnceLock::new();
    TEXTS.get_or_init(|| {
        let mut files = Vec::new();
        find_models(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../processes"), &mut files);
        files.sort();
        files.into_iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
    })
}

proptest! {
    #[test]
    fn damaged_models_are_refused_or_run_but_never_panic(
        model in any::<prop::sample::Index>(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..200, ".{0,3}"), 1..6),
    ) {
        let mut text: Vec<char> = texts()[model.index(texts().len())].chars().collect();
        for (at, length, insert) in cuts {
            let at = at.index(text.len().max(1)).min(text.len());
            let end = (at + length).min(text.len());
            text.splice(at..end, insert.chars());
        }
        let text: String = text.into_iter().collect();
        if let Ok(model) = bpmn::parse(&text) {
            let _ = bpmn::lint(&model);
            let _ = bpmn::compile(&model, &CompileOptions::default());
        }
    }

    #[test]
    fn attributes_may_hold_anything(id in "\\PC{0,12}", text in "\\PC{0,20}") {
        let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        let model = texts()[0].replacen("id=\"", &format!("id=\"{}", escape(&id)), 3);
        let model = model.replace("${", &format!("${{{}", escape(&text)));
        if let Ok(model) = bpmn::parse(&model) {
            let _ = bpmn::compile(&model, &CompileOptions::default());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn effects_state_and_storage_agree(
        model in any::<prop::sample::Index>(),
        raise in any::<bool>(),
        walk in prop::collection::vec((any::<u8>(), any::<u8>()), 1..40),
    ) {
        let definition = &definitions()[model.index(definitions().len())];
        let options = Options { uncaught_errors_raise: raise, ..Options::default() };
        let mut state = State::new(definition, Uuid::nil());
        let mut open = Open::default();
        let (mut count, mut now) = (0_u128, 0);
        for (index, (choice, seed)) in walk.into_iter().enumerate() {
            let command = if index == 0 {
                let starts = definition.start_events();
                let start = &starts[usize::from(choice) % starts.len()];
                let at = match &start.trigger {
                    StartTrigger::None => StartAt::None,
                    StartTrigger::Message(name) => StartAt::Message(name.clone()),
                    _ => StartAt::Event(start.id.clone()),
                };
                let (business_key, source) = (Some("bk".to_owned()), Some("start".to_owned()));
                Command::Start { at, business_key, variables: variables(seed), source }
            } else {
                command(&state, definition, choice, seed)
            };
            now += i64::from(seed) * 1000;
            let mut ids = || {
                count += 1;
                Uuid::from_u128(count)
            };
            let mut context = Context { now, ids: &mut ids, options };
            let result = bpmn::step(definition, state.clone(), command.clone(), &mut context);
            let (next, effects) = match result {
                Ok(done) => done,
                // Random values may not fit the model; nothing has happened then.
                Err(StepError::Model { .. }) if index > 0 => continue,
                Err(StepError::Model { .. }) => break,
                Err(error) => panic!("{}: {command:?}: {error}", definition.key()),
            };
            let used = match &command {
                Command::JobDone { job, .. } | Command::AsyncDue { job } => Some(*job),
                Command::JobBpmnError { job, .. } => {
                    let kept = effects.iter().any(|e| matches!(e, Effect::UncaughtError { job: Some(_), .. }));
                    (!kept).then_some(*job)
                }
                Command::TimerFired { timer } => Some(*timer),
                Command::UserTaskCompleted { task, .. } => Some(*task),
                _ => None,
            };
            if let Some(id) = used {
                open.jobs.remove(&id);
                open.asyncs.remove(&id);
                open.timers.remove(&id);
                open.tasks.remove(&id);
            }
            effects.iter().for_each(|effect| open.apply(effect));
            open.check(&next, definition);
            let stored = serde_json::to_string(&next).unwrap();
            prop_assert!(!stored.contains("\"running\""), "a token is stored in transit: {}", stored);
            prop_assert_eq!(&serde_json::from_str::<State>(&stored).unwrap(), &next);
            // An active instance waits for something.
            let ended = effects.iter().any(|e| matches!(e, Effect::InstanceCompleted | Effect::InstanceCancelled { .. }));
            prop_assert_eq!(ended, !next.is_active());
            prop_assert_eq!(next.is_active(), !next.waiting(definition).is_empty(), "{}: {}", definition.key(), stored);
            // Every message is either known to the state or was completed by an end event.
            if let Command::Message { source: Some(source), .. } = &command {
                let completed = effects.iter().any(
                    |e| matches!(e, Effect::CompleteSources { sources } if sources.contains(source)),
                );
                prop_assert!(completed || next.sources().contains(&source.as_str()), "{} is lost", source);
            }
            state = next;
            if *state.status() != Status::Active {
                break;
            }
        }
    }
}
