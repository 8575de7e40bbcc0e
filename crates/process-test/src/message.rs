//! Messages between sites: the Task of the wire, as far as a process sees it.
use fhir::{
    generation::{Generation, ProcessForm, message},
    task::Process,
};
use messaging::job::{Document, ReceivedMessage, Source};
use serde_json::{Value, json};

use crate::instance::InstanceId;

/// Number of a message, in the order of sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub usize);

/// What a message says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Post {
    /// Site that sends it.
    pub from: String,
    /// Site that gets it.
    pub to: String,
    /// Canonical of the process, `url|version` (generation 0.9: `url/version`).
    pub process: String,
    /// Message name.
    pub message_name: String,
    /// Business key; the receiver makes one where it is empty.
    pub business_key: String,
    /// Key of one waiting branch.
    pub correlation_key: Option<String>,
    /// Profile of the Task.
    pub profile: String,
    /// Further `Task.input` entries as FHIR JSON.
    pub inputs: Vec<Value>,
}

/// What became of a message: the status of its Task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageStatus {
    /// Nobody has it yet.
    Requested,
    /// An instance has it.
    InProgress,
    /// An end event was reached.
    Completed,
    /// It failed, and why.
    Failed(String),
}

/// A message that reached its site.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// What it says.
    pub post: Post,
    /// When, milliseconds since the epoch.
    pub sent: i64,
    /// What became of it.
    pub status: MessageStatus,
    /// The instance that has or had it.
    pub instance: Option<InstanceId>,
    /// Outputs that workers added, as FHIR JSON.
    pub outputs: Vec<Value>,
    pub(crate) target: Process,
    pub(crate) generation: &'static Generation,
    pub(crate) expires: Option<i64>,
}

/// Reads the canonical of a process in either generation's form.
pub(crate) fn process(text: &str) -> Option<(Process, &'static Generation)> {
    fhir::generation::all()
        .into_iter()
        .find_map(|generation| Some((Process::parse(text, generation.process_form)?, generation)))
}

/// `Task/<number>` of a message.
pub(crate) fn reference(id: MessageId) -> String {
    format!("Task/{}", id.0)
}

impl Message {
    /// The message as workers see it.
    pub(crate) fn received(&self, id: MessageId) -> ReceivedMessage {
        let post = &self.post;
        let generation = self.generation;
        let organization = |site: &str| {
            let identifier = json!({"system": generation.organization_identifier, "value": site});
            json!({"type": "Organization", "identifier": identifier})
        };
        let mut inputs = Vec::new();
        let mut input = |code: &str, value: &str| {
            let coding = json!([{"system": generation.bpmn_message, "code": code}]);
            inputs.push(json!({"type": {"coding": coding}, "valueString": value}));
        };
        input(message::NAME, &post.message_name);
        input(message::BUSINESS_KEY, &post.business_key);
        if let Some(key) = &post.correlation_key {
            input(message::CORRELATION_KEY, key);
        }
        inputs.extend(post.inputs.iter().cloned());
        let mut task = json!({
            "resourceType": "Task",
            "id": id.0.to_string(),
            "meta": {"profile": [post.profile]},
            "status": "in-progress",
            "intent": "order",
            "authoredOn": bpmn::iso8601::format_instant(self.sent),
            "requester": organization(&post.from),
            "restriction": {"recipient": [organization(&post.to)]},
            "input": inputs,
        });
        let element = match generation.process_form {
            ProcessForm::Canonical => "instantiatesCanonical",
            ProcessForm::Uri => "instantiatesUri",
        };
        task[element] = post.process.as_str().into();
        ReceivedMessage {
            source: Source { base_url: base_url(&post.to), reference: reference(id) },
            document: Document { media_type: "application/fhir+json".to_owned(), text: task.to_string() },
        }
    }

    /// Ends it unless it has ended.
    pub(crate) fn end(&mut self, status: MessageStatus) {
        if matches!(self.status, MessageStatus::Requested | MessageStatus::InProgress) {
            self.status = status;
            self.expires = None;
        }
    }

    /// One line: who tells whom what.
    pub(crate) fn line(&self) -> String {
        format!("{} -> {}: {}", self.post.from, self.post.to, self.post.message_name)
    }
}

/// Base URL of a site's endpoint.
pub(crate) fn base_url(site: &str) -> String {
    format!("https://{site}/fhir")
}
