//! Ping-pong: does the partner's endpoint take messages, and does its engine answer?
//!
//! Behaviour: contract `processes.md` section 1, plugin 1.0.1.0. Names on the left are the job types
//! of our bundled plugin, on the right the classes of the published one.
mod autostart;
mod message;
mod results;
mod targets;

use messaging::job::Job;
use worker::Worker;

use crate::{endpoint::Endpoints, outcome::outcome};

/// Code system of the inputs and outputs.
const CODES: &str = "http://dsf.dev/fhir/CodeSystem/ping";
/// Code system of the results.
const STATUS: &str = "http://dsf.dev/fhir/CodeSystem/ping-status";
/// Input that selects the endpoints to ping.
const TARGET_ENDPOINTS: &str = "target-endpoints";
/// Input with the identifier of the endpoint to answer to.
const ENDPOINT_IDENTIFIER: &str = "endpoint-identifier";

/// The partner refused the message.
const NOT_ALLOWED: &str = "not-allowed";
/// The message did not arrive.
const NOT_REACHABLE: &str = "not-reachable";
/// Nothing came back in time.
const PONG_MISSING: &str = "pong-missing";
/// The answer came back.
const PONG_RECEIVED: &str = "pong-received";
/// The answer was sent.
const PONG_SEND: &str = "pong-send";

/// Adds the handlers of the three processes.
pub(crate) fn register(worker: Worker, endpoints: &Endpoints) -> Worker {
    let with = |handler| {
        let endpoints = endpoints.clone();
        move |job: Job| run(handler, endpoints.clone(), job)
    };
    worker
        .handle(
            &["ping-pong/1.0/configure-autostart", "dev.dsf.bpe.service.SetTargetAndConfigureTimer"],
            with(Step::ConfigureAutostart),
        )
        .handle(
            &["ping-pong/1.0/send-start-ping", "dev.dsf.bpe.message.SendStartPing"],
            with(Step::SendStartPing),
        )
        .handle(
            &["ping-pong/1.0/select-targets", "dev.dsf.bpe.service.SelectPingTargets"],
            with(Step::SelectTargets),
        )
        .handle(&["ping-pong/1.0/send-ping", "dev.dsf.bpe.message.SendPing"], with(Step::SendPing))
        .handle(&["ping-pong/1.0/save-results", "dev.dsf.bpe.service.SaveResults"], with(Step::SaveResults))
        .handle(
            &["ping-pong/1.0/select-sender", "dev.dsf.bpe.service.SelectPongTarget"],
            with(Step::SelectSender),
        )
        .handle(&["ping-pong/1.0/send-pong", "dev.dsf.bpe.message.SendPong"], with(Step::SendPong))
        // Done inline by our own plugin; the published one asks for jobs.
        .handle(&["dev.dsf.bpe.service.LogPing"], with(Step::NotePing))
        .handle(&["dev.dsf.bpe.service.LogPong"], with(Step::NotePong))
        .handle(&["dev.dsf.bpe.service.LogNoResponse"], with(Step::NoteSilence))
        .handle(&["dev.dsf.bpe.service.LogSendError"], with(Step::NoteSendError))
}

/// A step of the models that needs code.
#[derive(Debug, Clone, Copy)]
enum Step {
    ConfigureAutostart,
    SendStartPing,
    SelectTargets,
    SendPing,
    SaveResults,
    SelectSender,
    SendPong,
    NotePing,
    NotePong,
    NoteSilence,
    NoteSendError,
}

async fn run(step: Step, endpoints: Endpoints, job: Job) -> messaging::job::Outcome {
    outcome(match step {
        Step::ConfigureAutostart => autostart::configure(&endpoints, &job).await,
        Step::SendStartPing => autostart::send(&job),
        Step::SelectTargets => targets::select(&endpoints, &job).await,
        Step::SendPing => message::ping(&endpoints, &job).await,
        Step::SaveResults => results::save(&job),
        Step::SelectSender => targets::sender(&endpoints, &job).await,
        Step::SendPong => message::pong(&job),
        // The history of the instance is the note.
        Step::NotePing => Ok(crate::outcome::done([])),
        Step::NotePong => results::note(&job, PONG_RECEIVED),
        Step::NoteSilence => results::note(&job, PONG_MISSING),
        Step::NoteSendError => results::note_send_error(&job),
    })
}
