//! One transaction: everything that a batch of inputs needs is locked and loaded, the steps run in
//! memory, and what changed is written in one pipeline.
//!
//! Locks are taken in one order by all transactions, so that they never wait in a circle:
//! business keys, requesters, instances, jobs and timers, messages; each kind sorted.
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use messaging::{
    engine::{CompleteTaskRequest, DeliverRequest, Delivered, RefuseRequest},
    job::{Acknowledgement, JobResult, SendFailure},
    operate::Operation,
};
use time::OffsetDateTime;
use tracing::info_span;
use uuid::Uuid;

use crate::{
    definitions::{Compiled, Definitions},
    error::Error,
    fuse::{Fuse, Place},
    instance::{Instance, Payload},
    message::Message,
    settings::Limits,
    store::{Connection, Transaction},
};

/// One thing to do.
#[derive(Debug, Clone)]
pub enum Input {
    /// A received Task.
    Deliver(Box<DeliverRequest>),
    /// A Task that cannot be translated.
    Refuse(RefuseRequest),
    /// A worker's answer for a job.
    Result(Uuid, Box<JobResult>),
    /// The router's answer for a write-back.
    Written(Uuid, Box<JobResult>),
    /// A timer is due.
    Timer(Uuid),
    /// Work of our own is due.
    Job(Uuid),
    /// An operator's action.
    Operate(Box<Operation>),
    /// A user task was completed.
    CompleteTask(Box<CompleteTaskRequest>),
    /// The lease of a job may have run out.
    Silent(Uuid),
    /// Queued starts of this requester may find room.
    Admit(String),
    /// Held messages ran out of time.
    Expire,
}

/// What the asker gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// For a delivery.
    Delivered(Delivered),
    /// For a result.
    Acknowledged(Acknowledgement),
    /// For an operation: done, or why not.
    Operated(Result<(), String>),
    /// Nobody asked.
    Nothing,
}

/// What is to be done once the transaction is committed.
#[derive(Debug, Default)]
pub struct After {
    /// Job types that have work now, with how much.
    pub ready: BTreeMap<String, usize>,
    /// Messages whose write-back waits for a final status ([`Limits::coalesce`]), and those that got one.
    pub deferred: Vec<Uuid>,
    /// See `deferred`.
    pub settled: Vec<Uuid>,
    /// Work of our own that is due now.
    pub due_jobs: Vec<Uuid>,
    /// Earliest timer that was set.
    pub earliest: Option<OffsetDateTime>,
    /// Requesters with room for queued starts.
    pub freed: BTreeSet<String>,
    /// Requesters whose starts were queued.
    pub queued: BTreeSet<String>,
    /// Counted for metrics: instances started and ended.
    pub started: usize,
    /// See `started`.
    pub ended: usize,
    /// How long activities took, in milliseconds: process key, version tag, activity.
    pub durations: Vec<(String, String, String, i64)>,
}

/// A job row that a result or our own work is about.
#[derive(Debug)]
pub struct JobRow {
    /// Job id.
    pub id: Uuid,
    /// Its instance.
    pub instance: Uuid,
    /// Element id.
    pub activity: String,
    /// Job type.
    pub kind: String,
    /// `handler`, `send` or `engine`.
    pub stage: String,
    /// Type under which it is claimed.
    pub claim_kind: String,
    /// `ready`, `leased` or `incident`.
    pub state: String,
    /// When it may be claimed.
    pub due: OffsetDateTime,
    /// Attempts made.
    pub attempts: i32,
    /// `failedJobRetryTimeCycle`.
    pub retry_cycle: Option<String>,
    /// Token of the current lease.
    pub lease: Option<String>,
    /// End of the current lease.
    pub lease_until: Option<OffsetDateTime>,
    /// Content.
    pub payload: Payload,
    /// Send order as JSON.
    pub send: Option<String>,
    /// Failure of the send as JSON.
    pub send_failure: Option<String>,
    /// Organization that a send goes to.
    pub recipient: Option<String>,
    /// First attempt of the current stage.
    pub first_attempt: Option<OffsetDateTime>,
    /// False while what it belongs to is paused.
    pub runs: bool,
    /// True when it is to be deleted.
    pub done: bool,
    /// True when it is to be written.
    pub changed: bool,
}

impl JobRow {
    /// The failure the handler is to decide about.
    pub fn failure(&self) -> Option<SendFailure> {
        serde_json::from_str(self.send_failure.as_deref()?).ok()
    }
}

/// Admission of one requester.
#[derive(Debug, Default, Clone, Copy)]
pub struct Room {
    /// Instances that count.
    pub fresh: u32,
    /// True when starts are queued already.
    pub queued: bool,
}

/// An output for a received message.
#[derive(Debug)]
pub struct Output {
    /// Instance that has the message.
    pub instance: Uuid,
    /// Our id of it; otherwise the Task is named by base URL and reference.
    pub message: Option<Uuid>,
    /// Base URL of the Task.
    pub base_url: String,
    /// Reference of the Task.
    pub reference: String,
    /// FHIR JSON.
    pub output: String,
}

/// An incident to record.
#[derive(Debug)]
pub struct Incident {
    /// The instance.
    pub instance: Option<Uuid>,
    /// The job.
    pub job: Option<Uuid>,
    /// The message.
    pub message: Option<Uuid>,
    /// The token that waits, where it is not the job.
    pub token: Option<Uuid>,
    /// `job`, `step`, `bpmn-error` or `write-back`.
    pub class: &'static str,
    /// Element id.
    pub activity: Option<String>,
    /// Text for the operator.
    pub reason: String,
}

/// A transaction's work.
pub struct Unit<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) now: OffsetDateTime,
    pub(crate) instances: BTreeMap<Uuid, Instance>,
    pub(crate) messages: BTreeMap<Uuid, Message>,
    pub(crate) jobs: BTreeMap<Uuid, JobRow>,
    pub(crate) timers: BTreeMap<Uuid, (Uuid, OffsetDateTime)>,
    pub(crate) newest: HashMap<(String, String), Arc<Compiled>>,
    pub(crate) room: HashMap<String, Room>,
    /// Instances of jobs and timers whose instance was not open: rows to delete.
    pub(crate) outputs: Vec<Output>,
    /// Instances whose Tasks fail, with the output for each.
    pub(crate) failed: Vec<(Uuid, String)>,
    pub(crate) incidents: Vec<Incident>,
    pub(crate) later_timers: Vec<(Uuid, OffsetDateTime)>,
    pub(crate) gone_timers: Vec<Uuid>,
    pub(crate) written: Vec<(Uuid, JobResult)>,
    pub(crate) extra_jobs: Vec<(Uuid, Uuid, crate::instance::NewJob)>,
    /// Definitions that call activities start, by call.
    pub(crate) called: HashMap<Uuid, Arc<Compiled>>,
    /// Incidents that operations are about.
    pub(crate) open_incidents: BTreeMap<Uuid, crate::operate::OpenIncident>,
    /// User tasks that completions are about: instance.
    pub(crate) user_tasks: BTreeMap<Uuid, Uuid>,
    /// QuestionnaireResponses made: user task, instance and where.
    pub(crate) forms: Vec<(Uuid, messaging::job::Source)>,
    /// Incidents that are over, by their own id, and by job or token.
    pub(crate) resolved: Vec<Uuid>,
    pub(crate) settled: Vec<Uuid>,
    /// Write-backs to try again.
    pub(crate) rewrites: Vec<Uuid>,
    /// What was done: actor, action, object, reason.
    pub(crate) audit: Vec<[String; 4]>,
    pub(crate) after: After,
}

/// An input with the trace it belongs to.
pub type Traced = (Input, Option<String>);

/// Runs a batch in one transaction.
///
/// # Errors
/// Nothing has happened then, except when the commit itself was interrupted: every input may safely
/// be given again.
pub async fn run(
    connection: &mut Connection,
    definitions: &Definitions,
    limits: &Limits,
    fuse: &Fuse,
    inputs: &[Traced],
) -> Result<(Vec<Answer>, After), Error> {
    let db = connection.transaction().await?;
    let mut unit = Unit::new(limits);
    let fresh = unit.load(&db, definitions, inputs).await?;
    let mut answers = Vec::with_capacity(inputs.len());
    for (index, (input, traceparent)) in inputs.iter().enumerate() {
        let span = info_span!("step", otel.name = input.name());
        telemetry::context::set_parent(&span, traceparent.as_deref());
        answers.push(span.in_scope(|| unit.apply(input, fresh.get(&index).copied())));
    }
    unit.rematch(&db).await?;
    unit.signals(&db, definitions).await?;
    // What only moves a lease may be lost with the database's last moments: the lease runs out.
    let relaxed = inputs.iter().all(|(input, _)| input.is_repeatable());
    let written = unit.write(&db, relaxed).await?;
    for (answer, (input, _)) in answers.iter_mut().zip(inputs) {
        if let Input::Written(id, _) = input {
            *answer = Answer::Acknowledged(if written.contains(id) {
                Acknowledgement::Accepted
            } else {
                Acknowledgement::Stale
            });
        }
    }
    let after = std::mem::take(&mut unit.after);
    inputs.iter().for_each(|(input, _)| fuse.pass(input.point(), Place::BeforeCommit));
    db.commit().await?;
    inputs.iter().for_each(|(input, _)| fuse.pass(input.point(), Place::AfterCommit));
    Ok((answers, after))
}

impl Input {
    fn name(&self) -> &'static str {
        match self {
            Self::Deliver(_) => "engine deliver",
            Self::Refuse(_) => "engine refuse",
            Self::Result(..) => "engine job result",
            Self::Written(..) => "engine write-back result",
            Self::Timer(_) => "engine timer",
            Self::Job(_) => "engine continuation",
            Self::Operate(_) => "engine operation",
            Self::CompleteTask(_) => "engine user task",
            Self::Silent(_) => "engine lease over",
            Self::Admit(_) => "engine admit",
            Self::Expire => "engine expire",
        }
    }

    /// Its kind as [`crate::fuse`] names it.
    pub(crate) fn point(&self) -> &'static str {
        use messaging::job::Outcome;
        match self {
            Self::Deliver(_) => "deliver",
            Self::Refuse(_) => "refuse",
            Self::Result(_, result) => match result.outcome {
                Outcome::Done(_) => "job-done",
                Outcome::Send(_) => "job-send",
                Outcome::BpmnError { .. } => "bpmn-error",
                Outcome::Reject { .. } => "job-rejected",
                Outcome::Fault { .. } => "job-fault",
                Outcome::SendFailed(_) => "send-failed",
                Outcome::Created { .. } => "form-created",
                Outcome::Written { .. } => "written",
            },
            Self::Written(..) => "written",
            Self::Timer(_) => "timer",
            Self::Job(_) => "own-work",
            Self::Operate(_) => "operation",
            Self::CompleteTask(_) => "user-task",
            Self::Silent(_) => "lease-over",
            Self::Admit(_) => "admit",
            Self::Expire => "expire",
        }
    }

    /// True when losing it in a crash of the database only costs another attempt: nothing outside
    /// may be reached before a later, durable transaction. (A send is claimed durably.)
    fn is_repeatable(&self) -> bool {
        use messaging::job::Outcome::{Fault, Send, SendFailed};
        match self {
            Self::Written(..) | Self::Silent(_) => true,
            Self::Result(_, result) => {
                matches!(result.outcome, Send(_) | Fault { .. } | SendFailed(_))
            }
            _ => false,
        }
    }
}

impl<'a> Unit<'a> {
    pub(crate) fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            now: OffsetDateTime::UNIX_EPOCH,
            instances: BTreeMap::new(),
            messages: BTreeMap::new(),
            jobs: BTreeMap::new(),
            timers: BTreeMap::new(),
            newest: HashMap::new(),
            room: HashMap::new(),
            outputs: Vec::new(),
            failed: Vec::new(),
            incidents: Vec::new(),
            later_timers: Vec::new(),
            gone_timers: Vec::new(),
            written: Vec::new(),
            extra_jobs: Vec::new(),
            called: HashMap::new(),
            open_incidents: BTreeMap::new(),
            user_tasks: BTreeMap::new(),
            forms: Vec::new(),
            resolved: Vec::new(),
            settled: Vec::new(),
            rewrites: Vec::new(),
            audit: Vec::new(),
            after: After::default(),
        }
    }

    fn apply(&mut self, input: &Input, message: Option<Uuid>) -> Answer {
        match input {
            Input::Deliver(_) => match message {
                Some(id) => {
                    self.place(id, true);
                    Answer::Delivered(Delivered::Accepted)
                }
                None => Answer::Delivered(Delivered::Duplicate),
            },
            Input::Refuse(request) => match message {
                Some(id) => {
                    if let Some(message) = self.messages.get_mut(&id) {
                        message.refuse(&request.reason);
                    }
                    Answer::Delivered(Delivered::Accepted)
                }
                None => Answer::Delivered(Delivered::Duplicate),
            },
            Input::Result(id, result) => Answer::Acknowledged(self.result(*id, result)),
            Input::Written(id, result) => {
                self.written.push((*id, (**result).clone()));
                Answer::Acknowledged(Acknowledgement::Accepted)
            }
            Input::Timer(id) => {
                self.timer(*id);
                Answer::Nothing
            }
            Input::Job(id) => {
                self.own_job(*id);
                Answer::Nothing
            }
            Input::Operate(operation) => Answer::Operated(self.operate(operation)),
            Input::CompleteTask(request) => Answer::Delivered(match message {
                Some(id) => self.complete_task(id, request),
                None => Delivered::Duplicate,
            }),
            Input::Silent(id) => {
                self.silent(*id);
                Answer::Nothing
            }
            Input::Admit(requester) => {
                self.admit(requester);
                Answer::Nothing
            }
            Input::Expire => {
                self.expire();
                Answer::Nothing
            }
        }
    }

    /// Carries out a command on an instance and takes up what it leads to.
    pub(crate) fn step(&mut self, id: Uuid, command: bpmn::Command) -> Result<(), bpmn::StepError> {
        let Some(instance) = self.instances.get_mut(&id) else { return Err(bpmn::StepError::NotActive) };
        instance.apply(command, self.now, self.limits.options)?;
        let (key, tag) = instance.process();
        let took = instance
            .durations
            .iter()
            .map(|(activity, millis)| (key.to_owned(), tag.to_owned(), activity.clone(), *millis));
        self.after.durations.extend(took);
        instance.durations.clear();
        if !instance.is_open() {
            self.after.freed.insert(instance.requester.clone());
            self.after.ended += 1;
        }
        let crossing = crate::calls::crossing(instance);
        let Some(instance) = self.instances.get_mut(&id) else { return Ok(()) };
        for uncaught in instance.uncaught.drain(..) {
            if let Some(job) = uncaught.job.and_then(|job| self.jobs.get_mut(&job)) {
                job.state = "incident".to_owned();
                job.changed = true;
            }
            self.incidents.push(Incident {
                instance: Some(id),
                job: uncaught.job,
                message: None,
                token: uncaught.token,
                class: "bpmn-error",
                activity: Some(uncaught.activity),
                reason: uncaught.reason,
            });
        }
        for (target, activity, payload) in crossing {
            self.own_work(target, activity, payload);
        }
        Ok(())
    }

    /// Records an incident of an instance.
    pub(crate) fn incident(
        &mut self,
        instance: Uuid,
        job: Option<Uuid>,
        class: &'static str,
        activity: &str,
        reason: String,
    ) {
        if let Some(instance) = self.instances.get_mut(&instance).filter(|instance| instance.is_open()) {
            instance.status = "incident";
            instance.changed = true;
        }
        self.incidents.push(Incident {
            instance: Some(instance),
            job,
            message: None,
            token: None,
            class,
            activity: Some(activity.to_owned()),
            reason,
        });
    }

    /// Signals reach who was waiting when they were thrown (design 4, promise 9): one piece of own
    /// work per subscription, and a new instance per definition that a signal starts.
    pub(crate) async fn signals(
        &mut self,
        db: &Transaction<'_>,
        definitions: &Definitions,
    ) -> Result<(), Error> {
        // A started instance may throw again; a chain of definitions that start each other is cut off.
        for _ in 0..SIGNAL_CHAIN {
            let thrown: Vec<(Uuid, crate::instance::Thrown)> = self
                .instances
                .values_mut()
                .flat_map(|instance| {
                    let id = instance.id;
                    instance.thrown.drain(..).map(move |thrown| (id, thrown)).collect::<Vec<_>>()
                })
                .collect();
            if thrown.is_empty() {
                return Ok(());
            }
            let names: Vec<&str> = thrown.iter().map(|(_, thrown)| thrown.name.as_str()).collect();
            let statement = db
                .prepare_cached(
                    "select id, instance, name from subscription
                     where kind = 'signal' and name = any($1) order by id",
                )
                .await?;
            let open = db.query(&statement, &[&names]).await?;
            let newest = definitions.all_newest(db).await?;
            for (thrower, thrown) in thrown {
                let mut targets: Vec<(Uuid, Uuid)> =
                    thrown.own.iter().map(|subscription| (thrower, *subscription)).collect();
                for row in &open {
                    let (id, instance, name): (Uuid, Uuid, &str) = (row.get(0), row.get(1), row.get(2));
                    if name == thrown.name && instance != thrower {
                        targets.push((instance, id));
                    }
                }
                for (instance, subscription) in targets {
                    let variables = thrown.variables.clone();
                    self.own_work(instance, String::new(), Payload::Signal { subscription, variables });
                }
                for definition in &newest {
                    if let Some(event) = definition.signal_start(&thrown.name) {
                        // It warns; nobody else is concerned.
                        let _ = self.start_at_event(Arc::clone(definition), event, thrown.variables.clone());
                    }
                }
            }
        }
        Ok(())
    }

    /// Something to do for an instance in a transaction of its own: one command per target.
    pub(crate) fn own_work(&mut self, instance: Uuid, activity: String, payload: Payload) {
        let job = crate::instance::NewJob {
            activity,
            kind: crate::instance::ENGINE_KIND.to_owned(),
            stage: "engine",
            due: self.now,
            attempts: 0,
            retry_cycle: None,
            payload,
            latest_message: None,
            traceparent: telemetry::context::current(),
        };
        self.extra_jobs.push((instance, Uuid::now_v7(), job));
    }
}

/// Longest chain of definitions that start one another by signals within one transaction.
const SIGNAL_CHAIN: usize = 16;
