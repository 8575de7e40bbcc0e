//! Parameters of history interactions (fhir-endpoint contract 1.9).
use super::query::{Comparison, Links, MAX_PARTS, MAX_VALUE, Problem, ProblemKind, Summary, date_test};
use crate::datetime::{DateTime, Precision};

/// A history as far as its parameters were understood.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HistoryQuery {
    /// `_since`: versions from this millisecond on.
    pub since: Option<i64>,
    /// `_at`: comparisons that the time of a version must meet, with first and last millisecond.
    pub at: Vec<(Comparison, i64, i64)>,
    /// `_count`; `None` where absent or not an integer.
    pub count: Option<i64>,
    /// `_page`, from 1; `None` where absent or not an integer.
    pub page: Option<i64>,
    /// `_summary`
    pub summary: Option<Summary>,
    /// What was understood, in the order links use, without `_count` and `_page`.
    pub understood: Vec<(String, String)>,
    /// What was not.
    pub problems: Vec<Problem>,
}

/// Reads the parameters of a history.
pub fn parse_history(parameters: &[(String, String)]) -> HistoryQuery {
    let mut query = HistoryQuery::default();
    let mut links = Links::default();
    for (position, (name, value)) in parameters.iter().enumerate() {
        let problem = |kind, message: &str, value: &str| Problem {
            parameter: name.clone(),
            kind,
            message: message.to_owned(),
            value: value.to_owned(),
        };
        if position >= MAX_PARTS || value.len() > MAX_VALUE {
            let kind = ProblemKind::UnsupportedNumberOfValues;
            query.problems.push(problem(kind, "too many or too long values", ""));
            break;
        }
        let unparsable = || problem(ProblemKind::UnparsableValue, "value cannot be read", value);
        match name.as_str() {
            "_count" => query.count = value.trim().parse().ok(),
            "_page" => query.page = value.trim().parse().ok(),
            "_format" | "_pretty" => links.keep(name, value),
            "_summary" => {
                if let Some(summary) = Summary::parse(value) {
                    query.summary = Some(summary);
                    links.keep(name, value);
                }
            }
            "_since" if query.since.is_some() => {
                let kind = ProblemKind::UnsupportedNumberOfValues;
                query.problems.push(problem(kind, "given more than once", value));
            }
            "_since" => match instant(value) {
                Some(since) => {
                    query.since = Some(since);
                    links.keep(name, value);
                }
                None => query.problems.push(unparsable()),
            },
            "_at" => match date_test(value) {
                Some(test) => {
                    query.at.push(test);
                    links.keep(name, value);
                }
                None => query.problems.push(unparsable()),
            },
            _ => {
                let kind = ProblemKind::UnsupportedParameter;
                query.problems.push(problem(kind, "no such parameter", value));
            }
        }
    }
    query.understood = links.ordered();
    query
}

/// A whole instant, with seconds and zone.
fn instant(value: &str) -> Option<i64> {
    // A `+` of a zone that was not escaped arrives as a blank.
    let parsed = DateTime::parse(&value.trim().replace(' ', "+"))?;
    (parsed.has_zone() && parsed.precision() >= Precision::Second).then(|| parsed.range().low)
}
