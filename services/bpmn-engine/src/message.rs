//! Received Tasks as the engine keeps them.
use messaging::{engine::DeliverRequest, job::Source};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageState {
    /// Nobody waits for it yet.
    Held,
    /// A start that waits for admission.
    Queued,
    /// An instance has it.
    Taken,
    /// Its Task failed.
    Refused,
}

impl MessageState {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Queued => "queued",
            Self::Taken => "taken",
            Self::Refused => "refused",
        }
    }
}

/// One received Task.
#[derive(Debug, Clone)]
pub struct Message {
    /// Our id; the source text that `bpmn` sees.
    pub id: Uuid,
    /// Where the Task is.
    pub source: Source,
    /// Process key.
    pub process_key: String,
    /// Version tag.
    pub version_tag: String,
    /// BPMN message name.
    pub name: String,
    /// Business key, made by us where the Task has none.
    pub business_key: String,
    /// Key of a waiting branch.
    pub correlation_key: Option<String>,
    /// Identifier of the requesting organization.
    pub requester: String,
    /// Media type of the body; empty when not loaded.
    pub media_type: String,
    /// The Task as received; empty when not loaded.
    pub body: String,
    /// Trace of its delivery.
    pub traceparent: Option<String>,
    /// What became of it.
    pub state: MessageState,
    /// End of the time it may be held.
    pub expires: Option<OffsetDateTime>,
    /// The instance that has it.
    pub instance: Option<Uuid>,
    /// Desired status of the Task; `None` while it stays `requested`.
    pub desired: Option<&'static str>,
    /// Outputs to write, as FHIR JSON.
    pub outputs: Vec<String>,
    /// Business key to add to the Task.
    pub add_business_key: Option<String>,
    /// True when the row exists.
    pub stored: bool,
    /// True when this transaction changed it.
    pub changed: bool,
}

impl Message {
    /// A delivery that was not seen before.
    pub fn new(request: DeliverRequest, traceparent: Option<String>) -> Self {
        let given = request.business_key.filter(|key| !key.is_empty());
        let add_business_key = given.is_none().then(|| Uuid::new_v4().to_string());
        Self {
            id: Uuid::now_v7(),
            source: request.source,
            process_key: request.process_key,
            version_tag: request.process_version,
            name: request.message_name,
            business_key: given.or_else(|| add_business_key.clone()).unwrap_or_default(),
            correlation_key: request.correlation_key.filter(|key| !key.is_empty()),
            requester: request.requester,
            media_type: request.document.media_type,
            body: request.document.text,
            traceparent,
            // Decided before it is stored.
            state: MessageState::Held,
            expires: None,
            instance: None,
            desired: None,
            outputs: Vec::new(),
            add_business_key,
            stored: false,
            changed: true,
        }
    }

    /// Ends its way here: the Task fails with this text.
    pub fn refuse(&mut self, reason: &str) {
        self.state = MessageState::Refused;
        self.expires = None;
        self.desired = Some("failed");
        self.outputs.push(error_output(&self.version_tag, reason));
        self.changed = true;
    }
}

/// The `Task.output` by which a Task fails (`contract/process-engine.md` 2.1). Version tags of three
/// numbers belong to generation 0.9, which has another code system (11).
pub fn error_output(version_tag: &str, reason: &str) -> String {
    let system = if version_tag.split('.').count() == 3 {
        "http://highmed.org/fhir/CodeSystem/bpmn-message"
    } else {
        "http://dsf.dev/fhir/CodeSystem/bpmn-message"
    };
    json!({"type": {"coding": [{"system": system, "code": "error"}]}, "valueString": reason}).to_string()
}
