//! Settings that adapters share; each is a field of an adapter's own struct.
use std::path::PathBuf;

use config::Duration;
use hospital::audit::Schema;
use serde::Deserialize;

use crate::{
    guard::{self, Limits},
    tls::TlsSettings,
};

/// Field `audit`: where audit records go.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditSettings {
    /// File for audit records, one FHIR AuditEvent per line.
    pub file: Option<PathBuf>,
    /// Audit repository that records are carried to: FHIR base URL, `syslog+tls://host:port` or
    /// `syslog+udp://host:port`.
    pub url: Option<String>,
    /// PEM file with the roots of the repository; those of the other system where absent.
    pub ca: Option<PathBuf>,
    /// PEM file with our client certificate there; that for the other system where absent.
    pub client_certificate: Option<PathBuf>,
    /// PEM file with its private key.
    pub client_key: Option<PathBuf>,
    /// Name in the certificate of the repository, where it is not that of the address.
    pub server_name: Option<String>,
    /// Form of records over syslog.
    #[serde(default)]
    pub format: AuditFormat,
}

/// Form of records over syslog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum AuditFormat {
    /// DICOM PS3.15 A.5, MSGID `IHE+DICOM`.
    #[default]
    #[serde(rename = "dicom")]
    Dicom,
    /// RFC 3881, MSGID `IHE+RFC-3881`.
    #[serde(rename = "rfc-3881")]
    Rfc3881,
}

impl AuditSettings {
    /// TLS to the repository; `other` is that to the system which the adapter asks.
    pub(crate) fn tls(&self, other: &TlsSettings) -> TlsSettings {
        let identity = self.client_certificate.clone().zip(self.client_key.clone());
        TlsSettings {
            roots: self.ca.clone().or_else(|| other.roots.clone()),
            identity: identity.or_else(|| other.identity.clone()),
            server_name: self.server_name.clone(),
            allow_plaintext: other.allow_plaintext,
        }
    }

    pub(crate) fn schema(&self) -> Schema {
        match self.format {
            AuditFormat::Dicom => Schema::Dicom,
            AuditFormat::Rfc3881 => Schema::Rfc3881,
        }
    }
}

/// Field `breaker`: when a system is left alone.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakerSettings {
    /// Transport failures in a row after which it is left alone.
    #[serde(default = "failures")]
    pub failures: u32,
    /// Percentage of the last [`guard::WINDOW`] tries; when more of them fail it is left alone, too.
    #[serde(default = "share")]
    pub share: u32,
    /// For how long, before one probe.
    #[serde(default = "pause")]
    pub pause: Duration,
}

impl BreakerSettings {
    /// Limits of the system, with its places and further tries.
    pub fn limits(&self, concurrency: usize, retries: u32) -> Limits {
        let (failures, share, pause) = (self.failures.max(1), self.share, self.pause.get());
        Limits { concurrency, retries, failures, share, pause }
    }
}

fn failures() -> u32 {
    guard::FAILURES
}
fn share() -> u32 {
    guard::SHARE
}
fn pause() -> Duration {
    Duration(guard::OPEN_PAUSE)
}
