//! A load client: kept-alive connections from a pool, or one connection per request with resumption.
use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Body,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, client::Resumption};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use serde_json::Value;
use stand::Identity;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Whether connections are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// One connection for many requests.
    KeepAlive,
    /// A connection per request; its TLS session is resumed.
    Resume,
    /// A connection per request with a full TLS handshake.
    Full,
}

impl Reuse {
    /// Text behind the name of a measurement.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::KeepAlive => ", kept alive",
            Self::Resume => ", one per request (resumed)",
            Self::Full => ", one per request (full handshake)",
        }
    }
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Location` header.
    pub location: Option<String>,
    /// Body.
    pub body: String,
}

/// Calls one endpoint.
pub struct Client {
    tls: TlsConnector,
    /// The same without resumption.
    full: TlsConnector,
    authority: String,
    base_path: String,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

impl Client {
    /// A client of the endpoint with a certificate.
    pub fn new(ca: &Path, identity: &Identity, base_url: &str) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca)?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_file(&identity.certificate)?],
                PrivateKeyDer::from_pem_file(&identity.key)?,
            )?;
        let mut full = config.clone();
        full.resumption = Resumption::disabled();
        let (authority, path) = base_url
            .strip_prefix("https://")
            .and_then(|rest| rest.split_once('/'))
            .context("base URL is not https://host:port/path")?;
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
            full: TlsConnector::from(Arc::new(full)),
            authority: authority.to_owned(),
            base_path: format!("/{path}"),
            idle: Mutex::new(Vec::new()),
        })
    }

    /// A TLS connection.
    pub async fn tls(&self, reuse: Reuse) -> Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(&self.authority).await?;
        tcp.set_nodelay(true)?;
        let connector = if reuse == Reuse::Full { &self.full } else { &self.tls };
        Ok(connector.connect(ServerName::try_from("localhost")?, tcp).await?)
    }

    /// A connection of its own, for bodies of any kind.
    pub async fn connect<B>(&self, reuse: Reuse) -> Result<SendRequest<B>>
    where
        B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
    {
        let (sender, connection) = handshake(TokioIo::new(self.tls(reuse).await?)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// The beginning of a request; `path` is below the base URL.
    pub fn request(&self, method: &str, path: &str) -> http::request::Builder {
        http::Request::builder()
            .method(method)
            .uri(format!("{}/{path}", self.base_path))
            .header("host", &self.authority)
    }

    /// Sends a request; `path` is below the base URL.
    pub async fn send(&self, reuse: Reuse, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let kept = match reuse {
            Reuse::KeepAlive => self.idle.lock().ok().and_then(|mut idle| idle.pop()),
            Reuse::Resume | Reuse::Full => None,
        };
        let mut sender = match kept {
            Some(sender) if sender.is_ready() => sender,
            _ => self.connect(reuse).await?,
        };
        let request = self
            .request(method, path)
            .header("accept", "application/fhir+json")
            .header("content-type", "application/fhir+json")
            .header(
                "prefer",
                if method == "POST" && path == "Task" { "return=minimal" } else { "return=representation" },
            )
            .body(Full::new(body.map(|body| Bytes::from(body.to_string())).unwrap_or_default()))?;
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let location =
            response.headers().get("location").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = String::from_utf8_lossy(&response.into_body().collect().await?.to_bytes()).into_owned();
        if reuse == Reuse::KeepAlive
            && let Ok(mut idle) = self.idle.lock()
        {
            idle.push(sender);
        }
        Ok(Answer { status, location, body })
    }
}
