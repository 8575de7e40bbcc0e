//! What `/metadata` tells of stored profiles.
use deadpool_postgres::GenericClient;

use super::{Session, buckets::CURRENT};

/// A stored profile of a resource type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Type it constrains.
    pub resource_type: String,
    /// Its url.
    pub url: String,
}

impl<C: GenericClient> Session<C> {
    /// Changes whenever a StructureDefinition is written or deleted.
    pub async fn profiles_version(&self) -> Result<(i64, i64), database::Error> {
        let rows = self
            .rows(
                &format!(
                    "SELECT count(*), coalesce(max(r.last_updated), 0) FROM {CURRENT} \
                     WHERE b.type = 'StructureDefinition'"
                ),
                &[],
            )
            .await?;
        Ok(rows.first().map_or((0, 0), |row| (row.get(0), row.get(1))))
    }

    /// Draft and active profiles that are not HL7's own, in order.
    pub async fn profiles(&self) -> Result<Vec<Profile>, database::Error> {
        // `json`, not `jsonb`: it reads any text a resource may hold.
        let rows = self
            .rows(
                &format!(
                    "SELECT DISTINCT j->>'type' AS type, j->>'url' AS url FROM (\
                     SELECT convert_from(r.content, 'UTF8')::json AS j FROM {CURRENT} \
                     WHERE b.type = 'StructureDefinition') s \
                     WHERE j->>'status' IN ('draft', 'active') AND j->>'type' IS NOT NULL \
                     AND j->>'url' NOT LIKE 'http://hl7.org/%' ORDER BY 1, 2"
                ),
                &[],
            )
            .await?;
        Ok(rows.iter().map(|row| Profile { resource_type: row.get(0), url: row.get(1) }).collect())
    }
}
