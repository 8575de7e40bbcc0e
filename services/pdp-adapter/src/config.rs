//! Settings: `DSF_PDP_<FIELD>` or the field in a TOML file.
use std::path::PathBuf;

use adapter::{
    guard::{self, Limits},
    http::{HttpSettings, Login},
    settings::{AuditSettings, BreakerSettings},
    tls::TlsSettings,
};
use config::Duration;
use messaging::connect::NatsConfig;
use serde::Deserialize;

/// Prefix of the environment variables.
pub const PREFIX: &str = "DSF_PDP";

/// Longest time to open a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::secs(2);
/// Longest time for an answer.
pub const ANSWER_TIMEOUT: Duration = Duration::secs(10);
/// Requests to the decision point at the same time.
pub const CONCURRENCY: usize = 16;
/// Questions of workers answered at the same time.
pub const REQUESTS: usize = 16;
/// Largest answer, in bytes.
pub const MAX_ANSWER: usize = 8 * 1024 * 1024;
/// How long a decision is used again. A withdrawal takes effect within this time even if nobody
/// tells us; longer lives are refused.
pub const MAX_CACHE_LIFE: Duration = Duration::secs(60);

/// What the decision point speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackendKind {
    /// XACML 3.0 over REST, JSON profile.
    Xacml,
    /// IHE Secure Retrieve, ITI-79.
    Ser,
    /// FHIR Consent resources that we evaluate.
    FhirConsent,
    /// gICS through the TTP-FHIR gateway.
    Gics,
    /// Refuses everything.
    DenyAll,
}

/// All settings. Fields without a default must be given.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the site.
    pub site: String,
    /// What the decision point speaks.
    pub backend: BackendKind,
    /// URL of the decision point; base URL for FHIR and gICS.
    #[serde(default)]
    pub address: String,

    /// PEM file with the roots of the decision point.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// PEM file with our client certificate.
    #[serde(default)]
    pub client_certificate: Option<PathBuf>,
    /// PEM file with its private key.
    #[serde(default)]
    pub client_key: Option<PathBuf>,
    /// Name in the certificate of the decision point, where it is not that of the address.
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

    /// Action that is asked about (XACML and ITI-79).
    #[serde(default = "action")]
    pub action: String,
    /// Obligations that callers fulfil.
    #[serde(default)]
    pub obligations: Vec<String>,
    /// Organization id of the asking party (ITI-79).
    #[serde(default)]
    pub organization: Option<String>,
    /// OID of the domain of record ids (ITI-79).
    #[serde(default)]
    pub record_domain: Option<String>,
    /// Namespace of the ITI-79 query, where a product wants another one.
    #[serde(default)]
    pub ser_namespace: Option<String>,
    /// System of person identifiers (FHIR and gICS).
    #[serde(default)]
    pub identifier_system: Option<String>,
    /// Consent domain (gICS).
    #[serde(default = "domain")]
    pub domain: String,
    /// Profiles a Consent must claim one of; any where empty.
    #[serde(default)]
    pub consent_profiles: Vec<String>,
    /// Where consent dates are: `Europe/Berlin`, `UTC` or an offset.
    #[serde(default = "time_zone")]
    pub time_zone: String,

    /// How long a decision is used again, at most [`MAX_CACHE_LIFE`].
    #[serde(default = "cache_life")]
    pub cache_life: Duration,
    /// Longest time to open a connection.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: Duration,
    /// Longest time for an answer.
    #[serde(default = "answer_timeout")]
    pub answer_timeout: Duration,
    /// Largest answer, in bytes.
    #[serde(default = "max_answer")]
    pub max_answer: usize,
    /// Requests to the decision point at the same time.
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

fn action() -> String {
    "urn:dsf:action:mdat-use".to_owned()
}
fn domain() -> String {
    "MII".to_owned()
}
fn time_zone() -> String {
    "Europe/Berlin".to_owned()
}
fn cache_life() -> Duration {
    MAX_CACHE_LIFE
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
    guard::RETRIES
}
fn requests() -> usize {
    REQUESTS
}
