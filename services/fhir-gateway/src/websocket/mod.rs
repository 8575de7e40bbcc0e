//! Subscriptions by WebSocket (fhir-endpoint contract 7, java-client-exchange 4).
//!
//! At most once and without memory: who may have missed something is dropped *without a close frame*,
//! because clients then search for what they missed before they come back.

mod dispatch;
mod session;
mod subscription;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use access::Identity;
use http::{HeaderValue, StatusCode, header};
use telemetry::metrics;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    time::timeout,
};
use warp::{Reply, reply::Response, ws::Ws};

pub use dispatch::dispatch;
pub use subscription::{Payload, Subscription};

use crate::{
    exchange::RETRY_AFTER_SECONDS,
    listener::{Peer, tls::Tls},
    site::Site,
};
use dispatch::Delivery;
use session::Session;

/// Open sessions at most; further upgrades get 503.
pub const MAX_SESSIONS: usize = 1024;
/// Deliveries that may wait for one session; a slower client is dropped.
pub const MAX_QUEUE: usize = 1024;
/// Memory of all deliveries that wait, in KiB: resources differ in size, so their number alone bounds
/// nothing. Beyond it the slowest client is dropped.
const MAX_WAITING_KIB: usize = 64 * 1024;
/// How long a change may wait for memory once the slowest client was dropped.
const MEMORY_WAIT: Duration = Duration::from_secs(5);
/// Largest message a client may send, in bytes. `bind` with an id is all there is to say.
const MAX_MESSAGE: usize = 4096;

/// All sessions of this replica. Cheap to clone.
#[derive(Clone)]
pub struct Sockets {
    inner: Arc<Inner>,
}

struct Inner {
    site: Arc<Site>,
    tls: Arc<Tls>,
    stop: watch::Receiver<bool>,
    sessions: Mutex<HashMap<u64, Entry>>,
    next: AtomicU64,
    places: Arc<Semaphore>,
    /// KiB for deliveries that wait.
    memory: Arc<Semaphore>,
    delivered: metrics::Counter<u64>,
}

/// A session as the dispatcher sees it.
struct Entry {
    bound: BTreeSet<String>,
    queue: mpsc::Sender<Arc<Delivery>>,
    /// Dropped to drop the session, also while it waits for its client.
    _alive: watch::Sender<()>,
}

impl Sockets {
    /// No sessions yet; all end with the stop signal.
    pub fn new(site: Arc<Site>, tls: Arc<Tls>, stop: watch::Receiver<bool>) -> Self {
        let delivered = metrics::meter()
            .u64_counter("dsf.gateway.websocket.delivered")
            .with_description("Resources sent to subscribers")
            .build();
        Self {
            inner: Arc::new(Inner {
                site,
                tls,
                stop,
                sessions: Mutex::default(),
                next: AtomicU64::new(1),
                places: Arc::new(Semaphore::new(MAX_SESSIONS)),
                memory: Arc::new(Semaphore::new(MAX_WAITING_KIB)),
                delivered,
            }),
        }
    }

    /// Answers an upgrade request of a known caller.
    pub(crate) fn accept(&self, identity: Arc<Identity>, peer: Peer, upgrade: Ws) -> Response {
        let Ok(place) = Arc::clone(&self.inner.places).try_acquire_owned() else {
            let retry = HeaderValue::from_static(RETRY_AFTER_SECONDS);
            let mut response = StatusCode::SERVICE_UNAVAILABLE.into_response();
            response.headers_mut().insert(header::RETRY_AFTER, retry);
            return response;
        };
        let sockets = self.clone();
        upgrade
            .max_message_size(MAX_MESSAGE)
            .max_frame_size(MAX_MESSAGE)
            .on_upgrade(move |socket| async move {
                Session::new(sockets, identity, peer).run(socket).await;
                drop(place);
            })
            .into_response()
    }

    /// Waits until all sessions have ended after the stop signal.
    pub async fn ended(&self, limit: Duration) {
        let all = u32::try_from(MAX_SESSIONS).unwrap_or(u32::MAX);
        let _ = timeout(limit, self.inner.places.acquire_many(all)).await;
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Entry>> {
        self.inner.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a session known; it gets deliveries once it has bound something.
    fn enter(&self) -> (u64, mpsc::Receiver<Arc<Delivery>>, watch::Receiver<()>) {
        let (queue, deliveries) = mpsc::channel(MAX_QUEUE);
        let (alive, dropped) = watch::channel(());
        let number = self.inner.next.fetch_add(1, Ordering::Relaxed);
        self.sessions().insert(number, Entry { bound: BTreeSet::new(), queue, _alive: alive });
        (number, deliveries, dropped)
    }

    fn leave(&self, session: u64) {
        self.sessions().remove(&session);
    }

    /// Binds a Subscription; how many the session has then, none where the session is gone.
    fn bind(&self, session: u64, subscription: &str) -> Option<usize> {
        let mut sessions = self.sessions();
        let entry = sessions.get_mut(&session)?;
        entry.bound.insert(subscription.to_owned());
        Some(entry.bound.len())
    }

    /// Drops all sessions: they may have missed something.
    fn drop_all(&self, reason: &'static str) {
        let mut sessions = self.sessions();
        if !sessions.is_empty() {
            tracing::info!(
                sessions = sessions.len(),
                reason,
                "subscribers are dropped so that they catch up"
            );
            sessions.clear();
        }
    }

    /// Memory for a change of this many bytes until all have it; none where none comes free in time.
    async fn memory(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes.div_ceil(1024).clamp(1, MAX_WAITING_KIB)).ok()?;
        if let Ok(memory) = Arc::clone(&self.inner.memory).try_acquire_many_owned(kib) {
            return Some(memory);
        }
        self.drop_slowest();
        timeout(MEMORY_WAIT, Arc::clone(&self.inner.memory).acquire_many_owned(kib)).await.ok()?.ok()
    }

    /// Drops the session with the most deliveries that wait: what it holds is free again.
    fn drop_slowest(&self) {
        let mut sessions = self.sessions();
        let slowest =
            sessions.iter().min_by_key(|(_, entry)| entry.queue.capacity()).map(|(number, _)| *number);
        if slowest.and_then(|number| sessions.remove(&number)).is_some() {
            tracing::warn!("too much waits for subscribers: the slowest is dropped");
        }
    }

    /// Ids of all Subscriptions that somebody has bound.
    fn bound(&self) -> BTreeSet<String> {
        self.sessions().values().flat_map(|entry| entry.bound.iter().cloned()).collect()
    }

    /// Queues a delivery for everyone who has bound its Subscription.
    fn queue(&self, delivery: &Arc<Delivery>) {
        self.sessions().retain(|_, entry| {
            if !entry.bound.contains(&delivery.subscription.id) {
                return true;
            }
            match entry.queue.try_send(Arc::clone(delivery)) {
                Ok(()) => true,
                Err(_) => {
                    tracing::warn!("a subscriber is too slow and is dropped");
                    false
                }
            }
        });
    }
}
