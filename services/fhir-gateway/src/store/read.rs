//! Reading versions.
use database::tokio_postgres::Row;
use deadpool_postgres::GenericClient;
use uuid::Uuid;

use super::{DataRef, Session, Stored, buckets::CURRENT, index::kept};

/// Columns of a [`Stored`], for a table alias `r`. A Binary with a security context shows the read
/// tags of what it points to: of that version if one is given, else of the current one.
pub(super) const COLUMNS: &str = "r.id, r.version, r.last_updated, r.deleted, r.current, r.content, r.data_id, r.data_size, \
     CASE WHEN r.context_id IS NULL THEN r.read_tags ELSE coalesce((SELECT c.read_tags FROM resource c \
       WHERE c.id = r.context_id AND c.deleted IS NULL AND \
       CASE WHEN r.context_version IS NULL THEN c.current ELSE c.version = r.context_version END LIMIT 1), '{}') \
     END AS read_tags";

pub(super) fn stored(row: &Row) -> Stored {
    Stored {
        id: row.get("id"),
        version: row.get::<_, i64>("version").unsigned_abs(),
        last_updated: row.get("last_updated"),
        deleted: row.get("deleted"),
        current: row.get("current"),
        content: row.get("content"),
        read_tags: row.get("read_tags"),
        data: data_of(row),
    }
}

/// Columns `data_id` and `data_size`.
pub(super) fn data_of(row: &Row) -> Option<DataRef> {
    row.get::<_, Option<Uuid>>("data_id")
        .map(|id| DataRef { id, size: row.get::<_, i64>("data_size").unsigned_abs() })
}

impl<C: GenericClient> Session<C> {
    /// The last version of a resource, deleted or not.
    pub async fn read(&self, resource_type: &str, id: Uuid) -> Result<Option<Stored>, database::Error> {
        let statement = format!(
            "SELECT {COLUMNS} FROM resource r WHERE r.id = $1 AND (r.type = $2) IS TRUE AND r.current"
        );
        let rows = self.rows(&statement, &[&id, &resource_type]).await?;
        Ok(rows.first().map(stored))
    }

    /// One version of a resource.
    pub async fn vread(
        &self,
        resource_type: &str,
        id: Uuid,
        version: u64,
    ) -> Result<Option<Stored>, database::Error> {
        let Ok(version) = i64::try_from(version) else { return Ok(None) };
        let statement =
            format!("SELECT {COLUMNS} FROM resource r WHERE r.id = $1 AND r.version = $2 AND r.type = $3");
        let rows = self.rows(&statement, &[&id, &version, &resource_type]).await?;
        Ok(rows.first().map(stored))
    }

    /// All current resources of a type, for caches.
    pub async fn all(&self, resource_type: &str) -> Result<Vec<Stored>, database::Error> {
        let statement = format!("SELECT {COLUMNS} FROM {CURRENT} WHERE b.type = $1 ORDER BY r.id");
        Ok(self.rows(&statement, &[&resource_type]).await?.iter().map(stored).collect())
    }

    /// Type, id and version of all current resources of some types, for caches.
    pub async fn current_versions(
        &self,
        resource_types: &[&str],
    ) -> Result<Vec<(String, Uuid, u64)>, database::Error> {
        let statement = format!("SELECT r.type, r.id, r.version FROM {CURRENT} WHERE b.type = ANY($1)");
        let rows = self.rows(&statement, &[&resource_types]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get::<_, i64>(2).unsigned_abs())).collect())
    }

    /// Current resources of a type by their ids; those that do not exist are left out.
    pub async fn several(&self, resource_type: &str, ids: &[Uuid]) -> Result<Vec<Stored>, database::Error> {
        let statement = format!(
            "SELECT {COLUMNS} FROM resource r \
             WHERE r.id = ANY($1) AND (r.type = $2) IS TRUE AND r.current AND r.deleted IS NULL ORDER BY r.id"
        );
        Ok(self.rows(&statement, &[&ids, &resource_type]).await?.iter().map(stored).collect())
    }

    /// Whether any of these unique keys is taken.
    pub async fn taken(&self, keys: &[String]) -> Result<bool, database::Error> {
        if keys.is_empty() {
            return Ok(false);
        }
        let keys: Vec<String> = keys.iter().map(|key| kept(key).into_owned()).collect();
        let rows = self.rows("SELECT 1 FROM unique_key WHERE key = ANY($1) LIMIT 1", &[&keys]).await?;
        Ok(!rows.is_empty())
    }

    /// The resource that has taken this unique key.
    ///
    /// # Errors
    /// The database's.
    pub async fn holder(&self, key: &str) -> Result<Option<Uuid>, database::Error> {
        let rows = self.rows("SELECT id FROM unique_key WHERE key = $1", &[&kept(key)]).await?;
        Ok(rows.first().map(|row| row.get(0)))
    }

    /// Makes a unique key free that this resource has taken.
    ///
    /// # Errors
    /// The database's.
    pub async fn release(&self, key: &str, holder: Uuid) -> Result<(), database::Error> {
        self.rows("DELETE FROM unique_key WHERE key = $1 AND id = $2", &[&kept(key), &holder]).await?;
        Ok(())
    }

    /// Whether a resource, or the given version of it, exists and is not deleted.
    pub async fn exists(
        &self,
        resource_type: &str,
        id: Uuid,
        version: Option<i64>,
    ) -> Result<bool, database::Error> {
        let rows = self
            .rows(
                "SELECT 1 FROM resource WHERE id = $1 AND (type = $2) IS TRUE AND current AND deleted IS NULL \
                 AND ($3::bigint IS NULL OR version >= $3) ORDER BY version DESC LIMIT 1",
                &[&id, &resource_type, &version],
            )
            .await?;
        Ok(!rows.is_empty())
    }
}
