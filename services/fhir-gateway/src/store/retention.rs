//! Which resources a retention rule is about.
use database::Error;
use deadpool_postgres::GenericClient;
use uuid::Uuid;

use super::Session;

/// Key of the advisory lock that the replica at work holds; any constant of our own.
const LOCK: i64 = 0x4453_465f_7265_7461;

/// A condition on current versions of a type.
#[derive(Debug, Clone, Copy)]
pub struct Outdated<'a> {
    /// Statuses, any of which is enough; empty: any.
    pub status: &'a [String],
    /// Marked as deleted before the time, instead of last changed before it.
    pub deleted: bool,
    /// Milliseconds since 1970.
    pub before: i64,
}

/// $1 type, $2 statuses, $3 deleted, $4 before.
const WHERE: &str = "FROM resource WHERE type = $1 AND current
    AND CASE WHEN $3 THEN deleted < $4 ELSE deleted IS NULL AND last_updated < $4 END
    AND ($3 OR cardinality($2::text[]) = 0
         OR convert_from(content, 'UTF8')::jsonb->>'status' = ANY($2))";

impl<C: GenericClient> Session<C> {
    /// Ids and versions of up to `limit` such resources.
    pub async fn outdated(
        &self,
        resource_type: &str,
        outdated: &Outdated<'_>,
        limit: i64,
    ) -> Result<Vec<(Uuid, u64)>, Error> {
        let statement = format!("SELECT id, version {WHERE} ORDER BY last_updated LIMIT $5");
        let Outdated { status, deleted, before } = outdated;
        let rows = self.rows(&statement, &[&resource_type, status, deleted, before, &limit]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get::<_, i64>(1).unsigned_abs())).collect())
    }

    /// How many there are.
    pub async fn count_outdated(&self, resource_type: &str, outdated: &Outdated<'_>) -> Result<u64, Error> {
        let Outdated { status, deleted, before } = outdated;
        let rows = self
            .rows(&format!("SELECT count(*) {WHERE}"), &[&resource_type, status, deleted, before])
            .await?;
        Ok(rows.first().map_or(0, |row| row.get::<_, i64>(0).unsigned_abs()))
    }
}

impl Session<database::Transaction<'_>> {
    /// Whether no other replica removes at present; none does until this transaction ends.
    pub async fn retain_alone(&self) -> Result<bool, Error> {
        Ok(self.client.query_one("SELECT pg_try_advisory_xact_lock($1)", &[&LOCK]).await?.get(0))
    }
}
