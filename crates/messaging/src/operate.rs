//! What operators ask of the engine: `engine.api.<noun>.<verb>`, each change audited.
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{job::Variable, subject};

/// One change by an operator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Who does it; recorded.
    pub actor: String,
    /// Why; recorded, and for `fail` and `cancel` the text of the error output. No personal data.
    #[serde(default)]
    pub reason: String,
    /// What.
    pub action: Action,
}

/// What an operator does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Action {
    /// Tries again what became an incident, with all its attempts.
    RetryIncident {
        /// Incident id.
        incident: String,
    },
    /// Changes a variable in the nearest scope around the token that has it, else at the instance.
    SetVariable {
        /// Instance id.
        instance: String,
        /// A waiting token.
        #[serde(default)]
        token: Option<String>,
        /// Its name.
        name: String,
        /// Its new value; none removes it.
        #[serde(default)]
        value: Option<Variable>,
    },
    /// Lets the waiting step end as if it were done.
    Skip {
        /// Instance id.
        instance: String,
        /// The token.
        token: String,
    },
    /// Takes a token to another element of its scope.
    Move {
        /// Instance id.
        instance: String,
        /// The token.
        token: String,
        /// Element id.
        to: String,
    },
    /// Ends an instance as failed; its Tasks fail.
    Fail {
        /// Instance id.
        instance: String,
    },
    /// Ends an instance as cancelled; its Tasks fail.
    Cancel {
        /// Instance id.
        instance: String,
    },
    /// Holds jobs, timers and continuations back.
    Pause {
        /// Of what.
        scope: PauseScope,
    },
    /// Ends a pause.
    Resume {
        /// Of what.
        scope: PauseScope,
    },
}

/// What can be paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PauseScope {
    /// Everything, write-backs included.
    Engine,
    /// All instances of a process version.
    Process {
        /// Process key.
        key: String,
        /// Version tag.
        version: String,
    },
    /// Instances that a partner started, and sends to it.
    Partner {
        /// Value of its organization identifier.
        organization: String,
    },
    /// One instance.
    Instance {
        /// Its id.
        instance: String,
    },
}

impl fmt::Display for PauseScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine => f.write_str("engine"),
            Self::Process { key, version } => write!(f, "{key}|{version}"),
            Self::Partner { organization } => f.write_str(organization),
            Self::Instance { instance } => f.write_str(instance),
        }
    }
}

impl Action {
    /// Name of the action in the audit.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::RetryIncident { .. } => "retry",
            Self::SetVariable { .. } => "set-variable",
            Self::Skip { .. } => "skip",
            Self::Move { .. } => "move",
            Self::Fail { .. } => "fail",
            Self::Cancel { .. } => "cancel",
            Self::Pause { .. } => "pause",
            Self::Resume { .. } => "resume",
        }
    }

    /// Subject on which the engine takes it; any other is refused, so that permissions hold.
    pub fn subject(&self) -> &'static str {
        match self {
            Self::RetryIncident { .. } => subject::INCIDENT_RETRY,
            Self::SetVariable { .. } => subject::INSTANCE_SET_VARIABLE,
            Self::Skip { .. } => subject::INSTANCE_SKIP,
            Self::Move { .. } => subject::INSTANCE_MOVE,
            Self::Fail { .. } => subject::INSTANCE_FAIL,
            Self::Cancel { .. } => subject::INSTANCE_CANCEL,
            Self::Pause { .. } => subject::ENGINE_PAUSE,
            Self::Resume { .. } => subject::ENGINE_RESUME,
        }
    }
}

/// Selects incidents.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IncidentQuery {
    /// Of this instance.
    pub instance: Option<String>,
    /// Of this process.
    pub process_key: Option<String>,
    /// Of this version of it.
    pub process_version: Option<String>,
    /// `job`, `step`, `bpmn-error` or `write-back`.
    pub class: Option<String>,
    /// At this element.
    pub activity: Option<String>,
    /// With this text in their reason.
    pub reason: Option<String>,
    /// Resolved ones, too.
    pub resolved: bool,
    /// At most this many, oldest first; 0: the engine's own limit.
    pub limit: u32,
}

/// Retries every incident that a query selects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryAllRequest {
    /// Who does it; recorded.
    pub actor: String,
    /// Why; recorded.
    #[serde(default)]
    pub reason: String,
    /// Which ones.
    pub query: IncidentQuery,
}

/// What came of a [`RetryAllRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryAllReply {
    /// Incidents that are tried again.
    pub retried: u32,
    /// Incidents that were gone meanwhile, or refused.
    pub left: u32,
}

/// One incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IncidentView {
    /// Incident id.
    pub id: String,
    /// Instance id.
    pub instance: Option<String>,
    /// Process key.
    pub process_key: Option<String>,
    /// Version tag.
    pub process_version: Option<String>,
    /// Business key of the instance.
    pub business_key: Option<String>,
    /// `job`, `step`, `bpmn-error` or `write-back`.
    pub class: String,
    /// Element id.
    pub activity: Option<String>,
    /// Id of the job or token, for skip and move.
    pub token: Option<String>,
    /// What happened.
    pub reason: String,
    /// When, RFC 3339.
    pub created: String,
    /// When it was over.
    pub resolved: Option<String>,
}

/// Something that may become an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Warning {
    /// `failing`: attempts failed, more are left; `slow`: waits longer than 95 of 100 did.
    pub kind: String,
    /// Instance id.
    pub instance: String,
    /// Process key.
    pub process_key: String,
    /// Version tag.
    pub process_version: String,
    /// Business key.
    pub business_key: String,
    /// Element id.
    pub activity: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// For the operator's eyes.
    pub detail: String,
}

/// Asks for an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportRequest {
    /// Instance id.
    pub instance: String,
    /// Values of variables, too; they may be personal data.
    #[serde(default)]
    pub variables: bool,
}

/// Everything known of one instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceExport {
    /// Name and version of this form.
    pub form: String,
    /// The instance itself.
    pub instance: Value,
    /// Where tokens wait, with their ids.
    pub tokens: Value,
    /// Variables by scope.
    pub variables: Value,
    /// Open jobs.
    pub jobs: Value,
    /// Running timers.
    pub timers: Value,
    /// Open user tasks.
    pub user_tasks: Value,
    /// Received Tasks and QuestionnaireResponses.
    pub messages: Value,
    /// Incidents, resolved ones included.
    pub incidents: Value,
    /// What operators did.
    pub operations: Value,
    /// Called instances.
    pub children: Value,
    /// What happened, oldest first.
    pub history: Value,
}
