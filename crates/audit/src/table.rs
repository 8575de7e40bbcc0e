//! The chain in PostgreSQL: appending in batches, reading in pages.
use database::{Error, Pool};

use crate::{Event, Hash, Key, chain::GENESIS};

/// Pending rows that one batch takes in at most.
const PENDING: i64 = 2000;

/// A row of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Number, from 1 without gaps.
    pub seq: i64,
    /// The event as JSON.
    pub event: String,
    /// Hash.
    pub hash: Vec<u8>,
}

/// The ends of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Number of the oldest row that is kept.
    pub first: i64,
    /// Hash of the row before it.
    pub before: Hash,
    /// Number of the last row; `first - 1` where there is none.
    pub last: i64,
    /// Its hash.
    pub hash: Vec<u8>,
}

/// What [`append`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Rows written.
    pub rows: usize,
    /// Rows still pending, or more came than one batch takes.
    pub more: bool,
    /// Number and hash of the last row.
    pub head: (i64, Hash),
}

/// Appends the rows that writes have left pending, then `queued`. Replicas do so one after the other;
/// one commit for all of it.
///
/// # Errors
/// The database's; nothing was appended, or it is not known.
pub async fn append(pool: &Pool, key: &Key, queued: &[Event]) -> Result<Appended, Error> {
    let mut connection = pool.get().await?;
    let transaction = connection.transaction().await?;
    let statement =
        transaction.prepare_cached("SELECT last_seq, last_hash FROM audit_head FOR UPDATE").await?;
    let head = transaction.query_one(&statement, &[]).await?;
    let mut seq: i64 = head.get(0);
    let mut hash = hash_of(head.get(1));
    let statement = transaction
        .prepare_cached(
            "DELETE FROM audit_pending WHERE id IN (SELECT id FROM audit_pending ORDER BY id LIMIT $1)
             RETURNING id, event",
        )
        .await?;
    let mut pending: Vec<(i64, String)> = transaction
        .query(&statement, &[&PENDING])
        .await?
        .into_iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    pending.sort_unstable();
    let more = i64::try_from(pending.len()).is_ok_and(|taken| taken == PENDING);
    let events: Vec<String> =
        pending.into_iter().map(|(_, event)| event).chain(queued.iter().map(Event::json)).collect();
    let (mut seqs, mut hashes) = (Vec::with_capacity(events.len()), Vec::with_capacity(events.len()));
    for event in &events {
        seq += 1;
        hash = key.hash(&hash, seq, event);
        seqs.push(seq);
        hashes.push(hash.to_vec());
    }
    if !events.is_empty() {
        let statement = transaction
            .prepare_cached(
                "WITH added AS (INSERT INTO audit (seq, event, hash)
                   SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[]) RETURNING 1)
                 UPDATE audit_head SET last_seq = $4, last_hash = $5 WHERE (SELECT count(*) FROM added) > 0",
            )
            .await?;
        transaction.execute(&statement, &[&seqs, &events, &hashes, &seq, &hash.as_slice()]).await?;
        transaction.commit().await?;
    }
    Ok(Appended { rows: events.len(), more, head: (seq, hash) })
}

fn hash_of(bytes: &[u8]) -> Hash {
    // The column has exactly this length by a check.
    bytes.try_into().unwrap_or(GENESIS)
}

/// The ends of the chain.
///
/// # Errors
/// The database's.
pub async fn head(pool: &Pool) -> Result<Head, Error> {
    let connection = pool.get().await?;
    let row = connection
        .query_one("SELECT first_seq, before_hash, last_seq, last_hash FROM audit_head", &[])
        .await?;
    Ok(Head { first: row.get(0), before: hash_of(row.get(1)), last: row.get(2), hash: row.get(3) })
}

/// Up to `limit` rows behind row `after`, in order.
///
/// # Errors
/// The database's.
pub async fn page(pool: &Pool, after: i64, limit: i64) -> Result<Vec<Row>, Error> {
    let connection = pool.get().await?;
    let rows = connection
        .query("SELECT seq, event, hash FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2", &[&after, &limit])
        .await?;
    Ok(rows.into_iter().map(|row| Row { seq: row.get(0), event: row.get(1), hash: row.get(2) }).collect())
}

/// Removes the oldest rows up to the first that is from `before` (milliseconds since 1970) or later, at
/// most `limit`. The chain then begins behind them. Returns how many went.
///
/// # Errors
/// The database's.
pub async fn prune(pool: &Pool, before: i64, limit: i64) -> Result<u64, Error> {
    let mut connection = pool.get().await?;
    let transaction = connection.transaction().await?;
    let first: i64 = transaction.query_one("SELECT first_seq FROM audit_head FOR UPDATE", &[]).await?.get(0);
    let rows = transaction
        .query(
            "SELECT seq, hash, (event::jsonb->>'at')::bigint FROM audit WHERE seq >= $1 ORDER BY seq LIMIT $2",
            &[&first, &limit],
        )
        .await?;
    let Some(last) = rows.iter().take_while(|row| row.get::<_, i64>(2) < before).last() else {
        return Ok(0);
    };
    let (seq, hash): (i64, Vec<u8>) = (last.get(0), last.get(1));
    // What the trigger that guards the table asks for.
    transaction.execute("SELECT set_config('dsf.audit_prune', 'on', true)", &[]).await?;
    let gone = transaction.execute("DELETE FROM audit WHERE seq <= $1", &[&seq]).await?;
    transaction.execute("UPDATE audit_head SET first_seq = $1 + 1, before_hash = $2", &[&seq, &hash]).await?;
    transaction.commit().await?;
    Ok(gone)
}
