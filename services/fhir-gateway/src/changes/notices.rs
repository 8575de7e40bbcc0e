//! Change notices between replicas by core NATS: `fhir.changed.<type>`, not stored.
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::StreamExt;
use messaging::{connect::Nats, event::ResourceEvent, seal, subject};
use tokio::sync::{broadcast, watch};
use uuid::Uuid;

use super::{Changes, Signal};

/// Names the replica that committed, so that it passes over its own notices.
const REPLICA: &str = "dsf-replica";
/// Marks a notice that says only: notices of this replica may have been lost.
const GAP: &str = "dsf-gap";
/// Type in the subject of such a notice: it is about all.
const GAP_TYPE: &str = "Bundle";
/// How often the connection is looked at. Notices that passed while it was lost are gone.
const LOOK: Duration = Duration::from_millis(500);
/// Pause before subscribing again.
const RETRY: Duration = Duration::from_millis(500);

/// Publishes what is committed here and hears what is committed elsewhere, until the stop signal.
pub async fn exchange_notices(changes: Changes, nats: Nats, mut stop: watch::Receiver<bool>) {
    let replica = Uuid::new_v4().to_string();
    let publishing = publish(&changes, &nats, &replica);
    let hearing = hear(&changes, &nats, &replica);
    tokio::select! {
        () = publishing => {}
        () = hearing => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn publish(changes: &Changes, nats: &Nats, replica: &str) {
    let mut signals = changes.signals();
    let statistics = nats.client().statistics();
    let mut connects = statistics.connects.load(Ordering::Relaxed);
    let mut look = tokio::time::interval(LOOK);
    let mut gap = false;
    loop {
        let event = tokio::select! {
            signal = signals.recv() => match signal {
                Ok(Signal::Here(event)) => Some(event),
                Ok(_) => continue,
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "change notices to other replicas were left out");
                    gap = true;
                    None
                }
                Err(broadcast::error::RecvError::Closed) => return,
            },
            _ = look.tick() => None,
        };
        // What was on its way when the connection broke may not have arrived.
        let now = statistics.connects.load(Ordering::Relaxed);
        gap |= std::mem::replace(&mut connects, now) != now;
        if gap {
            let mut headers = async_nats::HeaderMap::new();
            headers.insert(REPLICA, replica);
            headers.insert(GAP, "true");
            let subject = subject::changed(GAP_TYPE);
            gap = nats.client().publish_with_headers(subject, headers, Vec::new().into()).await.is_err();
        }
        let Some(event) = event else { continue };
        let Ok(payload) = seal::seal(&*event) else { continue };
        let mut headers = async_nats::HeaderMap::new();
        headers.insert(REPLICA, replica);
        let subject = subject::changed(&event.resource_type);
        if let Err(error) = nats.client().publish_with_headers(subject, headers, payload.into()).await {
            tracing::debug!(%error, "a change notice was not sent");
            gap = true;
        }
    }
}

async fn hear(changes: &Changes, nats: &Nats, replica: &str) {
    let statistics = nats.client().statistics();
    let mut connects = statistics.connects.load(Ordering::Relaxed);
    loop {
        let mut notices = match nats.client().subscribe(subject::CHANGES).await {
            Ok(notices) => notices,
            Err(error) => {
                tracing::debug!(%error, "change notices are not heard");
                tokio::time::sleep(RETRY).await;
                continue;
            }
        };
        // What was committed elsewhere before we listened was not heard.
        changes.tell(Signal::Gap);
        changes.inner.hearing.send_replace(true);
        let mut look = tokio::time::interval(LOOK);
        loop {
            let notice = tokio::select! {
                notice = notices.next() => notice,
                _ = look.tick() => {
                    let now = statistics.connects.load(Ordering::Relaxed);
                    if now != connects {
                        connects = now;
                        changes.tell(Signal::Gap);
                    }
                    continue;
                }
            };
            let Some(notice) = notice else { break };
            let own = notice.headers.as_ref().and_then(|headers| headers.get(REPLICA));
            if own.is_some_and(|own| own.as_str() == replica) {
                continue;
            }
            if notice.headers.as_ref().is_some_and(|headers| headers.get(GAP).is_some()) {
                changes.tell(Signal::Gap);
                continue;
            }
            match seal::open::<ResourceEvent>(&notice.payload) {
                Ok(event) => changes.tell(Signal::Elsewhere(Arc::new(event))),
                Err(error) => tracing::warn!(%error, "a change notice cannot be read"),
            }
        }
    }
}
