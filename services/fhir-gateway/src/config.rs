//! Settings of the gateway: `DSF_GATEWAY_<FIELD>` or the field in a TOML file.
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use config::Duration;
use messaging::connect::NatsConfig;
use serde::Deserialize;

use crate::{
    data,
    listener::{Timeouts, tls::TlsSettings},
    site,
};

/// Prefix of the environment variables.
pub const PREFIX: &str = "DSF_GATEWAY";

/// All settings. Fields without a default must be given.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address and port of the listener.
    pub listen: SocketAddr,
    /// Share the port with other replicas on this machine (SO_REUSEPORT).
    #[serde(default)]
    pub reuse_port: bool,
    /// Base of all URLs, as other sites know it: `https://dsf.example.org/fhir`.
    pub base_url: String,
    /// Identifier value of the organization that runs this site.
    pub organization: String,
    /// PostgreSQL URL of the site's `fhir` database.
    pub database_url: String,
    /// Password of the database user, where the URL has none.
    #[serde(default)]
    pub database_password: Option<String>,
    /// Start although the database server may lose committed work (`fsync` off). Only for tests.
    #[serde(default)]
    pub database_allow_unsafe: bool,
    /// PEM file with the roots that PostgreSQL's certificate is checked against.
    #[serde(default)]
    pub database_ca: Option<PathBuf>,
    /// Database connections at most.
    #[serde(default = "database_connections")]
    pub database_connections: usize,

    /// PEM file with the server certificate and its chain.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub private_key: PathBuf,
    /// PEM files, or folders of them, with the CAs of client certificates.
    pub client_ca: Vec<PathBuf>,
    /// PEM files with revocation lists.
    #[serde(default)]
    pub client_crl: Vec<PathBuf>,
    /// Check only the client certificate itself against the lists, not the CAs above it.
    #[serde(default)]
    pub crl_leaf_only: bool,
    /// Accept certificates of a CA without a list, although lists are configured.
    #[serde(default)]
    pub crl_allow_unknown: bool,
    /// Refuse certificates of a CA whose list has expired.
    #[serde(default)]
    pub crl_refuse_expired: bool,
    /// File with at least 32 random bytes, the same for all replicas: sessions are then resumed at any of
    /// them. Without it each replica resumes only its own.
    #[serde(default)]
    pub ticket_key_file: Option<PathBuf>,
    /// How often certificate, CA and list files are looked at; SIGHUP does it at once.
    #[serde(default = "reload_interval")]
    pub reload_interval: Duration,
    /// Addresses of proxies that begin each connection with a PROXY protocol header.
    #[serde(default)]
    pub proxies: Vec<IpAddr>,

    /// Connections at most; further ones wait in the kernel's queue.
    #[serde(default = "max_connections")]
    pub max_connections: usize,
    /// Requests that are worked on at the same time; further ones wait.
    #[serde(default = "max_requests")]
    pub max_requests: usize,
    /// Requests that may wait; further ones get 503 at once.
    #[serde(default = "max_waiting_requests")]
    pub max_waiting_requests: usize,
    /// How long a request may wait before it gets 503.
    #[serde(default = "wait_timeout")]
    pub wait_timeout: Duration,
    /// Largest request body, in bytes.
    #[serde(default = "max_body")]
    pub max_body: usize,
    /// Largest Binary that is sent raw, in bytes.
    #[serde(default = "max_binary")]
    pub max_binary: u64,
    /// Time for PROXY header and TLS handshake together.
    #[serde(default = "handshake_timeout")]
    pub handshake_timeout: Duration,
    /// Time for the headers of a request.
    #[serde(default = "header_timeout")]
    pub header_timeout: Duration,
    /// Time for the body of a request.
    #[serde(default = "body_timeout")]
    pub body_timeout: Duration,
    /// How long a connection without a request stays open.
    #[serde(default = "idle_timeout")]
    pub idle_timeout: Duration,
    /// How long running requests may take to end when the service is stopped.
    #[serde(default = "stop_timeout")]
    pub stop_timeout: Duration,

    /// Entries of a search page where the client does not say.
    #[serde(default = "page_count")]
    pub page_count: u32,
    /// Transaction bundle with the allow list, executed at start.
    #[serde(default)]
    pub init_bundle: Option<PathBuf>,
    /// TOML or JSON file with the roles of persons.
    #[serde(default)]
    pub roles_file: Option<PathBuf>,

    /// URLs of the NATS servers.
    pub nats_urls: Vec<String>,
    /// NATS user.
    #[serde(default)]
    pub nats_user: Option<String>,
    /// Its password.
    #[serde(default)]
    pub nats_password: Option<String>,
    /// PEM file with the roots that NATS certificates are checked against.
    #[serde(default)]
    pub nats_ca: Option<PathBuf>,
    /// Copies of the EVENTS stream in a NATS cluster.
    #[serde(default = "nats_replicas")]
    pub nats_replicas: usize,

    /// File that is written when the gateway answers requests.
    #[serde(default)]
    pub ready_file: Option<PathBuf>,
}

fn database_connections() -> usize {
    16
}
fn reload_interval() -> Duration {
    Duration::secs(10)
}
fn max_connections() -> usize {
    4096
}
fn max_requests() -> usize {
    64
}
fn max_waiting_requests() -> usize {
    1024
}
fn wait_timeout() -> Duration {
    Duration::secs(20)
}
fn max_body() -> usize {
    site::DEFAULT_MAX_BODY
}
fn max_binary() -> u64 {
    data::DEFAULT_MAX_BINARY
}
fn handshake_timeout() -> Duration {
    Duration::secs(10)
}
fn header_timeout() -> Duration {
    Duration::secs(10)
}
fn body_timeout() -> Duration {
    Duration::secs(60)
}
fn idle_timeout() -> Duration {
    Duration::secs(75)
}
fn stop_timeout() -> Duration {
    Duration::secs(10)
}
fn page_count() -> u32 {
    site::DEFAULT_PAGE_COUNT
}
fn nats_replicas() -> usize {
    1
}

impl Config {
    /// The TLS side.
    pub fn tls(&self) -> TlsSettings {
        TlsSettings {
            certificate: self.certificate.clone(),
            private_key: self.private_key.clone(),
            client_ca: self.client_ca.clone(),
            client_crl: self.client_crl.clone(),
            crl_leaf_only: self.crl_leaf_only,
            crl_allow_unknown: self.crl_allow_unknown,
            crl_refuse_expired: self.crl_refuse_expired,
            ticket_key: self.ticket_key_file.clone(),
        }
    }

    /// The listener's time limits.
    pub fn timeouts(&self) -> Timeouts {
        Timeouts {
            handshake: self.handshake_timeout.get(),
            header: self.header_timeout.get(),
            idle: self.idle_timeout.get(),
            stop: self.stop_timeout.get(),
        }
    }

    /// Where NATS is.
    pub fn nats(&self) -> NatsConfig {
        NatsConfig {
            urls: self.nats_urls.clone(),
            user: self.nats_user.clone(),
            password: self.nats_password.clone(),
            ca: self.nats_ca.clone(),
        }
    }

    /// The base URL without trailing slash.
    pub fn base_url(&self) -> String {
        self.base_url.trim_end_matches('/').to_owned()
    }
}
