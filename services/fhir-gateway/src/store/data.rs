//! Data of Binaries in pieces: written piece by piece before their version, read piece by piece after.
//!
//! Outside of a transaction each piece commits by itself, so that an upload never holds a connection
//! while it waits for its client. An upload that is not in the index of versions is garbage:
//! [`Session::remove_abandoned`] takes it away.
use std::time::Duration;

use deadpool_postgres::GenericClient;
use uuid::Uuid;

use super::Session;

/// Bytes in a piece (the last may have fewer). A multiple of three: pieces become base64 one by one.
pub const CHUNK: usize = 255 * 1024;

/// Data of a stored Binary that lie outside of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataRef {
    /// Id of the pieces.
    pub id: Uuid,
    /// Bytes.
    pub size: u64,
}

impl<C: GenericClient> Session<C> {
    /// Writes a piece; the one at position 0 begins an upload.
    pub async fn add_chunk(&self, data: Uuid, position: i32, bytes: &[u8]) -> Result<(), database::Error> {
        let statement = "WITH upload AS (INSERT INTO binary_upload (data) VALUES ($1) \
             ON CONFLICT (data) DO UPDATE SET touched = now()) \
             INSERT INTO binary_chunk (data, position, bytes) VALUES ($1, $2, $3)";
        self.rows(statement, &[&data, &position, &bytes]).await?;
        Ok(())
    }

    /// The upload has become part of a version: it is never abandoned.
    pub async fn keep_upload(&self, data: Uuid) -> Result<(), database::Error> {
        self.rows("DELETE FROM binary_upload WHERE data = $1", &[&data]).await?;
        Ok(())
    }

    /// Removes an upload, unless it has become part of a version.
    pub async fn discard_upload(&self, data: Uuid) -> Result<(), database::Error> {
        let statement = "WITH upload AS (DELETE FROM binary_upload WHERE data = $1) \
             DELETE FROM binary_chunk WHERE data = $1 \
             AND NOT EXISTS (SELECT FROM resource WHERE data_id = $1)";
        self.rows(statement, &[&data]).await?;
        Ok(())
    }

    /// Removes what uploads have left that nothing was heard of for `age`; how many those were.
    pub async fn remove_abandoned(&self, age: Duration) -> Result<usize, database::Error> {
        let abandoned =
            "SELECT data FROM binary_upload WHERE touched < now() - make_interval(secs => $1) LIMIT 100";
        let rows = self.rows(abandoned, &[&age.as_secs_f64()]).await?;
        for row in &rows {
            self.discard_upload(row.get(0)).await?;
        }
        Ok(rows.len())
    }

    /// A piece; none where the version was removed meanwhile.
    pub async fn chunk(&self, data: Uuid, position: i32) -> Result<Option<Vec<u8>>, database::Error> {
        let statement = "SELECT bytes FROM binary_chunk WHERE data = $1 AND position = $2";
        Ok(self.rows(statement, &[&data, &position]).await?.first().map(|row| row.get(0)))
    }
}
