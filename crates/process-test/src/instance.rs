//! A played instance: its state, and what it waits for outside.
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bpmn::{
    CallBinding, Definition, Effect, HistoryKind, JobKind, State, SubscriptionKind, Value, Variables,
};
use messaging::{
    engine::JobMapping,
    job::{SendFailure, SendRequest},
};
use uuid::Uuid;

/// Number of an instance, in the order of starting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(pub usize);

/// One step of an instance's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// What happened.
    pub what: Visited,
    /// Element id, with `#multiInstanceBody` for the body of a multi-instance activity.
    pub activity: String,
    /// Type name of the element, for example `serviceTask`.
    pub kind: &'static str,
    /// Ids of the enclosing scopes joined by `/`.
    pub scope: String,
    /// When, milliseconds since the epoch.
    pub at: i64,
}

/// What happened to an activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visited {
    /// It was entered.
    Entered,
    /// It ended.
    Left,
    /// It was interrupted.
    Cancelled,
    /// A test changed something by hand.
    Edited,
}

/// A definition as one site has it.
#[derive(Debug)]
pub(crate) struct Deployed {
    pub model: Definition,
    pub tag: String,
    pub jobs: Arc<BTreeMap<String, JobMapping>>,
}

impl Deployed {
    /// The job type of a class or topic.
    pub fn job_type<'a>(&'a self, implementation: &'a str) -> &'a str {
        self.jobs.get(implementation).and_then(|mapping| mapping.job.as_deref()).unwrap_or(implementation)
    }
}

/// Work that an instance waits for.
#[derive(Debug)]
pub(crate) struct Job {
    pub activity: String,
    pub due: i64,
    pub attempts: u32,
    pub retry_cycle: Option<String>,
    pub stage: Stage,
    /// No further attempt: an incident tells why.
    pub stopped: bool,
}

#[derive(Debug)]
pub(crate) enum Stage {
    /// For a scripted worker.
    Worker {
        element: JobKind,
        implementation: String,
        fields: BTreeMap<String, Value>,
        failure: Option<SendFailure>,
    },
    /// A message that has not reached its site; tried a last time when due.
    Sending {
        element: JobKind,
        implementation: String,
        fields: BTreeMap<String, Value>,
        request: Box<SendRequest>,
    },
    /// A continuation of the instance itself.
    Continuation,
}

/// What goes beyond the instance.
#[derive(Debug)]
pub(crate) enum Crossing {
    Signal { name: String, variables: Variables, own: Vec<Uuid> },
    Start(Called),
    CancelCall(Uuid),
    Threw(Thrown),
    Completed,
    Sources(Vec<String>),
    Uncaught { activity: String, job: Option<Uuid>, reason: String },
}

/// An instance that a call activity wants.
#[derive(Debug)]
pub(crate) struct Called {
    pub call: Uuid,
    pub key: String,
    pub binding: CallBinding,
    pub business_key: Option<String>,
    pub variables: Variables,
}

/// What a called instance threw and does not catch.
#[derive(Debug, Clone)]
pub(crate) struct Thrown {
    pub activity: String,
    pub job: Option<Uuid>,
    pub escalation: bool,
    pub code: String,
    pub message: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Instance {
    pub site: String,
    pub definition: Arc<Deployed>,
    pub state: State,
    pub business_key: String,
    pub caller: Option<InstanceId>,
    pub jobs: BTreeMap<Uuid, Job>,
    pub timers: BTreeMap<Uuid, i64>,
    pub signals: BTreeMap<Uuid, String>,
    pub visits: Vec<Visit>,
}

impl Instance {
    pub fn new(site: &str, definition: Arc<Deployed>, state: State, business_key: String) -> Self {
        Self {
            site: site.to_owned(),
            definition,
            state,
            business_key,
            caller: None,
            jobs: BTreeMap::new(),
            timers: BTreeMap::new(),
            signals: BTreeMap::new(),
            visits: Vec::new(),
        }
    }

    /// True when a message of this key belongs to it.
    pub fn has_key(&self, key: &str) -> bool {
        let second = self.state.process_variables().and_then(|all| all.get("alternativeBusinessKey"));
        self.business_key == key || second == Some(&Value::from(key))
    }

    /// Open message subscriptions that fit.
    pub fn waiting_for(&self, name: &str, correlation_key: Option<&str>) -> Vec<Uuid> {
        if !self.state.is_active() {
            return Vec::new();
        }
        let open = self.state.subscriptions(&self.definition.model).into_iter();
        open.filter(|open| open.kind == SubscriptionKind::Message && open.name == name)
            .filter(|open| correlation_key.is_none() || open.correlation_key.as_deref() == correlation_key)
            .map(|open| open.id)
            .collect()
    }

    /// Keeps what an effect asks for; what goes beyond the instance is returned in order.
    pub fn carry_out(&mut self, effects: Vec<Effect>, now: i64) -> VecDeque<Crossing> {
        let mut crossings = VecDeque::new();
        for effect in effects {
            crossings.extend(self.effect(effect, now));
        }
        if !self.state.is_active() {
            self.jobs.clear();
            self.timers.clear();
            self.signals.clear();
        }
        crossings
    }

    fn effect(&mut self, effect: Effect, now: i64) -> Option<Crossing> {
        match effect {
            Effect::CreateJob { id, activity, kind, implementation, fields, retry_cycle, .. } => {
                let stage = Stage::Worker { element: kind, implementation, fields, failure: None };
                let job = Job { activity, due: now, attempts: 0, retry_cycle, stage, stopped: false };
                self.jobs.insert(id, job);
            }
            Effect::CreateAsyncJob { id, activity, retry_cycle, .. } => {
                let stage = Stage::Continuation;
                let job = Job { activity, due: now, attempts: 0, retry_cycle, stage, stopped: false };
                self.jobs.insert(id, job);
            }
            Effect::CancelJob { id } | Effect::CancelAsyncJob { id } => {
                self.jobs.remove(&id);
            }
            Effect::CreateTimer { id, due, .. } => {
                self.timers.insert(id, due);
            }
            Effect::CancelTimer { id } => {
                self.timers.remove(&id);
            }
            Effect::Subscribe { id, kind: SubscriptionKind::Signal, name, .. } => {
                self.signals.insert(id, name);
            }
            Effect::Unsubscribe { id } => {
                self.signals.remove(&id);
            }
            // Messages are matched against the state, conditions and user tasks are in it.
            Effect::Subscribe { .. } | Effect::CreateUserTask { .. } | Effect::CancelUserTask { .. } => {}
            Effect::ThrowSignal { name, variables } => {
                let own = self.signals.iter().filter(|(_, open)| **open == name).map(|(id, _)| *id).collect();
                return Some(Crossing::Signal { name, variables, own });
            }
            Effect::StartCall { id, called, binding, business_key, variables, .. } => {
                let called = Called { call: id, key: called, binding, business_key, variables };
                return Some(Crossing::Start(called));
            }
            Effect::CancelCall { id } => return Some(Crossing::CancelCall(id)),
            Effect::ThrowToCaller { activity, token, job, escalation, code, message } => {
                let job = token.filter(|_| job);
                return Some(Crossing::Threw(Thrown { activity, job, escalation, code, message }));
            }
            Effect::CompleteSources { sources } => return Some(Crossing::Sources(sources)),
            Effect::UncaughtError { activity, job, code, message, .. } => {
                let text = message.map(|message| format!(": {message}")).unwrap_or_default();
                let reason = format!("BPMN error '{code}' is not caught{text}");
                return Some(Crossing::Uncaught { activity, job, reason });
            }
            Effect::History { what, activity, kind, scope, .. } => {
                let what = match what {
                    HistoryKind::Start => Visited::Entered,
                    HistoryKind::End => Visited::Left,
                    HistoryKind::Cancel => Visited::Cancelled,
                    HistoryKind::Edit => Visited::Edited,
                };
                self.visits.push(Visit { what, activity, kind, scope, at: now });
            }
            Effect::InstanceCompleted => return Some(Crossing::Completed),
            Effect::InstanceCancelled { .. } => {}
        }
        None
    }
}
