//! Tokens: which are believed, and what they say of a person. Pure but for the clock of the expiry check.
use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, Header, Validation,
    errors::ErrorKind,
    jwk::{AlgorithmParameters, Jwk, PublicKeyUse},
};
use serde::Deserialize;

use crate::identity::Credentials;

/// Signatures that are believed: no shared secrets, no `none`.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
/// Smallest RSA modulus, in bytes (2048 bits).
const MIN_RSA: usize = 256;
/// How far clocks may be apart, in seconds.
const LEEWAY: u64 = 10;
/// Longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 16 * 1024;
/// Marks a logout token.
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Why a token names nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// There is none.
    #[error("no token")]
    Missing,
    /// It is no token.
    #[error("not a token")]
    Malformed,
    /// It lacks `sub` or `sid`.
    #[error("the token names no subject or session")]
    Incomplete,
    /// Its time is over, or has not come.
    #[error("the token has expired")]
    Expired,
    /// Signature, issuer, audience or nonce are not what they should be.
    #[error("the token is not one for this endpoint")]
    Refused,
    /// It says more than a cookie can hold.
    #[error("the token has too many roles or groups for a session")]
    TooLarge,
    /// The provider cannot be reached.
    #[error("the OpenID provider is not available")]
    Unavailable,
}

/// What a token says.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Claims {
    #[serde(default)]
    pub(super) sub: Option<String>,
    #[serde(default)]
    pub(super) sid: Option<String>,
    #[serde(default)]
    pub(super) nonce: Option<String>,
    /// Seconds since 1970.
    #[serde(default)]
    pub(super) exp: i64,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    email_verified: Option<bool>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    realm_access: Access,
    #[serde(default)]
    resource_access: BTreeMap<String, Access>,
    #[serde(default)]
    events: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Access {
    #[serde(default)]
    roles: Vec<String>,
}

impl Claims {
    /// What the role configuration is asked about (fhir-endpoint contract 3.3).
    pub(super) fn credentials(&self, issuer: &str) -> Credentials {
        let host =
            issuer.split("://").nth(1).and_then(|rest| rest.split(['/', ':']).next()).unwrap_or_default();
        let sub = self.sub.as_deref().unwrap_or_default();
        let clients = self.resource_access.iter();
        let of_clients = clients
            .flat_map(|(client, access)| access.roles.iter().map(move |role| format!("{client}.{role}")));
        Credentials {
            thumbprint: None,
            // An address that the provider says is not verified may be anybody's.
            email: self.email.clone().filter(|_| self.email_verified != Some(false)),
            otherwise: format!("{sub}.{host}@oidc.invalid"),
            token_roles: self.realm_access.roles.iter().cloned().chain(of_clients).collect(),
            token_groups: self.groups.clone(),
        }
    }

    /// Whether it is a logout token: such a one has the event and never a nonce.
    pub(super) fn is_logout(&self) -> bool {
        self.events.contains_key(LOGOUT_EVENT) && self.nonce.is_none()
    }
}

/// The header of a token with an algorithm that is believed.
pub(super) fn header(token: &str) -> Result<Header, Invalid> {
    if token.is_empty() {
        return Err(Invalid::Missing);
    }
    if token.len() > MAX_TOKEN {
        return Err(Invalid::Malformed);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| Invalid::Malformed)?;
    if ALGORITHMS.contains(&header.alg) { Ok(header) } else { Err(Invalid::Refused) }
}

/// The key a token was signed with.
pub(super) fn key<'a>(keys: &'a [Jwk], header: &Header) -> Option<&'a Jwk> {
    let usable = |key: &&Jwk| {
        let algorithm =
            key.common.key_algorithm.is_none_or(|own| own.to_string() == format!("{:?}", header.alg));
        let signs = matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let long = match &key.algorithm {
            AlgorithmParameters::RSA(rsa) => URL_SAFE_NO_PAD.decode(&rsa.n).is_ok_and(|n| n.len() >= MIN_RSA),
            _ => true,
        };
        algorithm && signs && long
    };
    match &header.kid {
        Some(kid) => keys.iter().filter(usable).find(|key| key.common.key_id.as_deref() == Some(kid)),
        // Without a name only where there is no choice.
        None => {
            let mut all = keys.iter().filter(usable);
            all.next().filter(|_| all.next().is_none())
        }
    }
}

/// The claims of a token whose signature, issuer, audience and time hold.
pub(super) fn claims(
    token: &str,
    header: &Header,
    key: &Jwk,
    issuer: &str,
    audience: &str,
) -> Result<Claims, Invalid> {
    let key = DecodingKey::from_jwk(key).map_err(|_| Invalid::Refused)?;
    let mut validation = Validation::new(header.alg);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    validation.validate_nbf = true;
    validation.leeway = LEEWAY;
    match jsonwebtoken::decode::<Claims>(token, &key, &validation) {
        Ok(decoded) => Ok(decoded.claims),
        Err(error) => Err(match error.kind() {
            ErrorKind::ExpiredSignature | ErrorKind::ImmatureSignature => Invalid::Expired,
            ErrorKind::InvalidToken | ErrorKind::Base64(_) | ErrorKind::Json(_) | ErrorKind::Utf8(_) => {
                Invalid::Malformed
            }
            _ => Invalid::Refused,
        }),
    }
}
