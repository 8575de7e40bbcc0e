//! The job protocol between engine and workers: JSON, versioned, open to any language.
//!
//! A hint on [`crate::subject::job_hint`] says that a job of a type is ready. A worker *claims* in
//! batches, gets a lease token and inputs, heartbeats, and answers with the token. Hints carry no
//! truth: the engine's database does, and its sweep repeats hints that were lost.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Version of the protocol. A worker ignores fields it does not know.
pub const PROTOCOL_VERSION: u32 = 1;

/// Job type by which the router sends a message to a partner.
pub const SEND: &str = "dsf/send";
/// Job type by which the router writes the desired status of a received Task.
pub const WRITE_BACK: &str = "dsf/write-back";

/// Job type by which the router makes the QuestionnaireResponse of a user task.
pub const FORM: &str = "dsf/user-task";

/// A typed process variable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Variable {
    /// `null`, `boolean`, `integer`, `decimal`, `string`, `date`, `json` or `document`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The value as JSON. For `document` a [`Document`].
    pub value: Value,
}

/// A FHIR resource as it was received: original text with its media type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// `application/fhir+json` or `application/fhir+xml`.
    pub media_type: String,
    /// The text of the resource.
    pub text: String,
}

/// Where a received message came from; identifies it for duplicates and for write-back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Source {
    /// Base URL of the FHIR endpoint that holds the Task.
    pub base_url: String,
    /// `Task/<id>`.
    pub reference: String,
}

/// A message an instance received, as workers see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReceivedMessage {
    /// Where it is.
    pub source: Source,
    /// The Task as it was delivered.
    pub document: Document,
}

/// Asks for ready jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimRequest {
    /// Protocol version of the worker.
    pub version: u32,
    /// Name of the worker, for the operator's eyes.
    pub worker: String,
    /// Job types the worker has handlers for.
    pub types: Vec<String>,
    /// Largest number of jobs to hand out now.
    pub max: u32,
    /// How long the worker may be silent before the job is handed out again, in milliseconds.
    pub lease_millis: u64,
}

/// Jobs that now belong to the worker until their lease ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClaimReply {
    /// The jobs, oldest first. Empty when none is ready.
    pub jobs: Vec<Job>,
}

/// One claimed job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Job id, stable over attempts.
    pub id: String,
    /// Job type: `<plugin>/<major.minor>/<name>`, a topic, or a class name.
    #[serde(rename = "type")]
    pub kind: String,
    /// Token of this lease. A result with another token is refused.
    pub lease: String,
    /// Attempt number, from 1.
    pub attempt: u32,
    /// Process instance id.
    pub instance: String,
    /// Key of the process definition.
    pub process_key: String,
    /// Version tag of the process definition.
    pub process_version: String,
    /// Business key of the instance.
    pub business_key: String,
    /// Id of the BPMN activity.
    pub activity: String,
    /// Field injections, expressions already evaluated.
    #[serde(default)]
    pub fields: BTreeMap<String, Value>,
    /// Variables visible to the activity that its manifest declares; all where there is none.
    #[serde(default)]
    pub variables: BTreeMap<String, Variable>,
    /// The message that started the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_message: Option<ReceivedMessage>,
    /// The message received last in the scope of the activity, if not the start message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_message: Option<ReceivedMessage>,
    /// Set when this job asked for a send and the send failed for good: the handler decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_failure: Option<SendFailure>,
    /// Only for [`SEND`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<SendOrder>,
    /// Only for [`WRITE_BACK`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_back: Option<WriteBackOrder>,
    /// Only for [`FORM`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<FormOrder>,
    /// W3C `traceparent` of the step that created the job: parent of the worker's span.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// Keeps a lease alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Job id.
    pub id: String,
    /// Token of the lease.
    pub lease: String,
    /// New life of the lease from now, in milliseconds.
    pub lease_millis: u64,
}

/// What a worker answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobResult {
    /// Protocol version of the worker.
    pub version: u32,
    /// Job id.
    pub id: String,
    /// Token of the lease.
    pub lease: String,
    /// What happened.
    pub outcome: Outcome,
}

/// The result of an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The step is done.
    Done(Done),
    /// Send this message; the activity ends when the partner has it.
    Send(Box<SendRequest>),
    /// A BPMN error that the model may catch.
    BpmnError {
        /// Error code.
        code: String,
        /// Text for `errorMessageVariable`.
        message: Option<String>,
        /// Variables set with the error.
        #[serde(default)]
        variables: BTreeMap<String, Variable>,
    },
    /// A decision, not a fault: the instance ends and its Tasks fail at once.
    Reject {
        /// Text of the error output; free of personal data.
        reason: String,
        /// Outputs added to messages before they fail.
        #[serde(default)]
        outputs: Vec<MessageOutput>,
    },
    /// Something broke: retried, in the end an incident.
    Fault {
        /// Text for the operator; free of personal data.
        reason: String,
        /// True when the cause is an outage of our own parts, which costs no attempt.
        #[serde(default)]
        unavailable: bool,
    },
    /// Only for [`SEND`]: the message did not reach the partner and will not be tried again.
    SendFailed(SendFailure),
    /// Only for [`FORM`]: the QuestionnaireResponse is there.
    Created {
        /// Where.
        source: Source,
    },
    /// Only for [`WRITE_BACK`]: what the Task now is.
    Written {
        /// Status that stands in the Task now.
        status: String,
        /// Version that holds it.
        version: u64,
    },
}

/// Effects of a finished step.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Done {
    /// Set in the nearest scope that has the name, else in the instance.
    #[serde(default)]
    pub variables: BTreeMap<String, Variable>,
    /// Set in the scope of the activity.
    #[serde(default)]
    pub local_variables: BTreeMap<String, Variable>,
    /// Outputs added to received messages.
    #[serde(default)]
    pub outputs: Vec<MessageOutput>,
}

/// A `Task.output` entry for a received message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MessageOutput {
    /// Which message.
    pub message: Source,
    /// The entry as FHIR JSON.
    pub output: Value,
}

/// A message a handler wants to be sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SendRequest {
    /// The receiver.
    pub target: Target,
    /// Canonical of the receiving process, `url|version` (generation 0.9: `url/version`).
    pub instantiates: String,
    /// Message name.
    pub message_name: String,
    /// Profile canonical of the Task.
    pub profile: String,
    /// Business key to send; the instance's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub business_key: Option<String>,
    /// Additional `Task.input` entries as FHIR JSON, in order.
    #[serde(default)]
    pub inputs: Vec<Value>,
    /// What the step has done when the message has arrived.
    #[serde(default)]
    pub then: Done,
}

/// A message receiver, as in the process variables `target` and `targets`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Value of the organization identifier.
    pub organization_identifier_value: String,
    /// Value of the endpoint identifier.
    pub endpoint_identifier_value: String,
    /// Base URL of the endpoint.
    pub endpoint_url: String,
    /// Key of the waiting branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_key: Option<String>,
}

/// A send job: stable over all attempts of one logical message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SendOrder {
    /// Send id: value of `Task.identifier` in our own system, and of `If-None-Exist`.
    pub send_id: String,
    /// `Task.authoredOn`, RFC 3339.
    pub authored_on: String,
    /// Business key of the message.
    pub business_key: String,
    /// The message.
    pub request: SendRequest,
    /// Milliseconds since the first attempt.
    pub age_millis: u64,
    /// W3C `traceparent` of the step that asked for the send, for the request to the partner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// Why a message did not arrive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendFailure {
    /// HTTP status of the partner's answer, if there was one.
    pub status: Option<u16>,
    /// Text: `<status> <reason>` or the kind of transport error.
    pub message: String,
}

/// A user task that waits for a QuestionnaireResponse (contract 4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FormOrder {
    /// Value of the item `user-task-id`; also identifies the QuestionnaireResponse over all attempts.
    pub user_task: String,
    /// Canonical of the Questionnaire, `url|version`.
    pub form_key: String,
    /// Value of the item `business-key`.
    pub business_key: String,
    /// Fields of the task listeners: who may answer (`practitionerRole`, `practitioner`, …).
    #[serde(default)]
    pub fields: BTreeMap<String, Value>,
}

/// A desired Task status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WriteBackOrder {
    /// The Task.
    pub source: Source,
    /// Status to reach: `in-progress`, `completed` or `failed`; `amended` for a QuestionnaireResponse.
    pub status: String,
    /// Outputs the Task must have, as FHIR JSON, in order.
    pub outputs: Vec<Value>,
    /// Business key to add as an input where the Task has none.
    pub business_key: Option<String>,
}

/// The engine's answer to a result or heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Acknowledgement {
    /// Committed.
    Accepted,
    /// The lease is not current (expired, answered before, instance gone): drop the job.
    Stale,
}
