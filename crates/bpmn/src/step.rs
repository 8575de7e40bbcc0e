//! stub
use crate::command::{Command, Context};
use crate::definition::Definition;
use crate::effect::Effect;
use crate::state::State;

/// Why a command could not be carried out. The old state stays valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// The job, timer, subscription or task of the command is not open (any more): drop the command.
    #[error("nothing in this instance waits with this id")]
    NotWaiting,
    /// The instance has ended, or was started before.
    #[error("the instance is not in a state for this command")]
    NotActive,
    /// No start event fits.
    #[error("no start event for {0}")]
    NoStart(String),
    /// The state belongs to another definition or a newer version of this crate.
    #[error("the state does not belong to this definition")]
    WrongDefinition,
    /// The model fails at this activity (expression, no flow to take, bad timer or collection).
    #[error("{activity}: {message}")]
    Model {
        /// Element id.
        activity: String,
        /// What failed; free of variable values.
        message: String,
    },
    /// The model did not come to a wait.
    #[error("no wait state after {0} operations")]
    Endless(usize),
}

/// Carries out one command and runs the instance to its next real wait.
///
/// # Errors
/// See [`StepError`]; nothing has happened then.
pub fn step(
    _definition: &Definition,
    _state: State,
    _command: Command,
    _context: &mut Context<'_>,
) -> Result<(State, Vec<Effect>), StepError> {
    Err(StepError::NotActive)
}
