//! ISO 8601 durations, dates and repetitions as BPMN timers and retry cycles use them.
use serde::{Deserialize, Serialize};

/// A calendar period: months are added to the date, milliseconds to the instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Period {
    /// Years and months, in months.
    pub months: i32,
    /// Everything else, in milliseconds.
    pub millis: i64,
}
