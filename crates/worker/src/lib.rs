//! The worker's side of the job protocol: hints, claims, heartbeats, results.
//!
//! Invariants: a worker keeps no state of its own, so any number of replicas may run and any may
//! die at any time; the engine's database alone says whose a job is. This crate does not know what
//! a job does, opens no connection but the one it is given, and never logs inputs or results.
#![forbid(unsafe_code)]

mod attempt;
mod claims;

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc, time::Duration};

use messaging::{
    connect::Nats,
    job::{Job, Outcome},
};

/// Default of [`WorkerConfig::concurrency`].
pub const CONCURRENCY: usize = 16;
/// Default of [`WorkerConfig::lease`]. The jobs of a worker that died wait this long; models give their
/// partners as little as twenty seconds (`PT20S` in ping), so that a death must not cost an answer.
pub const LEASE: Duration = Duration::from_secs(10);
/// Default of [`WorkerConfig::poll`].
pub const POLL: Duration = Duration::from_secs(5);
/// Default of [`WorkerConfig::drain`].
pub const DRAIN: Duration = Duration::from_secs(10);
/// Jobs asked for in one claim at most: their inputs must fit into one NATS message.
pub const MAX_BATCH: u32 = 16;

/// How a worker works.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Name for the operator's eyes and queue group of the hints: the same for all replicas.
    pub name: String,
    /// Jobs that run at the same time.
    pub concurrency: usize,
    /// How long the worker may be silent before the engine hands a job out again.
    pub lease: Duration,
    /// How often ready jobs are asked for when no hint came (a hint may be lost).
    pub poll: Duration,
    /// How long running jobs may still take at shutdown.
    pub drain: Duration,
}

impl WorkerConfig {
    /// The defaults, under a name.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), concurrency: CONCURRENCY, lease: LEASE, poll: POLL, drain: DRAIN }
    }
}

/// The hints of a job type could not be subscribed to.
#[derive(Debug, thiserror::Error)]
#[error("hints on {subject} cannot be subscribed to: {reason}")]
pub struct SubscribeError {
    /// Subject of the hints.
    pub subject: String,
    /// What the client said.
    pub reason: String,
}

type Running = Pin<Box<dyn Future<Output = Outcome> + Send>>;
pub(crate) type Handler = Arc<dyn Fn(Job) -> Running + Send + Sync>;
pub(crate) type Handlers = BTreeMap<String, Handler>;

/// Handlers for job types, and the loop that feeds them.
pub struct Worker {
    nats: Nats,
    config: WorkerConfig,
    handlers: Handlers,
}

impl Worker {
    /// A worker without handlers.
    pub fn new(nats: Nats, config: WorkerConfig) -> Self {
        Self { nats, config, handlers: Handlers::new() }
    }

    /// Registers one handler for several names of a job. A later handler of the same type replaces
    /// the earlier one. A handler that panics has faulted; nothing else is affected.
    #[must_use]
    pub fn handle<S, H, F>(mut self, types: &[S], handler: H) -> Self
    where
        S: AsRef<str>,
        H: Fn(Job) -> F + Send + Sync + 'static,
        F: Future<Output = Outcome> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |job| Box::pin(handler(job)));
        for kind in types {
            self.handlers.insert(kind.as_ref().to_owned(), Arc::clone(&handler));
        }
        self
    }

    /// The registered job types.
    pub fn types(&self) -> Vec<String> {
        self.handlers.keys().cloned().collect()
    }

    /// Works until `shutdown` is ready, then lets running jobs end.
    ///
    /// # Errors
    /// Only if the hints cannot be subscribed to; outages later on are waited for.
    pub async fn run(self, shutdown: impl Future) -> Result<(), SubscribeError> {
        self.run_and_tell(shutdown, || {}).await
    }

    /// As [`Worker::run`]; calls `ready` when the subscriptions are in place.
    ///
    /// # Errors
    /// As [`Worker::run`].
    pub async fn run_and_tell(
        self,
        shutdown: impl Future,
        ready: impl FnOnce(),
    ) -> Result<(), SubscribeError> {
        claims::run(self.nats, self.config, self.handlers, shutdown, ready).await
    }
}
