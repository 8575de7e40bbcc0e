//! Answers of scripted workers.
use std::collections::BTreeMap;

use bpmn::Value;
use messaging::job::{Done, Job, Outcome, SendRequest, Target, Variable};
use serde_json::{Value as Json, json};

use crate::message::base_url;

/// The step is done and sets these variables in the nearest scope that has them, else in the instance.
pub fn done<const N: usize>(variables: [(&str, Value); N]) -> Outcome {
    let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), typed(&value))).collect();
    Outcome::Done(Done { variables, ..Done::default() })
}

/// The step is done and sets these variables in the scope of its activity.
pub fn done_locally<const N: usize>(variables: [(&str, Value); N]) -> Outcome {
    let local = variables.into_iter().map(|(name, value)| (name.to_owned(), typed(&value))).collect();
    Outcome::Done(Done { local_variables: local, ..Done::default() })
}

/// The step is done and sets the variable `targets` to these sites, each with a correlation key
/// `key-<site>`.
pub fn targets<const N: usize>(sites: [&str; N]) -> Outcome {
    let entries: Vec<Json> =
        sites.into_iter().map(|site| target(site, Some(&format!("key-{site}")))).collect();
    done([("targets", Value::Json(json!({ "entries": entries })))])
}

/// The step is done and sets the variable `target` to who sent the message that started the instance,
/// with the correlation key of that message.
pub fn reply_to_requester(job: &Job) -> Outcome {
    let Some(message) = &job.start_message else {
        return fault("no message started this instance");
    };
    let task: Json = serde_json::from_str(&message.document.text).unwrap_or_default();
    let requester = task["requester"]["identifier"]["value"].as_str().unwrap_or_default();
    let inputs = task["input"].as_array().cloned().unwrap_or_default();
    let key = inputs.iter().find(|input| input["type"]["coding"][0]["code"] == "correlation-key");
    let key = key.and_then(|input| input["valueString"].as_str());
    done([("target", Value::Json(target(requester, key)))])
}

/// Sends what the fields of the element say to the site in the variable `target`. A send that failed
/// ends the step all the same, with `statusCode` and `errorMessage` in its scope.
pub fn send(job: &Job) -> Outcome {
    if let Some(failure) = &job.send_failure {
        let message = failure.message.as_str();
        return done_locally([("statusCode", message.into()), ("errorMessage", message.into())]);
    }
    let Some(target) = job.variables.get("target") else {
        return fault("there is no variable 'target' to send to");
    };
    match serde_json::from_value(target.value.clone()) {
        Ok(target) => send_to(job, target),
        Err(error) => fault(&format!("the variable 'target' is none: {error}")),
    }
}

/// Sends what the fields of the element say to a target. Elements of generation 0.9 say it in
/// variables.
pub fn send_to(job: &Job, target: Target) -> Outcome {
    let says = |name: &str| {
        let field = job.fields.get(name).and_then(Json::as_str);
        let variable = || job.variables.get(name).and_then(|variable| variable.value.as_str());
        field.or_else(variable).map(str::to_owned)
    };
    let process = says("instantiatesCanonical").or_else(|| says("instantiatesUri"));
    let (Some(instantiates), Some(message_name), Some(profile)) =
        (process, says("messageName"), says("profile"))
    else {
        return fault("one of instantiatesCanonical, messageName and profile is missing");
    };
    Outcome::Send(Box::new(SendRequest {
        target,
        instantiates,
        message_name,
        profile,
        business_key: None,
        inputs: Vec::new(),
        then: Done::default(),
    }))
}

/// Reports a BPMN error.
pub fn error(code: &str) -> Outcome {
    Outcome::BpmnError { code: code.to_owned(), message: None, variables: BTreeMap::new() }
}

/// Ends the instance by a decision; its messages fail.
pub fn reject(reason: &str) -> Outcome {
    Outcome::Reject { reason: reason.to_owned(), outputs: Vec::new() }
}

/// Something broke; it is tried again.
pub fn fault(reason: &str) -> Outcome {
    Outcome::Fault { reason: reason.to_owned(), unavailable: false }
}

/// A target as process variables hold it.
pub fn target(site: &str, correlation_key: Option<&str>) -> Json {
    let mut target = json!({
        "organizationIdentifierValue": site,
        "endpointIdentifierValue": format!("endpoint.{site}"),
        "endpointUrl": base_url(site),
    });
    if let Some(key) = correlation_key {
        target["correlationKey"] = key.into();
    }
    target
}

fn typed(value: &Value) -> Variable {
    Variable { kind: value.kind().to_owned(), value: value.to_json() }
}
