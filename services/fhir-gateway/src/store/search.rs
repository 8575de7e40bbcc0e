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
        let (matches, held) = matches(&mut statement, query, filter);
        if limit <= 0 {
            statement.sql = format!("SELECT count(*) FROM {matches}");
            let rows = self.once(&statement).await?;
            return Ok(Page { total: total(rows.first()), matches: Vec::new() });
        }
        let (keys, order) = order(&mut statement, &query.sort);
        let (limit, offset) = (statement.bind(limit), statement.bind(offset));
        // Matches that an index holds are read there twice: to count, and for the page. Where they are in its
        // order, the page is its beginning; otherwise `OFFSET 0` keeps the planner from an index in the order
        // asked for, where the next match may be far away. Other matches are found once. Only a page's content
        // is read.
        let (found, source, all) = match held {
            Held::ByTime => (String::new(), format!("SELECT r.id, r.last_updated FROM {matches}"), &*matches),
            Held::Anyhow => {
                let source = format!("SELECT r.id, r.last_updated FROM {matches} OFFSET 0");
                (String::new(), format!("SELECT r.id, r.last_updated FROM ({source}) r"), &*matches)
            }
            Held::Nowhere => (
                format!("m AS MATERIALIZED (SELECT r.id, r.last_updated{keys} FROM {matches}), "),
                "SELECT * FROM m".to_owned(),
                "m",
            ),
        };
        statement.sql = format!(
            "WITH {found}p AS (SELECT r.id, row_number() OVER (ORDER BY {order}) AS position FROM \
             ({source} ORDER BY {order} LIMIT {limit} OFFSET {offset}) r) \
             SELECT t.total, p.position, {COLUMNS} FROM (SELECT count(*) AS total FROM {all}) t \
             LEFT JOIN p ON true LEFT JOIN resource r ON r.id = p.id AND r.current ORDER BY p.position"
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
        // Each condition that few resources fulfil is looked up in the index by itself, and only what fulfils
        // all of them is looked at: as one join, its plan would depend on what the server believes about tables
        // that a transaction is just filling.
        let (selective, others): (Vec<_>, Vec<_>) = criteria.iter().partition(|one| is_selective(one));
        if selective.is_empty() {
            let all = conditions(&mut statement, resource_type, others, &AccessFilter::Everything);
            let limit = statement.bind(limit);
            statement.sql =
                format!("SELECT r.id, r.version FROM resource r WHERE {all} ORDER BY r.id LIMIT {limit}");
        } else {
            let found: Vec<String> =
                selective.into_iter().map(|criterion| ids(&mut statement, criterion)).collect();
            let mut own = format!("(r.type = {}) IS TRUE", statement.bind(resource_type.to_owned()));
            own.push_str(" AND r.current AND r.deleted IS NULL");
            for criterion in others {
                own.push_str(&format!(" AND {}", probe(&mut statement, criterion)));
            }
            let limit = statement.bind(limit);
            statement.sql = format!(
                "WITH s AS MATERIALIZED ({}) SELECT r.id, r.version FROM s CROSS JOIN LATERAL \
                 (SELECT r.id, r.version FROM resource r WHERE r.id = s.id AND {own} ORDER BY r.version DESC LIMIT 1) r \
                 ORDER BY r.id LIMIT {limit}",
                found.join(" INTERSECT ")
            );
        }
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
            let allowed = conditions(&mut statement, target, [], &filter);
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
        let allowed = conditions(&mut statement, include.source, [], &filter);
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

/// Where the matches of a query are found.
#[derive(Clone, Copy)]
enum Held {
    /// In an index, in the order of their time, which is the one asked for.
    ByTime,
    /// In an index, in another order.
    Anyhow,
    /// In no index alone.
    Nowhere,
}

/// The matches of a query as `<table> r WHERE <conditions>`, with `id` and `last_updated`, and where they are.
fn matches(statement: &mut Statement, query: &Query, filter: &AccessFilter) -> (String, Held) {
    let by_time = matches!(query.sort.as_slice(), [sort] if sort.parameter.name == "_lastUpdated");
    let by_id = query.sort.iter().all(|sort| sort.parameter.name == "_id");
    // A Binary may be readable as something else is; the index does not know.
    let leading = (query.resource_type != "Binary").then(|| leading(&query.criteria)).flatten();
    let Some(leading) = leading else {
        let conditions = conditions(statement, query.resource_type, &query.criteria, filter);
        let alone = query.criteria.is_empty() && query.resource_type != "Binary";
        let held = match alone {
            true if by_time => Held::ByTime,
            true if by_id => Held::Anyhow,
            _ => Held::Nowhere,
        };
        return (format!("resource r WHERE {conditions}"), held);
    };
    let Criterion { parameter, modifier, test } = &query.criteria[leading];
    let value = value(statement, test, *modifier);
    let readable = readable(statement, "s", filter);
    let rows = "SELECT s.id, s.last_updated FROM search_value s WHERE";
    let by_identifier = *modifier == Modifier::Identifier;
    let mut matches = if by_identifier {
        let [logical, literal] = identifier_of_reference(statement, parameter, &value);
        format!("({rows} {logical}{readable} UNION {rows} {literal}{readable}) r WHERE true")
    } else {
        let key = statement.bind(parameter.key);
        let once = if names_extra(test) { "" } else { " AND s.first" };
        format!("({rows} s.parameter = {key} AND {value}{once}{readable}) r WHERE true")
    };
    for (index, criterion) in query.criteria.iter().enumerate() {
        if index != leading {
            let condition = condition(statement, criterion);
            // Looked up once: a join might find out anew, for every row, who has the identifier.
            let once = if criterion.modifier == Modifier::Identifier { " IS TRUE" } else { "" };
            matches.push_str(&format!(" AND ({condition}){once}"));
        }
    }
    let alone = query.criteria.len() == 1 && !by_identifier;
    (matches, if alone && (by_time || by_id) { Held::Anyhow } else { Held::Nowhere })
}

/// The criterion whose index rows are the matches, one for each, where there is such a criterion: it asks for
/// one value, or for an identifier. Of several, one that few resources fulfil.
fn leading(criteria: &[Criterion]) -> Option<usize> {
    criteria.iter().position(is_selective).or_else(|| criteria.iter().position(asks_for_one))
}

/// Whether a criterion asks for one value, or for an identifier, of a parameter whose rows are those of one type.
fn asks_for_one(criterion: &Criterion) -> bool {
    let one = match &criterion.test {
        Test::Token { code, .. } => code.is_some(),
        Test::Uri { .. } => true,
        Test::References(any) => any.len() == 1,
        _ => false,
    };
    let asked = criterion.modifier == Modifier::Identifier || one && criterion.modifier == Modifier::None;
    // The rows of a parameter that every type has are not those of one type.
    asked && !criterion.parameter.name.starts_with('_')
}

/// Whether few resources fulfil a criterion, as far as its form tells: most share their codes, status or
/// `active` for example, with many others.
fn is_selective(criterion: &Criterion) -> bool {
    let parameter = criterion.parameter;
    asks_for_one(criterion) && (parameter.kind != ParameterKind::Token || parameter.name == "identifier")
}

/// Ids of the resources that fulfil a criterion of one value, each once.
fn ids(statement: &mut Statement, criterion: &Criterion) -> String {
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

/// Whether a test says what `extra` is. Then rows of one resource differ in what is asked for.
fn names_extra(test: &Test) -> bool {
    match test {
        Test::Token { system, .. } => *system != SystemTest::Any,
        Test::Uri { version, .. } => version.is_some(),
        _ => false,
    }
}

/// The caller's rights on rows that name their set of readers, as a further condition. The few sets that
/// hold a tag of the caller's are looked up once, not per row: `IS TRUE` keeps the planner from a join.
fn readable(statement: &mut Statement, alias: &str, filter: &AccessFilter) -> String {
    match filter {
        AccessFilter::Everything => String::new(),
        AccessFilter::Nothing => " AND false".to_owned(),
        AccessFilter::Tags(tags) => {
            let tags = statement.bind(tags.clone());
            format!(" AND ({alias}.readers IN (SELECT v.id FROM readers v WHERE v.tags && {tags})) IS TRUE")
        }
    }
}

/// All conditions on `resource r`.
fn conditions<'a>(
    statement: &mut Statement,
    resource_type: &str,
    criteria: impl IntoIterator<Item = &'a Criterion>,
    filter: &AccessFilter,
) -> String {
    let ty = statement.bind(resource_type.to_owned());
    let mut parts = vec![format!("r.type = {ty} AND r.current AND r.deleted IS NULL")];
    parts.extend(criteria.into_iter().map(|criterion| condition(statement, criterion)));
    let allowed = match resource_type {
        "Binary" => access(statement, true, filter),
        _ => readable(statement, "r", filter),
    };
    parts.join(" AND ") + &allowed
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

/// A criterion as a look at one resource; `OFFSET 0` keeps the planner from finding all that fulfil it first.
fn probe(statement: &mut Statement, criterion: &Criterion) -> String {
    let own = criterion.parameter.name.starts_with('_');
    if own || !matches!(criterion.modifier, Modifier::None | Modifier::Exact) {
        return condition(statement, criterion);
    }
    let value = value(statement, &criterion.test, criterion.modifier);
    let key = statement.bind(criterion.parameter.key);
    format!(
        "EXISTS (SELECT FROM search_value s WHERE s.id = r.id AND s.parameter = {key} AND {value} OFFSET 0)"
    )
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
                let [logical, literal] = identifier_of_reference(statement, criterion.parameter, &value);
                return format!(
                    "r.id IN (SELECT s.id FROM search_value s WHERE {logical} \
                     UNION ALL SELECT s.id FROM search_value s WHERE {literal})"
                );
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
    // The same direction as the last key: an index is then read in one go.
    let mut direction = "";
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
        direction = if sort.descending { " DESC" } else { "" };
        // Every resource has an id and a time.
        let nulls = if column.starts_with("key_") { " NULLS LAST" } else { "" };
        order.push(format!("{column}{direction}{nulls}"));
    }
    // A total order, so that pages never overlap.
    order.push(format!("id{direction}"));
    (keys, order.join(", "))
}
