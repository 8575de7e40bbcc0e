//! A small HTTPS client: one request per connection, as the Java client does.
use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use stand::{Authority, Identity};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::world::PATIENCE;

/// A client with or without a certificate; keeps its TLS sessions.
pub struct Client {
    config: Arc<ClientConfig>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Client {
    pub fn new(authority: &Authority, identity: Option<&Identity>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&authority.certificate).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match identity {
            Some(identity) => {
                let chain = CertificateDer::pem_file_iter(&identity.certificate)
                    .unwrap()
                    .collect::<Result<_, _>>()
                    .unwrap();
                builder
                    .with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(&identity.key).unwrap())
                    .unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        Self { config: Arc::new(config) }
    }

    /// Connects, sending `before` ahead of the handshake.
    pub async fn connect(&self, address: SocketAddr, before: &[u8]) -> Result<TlsStream<TcpStream>> {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(before).await?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let connect = connector.connect(ServerName::try_from("localhost")?, stream);
        timeout(PATIENCE, connect).await.context("handshake in time")?.context("handshake")
    }

    /// One request on a connection of its own; also how the handshake went.
    pub async fn send(
        &self,
        address: SocketAddr,
        request: Request<Full<Bytes>>,
    ) -> Result<(Answer, HandshakeKind)> {
        let stream = self.connect(address, b"").await?;
        exchange(stream, request).await
    }

    /// As [`Client::send`], with the method, path and header lines as text.
    pub async fn ask(
        &self,
        address: SocketAddr,
        line: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer> {
        Ok(self.send(address, request(line, headers, body)).await?.0)
    }

    /// A POST whose body comes in chunks, without `Content-Length`.
    pub async fn post_chunked(&self, address: SocketAddr, path: &str, chunks: Vec<Bytes>) -> Result<Answer> {
        let stream = self.connect(address, b"").await?;
        let chunks = futures_util::stream::iter(
            chunks.into_iter().map(|chunk| Ok::<_, std::io::Error>(Frame::data(chunk))),
        );
        let request = Request::builder()
            .method("POST")
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/fhir+json")
            .body(StreamBody::new(chunks))?;
        Ok(exchange(stream, request).await?.0)
    }
}

/// `GET /path` with headers.
pub fn request(line: &str, headers: &[(&str, &str)], body: &[u8]) -> Request<Full<Bytes>> {
    let (method, path) = line.split_once(' ').unwrap();
    let mut builder = Request::builder().method(method).uri(path).header("host", "localhost");
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Full::new(Bytes::copy_from_slice(body))).unwrap()
}

/// One HTTP/1.1 exchange.
pub async fn exchange<B>(stream: TlsStream<TcpStream>, request: Request<B>) -> Result<(Answer, HandshakeKind)>
where
    B: hyper::body::Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let kind = stream.get_ref().1.handshake_kind().context("handshake is over")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let answer = timeout(PATIENCE, async {
        let response = sender.send_request(request).await?;
        let (parts, body) = response.into_parts();
        let body = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
        Ok::<_, anyhow::Error>(Answer { status: parts.status, headers: parts.headers, body })
    })
    .await
    .context("answer in time")?;
    match answer {
        Ok(answer) => {
            driver.abort();
            Ok((answer, kind))
        }
        // The connection knows why, for example the alert of the other side.
        Err(error) => match timeout(PATIENCE, driver).await.context("end of the connection in time")?? {
            Err(cause) => Err(anyhow::Error::new(cause)),
            Ok(()) => Err(error),
        },
    }
}
