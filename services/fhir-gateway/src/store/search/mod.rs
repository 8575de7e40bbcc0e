//! Searching current versions: criteria and access filter become one statement.
mod conditions;

use std::{
    collections::HashSet,
    sync::{LazyLock, Mutex, PoisonError},
};

use database::tokio_postgres::types::ToSql;
use deadpool_postgres::GenericClient;
use fhir::search::{Criterion, Include, Parameter, ParameterKind, Query, Sort, search_of};
use uuid::Uuid;

use conditions::{Rows, among, beyond_bucket, bucket, condition, ids, is_selective, probe, rows_of};
pub(super) use conditions::{access, date};

use super::{
    Session, Stored,
    index::kept,
    read::{COLUMNS, stored},
};

/// What a caller may see of a type. Decided by the caller's rights, applied inside the statement.
pub use access::scope::Scope as AccessFilter;

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
        let Found { with, total, matches, order } = match by_buckets(query, filter) {
            true => in_buckets(&mut statement, query, filter, limit.saturating_add(offset)),
            false => one_by_one(&mut statement, query, filter),
        };
        statement.sql = if limit <= 0 {
            format!("WITH {with} SELECT {total} AS total")
        } else {
            let (limit, offset) = (statement.bind(limit), statement.bind(offset));
            // Only a page's content is read.
            format!(
                "WITH {with}, p AS (SELECT r.id, row_number() OVER (ORDER BY {order}) AS position FROM \
                 ({matches} ORDER BY {order} LIMIT {limit} OFFSET {offset}) r) \
                 SELECT t.total, p.position, {COLUMNS} FROM (SELECT {total} AS total) t \
                 LEFT JOIN p ON true LEFT JOIN resource r ON r.id = p.id AND r.current ORDER BY p.position"
            )
        };
        let rows = self.once(&statement).await?;
        let total = rows.first().map_or(0, |row| row.get::<_, i64>("total").unsigned_abs());
        if limit <= 0 {
            return Ok(Page { total, matches: Vec::new() });
        }
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
        let criteria: Vec<&Criterion> = criteria.iter().collect();
        let everything = AccessFilter::Everything;
        let limit = statement.bind(limit);
        let matches = match criteria.iter().all(|criterion| criterion.parameter.is_shared()) {
            // Very many may match: no more of a bucket is read than asked for.
            true => {
                let buckets = buckets(&mut statement, resource_type, criteria, &everything);
                format!(
                    "bucket b CROSS JOIN LATERAL (SELECT r.id, r.version FROM resource r WHERE r.bucket = b.id \
                     AND r.current AND r.deleted IS NULL LIMIT {limit}) r WHERE {buckets}"
                )
            }
            false => matches(&mut statement, resource_type, &criteria, &everything),
        };
        statement.sql = format!("SELECT r.id, r.version FROM {matches} ORDER BY r.id LIMIT {limit}");
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
                // `OFFSET 0`: the values are looked up first, not met with in the order of ids.
                "SELECT DISTINCT s.id FROM (SELECT s.id FROM search_value s \
                 WHERE s.parameter = $1 AND s.value = $2 AND s.extra = $3 OFFSET 0) s ORDER BY s.id LIMIT $4",
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
            let allowed = matches(&mut statement, target, &[], &filter);
            let (key, ids) = (statement.bind(parameter.key), statement.bind(ids.to_vec()));
            let Rows { table, column, of } = rows_of(parameter);
            let values = format!(
                "(SELECT s.value, s.extra FROM {table} s WHERE s.parameter = {key} AND s.{column} IN \
                 (SELECT {of} FROM resource r WHERE r.id = ANY({ids}) AND r.current)) s"
            );
            let join = match parameter.kind {
                ParameterKind::Uri => {
                    let url = statement.bind(format!("{target}.url"));
                    format!(
                        "EXISTS (SELECT FROM {values} JOIN search_value u ON u.parameter = {url} AND u.value = s.value \
                         AND (s.extra IS NULL OR u.extra = s.extra) WHERE u.id = r.id)"
                    )
                }
                _ => {
                    let prefix = statement.bind(format!("{target}/"));
                    format!("EXISTS (SELECT FROM {values} WHERE s.value = {prefix} || r.id::text)")
                }
            };
            statement.sql = format!("SELECT {COLUMNS} FROM {allowed} AND {join} ORDER BY r.id");
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
        let allowed = matches(&mut statement, include.source, &[], &filter);
        let Rows { table, column, of } = rows_of(parameter);
        let references: Vec<String> = ids.iter().map(|id| format!("{resource_type}/{id}")).collect();
        let (key, references) = (statement.bind(parameter.key), statement.bind(references));
        statement.sql = format!(
            "SELECT {COLUMNS} FROM {allowed} AND {of} IN \
             (SELECT s.{column} FROM {table} s WHERE s.parameter = {key} AND s.value = ANY({references})) ORDER BY r.id"
        );
        let rows = self.once(&statement).await?;
        Ok(rows.iter().map(stored).collect())
    }
}

fn own_parameter(include: &Include) -> Option<&'static Parameter> {
    search_of(include.source)?.parameters.iter().find(|parameter| parameter.name == include.parameter)
}

/// Parts of a search statement.
struct Found {
    /// Common table expressions that the others use.
    with: String,
    /// The exact number of matches, as an expression.
    total: String,
    /// The matches, as a select; those behind the page may be missing.
    matches: String,
    /// The order of the matches.
    order: String,
}

/// Whether buckets alone tell what matches, and an index of theirs in what order.
fn by_buckets(query: &Query, filter: &AccessFilter) -> bool {
    let time = |name: &str| name == "_lastUpdated";
    let sorted = match query.sort.as_slice() {
        [] => true,
        [sort] => time(sort.parameter.name),
        _ => false,
    };
    let mut criteria = query.criteria.iter().map(|criterion| criterion.parameter);
    sorted
        && criteria.all(|parameter| parameter.is_shared() || time(parameter.name))
        && (query.resource_type != "Binary" || *filter == AccessFilter::Everything)
}

/// A search that buckets answer: their counts are added up, and of each the beginning is read in the order of
/// time, so that it costs what its page costs, however many match. Only what a span of time leaves over
/// is counted one by one, in the index. `end` is where the page ends.
fn in_buckets(statement: &mut Statement, query: &Query, filter: &AccessFilter, end: i64) -> Found {
    let (shared, times): (Vec<&Criterion>, Vec<&Criterion>) =
        query.criteria.iter().partition(|criterion| criterion.parameter.is_shared());
    let buckets = buckets(statement, query.resource_type, shared, filter);
    let mut within = String::new();
    for criterion in times {
        within.push_str(&format!(" AND {}", condition(statement, criterion)));
    }
    let with = format!("b AS MATERIALIZED (SELECT b.id, b.count FROM bucket b WHERE {buckets})");
    let each = format!(
        "SELECT r.id, r.last_updated FROM resource r \
         WHERE r.bucket = b.id AND r.current AND r.deleted IS NULL{within}"
    );
    let total = match within.is_empty() {
        true => "(SELECT coalesce(sum(b.count), 0)::bigint FROM b) + (SELECT coalesce(sum(c.n), 0) FROM bucket_change c \
             WHERE c.bucket IN (SELECT b.id FROM b))"
            .to_owned(),
        false => format!("(SELECT count(*) FROM b CROSS JOIN LATERAL ({each} OFFSET 0) r)"),
    };
    let (_, order) = order(statement, &query.sort);
    // In the text, so that the statement is planned once, and of few sizes, so that there are few texts: with a
    // parameter the server expects a share of all matches, and plans anew each time to avoid it.
    let upto = end.unsigned_abs().next_power_of_two();
    let matches = format!("SELECT r.* FROM b CROSS JOIN LATERAL ({each} ORDER BY {order} LIMIT {upto}) r");
    Found { with, total, matches, order }
}

/// The buckets of a type that fulfil conditions on shared values, as a condition on `bucket b`.
fn buckets<'a>(
    statement: &mut Statement,
    resource_type: &str,
    shared: impl IntoIterator<Item = &'a Criterion>,
    filter: &AccessFilter,
) -> String {
    let mut condition = bucket(statement, resource_type, filter);
    for criterion in shared {
        condition.push_str(&format!(" AND {}", among(statement, criterion, "b.id")));
    }
    condition
}

/// A search whose matches have to be found: they are found once, counted, sorted and cut.
fn one_by_one(statement: &mut Statement, query: &Query, filter: &AccessFilter) -> Found {
    let criteria: Vec<&Criterion> = query.criteria.iter().collect();
    let matches = matches(statement, query.resource_type, &criteria, filter);
    let (keys, order) = order(statement, &query.sort);
    let with = format!("m AS MATERIALIZED (SELECT r.id, r.last_updated{keys} FROM {matches})");
    Found { with, total: "(SELECT count(*) FROM m)".to_owned(), matches: "SELECT * FROM m".to_owned(), order }
}

/// The matches of conditions, as what stands behind `FROM`, each once as `r`.
fn matches(
    statement: &mut Statement,
    resource_type: &str,
    criteria: &[&Criterion],
    filter: &AccessFilter,
) -> String {
    let (selective, others): (Vec<&Criterion>, Vec<&Criterion>) =
        criteria.iter().partition(|criterion| is_selective(criterion));
    let buckets = bucket(statement, resource_type, filter);
    let beyond = beyond_bucket(statement, resource_type, filter);
    if selective.is_empty() {
        let mut conditions = String::new();
        for criterion in others {
            conditions.push_str(&format!(" AND {}", condition(statement, criterion)));
        }
        return format!(
            "resource r WHERE r.bucket IN (SELECT b.id FROM bucket b WHERE {buckets}) \
             AND r.current AND r.deleted IS NULL{conditions}{beyond}"
        );
    }
    // Each condition that few resources fulfil is looked up in the index by itself, and only what fulfils
    // all of them is looked at: as one join, its plan would depend on what the server believes about tables
    // that a transaction is just filling.
    let found: Vec<String> = selective.into_iter().map(|criterion| ids(statement, criterion)).collect();
    let mut own = format!("EXISTS (SELECT FROM bucket b WHERE b.id = r.bucket AND {buckets} OFFSET 0)");
    for criterion in others {
        own.push_str(&format!(" AND {}", probe(statement, criterion)));
    }
    format!(
        "({} OFFSET 0) s CROSS JOIN LATERAL (SELECT r.* FROM resource r WHERE r.id = s.id AND r.current \
         AND r.deleted IS NULL AND {own}{beyond} ORDER BY r.version DESC LIMIT 1) r",
        found.join(" INTERSECT ")
    )
}

/// Sort keys as further columns of the matches, and the order over them.
fn order(statement: &mut Statement, sort: &[Sort]) -> (String, String) {
    let (mut keys, mut order) = (String::new(), Vec::new());
    // The same direction as the last key: an index is then read in one go.
    let mut direction = "";
    for (index, sort) in sort.iter().enumerate() {
        let column = match sort.parameter.name {
            "_id" => "id".to_owned(),
            "_lastUpdated" => "last_updated".to_owned(),
            _ => {
                let key = statement.bind(sort.parameter.key);
                let value = if sort.parameter.kind == ParameterKind::Date { "low" } else { "value" };
                let Rows { table, column, of } = rows_of(sort.parameter);
                keys.push_str(&format!(
                    ", (SELECT min(s.{value}) FROM {table} s WHERE s.{column} = {of} AND s.parameter = {key}) AS key_{index}"
                ));
                format!("key_{index}")
            }
        };
        direction = if sort.descending { " DESC" } else { "" };
        // Every resource has an id and a time.
        let nulls = if column.starts_with("key_") { " NULLS LAST" } else { "" };
        order.push(format!("{column}{direction}{nulls}"));
    }
    if sort.is_empty() {
        order.push("last_updated".to_owned());
    }
    // A total order, so that pages never overlap.
    order.push(format!("id{direction}"));
    (keys, order.join(", "))
}
