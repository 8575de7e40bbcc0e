//! Settings: `DSF_RBF_<FIELD>` or the field in a TOML file.
use std::path::PathBuf;

use adapter::{
    guard::{self, Limits},
    settings::{AuditSettings, BreakerSettings},
};
use config::Duration;
use messaging::connect::NatsConfig;
use serde::Deserialize;

/// Prefix of the environment variables.
pub const PREFIX: &str = "DSF_RBF";

/// Requests answered at the same time, of each kind.
pub const REQUESTS: usize = 16;
/// Questions to the mpi-adapter at the same time.
pub const CONCURRENCY: usize = 4;
/// Longest wait for the mpi-adapter's answer to one question.
pub const MPI_TIMEOUT: Duration = Duration::secs(60);
/// Most bytes that all runs together may need.
pub const MEMORY: u64 = 4 * 1024 * 1024 * 1024;
/// Most runs at the same time.
pub const RUNS: usize = 8;
/// A run that nobody asks about for so long is cancelled and forgotten.
pub const RUN_IDLE: Duration = Duration::secs(600);

/// All settings. Fields without a default must be given.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the site, part of the context that persons and keys are sealed in.
    pub site: String,
    /// Identifier value of the site's organization: context of encrypted ids.
    pub organization: String,
    /// Our name among the recipients of the mpi-adapter.
    #[serde(default = "recipient")]
    pub recipient: String,
    /// Our private key in Base64; all replicas of a site share it.
    pub private_key: String,
    /// The matching public key in Base64, given out to those who send keys.
    pub public_key: String,
    /// Secret behind the key of encrypted ids: 32 bytes in Base64. Needed for data sharing.
    #[serde(default)]
    pub organization_secret: Option<String>,
    /// Secrets behind the keys of studies: `id=32 bytes in Base64`, separated by commas. The last one is
    /// for new pseudonyms; earlier ones open old pseudonyms. Needed at a trusted third party.
    #[serde(default)]
    pub study_secrets: Vec<String>,
    /// PEM file with the RSA key of a data management site.
    #[serde(default)]
    pub data_set_key: Option<PathBuf>,
    /// clkhash schemas: `profile=path`, separated by commas. A profile ends with a version: `clk-site-1`.
    #[serde(default)]
    pub clk_schemas: Vec<String>,

    /// Threads that encode and compare; all processors where absent.
    #[serde(default)]
    pub threads: Option<usize>,
    /// Most bytes that all runs together may need.
    #[serde(default = "memory")]
    pub memory: u64,
    /// Most runs at the same time.
    #[serde(default = "runs")]
    pub runs: usize,
    /// After so long without a question a run is cancelled and forgotten.
    #[serde(default = "run_idle")]
    pub run_idle: Duration,
    /// Requests answered at the same time, of each kind.
    #[serde(default = "requests")]
    pub requests: usize,
    /// Questions to the mpi-adapter at the same time.
    #[serde(default = "concurrency")]
    pub concurrency: usize,
    /// Longest wait for the mpi-adapter's answer to one question.
    #[serde(default = "mpi_timeout")]
    pub mpi_timeout: Duration,
    /// Further tries of a question.
    #[serde(default = "retries")]
    pub retries: u32,
    /// When the other side is left alone: `breaker_failures`, `breaker_share`, `breaker_pause`.
    pub breaker: BreakerSettings,
    /// Audit records: `audit_file`, `audit_url` and how to get there.
    pub audit: AuditSettings,

    /// NATS servers and our login: `nats_urls`, `nats_user`, `nats_password`, `nats_ca`.
    pub nats: NatsConfig,
    /// File that is written when the worker is ready.
    #[serde(default)]
    pub ready_file: Option<PathBuf>,
}

impl Config {
    pub(crate) fn limits(&self) -> Limits {
        self.breaker.limits(self.concurrency, self.retries)
    }
}

fn recipient() -> String {
    "rbf".to_owned()
}
fn memory() -> u64 {
    MEMORY
}
fn runs() -> usize {
    RUNS
}
fn run_idle() -> Duration {
    RUN_IDLE
}
fn requests() -> usize {
    REQUESTS
}
fn concurrency() -> usize {
    CONCURRENCY
}
fn mpi_timeout() -> Duration {
    MPI_TIMEOUT
}
fn retries() -> u32 {
    guard::RETRIES
}
