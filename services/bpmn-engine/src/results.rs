//! What a worker's answer does, and our own due work.
use bpmn::{Command, StepError, Value, Variables, retry};
use messaging::job::{
    Acknowledgement, Done, JobResult, MessageOutput, Outcome, SEND, SendFailure, SendRequest, Variable,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};
use uuid::Uuid;

use crate::{
    instance::{Element, Payload, rfc3339},
    message::error_output,
    unit::{JobRow, Output, Unit},
};

/// First pause before a failed send is made again; doubles up to [`LONGEST_SEND_PAUSE`].
const SEND_PAUSE: Duration = Duration::from_millis(250);
/// See [`SEND_PAUSE`].
const LONGEST_SEND_PAUSE: Duration = Duration::from_secs(3);
/// A timer whose step fails is tried again after this time.
const TIMER_PAUSE: Duration = Duration::from_secs(60);

/// What is stored of a send: the parts that stay the same over all attempts.
#[derive(Debug, Serialize, Deserialize)]
pub struct StoredSend {
    /// Send id.
    pub send_id: String,
    /// RFC 3339.
    pub authored_on: String,
    /// Business key of the message.
    pub business_key: String,
    /// The message.
    pub request: SendRequest,
}

/// Variables of the job protocol as the model sees them.
///
/// # Errors
/// Names the variable whose value does not fit its type.
fn variables(given: &BTreeMap<String, Variable>) -> Result<Variables, String> {
    given
        .iter()
        .map(|(name, variable)| {
            let value = Value::from_typed(&variable.kind, variable.value.clone());
            value.map(|value| (name.clone(), value)).map_err(|error| format!("variable {name}: {error}"))
        })
        .collect()
}

impl Unit<'_> {
    /// Takes a worker's answer.
    pub(crate) fn result(&mut self, id: Uuid, result: &JobResult) -> Acknowledgement {
        let current = |job: &JobRow| {
            job.state == "leased" && !job.done && job.lease.as_deref() == Some(result.lease.as_str())
        };
        let Some(mut job) = self.jobs.remove(&id).filter(current) else { return Acknowledgement::Stale };
        if !self.instances.get(&job.instance).is_some_and(|instance| instance.waits_for_job(id)) {
            // Put back what may be needed by another input of this batch.
            self.jobs.insert(id, job);
            return Acknowledgement::Stale;
        }
        match &result.outcome {
            Outcome::Done(done) => self.done(&mut job, done),
            Outcome::Send(request) => self.send(&mut job, request),
            Outcome::BpmnError { code, message, variables } => {
                self.bpmn_error(&mut job, code, message.as_deref(), variables);
            }
            Outcome::Reject { reason, outputs } => self.reject(&mut job, reason, outputs),
            Outcome::Fault { reason, unavailable } => self.fault(&mut job, reason, *unavailable),
            Outcome::SendFailed(failure) => self.send_failed(&mut job, failure),
            Outcome::Created { source } => self.form_made(&mut job, source),
            Outcome::Written { .. } => self.fault(&mut job, "answered as if it were a write-back", false),
        }
        self.jobs.insert(id, job);
        Acknowledgement::Accepted
    }

    fn done(&mut self, job: &mut JobRow, done: &Done) {
        // The router's answer to a send carries nothing; what follows was stored with the order.
        let stored = job.send.as_deref().filter(|_| job.stage == "send");
        let then = stored.and_then(|send| serde_json::from_str::<StoredSend>(send).ok());
        let effects = then.as_ref().map_or(done, |stored| &stored.request.then);
        self.finish(job, effects);
        if then.is_some() {
            self.add_outputs(job.instance, &done.outputs);
        }
    }

    fn finish(&mut self, job: &mut JobRow, done: &Done) {
        let (variables, local_variables) =
            match (variables(&done.variables), variables(&done.local_variables)) {
                (Ok(variables), Ok(local)) => (variables, local),
                (Err(reason), _) | (_, Err(reason)) => return self.stop(job, reason),
            };
        self.add_outputs(job.instance, &done.outputs);
        job.done = true;
        let command = Command::JobDone { job: job.id, variables, local_variables };
        if let Err(error) = self.step(job.instance, command) {
            self.stop(job, error.to_string());
        }
    }

    fn bpmn_error(
        &mut self,
        job: &mut JobRow,
        code: &str,
        message: Option<&str>,
        given: &BTreeMap<String, Variable>,
    ) {
        let variables = match variables(given) {
            Ok(variables) => variables,
            Err(reason) => return self.stop(job, reason),
        };
        let command = Command::JobBpmnError {
            job: job.id,
            code: code.to_owned(),
            message: message.map(str::to_owned),
            variables,
        };
        match self.step(job.instance, command) {
            Ok(()) if self.instances.get(&job.instance).is_some_and(|i| i.waits_for_job(job.id)) => {
                // Nobody caught it: the job stays for the operator.
                job.state = "incident".to_owned();
                job.changed = true;
            }
            Ok(()) => job.done = true,
            Err(error) => self.stop(job, error.to_string()),
        }
    }

    fn send(&mut self, job: &mut JobRow, request: &SendRequest) {
        if let Some(failure) = job.failure() {
            return self.default_policy(job, &failure);
        }
        let business_key = request
            .business_key
            .clone()
            .or_else(|| self.instances.get(&job.instance).map(|instance| instance.business_key.clone()));
        let stored = StoredSend {
            send_id: Uuid::now_v7().to_string(),
            authored_on: rfc3339(self.now),
            business_key: business_key.unwrap_or_default(),
            request: request.clone(),
        };
        match serde_json::to_string(&stored) {
            Ok(send) => job.send = Some(send),
            Err(error) => return self.stop(job, error.to_string()),
        }
        job.recipient = Some(request.target.organization_identifier_value.clone());
        "send".clone_into(&mut job.stage);
        SEND.clone_into(&mut job.claim_kind);
        self.again(job, Duration::ZERO);
    }

    /// A send that the handler asks for again after it failed for good (contract 3.5): a message end
    /// event fails the Tasks and ends normally, everything else stops the instance as well.
    fn default_policy(&mut self, job: &mut JobRow, failure: &SendFailure) {
        let reason = format!("Task send failed: {}", failure.message);
        match &job.payload {
            Payload::Handler { element: Element::EndEvent, .. } => {
                self.fail_tasks(job.instance, &reason);
                self.finish(job, &Done::default());
            }
            _ => self.reject(job, &reason, &[]),
        }
    }

    fn send_failed(&mut self, job: &mut JobRow, failure: &SendFailure) {
        if job.stage != "send" {
            return self.fault(job, "reported a failed send without having one", false);
        }
        match serde_json::to_string(failure) {
            Ok(failure) => job.send_failure = Some(failure),
            Err(error) => return self.stop(job, error.to_string()),
        }
        job.send = None;
        "handler".clone_into(&mut job.stage);
        job.claim_kind.clone_from(&job.kind);
        self.again(job, Duration::ZERO);
    }

    fn reject(&mut self, job: &mut JobRow, reason: &str, outputs: &[MessageOutput]) {
        self.add_outputs(job.instance, outputs);
        job.done = true;
        if let Err(error) = self.end_by_decision(job.instance, reason, "failed") {
            self.stop(job, error.to_string());
        }
    }

    pub(crate) fn fault(&mut self, job: &mut JobRow, reason: &str, unavailable: bool) {
        if unavailable {
            job.attempts = (job.attempts - 1).max(0);
            job.changed = true;
            return self.retry(job, retry::UNAVAILABLE_PAUSE);
        }
        let attempts = u32::try_from(job.attempts).unwrap_or(1).max(1);
        if job.stage == "send" {
            let age = job
                .first_attempt
                .map_or(Duration::ZERO, |first| Duration::try_from(self.now - first).unwrap_or_default());
            if age >= self.limits.send_give_up {
                let failure = SendFailure { status: None, message: reason.to_owned() };
                return self.send_failed(job, &failure);
            }
            let pause = SEND_PAUSE.saturating_mul(1 << (attempts - 1).min(8)).min(LONGEST_SEND_PAUSE);
            return self.retry(job, pause);
        }
        match retry::pause(job.retry_cycle.as_deref(), attempts) {
            Some(pause) => self.retry(job, pause),
            None => self.stop(job, reason.to_owned()),
        }
    }

    /// A lease may have run out: that counts as an attempt; the next one is made at once, because the
    /// lease was pause enough.
    pub(crate) fn silent(&mut self, id: Uuid) {
        let now = self.now;
        let over = |job: &JobRow| {
            job.state == "leased" && !job.done && job.lease_until.is_some_and(|until| until <= now)
        };
        let Some(mut job) = self.jobs.remove(&id).filter(over) else { return };
        let attempts = u32::try_from(job.attempts).unwrap_or(1).max(1);
        // Whether a send arrived is unknown; the next attempt asks the partner before it decides.
        if job.stage == "send" || retry::pause(job.retry_cycle.as_deref(), attempts).is_some() {
            self.retry(&mut job, Duration::ZERO);
            *self.after.ready.entry(job.claim_kind.clone()).or_default() += 1;
        } else {
            self.stop(&mut job, "the worker fell silent in every attempt".to_owned());
        }
        self.jobs.insert(id, job);
    }

    /// The same stage again, later.
    fn retry(&mut self, job: &mut JobRow, pause: Duration) {
        job.state = "ready".to_owned();
        job.lease = None;
        job.due = self.now + pause;
        job.changed = true;
    }

    /// Another stage, with its own attempts.
    fn again(&mut self, job: &mut JobRow, pause: Duration) {
        self.retry(job, pause);
        job.attempts = 0;
        job.first_attempt = None;
        *self.after.ready.entry(job.claim_kind.clone()).or_default() += 1;
    }

    /// No further attempt: the job waits for an operator, the instance is kept (promise 4).
    fn stop(&mut self, job: &mut JobRow, reason: String) {
        job.done = false;
        job.state = "incident".to_owned();
        job.lease = None;
        job.changed = true;
        let activity = job.activity.clone();
        self.incident(job.instance, Some(job.id), "job", &activity, reason);
    }

    fn add_outputs(&mut self, instance: Uuid, outputs: &[MessageOutput]) {
        self.outputs.extend(outputs.iter().map(|output| Output {
            instance,
            message: None,
            base_url: output.message.base_url.clone(),
            reference: output.message.reference.clone(),
            output: output.output.to_string(),
        }));
    }

    pub(crate) fn fail_tasks(&mut self, instance: Uuid, reason: &str) {
        let Some(found) = self.instances.get(&instance) else { return };
        let output = error_output(&found.definition.tag, reason);
        self.failed.push((instance, output));
    }

    /// A timer is due.
    pub(crate) fn timer(&mut self, id: Uuid) {
        let Some((instance, due)) = self.timers.remove(&id) else { return };
        if due > self.now {
            return;
        }
        match self.step(instance, Command::TimerFired { timer: id }) {
            Ok(()) | Err(StepError::NotWaiting | StepError::NotActive) => self.gone_timers.push(id),
            Err(error) => {
                self.later_timers.push((id, self.now + TIMER_PAUSE));
                let activity = match &error {
                    StepError::Model { activity, .. } => activity.clone(),
                    _ => String::new(),
                };
                self.incident(instance, None, "step", &activity, error.to_string());
            }
        }
    }

    /// Work of our own is due: a continuation, or a signal for this instance.
    pub(crate) fn own_job(&mut self, id: Uuid) {
        let due =
            |job: &JobRow, now| job.stage == "engine" && job.state == "ready" && job.runs && job.due <= now;
        let now = self.now;
        let Some(mut job) = self.jobs.remove(&id).filter(|job| due(job, now)) else { return };
        let instance = job.instance;
        let result = match job.payload.clone() {
            Payload::Signal { subscription, variables } => {
                self.step(instance, Command::Signal { subscription, variables })
            }
            Payload::Continue | Payload::Handler { .. } | Payload::Form { .. } => {
                self.step(instance, Command::AsyncDue { job: id })
            }
            Payload::StartCall { .. } => self.start_call(&job),
            Payload::CallDone { call, variables } => {
                self.step(instance, Command::CallDone { call, variables })
            }
            Payload::CallThrew { .. } => self.call_threw(&job),
            Payload::NotCaught(thrown) => {
                self.not_caught(instance, &thrown);
                Ok(())
            }
            Payload::CallRejected { call, reason } => self.call_rejected(instance, call, &reason),
            Payload::CancelCalled => self.cancel_called(instance),
        };
        match result {
            Ok(()) | Err(StepError::NotWaiting | StepError::NotActive) => job.done = true,
            Err(error) => {
                job.attempts += 1;
                self.fault(&mut job, &error.to_string(), false);
            }
        }
        self.jobs.insert(id, job);
    }
}
