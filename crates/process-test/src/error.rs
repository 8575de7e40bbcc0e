//! What can go wrong in the play itself; what fails in a process is an incident or a failed message.
use crate::network::MAX_WORK;

/// Why a call to the [`crate::Network`] did nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The plugin does not load.
    #[error(transparent)]
    Plugin(#[from] plugin::LoadError),
    /// No such site.
    #[error("the network has no site '{0}': name it in Network::new")]
    Site(String),
    /// The text names no process.
    #[error("'{0}' names no process: write http://<domain>/bpe/Process/<name>|<version>")]
    Process(String),
    /// The message started no instance.
    #[error("'{message}' started no instance of {process}: {reason}")]
    NotStarted {
        /// Message name.
        message: String,
        /// Process as asked for.
        process: String,
        /// Why.
        reason: String,
    },
    /// Nothing like it is open.
    #[error("{what} is not open at this instance; it waits at {waiting:?}")]
    NotOpen {
        /// What was asked for.
        what: String,
        /// Where the instance waits.
        waiting: Vec<String>,
    },
    /// The command fails in the model.
    #[error("the model fails: {0}")]
    Step(#[from] bpmn::StepError),
    /// Processes that never come to rest.
    #[error("no rest after {MAX_WORK} pieces of work: the processes keep each other busy")]
    Endless,
}
