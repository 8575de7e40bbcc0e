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
    oidc, site,
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
    /// Thumbprint of the site's client certificate (SHA-512, 128 hex digits), for the bundle of
    /// `init_bundle`; computed from `client_certificate` where it is not given.
    #[serde(default)]
    pub organization_thumbprint: Option<String>,
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

    /// Ask the sites of stored Endpoints whether what is referred to exists there. `on` needs the next
    /// three settings.
    #[serde(default)]
    pub reference_checks: Switch,
    /// PEM file with the client certificate for these questions, read at start: its thumbprint must
    /// stand in our Organization at the other sites.
    #[serde(default)]
    pub client_certificate: Option<PathBuf>,
    /// PEM file with its private key.
    #[serde(default)]
    pub client_key: Option<PathBuf>,
    /// PEM file with the roots that certificates of other sites are checked against.
    #[serde(default)]
    pub server_ca: Option<PathBuf>,
    /// Time to connect to another site.
    #[serde(default = "reference_connect_timeout")]
    pub reference_connect_timeout: Duration,
    /// Time for one question, connecting included.
    #[serde(default = "reference_timeout")]
    pub reference_timeout: Duration,
    /// TOML file that says which resources are removed for good after a time.
    #[serde(default)]
    pub retention_file: Option<PathBuf>,

    /// Issuer URL (realm base URL) of an OpenID provider; without it there is none.
    #[serde(default)]
    pub oidc_provider: Option<String>,
    /// Path of the provider's discovery document.
    #[serde(default = "oidc_discovery_path")]
    pub oidc_discovery_path: String,
    /// PEM file with the roots of the provider's certificate.
    #[serde(default)]
    pub oidc_ca: Option<PathBuf>,
    /// Our client id at the provider.
    #[serde(default)]
    pub oidc_client_id: Option<String>,
    /// Our secret there.
    #[serde(default)]
    pub oidc_client_secret: Option<String>,
    /// Accept bearer tokens.
    #[serde(default)]
    pub oidc_bearer_token: bool,
    /// Audience that bearer tokens must name.
    #[serde(default)]
    pub oidc_bearer_token_audience: Option<String>,
    /// Send browsers without certificate to the provider.
    #[serde(default)]
    pub oidc_authorization_code_flow: bool,
    /// Let the provider end sessions.
    #[serde(default)]
    pub oidc_back_channel_logout: bool,
    /// Path of that below the base URL.
    #[serde(default = "oidc_back_channel_logout_path")]
    pub oidc_back_channel_logout_path: String,
    /// A session without request ends after this time; with the token it ends in any case.
    #[serde(default = "oidc_session_timeout")]
    pub oidc_session_timeout: Duration,
    /// Time to connect to the provider.
    #[serde(default = "oidc_connect_timeout")]
    pub oidc_connect_timeout: Duration,
    /// Time for its answer.
    #[serde(default = "oidc_read_timeout")]
    pub oidc_read_timeout: Duration,
    /// How long its discovery document and keys are believed.
    #[serde(default = "oidc_cache")]
    pub oidc_cache: Duration,

    /// File with at least 32 random bytes, the same for all replicas: the hashes of the audit chain are then
    /// computed with it. Keep a copy where the database's administrators cannot read it.
    #[serde(default)]
    pub audit_key_file: Option<PathBuf>,

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

/// Something that is on unless it is switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Switch {
    /// In use.
    #[default]
    On,
    /// Not in use.
    Off,
}

fn reference_connect_timeout() -> Duration {
    Duration::secs(2)
}
fn reference_timeout() -> Duration {
    Duration::secs(10)
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
// The defaults of the public implementation (fhir-endpoint contract 10).
fn oidc_discovery_path() -> String {
    "/.well-known/openid-configuration".to_owned()
}
fn oidc_back_channel_logout_path() -> String {
    "/back-channel-logout".to_owned()
}
fn oidc_session_timeout() -> Duration {
    Duration::secs(30 * 60)
}
fn oidc_connect_timeout() -> Duration {
    Duration::secs(5)
}
fn oidc_read_timeout() -> Duration {
    Duration::secs(30)
}
fn oidc_cache() -> Duration {
    Duration::secs(60 * 60)
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

    /// OpenID Connect, where a provider is named.
    ///
    /// # Errors
    /// What else must then be given.
    pub fn oidc(&self) -> Result<Option<oidc::Settings>, oidc::SettingsError> {
        let Some(provider) = self.oidc_provider.clone() else {
            let asked =
                self.oidc_bearer_token || self.oidc_authorization_code_flow || self.oidc_back_channel_logout;
            return if asked {
                Err(oidc::SettingsError("oidc_provider is missing".to_owned()))
            } else {
                Ok(None)
            };
        };
        let missing = |what: &str| oidc::SettingsError(format!("{what} is missing"));
        Ok(Some(oidc::Settings {
            provider,
            discovery_path: self.oidc_discovery_path.clone(),
            client_id: self.oidc_client_id.clone().ok_or_else(|| missing("oidc_client_id"))?,
            client_secret: self.oidc_client_secret.clone(),
            ca: self.oidc_ca.clone().ok_or_else(|| missing("oidc_ca"))?,
            audience: self.oidc_bearer_token_audience.clone(),
            bearer: self.oidc_bearer_token,
            code_flow: self.oidc_authorization_code_flow,
            back_channel_logout: self.oidc_back_channel_logout,
            back_channel_path: self.oidc_back_channel_logout_path.clone(),
            session_timeout: self.oidc_session_timeout.get(),
            connect_timeout: self.oidc_connect_timeout.get(),
            read_timeout: self.oidc_read_timeout.get(),
            cache: self.oidc_cache.get(),
        }))
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
