//! Why there is no client, or no answer.
use std::{error::Error, fmt, io, path::PathBuf};

/// A file of the client's identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The file cannot be read or holds no PEM of the expected kind.
    #[error("{what} {path} cannot be read ({reason}): check path, permissions and that it is PEM")]
    File {
        /// What the file should hold.
        what: &'static str,
        /// The path.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// Certificate and key do not make an identity, or TLS cannot be set up.
    #[error("client certificate and key cannot be used ({reason}): check that they belong together")]
    Identity {
        /// The TLS library's reason.
        reason: String,
    },
}

/// Kind of a transport error; few values, fit for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransportKind {
    /// Nobody listens at the address.
    Refused,
    /// No connection or no whole answer in time.
    Timeout,
    /// TLS failed: an untrusted certificate on either side, or no common parameters.
    Tls,
    /// The host name is not known.
    Dns,
    /// The connection ended before the whole answer had come.
    Closed,
    /// The answer is larger than allowed.
    TooLarge,
    /// Anything else: an unusable URL or header, a broken answer, an unreachable network.
    Other,
}

impl TransportKind {
    /// Text for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "connection refused",
            Self::Timeout => "no answer in time",
            Self::Tls => "TLS failure",
            Self::Dns => "unknown host",
            Self::Closed => "connection closed",
            Self::TooLarge => "answer too large",
            Self::Other => "request not possible",
        }
    }
}

impl fmt::Display for TransportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// There was no whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct TransportError {
    /// What happened.
    pub kind: TransportKind,
    /// True if the server may have received the request: then its effect is unknown.
    pub sent: bool,
}

impl TransportError {
    pub(crate) fn before(kind: TransportKind) -> Self {
        Self { kind, sent: false }
    }

    pub(crate) fn after(kind: TransportKind) -> Self {
        Self { kind, sent: true }
    }
}

/// The kind of an input or output error, looked for along its causes.
pub fn kind_of(error: &(dyn Error + 'static)) -> TransportKind {
    let mut found = None;
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<rustls::Error>() {
            return TransportKind::Tls;
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>()
            && (error.is_incomplete_message() || error.is_canceled() || error.is_closed())
        {
            found = Some(TransportKind::Closed);
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            // io::Error hides what it wraps from `source` where that is the error itself.
            if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
                return TransportKind::Tls;
            }
            found = Some(match error.kind() {
                io::ErrorKind::ConnectionRefused => TransportKind::Refused,
                io::ErrorKind::TimedOut => TransportKind::Timeout,
                io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::UnexpectedEof => TransportKind::Closed,
                _ => TransportKind::Other,
            });
        }
        next = error.source();
    }
    found.unwrap_or(TransportKind::Other)
}
