//! Settings: `DSF_MDAT_<FIELD>` or the field in a TOML file.
use std::path::PathBuf;

use adapter::{
    guard::Limits,
    http::{HttpSettings, Login},
    settings::{AuditSettings, BreakerSettings},
    tls::TlsSettings,
};
use config::Duration;
use messaging::connect::NatsConfig;
use serde::Deserialize;

/// Prefix of the environment variables.
pub const PREFIX: &str = "DSF_MDAT";

/// Longest time to open a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::secs(2);
/// Longest time for an answer.
pub const ANSWER_TIMEOUT: Duration = Duration::secs(120);
/// Requests to the repository at the same time.
pub const CONCURRENCY: usize = 2;
/// Questions of workers answered at the same time.
pub const REQUESTS: usize = 16;
/// Largest answer, in bytes.
pub const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// Rows per page where the caller states nothing.
pub const PAGE: u64 = 1_000;
/// Most rows per page: ids of this many fit into one answer.
pub const MAX_PAGE: u64 = 3_000;

/// What the repository speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// openEHR REST with AQL.
    Openehr,
    /// FHIR search.
    Fhir,
}

/// All settings. Fields without a default must be given.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the site.
    pub site: String,
    /// What the repository speaks.
    pub backend: Source,
    /// Base URL of the repository: `…/rest/openehr/v1` or the FHIR base.
    pub address: String,

    /// PEM file with the roots of the repository.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// PEM file with our client certificate.
    #[serde(default)]
    pub client_certificate: Option<PathBuf>,
    /// PEM file with its private key.
    #[serde(default)]
    pub client_key: Option<PathBuf>,
    /// Name in the certificate of the repository, where it is not that of the address.
    #[serde(default)]
    pub server_name: Option<String>,
    /// Connect without TLS.
    #[serde(default)]
    pub allow_plaintext: bool,
    /// User for HTTP Basic.
    #[serde(default)]
    pub basic_user: Option<String>,
    /// Password for HTTP Basic.
    #[serde(default)]
    pub basic_password: Option<String>,
    /// Token endpoint for OAuth 2 client credentials.
    #[serde(default)]
    pub token_url: Option<String>,
    /// Client id.
    #[serde(default)]
    pub token_client: Option<String>,
    /// Client secret.
    #[serde(default)]
    pub token_secret: Option<String>,
    /// Scope.
    #[serde(default)]
    pub token_scope: Option<String>,

    /// Name of the column with record ids.
    #[serde(default = "id_column")]
    pub id_column: String,
    /// Path of the column with record ids.
    #[serde(default = "id_path")]
    pub id_path: String,
    /// System of record ids, in FHIR.
    #[serde(default)]
    pub identifier_system: Option<String>,
    /// Also turn counts into selections of ids that the original process leaves alone.
    #[serde(default)]
    pub parsed_rewrite: bool,

    /// Longest time to open a connection.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: Duration,
    /// Longest time for an answer.
    #[serde(default = "answer_timeout")]
    pub answer_timeout: Duration,
    /// Largest answer, in bytes.
    #[serde(default = "max_answer")]
    pub max_answer: usize,
    /// Requests to the repository at the same time.
    #[serde(default = "concurrency")]
    pub concurrency: usize,
    /// Further tries of a question.
    #[serde(default = "retries")]
    pub retries: u32,
    /// When the other side is left alone: `breaker_failures`, `breaker_share`, `breaker_pause`.
    pub breaker: BreakerSettings,
    /// Questions of workers answered at the same time.
    #[serde(default = "requests")]
    pub requests: usize,
    /// Audit records: `audit_file`, `audit_url` and how to get there.
    pub audit: AuditSettings,

    /// NATS servers and our login: `nats_urls`, `nats_user`, `nats_password`, `nats_ca`.
    pub nats: NatsConfig,
    /// File that is written when the adapter is ready.
    #[serde(default)]
    pub ready_file: Option<PathBuf>,
}

impl Config {
    pub(crate) fn tls(&self) -> TlsSettings {
        TlsSettings {
            roots: self.ca.clone(),
            identity: self.client_certificate.clone().zip(self.client_key.clone()),
            server_name: self.server_name.clone(),
            allow_plaintext: self.allow_plaintext,
        }
    }

    pub(crate) fn http(&self) -> HttpSettings {
        let basic = self.basic_user.clone().zip(self.basic_password.clone());
        let token = self.token_url.clone().zip(self.token_client.clone()).zip(self.token_secret.clone());
        let login = match (basic, token) {
            (_, Some(((url, client), secret))) => {
                Login::ClientCredentials { url, client, secret, scope: self.token_scope.clone() }
            }
            (Some((user, password)), None) => Login::Basic { user, password },
            (None, None) => Login::None,
        };
        HttpSettings { answer_timeout: self.answer_timeout.get(), max_answer: self.max_answer, login }
    }

    pub(crate) fn limits(&self) -> Limits {
        self.breaker.limits(self.concurrency, self.retries)
    }
}

fn id_column() -> String {
    "EHRID".to_owned()
}
fn id_path() -> String {
    "/ehr_status/subject/external_ref/id/value".to_owned()
}
fn connect_timeout() -> Duration {
    CONNECT_TIMEOUT
}
fn answer_timeout() -> Duration {
    ANSWER_TIMEOUT
}
fn max_answer() -> usize {
    MAX_ANSWER
}
fn concurrency() -> usize {
    CONCURRENCY
}
fn retries() -> u32 {
    // Queries are heavy; a second try is enough.
    1
}
fn requests() -> usize {
    REQUESTS
}
