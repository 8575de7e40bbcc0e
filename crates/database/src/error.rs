//! What can go wrong with the database, by what the caller can do about it.
use tokio_postgres::error::SqlState;

/// A database error. Its text never holds row values.
#[derive(Debug, thiserror::Error)]
#[error("{kind}: {context}")]
pub struct Error {
    /// What the caller can do.
    pub kind: Kind,
    /// SQLSTATE or the client's reason.
    context: String,
}

/// Class of an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Kind {
    /// No connection, no free one in time, server starting or stopping: try again later.
    #[error("the database is not available")]
    Unavailable,
    /// Another transaction was in the way: repeat the transaction.
    #[error("a concurrent transaction was in the way")]
    Conflict,
    /// A unique constraint was violated.
    #[error("a value that must be unique exists already")]
    Unique {
        /// Name of the constraint.
        constraint: String,
    },
    /// Anything else: a defect or a wrong set-up.
    #[error("the database refused")]
    Other,
}

impl Error {
    /// An error of a class with a reason that holds no row values.
    pub fn new(kind: Kind, context: impl Into<String>) -> Self {
        Self { kind, context: context.into() }
    }

    /// Whether a later attempt may succeed without a change.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, Kind::Unavailable | Kind::Conflict)
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(server) = error.as_db_error() else {
            // Without an answer of the server: connection refused, lost or closed, or a conversion.
            let kind = if error.is_closed() || std::error::Error::source(&error).is_some_and(is_io) {
                Kind::Unavailable
            } else {
                Kind::Other
            };
            return Self::new(kind, error.to_string());
        };
        let code = server.code();
        let kind = match code {
            &SqlState::UNIQUE_VIOLATION => {
                Kind::Unique { constraint: server.constraint().unwrap_or_default().to_owned() }
            }
            &SqlState::T_R_SERIALIZATION_FAILURE
            | &SqlState::T_R_DEADLOCK_DETECTED
            | &SqlState::LOCK_NOT_AVAILABLE => Kind::Conflict,
            &SqlState::QUERY_CANCELED => Kind::Unavailable,
            // Classes 08 connection, 53 resources, 57 operator intervention, 58 system.
            _ if ["08", "53", "57", "58"].iter().any(|class| code.code().starts_with(class)) => {
                Kind::Unavailable
            }
            _ => Kind::Other,
        };
        // The message names tables and columns; the detail would hold values and stays out.
        Self::new(kind, format!("SQLSTATE {}: {}", code.code(), server.message()))
    }
}

fn is_io(source: &(dyn std::error::Error + 'static)) -> bool {
    source.is::<std::io::Error>()
}

impl From<deadpool_postgres::PoolError> for Error {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            deadpool_postgres::PoolError::Backend(error) => {
                let error = Self::from(error);
                // No connection at all is an outage, whatever its reason.
                Self::new(Kind::Unavailable, error.context)
            }
            error => Self::new(Kind::Unavailable, error.to_string()),
        }
    }
}
