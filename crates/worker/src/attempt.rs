//! One attempt of one job: runs the handler, keeps the lease, delivers the result.
use std::{
    sync::{Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use messaging::{
    connect::{Nats, RequestError},
    job::{Acknowledgement, Heartbeat, Job, JobResult, Outcome, PROTOCOL_VERSION},
    subject,
};
use telemetry::{
    context,
    metrics::{Counter, KeyValue},
};
use tokio::task::JoinSet;
use tracing::Instrument;

use crate::{Handler, claims::millis};

/// Heartbeats per lease: two may be lost before the lease ends.
const BEATS_PER_LEASE: u32 = 3;
/// Longest wait for the engine's answer to a result.
const RESULT_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause before a result is sent again; doubled up to the next constant.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest pause between attempts to deliver a result.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Runs a job to the end of its attempt. `lease` counts from now: the claim's
/// answer just came.
pub(crate) async fn run(nats: &Nats, lease: Duration, handler: Option<Handler>, job: Job) {
    let span = tracing::info_span!(
        "job",
        otel.name = %job.kind,
        otel.kind = "consumer",
        job = %job.id,
        attempt = job.attempt,
        instance = %job.instance,
        activity = %job.activity,
    );
    context::set_parent(&span, job.traceparent.as_deref());
    async {
        let ticket = Ticket { id: job.id.clone(), kind: job.kind.clone(), lease: job.lease.clone() };
        let renewed = Mutex::new(Instant::now());
        // A task of its own: a handler that computes long must not delay heartbeats, one that
        // panics must not take us along. Dropping the set aborts it.
        let mut work = JoinSet::new();
        work.spawn(
            async move {
                match handler {
                    Some(handler) => handler(job).await,
                    None => fault("this worker has no handler for the job type"),
                }
            }
            .instrument(tracing::Span::current()),
        );
        let ended = tokio::select! {
            ended = work.join_next() => ended,
            () = keep(nats, lease, &renewed, &ticket) => {
                tracing::warn!("the lease is no longer ours, the attempt is dropped");
                return;
            }
        };
        let outcome = match ended {
            Some(Ok(outcome)) => outcome,
            _ => {
                tracing::error!("the handler panicked");
                fault("the handler panicked")
            }
        };
        count(&ticket.kind, &outcome);
        let until = *lock(&renewed) + lease;
        deliver(nats, until, ticket, outcome).await;
    }
    .instrument(span)
    .await;
}

/// What identifies an attempt towards the engine.
struct Ticket {
    id: String,
    kind: String,
    lease: String,
}

fn fault(reason: &str) -> Outcome {
    Outcome::Fault { reason: reason.to_owned(), unavailable: false }
}

fn lock(renewed: &Mutex<Instant>) -> std::sync::MutexGuard<'_, Instant> {
    renewed.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends heartbeats; returns when the engine says that the lease is not current any more.
async fn keep(nats: &Nats, lease: Duration, renewed: &Mutex<Instant>, ticket: &Ticket) {
    let interval = lease / BEATS_PER_LEASE;
    loop {
        tokio::time::sleep(interval).await;
        let beat =
            Heartbeat { id: ticket.id.clone(), lease: ticket.lease.clone(), lease_millis: millis(lease) };
        match nats.ask::<_, Acknowledgement>(subject::HEARTBEAT, &beat, interval).await {
            Ok(Acknowledgement::Accepted) => *lock(renewed) = Instant::now(),
            Ok(Acknowledgement::Stale) => return,
            Err(error) => tracing::debug!(%error, "heartbeat was not answered"),
        }
    }
}

/// Hands the result over until the engine has taken it, or the job surely belongs to nobody.
async fn deliver(nats: &Nats, until: Instant, ticket: Ticket, outcome: Outcome) {
    let subject = subject::job_result(&ticket.kind);
    let mut result = JobResult { version: PROTOCOL_VERSION, id: ticket.id, lease: ticket.lease, outcome };
    let mut pause = FIRST_PAUSE;
    loop {
        match nats.ask::<_, Acknowledgement>(&subject, &result, RESULT_TIMEOUT).await {
            Ok(Acknowledgement::Accepted) => return,
            Ok(Acknowledgement::Stale) => {
                return tracing::debug!("the engine no longer waits for this result");
            }
            Err(error @ RequestError::TooLarge { .. }) => {
                tracing::error!(%error, "the result is too large");
                result.outcome = fault("the result of the step is larger than one message may be");
                continue;
            }
            Err(error @ (RequestError::Invalid(_) | RequestError::Form { .. })) => {
                return tracing::error!(%error, "the engine refuses the result");
            }
            Err(error) => {
                if Instant::now() >= until {
                    return tracing::warn!(%error, "the result could not be handed over in time");
                }
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Counts attempts by job type and outcome.
fn count(kind: &str, outcome: &Outcome) {
    static ATTEMPTS: OnceLock<Counter<u64>> = OnceLock::new();
    let outcome = match outcome {
        Outcome::Done(_) => "done",
        Outcome::Send(_) => "send",
        Outcome::BpmnError { .. } => "bpmn-error",
        Outcome::Reject { .. } => "reject",
        Outcome::Fault { unavailable: true, .. } => "unavailable",
        Outcome::Fault { .. } => "fault",
        Outcome::SendFailed(_) => "send-failed",
        Outcome::Written { .. } => "written",
        Outcome::Created { .. } => "created",
    };
    ATTEMPTS
        .get_or_init(|| telemetry::metrics::meter().u64_counter("dsf.worker.attempts").build())
        .add(1, &[KeyValue::new("type", kind.to_owned()), KeyValue::new("outcome", outcome)]);
}
