//! The write-back stage: walks a received Task to the status the engine wants.
//!
//! Step by step in the order the contract allows; after a conflict or a lost answer the Task is
//! read again and compared, so a step that was taken is never taken twice.
use std::sync::Arc;

use fhir::{
    Element, Resource,
    generation::message,
    task::{Task, message_input},
};
use http::StatusCode;
use messaging::job::{Job, Outcome, WriteBackOrder};
use serde_json::Value;

use crate::{
    counters,
    gateway::{Gateway, GatewayError},
    recent::Recent,
};

/// Times a Task is read in one attempt. Others write a Task of ours rarely, never in a row.
const MAX_READS: u32 = 5;

/// Last status of a QuestionnaireResponse whose user task has ended.
const AMENDED: &str = "amended";

/// Handles jobs of type `dsf/write-back`.
pub(crate) struct WriteBack {
    pub(crate) gateway: Gateway,
    pub(crate) recent: Arc<Recent>,
}

impl WriteBack {
    /// Brings the Task of the order to its status.
    pub(crate) async fn handle(&self, job: Job) -> Outcome {
        let outcome = match &job.write_back {
            Some(order) => self.walk(order).await,
            None => fault("the job has no Task to write".to_owned()),
        };
        counters::written(match &outcome {
            Outcome::Written { .. } => "written",
            Outcome::Fault { unavailable: true, .. } => "unavailable",
            _ => "fault",
        });
        outcome
    }

    async fn walk(&self, order: &WriteBackOrder) -> Outcome {
        if !self.gateway.is_own(&order.source.base_url) {
            return fault("the Task is not at the own endpoint".to_owned());
        }
        if order.status == AMENDED {
            return self.amend(&order.source.reference).await;
        }
        let Some(goal) = Place::of(&order.status) else {
            return fault(format!("status {} is never written back", order.status));
        };
        let path = &order.source.reference;
        let mut conflict = None;
        for _ in 0..MAX_READS {
            let mut task = match self.recent.take(path) {
                Some(task) => task,
                None => match self.gateway.read(path).await {
                    Ok(task) => task,
                    Err(error) => return gave_up(error),
                },
            };
            let Some(mut version) = task.version_id().and_then(|version| version.parse().ok()) else {
                return fault("the Task has no version".to_owned());
            };
            loop {
                let status = task.text("status").unwrap_or_default().to_owned();
                let Some(place) = Place::of(&status) else {
                    return fault(format!("a Task with status {status} is not walked to {}", order.status));
                };
                if place >= goal {
                    if place < Place::Ended {
                        self.recent.keep(path, task);
                    }
                    return Outcome::Written { status, version };
                }
                if let Err(reason) = advance(&mut task, place, order) {
                    return fault(reason);
                }
                match self.gateway.update(path, version, fhir::to_json(&task)).await {
                    Ok(answer) => match answer.version() {
                        Some(written) => {
                            version = written;
                            // What the next step replaces.
                            let updated = task.last_updated().unwrap_or_default().to_owned();
                            task.set_meta(version, &updated);
                        }
                        None => break,
                    },
                    Err(GatewayError::Refused(StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT)) => {
                        conflict = Some("the Task is changed by others all the time".to_owned());
                        break;
                    }
                    // The answer may be lost after the version was written: look.
                    Err(GatewayError::Unavailable(reason)) => {
                        conflict = Some(reason);
                        break;
                    }
                    Err(error) => return gave_up(error),
                }
            }
        }
        Outcome::Fault {
            reason: conflict.unwrap_or_else(|| "the own endpoint does not tell versions".to_owned()),
            unavailable: true,
        }
    }
}

impl WriteBack {
    /// Marks a completed QuestionnaireResponse as taken up (contract 1.4, improvement 7).
    async fn amend(&self, path: &str) -> Outcome {
        let mut conflict = "the QuestionnaireResponse is changed by others all the time".to_owned();
        for _ in 0..MAX_READS {
            let mut response = match self.gateway.read(path).await {
                Ok(response) => response,
                Err(error) => return gave_up(error),
            };
            let Some(version) = response.version_id().and_then(|version| version.parse().ok()) else {
                return fault("the QuestionnaireResponse has no version".to_owned());
            };
            match response.text("status") {
                Some(AMENDED) => return Outcome::Written { status: AMENDED.to_owned(), version },
                Some("completed") => response.set_text("status", AMENDED),
                other => {
                    let status = other.unwrap_or("none");
                    return fault(format!("a QuestionnaireResponse with status {status} is not amended"));
                }
            }
            match self.gateway.update(path, version, fhir::to_json(&response)).await {
                Ok(answer) => {
                    let version = answer.version().unwrap_or(version + 1);
                    return Outcome::Written { status: AMENDED.to_owned(), version };
                }
                Err(GatewayError::Refused(StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT)) => {}
                // The answer may be lost after the version was written: look.
                Err(GatewayError::Unavailable(reason)) => conflict = reason,
                Err(error) => return gave_up(error),
            }
        }
        Outcome::Fault { reason: conflict, unavailable: true }
    }
}

/// How far a Task has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Requested,
    InProgress,
    Ended,
}

impl Place {
    fn of(status: &str) -> Option<Self> {
        match status {
            "requested" => Some(Self::Requested),
            "in-progress" => Some(Self::InProgress),
            "completed" | "failed" => Some(Self::Ended),
            _ => None,
        }
    }
}

/// Takes the next step on the way in the resource.
fn advance(task: &mut Resource, place: Place, order: &WriteBackOrder) -> Result<(), String> {
    if place == Place::Requested && order.status != "failed" {
        if let Some(key) = &order.business_key {
            add_business_key(task, key);
        }
        task.set_text("status", "in-progress");
        return Ok(());
    }
    add_outputs(task, &order.outputs)?;
    task.set_text("status", &order.status);
    Ok(())
}

/// Adds the business key after the message name, where the Task has none.
fn add_business_key(task: &mut Resource, key: &str) {
    let Some(view) = Task::of(task) else { return };
    if !view.message_inputs(message::BUSINESS_KEY).is_empty() {
        return;
    }
    let generation = view.generation();
    let input = message_input(generation, message::BUSINESS_KEY, key);
    let is_name = |element: &Element| {
        element.name() == "input"
            && element.at("type.coding").iter().any(|coding| {
                coding.text("system") == Some(generation.bpmn_message)
                    && coding.text("code") == Some(message::NAME)
            })
    };
    let children = task.children_mut();
    let position = children.iter().position(is_name).map_or(children.len(), |position| position + 1);
    children.insert(position, input);
}

/// Appends the outputs the Task does not have yet, in order.
fn add_outputs(task: &mut Resource, outputs: &[Value]) -> Result<(), String> {
    const PATH: &str = "Task.output";
    // Compared as written, since that is what both sides look like after one round.
    let mut present: Vec<Vec<u8>> =
        task.each("output").map(|output| fhir::fragment_to_json(output, PATH)).collect();
    for output in outputs {
        let output = fhir::fragment_from_json(output.to_string().as_bytes(), PATH)
            .map_err(|error| format!("an output of the Task cannot be read: {error}"))?;
        let text = fhir::fragment_to_json(&output, PATH);
        match present.iter().position(|other| *other == text) {
            Some(position) => drop(present.swap_remove(position)),
            None => {
                task.push(output);
            }
        }
    }
    Ok(())
}

fn gave_up(error: GatewayError) -> Outcome {
    let unavailable = matches!(error, GatewayError::Unavailable(_));
    Outcome::Fault { reason: error.to_string(), unavailable }
}

fn fault(reason: String) -> Outcome {
    Outcome::Fault { reason, unavailable: false }
}
