//! A received Task as the engine's delivery command (contract process-engine.md 2.2 and 2.3).
use fhir::{Resource, task::Task};
use messaging::{
    engine::DeliverRequest,
    job::{Document, Source},
};

/// Media type of the documents we hand on.
const MEDIA_TYPE: &str = "application/fhir+json";

/// What is to be done with a Task that was read.
#[derive(Debug)]
pub(crate) enum Translated {
    /// Hand it to the engine.
    Deliver(Box<DeliverRequest>),
    /// No engine could do anything with it: fail it with this text.
    Refuse(String),
    /// It is not `requested` any more, so it was delivered before.
    Nothing,
}

/// Translates a Task; `text` is its original JSON.
pub(crate) fn translate(resource: &Resource, text: String, source: Source) -> Translated {
    let Some(task) = Task::of(resource) else {
        return Translated::Refuse("not a Task".to_owned());
    };
    if task.status() != Some("requested") {
        return Translated::Nothing;
    }
    let Some(process) = task.process() else {
        let element = task.generation().task_process_element;
        return Translated::Refuse(format!("Task.{element} does not name a process in the required form"));
    };
    let Some(message_name) = task.message_name() else {
        return Translated::Refuse("Task has no message-name input".to_owned());
    };
    // A person has another naming system than an organization; any value serves fairness.
    let requester = task
        .requester_organization()
        .or_else(|| task.requester().and_then(|requester| requester.text("identifier.value")))
        .unwrap_or_default();
    Translated::Deliver(Box::new(DeliverRequest {
        source,
        process_key: process.key,
        process_version: process.version,
        message_name: message_name.to_owned(),
        business_key: task.business_key().map(str::to_owned),
        correlation_key: task.correlation_key().map(str::to_owned),
        requester: requester.to_owned(),
        document: Document { media_type: MEDIA_TYPE.to_owned(), text },
    }))
}
