//! The claim loop: wakes on hints, asks the engine for jobs, starts attempts, drains.
use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use futures_util::StreamExt;
use messaging::{
    connect::{Nats, RequestError},
    job::{ClaimReply, ClaimRequest, PROTOCOL_VERSION},
    subject,
};
use tokio::{
    sync::{Notify, Semaphore},
    task::JoinSet,
};

use crate::{Handlers, MAX_BATCH, SubscribeError, WorkerConfig, attempt};

/// Longest wait for the answer to a claim. Jobs in an answer that comes later stay leased to nobody
/// until the lease ends, so this is generous.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a claim that failed; doubled up to the next constant.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between claims while the engine is away.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

pub(crate) async fn run(
    nats: Nats,
    config: WorkerConfig,
    handlers: Handlers,
    shutdown: impl Future,
    ready: impl FnOnce(),
) -> Result<(), SubscribeError> {
    let mut shutdown = pin!(shutdown);
    let wake = Arc::new(Notify::new());
    let hints = subscribe(&nats, &config.name, &handlers, &wake).await?;
    ready();

    let config = Arc::new(config);
    let handlers = Arc::new(handlers);
    let places = Arc::new(Semaphore::new(config.concurrency.max(1)));
    let mut attempts = JoinSet::new();
    let mut pause: Option<Duration> = None;
    // Jobs may be ready from before we came.
    wake.notify_one();
    loop {
        while attempts.try_join_next().is_some() {}
        let woken = async {
            match pause {
                Some(pause) => tokio::time::sleep(jitter(pause)).await,
                None => {
                    let _ = tokio::time::timeout(jitter(config.poll), wake.notified()).await;
                }
            }
            Arc::clone(&places).acquire_owned().await
        };
        let first = tokio::select! {
            first = woken => first,
            _ = &mut shutdown => break,
        };
        let Ok(first) = first else { break };
        let mut free = vec![first];
        while free.len() < MAX_BATCH as usize
            && let Ok(place) = Arc::clone(&places).try_acquire_owned()
        {
            free.push(place);
        }
        let request = ClaimRequest {
            version: PROTOCOL_VERSION,
            worker: config.name.clone(),
            types: handlers.keys().cloned().collect(),
            max: u32::try_from(free.len()).unwrap_or(MAX_BATCH),
            lease_millis: millis(config.lease),
        };
        // Not given up at shutdown: jobs in the answer would be leased to nobody.
        match nats.ask::<_, ClaimReply>(subject::CLAIM, &request, CLAIM_TIMEOUT).await {
            Ok(ClaimReply { jobs }) => {
                if pause.take().is_some() {
                    tracing::info!(worker = %config.name, "the engine hands out jobs again");
                }
                if jobs.len() >= free.len() {
                    wake.notify_one();
                }
                for job in jobs {
                    let place = free.pop();
                    let (nats, config) = (nats.clone(), Arc::clone(&config));
                    let handler = handlers.get(&job.kind).cloned();
                    attempts.spawn(async move {
                        attempt::run(&nats, config.lease, handler, job).await;
                        drop(place);
                    });
                }
            }
            Err(error) => {
                if pause.is_none() {
                    tell(&config.name, &error);
                }
                pause = Some(pause.map_or(FIRST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE)));
            }
        }
    }
    for hint in hints {
        hint.abort();
    }
    let drained = async { while attempts.join_next().await.is_some() {} };
    if tokio::time::timeout(config.drain, drained).await.is_err() {
        tracing::warn!(worker = %config.name, left = attempts.len(), "jobs did not end in time; the engine hands them out again");
    }
    Ok(())
}

fn tell(worker: &str, error: &RequestError) {
    match error {
        RequestError::Unavailable { .. } => {
            tracing::warn!(%worker, %error, "jobs cannot be claimed, trying on");
        }
        _ => tracing::error!(%worker, %error, "the engine refuses to hand out jobs, trying on"),
    }
}

async fn subscribe(
    nats: &Nats,
    group: &str,
    handlers: &Handlers,
    wake: &Arc<Notify>,
) -> Result<Vec<tokio::task::JoinHandle<()>>, SubscribeError> {
    let mut tasks = Vec::with_capacity(handlers.len());
    for kind in handlers.keys() {
        let subject = subject::job_hint(kind);
        let mut hints = nats
            .client()
            .queue_subscribe(subject.clone(), group.to_owned())
            .await
            .map_err(|error| SubscribeError { subject, reason: error.to_string() })?;
        let wake = Arc::clone(wake);
        tasks.push(tokio::spawn(async move {
            while hints.next().await.is_some() {
                wake.notify_one();
            }
        }));
    }
    // The subscriptions count from when the server has read them.
    if let Err(error) = nats.client().flush().await {
        tracing::debug!(%error, "subscriptions are not confirmed yet");
    }
    Ok(tasks)
}

/// Three to five quarters of a duration, so that replicas do not act in step.
fn jitter(duration: Duration) -> Duration {
    duration.mul_f64(rand::random_range(0.75..1.25))
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
