//! A process instance in memory while a transaction works on it.
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use bpmn::{
    CallBinding, Command, Context, Effect, HistoryKind, JobKind, Options, State, StepError, SubscriptionKind,
    Variables, retry,
};
use messaging::{engine::HistoryEntry, job::FORM};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use crate::definitions::Compiled;

/// Version of the stored form of an instance's state.
pub const STATE_VERSION: i16 = 1;
/// Continuations that one transaction runs for an instance; further ones get their own.
const CONTINUATIONS: usize = 1000;
/// Type under which our own work is kept in the job table; no worker can claim it.
pub const ENGINE_KIND: &str = "dsf/engine";

/// An instance with everything a transaction did to it.
#[derive(Debug)]
pub struct Instance {
    /// Instance id.
    pub id: Uuid,
    /// Its definition, pinned.
    pub definition: Arc<Compiled>,
    /// Business key.
    pub business_key: String,
    /// The instance whose call activity started it; the call has the id of this instance.
    pub parent: Option<Uuid>,
    /// Second key, from the process variable `alternativeBusinessKey`.
    pub alternative_key: Option<String>,
    /// Identifier of the organization whose Task started it.
    pub requester: String,
    /// `active`, `incident`, `completed`, `failed` or `cancelled`.
    pub status: &'static str,
    /// Revision as stored; 0 while it is not stored yet.
    pub rev: i64,
    /// Tokens, scopes, variables.
    pub state: State,
    /// The message that started it.
    pub start_message: Option<Uuid>,
    /// See the table.
    pub fresh_until: Option<OffsetDateTime>,
    /// Start time.
    pub started: OffsetDateTime,
    /// End time.
    pub ended: Option<OffsetDateTime>,
    /// Trace of its start.
    pub traceparent: Option<String>,
    /// True when this transaction changed it.
    pub changed: bool,
    /// History of this transaction.
    pub history: Vec<HistoryEntry>,
    /// Jobs made by this transaction and still wanted.
    pub new_jobs: BTreeMap<Uuid, NewJob>,
    /// Timers made by this transaction and still wanted.
    pub new_timers: BTreeMap<Uuid, (String, OffsetDateTime)>,
    /// Signal subscriptions made by this transaction and still wanted.
    pub new_signals: BTreeMap<Uuid, String>,
    /// Rows to delete.
    pub gone_jobs: Vec<Uuid>,
    /// Rows to delete.
    pub gone_timers: Vec<Uuid>,
    /// Rows to delete.
    pub gone_signals: Vec<Uuid>,
    /// Ids of messages whose Tasks are completed.
    pub completed: Vec<Uuid>,
    /// Errors nobody catches.
    pub uncaught: Vec<Uncaught>,
    /// Signals thrown, with the subscriptions of this instance that were open at that moment.
    pub thrown: Vec<Thrown>,
    /// User tasks made by this transaction and still wanted.
    pub new_tasks: BTreeMap<Uuid, NewTask>,
    /// Rows to delete.
    pub gone_tasks: Vec<Uuid>,
    /// Called instances to cancel.
    pub cancelled_calls: Vec<Uuid>,
    /// What this called instance threw and does not catch.
    pub thrown_up: Vec<ThrownUp>,
    /// Activities that ended, with the time they took in milliseconds.
    pub durations: Vec<(String, i64)>,
}

/// A user task row to be written.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// Element id.
    pub activity: String,
    /// Name of the element.
    pub name: Option<String>,
    /// Canonical of the Questionnaire.
    pub form_key: Option<String>,
}

/// An error or escalation for the caller.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ThrownUp {
    /// Element id of the thrower.
    pub activity: String,
    /// The job or token that waits meanwhile.
    #[serde(default)]
    pub token: Option<Uuid>,
    /// True when it is a job.
    #[serde(default)]
    pub job: bool,
    /// An escalation, not an error.
    #[serde(default)]
    pub escalation: bool,
    /// Its code.
    pub code: String,
    /// Its message.
    #[serde(default)]
    pub message: Option<String>,
}

/// A job row to be written.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Element id.
    pub activity: String,
    /// Job type.
    pub kind: String,
    /// `handler` or `engine`.
    pub stage: &'static str,
    /// When it may be claimed.
    pub due: OffsetDateTime,
    /// Attempts that failed already.
    pub attempts: u32,
    /// `failedJobRetryTimeCycle`.
    pub retry_cycle: Option<String>,
    /// What the job needs.
    pub payload: Payload,
    /// Message received last in its scope.
    pub latest_message: Option<Uuid>,
    /// Trace of the step that made it.
    pub traceparent: Option<String>,
}

/// Content of a job row.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Payload {
    /// For a worker.
    Handler {
        /// Kind of element.
        element: Element,
        /// Class or topic.
        implementation: String,
        /// Field injections.
        #[serde(default)]
        fields: BTreeMap<String, Json>,
    },
    /// A continuation of this instance; the job id names it.
    Continue,
    /// Starts the instance of a call activity; the job id is the call.
    StartCall {
        /// Process key.
        called: String,
        /// Which version.
        binding: Binding,
        /// Business key of the called instance.
        #[serde(default)]
        business_key: Option<String>,
        /// Its variables.
        #[serde(default)]
        variables: Variables,
    },
    /// A called instance completed.
    CallDone {
        /// The call.
        call: Uuid,
        /// Its variables.
        #[serde(default)]
        variables: Variables,
    },
    /// A called instance threw something it does not catch.
    CallThrew {
        /// The call in this instance.
        call: Uuid,
        /// What was thrown.
        thrown: ThrownUp,
        /// The instance that threw it.
        origin: Uuid,
        /// Variables of the called instance.
        #[serde(default)]
        variables: Variables,
    },
    /// No caller catches what this instance threw.
    NotCaught(ThrownUp),
    /// A called instance was ended by a decision: its caller ends as well.
    CallRejected {
        /// The call.
        call: Uuid,
        /// Text of the error output.
        reason: String,
    },
    /// The caller no longer wants this called instance.
    CancelCalled,
    /// For the router: a QuestionnaireResponse that asks for a user task; the job id is the task.
    Form {
        /// Canonical of the Questionnaire.
        form_key: String,
        /// Fields of the task listeners.
        #[serde(default)]
        fields: BTreeMap<String, Json>,
    },
    /// A signal for one subscription.
    Signal {
        /// The subscription.
        subscription: Uuid,
        /// Variables that go with it.
        #[serde(default)]
        variables: Variables,
    },
}

/// Which version of a called process starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Binding {
    /// The newest.
    Latest,
    /// That of the caller's plugin version.
    Deployment,
    /// The n-th of the key, oldest first.
    Version(String),
    /// The newest with this tag.
    VersionTag(String),
}

impl From<CallBinding> for Binding {
    fn from(binding: CallBinding) -> Self {
        match binding {
            CallBinding::Latest => Self::Latest,
            CallBinding::Deployment => Self::Deployment,
            CallBinding::Version(version) => Self::Version(version),
            CallBinding::VersionTag(tag) => Self::VersionTag(tag),
        }
    }
}

/// Kind of element that wants a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Element {
    /// Service or business-rule task.
    ServiceTask,
    /// Send task.
    SendTask,
    /// Intermediate message throw event.
    ThrowEvent,
    /// Message end event.
    EndEvent,
    /// Execution listener.
    Listener,
}

impl From<JobKind> for Element {
    fn from(kind: JobKind) -> Self {
        match kind {
            JobKind::ServiceTask => Self::ServiceTask,
            JobKind::SendTask => Self::SendTask,
            JobKind::ThrowEvent => Self::ThrowEvent,
            JobKind::EndEvent => Self::EndEvent,
            JobKind::Listener => Self::Listener,
        }
    }
}

/// A BPMN error nobody catches.
#[derive(Debug, Clone)]
pub struct Uncaught {
    /// Element id.
    pub activity: String,
    /// The job that reported it.
    pub job: Option<Uuid>,
    /// The token that waits for an operator.
    pub token: Option<Uuid>,
    /// Text for the operator.
    pub reason: String,
}

/// A thrown signal.
#[derive(Debug, Clone)]
pub struct Thrown {
    /// Signal name.
    pub name: String,
    /// Variables that go with it.
    pub variables: Variables,
    /// Subscriptions of the throwing instance that were open when it was thrown.
    pub own: Vec<Uuid>,
}

impl Instance {
    /// An instance that is about to start.
    pub fn new(
        definition: Arc<Compiled>,
        business_key: String,
        requester: String,
        now: OffsetDateTime,
    ) -> Self {
        let id = Uuid::now_v7();
        let state = State::new(&definition.model, id);
        let mut instance = Self::stored(id, definition, state, now);
        instance.business_key = business_key;
        instance.requester = requester;
        instance.changed = true;
        instance
    }

    /// An instance with this state; the caller sets what else its row holds.
    pub fn stored(id: Uuid, definition: Arc<Compiled>, state: State, started: OffsetDateTime) -> Self {
        Self {
            id,
            definition,
            business_key: String::new(),
            parent: None,
            alternative_key: None,
            requester: String::new(),
            status: "active",
            rev: 0,
            state,
            start_message: None,
            fresh_until: None,
            started,
            ended: None,
            traceparent: None,
            changed: false,
            history: Vec::new(),
            new_jobs: BTreeMap::new(),
            new_timers: BTreeMap::new(),
            new_signals: BTreeMap::new(),
            gone_jobs: Vec::new(),
            gone_timers: Vec::new(),
            gone_signals: Vec::new(),
            completed: Vec::new(),
            uncaught: Vec::new(),
            thrown: Vec::new(),
            new_tasks: BTreeMap::new(),
            gone_tasks: Vec::new(),
            cancelled_calls: Vec::new(),
            thrown_up: Vec::new(),
            durations: Vec::new(),
        }
    }

    /// True until it ended.
    pub fn is_open(&self) -> bool {
        self.ended.is_none()
    }

    /// Open message subscriptions that this message fits: by name, and by correlation key if it has one.
    pub fn waiting_for(&self, message_name: &str, correlation_key: Option<&str>) -> Vec<Uuid> {
        if !self.is_open() {
            return Vec::new();
        }
        self.state
            .subscriptions(&self.definition.model)
            .into_iter()
            .filter(|open| open.kind == SubscriptionKind::Message && open.name == message_name)
            .filter(|open| correlation_key.is_none() || open.correlation_key.as_deref() == correlation_key)
            .map(|open| open.id)
            .collect()
    }

    /// Carries out a command and the continuations it leads to. An error changes nothing.
    ///
    /// # Errors
    /// What [`bpmn::step`] says.
    pub fn apply(
        &mut self,
        command: Command,
        now: OffsetDateTime,
        options: Options,
    ) -> Result<(), StepError> {
        let mut continuations = VecDeque::new();
        self.step(command, now, options, &mut continuations)?;
        let mut budget = CONTINUATIONS;
        while let Some(next) = continuations.pop_front() {
            // Continuations have no effect outside, so they need no transaction of their own: what
            // fails is put back as if it had been tried in one.
            let failed = if budget == 0 {
                None
            } else {
                budget -= 1;
                match self.step(Command::AsyncDue { job: next.id }, now, options, &mut continuations) {
                    Ok(()) | Err(StepError::NotWaiting | StepError::NotActive) => continue,
                    Err(error) => Some(error),
                }
            };
            self.postpone(next, failed, now);
        }
        self.after();
        Ok(())
    }

    fn postpone(&mut self, next: Continuation, failed: Option<StepError>, now: OffsetDateTime) {
        let attempts = u32::from(failed.is_some());
        let pause = match &failed {
            Some(_) => retry::pause(next.retry_cycle.as_deref(), attempts),
            None => Some(std::time::Duration::ZERO),
        };
        if let (Some(error), None) = (&failed, pause) {
            let reason = error.to_string();
            let (activity, job) = (next.activity.clone(), Some(next.id));
            self.uncaught.push(Uncaught { activity, job, token: job, reason });
        }
        self.new_jobs.insert(
            next.id,
            NewJob {
                activity: next.activity,
                kind: ENGINE_KIND.to_owned(),
                stage: "engine",
                due: now + pause.unwrap_or_default(),
                attempts,
                retry_cycle: next.retry_cycle,
                payload: Payload::Continue,
                latest_message: None,
                traceparent: self.traceparent.clone(),
            },
        );
    }

    fn step(
        &mut self,
        command: Command,
        now: OffsetDateTime,
        options: Options,
        continuations: &mut VecDeque<Continuation>,
    ) -> Result<(), StepError> {
        let mut ids = Uuid::now_v7;
        let mut context = Context {
            now: i64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or_default(),
            ids: &mut ids,
            options,
        };
        let (state, effects) = bpmn::step(&self.definition.model, self.state.clone(), command, &mut context)?;
        let throws = effects.iter().any(|effect| matches!(effect, Effect::ThrowSignal { .. }));
        let mut signals: HashMap<Uuid, String> = HashMap::new();
        if throws {
            let open = self.state.subscriptions(&self.definition.model).into_iter();
            signals.extend(
                open.filter(|open| open.kind == SubscriptionKind::Signal).map(|open| (open.id, open.name)),
            );
        }
        self.state = state;
        self.changed = true;
        for effect in effects {
            match &effect {
                Effect::Subscribe { id, kind: SubscriptionKind::Signal, name, .. } if throws => {
                    signals.insert(*id, name.clone());
                }
                Effect::Unsubscribe { id } if throws => {
                    signals.remove(id);
                }
                Effect::ThrowSignal { name, variables } => {
                    let own = signals.iter().filter(|(_, open)| *open == name).map(|(id, _)| *id).collect();
                    self.thrown.push(Thrown { name: name.clone(), variables: variables.clone(), own });
                }
                _ => {}
            }
            self.carry_out(effect, now, continuations);
        }
        Ok(())
    }

    fn carry_out(&mut self, effect: Effect, now: OffsetDateTime, continuations: &mut VecDeque<Continuation>) {
        match effect {
            Effect::CreateJob { id, activity, kind, implementation, fields, retry_cycle, .. } => {
                let latest = self.state.latest_source(id).and_then(|source| source.parse().ok());
                self.new_jobs.insert(
                    id,
                    NewJob {
                        activity,
                        kind: self.definition.job_type(&implementation).to_owned(),
                        stage: "handler",
                        due: now,
                        attempts: 0,
                        retry_cycle,
                        payload: Payload::Handler {
                            element: kind.into(),
                            implementation,
                            fields: fields.into_iter().map(|(name, value)| (name, value.to_json())).collect(),
                        },
                        latest_message: latest,
                        traceparent: telemetry::context::current().or_else(|| self.traceparent.clone()),
                    },
                );
            }
            Effect::CancelJob { id } | Effect::CancelAsyncJob { id } => {
                continuations.retain(|next| next.id != id);
                if self.new_jobs.remove(&id).is_none() {
                    self.gone_jobs.push(id);
                }
            }
            Effect::CreateAsyncJob { id, activity, retry_cycle, .. } => {
                continuations.push_back(Continuation { id, activity, retry_cycle });
            }
            Effect::CreateTimer { id, activity, due } => {
                let due = OffsetDateTime::from_unix_timestamp_nanos(i128::from(due) * 1_000_000)
                    .unwrap_or(LATEST_DUE)
                    .min(LATEST_DUE);
                self.new_timers.insert(id, (activity, due));
            }
            Effect::CancelTimer { id } => {
                if self.new_timers.remove(&id).is_none() {
                    self.gone_timers.push(id);
                }
            }
            Effect::Subscribe { id, kind: SubscriptionKind::Signal, name, .. } => {
                self.new_signals.insert(id, name);
            }
            // Messages are matched against the state, conditions are the step's own business.
            Effect::Subscribe { .. } => {}
            Effect::Unsubscribe { id } => {
                if self.new_signals.remove(&id).is_none() {
                    self.gone_signals.push(id);
                }
            }
            // Taken up by the caller, which knows what was open before.
            Effect::ThrowSignal { .. } => {}
            Effect::CreateUserTask { id, activity, name, form_key, listeners } => {
                let fields = listeners.into_iter().flat_map(|listener| listener.fields);
                let fields: BTreeMap<String, Json> =
                    fields.map(|(name, value)| (name, value.to_json())).collect();
                let form = form_key.clone().unwrap_or_default();
                self.new_jobs.insert(
                    id,
                    NewJob {
                        activity: activity.clone(),
                        kind: FORM.to_owned(),
                        stage: "form",
                        due: now,
                        attempts: 0,
                        retry_cycle: None,
                        payload: Payload::Form { form_key: form, fields },
                        latest_message: None,
                        traceparent: telemetry::context::current().or_else(|| self.traceparent.clone()),
                    },
                );
                self.new_tasks.insert(id, NewTask { activity, name, form_key });
            }
            Effect::CancelUserTask { id } => {
                self.new_jobs.remove(&id);
                if self.new_tasks.remove(&id).is_none() {
                    self.gone_tasks.push(id);
                    self.gone_jobs.push(id);
                }
            }
            Effect::StartCall { id, activity, called, binding, business_key, variables } => {
                let payload = Payload::StartCall { called, binding: binding.into(), business_key, variables };
                self.new_jobs.insert(
                    id,
                    NewJob {
                        activity,
                        kind: ENGINE_KIND.to_owned(),
                        stage: "engine",
                        due: now,
                        attempts: 0,
                        retry_cycle: None,
                        payload,
                        latest_message: None,
                        traceparent: telemetry::context::current().or_else(|| self.traceparent.clone()),
                    },
                );
            }
            Effect::CancelCall { id } => {
                if self.new_jobs.remove(&id).is_none() {
                    self.gone_jobs.push(id);
                    self.cancelled_calls.push(id);
                }
            }
            Effect::ThrowToCaller { activity, token, job, escalation, code, message } => {
                self.thrown_up.push(ThrownUp { activity, token, job, escalation, code, message });
            }
            Effect::CompleteSources { sources } => {
                self.completed.extend(sources.iter().filter_map(|source| source.parse::<Uuid>().ok()));
            }
            Effect::UncaughtError { activity, job, token, code, message } => {
                let token = Some(token);
                let reason = match message {
                    Some(message) => format!("BPMN error '{code}' is not caught: {message}"),
                    None => format!("BPMN error '{code}' is not caught"),
                };
                self.uncaught.push(Uncaught { activity, job, token, reason });
            }
            Effect::History { what, activity, kind, scope, since } => {
                if what == HistoryKind::End {
                    let now = i64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
                    self.durations.push((activity.clone(), (now - since).max(0)));
                }
                let what = match what {
                    HistoryKind::Start => "start",
                    HistoryKind::End => "end",
                    HistoryKind::Cancel => "cancel",
                    HistoryKind::Edit => "edit",
                };
                let detail = if scope.is_empty() {
                    json!({"kind": kind})
                } else {
                    json!({"kind": kind, "scope": scope})
                };
                self.record(now, what, activity, detail);
            }
            Effect::InstanceCompleted => self.end("completed", now),
            Effect::InstanceCancelled { .. } => self.end("failed", now),
        }
    }

    fn end(&mut self, status: &'static str, now: OffsetDateTime) {
        self.status = status;
        self.ended = Some(now);
        self.fresh_until = None;
        self.new_jobs.clear();
        self.new_timers.clear();
        self.new_signals.clear();
        self.new_tasks.clear();
    }

    /// Adds a fact to the history.
    pub fn record(&mut self, now: OffsetDateTime, what: &str, activity: String, detail: Json) {
        self.history.push(HistoryEntry { at: rfc3339(now), what: what.to_owned(), activity, detail });
    }

    fn after(&mut self) {
        if let Some(bpmn::Value::String(key)) =
            self.state.process_variables().and_then(|variables| variables.get("alternativeBusinessKey"))
        {
            self.alternative_key = Some(key.clone());
        }
        if self.is_open() && !self.uncaught.is_empty() {
            self.status = "incident";
        }
    }

    /// Keys under which messages find this instance.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.business_key.as_str()).chain(self.alternative_key.as_deref())
    }

    /// True when some message could be delivered now.
    pub fn awaits_messages(&self) -> bool {
        self.is_open()
            && self
                .state
                .subscriptions(&self.definition.model)
                .iter()
                .any(|open| open.kind == SubscriptionKind::Message)
    }

    /// True while the state still waits for this job.
    pub fn waits_for_job(&self, job: Uuid) -> bool {
        self.is_open() && self.state.visible_variables(job).is_some()
    }

    /// Names of processes' keys for messages: key and tag.
    pub fn process(&self) -> (&str, &str) {
        (&self.definition.key, &self.definition.tag)
    }
}

/// A continuation that waits for its turn.
struct Continuation {
    id: Uuid,
    activity: String,
    retry_cycle: Option<String>,
}

/// Timers beyond this are kept at it: PostgreSQL and RFC 3339 end at different years.
const LATEST_DUE: OffsetDateTime = time::macros::datetime!(9999-12-31 00:00 UTC);

/// RFC 3339 in UTC.
pub fn rfc3339(at: OffsetDateTime) -> String {
    at.to_offset(time::UtcOffset::UTC).format(&Rfc3339).unwrap_or_default()
}
