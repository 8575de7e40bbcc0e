//! Catch-up: all Tasks with status `requested` are delivered again, at start and from time to time.
//!
//! So a Task takes effect even if its event was lost with the whole of NATS. The engine's inbox
//! recognises what it has seen.
use std::time::Duration;

use fhir::{Resource, bundle};
use futures_util::{StreamExt, stream};
use tokio::sync::watch;

use crate::{
    backoff::Backoff,
    gateway::GatewayError,
    intake::{Fate, Intake},
};

/// The first pages.
const QUERIES: [&str; 2] = [
    "Task?status=requested&_sort=_lastUpdated&_count=100",
    "QuestionnaireResponse?status=completed&_sort=_lastUpdated&_count=100",
];
/// Deliveries of one page at the same time.
const AT_ONCE: usize = 8;
/// First pause after a sweep that failed; doubled up to the next constant, or the interval.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause after a sweep that failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Why a sweep did not reach its end.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error("the engine does not take Tasks now")]
    Engine,
    #[error("the own endpoint names a next page that is not its own")]
    Foreign,
}

/// Sweeps every `interval` until `stopping`.
pub(crate) async fn run(intake: Intake, interval: Duration, mut stopping: watch::Receiver<bool>) {
    tokio::select! {
        () = sweeps(&intake, interval) => {}
        _ = stopping.wait_for(|stop| *stop) => {}
    }
}

async fn sweeps(intake: &Intake, interval: Duration) {
    let fresh = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE.min(interval));
    let mut backoff = fresh;
    let mut told = false;
    loop {
        match sweep(intake).await {
            Ok(found) => {
                if found > 0 {
                    tracing::debug!(found, "catch-up has delivered Tasks again");
                }
                (backoff, told) = (fresh, false);
                tokio::time::sleep(interval.mul_f64(rand::random_range(0.75..1.25))).await;
            }
            Err(error) => {
                if !told {
                    told = true;
                    tracing::warn!(%error, "catch-up did not end, trying on");
                }
                backoff.wait().await;
            }
        }
    }
}

async fn sweep(intake: &Intake) -> Result<usize, SweepError> {
    let mut found = 0;
    for query in QUERIES {
        found += pages(intake, query).await?;
    }
    Ok(found)
}

async fn pages(intake: &Intake, query: &str) -> Result<usize, SweepError> {
    let mut found = 0;
    let mut path = query.to_owned();
    loop {
        let page = intake.gateway.read(&path).await?;
        let tasks: Vec<Resource> = bundle::entries(&page)
            .filter_map(|entry| entry.resource()?.resource())
            .filter(|resource| matches!(resource.resource_type(), "Task" | "QuestionnaireResponse"))
            .collect();
        found += tasks.len();
        let fates = stream::iter(tasks).map(|task| deliver(intake, task)).buffer_unordered(AT_ONCE);
        let later = fates.filter(|fate| std::future::ready(*fate == Fate::Later)).count().await;
        if later > 0 {
            return Err(SweepError::Engine);
        }
        let Some(next) = bundle::link(&page, "next") else { return Ok(found) };
        path = next
            .strip_prefix(intake.gateway.base_url())
            .and_then(|path| path.strip_prefix('/'))
            .ok_or(SweepError::Foreign)?
            .to_owned();
    }
}

async fn deliver(intake: &Intake, task: Resource) -> Fate {
    let Some(id) = task.id() else { return Fate::Settled };
    let source = intake.source(format!("{}/{id}", task.resource_type()));
    match String::from_utf8(fhir::to_json(&task)) {
        Ok(text) => intake.deliver(&task, text, source).await,
        Err(_) => Fate::Settled,
    }
}
