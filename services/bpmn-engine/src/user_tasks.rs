//! User tasks: asked for by a QuestionnaireResponse, ended by its completion (contract 4 and 1.4).
use bpmn::{Command, StepError, Value};
use messaging::{
    engine::{CompleteTaskRequest, Delivered},
    job::Source,
};
use serde_json::json;
use uuid::Uuid;

use crate::{
    instance::Payload,
    message::MessageState,
    unit::{JobRow, Output, Unit},
};

/// Variable that holds the QuestionnaireResponse completed last, and its name in generation 0.9.
const RESPONSE: &str = "dev.dsf.bpe.subscription.QuestionnaireResponseHandler.questionnaireResponse";
const RESPONSE_0_9: &str = "questionnaireResponseCompleted";

impl Unit<'_> {
    /// A QuestionnaireResponse was completed: its user task ends; `amended` is desired afterwards.
    pub(crate) fn complete_task(&mut self, message: Uuid, request: &CompleteTaskRequest) -> Delivered {
        let task = request.user_task.parse::<Uuid>().ok();
        let known = task.and_then(|task| Some((task, *self.user_tasks.get(&task)?)));
        let Some((task, instance)) = known else {
            // Of an ended instance or another engine: ignored, as the contract says.
            self.messages.remove(&message);
            return Delivered::Duplicate;
        };
        let tag = self.instances.get(&instance).map(|instance| instance.definition.tag.clone());
        let name = match tag {
            Some(tag) if tag.split('.').count() == 3 => RESPONSE_0_9,
            _ => RESPONSE,
        };
        let document = json!({"media_type": request.document.media_type, "text": request.document.text});
        let command = Command::UserTaskCompleted {
            task,
            variables: [(name.to_owned(), Value::Document(document))].into(),
            source: None,
        };
        match self.step(instance, command) {
            Ok(()) => {
                if let Some(instance) = self.instances.get_mut(&instance) {
                    instance.gone_tasks.push(task);
                    instance.gone_jobs.push(task);
                }
                if let Some(row) = self.messages.get_mut(&message) {
                    row.state = MessageState::Taken;
                    row.instance = Some(instance);
                    row.desired = Some("amended");
                }
                Delivered::Accepted
            }
            Err(StepError::NotWaiting | StepError::NotActive) => {
                self.messages.remove(&message);
                Delivered::Duplicate
            }
            Err(error) => {
                // The answer is kept: the operator corrects the cause, the person need not answer again.
                self.messages.remove(&message);
                let activity = match &error {
                    StepError::Model { activity, .. } => activity.clone(),
                    _ => String::new(),
                };
                self.incident(instance, None, "step", &activity, error.to_string());
                Delivered::Duplicate
            }
        }
    }

    /// The router has made the QuestionnaireResponse of a user task.
    pub(crate) fn form_made(&mut self, job: &mut JobRow, source: &Source) {
        let Payload::Form { fields, .. } = &job.payload else {
            return self.fault(job, "answered as if it were a user task", false);
        };
        self.forms.push((job.id, source.clone()));
        let field = |name: &str| fields.get(name).and_then(serde_json::Value::as_str);
        let coding = (field("taskOutputSystem"), field("taskOutputCode"), field("taskOutputVersion"));
        let start = self.instances.get(&job.instance).and_then(|instance| instance.start_message);
        if let ((Some(system), Some(code), Some(version)), Some(message)) = (coding, start) {
            let output = json!({
                "type": {"coding": [{"system": system, "version": version, "code": code}]},
                "valueReference": {"reference": source.reference, "type": "QuestionnaireResponse"},
            });
            self.outputs.push(Output {
                instance: job.instance,
                message: Some(message),
                base_url: String::new(),
                reference: String::new(),
                output: output.to_string(),
            });
        }
        job.done = true;
    }
}
