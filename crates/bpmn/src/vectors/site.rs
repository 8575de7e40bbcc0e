//! A process engine in memory: instances, open work and a virtual clock around [`crate::step`].
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::effect::{HistoryKind, SubscriptionKind};
use crate::state::{NodeId, ROOT, State, Status, Wait, join_path};
use crate::{
    Command, CompileOptions, Context, Definition, Effect, Options, StartAt, StartTrigger, StepError,
};
use crate::{Value, Variables};

/// Virtual start of every run: 2030-01-01T00:00:00Z, in milliseconds.
const T0: i64 = 1_893_456_000_000;
/// Retries of a fresh job.
pub(super) const RETRIES: i64 = 3;

/// What the recorded runs call a failed step.
pub(super) type Failure = &'static str;
pub(super) const ENGINE_ERROR: Failure = "engine-error";
const NOT_CAUGHT: Failure = "not-caught";

/// All instances of one run. A clone is a transaction's undo log.
#[derive(Clone)]
pub(super) struct Site {
    definitions: Vec<Arc<Definition>>,
    pub(super) instances: Vec<Instance>,
    /// Milliseconds since T0.
    pub(super) clock: i64,
    ids: u128,
}

/// One instance with what its effects announced.
#[derive(Clone)]
pub(super) struct Instance {
    pub(super) definition: Arc<Definition>,
    pub(super) state: State,
    pub(super) externals: BTreeMap<Uuid, External>,
    pub(super) jobs: BTreeMap<Uuid, Job>,
    pub(super) subscriptions: BTreeMap<Uuid, Subscription>,
    pub(super) user_tasks: BTreeMap<Uuid, String>,
    /// `[what, activity, type, scope]` of the current step.
    pub(super) events: Vec<[String; 4]>,
}

/// An external job.
#[derive(Clone)]
pub(super) struct External {
    pub(super) activity: String,
    pub(super) topic: String,
    pub(super) retries: Option<i64>,
    pub(super) locked_until: Option<i64>,
    pub(super) error: Option<String>,
}

/// A timer or continuation.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) activity: String,
    /// `timer`, `async-before` or `async-after`.
    pub(super) kind: &'static str,
    pub(super) due: Option<i64>,
    pub(super) retries: i64,
    pub(super) cycle: Option<String>,
    pub(super) failed: bool,
}

/// An open event.
#[derive(Clone)]
pub(super) struct Subscription {
    pub(super) kind: SubscriptionKind,
    pub(super) name: String,
    pub(super) activity: String,
}

impl Site {
    /// Deploys all models of a scenario.
    pub(super) fn deploy(models: &[String]) -> Result<Site, String> {
        let options = CompileOptions { stand_in_jobs: true, ..CompileOptions::default() };
        let mut definitions = Vec::new();
        for text in models {
            let model = crate::parse(text).map_err(|error| error.to_string())?;
            let compiled = crate::compile_all(&model, &options).map_err(|error| error.to_string())?;
            definitions.extend(compiled.into_iter().map(Arc::new));
        }
        Ok(Site { definitions, instances: Vec::new(), clock: 0, ids: 0 })
    }

    /// Carries out a command and its effects; on failure nothing has happened.
    pub(super) fn command(&mut self, instance: usize, command: Command) -> Result<(), Failure> {
        let before = self.clone();
        let result = self.apply(instance, command);
        if result.is_err() {
            *self = before;
        }
        result
    }

    fn apply(&mut self, index: usize, command: Command) -> Result<(), Failure> {
        let Some(instance) = self.instances.get(index) else { return Err(ENGINE_ERROR) };
        let (definition, state) = (Arc::clone(&instance.definition), instance.state.clone());
        let ids = &mut self.ids;
        let mut make = || {
            *ids += 1;
            Uuid::from_u128(*ids)
        };
        let options = Options {
            uncaught_errors_raise: false,
            inclusive_join_reevaluates: false,
            job_activities_are_scopes: true,
        };
        let mut context = Context { now: T0 + self.clock, ids: &mut make, options };
        let used = match &command {
            Command::JobDone { job: id, .. }
            | Command::JobBpmnError { job: id, .. }
            | Command::AsyncDue { job: id }
            | Command::TimerFired { timer: id }
            | Command::UserTaskCompleted { task: id, .. } => Some(*id),
            _ => None,
        };
        let (state, effects) = crate::step(&definition, state, command, &mut context).map_err(failure)?;
        let instance = &mut self.instances[index];
        instance.state = state;
        if let Some(id) = used {
            instance.forget(id);
        }
        let (mut signals, mut calls) = (Vec::new(), Vec::new());
        for effect in effects {
            let of_call = matches!(
                effect,
                Effect::StartCall { .. }
                    | Effect::CancelCall { .. }
                    | Effect::ThrowToCaller { .. }
                    | Effect::InstanceCompleted
            );
            if of_call { calls.push(effect) } else { instance.effect(effect, &mut signals) }
        }
        for effect in calls {
            self.call(index, effect)?;
        }
        for (name, variables) in signals {
            self.signal(&name, &variables)?;
        }
        Ok(())
    }

    /// Starts an instance of a definition.
    pub(super) fn start(
        &mut self,
        definition: Arc<Definition>,
        at: StartAt,
        business_key: Option<String>,
        variables: Variables,
    ) -> Result<(), Failure> {
        self.ids += 1;
        let state = State::new(&definition, Uuid::from_u128(self.ids));
        self.add(definition, state);
        let index = self.instances.len() - 1;
        let result = self.command(index, Command::Start { at, business_key, variables, source: None });
        if result.is_err() {
            self.instances.truncate(index);
        }
        result
    }

    /// Carries out what goes between caller and called instance.
    fn call(&mut self, index: usize, effect: Effect) -> Result<(), Failure> {
        let id = self.instances[index].state.instance();
        let variables = self.instances[index].state.process_variables().cloned().unwrap_or_default();
        let caller = self.instances.iter().position(|instance| instance.state.calls().contains(&id));
        match effect {
            Effect::StartCall { id, called, business_key, variables, .. } => {
                let definition = self.definition(&called).ok_or(ENGINE_ERROR)?;
                let state = State::called(&definition, id);
                self.add(definition, state);
                let at = StartAt::None;
                let start = Command::Start { at, business_key, variables, source: None };
                self.apply(self.instances.len() - 1, start)
            }
            Effect::CancelCall { id } => {
                let called = self.instances.iter().position(|instance| instance.state.instance() == id);
                match called.filter(|called| self.instances[*called].state.is_active()) {
                    Some(called) => self.apply(called, Command::Cancel { reason: "caller".to_owned() }),
                    None => Ok(()),
                }
            }
            Effect::InstanceCompleted => match caller {
                Some(caller) => self.apply(caller, Command::CallDone { call: id, variables }),
                None => Ok(()),
            },
            Effect::ThrowToCaller { escalation, code, message, .. } => {
                let (mut call, mut next) = (id, caller);
                while let Some(caller) = next {
                    let (code, message, variables) = (code.clone(), message.clone(), variables.clone());
                    let threw = Command::CallThrew { call, escalation, code, message, variables };
                    match self.apply(caller, threw) {
                        Err(NOT_CAUGHT) => {}
                        other => return other,
                    }
                    call = self.instances[caller].state.instance();
                    next = self.instances.iter().position(|instance| instance.state.calls().contains(&call));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn add(&mut self, definition: Arc<Definition>, state: State) {
        self.instances.push(Instance {
            definition,
            state,
            externals: BTreeMap::new(),
            jobs: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            user_tasks: BTreeMap::new(),
            events: Vec::new(),
        });
    }

    /// The definition with a process id.
    pub(super) fn definition(&self, key: &str) -> Option<Arc<Definition>> {
        self.definitions.iter().find(|definition| definition.key() == key).cloned()
    }

    /// Definitions that start with a message.
    pub(super) fn started_by(&self, message: &str) -> Vec<Arc<Definition>> {
        let starts =
            |definition: &&Arc<Definition>| definition.start_messages().iter().any(|name| name == message);
        self.definitions.iter().filter(starts).cloned().collect()
    }

    /// Reaches everybody who waits for the signal now, then definitions that start with it.
    pub(super) fn signal(&mut self, name: &str, variables: &Variables) -> Result<(), Failure> {
        let mut targets = Vec::new();
        for (index, instance) in self.instances.iter().enumerate() {
            for (id, subscription) in &instance.subscriptions {
                if subscription.kind == SubscriptionKind::Signal && subscription.name == name {
                    targets.push((index, *id));
                }
            }
        }
        for (index, subscription) in targets {
            if self.instances[index].subscriptions.contains_key(&subscription) {
                self.apply(index, Command::Signal { subscription, variables: variables.clone() })?;
            }
        }
        for definition in self.definitions.clone() {
            for start in definition.start_events() {
                if start.trigger == StartTrigger::Signal(name.to_owned()) {
                    self.start(Arc::clone(&definition), StartAt::Event(start.id), None, variables.clone())?;
                }
            }
        }
        Ok(())
    }

    /// Due jobs with retries left: due time first, then age.
    pub(super) fn due_jobs(&self) -> Vec<(usize, Uuid)> {
        let mut due = Vec::new();
        for (index, instance) in self.instances.iter().enumerate() {
            for (id, job) in &instance.jobs {
                if job.retries > 0
                    && job.due.is_none_or(|due| due < self.clock || job.kind != "timer" && due == self.clock)
                {
                    due.push((job.due.unwrap_or(i64::MIN), *id, index));
                }
            }
        }
        due.sort_unstable();
        due.into_iter().map(|(_, id, index)| (index, id)).collect()
    }

    /// Runs one due job; a failure costs it a retry.
    pub(super) fn run_job(&mut self, index: usize, id: Uuid) {
        let Some(job) = self.instances[index].jobs.get(&id).cloned() else { return };
        let command = if job.kind == "timer" {
            Command::TimerFired { timer: id }
        } else {
            Command::AsyncDue { job: id }
        };
        if self.command(index, command).is_err()
            && let Some(failed) = self.instances[index].jobs.get_mut(&id)
        {
            if let Some(cycle) =
                job.cycle.as_deref().and_then(|cycle| crate::iso8601::retry_cycle(cycle).ok())
            {
                if !job.failed {
                    failed.retries = i64::from(cycle.attempts);
                }
                failed.due = Some(self.clock + cycle.delays.first().copied().unwrap_or_default());
            }
            failed.failed = true;
            failed.retries -= 1;
        }
    }
}

fn failure(error: StepError) -> Failure {
    match error {
        StepError::NotWaiting | StepError::NotActive => "no-such-task",
        StepError::NotCaught => NOT_CAUGHT,
        _ => ENGINE_ERROR,
    }
}

impl Instance {
    fn forget(&mut self, id: Uuid) {
        self.externals.remove(&id);
        self.jobs.remove(&id);
        self.subscriptions.remove(&id);
        self.user_tasks.remove(&id);
    }

    fn effect(&mut self, effect: Effect, signals: &mut Vec<(String, Variables)>) {
        match effect {
            Effect::CreateJob { id, activity, implementation: topic, .. } => {
                let job = External { activity, topic, retries: None, locked_until: None, error: None };
                self.externals.insert(id, job);
            }
            Effect::CreateAsyncJob { id, activity, after, retry_cycle: cycle, .. } => {
                let kind = if after { "async-after" } else { "async-before" };
                let job = Job { activity, kind, due: None, retries: RETRIES, cycle, failed: false };
                self.jobs.insert(id, job);
            }
            Effect::CreateTimer { id, activity, due } => {
                let due = Some(due - T0);
                let job = Job { activity, kind: "timer", due, retries: RETRIES, cycle: None, failed: false };
                self.jobs.insert(id, job);
            }
            Effect::Subscribe { id, kind, name, activity, .. } => {
                self.subscriptions.insert(id, Subscription { kind, name, activity });
            }
            Effect::CreateUserTask { id, activity, .. } => {
                self.user_tasks.insert(id, activity);
            }
            Effect::CancelJob { id }
            | Effect::CancelAsyncJob { id }
            | Effect::CancelTimer { id }
            | Effect::Unsubscribe { id }
            | Effect::CancelUserTask { id } => self.forget(id),
            Effect::ThrowSignal { name, variables } => signals.push((name, variables)),
            Effect::History { what, activity, kind, scope, .. } => {
                let what = match what {
                    HistoryKind::Start => "start",
                    HistoryKind::End => "end",
                    HistoryKind::Cancel | HistoryKind::Edit => "cancel",
                };
                self.events.push([what.to_owned(), activity, kind.to_owned(), scope]);
            }
            Effect::CompleteSources { .. }
            | Effect::StartCall { .. }
            | Effect::CancelCall { .. }
            | Effect::ThrowToCaller { .. }
            | Effect::UncaughtError { .. }
            | Effect::InstanceCompleted
            | Effect::InstanceCancelled { .. } => {}
        }
    }

    /// Status as the recorded runs name it.
    pub(super) fn status(&self) -> &'static str {
        match self.state.status() {
            Status::Fresh | Status::Active => "active",
            Status::Completed => "completed",
            Status::Cancelled(_) => "internally-terminated",
        }
    }

    /// Leaf activity instances.
    pub(super) fn active(&self) -> Vec<String> {
        if !self.state.is_active() {
            return Vec::new();
        }
        let mut active = Vec::new();
        for (id, node) in &self.state.nodes {
            let suffix = match node.wait {
                Wait::Scope => continue,
                Wait::AsyncBefore(_) | Wait::AsyncAfter(..) => "@async",
                _ => "",
            };
            let scope = self.state.scope_path(&self.definition, *id);
            active.push(join_path(scope, self.definition.id_of(node.element)) + suffix);
        }
        active
    }

    /// Local variables of every scope that has some.
    pub(super) fn variables(&self) -> Vec<(String, Json)> {
        let mut scopes = Vec::new();
        for (id, node) in &self.state.nodes {
            let hidden = matches!(node.wait, Wait::AsyncBefore(_) | Wait::AsyncAfter(..));
            if node.variables.is_empty() || hidden || (*id != ROOT && !self.state.is_active()) {
                continue;
            }
            let scope = match *id {
                ROOT => String::new(),
                _ => join_path(self.state.scope_path(&self.definition, *id), &node.label(&self.definition)),
            };
            let values: Map<String, Json> =
                node.variables.iter().map(|(name, value)| (name.clone(), value.to_json())).collect();
            scopes.push((scope, Json::Object(values)));
        }
        scopes
    }

    /// True when the variables visible from a wait have these values.
    pub(super) fn sees(&self, anchor: Uuid, wanted: Option<&Json>) -> bool {
        let matches = |(name, value): (&String, &Json)| {
            self.state.visible_variable(anchor, name).map(Value::to_json).as_ref() == Some(value)
        };
        wanted.and_then(Json::as_object).is_none_or(|wanted| wanted.iter().all(matches))
    }

    /// True when the waiting activity itself has these local values.
    pub(super) fn has_local(&self, anchor: Uuid, wanted: Option<&Json>) -> bool {
        let Some(wanted) = wanted.and_then(Json::as_object) else { return true };
        let local = self.state.node_of(anchor).and_then(|node| self.state.nodes.get(&node));
        wanted.iter().all(|(name, value)| {
            local.and_then(|node| node.variables.get(name)).map(Value::to_json).as_ref() == Some(value)
        })
    }

    /// True when some scope of the instance has each of these values.
    pub(super) fn has_anywhere(&self, wanted: Option<&Json>) -> bool {
        let Some(wanted) = wanted.and_then(Json::as_object) else { return true };
        let somewhere = |name: &String, value: &Json| {
            let has = |id: &NodeId| {
                self.state.nodes[id].variables.get(name).map(Value::to_json).as_ref() == Some(value)
            };
            self.state.nodes.keys().any(has)
        };
        wanted.iter().all(|(name, value)| somewhere(name, value))
    }
}
