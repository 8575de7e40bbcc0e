//! FHIR requests over mutual TLS: connections, limits, typed answers and errors.
//!
//! Invariants: follows no redirect, trusts only the given roots, never reads more of an answer than
//! allowed, and repeats a request on its own only where it cannot take effect twice. No error text
//! and no log line holds a URL, a header or a body.
#![forbid(unsafe_code)]

mod answer;
mod connect;
mod error;
mod pool;

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;

pub use answer::Answer;
pub use error::{SetupError, TransportError, TransportKind, kind_of};

use pool::Pool;

/// Default of [`ClientConfig::connect_timeout`].
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Default of [`ClientConfig::answer_timeout`]. Java sites allow a minute for large transactions;
/// single requests take milliseconds.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Default of [`ClientConfig::max_answer`], in bytes.
pub const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// Default of [`ClientConfig::per_host`].
pub const PER_HOST: usize = 64;
/// Default of [`ClientConfig::idle`]: below the time-outs usual for servers (a minute or more), so
/// that few kept connections turn out to be closed.
pub const IDLE: Duration = Duration::from_secs(20);

/// What a client needs to know.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// PEM file with the client certificate, leaf first.
    pub certificate: PathBuf,
    /// PEM file with its private key, not encrypted.
    pub key: PathBuf,
    /// PEM file with the roots that server certificates are checked against.
    pub roots: PathBuf,
    /// Longest time for name look-up, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Longest time for a whole exchange, waiting for a free connection included.
    pub answer_timeout: Duration,
    /// Largest answer body, in bytes.
    pub max_answer: usize,
    /// Exchanges at the same time with one host.
    pub per_host: usize,
    /// How long an unused connection is kept.
    pub idle: Duration,
}

impl ClientConfig {
    /// The defaults, with the files.
    pub fn new(certificate: PathBuf, key: PathBuf, roots: PathBuf) -> Self {
        Self {
            certificate,
            key,
            roots,
            connect_timeout: CONNECT_TIMEOUT,
            answer_timeout: ANSWER_TIMEOUT,
            max_answer: MAX_ANSWER,
            per_host: PER_HOST,
            idle: IDLE,
        }
    }
}

/// The FHIR headers of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// `Prefer`, for example `return=minimal`.
    pub prefer: Option<String>,
    /// `If-Match`, for example `W/"1"`.
    pub if_match: Option<String>,
    /// `If-None-Exist`: the query of a conditional create.
    pub if_none_exist: Option<String>,
}

/// Bounds of one exchange.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Longest time for the whole exchange.
    pub timeout: Duration,
    /// Largest answer body, in bytes.
    pub max_answer: usize,
}

/// A FHIR client with one identity. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    pool: Arc<Pool>,
    bounds: Bounds,
}

impl Client {
    /// Reads certificate, key and roots.
    ///
    /// # Errors
    /// A file that cannot be read or used.
    pub fn new(config: &ClientConfig) -> Result<Self, SetupError> {
        let connector = connect::Connector::new(config)?;
        let bounds = Bounds { timeout: config.answer_timeout, max_answer: config.max_answer };
        Ok(Self { pool: Arc::new(Pool::new(connector, config.per_host, config.idle)), bounds })
    }

    /// The bounds of [`Client::request`].
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Makes a request with the default bounds. The body is FHIR JSON.
    ///
    /// # Errors
    /// When there is no whole answer; every HTTP status is an answer.
    pub async fn request(
        &self,
        method: Method,
        url: &str,
        body: Option<Bytes>,
        headers: &Headers,
    ) -> Result<Answer, TransportError> {
        self.request_within(method, url, body, headers, self.bounds).await
    }

    /// As [`Client::request`], with bounds of its own.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn request_within(
        &self,
        method: Method,
        url: &str,
        body: Option<Bytes>,
        headers: &Headers,
        bounds: Bounds,
    ) -> Result<Answer, TransportError> {
        let uri: Uri = url.parse().map_err(|_| TransportError::before(TransportKind::Other))?;
        let request = message(&method, &uri, body, headers)
            .ok_or_else(|| TransportError::before(TransportKind::Other))?;
        // Repeating these cannot take effect twice: RFC 9110 section 9.2.2 and FHIR's conditions.
        let repeatable = matches!(method, Method::GET | Method::HEAD)
            || headers.if_match.is_some()
            || headers.if_none_exist.is_some();
        self.pool.exchange(&uri, request, repeatable, bounds).await
    }
}

fn message(
    method: &Method,
    uri: &Uri,
    body: Option<Bytes>,
    headers: &Headers,
) -> Option<Request<Full<Bytes>>> {
    const FHIR_JSON: &str = "application/fhir+json";
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let mut request = Request::builder()
        .method(method.clone())
        .uri(target)
        .header(header::HOST, uri.authority()?.as_str())
        .header(header::USER_AGENT, concat!("dsf-rust/", env!("CARGO_PKG_VERSION")))
        .header(header::ACCEPT, FHIR_JSON);
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, FHIR_JSON);
    }
    let fields = [
        ("prefer", headers.prefer.clone()),
        ("if-match", headers.if_match.clone()),
        ("if-none-exist", headers.if_none_exist.clone()),
        ("traceparent", telemetry::context::current()),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            request = request.header(name, HeaderValue::try_from(value).ok()?);
        }
    }
    request.body(Full::new(body.unwrap_or_default())).ok()
}
