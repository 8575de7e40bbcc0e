//! From the outbox to the EVENTS stream: at least once, in batches, shared between replicas.
//!
//! Keeps nothing: a row is deleted only after JetStream has acknowledged its message, and a message that is
//! published twice carries the same `Nats-Msg-Id`.
use std::{future::IntoFuture, time::Duration};

use async_nats::{
    HeaderMap, connection::State, header::NATS_MESSAGE_ID, jetstream, jetstream::context::PublishAckFuture,
};
use futures_util::future::join_all;
use messaging::{connect::Nats, streams};
use telemetry::{context::TRACEPARENT, metrics};
use tokio::{sync::watch, time::timeout};

use crate::{
    changes::Changes,
    store::{OutboxRow, Store, relay_batch},
};

/// Rows taken at once.
const BATCH: i64 = 256;
/// The outbox is looked at this often even if nobody wakes the relay: rows of a replica that died.
const POLL: Duration = Duration::from_millis(500);
/// First and longest pause after a failure.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// Longest wait for the acknowledgements of one batch.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs until the stop signal.
pub async fn run(
    store: Store,
    changes: Changes,
    nats: Nats,
    replicas: usize,
    mut stop: watch::Receiver<bool>,
) {
    let relay = Relay {
        stream: jetstream::new(nats.client().clone()),
        nats,
        replicas,
        published: metrics::meter()
            .u64_counter("dsf.gateway.relay.events")
            .with_description("Events acknowledged by the stream")
            .build(),
    };
    tokio::select! {
        () = relay.work(&store, &changes) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

struct Relay {
    stream: jetstream::Context,
    nats: Nats,
    replicas: usize,
    published: metrics::Counter<u64>,
}

impl Relay {
    async fn work(&self, store: &Store, changes: &Changes) {
        let mut backoff = BACKOFF.0;
        // The stream may be missing at start and after a loss of the NATS server's storage.
        let mut provisioned = false;
        loop {
            if !provisioned {
                provisioned = self.provision().await;
            }
            let outcome = if provisioned { self.batch(store).await } else { Outcome::Failed };
            match outcome {
                Outcome::More => backoff = BACKOFF.0,
                Outcome::Empty => {
                    backoff = BACKOFF.0;
                    let _ = timeout(POLL, changes.outbox_wake()).await;
                }
                Outcome::Failed => {
                    provisioned = false;
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF.1);
                }
            }
        }
    }

    async fn provision(&self) -> bool {
        if self.nats.client().connection_state() != State::Connected {
            return false;
        }
        match timeout(ACK_TIMEOUT, streams::provision_events(self.nats.client(), self.replicas)).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, "events wait in the outbox");
                false
            }
            Err(_) => false,
        }
    }

    async fn batch(&self, store: &Store) -> Outcome {
        match relay_batch(store, BATCH, |rows| self.publish(rows)).await {
            Ok((0, _)) => Outcome::Empty,
            Ok((taken, published)) => {
                self.published.add(published as u64, &[]);
                if published < taken {
                    tracing::warn!(left = taken - published, "events were not acknowledged and wait");
                    Outcome::Failed
                } else if taken < BATCH as usize {
                    Outcome::Empty
                } else {
                    Outcome::More
                }
            }
            Err(error) => {
                tracing::debug!(%error, "the outbox cannot be read");
                Outcome::Failed
            }
        }
    }

    /// Publishes all rows at once and waits for all acknowledgements; returns the acknowledged ones.
    async fn publish(&self, rows: Vec<OutboxRow>) -> Vec<i64> {
        let mut sent = Vec::with_capacity(rows.len());
        for row in rows {
            let seq = row.seq;
            match timeout(ACK_TIMEOUT, self.send(row)).await {
                Ok(Ok(acknowledgement)) => sent.push((seq, acknowledgement)),
                // The later ones fail the same way; they stay in the outbox.
                _ => break,
            }
        }
        let acknowledged = sent.into_iter().map(|(seq, acknowledgement)| async move {
            match timeout(ACK_TIMEOUT, acknowledgement.into_future()).await {
                Ok(Ok(_)) => Some(seq),
                Ok(Err(error)) => {
                    tracing::debug!(%error, "an event was not acknowledged");
                    None
                }
                Err(_) => None,
            }
        });
        join_all(acknowledged).await.into_iter().flatten().collect()
    }

    async fn send(&self, row: OutboxRow) -> Result<PublishAckFuture, jetstream::context::PublishError> {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, row.id.to_string());
        if let Some(parent) = row.traceparent {
            headers.insert(TRACEPARENT, parent);
        }
        self.stream.publish_with_headers(row.subject, headers, row.payload.into()).await
    }
}

enum Outcome {
    /// A full batch went out: there may be more.
    More,
    /// Nothing is left.
    Empty,
    /// Rows are left and could not go.
    Failed,
}
