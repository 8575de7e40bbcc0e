//! What the provider says of itself: discovery document and keys, with rotation.
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use serde::Deserialize;

use super::{
    Settings, SettingsError,
    fetch::{Fetch, form},
    token::{self, Claims, Invalid},
};

/// Tokens of unknown keys make us fetch the keys again, at most this often.
const ROTATION: Duration = Duration::from_secs(10);

/// The parts of the discovery document that matter, with the keys.
#[derive(Debug, Deserialize)]
pub(super) struct Discovered {
    issuer: String,
    pub(super) authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    pub(super) end_session_endpoint: Option<String>,
    #[serde(skip)]
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

pub(super) struct Provider {
    fetch: Fetch,
    issuer: String,
    discovery: String,
    client_id: String,
    client_secret: Option<String>,
    cache: Duration,
    known: Mutex<Option<(Arc<Discovered>, Instant)>>,
    /// One fetch at a time.
    fetching: tokio::sync::Mutex<()>,
}

impl Provider {
    pub(super) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let issuer = settings.provider.trim_end_matches('/').to_owned();
        Ok(Self {
            fetch: Fetch::new(&settings.ca, settings.connect_timeout, settings.read_timeout)?,
            discovery: format!("{issuer}/{}", settings.discovery_path.trim_start_matches('/')),
            issuer,
            client_id: settings.client_id.clone(),
            client_secret: settings.client_secret.clone(),
            cache: settings.cache,
            known: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        })
    }

    /// What was fetched less than `age` ago.
    fn known(&self, age: Duration) -> Option<Arc<Discovered>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|(_, at)| at.elapsed() < age).map(|(known, _)| Arc::clone(known))
    }

    /// Discovery document and keys, at most as old as the configured cache time.
    pub(super) async fn discovered(&self) -> Result<Arc<Discovered>, Invalid> {
        self.fetched(self.cache).await
    }

    async fn fetched(&self, age: Duration) -> Result<Arc<Discovered>, Invalid> {
        if let Some(known) = self.known(age) {
            return Ok(known);
        }
        let _one = self.fetching.lock().await;
        if let Some(known) = self.known(age) {
            return Ok(known);
        }
        let discovered = self.load().await.map_err(|reason| {
            tracing::warn!(%reason, "the OpenID provider cannot be used");
            Invalid::Unavailable
        })?;
        let discovered = Arc::new(discovered);
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Arc::clone(&discovered), Instant::now()));
        Ok(discovered)
    }

    async fn load(&self) -> Result<Discovered, String> {
        let document = self.fetch.get(&self.discovery).await?;
        let mut discovered: Discovered =
            serde_json::from_slice(&document).map_err(|error| format!("{}: {error}", self.discovery))?;
        // Else whoever serves the document could speak for another issuer (OpenID Connect Discovery 4.3).
        if discovered.issuer.trim_end_matches('/') != self.issuer {
            return Err(format!("{} names another issuer", self.discovery));
        }
        let endpoints =
            [&discovered.authorization_endpoint, &discovered.token_endpoint, &discovered.jwks_uri];
        if let Some(plain) = endpoints.into_iter().find(|endpoint| !endpoint.starts_with("https://")) {
            return Err(format!("{plain} does not begin with https://"));
        }
        let keys = self.fetch.get(&discovered.jwks_uri).await?;
        let keys: serde_json::Value =
            serde_json::from_slice(&keys).map_err(|error| format!("{}: {error}", discovered.jwks_uri))?;
        // Keys of kinds we do not know are passed over.
        let keys = keys["keys"].as_array().cloned().unwrap_or_default();
        discovered.keys =
            JwkSet { keys: keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect() }
                .keys;
        Ok(discovered)
    }

    /// The claims of a token that holds.
    pub(super) async fn verify(&self, text: &str, audience: &str) -> Result<Claims, Invalid> {
        let header = token::header(text)?;
        let mut discovered = self.discovered().await?;
        if token::key(&discovered.keys, &header).is_none() {
            // The provider may have new keys.
            discovered = self.fetched(ROTATION.min(self.cache)).await?;
        }
        let key = token::key(&discovered.keys, &header).ok_or(Invalid::Refused)?;
        token::claims(text, &header, key, &discovered.issuer, audience)
    }

    /// The ID token for an authorization code.
    pub(super) async fn redeem(&self, code: &str, redirect: &str, verifier: &str) -> Result<String, Invalid> {
        let discovered = self.discovered().await?;
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect),
            ("code_verifier", verifier),
        ];
        let authorization = self.client_secret.as_ref().map(|secret| {
            // Both are form-encoded before they are joined (RFC 6749 2.3.1).
            let encode = |text: &str| form(&[("", text)])[1..].to_owned();
            let pair = format!("{}:{}", encode(&self.client_id), encode(secret));
            format!("Basic {}", STANDARD.encode(pair))
        });
        if authorization.is_none() {
            fields.push(("client_id", &self.client_id));
        }
        let answer =
            self.fetch.post(&discovered.token_endpoint, authorization.as_deref(), form(&fields)).await;
        let answer = answer.map_err(|reason| {
            tracing::info!(%reason, "an authorization code was not redeemed");
            Invalid::Refused
        })?;
        serde_json::from_slice::<Tokens>(&answer).map(|tokens| tokens.id_token).map_err(|_| Invalid::Refused)
    }
}
