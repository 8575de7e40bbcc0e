//! Search: the parameters of every served type as data, index values, queries, matching in memory.
//!
//! Source of the tables and rules: fhir-endpoint contract 1.10 and 2. Nothing here knows SQL.
mod extract;
mod history;
mod matching;
mod parameters;
mod query;
#[cfg(test)]
mod tests;

pub use extract::{IndexValue, Value, extract};
pub use history::{HistoryQuery, parse_history};
pub use matching::matches;
pub use parameters::{COMMON, Include, Parameter, ParameterKind, TypeSearch, search_of, types};
pub use query::{
    Comparison, Criterion, Modifier, Problem, ProblemKind, Query, Sort, Summary, SystemTest, Test,
    parse_conditions, parse_criteria, parse_query,
};
