//! From a committed change to the queues of the sessions that subscribed to it.
use std::sync::{Arc, OnceLock};

use fhir::{Format, Resource};
use messaging::event::ResourceEvent;
use tokio::sync::{OwnedSemaphorePermit, broadcast, watch};
use uuid::Uuid;

use super::{Payload, Sockets, Subscription};
use crate::{changes::Signal, data::Embedding};

/// A resource version that matched a Subscription.
pub(super) struct Delivery {
    pub(super) subscription: Arc<Subscription>,
    pub(super) version: Arc<Version>,
}

/// A version with its texts, made once for all who get it.
pub(super) struct Version {
    pub(super) id: Uuid,
    pub(super) number: u64,
    pub(super) resource: Resource,
    pub(super) read_tags: Vec<String>,
    json: String,
    xml: OnceLock<String>,
    /// Held until the last session has sent it.
    _memory: OwnedSemaphorePermit,
}

impl Delivery {
    /// Text of the frame.
    pub(super) fn text(&self) -> String {
        match self.subscription.payload {
            Payload::Ping => format!("ping {}", self.subscription.id),
            Payload::Json => self.version.json.clone(),
            Payload::Xml => {
                let write = || String::from_utf8(fhir::to_xml(&self.version.resource)).unwrap_or_default();
                self.version.xml.get_or_init(write).clone()
            }
        }
    }
}

/// Follows the changes until the stop signal.
pub async fn dispatch(
    sockets: Sockets,
    mut signals: broadcast::Receiver<Signal>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let signal = tokio::select! {
            signal = signals.recv() => signal,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match signal {
            Ok(Signal::Here(event) | Signal::Elsewhere(event)) => {
                if let Err(error) = deliver(&sockets, &event).await {
                    tracing::debug!(%error, "a change cannot be read");
                    sockets.drop_all("the database is not available");
                }
            }
            Ok(Signal::Gap) => sockets.drop_all("changes of other replicas may be missing"),
            Err(broadcast::error::RecvError::Lagged(_)) => sockets.drop_all("too many changes at once"),
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

async fn deliver(sockets: &Sockets, event: &ResourceEvent) -> Result<(), database::Error> {
    if event.deleted {
        return Ok(());
    }
    let bound = sockets.bound();
    if bound.is_empty() {
        return Ok(());
    }
    let site = &sockets.inner.site;
    let directory = site.directory.fresh(&site.store).await?;
    let wanted: Vec<&Arc<Subscription>> = directory
        .subscriptions
        .iter()
        .filter(|subscription| {
            subscription.resource_type == event.resource_type && bound.contains(&subscription.id)
        })
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let Ok(id) = event.id.parse::<Uuid>() else { return Ok(()) };
    let session = site.store.session().await?;
    let stored = session.read(&event.resource_type, id).await?;
    // A version that is not current any more has a change of its own coming.
    let Some(stored) = stored.filter(|stored| stored.version == event.version && stored.deleted.is_none())
    else {
        return Ok(());
    };
    let mut content = stored.content;
    Embedding::default().fill(&session, &mut content, stored.data).await?;
    drop(session);
    let (Ok(resource), Ok(json)) = (fhir::parse(&content, Format::Json), String::from_utf8(content)) else {
        tracing::error!(%id, "a stored resource cannot be read");
        return Ok(());
    };
    let wanted: Vec<_> = wanted.into_iter().filter(|subscription| subscription.matches(&resource)).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let Some(memory) = sockets.memory(json.len()).await else {
        sockets.drop_all("too much waits for subscribers");
        return Ok(());
    };
    let version = Arc::new(Version {
        id,
        number: stored.version,
        resource,
        read_tags: stored.read_tags,
        json,
        xml: OnceLock::new(),
        _memory: memory,
    });
    for subscription in wanted {
        let (subscription, version) = (Arc::clone(subscription), Arc::clone(&version));
        sockets.queue(&Arc::new(Delivery { subscription, version }));
    }
    Ok(())
}
