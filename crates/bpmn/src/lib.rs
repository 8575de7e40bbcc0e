//! BPMN 2.0 without I/O: parse and check a model, compile it, and execute it one command at a time.
//!
//! ```text
//! XML --parse--> Model --lint--> findings
//!                  |
//!               compile
//!                  v
//!              Definition      step(definition, state, command, context) -> (state', effects)
//! ```
//!
//! [`step`] is a pure function: it reads no clock and makes no ids of its own, both come with the
//! [`Context`]. It runs until every token waits for something outside, and returns what the caller
//! has to do as plain data ([`Effect`]). An error leaves the caller's state as it was: a step takes
//! effect as a whole or not at all.
//!
//! The crate knows neither FHIR nor databases nor messages between sites. The source of a received
//! message is an opaque text, a FHIR resource an opaque [`Value::Document`].
//!
//! Rules: BPMN 2.0 as the contract `process-engine.md` sections 2.5, 6 and 7 narrow it down, and the
//! recorded runs of the reference engine in `vectors/bpmn`.
#![forbid(unsafe_code)]

mod command;
mod compile;
mod cron;
mod definition;
mod effect;
mod expression;
pub mod iso8601;
mod lint;
mod model;
pub mod retry;
mod state;
mod step;
mod value;
pub mod vectors;
mod xml;

pub use command::{Command, Context, Options, StartAt};
pub use compile::{compile, compile_all};
pub use definition::{
    CallBinding, CompileError, CompileErrors, CompileOptions, Definition, Inline, InlineAssignment,
    StartEvent, StartTrigger,
};
pub use effect::{Effect, HistoryKind, JobKind, ListenerCall, SubscriptionKind};
pub use lint::{Finding, Severity, lint};
pub use model::{Model, ParseError, parse};
pub use state::{AsyncWait, OpenJob, OpenSubscription, OpenTimer, OpenUserTask, State, Status, Token};
pub use step::{StepError, step};
pub use value::{Value, ValueError, Variables};
