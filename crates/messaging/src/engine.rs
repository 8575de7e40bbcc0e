//! Commands and questions to the process engine.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::job::{Document, Source};

/// A received Task, translated for the engine. The engine answers after its commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeliverRequest {
    /// Where the Task is; identifies it.
    pub source: Source,
    /// Process key, for example `dsfdev_ping`.
    pub process_key: String,
    /// Version tag, for example `1.0`.
    pub process_version: String,
    /// BPMN message name.
    pub message_name: String,
    /// Business key; the engine makes one where it is absent.
    pub business_key: Option<String>,
    /// Key of a waiting branch.
    pub correlation_key: Option<String>,
    /// Identifier value of the requester, for fairness between partners.
    pub requester: String,
    /// The Task.
    pub document: Document,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivered {
    /// Committed: started, correlated, queued, held, or recorded as failed.
    Accepted,
    /// Was committed before.
    Duplicate,
}

/// A Task that cannot be translated (no message name, bad canonical): fail it with this text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefuseRequest {
    /// Where the Task is.
    pub source: Source,
    /// Text of the error output.
    pub reason: String,
}

/// A completed QuestionnaireResponse that ends a user task. The engine answers after its commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompleteTaskRequest {
    /// Where the QuestionnaireResponse is; identifies it.
    pub source: Source,
    /// Answer to the item `user-task-id`.
    pub user_task: String,
    /// Answer to the item `business-key`.
    pub business_key: Option<String>,
    /// The QuestionnaireResponse.
    pub document: Document,
}

/// Deploys the models of one plugin version; identical content is not deployed again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeployRequest {
    /// Plugin name.
    pub plugin: String,
    /// Plugin version, for example `1.0.1.0`.
    pub version: String,
    /// The models with placeholders replaced, by file name.
    pub models: BTreeMap<String, String>,
    /// How classes and topics map to jobs, from `plugin.toml`; empty where there is none.
    pub jobs: BTreeMap<String, JobMapping>,
}

/// What a class or topic of a model becomes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct JobMapping {
    /// Job type; the class name itself where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Run inside the step, without a worker: sets these variables to these expressions.
    /// Names may hold `${…}` too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<BTreeMap<String, String>>,
    /// Variables the worker gets; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Vec<String>>,
}

/// What was deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployReply {
    /// One entry per model.
    pub definitions: Vec<Definition>,
}

/// A deployed definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// Process key.
    pub key: String,
    /// Version tag.
    pub version: String,
    /// Content hash, SHA-256 in hex.
    pub hash: String,
    /// Names of the messages that start it.
    pub start_messages: Vec<String>,
}

/// Every reply of the engine: the answer, or one line why not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply<T> {
    /// The answer.
    Ok(T),
    /// The request can never succeed.
    Invalid(String),
    /// Try again later: a part the engine needs is away.
    Unavailable(String),
}

/// State of one instance, for operators, demo and tests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceView {
    /// Instance id.
    pub id: String,
    /// Process key.
    pub process_key: String,
    /// Version tag.
    pub process_version: String,
    /// Business key.
    pub business_key: String,
    /// `active`, `completed`, `failed` or `incident`.
    pub status: String,
    /// Start, RFC 3339.
    pub started: String,
    /// End, RFC 3339.
    pub ended: Option<String>,
    /// The instance whose call activity started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Ids of the activities that wait.
    pub waiting: Vec<String>,
    /// Steps so far, oldest first.
    pub history: Vec<HistoryEntry>,
}

/// One step of an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When, RFC 3339.
    pub at: String,
    /// `start`, `end` or `cancel`.
    pub what: String,
    /// Activity id.
    pub activity: String,
    /// Further facts; never values of variables.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub detail: Value,
}

/// Selects instances.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct InstanceQuery {
    /// With this business key.
    pub business_key: Option<String>,
    /// With this status.
    pub status: Option<String>,
    /// At most this many, newest first.
    pub limit: u32,
}

/// Numbers for readiness and dashboards.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EngineStatus {
    /// Active instances.
    pub active_instances: u64,
    /// Jobs that wait for a worker.
    pub ready_jobs: u64,
    /// Jobs leased to workers.
    pub leased_jobs: u64,
    /// Starts that wait for admission.
    pub queued_starts: u64,
    /// Messages nobody waits for yet.
    pub held_messages: u64,
    /// Open incidents.
    pub incidents: u64,
}
