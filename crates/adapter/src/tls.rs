//! TLS to hospital systems, and streams that are plain where that was asked for.
use std::{
    io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use fhir_client::{TransportKind, kind_of};
use hyper_util::client::legacy::connect::{Connected, Connection};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Files and names of a connection.
#[derive(Debug, Clone, Default)]
pub struct TlsSettings {
    /// PEM file with the roots of the server. Needed for TLS.
    pub roots: Option<PathBuf>,
    /// PEM files with our certificate and key, for mutual TLS.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Name in the server's certificate, where it is not the one of the address.
    pub server_name: Option<String>,
    /// Connect without TLS.
    pub allow_plaintext: bool,
}

/// A file or name cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SetupError(pub String);

/// Opens connections.
#[derive(Clone)]
pub struct Connector {
    tls: Option<TlsConnector>,
    server_name: Option<ServerName<'static>>,
    timeout: Duration,
}

impl Connector {
    /// Reads the files. Without roots and without `allow_plaintext` there is no connection.
    ///
    /// # Errors
    /// See [`SetupError`].
    pub fn new(settings: &TlsSettings, timeout: Duration) -> Result<Self, SetupError> {
        let server_name = settings.server_name.clone().map(ServerName::try_from).transpose();
        let server_name =
            server_name.map_err(|_| SetupError("server name is not a DNS name or address".into()))?;
        let Some(roots) = &settings.roots else {
            if settings.allow_plaintext {
                return Ok(Self { tls: None, server_name, timeout });
            }
            return Err(SetupError(
                "no roots for TLS: set CA, or ALLOW_PLAINTEXT=true if the network itself is protected".into(),
            ));
        };
        let mut store = RootCertStore::empty();
        for root in certificates(roots)? {
            store.add(root).map_err(|error| SetupError(format!("{}: {error}", roots.display())))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let unusable = |error: rustls::Error| SetupError(format!("TLS cannot be set up: {error}"));
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(store);
        let config = match &settings.identity {
            Some((certificate, key)) => {
                let key = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| SetupError(format!("{}: {error}", key.display())))?;
                builder.with_client_auth_cert(certificates(certificate)?, key).map_err(unusable)?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(Self { tls: Some(TlsConnector::from(Arc::new(config))), server_name, timeout })
    }

    /// True where connections are encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// The kind of failure.
    pub async fn open(&self, host: &str, port: u16) -> Result<Stream, TransportKind> {
        tokio::time::timeout(self.timeout, self.open_now(host, port))
            .await
            .unwrap_or(Err(TransportKind::Timeout))
    }

    async fn open_now(&self, host: &str, port: u16) -> Result<Stream, TransportKind> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let addresses = tokio::net::lookup_host((host, port)).await.map_err(|_| TransportKind::Dns)?;
        let addresses: Vec<_> = addresses.collect();
        let stream = TcpStream::connect(&addresses[..]).await.map_err(|error| kind_of(&error))?;
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else { return Ok(Stream::Plain(stream)) };
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned()).map_err(|_| TransportKind::Dns)?,
        };
        let stream = tls.connect(name, stream).await.map_err(|error| kind_of(&error))?;
        Ok(Stream::Tls(Box::new(stream)))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    let failed = |reason: String| SetupError(format!("{}: {reason}", path.display()));
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failed(error.to_string()))?;
    if certificates.is_empty() { Err(failed("no certificate in it".to_owned())) } else { Ok(certificates) }
}

/// A connection.
pub enum Stream {
    /// Without TLS.
    Plain(TcpStream),
    /// With TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
