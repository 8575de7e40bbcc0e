//! FHIR requests that workers make through the router, the only holder of the client key inside.
use serde::{Deserialize, Serialize};

/// A FHIR request. The router adds the client certificate, refuses addresses that are neither the
/// own endpoint nor an active Endpoint of the allow list, and caps the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressRequest {
    /// Receiver.
    pub to: Receiver,
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub method: String,
    /// Path and query below the base URL, without leading slash: `Task/…`, `Endpoint?…`, or empty.
    pub path: String,
    /// `Prefer` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefer: Option<String>,
    /// `If-None-Exist` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_none_exist: Option<String>,
    /// `If-Match` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_match: Option<String>,
    /// Body as FHIR JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// Whom a request goes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Receiver {
    /// The site's own endpoint.
    Own,
    /// A partner's base URL; must be an active Endpoint's address.
    Partner(String),
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EgressReply {
    /// An HTTP answer of any status.
    Answer {
        /// HTTP status.
        status: u16,
        /// `Location` header.
        location: Option<String>,
        /// `ETag` header.
        etag: Option<String>,
        /// Body as text; empty where there was none.
        body: String,
    },
    /// The receiver is not in the allow list or the request is not allowed.
    Refused(String),
    /// No answer: connection refused, time-out, TLS failure.
    Unreachable(String),
}

/// Who this site is. The answer on [`crate::subject::ROUTER_SITE`] is a
/// [`crate::engine::Reply`] of it: `unavailable` while the own endpoint is away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// Identifier value of the local organization.
    pub organization: String,
    /// Identifier value of the local endpoint.
    pub endpoint: String,
    /// Base URL of the own endpoint.
    pub base_url: String,
}
