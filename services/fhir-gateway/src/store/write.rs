//! Writing versions: one statement, one round trip, and outside of a transaction one commit.
use database::{Error, Kind};
use deadpool_postgres::GenericClient;
use uuid::Uuid;

use super::{
    CHANGED, NewVersion, Session, WATCHED, WriteError, buckets,
    index::{Index, kept},
};

/// A NOTIFY makes commits wait for each other, so only writes that caches depend on carry one; the
/// relay is woken inside the process and polls.
///
/// Parameters: $1 type, $2 id, $3 version, $4 last_updated, $5 content, $6 read_tags, $7 context id,
/// $8 context version, $9..$13 own index columns, $14 keys added, $15..$18 events, $19 notify type or null,
/// $20 keys removed, $21 audit event or null, $22 and $23 id and size of a Binary's data, $24 bucket,
/// $25..$27 shared index columns, $28 key of the lock that keeps the bucket from being tidied away.
const REST: &str = "
  , gone AS (DELETE FROM unique_key WHERE id = $2 AND key = ANY($20)
      AND EXISTS (SELECT FROM written) RETURNING 1)
  , keys AS (INSERT INTO unique_key (key, id) SELECT k, $2 FROM unnest($14::text[]) k WHERE EXISTS (SELECT FROM written) RETURNING 1)
  , found AS (INSERT INTO search_value (id, parameter, value, extra, low, high)
      SELECT $2, p, v, e, l, h FROM written,
        unnest($9::text[], $10::text[], $11::text[], $12::bigint[], $13::bigint[]) AS t(p, v, e, l, h)
      RETURNING 1)
  , opened AS (INSERT INTO bucket (id, type, read_tags)
      SELECT $24, $1, $6 FROM written, (SELECT pg_advisory_xact_lock_shared($28)) kept
      ON CONFLICT DO NOTHING RETURNING id)
  , shared AS (INSERT INTO bucket_value (bucket, parameter, value, extra)
      SELECT o.id, p, v, e FROM opened o, unnest($25::text[], $26::text[], $27::text[]) AS t(p, v, e)
      RETURNING 1)
  , events AS (INSERT INTO outbox (id, subject, payload, traceparent)
      SELECT i, s, p, t FROM unnest($15::uuid[], $16::text[], $17::bytea[], $18::text[]) AS t(i, s, p, t)
      WHERE EXISTS (SELECT FROM written) RETURNING 1)
  , audited AS (INSERT INTO audit_pending (event)
      SELECT $21::text WHERE $21 IS NOT NULL AND EXISTS (SELECT FROM written) RETURNING 1)
  SELECT (SELECT count(*) FROM written) AS written,
         CASE WHEN $19::text IS NOT NULL THEN pg_notify('dsf_changed', $19) END::text AS changed";

const CREATE: &str = "WITH written AS (
    INSERT INTO resource (type, id, version, last_updated, content, read_tags, context_id, context_version, data_id, data_size, bucket)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $22, $23, $24) RETURNING 1)
  , counted AS (INSERT INTO bucket_change (bucket, n) SELECT $24, 1 FROM written RETURNING 1)";

const UPDATE: &str = "WITH replaced AS (
    UPDATE resource SET current = false
    WHERE id = $2 AND (type = $1) IS TRUE AND version = $3::bigint - 1 AND current AND deleted IS NULL RETURNING bucket)
  , unindexed AS (DELETE FROM search_value WHERE id = $2 AND EXISTS (SELECT FROM replaced) RETURNING 1)
  , written AS (
    INSERT INTO resource (type, id, version, last_updated, content, read_tags, context_id, context_version, data_id, data_size, bucket)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $22, $23, $24 FROM replaced RETURNING 1)
  , counted AS (INSERT INTO bucket_change (bucket, n)
    SELECT c.bucket, c.n FROM replaced r, LATERAL (VALUES (r.bucket, -1), ($24, 1)) c(bucket, n)
    WHERE r.bucket <> $24 RETURNING 1)";

const DELETE: &str = "WITH written AS (
    UPDATE resource SET deleted = $3 WHERE id = $2 AND (type = $1) IS TRUE AND current AND deleted IS NULL RETURNING bucket)
  , unindexed AS (DELETE FROM search_value WHERE id = $2 AND EXISTS (SELECT FROM written) RETURNING 1)
  , counted AS (INSERT INTO bucket_change (bucket, n) SELECT bucket, -1 FROM written RETURNING 1)
  , keys AS (DELETE FROM unique_key WHERE id = $2 AND EXISTS (SELECT FROM written) RETURNING 1)
  SELECT (SELECT count(*) FROM written) AS written,
         CASE WHEN $4::text IS NOT NULL THEN pg_notify('dsf_changed', $4) END::text AS changed";

/// Type to notify caches about, if they are built from it.
fn watched(resource_type: &str) -> Option<&str> {
    let watched =
        WATCHED.contains(&resource_type) || fhir::validation::DEFINITION_TYPES.contains(&resource_type);
    watched.then_some(resource_type)
}

impl<C: GenericClient> Session<C> {
    /// Writes a version.
    pub async fn write(&self, new: &NewVersion) -> Result<(), WriteError> {
        self.write_audited(new, None).await
    }

    /// Writes a version together with the event that records it.
    pub async fn write_audited(&self, new: &NewVersion, event: Option<&str>) -> Result<(), WriteError> {
        debug_assert_eq!(CHANGED, "dsf_changed", "the statements name the channel");
        self.writes(new.resource_type);
        let statement = if new.version == 1 { format!("{CREATE}{REST}") } else { format!("{UPDATE}{REST}") };
        let Index { own, shared, bucket } = Index::of(new);
        let keys =
            |keys: &[String]| -> Vec<String> { keys.iter().map(|key| kept(key).into_owned()).collect() };
        let (keys_added, keys_removed) = (keys(&new.keys_added), keys(&new.keys_removed));
        let version = number(new.version)?;
        let (context_id, context_version) = match new.context {
            Some((id, version)) => (Some(id), version.map(number).transpose()?),
            None => (None, None),
        };
        let event_ids: Vec<Uuid> = new.events.iter().map(|_| Uuid::now_v7()).collect();
        let subjects: Vec<&str> = new.events.iter().map(|event| event.subject.as_str()).collect();
        let payloads: Vec<&[u8]> = new.events.iter().map(|event| event.payload.as_slice()).collect();
        let parents: Vec<Option<&str>> =
            new.events.iter().map(|event| event.traceparent.as_deref()).collect();
        let rows = self
            .rows(
                &statement,
                &[
                    &new.resource_type,
                    &new.id,
                    &version,
                    &new.last_updated,
                    &new.content,
                    &new.read_tags,
                    &context_id,
                    &context_version,
                    &own.parameter,
                    &own.value,
                    &own.extra,
                    &own.low,
                    &own.high,
                    &keys_added,
                    &event_ids,
                    &subjects,
                    &payloads,
                    &parents,
                    &watched(new.resource_type),
                    &keys_removed,
                    &event,
                    &new.data.map(|data| data.id),
                    &new.data.map(|data| number(data.size)).transpose()?,
                    &bucket,
                    &shared.parameter,
                    &shared.value,
                    &shared.extra,
                    &buckets::KEPT,
                ],
            )
            .await
            .map_err(lost_race)?;
        match rows.first().map(|row| row.get::<_, i64>("written")) {
            Some(1) => Ok(()),
            _ => Err(WriteError::Changed),
        }
    }

    /// Stores an event that records what is about to be done.
    pub async fn audit(&self, event: &str) -> Result<(), Error> {
        self.rows("INSERT INTO audit_pending (event) VALUES ($1)", &[&event]).await.map(drop)
    }

    /// Marks a resource as deleted. False when it does not exist or is deleted already.
    pub async fn delete(&self, resource_type: &'static str, id: Uuid, now: i64) -> Result<bool, Error> {
        self.writes(resource_type);
        let rows = self.rows(DELETE, &[&resource_type, &id, &now, &watched(resource_type)]).await?;
        Ok(rows.first().map(|row| row.get::<_, i64>("written")) == Some(1))
    }
}

/// What became of a permanent delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erased {
    /// All versions are gone.
    All,
    /// The resource is not marked as deleted.
    NotDeleted,
}

const ERASE: &str = "WITH erased AS (
    DELETE FROM resource WHERE id = $1 AND (type = $2) IS TRUE
      AND EXISTS (SELECT FROM resource r WHERE r.id = $1 AND (r.type = $2) IS TRUE AND r.current AND r.deleted IS NOT NULL) RETURNING 1)
  SELECT count(*) AS erased FROM erased";

impl<C: GenericClient> Session<C> {
    /// Removes all versions of a resource that is marked as deleted; its index values and keys went
    /// when it was marked.
    pub async fn erase(&self, resource_type: &'static str, id: Uuid) -> Result<Erased, Error> {
        let rows = self.rows(ERASE, &[&id, &resource_type]).await?;
        let erased = rows.first().map_or(0, |row| row.get::<_, i64>("erased"));
        Ok(if erased > 0 { Erased::All } else { Erased::NotDeleted })
    }
}

fn number(number: u64) -> Result<i64, Error> {
    i64::try_from(number).map_err(|_| Error::new(Kind::Other, "a version or size is out of range"))
}

/// A unique key that is taken is a duplicate; the same version written twice is a lost race.
fn lost_race(error: Error) -> WriteError {
    match &error.kind {
        Kind::Unique { constraint } if constraint == "unique_key_pkey" => WriteError::Duplicate,
        Kind::Unique { constraint } if constraint == "resource_pkey" => WriteError::Changed,
        Kind::Conflict => WriteError::Changed,
        _ => WriteError::Database(error),
    }
}
