//! What the caller has to do after a step, as data and in order.
use std::collections::BTreeMap;

use uuid::Uuid;

use crate::definition::CallBinding;
use crate::value::{Value, Variables};

/// One consequence of a step. The caller carries all of them out in the transaction that stores the
/// new state. Something created and removed within one step appears neither way. The job, timer,
/// continuation or user task that the command named is used up without a cancel effect (except
/// where [`Effect::UncaughtError`] names the job); a used subscription gets its `Unsubscribe`.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Work for a worker; answered by `JobDone` or `JobBpmnError`.
    CreateJob {
        /// Job id.
        id: Uuid,
        /// Element id.
        activity: String,
        /// What kind of element.
        kind: JobKind,
        /// `camunda:class`, or the topic of an external task.
        implementation: String,
        /// Field injections, expressions evaluated.
        fields: BTreeMap<String, Value>,
        /// `failedJobRetryTimeCycle` as written, expressions evaluated; see [`crate::iso8601::retry_cycle`].
        retry_cycle: Option<String>,
        /// False where `camunda:exclusive="false"`.
        exclusive: bool,
    },
    /// The job is no longer wanted.
    CancelJob {
        /// Job id.
        id: Uuid,
    },
    /// A continuation to run in a transaction of its own; answered by `AsyncDue`.
    CreateAsyncJob {
        /// Job id.
        id: Uuid,
        /// Element id.
        activity: String,
        /// False: before the activity; true: after it.
        after: bool,
        /// `failedJobRetryTimeCycle` as written.
        retry_cycle: Option<String>,
        /// False where `camunda:exclusive="false"`.
        exclusive: bool,
    },
    /// The continuation is no longer wanted.
    CancelAsyncJob {
        /// Job id.
        id: Uuid,
    },
    /// Answered by `TimerFired` when due.
    CreateTimer {
        /// Timer id.
        id: Uuid,
        /// Element id of the timer event.
        activity: String,
        /// Milliseconds since 1970-01-01T00:00:00Z; may lie in the past.
        due: i64,
    },
    /// The timer is no longer wanted.
    CancelTimer {
        /// Timer id.
        id: Uuid,
    },
    /// The instance waits for an event.
    Subscribe {
        /// Subscription id.
        id: Uuid,
        /// What kind of event.
        kind: SubscriptionKind,
        /// Message or signal name; element id for conditional events.
        name: String,
        /// Element id of the event.
        activity: String,
        /// Local variable `correlationKey` of the waiting execution, where it is set.
        correlation_key: Option<String>,
    },
    /// The instance no longer waits for it, because it happened or for another reason.
    Unsubscribe {
        /// Subscription id.
        id: Uuid,
    },
    /// A signal for every subscription of that name and for definitions with a start event for it.
    ThrowSignal {
        /// Signal name.
        name: String,
        /// Variables that go with it.
        variables: Variables,
    },
    /// A person has to do something; answered by `UserTaskCompleted`.
    CreateUserTask {
        /// User task id.
        id: Uuid,
        /// Element id.
        activity: String,
        /// Name of the element.
        name: Option<String>,
        /// `camunda:formKey`, expressions evaluated: canonical of the Questionnaire.
        form_key: Option<String>,
        /// Task listeners for `create`, in order, for their fields; hooks have run by now.
        listeners: Vec<ListenerCall>,
    },
    /// The user task is no longer wanted.
    CancelUserTask {
        /// User task id.
        id: Uuid,
    },
    /// A call activity wants an instance; answered by `CallDone` or `CallThrew`.
    StartCall {
        /// Call id; the called instance is to have the same id.
        id: Uuid,
        /// Element id.
        activity: String,
        /// Process id.
        called: String,
        /// Which version of it.
        binding: CallBinding,
        /// Business key for the called instance.
        business_key: Option<String>,
        /// Its variables.
        variables: Variables,
    },
    /// The called instance is to be cancelled.
    CancelCall {
        /// Call id.
        id: Uuid,
    },
    /// This called instance does not catch what was thrown: the caller is to be asked (`CallThrew`).
    /// An error's token waits meanwhile; an escalation's has gone on.
    ThrowToCaller {
        /// Element id.
        activity: String,
        /// The job, or the token, that waits; none for an escalation.
        token: Option<Uuid>,
        /// True when `token` is a job.
        job: bool,
        /// An escalation, not an error.
        escalation: bool,
        /// Its code.
        code: String,
        /// Error message.
        message: Option<String>,
    },
    /// An end event was reached: the messages with these sources are done, newest first
    /// (contract 2.5). The start source stays known to the state and may come again.
    CompleteSources {
        /// The sources.
        sources: Vec<String>,
    },
    /// Nobody catches this BPMN error. The token stays where it is.
    UncaughtError {
        /// Element id.
        activity: String,
        /// The job that reported it and still is open; none for an error end event.
        job: Option<Uuid>,
        /// The job, or the token that waits at the error end event.
        token: Uuid,
        /// Error code; empty where the end event names none.
        code: String,
        /// Error message.
        message: Option<String>,
    },
    /// One fact for the history of the instance.
    History {
        /// What happened.
        what: HistoryKind,
        /// Element id, with `#multiInstanceBody` for the body of a multi-instance activity.
        activity: String,
        /// Type name of the element, as the reference engine calls it.
        kind: &'static str,
        /// Ids of the enclosing scopes joined by `/`; empty at process level.
        scope: String,
        /// When the activity was entered, milliseconds since the epoch.
        since: i64,
    },
    /// The last token ended.
    InstanceCompleted,
    /// The instance was cancelled.
    InstanceCancelled {
        /// Why.
        reason: String,
    },
}

/// What kind of element wants a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// Service or business-rule task.
    ServiceTask,
    /// Send task.
    SendTask,
    /// Intermediate message throw event.
    ThrowEvent,
    /// Message end event.
    EndEvent,
    /// Execution listener, or hook of a user task.
    Listener,
}

/// What kind of event a subscription waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriptionKind {
    /// A message.
    Message,
    /// A signal.
    Signal,
    /// A condition over variables; the step itself evaluates it, the caller only shows it.
    Conditional,
}

/// What happened to an activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryKind {
    /// Entered.
    Start,
    /// Left.
    End,
    /// Interrupted.
    Cancel,
    /// An operator changed a variable seen from here.
    Edit,
}

/// A listener to call.
#[derive(Debug, Clone, PartialEq)]
pub struct ListenerCall {
    /// `camunda:class`.
    pub class: String,
    /// Field injections, expressions evaluated.
    pub fields: BTreeMap<String, Value>,
}
