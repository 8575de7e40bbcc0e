//! What happens after a commit: caches are renewed, the relay wakes, the other replicas and WebSockets
//! hear of it.

mod notices;

use std::{sync::Arc, time::Duration};

use messaging::event::ResourceEvent;
use tokio::{
    sync::{Notify, broadcast, watch},
    time::timeout,
};

pub use notices::exchange_notices;

use crate::{identity::directory::DirectoryCache, validation::Definitions};

/// Changes that may wait for the WebSockets; beyond it the sockets are dropped, so that their clients
/// catch up by searching.
const CAPACITY: usize = 8192;

/// What the consumers of changes learn.
#[derive(Debug, Clone)]
pub enum Signal {
    /// A resource version was committed here.
    Here(Arc<ResourceEvent>),
    /// A resource version was committed at another replica.
    Elsewhere(Arc<ResourceEvent>),
    /// Changes of other replicas may have been missed.
    Gap,
}

/// To be told of every committed write. Cheap to clone.
#[derive(Clone)]
pub struct Changes {
    inner: Arc<Inner>,
}

struct Inner {
    directory: Arc<DirectoryCache>,
    definitions: Arc<Definitions>,
    signals: broadcast::Sender<Signal>,
    outbox: Notify,
    /// Notices of other replicas are heard.
    hearing: watch::Sender<bool>,
}

impl Changes {
    /// Nobody listens yet.
    pub fn new(directory: Arc<DirectoryCache>, definitions: Arc<Definitions>) -> Self {
        let (signals, _) = broadcast::channel(CAPACITY);
        let (outbox, hearing) = (Notify::new(), watch::Sender::new(false));
        Self { inner: Arc::new(Inner { directory, definitions, signals, outbox, hearing }) }
    }

    /// Resources were written and the transaction is committed: one event per resource version, in the
    /// order of writing. Never blocks and never fails; losing the call delays delivery, never loses it.
    pub fn committed(&self, events: Vec<ResourceEvent>) {
        for event in events {
            // The next request at this replica sees the new allow list at once, others after NOTIFY.
            self.inner.directory.freshness().invalidate(&event.resource_type);
            self.inner.definitions.freshness().invalidate(&event.resource_type);
            if messaging_wants(&event) {
                self.outbox_has_rows();
            }
            // Nobody listens: nothing to do.
            let _ = self.inner.signals.send(Signal::Here(Arc::new(event)));
        }
    }

    /// Wakes the relay.
    pub fn outbox_has_rows(&self) {
        self.inner.outbox.notify_one();
    }

    /// Returns when the outbox may have rows.
    pub async fn outbox_wake(&self) {
        self.inner.outbox.notified().await;
    }

    /// All signals from now on.
    pub fn signals(&self) -> broadcast::Receiver<Signal> {
        self.inner.signals.subscribe()
    }

    /// Waits until notices of other replicas are heard, at most `limit`: who subscribes earlier is dropped
    /// once they are.
    pub async fn heard(&self, limit: Duration) {
        let _ = timeout(limit, self.inner.hearing.subscribe().wait_for(|hearing| *hearing)).await;
    }

    fn tell(&self, signal: Signal) {
        let _ = self.inner.signals.send(signal);
    }
}

/// Whether an event also has an outbox row. Only a wake-up: a wrong answer costs or saves one look.
fn messaging_wants(event: &ResourceEvent) -> bool {
    event.resource_type == "Task" && event.status.as_deref() == Some("requested")
}
