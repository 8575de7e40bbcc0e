//! Buckets: how many resources share type, readers and the values of shared parameters. Counts are exact in
//! every statement: what a bucket held when its changes were last added up, and the changes since.
use std::time::{Duration, Instant};

use super::Store;

/// Pause between two times that changes are added up.
const PAUSE: Duration = Duration::from_secs(5);
/// When this many changes that were added up still take room, it is given back: a search reads all of it.
const ROOM: i64 = 500;
/// How often buckets that have become empty are removed. Many fill again within seconds.
const TIDY: Duration = Duration::from_secs(3600);
/// Key of the advisory lock that lets one replica add up; any constant of our own.
const LOCK: i64 = 0x4453_465f_6275_636b;
/// Key of the advisory lock that every writer shares to its commit: while one is at work, no bucket is removed.
pub(super) const KEPT: i64 = 0x4453_465f_6b65_7074;

/// Current resources that are not deleted, for a condition on `resource r` inside and on `bucket b` outside:
/// whatever the planner believes, it begins with the buckets.
pub(super) const CURRENT: &str = "bucket b CROSS JOIN LATERAL (SELECT * FROM resource c \
    WHERE c.bucket = b.id AND c.current AND c.deleted IS NULL OFFSET 0) r";

/// What buckets hold, in parts that add up: `id` and `n`.
pub(super) const COUNTS: &str =
    "(SELECT id, count AS n FROM bucket UNION ALL SELECT bucket, n FROM bucket_change) c";

/// Adds up changes and removes empty buckets, for ever.
pub async fn add_up(store: Store) {
    let mut tidied = Instant::now();
    loop {
        tokio::time::sleep(PAUSE).await;
        if let Err(error) = store.add_up_buckets().await {
            tracing::debug!(%error, "counts of buckets are added up later");
        }
        if tidied.elapsed() >= TIDY {
            match store.remove_empty_buckets().await {
                Ok(true) => tidied = Instant::now(),
                Ok(false) => {}
                Err(error) => tracing::debug!(%error, "empty buckets are removed later"),
            }
        }
    }
}

impl Store {
    /// Adds the changes that wait to the counts of their buckets, unless another replica does.
    pub async fn add_up_buckets(&self) -> Result<(), database::Error> {
        let mut connection = self.pool().get().await?;
        let db = connection.transaction().await?;
        // Ends with the transaction.
        if !db.query_one("SELECT pg_try_advisory_xact_lock($1)", &[&LOCK]).await?.get::<_, bool>(0) {
            return Ok(());
        }
        db.execute(
            "WITH moved AS (DELETE FROM bucket_change RETURNING bucket, n) \
             UPDATE bucket b SET count = b.count + m.n \
             FROM (SELECT bucket, sum(n) AS n FROM moved GROUP BY bucket) m WHERE b.id = m.bucket AND m.n <> 0",
            &[],
        )
        .await?;
        // Those of the time before as well: nobody sees them any more.
        let dead = "SELECT n_dead_tup FROM pg_stat_user_tables \
                    WHERE relname = 'bucket_change' AND schemaname = current_schema()";
        let dead = db.query_opt(dead, &[]).await?.map_or(0, |row| row.get::<_, i64>(0));
        db.commit().await?;
        if dead >= ROOM {
            connection.batch_execute("VACUUM (SKIP_LOCKED) bucket_change").await?;
        }
        Ok(())
    }

    /// Removes buckets that hold nothing any more, with the values they kept. False while somebody writes.
    pub async fn remove_empty_buckets(&self) -> Result<bool, database::Error> {
        let mut connection = self.pool().get().await?;
        let db = connection.transaction().await?;
        if !db.query_one("SELECT pg_try_advisory_xact_lock($1)", &[&KEPT]).await?.get::<_, bool>(0) {
            return Ok(false);
        }
        db.batch_execute(
            "WITH gone AS (DELETE FROM bucket b WHERE b.count = 0 \
               AND NOT EXISTS (SELECT FROM bucket_change c WHERE c.bucket = b.id) RETURNING b.id) \
             DELETE FROM bucket_value v USING gone WHERE v.bucket = gone.id",
        )
        .await?;
        db.commit().await?;
        Ok(true)
    }

    /// Current Tasks by status.
    pub async fn tasks_by_status(&self) -> Result<Vec<(String, u64)>, database::Error> {
        let connection = self.pool().get().await?;
        let statement = connection
            .prepare_cached(&format!(
                "SELECT v.value, sum(c.n)::bigint FROM bucket_value v JOIN {COUNTS} ON c.id = v.bucket \
                 WHERE v.parameter = 'Task.status' GROUP BY v.value HAVING sum(c.n) > 0"
            ))
            .await?;
        let rows = connection.query(&statement, &[]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get::<_, i64>(1).unsigned_abs())).collect())
    }
}
