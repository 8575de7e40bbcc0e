//! The allow list: published as a Bundle by one site, taken over by the others.
//!
//! Behaviour: contract `processes.md` section 2.1, plugin 1.0.0.1. Names on the left are the job
//! types of our bundled plugin, on the right the classes of the published one.
mod publish;
mod take_over;

use messaging::job::Job;
use worker::Worker;

use crate::{endpoint::Endpoints, outcome::outcome};

/// Code system of the input and output, and system of the Bundle's identifier.
const CODES: &str = "http://dsf.dev/fhir/CodeSystem/allow-list";
/// Code of the input and output, and value of the Bundle's identifier.
const ALLOW_LIST: &str = "allow_list";
/// Types an allow list may hold.
const TYPES: [&str; 3] = ["Organization", "OrganizationAffiliation", "Endpoint"];

/// Adds the handlers of the two processes.
pub(crate) fn register(worker: Worker, endpoints: &Endpoints) -> Worker {
    let with = |step| {
        let endpoints = endpoints.clone();
        move |job: Job| run(step, endpoints.clone(), job)
    };
    worker
        .handle(&["allow-list/1.0/publish", "dev.dsf.bpe.service.UpdateAllowList"], with(Step::Publish))
        .handle(&["allow-list/1.0/download", "dev.dsf.bpe.service.DownloadAllowList"], with(Step::Download))
        .handle(&["allow-list/1.0/check", "dev.dsf.bpe.service.CheckAllowList"], with(Step::Check))
        .handle(&["allow-list/1.0/insert", "dev.dsf.bpe.service.InsertAllowList"], with(Step::Insert))
}

/// A step of the models that needs code.
#[derive(Debug, Clone, Copy)]
enum Step {
    Publish,
    Download,
    Check,
    Insert,
}

async fn run(step: Step, endpoints: Endpoints, job: Job) -> messaging::job::Outcome {
    outcome(match step {
        Step::Publish => publish::publish(&endpoints, &job).await,
        Step::Download => take_over::download(&endpoints, &job).await,
        Step::Check => take_over::check(&job),
        Step::Insert => take_over::insert(&endpoints, &job).await,
    })
}
