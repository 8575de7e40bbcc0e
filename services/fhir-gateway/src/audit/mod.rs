//! Records every decision (fhir-endpoint contract 10): events of direct creates and updates in the
//! transaction of their write, events of deletes before the deed, all others through a queue.
//!
//! No request waits for the chain: a writer per replica takes up pending rows and queue in batches. A
//! crash loses what the queue held, at most [`LINGER`] of reads, searches, refusals and bundle entries
//! while the database is there; an accepted direct write is never without its event.
mod permit;

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use access::{Identity, Interaction};
use audit::{Event, Key, Who, table};
use database::Pool;
use fhir::datetime;
use telemetry::metrics::{Counter, meter};
use tokio::{
    sync::{Notify, mpsc},
    time::timeout,
};

pub(crate) use permit::Permit;

/// Events that may wait for the writer. Beyond it they are lost, which is recorded as an event of its own.
pub const MAX_QUEUE: usize = 32_768;
/// How long events are collected before they are written together.
pub const LINGER: Duration = Duration::from_millis(100);
/// Most events of the queue in one batch.
const BATCH: usize = 4096;
/// Pause after a failed batch.
const RETRY: Duration = Duration::from_secs(1);
/// How often rows that another replica left pending are looked for.
const LOOK: Duration = Duration::from_secs(5);
/// Longest wait for the last batch when the service stops.
const LAST: Duration = Duration::from_secs(5);
/// A hash of the chain is logged every so many rows, to be kept elsewhere.
const ANCHOR: i64 = 10_000;

/// The key file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "the audit key file {path} is not usable ({reason}): at least 32 random bytes, the same for all replicas"
)]
pub struct KeyError {
    path: PathBuf,
    reason: String,
}

/// Reads the key of the chain; without a file hashes are plain.
///
/// # Errors
/// [`KeyError`]
pub fn key(path: Option<&Path>) -> Result<Key, KeyError> {
    let Some(path) = path else { return Ok(Key::None) };
    let unusable = |reason: String| KeyError { path: path.to_owned(), reason };
    let bytes = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    Key::new(&bytes).map_err(|error| unusable(error.to_string()))
}

/// Takes events. Cheap to clone.
#[derive(Clone)]
pub struct Audit {
    queue: mpsc::Sender<Event>,
    /// Something is pending in the database.
    pending: Arc<Notify>,
    /// Stop was asked for.
    closing: Arc<Notify>,
    lost: Arc<AtomicU64>,
    decisions: Counter<u64>,
}

/// Writes what an [`Audit`] takes.
pub struct Writer {
    events: mpsc::Receiver<Event>,
    audit: Audit,
    key: Key,
}

impl Audit {
    /// An empty queue and its writer.
    pub fn new(key: Key) -> (Self, Writer) {
        let (queue, events) = mpsc::channel(MAX_QUEUE);
        let audit = Self {
            queue,
            pending: Arc::default(),
            closing: Arc::default(),
            lost: Arc::default(),
            decisions: meter()
                .u64_counter("dsf.gateway.decisions")
                .with_description("Decisions about requests, by interaction, type and outcome")
                .build(),
        };
        (audit.clone(), Writer { events, audit, key })
    }

    /// Queues an event.
    pub fn record(&self, event: Event) {
        self.count(&event);
        if self.queue.try_send(event).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Records a decision about a request of a known caller.
    pub(crate) fn decided(
        &self,
        identity: &Identity,
        interaction: Interaction,
        resource_type: Option<&'static str>,
        id: Option<String>,
        decision: Result<(), &str>,
    ) {
        self.record(event(identity, interaction, resource_type, id, decision));
    }

    /// The right to do what was decided, still to be recorded.
    pub(crate) fn permit(
        &self,
        identity: &Identity,
        interaction: Interaction,
        resource_type: &'static str,
        id: Option<String>,
        read_tags: Vec<String>,
    ) -> Permit {
        Permit::new(self.clone(), event(identity, interaction, Some(resource_type), id, Ok(())), read_tags)
    }

    /// Records that a certificate of a trusted CA belongs to nobody we know.
    pub(crate) fn unknown(&self, thumbprint: &str) {
        self.record(Event {
            who: Who { kind: "unknown".into(), id: Some(thumbprint.to_owned()) },
            reason: "the certificate belongs to no active organization and no person".into(),
            ..blank("request")
        });
    }

    /// Records that a token or session names somebody without any right.
    pub(crate) fn no_rights(&self, credentials: &crate::identity::Credentials) {
        let id = credentials.email.clone().unwrap_or_else(|| credentials.otherwise.clone());
        self.record(Event {
            who: Who { kind: "practitioner".into(), id: Some(id) },
            reason: "the role configuration gives the person nothing".into(),
            ..blank("request")
        });
    }

    fn count(&self, event: &Event) {
        use telemetry::metrics::KeyValue;
        self.decisions.add(
            1,
            &[
                KeyValue::new("interaction", event.interaction.to_string()),
                KeyValue::new("type", event.resource_type.as_deref().unwrap_or("none").to_owned()),
                KeyValue::new("allowed", event.allowed),
            ],
        );
    }

    /// Ends the writer once it has written what it has.
    pub fn close(&self) {
        self.closing.notify_one();
    }
}

fn blank(interaction: &'static str) -> Event {
    Event {
        at: datetime::now_millis(),
        who: Who { kind: "".into(), id: None },
        interaction: interaction.into(),
        resource_type: None,
        id: None,
        version: None,
        allowed: false,
        reason: "".into(),
    }
}

fn event(
    identity: &Identity,
    interaction: Interaction,
    resource_type: Option<&'static str>,
    id: Option<String>,
    decision: Result<(), &str>,
) -> Event {
    let who = match identity {
        Identity::Organization(organization) => Some(organization.identifier.clone()),
        Identity::Practitioner(practitioner) => Some(practitioner.identifier.clone()),
        Identity::Loader => None,
    };
    Event {
        who: Who { kind: identity.kind().into(), id: who },
        resource_type: resource_type.map(Cow::Borrowed),
        id,
        allowed: decision.is_ok(),
        reason: decision.err().map(|reason| Cow::Owned(reason.to_owned())).unwrap_or_default(),
        ..blank(interaction.word())
    }
}

impl Writer {
    /// Writes until [`Audit::close`]; outages of the database are waited out.
    pub async fn run(mut self, pool: Pool) {
        let failed = meter()
            .u64_counter("dsf.gateway.audit.lost")
            .with_description("Decisions that were not recorded because the queue was full")
            .build();
        let mut batch = Vec::with_capacity(BATCH);
        let mut anchored = 0;
        let mut closing = false;
        while !closing {
            tokio::select! {
                taken = self.events.recv_many(&mut batch, BATCH) => closing = taken == 0,
                () = self.audit.pending.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
                () = self.audit.closing.notified() => closing = true,
            }
            if !closing {
                tokio::select! {
                    () = tokio::time::sleep(LINGER) => {}
                    () = self.audit.closing.notified() => closing = true,
                }
            }
            let rest = async {
                loop {
                    while batch.len() < BATCH
                        && let Ok(event) = self.events.try_recv()
                    {
                        batch.push(event);
                    }
                    let lost = self.audit.lost.swap(0, Ordering::Relaxed);
                    if lost > 0 {
                        failed.add(lost, &[]);
                        batch.push(Event {
                            reason: format!("{lost} events were lost: the queue was full").into(),
                            ..blank("audit")
                        });
                    }
                    match table::append(&pool, &self.key, &batch).await {
                        Ok(appended) => {
                            batch.clear();
                            let (seq, hash) = appended.head;
                            if seq - anchored >= ANCHOR {
                                anchored = seq;
                                tracing::info!(seq, hash = hex::encode(hash), "audit chain");
                            }
                            if !appended.more && self.events.is_empty() {
                                break;
                            }
                        }
                        Err(error) => {
                            tracing::warn!(%error, waiting = batch.len(), "audit events cannot be written, trying on");
                            tokio::time::sleep(RETRY).await;
                        }
                    }
                }
            };
            let mut rest = pin!(rest);
            if !closing {
                tokio::select! {
                    () = &mut rest => continue,
                    // Also while the database is away.
                    () = self.audit.closing.notified() => closing = true,
                }
            }
            if timeout(LAST, rest).await.is_err() {
                tracing::error!("the last audit events were not written");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use database::{DatabaseConfig, Plans};

    use super::*;

    /// While the database is away events are kept and written later, but nobody who stops waits for it.
    #[tokio::test]
    async fn a_stop_ends_also_without_a_database() {
        // Takes connections and drops them: who is told of one knows that the writer is at work.
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pool = Pool::new(&DatabaseConfig {
            url: format!("postgres://nobody@{}/fhir", server.local_addr().unwrap()),
            password: None,
            ca: None,
            max_connections: 1,
            allow_unsafe_durability: false,
            application: "test",
            plans: Plans::ByValues,
        })
        .unwrap();
        let (audit, writer) = Audit::new(Key::None);
        let writer = tokio::spawn(writer.run(pool));
        audit.record(blank("request"));
        drop(server.accept().await.unwrap());
        audit.close();
        // Far beyond what it gives the last events, for a slow machine.
        timeout(LAST * 12, writer).await.expect("the writer ends").unwrap();
    }
}
