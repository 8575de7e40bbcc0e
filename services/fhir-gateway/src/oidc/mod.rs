//! Persons without a certificate: OpenID Connect bearer tokens, authorization code flow with PKCE, back-channel
//! logout (fhir-endpoint contract 3.3).
//!
//! No replica holds a session: what is known of a person travels in a sealed cookie that all replicas can
//! open, and sessions a provider has ended stand in the database. WebSockets need a certificate.
mod cookie;
mod fetch;
mod provider;
mod token;

use std::{path::PathBuf, time::Duration};

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{identity::Credentials, store::Store};
use cookie::Seal;
use provider::Provider;
pub use token::Invalid;

/// Where the provider sends the browser back to, below the base URL.
pub const CALLBACK: &str = "oidc/callback";
/// Cookie of a session.
pub(crate) const SESSION: &str = "__Host-dsf-session";
/// Cookie between the redirect to the provider and the way back.
const LOGIN: &str = "__Host-dsf-login";
/// How long somebody may take to log in, in seconds.
const LOGIN_TIME: i64 = 600;
/// A session's cookie is renewed when it is this old, in seconds.
const RENEW: i64 = 60;
/// Largest cookie that browsers are sure to keep, in bytes.
const MAX_COOKIE: usize = 4096;
/// What is asked for.
const SCOPE: &str = "openid email profile";

/// Settings of the provider and of what is offered.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The provider's issuer URL (realm base URL), https.
    pub provider: String,
    /// Path of its discovery document.
    pub discovery_path: String,
    /// Our name there.
    pub client_id: String,
    /// Our secret there; a public client where absent.
    pub client_secret: Option<String>,
    /// PEM file with the roots of the provider's certificate.
    pub ca: PathBuf,
    /// Audience that bearer tokens must name.
    pub audience: Option<String>,
    /// Bearer tokens are accepted.
    pub bearer: bool,
    /// Browsers without certificate are sent to the provider.
    pub code_flow: bool,
    /// The provider may end sessions.
    pub back_channel_logout: bool,
    /// Path of that below the base URL.
    pub back_channel_path: String,
    /// A session without request ends after this time.
    pub session_timeout: Duration,
    /// Time to connect to the provider.
    pub connect_timeout: Duration,
    /// Time for its answer.
    pub read_timeout: Duration,
    /// How long its discovery document and keys are believed.
    pub cache: Duration,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the OpenID Connect settings are not usable: {0}")]
pub struct SettingsError(pub String);

/// OpenID Connect of one site.
pub struct Oidc {
    /// What is offered.
    pub settings: Settings,
    provider: Provider,
    seal: Seal,
    base_url: String,
}

/// What a session cookie holds.
#[derive(Serialize, Deserialize)]
struct Session {
    credentials: Credentials,
    sub: String,
    sid: Option<String>,
    /// Login, end of the token, and last request, in seconds since 1970.
    begun: i64,
    ends: i64,
    seen: i64,
}

/// What the cookie of a login holds.
#[derive(Serialize, Deserialize)]
struct Login {
    state: String,
    nonce: String,
    verifier: String,
    to: String,
    ends: i64,
}

/// Where a browser is to go, with cookies to set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// Absolute URL.
    pub location: String,
    /// Values of `Set-Cookie`.
    pub cookies: Vec<String>,
}

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

/// 256 random bits as text.
fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

impl Oidc {
    /// Nothing is fetched yet. `secret` is shared by all replicas.
    ///
    /// # Errors
    /// [`SettingsError`]
    pub fn new(settings: Settings, base_url: &str, secret: &[u8]) -> Result<Self, SettingsError> {
        let needs = |what: &str| Err(SettingsError(what.to_owned()));
        if !settings.provider.starts_with("https://") {
            return needs("oidc_provider must begin with https://");
        }
        if settings.bearer && settings.audience.is_none() {
            return needs("bearer tokens need oidc_bearer_token_audience");
        }
        let provider = Provider::new(&settings)?;
        Ok(Self { provider, seal: Seal::new(secret), base_url: base_url.to_owned(), settings })
    }

    /// The person an `Authorization` header names.
    ///
    /// # Errors
    /// Why it names nobody.
    pub async fn bearer(&self, header: &str) -> Result<Credentials, Invalid> {
        let token = header
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or(Invalid::Malformed)?;
        let audience = self.settings.audience.as_deref().unwrap_or_default();
        let claims = self.provider.verify(token, audience).await?;
        // Both are needed to tell of which session and person it is (contract 3.3).
        if claims.sub.is_none() || claims.sid.is_none() {
            return Err(Invalid::Incomplete);
        }
        Ok(claims.credentials(&self.settings.provider))
    }

    /// The person of a session cookie, and the cookie's renewal where it is due. Nothing for no, an ended or a
    /// foreign session.
    ///
    /// # Errors
    /// The database's: whether the provider has ended it is not known then.
    pub async fn session(
        &self,
        cookies: &str,
        store: &Store,
    ) -> Result<Option<(Credentials, Option<String>)>, database::Error> {
        let Some(mut session) = self.seal.open::<Session>(SESSION, cookies) else { return Ok(None) };
        let (now, idle) = (now(), self.idle());
        if now >= session.ends || now >= session.seen.saturating_add(idle) {
            return Ok(None);
        }
        if store.logged_out(&session.sub, session.sid.as_deref(), session.begun).await? {
            return Ok(None);
        }
        let renewal = if now - session.seen >= RENEW {
            session.seen = now;
            self.seal.cookie(SESSION, &session, idle.min(session.ends - now))
        } else {
            None
        };
        Ok(Some((session.credentials, renewal)))
    }

    fn idle(&self) -> i64 {
        i64::try_from(self.settings.session_timeout.as_secs()).unwrap_or(i64::MAX)
    }

    fn callback(&self) -> String {
        format!("{}/{CALLBACK}", self.base_url)
    }

    /// Sends a browser to the provider; afterwards it comes back to `path`, a path with query on this server.
    ///
    /// # Errors
    /// [`Invalid::Unavailable`] while the provider cannot be reached.
    pub async fn login(&self, path: &str) -> Result<Redirect, Invalid> {
        let discovered = self.provider.discovered().await?;
        let login = Login {
            state: random(),
            nonce: random(),
            verifier: random(),
            to: path.to_owned(),
            ends: now() + LOGIN_TIME,
        };
        let challenge =
            URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, login.verifier.as_bytes()).as_ref());
        let query = fetch::form(&[
            ("response_type", "code"),
            ("client_id", &self.settings.client_id),
            ("redirect_uri", &self.callback()),
            ("scope", SCOPE),
            ("state", &login.state),
            ("nonce", &login.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let sign = if discovered.authorization_endpoint.contains('?') { '&' } else { '?' };
        let cookie = self.seal.cookie(LOGIN, &login, LOGIN_TIME).ok_or(Invalid::Malformed)?;
        Ok(Redirect {
            location: format!("{}{sign}{query}", discovered.authorization_endpoint),
            cookies: vec![cookie],
        })
    }

    /// The browser comes back: checks state, fetches and checks the token, begins the session.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn come_back(&self, query: &[(String, String)], cookies: &str) -> Result<Redirect, Invalid> {
        let login: Login = self.seal.open(LOGIN, cookies).ok_or(Invalid::Malformed)?;
        let given =
            |name: &str| query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        if given("state") != Some(login.state.as_str()) {
            return Err(Invalid::Malformed);
        }
        if now() >= login.ends {
            return Err(Invalid::Expired);
        }
        let code = given("code").ok_or(Invalid::Refused)?;
        let token = self.provider.redeem(code, &self.callback(), &login.verifier).await?;
        let claims = self.provider.verify(&token, &self.settings.client_id).await?;
        if claims.nonce.as_deref() != Some(login.nonce.as_str()) {
            return Err(Invalid::Refused);
        }
        let sub = claims.sub.clone().ok_or(Invalid::Incomplete)?;
        let now = now();
        let session = Session {
            credentials: claims.credentials(&self.settings.provider),
            sub,
            sid: claims.sid.clone(),
            begun: now,
            ends: claims.exp,
            seen: now,
        };
        let cookie = self
            .seal
            .cookie(SESSION, &session, self.idle().min(claims.exp - now))
            .filter(|cookie| cookie.len() <= MAX_COOKIE)
            .ok_or(Invalid::TooLarge)?;
        // Only paths of this server: the cookie is sealed, and a path does not begin with two slashes.
        let origin = self.base_url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        let to =
            if login.to.starts_with('/') && !login.to.starts_with("//") { login.to.as_str() } else { "/" };
        Ok(Redirect { location: format!("{origin}{to}"), cookies: vec![cookie, cookie::removed(LOGIN)] })
    }

    /// Ends the session of a browser, here and at the provider.
    ///
    /// # Errors
    /// [`Invalid::Unavailable`] while the provider cannot be reached.
    pub async fn log_out(&self, cookies: &str, store: &Store) -> Result<Redirect, Invalid> {
        if let Some(session) = self.seal.open::<Session>(SESSION, cookies) {
            let what = session.sid.map_or(format!("sub|{}", session.sub), |sid| format!("sid|{sid}"));
            store.log_out(&what).await.map_err(|_| Invalid::Unavailable)?;
        }
        let discovered = self.provider.discovered().await?;
        let location = match &discovered.end_session_endpoint {
            Some(end) => format!("{end}?{}", fetch::form(&[("client_id", &self.settings.client_id)])),
            None => self.settings.provider.clone(),
        };
        Ok(Redirect { location, cookies: vec![cookie::removed(SESSION)] })
    }

    /// The provider ends sessions (OpenID Connect Back-Channel Logout 1.0, 2.6).
    ///
    /// # Errors
    /// Why the logout token is not believed.
    pub async fn back_channel(&self, body: &[u8], store: &Store) -> Result<(), Invalid> {
        let token = fetch::parse_form(body)
            .into_iter()
            .find(|(name, _)| name == "logout_token")
            .map(|(_, token)| token)
            .ok_or(Invalid::Missing)?;
        let claims = self.provider.verify(&token, &self.settings.client_id).await?;
        if !claims.is_logout() {
            return Err(Invalid::Malformed);
        }
        let what = match (&claims.sid, &claims.sub) {
            (Some(sid), _) => format!("sid|{sid}"),
            (None, Some(sub)) => format!("sub|{sub}"),
            (None, None) => return Err(Invalid::Incomplete),
        };
        store.log_out(&what).await.map_err(|_| Invalid::Unavailable)
    }
}
