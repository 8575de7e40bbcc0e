//! A hospital system as it can misbehave: answers, half answers, silence, on plain or TLS sockets.
use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use rustls::{ServerConfig, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::Identity;

/// What a request is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// A frame of MLLP; the request is its payload.
    Mllp,
    /// HTTP/1.1 with a length; the request is head and body.
    Http,
}

/// What the peer does after a request.
#[derive(Debug, Clone)]
pub enum Act {
    /// Sends these bytes and stays.
    Send(Vec<u8>),
    /// Sends these bytes and closes.
    SendAndClose(Vec<u8>),
    /// Sends these bytes one by one with a pause between.
    Drip(Vec<u8>, Duration),
    /// Keeps the connection and says nothing.
    Silent,
}

/// A running peer; ends when dropped.
#[derive(Debug)]
pub struct Peer {
    /// Where it listens.
    pub address: SocketAddr,
    requests: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Peer {
    /// Starts a peer. `act` gets the request and its number, from 0.
    pub async fn start(
        protocol: Protocol,
        tls: Option<ServerConfig>,
        act: impl Fn(&[u8], usize) -> Act + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (requests, connections) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counter, opened, act) = (Arc::clone(&requests), Arc::clone(&connections), Arc::new(act));
        let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let task = tokio::spawn(async move {
            let mut talks = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                opened.fetch_add(1, Ordering::SeqCst);
                let (tls, counter, act) = (tls.clone(), Arc::clone(&counter), Arc::clone(&act));
                talks.spawn(async move {
                    match tls {
                        None => talk(stream, protocol, &counter, &*act).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                talk(stream, protocol, &counter, &*act).await;
                            }
                        }
                    }
                });
            }
        });
        Ok(Self { address, requests, connections, task })
    }

    /// Requests so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// TLS of a peer; with `clients` only for clients that have a certificate of these roots.
///
/// # Errors
/// Files that cannot be used.
pub fn tls(identity: &Identity, clients: Option<&Path>) -> Result<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = CertificateDer::pem_file_iter(&identity.certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&identity.key)?;
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let mut store = rustls::RootCertStore::empty();
            for root in CertificateDer::pem_file_iter(roots)? {
                store.add(root?)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider).build()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    builder.with_single_cert(chain, key).context("certificate of the peer")
}

/// An HTTP answer as bytes.
pub fn http(status: u16, content_type: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} Status\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    protocol: Protocol,
    counter: &AtomicUsize,
    act: &(impl Fn(&[u8], usize) -> Act + ?Sized),
) {
    let mut buffer = Vec::new();
    loop {
        let request = loop {
            if let Some((request, used)) = complete(protocol, &buffer) {
                buffer.drain(..used);
                break request;
            }
            let mut piece = [0; 8192];
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => return,
                Ok(count) => buffer.extend_from_slice(&piece[..count]),
            }
        };
        let number = counter.fetch_add(1, Ordering::SeqCst);
        let (bytes, closes) = match act(&request, number) {
            Act::Send(bytes) => (bytes, false),
            Act::SendAndClose(bytes) => (bytes, true),
            Act::Drip(bytes, pause) => {
                for byte in bytes {
                    if stream.write_all(&[byte]).await.is_err() || stream.flush().await.is_err() {
                        return;
                    }
                    tokio::time::sleep(pause).await;
                }
                continue;
            }
            Act::Silent => std::future::pending().await,
        };
        if stream.write_all(&bytes).await.is_err() || stream.flush().await.is_err() {
            return;
        }
        if closes {
            let _ = stream.shutdown().await;
            return;
        }
    }
}

/// A whole request at the start of the bytes, and its length there.
fn complete(protocol: Protocol, bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    match protocol {
        Protocol::Mllp => {
            let end = bytes.windows(2).position(|pair| pair == [0x1c, 0x0d])?;
            Some((bytes[1..end].to_vec(), end + 2))
        }
        Protocol::Http => {
            let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
            let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
            let length =
                text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            let end = head + length.unwrap_or(0);
            (bytes.len() >= end).then(|| (bytes[..end].to_vec(), end))
        }
    }
}
