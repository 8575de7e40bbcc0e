//! What can go wrong in the engine, by what to do about it.
use database::Kind;

/// Why the engine could not do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database refused a statement or is away.
    #[error("{0}")]
    Database(#[from] database::Error),
    /// A value cannot be stored: the input is at fault.
    #[error("a value cannot be stored: {0}")]
    Data(String),
    /// NATS refused a subscription.
    #[error("{0}")]
    Nats(#[from] messaging::connect::RequestError),
    /// A stored model or state cannot be read by this version.
    #[error("stored {what} of {id} cannot be read: {reason}")]
    Stored {
        /// What kind of thing.
        what: &'static str,
        /// Its id.
        id: String,
        /// Why; free of variable values.
        reason: String,
    },
    /// Another transaction did the same at the same time: do the batch again.
    #[error("another replica worked on the same rows")]
    Conflict,
    /// The ready file cannot be written.
    #[error("ready file {path} cannot be written: {reason}")]
    ReadyFile {
        /// Its path.
        path: String,
        /// The operating system's reason.
        reason: String,
    },
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        // Class 22 is "data exception": text that PostgreSQL cannot hold, a number out of range.
        match error.as_db_error() {
            Some(server) if server.code().code().starts_with("22") => Self::Data(server.message().to_owned()),
            _ => Self::Database(error.into()),
        }
    }
}

impl Error {
    /// True when the same transaction may succeed when it is simply run again.
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Conflict => true,
            Self::Database(error) => matches!(error.kind, Kind::Conflict | Kind::Unique { .. }),
            _ => false,
        }
    }

    /// True when the cause lies in one input or in the rows it needs, not in an outage: other inputs
    /// of the batch may still succeed.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Stored { .. } | Self::Data(_) => true,
            Self::Database(error) => error.kind == Kind::Other,
            _ => self.is_conflict(),
        }
    }
}
