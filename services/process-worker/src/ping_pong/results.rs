//! The results of a ping: noted per target, in the end written into the Task that asked for it.
use std::collections::BTreeMap;

use fhir::generation::MODERN;
use messaging::job::{Done, Job, Outcome, Target};
use serde_json::{Value, json};

use super::{CODES, NOT_REACHABLE, PONG_MISSING, STATUS};
use crate::{
    outcome::{Failure, text},
    target,
    task::ReceivedTask,
};

/// Extension of an output that says whose result it is.
const EXTENSION: &str = "http://dsf.dev/fhir/StructureDefinition/extension-ping-status";

fn status_variable(target: &Target) -> String {
    format!("statusCode_{}", target.correlation_key.as_deref().unwrap_or_default())
}

fn error_variable(target: &Target) -> String {
    format!("errorMessage_{}", target.correlation_key.as_deref().unwrap_or_default())
}

/// Notes the result of the target at hand.
pub(super) fn note(job: &Job, status: &str) -> Result<Outcome, Failure> {
    let variables = BTreeMap::from([(status_variable(&target::of(job)?), text(status))]);
    Ok(Outcome::Done(Done { variables, ..Done::default() }))
}

/// Notes why the target at hand got no ping.
pub(super) fn note_send_error(job: &Job) -> Result<Outcome, Failure> {
    let target = target::of(job)?;
    let status = string(job, "statusCode").unwrap_or(NOT_REACHABLE);
    let mut variables = BTreeMap::from([(status_variable(&target), text(status))]);
    if let Some(message) = string(job, "errorMessage") {
        variables.insert(error_variable(&target), text(message));
    }
    Ok(Outcome::Done(Done { variables, ..Done::default() }))
}

/// One output per target, sorted by the endpoint's identifier.
pub(super) fn save(job: &Job) -> Result<Outcome, Failure> {
    let start = ReceivedTask::start(job)?;
    let mut targets = target::all(job)?;
    targets.sort_by(|a, b| a.endpoint_identifier_value.cmp(&b.endpoint_identifier_value));
    let outputs = targets
        .iter()
        .map(|target| {
            let status = string(job, &status_variable(target)).unwrap_or(PONG_MISSING);
            let error = string(job, &error_variable(target));
            start.output(output("ping-status", status, target, error))
        })
        .collect();
    Ok(Outcome::Done(Done { outputs, ..Done::default() }))
}

fn string<'a>(job: &'a Job, name: &str) -> Option<&'a str> {
    job.variables.get(name)?.value.as_str()
}

/// A `Task.output` with a result. The extension stands on the output: that is the only place where
/// the published profiles admit it.
pub(super) fn output(code: &str, status: &str, target: &Target, error: Option<&str>) -> Value {
    let mut parts = Vec::new();
    if let Some(key) = &target.correlation_key {
        parts.push(json!({"url": "correlation-key", "valueString": key}));
    }
    let identifier = |url: &str, system: &str, value: &str| json!({"url": url, "valueIdentifier": {"system": system, "value": value}});
    let organization = &target.organization_identifier_value;
    parts.push(identifier("organization-identifier", MODERN.organization_identifier, organization));
    let endpoint = &target.endpoint_identifier_value;
    parts.push(identifier("endpoint-identifier", MODERN.endpoint_identifier, endpoint));
    if let Some(message) = error {
        parts.push(json!({"url": "error-message", "valueString": message}));
    }
    json!({
        "extension": [{"url": EXTENSION, "extension": parts}],
        "type": {"coding": [{"system": CODES, "code": code}]},
        "valueCoding": {"system": STATUS, "code": status},
    })
}
