//! HTTP/1.1 to hospital systems: keep-alive, bounded answers, no redirects, three ways to log in.
use std::{
    future::Future,
    pin::Pin,
    sync::Mutex,
    sync::PoisonError,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use fhir_client::{TransportKind, kind_of};
use hospital::failure::Failure;
use http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::{
    client::legacy::Client as Pool,
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use time::{OffsetDateTime, PrimitiveDateTime, macros::format_description};
use tower_service::Service;

use crate::{
    Trouble,
    tls::{Connector, SetupError, Stream},
};

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(60);
/// Tokens are renewed this long before they end.
const TOKEN_MARGIN: Duration = Duration::from_secs(30);
/// Statuses that say no more than "not now": what comes with them is not read.
const AWAY: [u16; 5] = [408, 429, 502, 503, 504];
/// Life of a token whose server does not state it.
const TOKEN_LIFE: Duration = Duration::from_secs(60);

/// How we log in.
#[derive(Clone, Default)]
pub enum Login {
    /// Not at all, or by client certificate.
    #[default]
    None,
    /// HTTP Basic.
    Basic {
        /// User.
        user: String,
        /// Password.
        password: String,
    },
    /// OAuth 2 client credentials.
    ClientCredentials {
        /// Address of the token endpoint.
        url: String,
        /// Client id.
        client: String,
        /// Client secret.
        secret: String,
        /// Scope, if one is asked for.
        scope: Option<String>,
    },
}

/// What a client needs to know.
#[derive(Clone)]
pub struct HttpSettings {
    /// Longest time for a whole exchange.
    pub answer_timeout: Duration,
    /// Largest answer, in bytes.
    pub max_answer: usize,
    /// How we log in.
    pub login: Login,
}

/// A request.
#[derive(Clone)]
pub struct Call {
    /// Method.
    pub method: Method,
    /// Address.
    pub url: String,
    /// Content type of the body.
    pub content_type: Option<String>,
    /// Accepted content type.
    pub accept: &'static str,
    /// Body.
    pub body: Bytes,
    /// `Prefer`.
    pub prefer: Option<&'static str>,
}

/// An answer of any status.
#[derive(Clone)]
pub struct HttpAnswer {
    /// Status.
    pub status: u16,
    /// Body.
    pub body: Bytes,
    /// Content type.
    pub content_type: Option<String>,
    /// `Retry-After`, from now on.
    pub retry_after: Option<Duration>,
}

#[derive(Clone)]
struct Dialler(Connector);

impl Service<Uri> for Dialler {
    type Response = TokioIo<Stream>;
    type Error = Dialled;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.0.clone();
        Box::pin(async move {
            let encrypted = uri.scheme_str() == Some("https");
            // A mistyped scheme must not turn into a connection in the clear.
            if encrypted != connector.is_encrypted() {
                return Err(Dialled(TransportKind::Other));
            }
            let port = uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
            let host = uri.host().unwrap_or_default();
            connector.open(host, port).await.map(TokioIo::new).map_err(Dialled)
        })
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Dialled(TransportKind);

struct Token {
    value: String,
    until: Instant,
}

/// A client of one system.
pub struct Client {
    pool: Pool<Dialler, Full<Bytes>>,
    settings: HttpSettings,
    token: Mutex<Option<Token>>,
    renewing: tokio::sync::Mutex<()>,
}

impl Client {
    /// A client over connections of `connector`.
    pub fn new(connector: Connector, settings: HttpSettings) -> Self {
        let pool = Pool::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(Dialler(connector));
        Self { pool, settings, token: Mutex::default(), renewing: tokio::sync::Mutex::default() }
    }

    /// Checks an address before it is used.
    ///
    /// # Errors
    /// [`SetupError`] when it is no absolute address with `http` or `https`.
    pub fn check_url(url: &str) -> Result<(), SetupError> {
        let uri: Option<Uri> = url.parse().ok();
        match uri {
            Some(uri) if matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() => Ok(()),
            _ => Err(SetupError("the address is no URL with http or https and a host".to_owned())),
        }
    }

    /// One exchange.
    ///
    /// # Errors
    /// [`Trouble::Transport`], [`Trouble::Away`], or what the token endpoint says.
    pub async fn send(&self, call: &Call) -> Result<HttpAnswer, Trouble> {
        let authorization = self.authorization().await?;
        let answer = self.exchange(call, authorization).await?;
        if answer.status == 401 {
            // The token was withdrawn: the next try gets a new one.
            *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        if AWAY.contains(&answer.status) {
            return Err(Trouble::Away { status: answer.status, after: answer.retry_after });
        }
        Ok(answer)
    }

    async fn exchange(&self, call: &Call, authorization: Option<String>) -> Result<HttpAnswer, Trouble> {
        let exchange = self.exchange_now(call, authorization);
        let answer = tokio::time::timeout(self.settings.answer_timeout, exchange).await;
        answer.unwrap_or(Err(TransportKind::Timeout)).map_err(Trouble::Transport)
    }

    async fn exchange_now(
        &self,
        call: &Call,
        authorization: Option<String>,
    ) -> Result<HttpAnswer, TransportKind> {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(&call.url)
            .header(header::USER_AGENT, concat!("dsf-rust/", env!("CARGO_PKG_VERSION")))
            .header(header::ACCEPT, call.accept);
        let fields = [
            (header::CONTENT_TYPE, call.content_type.clone()),
            (header::AUTHORIZATION, authorization),
            (http::HeaderName::from_static("prefer"), call.prefer.map(str::to_owned)),
            (http::HeaderName::from_static("traceparent"), telemetry::context::current()),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                let mut value = HeaderValue::try_from(value).map_err(|_| TransportKind::Other)?;
                value.set_sensitive(name == header::AUTHORIZATION);
                request = request.header(name, value);
            }
        }
        let request = request.body(Full::new(call.body.clone())).map_err(|_| TransportKind::Other)?;
        let response = self.pool.request(request).await.map_err(|error| transport(&error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, self.settings.max_answer).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { TransportKind::TooLarge } else { kind_of(&*error) }
        })?;
        let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        Ok(HttpAnswer {
            status: head.status.as_u16(),
            body: body.to_bytes(),
            content_type: content_type.map(str::to_owned),
            retry_after: head.headers.get(header::RETRY_AFTER).and_then(retry_after),
        })
    }

    async fn authorization(&self) -> Result<Option<String>, Trouble> {
        match &self.settings.login {
            Login::None => Ok(None),
            Login::Basic { user, password } => {
                Ok(Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))))
            }
            Login::ClientCredentials { url, client, secret, scope } => {
                if let Some(token) = self.kept_token() {
                    return Ok(Some(token));
                }
                // One renewal at a time; those who waited use its token.
                let _turn = self.renewing.lock().await;
                if let Some(token) = self.kept_token() {
                    return Ok(Some(token));
                }
                self.renew(url, client, secret, scope.as_deref()).await.map(Some)
            }
        }
    }

    fn kept_token(&self) -> Option<String> {
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        token.as_ref().filter(|token| token.until > Instant::now()).map(|token| token.value.clone())
    }

    async fn renew(
        &self,
        url: &str,
        client: &str,
        secret: &str,
        scope: Option<&str>,
    ) -> Result<String, Trouble> {
        let mut fields = vec![("grant_type".to_owned(), "client_credentials".to_owned())];
        fields.extend(scope.map(|scope| ("scope".to_owned(), scope.to_owned())));
        let call = Call {
            method: Method::POST,
            url: url.to_owned(),
            content_type: Some(FORM.to_owned()),
            accept: "application/json",
            body: form(&fields).into(),
            prefer: None,
        };
        // RFC 6749, 2.3.1: both parts are form-encoded before Basic.
        let pair = format!("{}:{}", encode(client), encode(secret));
        let answer = self.exchange(&call, Some(format!("Basic {}", STANDARD.encode(pair)))).await?;
        if AWAY.contains(&answer.status) {
            return Err(Trouble::Away { status: answer.status, after: answer.retry_after });
        }
        if let Some(failure) = Failure::of_http(answer.status) {
            return Err(failure.into());
        }
        let json = hospital::json::Json::read(&answer.body)?;
        let malformed = hospital::failure::Reason::Malformed("token");
        let value = json.get("access_token").filled().ok_or(malformed)?;
        let is_bearer = json.get("token_type").text().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"));
        if !is_bearer {
            return Err(malformed.into());
        }
        let life = json.get("expires_in").whole().and_then(|life| u64::try_from(life).ok());
        let life = life.map_or(TOKEN_LIFE, Duration::from_secs);
        let value = format!("Bearer {value}");
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Token { value: value.clone(), until: Instant::now() + life.saturating_sub(TOKEN_MARGIN) });
        Ok(value)
    }
}

/// The two forms of `Retry-After`: seconds, or a date (RFC 9110, 10.2.3).
fn retry_after(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let at = PrimitiveDateTime::parse(text, format).ok()?.assume_utc();
    // A date in the past: at once.
    Some((at - OffsetDateTime::now_utc()).try_into().unwrap_or_default())
}

fn transport(error: &hyper_util::client::legacy::Error) -> TransportKind {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(dialled) = error.downcast_ref::<Dialled>() {
            return dialled.0;
        }
        next = error.source();
    }
    kind_of(error)
}

/// Content type of [`form`].
pub const FORM: &str = "application/x-www-form-urlencoded";

/// Encodes a value for a query or form.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Encodes fields as a query or form.
pub fn form(fields: &[(String, String)]) -> String {
    let pair = |(name, value): &(String, String)| format!("{}={}", encode(name), encode(value));
    fields.iter().map(pair).collect::<Vec<_>>().join("&")
}

/// Body of a request.
pub type Body = Bytes;
