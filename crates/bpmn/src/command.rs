//! What can be done to a process instance.
use uuid::Uuid;

use crate::value::{Value, Variables};

/// A command to one instance. Ids are those that earlier effects announced.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Starts the instance. The state must be fresh from [`crate::State::new`].
    Start {
        /// Where.
        at: StartAt,
        /// Business key of the instance.
        business_key: Option<String>,
        /// Variables of the instance.
        variables: Variables,
        /// Source of the message that starts it; it becomes the start source of the instance.
        source: Option<String>,
    },
    /// A message for an open message subscription.
    Message {
        /// The subscription.
        subscription: Uuid,
        /// Set in the nearest scope that has the name, else at the instance.
        variables: Variables,
        /// Where the message came from; kept at the scope until an end event completes it.
        source: Option<String>,
    },
    /// A job is done; its activity ends.
    JobDone {
        /// The job.
        job: Uuid,
        /// Set in the nearest scope that has the name, else at the instance.
        variables: Variables,
        /// Set in the scope the activity runs in: its own if it has one (boundary events,
        /// input or output parameters), else the enclosing subprocess instance or process.
        local_variables: Variables,
    },
    /// A job reports a BPMN error.
    JobBpmnError {
        /// The job.
        job: Uuid,
        /// Error code.
        code: String,
        /// Text for `errorMessageVariable`.
        message: Option<String>,
        /// Set as with [`Command::JobDone`] before the error is thrown.
        variables: Variables,
    },
    /// An asynchronous continuation may go on.
    AsyncDue {
        /// Its id.
        job: Uuid,
    },
    /// A timer is due.
    TimerFired {
        /// The timer.
        timer: Uuid,
    },
    /// A signal reached an open signal subscription.
    Signal {
        /// The subscription.
        subscription: Uuid,
        /// Set in the nearest scope that has the name, else at the instance.
        variables: Variables,
    },
    /// A user task is completed.
    UserTaskCompleted {
        /// The user task.
        task: Uuid,
        /// Set in the nearest scope that has the name, else at the instance.
        variables: Variables,
        /// Where the completion came from. Not kept: no end event completes it.
        source: Option<String>,
    },
    /// A called instance completed: its outputs are mapped, the call activity ends.
    CallDone {
        /// The call.
        call: Uuid,
        /// Variables of the called instance at its end.
        variables: Variables,
    },
    /// A called instance threw an error or escalation that it does not catch itself. Fails with
    /// [`crate::StepError::NotCaught`] where this instance does not catch it either.
    CallThrew {
        /// The call.
        call: Uuid,
        /// An escalation, not an error.
        escalation: bool,
        /// Its code.
        code: String,
        /// Text for `errorMessageVariable`.
        message: Option<String>,
        /// Variables of the called instance.
        variables: Variables,
    },
    /// An operator lets the waiting activity end as if it were done.
    Skip {
        /// Id of the job, user task, call, subscription, timer or failed token.
        token: Uuid,
    },
    /// An operator takes the token away from where it waits and lets it enter another element of
    /// the same scope.
    Move {
        /// As in [`Command::Skip`].
        token: Uuid,
        /// Element id.
        to: String,
    },
    /// A token that failed at an error end event tries again.
    Retry {
        /// As [`crate::Effect::UncaughtError`] named it.
        token: Uuid,
    },
    /// An operator changes a variable: in the nearest scope around the token that has it, else at
    /// the instance.
    EditVariable {
        /// A waiting token; none: the instance.
        token: Option<Uuid>,
        /// Its name.
        name: String,
        /// None removes it.
        value: Option<Value>,
    },
    /// Sets variables at the instance.
    SetVariables {
        /// The variables.
        variables: Variables,
    },
    /// Ends the instance at once; no end event runs.
    Cancel {
        /// Why; kept in the state.
        reason: String,
    },
}

/// Where an instance starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartAt {
    /// At the none start event.
    None,
    /// At the message start event of this message name.
    Message(String),
    /// At the start event with this element id (signal and timer start events).
    Event(String),
}

/// What a step needs from outside.
pub struct Context<'a> {
    /// Time of the command, milliseconds since 1970-01-01T00:00:00Z.
    pub now: i64,
    /// Makes a fresh id for each job, timer, subscription and user task.
    pub ids: &'a mut dyn FnMut() -> Uuid,
    /// Switches.
    pub options: Options,
}

/// Behaviour that differs from the reference engine on purpose, switchable for comparison with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// An uncaught BPMN error is announced ([`crate::Effect::UncaughtError`]) and its token waits for
    /// an operator. Off: the token ends silently.
    pub uncaught_errors_raise: bool,
    /// Waiting inclusive joins are looked at again when another token of the scope moves or ends.
    /// Off: only when a token arrives.
    pub inclusive_join_reevaluates: bool,
    /// A job's activity always is a scope of its own, as with external tasks: local variables end
    /// with the activity. Off: see [`Command::JobDone`].
    pub job_activities_are_scopes: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            uncaught_errors_raise: true,
            inclusive_join_reevaluates: true,
            job_activities_are_scopes: false,
        }
    }
}
