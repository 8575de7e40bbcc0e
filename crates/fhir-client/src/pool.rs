//! Connections by host: kept alive, bounded, replaced when the server closed them.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::sync::Semaphore;

use crate::{
    Answer, Bounds, TransportError, TransportKind,
    connect::{Connector, Sender},
    error::kind_of,
};

/// How long a kept connection may need to become ready for the next request.
const READY: Duration = Duration::from_millis(20);
/// Port of `https` where the URL names none.
const HTTPS: u16 = 443;

/// The connections of a client.
pub(crate) struct Pool {
    connector: Connector,
    per_host: usize,
    idle: Duration,
    hosts: Mutex<HashMap<(String, u16), Arc<Host>>>,
}

struct Host {
    name: String,
    port: u16,
    places: Semaphore,
    kept: Mutex<Vec<(Sender, Instant)>>,
}

impl Pool {
    pub(crate) fn new(connector: Connector, per_host: usize, idle: Duration) -> Self {
        Self { connector, per_host: per_host.max(1), idle, hosts: Mutex::default() }
    }

    fn host(&self, uri: &Uri) -> Option<Arc<Host>> {
        // Plain HTTP would send a Task without anybody's identity.
        if uri.scheme_str() != Some("https") {
            return None;
        }
        let (name, port) = (uri.host()?.to_ascii_lowercase(), uri.port_u16().unwrap_or(HTTPS));
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts.entry((name.clone(), port)).or_insert_with(|| {
            Arc::new(Host { name, port, places: Semaphore::new(self.per_host), kept: Mutex::default() })
        });
        Some(Arc::clone(host))
    }

    /// One request and its whole answer. A `repeatable` request is sent a second time, on a fresh
    /// connection, when a kept one turns out to be closed.
    pub(crate) async fn exchange(
        &self,
        uri: &Uri,
        request: Request<Full<Bytes>>,
        repeatable: bool,
        bounds: Bounds,
    ) -> Result<Answer, TransportError> {
        let host = self.host(uri).ok_or_else(|| TransportError::before(TransportKind::Other))?;
        let mut sent = false;
        let exchange = self.exchange_with(&host, request, repeatable, bounds.max_answer, &mut sent);
        match tokio::time::timeout(bounds.timeout, exchange).await {
            Ok(result) => result,
            Err(_) => Err(TransportError { kind: TransportKind::Timeout, sent }),
        }
    }

    async fn exchange_with(
        &self,
        host: &Host,
        request: Request<Full<Bytes>>,
        repeatable: bool,
        max_answer: usize,
        sent: &mut bool,
    ) -> Result<Answer, TransportError> {
        let _place = host.places.acquire().await.map_err(|_| TransportError::before(TransportKind::Other))?;
        let mut fresh_request = None;
        let mut first = Some(request);
        if let Some(mut sender) = host.kept(self.idle).await {
            let request = first.take().unwrap_or_default();
            fresh_request = repeatable.then(|| request.clone());
            *sent = true;
            match sender.try_send_request(request).await {
                Ok(response) => return self.receive(host, sender, response, max_answer).await,
                Err(mut error) => match error.take_message() {
                    // The connection was closed before anything was written.
                    Some(unsent) => fresh_request = Some(unsent),
                    None if fresh_request.is_some() && kind_of(error.error()) == TransportKind::Closed => {}
                    None => return Err(TransportError::after(kind_of(error.error()))),
                },
            }
        }
        let Some(request) = first.or(fresh_request) else {
            return Err(TransportError::after(TransportKind::Closed));
        };
        let mut sender =
            self.connector.open(&host.name, host.port).await.map_err(|error| TransportError {
                // A first try on a kept connection may have arrived.
                sent: *sent,
                ..error
            })?;
        *sent = true;
        let response =
            sender.send_request(request).await.map_err(|error| TransportError::after(kind_of(&error)))?;
        self.receive(host, sender, response, max_answer).await
    }

    async fn receive(
        &self,
        host: &Host,
        sender: Sender,
        response: Response<Incoming>,
        max_answer: usize,
    ) -> Result<Answer, TransportError> {
        let (head, body) = response.into_parts();
        let body = Limited::new(body, max_answer).collect().await.map_err(|error| {
            TransportError::after(if error.is::<LengthLimitError>() {
                TransportKind::TooLarge
            } else {
                kind_of(&*error)
            })
        })?;
        if !sender.is_closed() {
            let mut kept = host.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push((sender, Instant::now()));
        }
        Ok(Answer::new(head.status, &head.headers, body.to_bytes()))
    }
}

impl Host {
    /// The connection used last, if one is still good. Older ones are closed on the way.
    async fn kept(&self, idle: Duration) -> Option<Sender> {
        loop {
            let (mut sender, since) = {
                let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.retain(|(sender, since)| !sender.is_closed() && since.elapsed() < idle);
                kept.pop()?
            };
            let ready = tokio::time::timeout(READY, sender.ready()).await;
            if matches!(ready, Ok(Ok(()))) && since.elapsed() < idle {
                return Some(sender);
            }
        }
    }
}
