//! Criteria and rights as SQL: conditions on `resource r`, on the bucket `b` it is in, and on index rows `s`.
use fhir::search::{Comparison, Criterion, Modifier, Parameter, SystemTest, Test};
use uuid::Uuid;

use super::{AccessFilter, Statement};
use crate::store::index::{IDENTIFIER, kept};

/// Where the values of a parameter are.
pub(super) struct Rows {
    /// The index table.
    pub(super) table: &'static str,
    /// Its column that names whose value it is.
    pub(super) column: &'static str,
    /// The column of `resource r` that holds the same.
    pub(super) of: &'static str,
}

/// Values that resources share are those of their bucket.
pub(super) fn rows_of(parameter: &Parameter) -> Rows {
    match parameter.is_shared() {
        true => Rows { table: "bucket_value", column: "bucket", of: "r.bucket" },
        false => Rows { table: "search_value", column: "id", of: "r.id" },
    }
}

/// Whether few resources fulfil a criterion, as far as its form tells: it asks for one value, or for an
/// identifier, of a parameter that is not one that many share.
pub(super) fn is_selective(criterion: &Criterion) -> bool {
    let Criterion { parameter, modifier, test } = criterion;
    let one = match test {
        Test::Token { code, .. } => code.is_some() && parameter.name == "identifier",
        Test::Uri { .. } => true,
        Test::References(any) => any.len() == 1,
        _ => false,
    };
    let asked = *modifier == Modifier::Identifier || one && *modifier == Modifier::None;
    asked && !parameter.is_shared()
}

/// Ids of the resources that fulfil a selective criterion, each once.
pub(super) fn ids(statement: &mut Statement, criterion: &Criterion) -> String {
    let value = value(statement, &criterion.test, criterion.modifier);
    if criterion.modifier == Modifier::Identifier {
        let [logical, literal] = identifier_of_reference(statement, criterion.parameter, &value);
        return format!(
            "(SELECT s.id FROM search_value s WHERE {logical} UNION SELECT s.id FROM search_value s WHERE {literal})"
        );
    }
    let key = statement.bind(criterion.parameter.key);
    format!("(SELECT DISTINCT s.id FROM search_value s WHERE s.parameter = {key} AND {value})")
}

/// The buckets of a type whose resources the caller may see. Of a Binary the bucket alone does not tell.
pub(super) fn bucket(statement: &mut Statement, resource_type: &str, filter: &AccessFilter) -> String {
    let mut condition = format!("b.type = {}", statement.bind(resource_type.to_owned()));
    match filter {
        AccessFilter::Nothing => condition.push_str(" AND false"),
        AccessFilter::Tags(tags) if resource_type != "Binary" => {
            condition.push_str(&format!(" AND b.read_tags && {}", statement.bind(tags.clone())));
        }
        AccessFilter::Tags(_) | AccessFilter::Everything => {}
    }
    condition
}

/// The caller's rights on `resource r` of a type, as a further condition, where its bucket does not tell.
pub(super) fn beyond_bucket(statement: &mut Statement, resource_type: &str, filter: &AccessFilter) -> String {
    match resource_type {
        "Binary" => access(statement, true, filter),
        _ => String::new(),
    }
}

/// A criterion as a look at one resource; `OFFSET 0` keeps the planner from finding all that fulfil it first.
pub(super) fn probe(statement: &mut Statement, criterion: &Criterion) -> String {
    let plain = matches!(criterion.modifier, Modifier::None | Modifier::Exact);
    if !plain || matches!(criterion.parameter.name, "_id" | "_lastUpdated") {
        return condition(statement, criterion);
    }
    let value = value(statement, &criterion.test, criterion.modifier);
    let key = statement.bind(criterion.parameter.key);
    let Rows { table, column, of } = rows_of(criterion.parameter);
    format!(
        "EXISTS (SELECT FROM {table} s WHERE s.{column} = {of} AND s.parameter = {key} AND {value} OFFSET 0)"
    )
}

/// A criterion on `resource r`.
pub(super) fn condition(statement: &mut Statement, criterion: &Criterion) -> String {
    match (&criterion.test, criterion.parameter.name) {
        (Test::Id(id), _) => match Uuid::parse_str(id) {
            Ok(id) => format!("r.id = {}", statement.bind(id)),
            Err(_) => "false".to_owned(),
        },
        (Test::Any(any), "_id" | "_lastUpdated") => {
            let each =
                any.iter().map(|test| condition(statement, &Criterion { test: test.clone(), ..*criterion }));
            format!("({})", each.collect::<Vec<_>>().join(" OR "))
        }
        (Test::Date { comparison, low, high }, "_lastUpdated") => {
            date(statement, *comparison, "r.last_updated", "r.last_updated", *low, *high)
        }
        _ => among(statement, criterion, rows_of(criterion.parameter).of),
    }
}

/// A criterion whose values are in an index table, on the column that holds whose they are.
pub(super) fn among(statement: &mut Statement, criterion: &Criterion, of: &str) -> String {
    let Rows { table, column, .. } = rows_of(criterion.parameter);
    let value = value(statement, &criterion.test, criterion.modifier);
    if criterion.modifier == Modifier::Identifier {
        let [logical, literal] = identifier_of_reference(statement, criterion.parameter, &value);
        return format!(
            "{of} IN (SELECT s.{column} FROM {table} s WHERE {logical} \
             UNION ALL SELECT s.{column} FROM {table} s WHERE {literal})"
        );
    }
    let key = statement.bind(criterion.parameter.key);
    // `IN` rather than EXISTS: the planner may start from the few rows that match.
    let negation = if criterion.modifier == Modifier::Not { "NOT " } else { "" };
    format!("{of} {negation}IN (SELECT s.{column} FROM {table} s WHERE s.parameter = {key} AND {value})")
}

/// The caller's rights on `resource r`, as a further condition. A Binary may be readable as its security
/// context is.
pub(in crate::store) fn access(statement: &mut Statement, binary: bool, filter: &AccessFilter) -> String {
    let tags = match filter {
        AccessFilter::Everything => return String::new(),
        AccessFilter::Nothing => return " AND false".to_owned(),
        AccessFilter::Tags(tags) => statement.bind(tags.clone()),
    };
    match binary {
        true => format!(
            " AND (r.read_tags && {tags} OR EXISTS (SELECT FROM resource c WHERE c.id = r.context_id AND c.deleted IS NULL \
             AND CASE WHEN r.context_version IS NULL THEN c.current ELSE c.version = r.context_version END \
             AND c.read_tags && {tags}))"
        ),
        false => format!(" AND r.read_tags && {tags}"),
    }
}

/// A reference by an identifier: conditions on the row of the one it holds itself, and on that of a reference to
/// an own resource that has it (fhir-endpoint contract 2 and 8.4). `value` is the test on the identifier.
fn identifier_of_reference(statement: &mut Statement, parameter: &Parameter, value: &str) -> [String; 2] {
    let (logical, literal) =
        (statement.bind(format!("{}{IDENTIFIER}", parameter.key)), statement.bind(parameter.key));
    let targets: Vec<String> =
        parameter.targets.iter().map(|target| format!("{target}.identifier")).collect();
    let targets = statement.bind(targets);
    [
        format!("s.parameter = {logical} AND {value}"),
        format!(
            "s.parameter = {literal} AND s.value = ANY(ARRAY(\
             SELECT split_part(s.parameter, '.', 1) || '/' || s.id::text FROM search_value s \
             WHERE s.parameter = ANY({targets}) AND {value}))"
        ),
    ]
}

fn value(statement: &mut Statement, test: &Test, modifier: Modifier) -> String {
    match test {
        Test::Id(_) => "false".to_owned(),
        Test::Any(any) => {
            let each = any.iter().map(|test| value(statement, test, modifier));
            format!("({})", each.collect::<Vec<_>>().join(" OR "))
        }
        Test::Token { system, code } => {
            let code = match code {
                Some(code) => format!("s.value = {}", statement.bind(kept(code).into_owned())),
                None => "true".to_owned(),
            };
            match system {
                SystemTest::Any => code,
                SystemTest::None => format!("{code} AND s.extra IS NULL"),
                SystemTest::Is(system) => format!("{code} AND s.extra = {}", statement.bind(system.clone())),
            }
        }
        Test::Text(text) => match modifier {
            Modifier::Exact => {
                let lower = kept(&text.to_lowercase()).into_owned();
                let (lower, exact) = (statement.bind(lower), statement.bind(text.clone()));
                format!("s.value = {lower} AND s.extra = {exact}")
            }
            Modifier::Contains => {
                format!("s.value LIKE {}", statement.bind(format!("%{}%", escape(&text.to_lowercase()))))
            }
            _ => format!("s.value LIKE {}", statement.bind(format!("{}%", escape(&text.to_lowercase())))),
        },
        Test::Uri { uri, version } => {
            let uri = match modifier {
                Modifier::Below => format!("s.value LIKE {}", statement.bind(format!("{}%", escape(uri)))),
                _ => format!("s.value = {}", statement.bind(kept(uri).into_owned())),
            };
            match version {
                Some(version) => format!("{uri} AND s.extra = {}", statement.bind(version.clone())),
                None => uri,
            }
        }
        Test::References(any) => {
            let mut any: Vec<String> = any.iter().map(|reference| kept(reference).into_owned()).collect();
            match any.len() {
                1 => format!("s.value = {}", statement.bind(any.remove(0))),
                _ => format!("s.value = ANY({})", statement.bind(any)),
            }
        }
        Test::Date { comparison, low, high } => date(statement, *comparison, "s.low", "s.high", *low, *high),
    }
}

/// Same comparisons as in memory: `fhir::search::matches`.
pub(in crate::store) fn date(
    statement: &mut Statement,
    comparison: Comparison,
    own_low: &str,
    own_high: &str,
    low: i64,
    high: i64,
) -> String {
    let (low, high) = match comparison {
        Comparison::Eq | Comparison::Ne => (statement.bind(low), statement.bind(high)),
        Comparison::Gt | Comparison::Le => (String::new(), statement.bind(high)),
        Comparison::Lt | Comparison::Ge => (statement.bind(low), String::new()),
    };
    match comparison {
        Comparison::Eq => format!("{own_low} >= {low} AND {own_high} <= {high}"),
        Comparison::Ne => format!("({own_low} < {low} OR {own_high} > {high})"),
        Comparison::Gt => format!("{own_low} > {high}"),
        Comparison::Lt => format!("{own_low} < {low}"),
        Comparison::Ge => format!("{own_low} >= {low}"),
        Comparison::Le => format!("{own_low} <= {high}"),
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}
