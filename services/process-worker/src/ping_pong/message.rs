//! The messages ping and pong, and what becomes of them when they cannot be sent.
use fhir::generation::MODERN;
use messaging::job::{Done, Job, Outcome, SendFailure, SendRequest, Target};
use serde_json::{Value, json};

use super::{CODES, ENDPOINT_IDENTIFIER, NOT_ALLOWED, NOT_REACHABLE, PONG_SEND, results};
use crate::{
    endpoint::Endpoints,
    outcome::{Failure, named, text},
    target,
    task::ReceivedTask,
};

/// HTTP status of a partner that refuses the message.
const FORBIDDEN: u16 = 403;

/// Sends the ping. A send that failed is a result: it is kept in local variables and the model goes on.
pub(super) async fn ping(endpoints: &Endpoints, job: &Job) -> Result<Outcome, Failure> {
    if let Some(failure) = &job.send_failure {
        let local = named([("statusCode", text(status(failure))), ("errorMessage", text(&failure.message))]);
        return Ok(Outcome::Done(Done { local_variables: local, ..Done::default() }));
    }
    let site = endpoints.site().await?;
    let answer_to = json!({
        "type": "Endpoint",
        "identifier": {"system": MODERN.endpoint_identifier, "value": site.endpoint},
    });
    let inputs = vec![input(ENDPOINT_IDENTIFIER, "valueReference", answer_to)];
    Ok(Outcome::Send(Box::new(request(job, target::of(job)?, inputs)?)))
}

/// Sends the pong. When it cannot be sent the Task says so and fails.
pub(super) fn pong(job: &Job) -> Result<Outcome, Failure> {
    let start = ReceivedTask::start(job)?;
    let target = target::of(job)?;
    let output = |status: &str, error: Option<&str>| {
        start.output(results::output("pong-status", status, &target, error))
    };
    if let Some(failure) = &job.send_failure {
        let outputs = vec![output(status(failure), Some(&failure.message))];
        return Ok(Outcome::Reject { reason: error_text(job, &target, failure), outputs });
    }
    let outputs = vec![output(PONG_SEND, None)];
    let then = Done { outputs, ..Done::default() };
    let request = request(job, target.clone(), Vec::new())?;
    Ok(Outcome::Send(Box::new(SendRequest { then, ..request })))
}

fn status(failure: &SendFailure) -> &'static str {
    if failure.status == Some(FORBIDDEN) { NOT_ALLOWED } else { NOT_REACHABLE }
}

/// Why a message was not sent (contract `process-engine.md` 3.5).
fn error_text(job: &Job, target: &Target, failure: &SendFailure) -> String {
    let field = |name: &str| job.fields.get(name).and_then(Value::as_str).unwrap_or("?");
    let correlation_key =
        target.correlation_key.as_ref().map(|key| format!(", correlationKey: {key}")).unwrap_or_default();
    format!(
        "Task {} send failed [recipient: {}, endpoint: {}, businessKey: {}{correlation_key}, message: {}, error: {}]",
        field("instantiatesCanonical"),
        target.organization_identifier_value,
        target.endpoint_identifier_value,
        job.business_key,
        field("messageName"),
        failure.message,
    )
}

/// A message as the fields of the sending element describe it.
pub(super) fn request(job: &Job, target: Target, inputs: Vec<Value>) -> Result<SendRequest, Failure> {
    let field = |name: &str| {
        let value = job.fields.get(name).and_then(Value::as_str).map(str::to_owned);
        value.ok_or_else(|| Failure::Fault(format!("field {name} of {} is missing", job.activity)))
    };
    Ok(SendRequest {
        target,
        instantiates: field("instantiatesCanonical")?,
        message_name: field("messageName")?,
        profile: field("profile")?,
        business_key: None,
        inputs,
        then: Done::default(),
    })
}

/// A `Task.input` of the ping code system.
pub(super) fn input(code: &str, value_name: &str, value: Value) -> Value {
    json!({"type": {"coding": [{"system": CODES, "code": code}]}, value_name: value})
}
