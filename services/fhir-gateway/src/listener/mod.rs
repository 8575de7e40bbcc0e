//! The listener: TCP, PROXY protocol, TLS, one driver per connection.
//!
//! Knows nothing of FHIR: it hands each request with its [`Peer`] to a warp filter.

mod activity;
pub mod proxy_protocol;
mod socket;
pub mod tickets;
pub mod tls;
mod unread;

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tower_service::Service;
use warp::{Filter, Reply};

use crate::identity::certificate::Certificate;
use activity::{Activity, Guarded};
pub use socket::bind;
use tls::Tls;

/// Read buffer of an HTTP/1 connection at most, in bytes; also bounds the header block.
const MAX_HEADER_BUFFER: usize = 64 * 1024;
/// Header list of an HTTP/2 request at most, in bytes.
const MAX_HEADER_LIST: u32 = 64 * 1024;
/// Concurrent requests on one HTTP/2 connection.
const MAX_STREAMS: u32 = 100;
/// How often a quiet HTTP/2 connection is probed.
const HTTP2_KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Pause after a failed accept (for example no file descriptors left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The header in which proxies of the public implementation pass certificates. Nobody may set it here.
const CLIENT_CERTIFICATE_HEADER: &str = "x-clientcert";

/// Time limits of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// PROXY header and TLS handshake together.
    pub handshake: Duration,
    /// Headers of a request.
    pub header: Duration,
    /// Connection without a running request.
    pub idle: Duration,
    /// Running requests after the stop signal.
    pub stop: Duration,
}

/// The other side of a connection; in the extensions of each of its requests.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Where it began: as the proxy says, else the TCP address.
    pub address: SocketAddr,
    /// The client certificate of the handshake.
    pub certificate: Option<Arc<Certificate>>,
}

/// What the listener is run with.
pub struct Listener {
    /// TLS material.
    pub tls: Arc<Tls>,
    /// Proxies whose connections begin with a PROXY header.
    pub proxies: Vec<IpAddr>,
    /// Connections at most.
    pub max_connections: usize,
    /// Time limits.
    pub timeouts: Timeouts,
}

impl Listener {
    /// Accepts connections until the stop signal, then lets running requests end. WebSockets leave the
    /// listener at their upgrade and must follow the signal themselves.
    pub async fn serve<F>(self, socket: TcpListener, filter: F, mut stop: watch::Receiver<bool>)
    where
        F: Filter<Error = Infallible> + Clone + Send + Sync + 'static,
        F::Extract: Reply,
        F::Future: Send,
    {
        let places = Arc::new(Semaphore::new(self.max_connections));
        let this = Arc::new(self);
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = accept(&socket, &places) => accepted,
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let Some((stream, address, place)) = accepted else { continue };
            let (this, filter, stop) = (Arc::clone(&this), filter.clone(), stop.clone());
            connections.spawn(async move {
                this.connection(stream, address, filter, stop).await;
                drop(place);
            });
        }
        drop(socket);
        let ended = timeout(this.timeouts.stop, async { while connections.join_next().await.is_some() {} });
        if ended.await.is_err() {
            tracing::warn!(left = connections.len(), "connections did not end in time and are dropped");
        }
    }

    async fn connection<F>(
        &self,
        mut stream: TcpStream,
        address: SocketAddr,
        filter: F,
        mut stop: watch::Receiver<bool>,
    ) where
        F: Filter<Error = Infallible> + Clone + Send + Sync + 'static,
        F::Extract: Reply,
        F::Future: Send,
    {
        // Without it small answers wait for the client's delayed acknowledgement.
        let _ = stream.set_nodelay(true);
        let (config, generation) = self.tls.config();
        let handshake = timeout(self.timeouts.handshake, async {
            let mut origin = address;
            if self.proxies.contains(&address.ip().to_canonical()) {
                origin =
                    proxy_protocol::read(&mut stream).await.map_err(|e| e.to_string())?.unwrap_or(address);
            }
            let stream = TlsAcceptor::from(config).accept(stream).await.map_err(|e| e.to_string())?;
            Ok::<_, String>((origin, stream))
        });
        let (origin, stream) = match handshake.await {
            Ok(Ok(accepted)) => accepted,
            Ok(Err(reason)) => return tracing::debug!(%reason, "connection refused"),
            Err(_) => return tracing::debug!("handshake took too long"),
        };
        let session = stream.get_ref().1;
        let chain = session.peer_certificates().map(|chain| {
            chain.iter().map(|certificate| certificate.clone().into_owned()).collect::<Vec<_>>()
        });
        let certificate = chain.and_then(|chain| Certificate::from_chain(chain, generation)).map(Arc::new);
        let http2 = session.alpn_protocol() == Some(b"h2");
        let peer = Peer { address: origin, certificate };

        let activity = Activity::start();
        let answered = Arc::clone(&activity);
        let filter = warp::service(filter);
        let service = hyper::service::service_fn(move |mut request: http::Request<Incoming>| {
            request.headers_mut().remove(CLIENT_CERTIFICATE_HEADER);
            request.extensions_mut().insert(peer.clone());
            let running = answered.enter();
            let (request, unread) = unread::lend(request);
            let answer = filter.clone().call(request);
            async move {
                let answer = answer.await;
                unread.drop_rest().await;
                // The guard rides in the body, so a streamed answer counts as activity to its last frame.
                answer.map(|answer| answer.map(|body| Guarded::new(body, running)))
            }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.timeouts.header)
            .max_buf_size(MAX_HEADER_BUFFER);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(HTTP2_KEEP_ALIVE)
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADER_LIST);
        // Fixed by ALPN: the automatic detection waits for the first bytes without a limit.
        let builder = if http2 { builder.http2_only() } else { builder.http1_only() };
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let mut stopping = false;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(reason) = ended {
                        tracing::debug!(%reason, "connection ended");
                    }
                    return;
                }
                _ = stop.wait_for(|stop| *stop), if !stopping => {
                    stopping = true;
                    // A connection that never sent a request would wait for one.
                    if activity.is_untouched() {
                        return;
                    }
                    connection.as_mut().graceful_shutdown();
                }
                () = activity.idle(self.timeouts.idle) => return,
            }
        }
    }
}

/// The next connection with its place; none where accepting failed.
async fn accept(
    socket: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    // The place comes first: connections beyond the limit wait in the kernel's queue, not in memory.
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match socket.accept().await {
        Ok((stream, address)) => Some((stream, address, place)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}
