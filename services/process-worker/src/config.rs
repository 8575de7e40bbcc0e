//! Settings of the worker: `DSF_WORKER_<FIELD>` or the field in a TOML file.
use std::path::PathBuf;

use config::Duration;
use messaging::connect::NatsConfig;
use serde::Deserialize;
use worker::WorkerConfig;

/// Prefix of the environment variables.
pub const PREFIX: &str = "DSF_WORKER";

/// Name of the worker and queue group of its replicas.
const NAME: &str = "process-worker";

/// All settings. Fields without a default must be given.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// NATS servers.
    pub nats_urls: Vec<String>,
    /// NATS login.
    #[serde(default)]
    pub nats_user: Option<String>,
    /// Password of the login.
    #[serde(default)]
    pub nats_password: Option<String>,
    /// PEM file with the roots that NATS servers are checked against.
    #[serde(default)]
    pub nats_ca: Option<PathBuf>,

    /// File that is written when the worker is ready.
    #[serde(default)]
    pub ready_file: Option<PathBuf>,

    /// Jobs that run at the same time.
    #[serde(default = "concurrency")]
    pub concurrency: usize,
    /// How long the engine keeps a job for us between signs of life.
    #[serde(default = "lease")]
    pub lease: Duration,
    /// How often ready jobs are asked for when no hint came.
    #[serde(default = "poll")]
    pub poll: Duration,
    /// How long running jobs may still take at shutdown.
    #[serde(default = "drain")]
    pub drain: Duration,
}

impl Config {
    /// The NATS part.
    pub fn nats(&self) -> NatsConfig {
        NatsConfig {
            urls: self.nats_urls.clone(),
            user: self.nats_user.clone(),
            password: self.nats_password.clone(),
            ca: self.nats_ca.clone(),
        }
    }

    /// The part about jobs.
    pub fn worker(&self) -> WorkerConfig {
        WorkerConfig {
            concurrency: self.concurrency,
            lease: self.lease.get(),
            poll: self.poll.get(),
            drain: self.drain.get(),
            ..WorkerConfig::new(NAME)
        }
    }
}

fn concurrency() -> usize {
    worker::CONCURRENCY
}
fn lease() -> Duration {
    Duration(worker::LEASE)
}
fn poll() -> Duration {
    Duration(worker::POLL)
}
fn drain() -> Duration {
    Duration(worker::DRAIN)
}
