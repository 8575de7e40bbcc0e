//! Keeps the planner's statistics fresh enough: the server's own upkeep comes once a minute at best,
//! and until then it believes a table that has just been filled to be nearly empty. Searches then read
//! all rows of a value once per resource. Nor does it know which rows everybody sees, and looks at each of
//! those that a search counts.
use std::time::Duration;

use super::Store;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_secs(5);
/// Statistics are renewed after this many changed rows and this share of the table.
const ROWS: i64 = 200;
/// See [`ROWS`].
const SHARE: f64 = 0.2;
/// What rows everybody sees is noted after this share of new rows.
const NEW: f64 = 0.1;
/// Tables that searches join.
const TABLES: [&str; 2] = ["resource", "search_value"];
/// Key of the advisory lock that lets one replica do it; any constant of our own.
const LOCK: i64 = 0x4453_465f_7374_6174;

/// Looks after the statistics for ever.
pub async fn keep_fresh(store: Store) {
    loop {
        tokio::time::sleep(PAUSE).await;
        for result in [renew(&store).await, note_visible(&store).await] {
            if let Err(error) = result {
                tracing::debug!(%error, "statistics are renewed later");
            }
        }
    }
}

async fn renew(store: &Store) -> Result<(), database::Error> {
    let mut connection = store.pool().get().await?;
    let db = connection.transaction().await?;
    // Ends with the transaction.
    if !db.query_one("SELECT pg_try_advisory_xact_lock($1)", &[&LOCK]).await?.get::<_, bool>(0) {
        return Ok(());
    }
    let stale = db
        .query(
            "SELECT relname::text FROM pg_stat_user_tables WHERE relname = ANY($1) AND schemaname = current_schema() \
             AND n_mod_since_analyze > $2::bigint + $3::float8 * n_live_tup",
            &[&TABLES.as_slice(), &ROWS, &SHARE],
        )
        .await?;
    for row in stale {
        // A name from the list above.
        db.batch_execute(&format!("ANALYZE {}", row.get::<_, &str>(0))).await?;
    }
    Ok(db.commit().await?)
}

/// A vacuum without what it does to indexes reads the new pages only. It runs in no transaction; one that is
/// at work already in another replica is not waited for.
async fn note_visible(store: &Store) -> Result<(), database::Error> {
    let db = store.pool().get().await?;
    let filled = db
        .query(
            "SELECT relname::text FROM pg_stat_user_tables WHERE relname = ANY($1) AND schemaname = current_schema() \
             AND n_ins_since_vacuum > $2::bigint + $3::float8 * n_live_tup",
            &[&TABLES.as_slice(), &ROWS, &NEW],
        )
        .await?;
    for row in filled {
        // A name from the list above.
        let table: &str = row.get(0);
        db.batch_execute(&format!("VACUUM (INDEX_CLEANUP off, TRUNCATE off, SKIP_LOCKED) {table}")).await?;
    }
    Ok(())
}
