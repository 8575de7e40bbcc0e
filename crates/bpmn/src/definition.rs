//! A compiled process: elements and flows by number, expressions parsed, references resolved.
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::effect::JobKind;
use crate::expression::{Expression, Template};

/// Number of an element: its place in the model document; 0 is the process.
pub(crate) type ElementIx = u32;
/// Number of a sequence flow: its place in the model document.
pub(crate) type FlowIx = u32;

/// A compiled process definition. Immutable; compile once, share.
#[derive(Debug)]
pub struct Definition {
    pub(crate) name: Option<String>,
    pub(crate) version_tag: Option<String>,
    pub(crate) history_time_to_live: Option<String>,
    pub(crate) fingerprint: u32,
    pub(crate) elements: Vec<Element>,
    pub(crate) flows: Vec<Flow>,
    pub(crate) index: HashMap<String, ElementIx>,
}

/// How compilation treats what a model leaves to its surroundings.
#[derive(Debug, Clone, Default)]
pub struct CompileOptions {
    /// Classes (or topics) that run inside the step, without a job.
    pub inline: BTreeMap<String, Inline>,
    /// Loader of the recorded runs (`vectors/bpmn`): everything that has or lacks an implementation
    /// becomes a job named after its class or else its element; fields and listeners are ignored.
    pub stand_in_jobs: bool,
    /// Classes of `create` listeners of user tasks that are work of their own, before the task is
    /// visible. Those of other classes only bring fields, as the reference engine's own one does.
    pub hooks: BTreeSet<String>,
}

/// What an inline class does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inline {
    /// Assignments in order.
    pub assignments: Vec<InlineAssignment>,
}

/// One assignment of an inline class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineAssignment {
    /// Variable name; may hold `${…}`.
    pub name: String,
    /// Value; text or `${…}`.
    pub value: String,
    /// Set in the scope the activity runs in, not in the nearest one that has the name.
    pub local: bool,
}

/// A start event of the process level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartEvent {
    /// Element id.
    pub id: String,
    /// What starts it.
    pub trigger: StartTrigger,
}

/// What starts an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartTrigger {
    /// A start by key.
    None,
    /// A message of this name.
    Message(String),
    /// A signal of this name.
    Signal(String),
    /// A timer: the value as written and its form.
    Timer(String),
    /// A condition.
    Condition,
}

/// One reason why a model cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {element}: {message}")]
pub struct CompileError {
    /// Line in the model document, from 1.
    pub line: u32,
    /// Element id, or its tag where it has none.
    pub element: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// All reasons why a model cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct CompileErrors(pub Vec<CompileError>);

#[derive(Debug)]
pub(crate) struct Element {
    pub id: String,
    pub name: Option<String>,
    pub kind: Kind,
    /// Enclosing process or subprocess.
    pub parent: ElementIx,
    pub outgoing: Vec<FlowIx>,
    pub incoming: Vec<FlowIx>,
    pub default: Option<FlowIx>,
    /// Boundary events of this activity.
    pub boundaries: Vec<ElementIx>,
    /// Elements directly inside this scope, in document order.
    pub children: Vec<ElementIx>,
    pub multi: Option<Multi>,
    pub async_before: bool,
    pub async_after: bool,
    pub exclusive: bool,
    pub retry_cycle: Option<Template>,
    pub inputs: Vec<Mapping>,
    pub outputs: Vec<Mapping>,
    pub listeners: Vec<Listener>,
}

/// Which deployed version a call activity starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallBinding {
    /// The newest one.
    Latest,
    /// The one deployed together with the caller.
    Deployment,
    /// The one with this number in the order of deployments of the key, from 1.
    Version(String),
    /// The newest one with this version tag.
    VersionTag(String),
}

/// A call activity (contract 7.3).
#[derive(Debug)]
pub(crate) struct Call {
    /// Process id of the called process.
    pub called: Template,
    pub binding: Binding,
    pub business_key: Option<Template>,
    pub inputs: Vec<Passed>,
    pub outputs: Vec<Returned>,
}

#[derive(Debug)]
pub(crate) enum Binding {
    Latest,
    Deployment,
    Version(Template),
    VersionTag(Template),
}

/// `camunda:out` of a call: what comes back, and whether it stays at the call activity.
#[derive(Debug)]
pub(crate) struct Returned {
    pub what: Passed,
    pub local: bool,
}

#[derive(Debug)]
pub(crate) struct Flow {
    pub id: String,
    pub target: ElementIx,
    pub condition: Option<Expression>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Process,
    SubProcess {
        by_event: bool,
        transaction: bool,
    },
    Start(Catch, Interrupting),
    End(Throw),
    Catch(Catch),
    Boundary {
        attached: ElementIx,
        interrupting: bool,
        on: Catch,
    },
    Throw(Throw),
    /// Passes through.
    Task,
    Job(JobKind, Job),
    /// `camunda:expression`: evaluated, the result kept where a variable is named.
    Evaluate {
        expression: Template,
        result: Option<String>,
    },
    Receive(Template),
    Call(Box<Call>),
    User {
        form_key: Option<Template>,
        listeners: Vec<TaskListener>,
    },
    Exclusive,
    Parallel,
    Inclusive,
    EventBased,
}

/// For start events of event subprocesses.
pub(crate) type Interrupting = bool;

#[derive(Debug)]
pub(crate) enum Catch {
    None,
    Message(Template),
    Signal(Template),
    Timer(Timer),
    Condition {
        expression: Expression,
        variable: Option<String>,
        events: Vec<String>,
    },
    Error {
        code: Option<String>,
        code_variable: Option<String>,
        message_variable: Option<String>,
    },
    Escalation {
        code: Option<String>,
        code_variable: Option<String>,
    },
    /// The handler that an association leads to.
    Compensation(ElementIx),
    /// Of a transaction.
    Cancel,
    Link,
}

#[derive(Debug)]
pub(crate) enum Throw {
    None,
    /// A message; without an implementation it passes through.
    Message(Option<Job>),
    Signal(Template, Vec<Passed>),
    Error {
        code: Option<Template>,
        message: Option<String>,
    },
    Terminate,
    Escalation(Option<Template>),
    /// Of one activity, or of all in the scope.
    Compensation(Option<ElementIx>),
    /// Of the transaction around.
    Cancel,
    Link(ElementIx),
}

#[derive(Debug)]
pub(crate) struct Timer {
    pub form: TimerForm,
    pub value: Template,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimerForm {
    Date,
    Duration,
    Cycle,
}

#[derive(Debug)]
pub(crate) struct Job {
    pub implementation: String,
    pub fields: Vec<(String, Template)>,
    pub inline: Option<Vec<Assignment>>,
}

#[derive(Debug)]
pub(crate) struct Assignment {
    pub name: Template,
    pub value: Template,
    pub local: bool,
}

#[derive(Debug)]
pub(crate) struct Mapping {
    pub name: String,
    pub value: MappedValue,
}

#[derive(Debug)]
pub(crate) enum MappedValue {
    Template(Template),
    List(Vec<MappedValue>),
    Map(Vec<(String, MappedValue)>),
}

#[derive(Debug)]
pub(crate) struct Listener {
    pub on: ListenerEvent,
    pub work: ListenerWork,
}

/// What an execution listener, or a hook of a user task, does.
#[derive(Debug)]
pub(crate) enum ListenerWork {
    /// Runs inside the step.
    Assign(Vec<Assignment>),
    /// A job for a worker; the token waits for it.
    Job { class: String, fields: Vec<(String, Template)> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListenerEvent {
    Start,
    End,
    /// Of a user task, before it is visible.
    Create,
    /// Of a user task, when it was completed.
    Complete,
    /// Of this flow.
    Take(FlowIx),
}

#[derive(Debug)]
pub(crate) struct TaskListener {
    pub class: String,
    pub fields: Vec<(String, Template)>,
}

#[derive(Debug)]
pub(crate) struct Multi {
    pub sequential: bool,
    pub cardinality: Option<Template>,
    pub collection: Option<Template>,
    pub element_variable: Option<String>,
    pub completion: Option<Expression>,
    /// A standard loop: a sequence without a known length.
    pub looped: Option<Loop>,
    pub async_before: bool,
    pub async_after: bool,
    pub exclusive: bool,
    pub retry_cycle: Option<Template>,
}

/// `standardLoopCharacteristics`: again while the condition holds.
#[derive(Debug)]
pub(crate) struct Loop {
    /// The condition is looked at before the first round, too.
    pub test_before: bool,
    /// None: always, up to the maximum.
    pub condition: Option<Expression>,
    pub maximum: Option<i64>,
}

/// `camunda:in` of a signal: a variable that goes with it.
#[derive(Debug)]
pub(crate) enum Passed {
    All { local: bool },
    One { source: Template, target: String },
}

impl Definition {
    /// Process id of the model, for example `dsfdev_ping`.
    pub fn key(&self) -> &str {
        self.id_of(0)
    }

    /// `camunda:versionTag`.
    pub fn version_tag(&self) -> Option<&str> {
        self.version_tag.as_deref()
    }

    /// `camunda:historyTimeToLive`: how long an ended instance is kept, ISO 8601 or a number of days.
    pub fn history_time_to_live(&self) -> Option<&str> {
        self.history_time_to_live.as_deref()
    }

    /// Name of the process.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Number over the element ids, to notice a state of another definition.
    pub fn fingerprint(&self) -> u32 {
        self.fingerprint
    }

    /// Start events of the process level, in document order.
    pub fn start_events(&self) -> Vec<StartEvent> {
        let children = &self.elements[0].children;
        let start = |ix: &ElementIx| {
            let element = self.element(*ix);
            let Kind::Start(catch, _) = &element.kind else { return None };
            let trigger = match catch {
                Catch::Message(name) => StartTrigger::Message(name.text().to_owned()),
                Catch::Signal(name) => StartTrigger::Signal(name.text().to_owned()),
                Catch::Timer(timer) => StartTrigger::Timer(timer.value.text().to_owned()),
                Catch::Condition { .. } => StartTrigger::Condition,
                _ => StartTrigger::None,
            };
            Some(StartEvent { id: element.id.clone(), trigger })
        };
        children.iter().filter_map(start).collect()
    }

    /// When a timer start event of the process level is due next, in milliseconds since the epoch, as
    /// `deployed` (the time of deployment) and `last` (the time of its last start) say. `None`: never
    /// again, or there is no such event. A repetition is anchored at the deployment; what an outage
    /// skipped is not made up for.
    pub fn start_due(&self, event: &str, deployed: i64, last: Option<i64>) -> Option<i64> {
        let Kind::Start(Catch::Timer(timer), _) = &self.element(*self.index.get(event)?).kind else {
            return None;
        };
        let value = crate::value::Value::from(timer.value.text());
        let (first, repeat) = crate::step::due(timer.form, &value, deployed)?;
        let Some(last) = last else { return Some(first) };
        match repeat.cron {
            Some(cron) => cron.next(last),
            None => repeat.cycle?.next(deployed, last),
        }
    }

    /// Names of the messages that start an instance.
    pub fn start_messages(&self) -> Vec<String> {
        let name = |start: StartEvent| match start.trigger {
            StartTrigger::Message(name) => Some(name),
            _ => None,
        };
        self.start_events().into_iter().filter_map(name).collect()
    }

    /// Classes and topics for which the process creates jobs, sorted, without those run inline.
    pub fn implementations(&self) -> Vec<&str> {
        let jobs = self.elements.iter().filter_map(Element::job);
        let jobs = jobs.filter(|job| job.inline.is_none()).map(|job| job.implementation.as_str());
        let listeners = self.elements.iter().flat_map(|element| &element.listeners);
        let listeners = listeners.filter_map(|listener| match &listener.work {
            ListenerWork::Job { class, .. } => Some(class.as_str()),
            ListenerWork::Assign(_) => None,
        });
        let mut names: Vec<&str> = jobs.chain(listeners).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Name of an element, if it exists and has one.
    pub fn element_name(&self, id: &str) -> Option<&str> {
        self.element(*self.index.get(id)?).name.as_deref()
    }

    pub(crate) fn element(&self, ix: ElementIx) -> &Element {
        &self.elements[ix as usize]
    }

    pub(crate) fn flow(&self, ix: FlowIx) -> &Flow {
        &self.flows[ix as usize]
    }

    pub(crate) fn id_of(&self, ix: ElementIx) -> &str {
        self.elements.get(ix as usize).map(|element| element.id.as_str()).unwrap_or("?")
    }

    pub(crate) fn implementation_of(&self, ix: ElementIx) -> Option<&str> {
        self.element(ix).job().map(|job| job.implementation.as_str())
    }
}

impl Element {
    /// The job of the element, if it has an implementation.
    pub(crate) fn job(&self) -> Option<&Job> {
        match &self.kind {
            Kind::Job(_, job)
            | Kind::Throw(Throw::Message(Some(job)))
            | Kind::End(Throw::Message(Some(job))) => Some(job),
            _ => None,
        }
    }

    /// Type name of the element, as the reference engine calls it in its history.
    pub(crate) fn type_name(&self) -> &'static str {
        match &self.kind {
            Kind::Process => "process",
            Kind::SubProcess { transaction: true, .. } => "transaction",
            Kind::SubProcess { .. } => "subProcess",
            Kind::Start(catch, _) => match catch {
                Catch::Message(_) => "messageStartEvent",
                Catch::Signal(_) => "signalStartEvent",
                Catch::Timer(_) => "startTimerEvent",
                Catch::Condition { .. } => "conditionalStartEvent",
                Catch::Error { .. } => "errorStartEvent",
                Catch::Escalation { .. } => "escalationStartEvent",
                _ => "startEvent",
            },
            Kind::End(throw) => match throw {
                Throw::Message(Some(_)) => "messageEndEvent",
                // The reference engine has no better name for one that sends nothing.
                Throw::Message(None) => "endEvent",
                Throw::Signal(..) => "signalEndEvent",
                Throw::Error { .. } => "errorEndEvent",
                Throw::Terminate => "terminateEndEvent",
                Throw::Compensation(_) => "compensationEndEvent",
                Throw::Cancel => "cancelEndEvent",
                Throw::Escalation(_) => "escalationEndEvent",
                _ => "noneEndEvent",
            },
            Kind::Catch(catch) => match catch {
                Catch::Message(_) => "intermediateMessageCatch",
                Catch::Signal(_) => "intermediateSignalCatch",
                Catch::Timer(_) => "intermediateTimer",
                Catch::Condition { .. } => "intermediateConditional",
                Catch::Link => "intermediateLinkCatch",
                _ => "intermediateCatchEvent",
            },
            Kind::Boundary { on, .. } => match on {
                Catch::Message(_) => "boundaryMessage",
                Catch::Signal(_) => "boundarySignal",
                Catch::Timer(_) => "boundaryTimer",
                Catch::Condition { .. } => "boundaryConditional",
                Catch::Error { .. } => "boundaryError",
                Catch::Escalation { .. } => "boundaryEscalation",
                Catch::Cancel => "cancelBoundaryCatch",
                _ => "boundaryEvent",
            },
            Kind::Throw(throw) => match throw {
                Throw::Message(Some(_)) => "intermediateMessageThrowEvent",
                Throw::Signal(..) => "intermediateSignalThrow",
                Throw::Escalation(_) => "intermediateEscalationThrowEvent",
                Throw::Compensation(_) => "intermediateCompensationThrowEvent",
                Throw::Link(_) => "intermediateLinkThrow",
                _ => "intermediateNoneThrowEvent",
            },
            Kind::Task => "task",
            Kind::Job(JobKind::SendTask, _) => "sendTask",
            Kind::Job(..) | Kind::Evaluate { .. } => "serviceTask",
            Kind::Receive(_) => "receiveTask",
            Kind::Call(_) => "callActivity",
            Kind::User { .. } => "userTask",
            Kind::Exclusive => "exclusiveGateway",
            Kind::Parallel => "parallelGateway",
            Kind::Inclusive => "inclusiveGateway",
            Kind::EventBased => "eventBasedGateway",
        }
    }
}
