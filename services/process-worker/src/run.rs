//! Starts the worker with the handlers of all bundled processes.
use std::{
    future::Future,
    path::{Path, PathBuf},
};

use messaging::connect::Nats;
use worker::{SubscribeError, Worker};

use crate::{Config, allow_list, endpoint::Endpoints, ping_pong};

/// Why the worker cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The hints cannot be subscribed to.
    #[error(transparent)]
    Jobs(#[from] SubscribeError),
    /// The ready file cannot be written.
    #[error("ready file {path}: {reason}")]
    ReadyFile {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        reason: std::io::Error,
    },
}

/// Works until `shutdown`, then lets running jobs end.
///
/// # Errors
/// See [`Error`]; outages of NATS or the engine are waited for.
pub async fn run(config: Config, shutdown: impl Future) -> Result<(), Error> {
    let nats = Nats::connect(&config.nats(), "process-worker").await;
    let endpoints = Endpoints::new(nats.clone());
    let worker = Worker::new(nats, config.worker());
    let worker = ping_pong::register(worker, &endpoints);
    let worker = allow_list::register(worker, &endpoints);
    let mut unwritten = None;
    let ready = || match config.ready_file.as_deref().map_or(Ok(()), write_ready) {
        Ok(()) => tracing::info!("ready"),
        Err(error) => unwritten = Some(error),
    };
    worker.run_and_tell(shutdown, ready).await?;
    unwritten.map_or(Ok(()), Err)
}

fn write_ready(path: &Path) -> Result<(), Error> {
    std::fs::write(path, "ready\n").map_err(|reason| Error::ReadyFile { path: path.to_owned(), reason })
}
