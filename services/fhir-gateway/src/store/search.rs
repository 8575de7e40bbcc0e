//! Searching current versions: criteria and access filter become one statement.
use std::{
    collections::HashSet,
    sync::{LazyLock, Mutex, PoisonError},
};

use database::tokio_postgres::types::ToSql;
use deadpool_postgres::GenericClient;
use fhir::search::{
    Comparison, Criterion, Include, Modifier, Parameter, ParameterKind, Query, Sort, SystemTest, Test,
    search_of,
};
use uuid::Uuid;

use super::{
    Session, Stored,
    read::{COLUMNS, stored},
    write::{IDENTIFIER, kept},
};

/// What a caller may see of a type. Decided by the caller's rights, applied inside the statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessFilter {
    /// Everything.
    Everything,
    /// Nothing.
    Nothing,
    /// Versions that carry at least one of these read tags.
    Tags(Vec<String>),
}

/// One page of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Matches over all pages that the caller may see.
    pub total: u64,
    /// Matches of this page, in order.
    pub matches: Vec<Stored>,
}

/// Forms of search statements that are kept prepared; a site's own clients use a few dozen.
const KEPT_FORMS: usize = 256;

/// Whether a form is one of those that are kept.
fn keep(sql: &str) -> bool {
    static FORMS: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);
    let mut forms = FORMS.lock().unwrap_or_else(PoisonError::into_inner);
    forms.contains(sql) || (forms.len() < KEPT_FORMS && forms.insert(sql.to_owned()))
}

/// A statement in the making.
#[derive(Default)]
pub(super) struct Statement {
    pub(super) sql: String,
    parameters: Vec<Box<dyn ToSql + Sync + Send>>,
}

impl Statement {
    pub(super) fn bind(&mut self, value: impl ToSql + Sync + Send + 'static) -> String {
        self.parameters.push(Box::new(value));
        format!("${}", self.parameters.len())
    }

    fn refs(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.parameters.iter().map(|parameter| -> &(dyn ToSql + Sync) { parameter.as_ref() }).collect()
    }
}

impl<C: GenericClient> Session<C> {
    /// Runs a statement whose form clients decide. The first [`KEPT_FORMS`] forms are kept prepared by
    /// every connection, which saves planning and a round trip; further ones are not, as there is no
    /// bound on how many there are.
    pub(super) async fn once(
        &self,
        statement: &Statement,
    ) -> Result<Vec<database::tokio_postgres::Row>, database::Error> {
        if keep(&statement.sql) {
            return self.rows(&statement.sql, &statement.refs()).await;
        }
        Ok(self.client.query(statement.sql.as_str(), &statement.refs()).await?)
    }

    /// Matches of a query. `limit` 0 only counts; `offset` is zero-based.
    pub async fn search(
        &self,
        query: &Query,
        filter: &AccessFilter,
        limit: i64,
        offset: i64,
    ) -> Result<Page, database::Error> {
        if *filter == AccessFilter::Nothing {
            return Ok(Page { total: 0, matches: Vec::new() });
        }
        let mut statement = Statement::default();
        let conditions = conditions(&mut statement, query.resource_type, &query.criteria, filter);
        if limit <= 0 {
            statement.sql = format!("SELECT count(*) FROM resource r WHERE {conditions}");
            let rows = self.once(&statement).await?;
            return Ok(Page { total: total(rows.first()), matches: Vec::new() });
        }
        let (keys, order) = order(&mut statement, &query.sort);
        let (limit, offset) = (statement.bind(limit), statement.bind(offset));
        // The matches are found once: counted, sorted and cut; only a page's content is read.
        statement.sql = format!(
            "WITH m AS MATERIALIZED (SELECT r.id, r.version, r.last_updated{keys} FROM resource r WHERE {conditions}), \
             p AS (SELECT *, row_number() OVER (ORDER BY {order}) AS position FROM m ORDER BY {order} LIMIT {limit} OFFSET {offset}) \
             SELECT t.total, p.position, {COLUMNS} FROM (SELECT count(*) AS total FROM m) t \
             LEFT JOIN p ON true LEFT JOIN resource r ON r.id = p.id AND r.version = p.version ORDER BY p.position"
        );
        let rows = self.once(&statement).await?;
        let total = total(rows.first());
        let matches =
            rows.iter().filter(|row| row.get::<_, Option<Uuid>>("id").is_some()).map(stored).collect();
        Ok(Page { total, matches })
    }

    /// Ids and versions of up to `limit` matches of conditions, whoever may read them.
    pub async fn find(
        &self,
        resource_type: &str,
        criteria: &[Criterion],
        limit: i64,
    ) -> Result<Vec<(Uuid, u64)>, database::Error> {
        let mut statement = Statement::default();
        let conditions = conditions(&mut statement, resource_type, criteria, &AccessFilter::Everything);
        let limit = statement.bind(limit);
        statement.sql =
            format!("SELECT r.id, r.version FROM resource r WHERE {conditions} ORDER BY r.id LIMIT {limit}");
        let rows = self.once(&statement).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get::<_, i64>(1).unsigned_abs())).collect())
    }

    /// Ids of resources of a type with an identifier, up to `limit`.
    pub async fn find_by_identifier(
        &self,
        resource_type: &str,
        system: &str,
        value: &str,
        limit: i64,
    ) -> Result<Vec<Uuid>, database::Error> {
        let rows = self
            .rows(
                "SELECT DISTINCT s.id FROM search_value s WHERE s.parameter = $1 AND s.value = $2 AND s.extra = $3 \
                 ORDER BY s.id LIMIT $4",
                &[&format!("{resource_type}.identifier"), &kept(value), &system, &limit],
            )
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Current resources that the given ones refer to by an include parameter.
    pub async fn included(
        &self,
        include: &Include,
        ids: &[Uuid],
        filter: impl Fn(&str) -> AccessFilter,
    ) -> Result<Vec<(&'static str, Stored)>, database::Error> {
        let Some(parameter) = own_parameter(include) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for target in include.targets {
            let filter = filter(target);
            if filter == AccessFilter::Nothing {
                continue;
            }
            let mut statement = Statement::default();
            let allowed = conditions(&mut statement, target, &[], &filter);
            let (key, ids) = (statement.bind(parameter.key), statement.bind(ids.to_vec()));
            let join = match parameter.kind {
                ParameterKind::Uri => {
                    let url = statement.bind(format!("{target}.url"));
                    format!(
                        "EXISTS (SELECT FROM search_value s JOIN search_value u ON u.parameter = {url} AND u.value = s.value \
                         AND (s.extra IS NULL OR u.extra = s.extra) WHERE s.parameter = {key} AND s.id = ANY({ids}) AND u.id = r.id)"
                    )
                }
                _ => {
                    let prefix = statement.bind(format!("{target}/"));
                    format!(
                        "EXISTS (SELECT FROM search_value s WHERE s.parameter = {key} AND s.id = ANY({ids}) \
                         AND s.value = {prefix} || r.id::text)"
                    )
                }
            };
            statement.sql =
                format!("SELECT {COLUMNS} FROM resource r WHERE {allowed} AND {join} ORDER BY r.id");
            let rows = self.once(&statement).await?;
            found.extend(rows.iter().map(|row| (*target, stored(row))));
        }
        Ok(found)
    }

    /// Current resources that refer to the given ones by a reverse include parameter.
    pub async fn referring(
        &self,
        include: &Include,
        resource_type: &str,
        ids: &[Uuid],
        filter: AccessFilter,
    ) -> Result<Vec<Stored>, database::Error> {
        let Some(parameter) = own_parameter(include) else { return Ok(Vec::new()) };
        if filter == AccessFilter::Nothing {
            return Ok(Vec::new());
        }
        let mut statement = Statement::default();
        let allowed = conditions(&mut statement, include.source, &[], &filter);
        let references: Vec<String> = ids.iter().map(|id| format!("{resource_type}/{id}")).collect();
        let (key, references) = (statement.bind(parameter.key), statement.bind(references));
        statement.sql = format!(
            "SELECT {COLUMNS} FROM resource r WHERE {allowed} AND r.id IN \
             (SELECT s.id FROM search_value s WHERE s.parameter = {key} AND s.value = ANY({references})) ORDER BY r.id"
        );
        let rows = self.once(&statement).await?;
        Ok(rows.iter().map(stored).collect())
    }
}

fn total(row: Option<&database::tokio_postgres::Row>) -> u64 {
    row.map_or(0, |row| row.get::<_, i64>(0).unsigned_abs())
}

fn own_parameter(include: &Include) -> Option<&'static Parameter> {
    search_of(include.source)?.parameters.iter().find(|parameter| parameter.name == include.parameter)
}

/// All conditions on `resource r`.
fn conditions(
    statement: &mut Statement,
    resource_type: &str,
    criteria: &[Criterion],
    filter: &AccessFilter,
) -> String {
    let ty = statement.bind(resource_type.to_owned());
    let mut parts = vec![format!("r.type = {ty} AND r.current AND r.deleted IS NULL")];
    parts.extend(criteria.iter().map(|criterion| condition(statement, criterion)));
    parts.join(" AND ") + &access(statement, resource_type == "Binary", filter)
}

/// The caller's rights on `resource r`, as a further condition. A Binary may be readable as its security
/// context is.
pub(super) fn access(statement: &mut Statement, binary: bool, filter: &AccessFilter) -> String {
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

fn condition(statement: &mut Statement, criterion: &Criterion) -> String {
    let key = criterion.parameter.key;
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
        (test, _) => {
            let value = value(statement, test, criterion.modifier);
            if criterion.modifier == Modifier::Identifier {
                return identifier_of_reference(statement, criterion.parameter, &value);
            }
            let key = statement.bind(key);
            // `r.id IN` rather than EXISTS: the planner may start from the few rows that match.
            let negation = if criterion.modifier == Modifier::Not { "NOT " } else { "" };
            format!(
                "r.id {negation}IN (SELECT s.id FROM search_value s WHERE s.parameter = {key} AND {value})"
            )
        }
    }
}

/// A reference by an identifier: the one it holds itself, or one of the own resource it points to
/// (fhir-endpoint contract 2 and 8.4). `value` is the test on the identifier.
fn identifier_of_reference(statement: &mut Statement, parameter: &Parameter, value: &str) -> String {
    let (logical, literal) =
        (statement.bind(format!("{}{IDENTIFIER}", parameter.key)), statement.bind(parameter.key));
    let targets: Vec<String> =
        parameter.targets.iter().map(|target| format!("{target}.identifier")).collect();
    let targets = statement.bind(targets);
    format!(
        "r.id IN (SELECT s.id FROM search_value s WHERE s.parameter = {logical} AND {value} \
         UNION ALL SELECT s.id FROM search_value s WHERE s.parameter = {literal} AND s.value IN \
         (SELECT split_part(s.parameter, '.', 1) || '/' || s.id::text FROM search_value s \
         WHERE s.parameter = ANY({targets}) AND {value}))"
    )
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
            let any: Vec<String> = any.iter().map(|reference| kept(reference).into_owned()).collect();
            format!("s.value = ANY({})", statement.bind(any))
        }
        Test::Date { comparison, low, high } => date(statement, *comparison, "s.low", "s.high", *low, *high),
    }
}

/// Same comparisons as in memory: `fhir::search::matches`.
pub(super) fn date(
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

/// Sort keys as further columns of the matches, and the order over them.
fn order(statement: &mut Statement, sort: &[Sort]) -> (String, String) {
    let (mut keys, mut order) = (String::new(), Vec::new());
    for (index, sort) in sort.iter().enumerate() {
        let column = match sort.parameter.name {
            "_id" => "id".to_owned(),
            "_lastUpdated" => "last_updated".to_owned(),
            _ => {
                let key = statement.bind(sort.parameter.key);
                let column = if sort.parameter.kind == ParameterKind::Date { "low" } else { "value" };
                keys.push_str(&format!(
                    ", (SELECT min(s.{column}) FROM search_value s WHERE s.id = r.id AND s.parameter = {key}) AS key_{index}"
                ));
                format!("key_{index}")
            }
        };
        order.push(format!("{column}{} NULLS LAST", if sort.descending { " DESC" } else { "" }));
    }
    // A total order, so that pages never overlap.
    order.push("id".to_owned());
    (keys, order.join(", "))
}
