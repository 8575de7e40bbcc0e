//! One WebSocket: binds, pings, deliveries, and the check of rights before each of them.
use std::{collections::VecDeque, sync::Arc, time::Duration};

use access::{Identity, Interaction, scope};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use uuid::Uuid;
use warp::ws::{Message, WebSocket};

use super::{Sockets, dispatch::Delivery};
use crate::{
    identity::{self, Refusal},
    listener::Peer,
};

/// How often the client is pinged.
const PING_INTERVAL: Duration = Duration::from_secs(28);
/// Random bytes in a ping.
const PING_LENGTH: usize = 32;
/// Pings without any sign of life after which the client counts as gone.
const MAX_UNANSWERED: u32 = 3;
/// Longest wait for a client to take a frame.
const SEND_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest exchange of close frames.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Subscriptions one session may bind.
const MAX_BOUND: usize = 64;
/// Versions that are remembered so as not to be sent twice.
const RECENT: usize = 256;
/// Longest id that is repeated in a close reason, in bytes: a UUID.
const MAX_ID: usize = 36;

/// Close codes (RFC 6455, section 7.4.1).
const POLICY: u16 = 1008;
const UNSUPPORTED: u16 = 1003;

/// Returns at the stop signal.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// How a session ends.
enum End {
    /// The TCP connection is dropped without a close frame: the client catches up and comes back.
    Drop,
    /// With a close frame.
    Close(u16, String),
    /// The client sent its close frame.
    Closed,
}

pub(super) struct Session {
    sockets: Sockets,
    identity: Arc<Identity>,
    peer: Peer,
    recent: VecDeque<(String, Uuid, u64)>,
}

impl Session {
    pub(super) fn new(sockets: Sockets, identity: Arc<Identity>, peer: Peer) -> Self {
        Self { sockets, identity, peer, recent: VecDeque::new() }
    }

    pub(super) async fn run(mut self, mut socket: WebSocket) {
        let (number, deliveries, dropped) = self.sockets.enter();
        let end = self.follow(number, &mut socket, deliveries, dropped).await;
        self.sockets.leave(number);
        match end {
            End::Drop => return,
            End::Close(code, reason) => {
                let _ = timeout(CLOSE_TIMEOUT, socket.send(Message::close_with(code, reason))).await;
            }
            End::Closed => {}
        }
        // Until both close frames have passed.
        let _ = timeout(CLOSE_TIMEOUT, async { while let Some(Ok(_)) = socket.next().await {} }).await;
    }

    async fn follow(
        &mut self,
        number: u64,
        socket: &mut WebSocket,
        mut deliveries: tokio::sync::mpsc::Receiver<Arc<Delivery>>,
        mut dropped: watch::Receiver<()>,
    ) -> End {
        if !self.may_subscribe() {
            self.decided(None, Err("the caller's roles do not include subscriptions"));
            return End::Close(POLICY, "Forbidden".to_owned());
        }
        let mut stop = self.sockets.inner.stop.clone();
        let mut allow_list = self.sockets.inner.site.directory.generations();
        let mut ping = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut unanswered = 0;
        loop {
            let outgoing = tokio::select! {
                () = stopped(&mut stop) => return End::Drop,
                incoming = socket.next() => match incoming {
                    Some(Ok(message)) if message.is_close() => return End::Closed,
                    Some(Ok(message)) => {
                        unanswered = 0;
                        match self.incoming(number, &message).await {
                            Ok(Some(answer)) => answer,
                            Ok(None) => continue,
                            Err(end) => return end,
                        }
                    }
                    Some(Err(_)) | None => return End::Drop,
                },
                // The queue is closed by whoever decides that this session may have missed something.
                delivery = deliveries.recv() => match delivery {
                    Some(delivery) => match self.delivery(&delivery).await {
                        Ok(Some(frame)) => frame,
                        Ok(None) => continue,
                        Err(end) => return end,
                    },
                    None => return End::Drop,
                },
                changed = allow_list.changed() => {
                    if changed.is_err() {
                        return End::Drop;
                    }
                    if let Err(end) = self.renew_identity().await {
                        return end;
                    }
                    continue;
                }
                _ = ping.tick() => {
                    if unanswered >= MAX_UNANSWERED {
                        return End::Drop;
                    }
                    unanswered += 1;
                    if let Err(end) = self.renew_identity().await {
                        return end;
                    }
                    Message::ping(rand::random::<[u8; PING_LENGTH]>().to_vec())
                }
            };
            let sent = tokio::select! {
                sent = timeout(SEND_TIMEOUT, socket.send(outgoing)) => matches!(sent, Ok(Ok(()))),
                // Nothing is ever said on it: it ends with the session's entry.
                _ = dropped.changed() => false,
                () = stopped(&mut stop) => false,
            };
            if !sent {
                return End::Drop;
            }
        }
    }

    fn decided(&self, id: Option<&str>, decision: Result<(), &str>) {
        let audit = &self.sockets.inner.site.audit;
        let id = id.map(str::to_owned);
        audit.decided(&self.identity, Interaction::WebSocket, Some("Subscription"), id, decision);
    }

    fn may_subscribe(&self) -> bool {
        self.identity.may(Interaction::WebSocket, "Subscription")
    }

    /// Certificate and allow list may have changed since the upgrade.
    async fn renew_identity(&mut self) -> Result<(), End> {
        let inner = &self.sockets.inner;
        match identity::decide(&inner.site, &inner.tls, &self.peer).await {
            Ok(identity) => self.identity = identity,
            Err(Refusal::Unknown) => return Err(End::Close(POLICY, "Credentials expired".to_owned())),
            Err(Refusal::Unavailable) => return Err(End::Drop),
        }
        if self.may_subscribe() { Ok(()) } else { Err(End::Close(POLICY, "Forbidden".to_owned())) }
    }

    /// What a client says; everything but `bind` is passed over.
    async fn incoming(&mut self, number: u64, message: &Message) -> Result<Option<Message>, End> {
        let Some(id) = message.to_str().ok().and_then(|text| text.strip_prefix("bind ")).map(str::trim)
        else {
            return Ok(None);
        };
        self.renew_identity().await?;
        let site = &self.sockets.inner.site;
        let mut directory = site.directory();
        if !directory.has_subscription(id) {
            // It may be so new that this replica was not told yet.
            site.directory.freshness().invalidate("Subscription");
            directory = site.directory.fresh(&site.store).await.map_err(|_| End::Drop)?;
        }
        if !directory.has_subscription(id) {
            let shown: String = id.chars().filter(char::is_ascii_graphic).take(MAX_ID).collect();
            return Err(End::Close(UNSUPPORTED, format!("Subscription {shown} not found or not active")));
        }
        match self.sockets.bind(number, id) {
            Some(bound) if bound <= MAX_BOUND => {
                self.decided(Some(id), Ok(()));
                Ok(Some(Message::text(format!("bound {id}"))))
            }
            Some(_) => Err(End::Close(POLICY, "Too many Subscriptions".to_owned())),
            None => Err(End::Drop),
        }
    }

    /// The frame of a delivery, if this client may read the resource and has not had this version.
    async fn delivery(&mut self, delivery: &Delivery) -> Result<Option<Message>, End> {
        self.renew_identity().await?;
        let version = &delivery.version;
        let key = (delivery.subscription.id.clone(), version.id, version.number);
        if self.recent.contains(&key) {
            return Ok(None);
        }
        let directory = self.sockets.inner.site.directory();
        let readable = scope::may_read(
            &self.identity,
            version.resource.resource_type(),
            &version.read_tags,
            &directory.facts,
        )
        .is_allowed();
        if !readable {
            return Ok(None);
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(key);
        self.sockets.inner.delivered.add(1, &[]);
        Ok(Some(Message::text(delivery.text())))
    }
}
