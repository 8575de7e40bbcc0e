//! Settings of the engine: `DSF_ENGINE_<FIELD>` or the keys of a TOML file.
use std::path::PathBuf;

use config::Duration;
use messaging::connect::NatsConfig;
use serde::Deserialize;

use crate::fuse::Point;

/// Prefix of the environment variables.
pub const PREFIX: &str = "DSF_ENGINE";

/// What an engine needs to run.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// PostgreSQL connection URL of the site's engine database.
    pub database_url: String,
    /// Password; replaces one in the URL.
    pub database_password: Option<String>,
    /// Roots that the database server's certificate is checked against; plain connections where absent.
    pub database_ca: Option<PathBuf>,
    /// Accept a database that may lose committed transactions. For tests.
    #[serde(default)]
    pub allow_unsafe_durability: bool,
    /// Largest number of connections of this replica.
    #[serde(default = "default_database_connections")]
    pub database_connections: u32,
    /// NATS servers of the site's inner account.
    pub nats_urls: Vec<String>,
    /// NATS user.
    pub nats_user: Option<String>,
    /// NATS password.
    pub nats_password: Option<String>,
    /// Roots that NATS server certificates are checked against.
    pub nats_ca: Option<PathBuf>,
    /// How long a message nobody waits for yet is kept before its Task fails. Zero: not at all.
    #[serde(default = "default_hold")]
    pub hold: Duration,
    /// How long the status `in-progress` of a Task waits to be written, in case the final one follows: both
    /// are then one piece of work. Zero: not at all.
    #[serde(default = "default_coalesce")]
    pub coalesce: Duration,
    /// Largest number of started and yet unanswered instances of one requester.
    #[serde(default = "default_admission_limit")]
    pub admission_limit: u32,
    /// An instance that was neither answered nor ended stops counting for admission after this time.
    #[serde(default = "default_admission_window")]
    pub admission_window: Duration,
    /// A send that still fails after this time reports its error to the model.
    #[serde(default = "default_send_give_up")]
    pub send_give_up: Duration,
    /// A BPMN error that nobody catches becomes an incident. Off: its path ends silently, as in the
    /// reference engine, and the Task stays `in-progress` for good.
    #[serde(default = "default_true")]
    pub uncaught_errors_raise: bool,
    /// A waiting inclusive join is looked at again when another token of its scope moves or ends. Off:
    /// only when a token arrives, as in the reference engine.
    #[serde(default = "default_true")]
    pub inclusive_join_reevaluates: bool,
    /// Pause between two sweeps for lost hints, expired leases, held messages and queued starts.
    #[serde(default = "default_sweep")]
    pub sweep: Duration,
    /// Number of transactions this replica runs at a time.
    #[serde(default = "default_steppers")]
    pub steppers: u32,
    /// For tests: the point at which this process ends at once, as in a power cut. See [`crate::fuse`].
    pub die_at: Option<Point>,
    /// File written when the engine is ready.
    pub ready_file: Option<PathBuf>,
}

fn default_database_connections() -> u32 {
    8
}

fn default_hold() -> Duration {
    Duration::secs(10)
}

fn default_coalesce() -> Duration {
    Duration::millis(500)
}

fn default_admission_limit() -> u32 {
    64
}

fn default_admission_window() -> Duration {
    Duration::secs(60)
}

fn default_true() -> bool {
    true
}

fn default_send_give_up() -> Duration {
    Duration::secs(10)
}

fn default_sweep() -> Duration {
    Duration::secs(1)
}

fn default_steppers() -> u32 {
    2
}

/// The settings a transaction needs.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// See [`Config::hold`].
    pub hold: std::time::Duration,
    /// See [`Config::coalesce`].
    pub coalesce: std::time::Duration,
    /// See [`Config::admission_limit`].
    pub admission_limit: u32,
    /// See [`Config::admission_window`].
    pub admission_window: std::time::Duration,
    /// See [`Config::send_give_up`].
    pub send_give_up: std::time::Duration,
    /// See [`Config::uncaught_errors_raise`] and [`Config::inclusive_join_reevaluates`].
    pub options: bpmn::Options,
}

impl Config {
    /// The part that transactions need.
    pub fn limits(&self) -> Limits {
        Limits {
            hold: self.hold.get(),
            coalesce: self.coalesce.get(),
            admission_limit: self.admission_limit,
            admission_window: self.admission_window.get(),
            send_give_up: self.send_give_up.get(),
            options: bpmn::Options {
                uncaught_errors_raise: self.uncaught_errors_raise,
                inclusive_join_reevaluates: self.inclusive_join_reevaluates,
                ..bpmn::Options::default()
            },
        }
    }

    /// The NATS part.
    pub fn nats(&self) -> NatsConfig {
        NatsConfig {
            urls: self.nats_urls.clone(),
            user: self.nats_user.clone(),
            password: self.nats_password.clone(),
            ca: self.nats_ca.clone(),
        }
    }
}
