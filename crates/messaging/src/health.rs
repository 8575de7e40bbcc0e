//! How a replica of an adapter is, for an operator: no personal data, no text of other systems.
use serde::{Deserialize, Serialize};

/// One replica. Answered to any JSON (`null`) on `<service>.health`, by every replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// Service, for example `mpi-adapter`.
    pub service: String,
    /// Host and process.
    pub replica: String,
    /// Systems that it asks.
    pub backends: Vec<BackendHealth>,
    /// Its audit records.
    pub audit: AuditHealth,
}

/// Whether a system is asked at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BreakerState {
    /// It is asked.
    Closed,
    /// The next question is a probe, or one is under way.
    HalfOpen,
    /// It failed too often and is left alone.
    Open,
}

/// One system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendHealth {
    /// Name as in metrics.
    pub name: String,
    /// Whether it is asked.
    pub breaker: BreakerState,
    /// Milliseconds until an open breaker lets a probe through.
    pub next_try_ms: Option<u64>,
    /// Requests that may run at the same time.
    pub places: u64,
    /// Requests that run.
    pub in_use: u64,
    /// Requests that wait for a place.
    pub waiting: u64,
    /// Milliseconds since the last answer.
    pub last_success_ms: Option<u64>,
    /// The last failure.
    pub last_failure: Option<LastFailure>,
}

/// A failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastFailure {
    /// Kind as in metrics, for example `timeout`.
    pub kind: String,
    /// Milliseconds since then.
    pub age_ms: u64,
}

/// Audit records of a replica.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditHealth {
    /// How they travel, for example `syslog+tls`; none where they stay in their file.
    pub target: Option<String>,
    /// Bytes that wait for the repository.
    pub waiting_bytes: u64,
    /// Records that could not be written since the start.
    pub lost: u64,
    /// Records that the repository refused since the start.
    pub refused: u64,
    /// Why the repository takes no records now, and since when.
    pub failing: Option<LastFailure>,
}
