//! Settings of the router: `DSF_ROUTER_<FIELD>` or the field in a TOML file.
use std::path::PathBuf;

use config::Duration;
use fhir_client::ClientConfig;
use messaging::connect::NatsConfig;
use serde::Deserialize;

/// Prefix of the environment variables.
pub const PREFIX: &str = "DSF_ROUTER";

/// Events of one lane in work at the same time.
pub const WINDOW: usize = 64;
/// Messages sent at the same time.
pub const SENDS: usize = 32;
/// Tasks written back at the same time.
pub const WRITE_BACKS: usize = 32;
/// Requests of workers answered at the same time.
pub const EGRESS_REQUESTS: usize = 64;
/// How often all Tasks with status `requested` are delivered again.
pub const SWEEP: Duration = Duration::secs(60);
/// How long a message may stay undelivered before its sender is told.
pub const SEND_GIVE_UP: Duration = Duration::secs(10);
/// How long look-ups in the own endpoint's allow list are used.
pub const DIRECTORY_AGE: Duration = Duration::secs(5);
/// How long the engine keeps a job for us between signs of life.
pub const LEASE: Duration = Duration(worker::LEASE);
/// How often ready jobs are asked for when no hint came.
pub const POLL: Duration = Duration::secs(5);

/// All settings. Fields without a default must be given.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Base URL of the own endpoint, as it stands in the allow list.
    pub base_url: String,
    /// PEM file with the client certificate of the site.
    pub client_certificate: PathBuf,
    /// PEM file with its private key.
    pub client_key: PathBuf,
    /// PEM file with the roots that other sites' certificates are checked against.
    pub server_ca: PathBuf,

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

    /// File that is written when the router is ready.
    #[serde(default)]
    pub ready_file: Option<PathBuf>,

    /// Longest time to open a connection to an endpoint.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: Duration,
    /// Longest time for one exchange with an endpoint.
    #[serde(default = "answer_timeout")]
    pub answer_timeout: Duration,
    /// Largest answer read from an endpoint, in bytes.
    #[serde(default = "max_answer")]
    pub max_answer: usize,
    /// Exchanges at the same time with one endpoint.
    #[serde(default = "per_host")]
    pub connections_per_host: usize,

    /// Events of one lane in work at the same time.
    #[serde(default = "window")]
    pub window: usize,
    /// How often all Tasks with status `requested` are delivered again.
    #[serde(default = "sweep")]
    pub sweep: Duration,
    /// How long a message may stay undelivered before its sender is told.
    #[serde(default = "send_give_up")]
    pub send_give_up: Duration,
    /// Messages sent at the same time.
    #[serde(default = "sends")]
    pub sends: usize,
    /// Tasks written back at the same time.
    #[serde(default = "write_backs")]
    pub write_backs: usize,
    /// Requests of workers answered at the same time.
    #[serde(default = "egress_requests")]
    pub egress_requests: usize,
    /// How long look-ups in the own endpoint's allow list are used.
    #[serde(default = "directory_age")]
    pub directory_age: Duration,
    /// How long the engine keeps a job for us between signs of life.
    #[serde(default = "lease")]
    pub lease: Duration,
    /// How often ready jobs are asked for when no hint came.
    #[serde(default = "poll")]
    pub poll: Duration,
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

    /// The part about requests to endpoints.
    pub fn client(&self) -> ClientConfig {
        ClientConfig {
            connect_timeout: self.connect_timeout.get(),
            answer_timeout: self.answer_timeout.get(),
            max_answer: self.max_answer,
            per_host: self.connections_per_host,
            ..ClientConfig::new(
                self.client_certificate.clone(),
                self.client_key.clone(),
                self.server_ca.clone(),
            )
        }
    }
}

fn connect_timeout() -> Duration {
    Duration(fhir_client::CONNECT_TIMEOUT)
}
fn answer_timeout() -> Duration {
    Duration(fhir_client::ANSWER_TIMEOUT)
}
fn max_answer() -> usize {
    fhir_client::MAX_ANSWER
}
fn per_host() -> usize {
    fhir_client::PER_HOST
}
fn window() -> usize {
    WINDOW
}
fn sweep() -> Duration {
    SWEEP
}
fn send_give_up() -> Duration {
    SEND_GIVE_UP
}
fn sends() -> usize {
    SENDS
}
fn write_backs() -> usize {
    WRITE_BACKS
}
fn egress_requests() -> usize {
    EGRESS_REQUESTS
}
fn directory_age() -> Duration {
    DIRECTORY_AGE
}
fn lease() -> Duration {
    LEASE
}
fn poll() -> Duration {
    POLL
}
