//! Rows on their way to NATS: taken by one replica at a time, deleted after the acknowledgement.
use std::future::Future;

use database::Error;
use uuid::Uuid;

use super::Store;

/// Waiting events are counted up to here: more is as alarming, and counting costs.
const COUNTED_EVENTS: i64 = 100_000;

/// An event to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Position; events of one resource are in order.
    pub seq: i64,
    /// Message id: repeated publishes of one row are recognised by it.
    pub id: Uuid,
    /// NATS subject.
    pub subject: String,
    /// Sealed event.
    pub payload: Vec<u8>,
    /// Trace parent of the request that caused it.
    pub traceparent: Option<String>,
}

impl Store {
    /// Events that wait for NATS, counted up to [`COUNTED_EVENTS`].
    pub async fn waiting_events(&self) -> Result<u64, Error> {
        let connection = self.pool().get().await?;
        let statement =
            connection.prepare_cached("SELECT count(*) FROM (SELECT FROM outbox LIMIT $1) waiting").await?;
        Ok(connection.query_one(&statement, &[&COUNTED_EVENTS]).await?.get::<_, i64>(0).unsigned_abs())
    }
}

/// Takes up to `limit` rows that no other replica holds, hands them to `publish` and deletes those
/// whose positions it returns. Returns how many were taken and how many are gone. A row that was
/// published but not deleted is published again: readers recognise it.
pub async fn relay_batch<F, R>(store: &Store, limit: i64, publish: F) -> Result<(usize, usize), Error>
where
    F: FnOnce(Vec<OutboxRow>) -> R,
    R: Future<Output = Vec<i64>>,
{
    let mut connection = store.pool().get().await?;
    let transaction = connection.transaction().await?;
    let statement = transaction
        .prepare_cached(
            "SELECT seq, id, subject, payload, traceparent FROM outbox ORDER BY seq LIMIT $1 FOR UPDATE SKIP LOCKED",
        )
        .await?;
    let rows: Vec<OutboxRow> = transaction
        .query(&statement, &[&limit])
        .await?
        .into_iter()
        .map(|row| OutboxRow {
            seq: row.get(0),
            id: row.get(1),
            subject: row.get(2),
            payload: row.get(3),
            traceparent: row.get(4),
        })
        .collect();
    let taken = rows.len();
    if taken == 0 {
        return Ok((0, 0));
    }
    let published = publish(rows).await;
    if !published.is_empty() {
        let statement = transaction.prepare_cached("DELETE FROM outbox WHERE seq = ANY($1)").await?;
        transaction.execute(&statement, &[&published]).await?;
        transaction.commit().await?;
    }
    Ok((taken, published.len()))
}

impl Store {
    /// Rows that wait, for metrics and limits.
    pub async fn outbox_size(&self) -> Result<i64, Error> {
        let connection = self.pool().get().await?;
        Ok(connection.query_one("SELECT count(*) FROM outbox", &[]).await?.get(0))
    }
}
