//! What the adapters of hospital systems share: connections, time-outs, retries, circuit breaker,
//! limits, metrics and audit records.
//!
//! Invariants: no error text and no log line holds content of a request or an answer, a URL with a
//! query, or a credential; answers are bounded; a transport failure is never an answer.
#![forbid(unsafe_code)]

pub mod audit;
pub mod dumps;
pub mod forward;
pub mod guard;
pub mod health;
pub mod http;
pub mod settings;
pub mod tls;

use std::time::Duration;

pub use fhir_client::{TransportKind, kind_of};
use hospital::failure::{Failure, Reason};

/// Why there is no usable answer of a hospital system.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// No whole answer came.
    #[error("no answer ({0})")]
    Transport(TransportKind),
    /// Refused, away or wrong on the wire.
    #[error(transparent)]
    Failure(#[from] Failure),
    /// It answered that it cannot answer now, with an HTTP status that says no more than that.
    #[error("it cannot answer now (status {status})")]
    Away {
        /// Status.
        status: u16,
        /// How long it wants not to be asked (`Retry-After`).
        after: Option<Duration>,
    },
    /// Not asked: it failed too often just now.
    #[error("not asked, it failed too often; next try in {} s", .0.as_secs())]
    Open(Duration),
    /// Not asked: no place in time.
    #[error("not asked, too many requests are waiting")]
    Busy,
}

impl From<Reason> for Trouble {
    fn from(reason: Reason) -> Self {
        Self::Failure(reason.into())
    }
}

impl Trouble {
    /// Name in metrics and audit records.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Transport(kind) => match kind {
                TransportKind::Refused => "refused",
                TransportKind::Timeout => "timeout",
                TransportKind::Tls => "tls",
                TransportKind::Dns => "dns",
                TransportKind::Closed => "closed",
                TransportKind::TooLarge => "too-large",
                TransportKind::Other => "transport",
            },
            Self::Failure(failure) => match failure {
                Failure::Protocol(reason) => reason.as_str(),
                other => other.outcome(),
            },
            Self::Away { .. } => "unavailable",
            Self::Open(_) => "breaker-open",
            Self::Busy => "busy",
        }
    }

    /// True where the same question may be answered later.
    pub fn is_outage(&self) -> bool {
        !matches!(self, Self::Failure(Failure::Rejected(_) | Failure::Protocol(_)))
    }

    /// True where asking again at once is worth it: no answer of the protocol was read. An index that
    /// says in its own protocol that it failed has answered.
    fn is_worth_retry(&self) -> bool {
        match self {
            Self::Transport(kind) => !matches!(kind, TransportKind::Tls | TransportKind::TooLarge),
            Self::Away { .. } => true,
            _ => false,
        }
    }
}
