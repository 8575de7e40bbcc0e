//! History: versions of one resource, one type or all, each under its own read rights.
use deadpool_postgres::GenericClient;
use fhir::search::{Comparison, HistoryQuery};
use uuid::Uuid;

use super::{
    DataRef, Session,
    read::data_of,
    search::{AccessFilter, Statement, access, date},
};

/// A version in a history. Deleting adds no version, but shows in histories as one (contract 1.9 and 8.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// Type name.
    pub resource_type: String,
    /// Logical id.
    pub id: Uuid,
    /// Version; of a deletion the one after the last.
    pub version: u64,
    /// When it came to be, milliseconds since 1970.
    pub at: i64,
    /// Compact FHIR JSON; none for a deletion.
    pub content: Option<Vec<u8>>,
    /// Data of a Binary that lie outside of its content.
    pub data: Option<DataRef>,
}

impl<C: GenericClient> Session<C> {
    /// One page of a history, oldest first, and how many versions there are on all pages. `scopes` says
    /// what the caller may see of which types; a type that is not among them is left out.
    pub async fn history(
        &self,
        scopes: &[(Vec<&'static str>, AccessFilter)],
        id: Option<Uuid>,
        query: &HistoryQuery,
        limit: i64,
        offset: i64,
    ) -> Result<(u64, Vec<Past>), database::Error> {
        let mut statement = Statement::default();
        let mut types = Vec::new();
        for (names, filter) in scopes {
            if *filter == AccessFilter::Nothing {
                continue;
            }
            let allowed = access(&mut statement, names.contains(&"Binary"), filter);
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            types.push(format!("(r.type = ANY({}){allowed})", statement.bind(names)));
        }
        if types.is_empty() {
            return Ok((0, Vec::new()));
        }
        let mut conditions = format!("({})", types.join(" OR "));
        if let Some(id) = id {
            conditions.push_str(&format!(" IS TRUE AND r.id = {}", statement.bind(id)));
        }
        let mut times = Vec::new();
        if let Some(since) = query.since {
            times.push(date(&mut statement, Comparison::Ge, "AT", "AT", since, since));
        }
        for (comparison, low, high) in &query.at {
            times.push(date(&mut statement, *comparison, "AT", "AT", *low, *high));
        }
        let within = |column: &str| -> String {
            times.iter().map(|time| format!(" AND ({})", time.replace("AT", column))).collect()
        };
        let versions = format!(
            "h AS MATERIALIZED (SELECT r.type, r.id, r.version, r.last_updated AS at, false AS gone FROM resource r \
             WHERE {conditions}{} UNION ALL \
             SELECT r.type, r.id, r.version + 1, r.deleted, true FROM resource r \
             WHERE {conditions} AND r.deleted IS NOT NULL{})",
            within("r.last_updated"),
            within("r.deleted"),
        );
        if limit <= 0 {
            statement.sql = format!("WITH {versions} SELECT count(*) FROM h");
            let rows = self.once(&statement).await?;
            return Ok((rows.first().map_or(0, |row| row.get::<_, i64>(0).unsigned_abs()), Vec::new()));
        }
        let (limit, offset) = (statement.bind(limit), statement.bind(offset));
        // The versions are found once: counted, sorted and cut; only a page's content is read.
        statement.sql = format!(
            "WITH {versions}, p AS (SELECT * FROM h ORDER BY at, id, version LIMIT {limit} OFFSET {offset}) \
             SELECT t.total, p.type, p.id, p.version, p.at, r.content, r.data_id, r.data_size FROM (SELECT count(*) AS total FROM h) t \
             LEFT JOIN p ON true LEFT JOIN resource r ON r.id = p.id AND r.version = p.version AND NOT p.gone \
             ORDER BY p.at, p.id, p.version"
        );
        let rows = self.once(&statement).await?;
        let total = rows.first().map_or(0, |row| row.get::<_, i64>("total").unsigned_abs());
        let page = rows.iter().filter_map(|row| {
            // A page beyond the end has one row, with the total alone.
            let id = row.get::<_, Option<Uuid>>("id")?;
            Some(Past {
                resource_type: row.get("type"),
                id,
                version: row.get::<_, i64>("version").unsigned_abs(),
                at: row.get("at"),
                content: row.get("content"),
                data: data_of(row),
            })
        });
        Ok((total, page.collect()))
    }
}
