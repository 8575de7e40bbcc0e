//! The send stage: one logical message to one partner, over as many attempts as it takes.
//!
//! Every attempt carries the same send id as `Task.identifier` and is conditional on it, so a
//! partner creates at most one Task however often it is asked (contract java-client-exchange.md 9).
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use fhir::{
    Element, Resource,
    generation::{Generation, HIGHMED, MODERN, ProcessForm, message},
    task::{Process, message_input},
};
use fhir_client::{Bounds, Client, Headers, TransportError};
use http::{Method, StatusCode};
use messaging::{
    egress::Site,
    job::{Done, Job, Outcome, SendFailure, SendOrder},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use telemetry::context;
use tracing::Instrument;

use crate::{backoff::Backoff, counters, directory::Directory, gateway::GatewayError};

/// Naming system of send ids: our own, so that it meets no rule about draft Tasks.
pub(crate) const SEND_ID: &str = "https://w3id.org/dsf-rust/sid/send-id";
/// What an attempt gets at least, also when little is left until the send is given up.
const SHORTEST_ATTEMPT: Duration = Duration::from_secs(2);
/// First pause before an attempt is repeated; doubled up to the next constant.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause before an attempt is repeated.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What sending needs.
pub(crate) struct Sender {
    pub(crate) client: Client,
    pub(crate) directory: Arc<Directory>,
    pub(crate) give_up: Duration,
}

impl Sender {
    /// Handles a job of type `dsf/send`.
    pub(crate) async fn handle(&self, job: Job) -> Outcome {
        let Some(order) = job.send else {
            return fault("the job has no message to send");
        };
        let span = tracing::info_span!(
            "send",
            otel.kind = "client",
            send = %order.send_id,
            receiver = %order.request.target.organization_identifier_value,
        );
        context::set_parent(&span, order.traceparent.as_deref());
        let outcome = self.send(&order).instrument(span).await;
        counters::sent(match &outcome {
            Outcome::Done(_) => "sent",
            Outcome::SendFailed(_) => "failed",
            Outcome::Fault { unavailable: true, .. } => "unavailable",
            _ => "fault",
        });
        outcome
    }

    async fn send(&self, order: &SendOrder) -> Outcome {
        let claimed = Instant::now();
        let target = order.request.target.endpoint_url.trim_end_matches('/');
        let own = async {
            let allowed = self.directory.allows(&order.request.target.endpoint_url).await?;
            Ok::<_, GatewayError>((allowed, self.directory.site().await?))
        };
        let site = match own.await {
            Ok((true, site)) => site,
            Ok((false, _)) => return failed(None, "not in the allow list"),
            // Our own endpoint is away or refuses us; that says nothing about the partner.
            Err(error) => return Outcome::Fault { reason: error.to_string(), unavailable: true },
        };
        let task = match task(order, &site) {
            Ok(task) => task,
            Err(reason) => return fault(&reason),
        };
        let body = Bytes::from(fhir::to_json(&task));
        let left = self.give_up.saturating_sub(Duration::from_millis(order.age_millis));
        let deadline = claimed + left;
        self.attempts(target, &order.send_id, body, deadline).await
    }

    async fn attempts(&self, target: &str, send_id: &str, body: Bytes, deadline: Instant) -> Outcome {
        let url = format!("{target}/Task");
        let headers = Headers {
            prefer: Some("return=minimal".to_owned()),
            if_match: None,
            if_none_exist: Some(format!("identifier={SEND_ID}|{send_id}")),
        };
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let bounds = self.bounds(deadline);
            let answer =
                self.client.request_within(Method::POST, &url, Some(body.clone()), &headers, bounds).await;
            let failure = match answer {
                Ok(answer) => match answer.status {
                    status if status.is_success() => return Outcome::Done(Done::default()),
                    // Several Tasks with this send id: it has arrived.
                    StatusCode::PRECONDITION_FAILED => return Outcome::Done(Done::default()),
                    status if status.is_server_error() => failure(Some(status), &text(status)),
                    status => return failed(Some(status), &text(status)),
                },
                Err(error @ TransportError { kind, .. }) => {
                    if error.sent && self.arrived(target, send_id, self.bounds(deadline)).await {
                        return Outcome::Done(Done::default());
                    }
                    failure(None, kind.as_str())
                }
            };
            let pause = backoff.pause();
            if Instant::now() + pause >= deadline {
                return Outcome::SendFailed(failure);
            }
            tracing::debug!(reason = %failure.message, "the partner has not taken the message yet");
            tokio::time::sleep(pause).await;
        }
    }

    fn bounds(&self, deadline: Instant) -> Bounds {
        let left = deadline.saturating_duration_since(Instant::now()).max(SHORTEST_ATTEMPT);
        let usual = self.client.bounds();
        Bounds { timeout: usual.timeout.min(left), ..usual }
    }

    /// Asks the partner, after an attempt whose effect is not known, if the message has arrived: not
    /// every partner is known to heed the condition of a create.
    async fn arrived(&self, target: &str, send_id: &str, bounds: Bounds) -> bool {
        let identifier = utf8_percent_encode(&format!("{SEND_ID}|{send_id}"), NON_ALPHANUMERIC).to_string();
        let url = format!("{target}/Task?identifier={identifier}");
        let answer = self.client.request_within(Method::GET, &url, None, &Headers::default(), bounds).await;
        answer
            .ok()
            .filter(|answer| answer.status == StatusCode::OK)
            .and_then(|answer| answer.resource().ok())
            .is_some_and(|found| {
                fhir::bundle::entries(&found).filter_map(|entry| entry.resource()).any(|task| {
                    task.at("identifier.value").iter().any(|value| value.value() == Some(send_id))
                })
            })
    }
}

/// The Task of a message (contract process-engine.md 3.4).
fn task(order: &SendOrder, site: &Site) -> Result<Resource, String> {
    let request = &order.request;
    let generation = generation(&request.instantiates)
        .ok_or_else(|| "the message names no process in the required form".to_owned())?;
    let identifier = |system: &str, value: &str| {
        Element::new("identifier").with_text("system", system).with_text("value", value)
    };
    let organization = |name: &str, value: &str| {
        Element::new(name)
            .with_text("type", "Organization")
            .with(identifier(generation.organization_identifier, value))
    };
    let mut task = Resource::new("Task");
    task.push(Element::new("meta").with_text("profile", &request.profile));
    task.push(identifier(SEND_ID, &order.send_id));
    task.push(Element::primitive(generation.task_process_element, &request.instantiates));
    task.push(Element::primitive("status", "requested"));
    task.push(Element::primitive("intent", "order"));
    task.push(Element::primitive("authoredOn", &order.authored_on));
    task.push(organization("requester", &site.organization));
    let recipient = organization("recipient", &request.target.organization_identifier_value);
    task.push(Element::new("restriction").with(recipient));
    task.push(message_input(generation, message::NAME, &request.message_name));
    task.push(message_input(generation, message::BUSINESS_KEY, &order.business_key));
    if let Some(key) = &request.target.correlation_key {
        task.push(message_input(generation, message::CORRELATION_KEY, key));
    }
    for input in &request.inputs {
        let input = fhir::fragment_from_json(input.to_string().as_bytes(), "Task.input")
            .map_err(|error| format!("an input of the message cannot be read: {error}"))?;
        task.push(input);
    }
    Ok(task)
}

/// The generation of the receiving process, by the form of its name.
fn generation(instantiates: &str) -> Option<&'static Generation> {
    if Process::parse(instantiates, ProcessForm::Canonical).is_some() {
        Some(&MODERN)
    } else if Process::parse(instantiates, ProcessForm::Uri).is_some() {
        Some(&HIGHMED)
    } else {
        None
    }
}

fn text(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

fn failure(status: Option<StatusCode>, message: &str) -> SendFailure {
    SendFailure { status: status.map(|status| status.as_u16()), message: message.to_owned() }
}

fn failed(status: Option<StatusCode>, message: &str) -> Outcome {
    Outcome::SendFailed(failure(status, message))
}

fn fault(reason: &str) -> Outcome {
    Outcome::Fault { reason: reason.to_owned(), unavailable: false }
}
