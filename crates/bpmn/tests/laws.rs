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
    calls: BTreeSet<Uuid>,
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
            Effect::StartCall { id, .. } => (self.calls.insert(*id), true),
            Effect::CancelCall { id } => (true, self.calls.remove(id)),
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
        assert_eq!(self.calls, ids(state.calls()), "calls");
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
    let flags = [
        "needsRecordLinkage",
        "needsConsentCheck",
        "direct",
        "ok",
        "ready",
        "again",
        "mergeReceiveDataSharingErrorExists",
        "consolidateDataSetReleased",
        "reportFirstExecutionDelayed",
    ];
    for (place, name) in flags.into_iter().enumerate() {
        variables.insert(name.to_owned(), Value::Boolean(seed >> (place % 8) & 1 == 1));
    }
    variables.insert("allDataSetsReceived".to_owned(), Value::Boolean(flag));
    variables.insert("reportFirstExecution".to_owned(), Value::from("2030-01-01T00:00:00Z"));
    for name in ["timerInterval", "reportTimerInterval", "extractionPeriod"] {
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
    for call in state.calls() {
        possible.push(Command::CallDone { call, variables: variables(seed) });
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

/// An instance under random commands, checked after each.
struct Walk<'d> {
    definition: &'d Definition,
    state: State,
    open: Open,
    options: Options,
    ids: u128,
    now: i64,
}

impl<'d> Walk<'d> {
    fn new(definition: &'d Definition, raise: bool) -> Self {
        let options = Options { uncaught_errors_raise: raise, ..Options::default() };
        let state = State::new(definition, Uuid::nil());
        Self { definition, state, open: Open::default(), options, ids: 0, now: 0 }
    }

    fn start(&mut self, choice: u8, variables: Variables) -> Result<(), StepError> {
        let starts = self.definition.start_events();
        let start = &starts[usize::from(choice) % starts.len()];
        let at = match &start.trigger {
            StartTrigger::None => StartAt::None,
            StartTrigger::Message(name) => StartAt::Message(name.clone()),
            _ => StartAt::Event(start.id.clone()),
        };
        let (business_key, source) = (Some("bk".to_owned()), Some("start".to_owned()));
        self.step(Command::Start { at, business_key, variables, source })
    }

    /// Carries out a command and checks every law. An error must have changed nothing.
    fn step(&mut self, command: Command) -> Result<(), StepError> {
        let ids = &mut self.ids;
        let mut make = || {
            *ids += 1;
            Uuid::from_u128(*ids)
        };
        let mut context = Context { now: self.now, ids: &mut make, options: self.options };
        let (next, effects) = bpmn::step(self.definition, self.state.clone(), command.clone(), &mut context)?;
        let used = match &command {
            Command::JobDone { job, .. } | Command::AsyncDue { job } => Some(*job),
            Command::JobBpmnError { job, .. } => {
                let kept = effects.iter().any(|e| matches!(e, Effect::UncaughtError { job: Some(_), .. }));
                (!kept).then_some(*job)
            }
            Command::TimerFired { timer } => Some(*timer),
            Command::UserTaskCompleted { task, .. } => Some(*task),
            Command::CallDone { call, .. } => Some(*call),
            _ => None,
        };
        let open = &mut self.open;
        if let Some(id) = used {
            for kind in [&mut open.jobs, &mut open.asyncs, &mut open.timers, &mut open.tasks, &mut open.calls]
            {
                kind.remove(&id);
            }
        }
        effects.iter().for_each(|effect| open.apply(effect));
        open.check(&next, self.definition);
        let stored = serde_json::to_string(&next).unwrap();
        assert!(!stored.contains("\"running\""), "a token is stored in transit: {stored}");
        assert_eq!(serde_json::from_str::<State>(&stored).unwrap(), next);
        // An active instance waits for something.
        let ends = |e: &Effect| matches!(e, Effect::InstanceCompleted | Effect::InstanceCancelled { .. });
        assert_eq!(effects.iter().any(ends), !next.is_active());
        let waiting = next.waiting(self.definition);
        assert_eq!(next.is_active(), !waiting.is_empty(), "{}: {stored}", self.definition.key());
        assert_eq!(waiting.len(), next.tokens(self.definition).len(), "every wait is a token to operate on");
        // Every message is either known to the state or was completed by an end event.
        if let Command::Message { source: Some(source), .. } = &command {
            let completes =
                |e: &Effect| matches!(e, Effect::CompleteSources { sources } if sources.contains(source));
            let completed = effects.iter().any(completes);
            assert!(completed || next.sources().contains(&source.as_str()), "{source} is lost");
        }
        self.state = next;
        Ok(())
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
        let mut run = Walk::new(definition, raise);
        for (index, (choice, seed)) in walk.into_iter().enumerate() {
            run.now += i64::from(seed) * 1000;
            let result = if index == 0 {
                run.start(choice, variables(seed))
            } else {
                run.step(command(&run.state, definition, choice, seed))
            };
            match result {
                Ok(()) => {}
                // Random values may not fit the model; nothing has happened then.
                Err(StepError::Model { .. }) if index > 0 => continue,
                Err(StepError::Model { .. }) => break,
                Err(error) => panic!("{}: {error}", definition.key()),
            }
            if *run.state.status() != Status::Active {
                break;
            }
        }
    }
}

/// Builds a model of nested blocks, each with one way in and one way out, from random numbers.
struct Builder {
    numbers: Vec<u8>,
    used: usize,
    xml: String,
    elements: usize,
}

impl Builder {
    fn next(&mut self) -> u8 {
        self.used += 1;
        self.numbers.get(self.used - 1).copied().unwrap_or(0)
    }

    fn id(&mut self) -> String {
        self.elements += 1;
        format!("n{}", self.elements)
    }

    fn add(&mut self, tag: &str, attributes: &str, inside: &str) -> String {
        let id = self.id();
        self.xml += &format!("<{tag} id=\"{id}\" {attributes}>{inside}</{tag}>");
        id
    }

    fn flow(&mut self, from: &str, to: &str, condition: &str) {
        let condition = match condition {
            "" => String::new(),
            text => format!("<conditionExpression>{text}</conditionExpression>"),
        };
        let id = self.id();
        self.xml += &format!(
            "<sequenceFlow id=\"{id}\" sourceRef=\"{from}\" targetRef=\"{to}\">{condition}</sequenceFlow>"
        );
    }

    /// Start event, blocks, end event: the inside of a process or subprocess.
    fn scope(&mut self, depth: u8, start: &str) {
        let start = self.add("startEvent", "", start);
        let last = self.sequence(&start, depth);
        let end = self.add("endEvent", "", "");
        self.flow(&last, &end, "");
    }

    fn sequence(&mut self, from: &str, depth: u8) -> String {
        let mut last = from.to_owned();
        for _ in 0..=self.next() % 3 {
            let (first, exit) = self.block(depth);
            self.flow(&last, &first, "");
            last = exit;
        }
        last
    }

    fn gateways(&mut self, tag: &str, depth: u8, conditions: &[&str]) -> (String, String) {
        let split = self.add(tag, "", "");
        let join = self.add(tag, "", "");
        for condition in conditions {
            let (first, exit) = self.block(depth - 1);
            self.flow(&split, &first, condition);
            self.flow(&exit, &join, "");
        }
        (split, join)
    }

    /// One block: its way in and its way out.
    fn block(&mut self, depth: u8) -> (String, String) {
        let same = |id: String| (id.clone(), id);
        let timer = "<timerEventDefinition><timeDuration>PT1M</timeDuration></timerEventDefinition>";
        let message = "<messageEventDefinition messageRef=\"m\"/>";
        let many = "<multiInstanceLoopCharacteristics camunda:collection=\"items\" camunda:elementVariable=\"item\"/>";
        let choice = self.next();
        match if depth == 0 { choice % 9 } else { choice % 17 } {
            0 => same(self.add("task", "", "")),
            1 => same(self.add("userTask", "", "")),
            2 => same(self.add("intermediateCatchEvent", "", timer)),
            3 => same(self.add("intermediateCatchEvent", "", message)),
            4 => same(self.add("callActivity", "calledElement=\"x\"", "")),
            5 => same(self.add("serviceTask", "camunda:class=\"W\" camunda:asyncBefore=\"true\"", "")),
            6 => same(self.add("serviceTask", "camunda:class=\"W\"", many)),
            7 => {
                let looped = "<standardLoopCharacteristics loopMaximum=\"2\"/>";
                same(self.add("serviceTask", "camunda:class=\"W\"", looped))
            }
            8 => same(self.add("serviceTask", "camunda:class=\"W\" camunda:asyncAfter=\"true\"", "")),
            9 => self.gateways("parallelGateway", depth, &["", "", ""]),
            10 => self.gateways("exclusiveGateway", depth, &["${n == 1}", ""]),
            11 => self.gateways("inclusiveGateway", depth, &["${n != 0}", "${n != 1}", "${n != 9}"]),
            12 => {
                let gateway = self.add("eventBasedGateway", "", "");
                let join = self.add("exclusiveGateway", "", "");
                for event in [timer, message] {
                    let catch = self.add("intermediateCatchEvent", "", event);
                    self.flow(&gateway, &catch, "");
                    let (first, exit) = self.block(depth - 1);
                    self.flow(&catch, &first, "");
                    self.flow(&exit, &join, "");
                }
                (gateway, join)
            }
            kind => {
                let outer = std::mem::take(&mut self.xml);
                self.scope(depth - 1, "");
                if kind == 16 {
                    // A non-interrupting event subprocess beside it.
                    let scope = std::mem::take(&mut self.xml);
                    let id = self.id();
                    let start = self.id();
                    let (task, exit) = self.block(0);
                    self.flow(&start, &task, "");
                    let end = self.add("endEvent", "", "");
                    self.flow(&exit, &end, "");
                    let body = std::mem::take(&mut self.xml);
                    self.xml = format!(
                        "{scope}<subProcess id=\"{id}\" triggeredByEvent=\"true\"><startEvent id=\"{start}\" isInterrupting=\"false\">{timer}</startEvent>{body}</subProcess>"
                    );
                }
                let inside = std::mem::replace(&mut self.xml, outer);
                let inside = if kind == 13 { format!("{inside}{many}") } else { inside };
                let subprocess = self.add("subProcess", "", &inside);
                let join = self.add("exclusiveGateway", "", "");
                self.flow(&subprocess, &join, "");
                if kind == 14 || kind == 15 {
                    let interrupting = kind == 14;
                    let id = self.id();
                    self.xml += &format!(
                        "<boundaryEvent id=\"{id}\" attachedToRef=\"{subprocess}\" cancelActivity=\"{interrupting}\">{timer}</boundaryEvent>"
                    );
                    let (first, exit) = self.block(depth - 1);
                    self.flow(&id, &first, "");
                    if interrupting {
                        self.flow(&exit, &join, "");
                    } else {
                        let end = self.add("endEvent", "", "");
                        self.flow(&exit, &end, "");
                    }
                }
                (subprocess, join)
            }
        }
    }
}

fn generated(numbers: Vec<u8>) -> String {
    let mut builder = Builder { numbers, used: 0, xml: String::new(), elements: 0 };
    builder.scope(3, "");
    format!(
        "<definitions xmlns=\"http://www.omg.org/spec/BPMN/20100524/MODEL\" xmlns:camunda=\"http://camunda.org/schema/1.0/bpmn\" targetNamespace=\"urn:t\"><message id=\"m\" name=\"m\"/><process id=\"a_p\" isExecutable=\"true\" camunda:versionTag=\"1.0\">{}</process></definitions>",
        builder.xml
    )
}

/// Most commands an instance of a generated model takes until it has ended.
const PATIENCE: usize = 5_000;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Nested blocks are sound: whatever the order of events, the instance comes to its end, and
    /// every law holds on the way. A failure prints its numbers; they make the same run again.
    #[test]
    fn generated_models_come_to_their_end(
        numbers in prop::collection::vec(any::<u8>(), 1..80),
        orders in prop::collection::vec(any::<u8>(), 1..200),
    ) {
        let xml = generated(numbers);
        let model = bpmn::parse(&xml).unwrap();
        let definition = bpmn::compile(&model, &CompileOptions::default()).unwrap_or_else(|error| panic!("{error}: {xml}"));
        let mut run = Walk::new(&definition, true);
        let start = Variables::from([
            ("n".to_owned(), Value::Integer(i64::from(orders[0] % 3))),
            ("items".to_owned(), Value::Json(json!(vec!["i"; usize::from(orders[0] % 4)]))),
        ]);
        run.start(0, start).unwrap();
        let mut steps = 0;
        while run.state.is_active() {
            prop_assert!(steps < PATIENCE, "no end in sight: {:?} of {}", run.state.waiting(&definition), xml);
            let choice = orders[steps % orders.len()].wrapping_add(u8::try_from(steps % 251).unwrap());
            let next = fair(&run.state, &definition, choice);
            run.now += 61_000;
            run.step(next).unwrap_or_else(|error| panic!("{error}: {xml}"));
            steps += 1;
        }
    }
}

/// A command that brings the instance on; `choice` says which.
fn fair(state: &State, definition: &Definition, choice: u8) -> Command {
    let none = Variables::new;
    let mut possible = Vec::new();
    let jobs = state.jobs(definition).into_iter();
    possible.extend(jobs.map(|job| Command::JobDone {
        job: job.id,
        variables: none(),
        local_variables: none(),
    }));
    possible.extend(state.async_jobs(definition).iter().map(|open| Command::AsyncDue { job: open.id }));
    possible.extend(state.timers(definition).iter().map(|open| Command::TimerFired { timer: open.id }));
    let messages = state.subscriptions(definition).into_iter();
    possible.extend(messages.map(|open| Command::Message {
        subscription: open.id,
        variables: none(),
        source: Some("message".to_owned()),
    }));
    let tasks = state.user_tasks(definition).into_iter();
    possible.extend(tasks.map(|task| Command::UserTaskCompleted {
        task: task.id,
        variables: none(),
        source: None,
    }));
    possible.extend(state.calls().into_iter().map(|call| Command::CallDone { call, variables: none() }));
    assert!(!possible.is_empty(), "nothing can bring {:?} on", state.waiting(definition));
    possible.swap_remove(usize::from(choice) % possible.len())
}

/// Every public model runs at least one complete path, its work done by stand-ins.
#[test]
fn public_models_have_a_complete_path() {
    let shared = std::env::var_os("DSF_SHARED")
        .map_or(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let mut files = Vec::new();
    find_models(&shared.join("plugins"), &mut files);
    find_models(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../processes"), &mut files);
    files.sort();
    let options = CompileOptions { stand_in_jobs: true, ..CompileOptions::default() };
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap().replace("#{version}", "1.0");
        let definition = bpmn::compile(&bpmn::parse(&text).unwrap(), &options).unwrap();
        // Which flow is taken depends on variables that the stand-ins set: some set of them leads on.
        let completes = (0..=254).any(|seed| {
            let mut run = Walk::new(&definition, true);
            if run.start(seed, variables(seed)).is_err() {
                return false;
            }
            for step in 0..400_u32 {
                if *run.state.status() == Status::Completed {
                    return true;
                }
                run.now += 120_000;
                // Work first: a timer that repeats would run for ever.
                let jobs = run.state.jobs(&definition);
                let next = match jobs.first() {
                    Some(job) => Command::JobDone {
                        job: job.id,
                        variables: variables(seed),
                        local_variables: Variables::new(),
                    },
                    None if !run.state.is_active() => return false,
                    None => {
                        let choice = seed.wrapping_mul(31).wrapping_add(u8::try_from(step % 251).unwrap());
                        fair(&run.state, &definition, choice)
                    }
                };
                if run.step(next).is_err() {
                    return false;
                }
            }
            false
        });
        assert!(completes, "{}: no complete path found", file.display());
    }
}
