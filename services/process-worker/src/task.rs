//! The received Tasks of a job, and what handlers read from them and add to them.
use fhir::{Format, Resource, task::Task};
use messaging::job::{Document, Job, MessageOutput, ReceivedMessage, Source};
use serde_json::Value;

use crate::outcome::Failure;

/// A received Task.
pub(crate) struct ReceivedTask {
    source: Source,
    resource: Resource,
}

impl ReceivedTask {
    /// The Task that started the instance of a job.
    pub(crate) fn start(job: &Job) -> Result<Self, Failure> {
        let message = job.start_message.as_ref();
        Self::of(message.ok_or_else(|| Failure::Fault("the instance was not started by a Task".to_owned()))?)
    }

    fn of(message: &ReceivedMessage) -> Result<Self, Failure> {
        let resource = resource(&message.document)?;
        Ok(Self { source: message.source.clone(), resource })
    }

    /// The Task through the names of its generation.
    pub(crate) fn view(&self) -> Result<Task<'_>, Failure> {
        Task::of(&self.resource).ok_or_else(|| Failure::Fault("the message is not a Task".to_owned()))
    }

    /// The text of the first input with this coding; `path` leads from the input to the text.
    pub(crate) fn input(&self, system: &str, code: &str, path: &str) -> Result<Option<&str>, Failure> {
        Ok(self.view()?.inputs_of(system, code).into_iter().find_map(|input| input.text(path)))
    }

    /// An output for this Task.
    pub(crate) fn output(&self, output: Value) -> MessageOutput {
        MessageOutput { message: self.source.clone(), output }
    }
}

/// The resource of a document.
pub(crate) fn resource(document: &Document) -> Result<Resource, Failure> {
    let format = if document.media_type.contains("xml") { Format::Xml } else { Format::Json };
    fhir::parse(document.text.as_bytes(), format)
        .map_err(|error| Failure::Fault(format!("a resource cannot be read: {error}")))
}
