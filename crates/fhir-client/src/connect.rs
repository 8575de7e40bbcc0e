//! Name look-up, TCP, TLS and the HTTP/1.1 handshake of a new connection.
use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig as TlsConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

use crate::{ClientConfig, SetupError, TransportError, TransportKind, error::kind_of};

/// Sends requests on one connection.
pub(crate) type Sender = SendRequest<Full<Bytes>>;

/// Opens connections with the client's identity.
pub(crate) struct Connector {
    tls: TlsConnector,
    timeout: Duration,
}

impl Connector {
    pub(crate) fn new(config: &ClientConfig) -> Result<Self, SetupError> {
        let identity = |error: rustls::Error| SetupError::Identity { reason: error.to_string() };
        let mut roots = RootCertStore::empty();
        for root in certificates("root certificates", &config.roots)? {
            roots.add(root).map_err(identity)?;
        }
        let chain = certificates("client certificate", &config.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&config.key).map_err(|error| SetupError::File {
            what: "private key",
            path: config.key.clone(),
            reason: error.to_string(),
        })?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        // Sessions are resumed by default, from an in-memory store of tickets per server.
        let mut tls = TlsConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(identity)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(identity)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: TlsConnector::from(Arc::new(tls)), timeout: config.connect_timeout })
    }

    /// Opens a connection. Nothing of a request is sent here.
    pub(crate) async fn open(&self, host: &str, port: u16) -> Result<Sender, TransportError> {
        tokio::time::timeout(self.timeout, self.open_now(host, port))
            .await
            .unwrap_or(Err(TransportKind::Timeout))
            .map_err(TransportError::before)
    }

    async fn open_now(&self, host: &str, port: u16) -> Result<Sender, TransportKind> {
        // An IPv6 address stands in brackets in a URL and without them everywhere else.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TransportKind::Dns)?;
        let addresses: Vec<_> = lookup_host((host, port)).await.map_err(|_| TransportKind::Dns)?.collect();
        let stream = TcpStream::connect(&addresses[..]).await.map_err(|error| kind_of(&error))?;
        // Small requests and answers in turn: waiting to fill packets only costs time.
        let _ = stream.set_nodelay(true);
        let stream = self.tls.connect(name, stream).await.map_err(|error| kind_of(&error))?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| kind_of(&error))?;
        // Ends when the sender is dropped or the server closes; errors reach the sender.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(sender)
    }
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    let failed = |reason: String| SetupError::File { what, path: path.to_owned(), reason };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failed(error.to_string()))?;
    if certificates.is_empty() { Err(failed("no certificate in it".to_owned())) } else { Ok(certificates) }
}
