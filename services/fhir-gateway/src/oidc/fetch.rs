//! Requests to the provider: HTTPS only, one per connection, bounded.
use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use super::SettingsError;

/// Largest answer of a provider, in bytes.
const MAX_ANSWER: usize = 256 * 1024;

/// A client of the provider.
pub(super) struct Fetch {
    tls: TlsConnector,
    connect_timeout: Duration,
    read_timeout: Duration,
}

impl Fetch {
    pub(super) fn new(ca: &Path, connect: Duration, read: Duration) -> Result<Self, SettingsError> {
        let unusable = |reason: String| SettingsError(format!("oidc_ca {} ({reason})", ca.display()));
        let mut roots = RootCertStore::empty();
        let certificates = CertificateDer::pem_file_iter(ca)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unusable(error.to_string()))?;
        for certificate in certificates {
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
        let config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| unusable(error.to_string()))?
                .with_root_certificates(roots)
                .with_no_client_auth();
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), connect_timeout: connect, read_timeout: read })
    }

    /// The body of a 200; every other outcome is a reason for the log.
    pub(super) async fn get(&self, url: &str) -> Result<Bytes, String> {
        self.send(url, Request::get(url).header(header::ACCEPT, "application/json"), Bytes::new()).await
    }

    /// As [`Fetch::get`], for a form.
    pub(super) async fn post(
        &self,
        url: &str,
        authorization: Option<&str>,
        form: String,
    ) -> Result<Bytes, String> {
        let mut request = Request::post(url)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        self.send(url, request, form.into()).await
    }

    async fn send(&self, url: &str, request: http::request::Builder, body: Bytes) -> Result<Bytes, String> {
        let uri: Uri = url.parse().map_err(|_| format!("{url} is no URL"))?;
        let host = uri.host().filter(|_| uri.scheme_str() == Some("https"));
        let host = host.ok_or_else(|| format!("{url} does not begin with https://"))?.to_owned();
        let port = uri.port_u16().unwrap_or(443);
        let authority = uri.authority().map(|authority| authority.to_string()).unwrap_or_default();
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let request = request
            .uri(path)
            .header(header::HOST, authority)
            .body(Full::new(body))
            .map_err(|error| error.to_string())?;
        let connect = async {
            let name = ServerName::try_from(host.clone()).map_err(|error| error.to_string())?;
            let stream =
                TcpStream::connect((host.as_str(), port)).await.map_err(|error| error.to_string())?;
            let stream = self.tls.connect(name, stream).await.map_err(|error| error.to_string())?;
            hyper::client::conn::http1::handshake(TokioIo::new(stream))
                .await
                .map_err(|error| error.to_string())
        };
        let connected = timeout(self.connect_timeout, connect).await;
        let (mut sender, connection) =
            connected.map_err(|_| format!("no connection to {host}:{port} in time"))??;
        let driver = tokio::spawn(connection);
        let answer = timeout(self.read_timeout, async {
            let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            let body = body.map_err(|error| error.to_string())?.to_bytes();
            if status == StatusCode::OK { Ok(body) } else { Err(format!("{host}:{port} answered {status}")) }
        })
        .await;
        driver.abort();
        answer.map_err(|_| format!("no answer from {host}:{port} in time"))?
    }
}

/// `application/x-www-form-urlencoded`; also for queries.
pub(super) fn form(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
        .collect();
    pairs.join("&")
}

/// The fields of such a body.
pub(super) fn parse_form(body: &[u8]) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    String::from_utf8_lossy(body)
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}
