//! Settings: `DSF_MPI_<FIELD>` or the field in a TOML file.
use std::path::PathBuf;

use adapter::{
    guard::{self, Limits},
    http::{HttpSettings, Login},
    settings::{AuditSettings, BreakerSettings},
    tls::TlsSettings,
};
use config::Duration;
use hospital::{
    hl7v2::{Charset, Options},
    mllp,
    person::{Domain, Profile, Repetition},
};
use messaging::connect::NatsConfig;
use serde::Deserialize;

/// Prefix of the environment variables.
pub const PREFIX: &str = "DSF_MPI";

/// Longest time to open a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::secs(2);
/// Longest time for an answer.
pub const ANSWER_TIMEOUT: Duration = Duration::secs(10);
/// Requests to the index at the same time over MLLP, which is also the number of connections, and to the
/// table.
pub const CONNECTIONS: usize = 4;
/// Requests to the index at the same time over HTTP.
pub const CONCURRENCY: usize = 16;
/// Requests of workers answered at the same time.
pub const REQUESTS: usize = 16;
/// Largest answer over HTTP, in bytes; over MLLP it is [`mllp::FRAME_LIMIT`].
pub const MAX_ANSWER: usize = 8 * 1024 * 1024;

/// What the index speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackendKind {
    /// PDQ and PIX of HL7 v2 over MLLP (ITI-21, ITI-9).
    Hl7V2,
    /// PDQm and PIXm over FHIR (ITI-78, ITI-119, ITI-83).
    Fhir,
    /// PDQv3 and PIXv3 over SOAP (ITI-47, ITI-45).
    Hl7V3,
    /// A table of our own.
    Table,
}

/// Which of several names or addresses is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RepetitionSetting {
    /// The first.
    First,
    /// The official name, the home address.
    Preferred,
}

/// All settings. Fields without a default must be given.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the site, part of the context that persons are sealed in.
    pub site: String,
    /// What the index speaks.
    pub backend: BackendKind,
    /// `host:port` (HL7 v2) or URL of the index; not for the table.
    #[serde(default)]
    pub address: String,
    /// Address for cross references, where it is another one.
    #[serde(default)]
    pub cross_reference_address: Option<String>,
    /// Recipients of persons: `name=public key in Base64`, separated by commas.
    pub recipients: Vec<String>,
    /// Our private key in Base64, for demographics that are sent to us sealed.
    #[serde(default)]
    pub private_key: Option<String>,

    /// PEM file with the roots of the index.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// PEM file with our client certificate.
    #[serde(default)]
    pub client_certificate: Option<PathBuf>,
    /// PEM file with its private key.
    #[serde(default)]
    pub client_key: Option<PathBuf>,
    /// Name in the certificate of the index, where it is not that of the address.
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

    /// Short name of the authority of record ids (v2 CX-4.1).
    #[serde(default)]
    pub authority_namespace: Option<String>,
    /// OID of the authority of record ids (v2 CX-4.2, v3 root).
    #[serde(default)]
    pub authority_universal_id: Option<String>,
    /// FHIR system of record ids.
    #[serde(default)]
    pub authority_system: Option<String>,
    /// OID of insurance numbers, where they are identifiers.
    #[serde(default)]
    pub insurance_universal_id: Option<String>,
    /// FHIR system of insurance numbers.
    #[serde(default)]
    pub insurance_system: Option<String>,
    /// Which name and address is taken; the protocol's default where absent.
    #[serde(default)]
    pub repetition: Option<RepetitionSetting>,

    /// MSH-3 or OID of our device.
    #[serde(default = "sender")]
    pub sender_application: String,
    /// MSH-4.
    #[serde(default)]
    pub sender_facility: String,
    /// MSH-5 or OID of the device of the index.
    #[serde(default = "receiver")]
    pub receiver_application: String,
    /// MSH-6.
    #[serde(default)]
    pub receiver_facility: String,
    /// Character set of HL7 v2: `auto`, `utf-8`, `iso-8859-1`, `iso-8859-15`, `windows-1252`.
    #[serde(default = "charset")]
    pub charset: String,
    /// Also take LF as end of an HL7 v2 segment.
    #[serde(default)]
    pub lenient: bool,

    /// Database of the table.
    #[serde(default)]
    pub database_url: Option<String>,
    /// Password of the database.
    #[serde(default)]
    pub database_password: Option<String>,
    /// CSV file that replaces the table at start.
    #[serde(default)]
    pub table_csv: Option<PathBuf>,

    /// Longest time to open a connection.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: Duration,
    /// Longest time for an answer.
    #[serde(default = "answer_timeout")]
    pub answer_timeout: Duration,
    /// Largest answer, in bytes; 1 MiB over MLLP and [`MAX_ANSWER`] over HTTP where absent.
    #[serde(default)]
    pub max_answer: Option<usize>,
    /// Requests to the index at the same time; [`CONNECTIONS`] or [`CONCURRENCY`] where absent.
    #[serde(default)]
    pub concurrency: Option<usize>,
    /// Further tries of a query.
    #[serde(default = "retries")]
    pub retries: u32,
    /// When the other side is left alone: `breaker_failures`, `breaker_share`, `breaker_pause`.
    pub breaker: BreakerSettings,
    /// Requests of workers answered at the same time.
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
        let login = match (&self.basic_user, &self.basic_password) {
            (Some(user), Some(password)) => Login::Basic { user: user.clone(), password: password.clone() },
            _ => Login::None,
        };
        HttpSettings { answer_timeout: self.answer_timeout.get(), max_answer: self.max_answer(), login }
    }

    pub(crate) fn limits(&self) -> Limits {
        self.breaker.limits(self.concurrency(), self.retries)
    }

    /// Requests to the index at the same time.
    pub(crate) fn concurrency(&self) -> usize {
        let usual = match self.backend {
            BackendKind::Hl7V2 | BackendKind::Table => CONNECTIONS,
            BackendKind::Fhir | BackendKind::Hl7V3 => CONCURRENCY,
        };
        self.concurrency.unwrap_or(usual).max(1)
    }

    /// Largest answer, in bytes.
    pub(crate) fn max_answer(&self) -> usize {
        let usual = if self.backend == BackendKind::Hl7V2 { mllp::FRAME_LIMIT } else { MAX_ANSWER };
        self.max_answer.unwrap_or(usual)
    }

    /// What HL7 v2 calls both sides in audit records.
    pub(crate) fn applications(&self) -> Option<(String, String)> {
        let name = |application: &str, facility: &str| format!("{application}|{facility}");
        (self.backend == BackendKind::Hl7V2).then(|| {
            (
                name(&self.sender_application, &self.sender_facility),
                name(&self.receiver_application, &self.receiver_facility),
            )
        })
    }

    pub(crate) fn authority(&self) -> Domain {
        Domain {
            namespace: self.authority_namespace.clone(),
            universal_id: self.authority_universal_id.clone(),
            universal_id_type: None,
            system: self.authority_system.clone(),
        }
    }

    pub(crate) fn profile(&self) -> Profile {
        let insurance = self.insurance_universal_id.is_some() || self.insurance_system.is_some();
        Profile {
            authority: self.authority(),
            insurance_authority: insurance.then(|| Domain {
                universal_id: self.insurance_universal_id.clone(),
                system: self.insurance_system.clone(),
                ..Domain::default()
            }),
            repetition: self.repetition.map(|setting| match setting {
                RepetitionSetting::First => Repetition::First,
                RepetitionSetting::Preferred => Repetition::Preferred,
            }),
        }
    }

    pub(crate) fn options(&self) -> Option<Options> {
        Some(Options { charset: Charset::from_setting(&self.charset)?, lenient: self.lenient })
    }
}

fn sender() -> String {
    "DSF".to_owned()
}
fn receiver() -> String {
    "MPI".to_owned()
}
fn charset() -> String {
    "auto".to_owned()
}
fn connect_timeout() -> Duration {
    CONNECT_TIMEOUT
}
fn answer_timeout() -> Duration {
    ANSWER_TIMEOUT
}
fn retries() -> u32 {
    guard::RETRIES
}
fn requests() -> usize {
    REQUESTS
}
