//! Telling workers that jobs are ready. A hint is never the truth: the sweep repeats lost ones.
use std::collections::BTreeMap;

use messaging::{connect::Nats, subject};
use serde_json::json;

/// Most hints for one type at a time; each wakes one member of the workers' queue group.
const HINTS_PER_TYPE: usize = 8;

/// Publishes hints.
#[derive(Clone)]
pub struct Hints {
    nats: Nats,
}

impl Hints {
    /// Hints over this connection.
    pub fn new(nats: Nats) -> Self {
        Self { nats }
    }

    /// Waits until everything said so far is at the server.
    pub async fn flush(&self) {
        let _ = self.nats.client().flush().await;
    }

    /// Says how many jobs of which type are ready. While NATS is away nothing is said.
    pub async fn tell(&self, ready: &BTreeMap<String, usize>) {
        let client = self.nats.client();
        if client.connection_state() != async_nats::connection::State::Connected {
            return;
        }
        for (kind, count) in ready {
            let hint = json!({"type": kind, "count": count}).to_string();
            for _ in 0..(*count).min(HINTS_PER_TYPE) {
                if let Err(error) = client.publish(subject::job_hint(kind), hint.clone().into()).await {
                    tracing::debug!(%error, "a hint was not sent");
                    return;
                }
            }
        }
    }
}
