//! A stored Subscription, ready to be matched.
use fhir::{
    Resource,
    search::{Criterion, matches, parse_criteria},
};

use crate::http::decode_query;

/// What subscribers get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// `ping <subscription id>`
    Ping,
    /// The resource as JSON.
    Json,
    /// The resource as XML.
    Xml,
}

/// An active Subscription with a WebSocket channel.
#[derive(Debug)]
pub struct Subscription {
    /// Logical id: what clients bind.
    pub id: String,
    /// Type the criteria are about.
    pub resource_type: String,
    /// What they get.
    pub payload: Payload,
    criteria: Vec<Criterion>,
}

impl Subscription {
    /// Reads a Subscription; none unless it is active, for WebSockets, and its criteria are understood.
    pub fn read(resource: &Resource) -> Option<Self> {
        if resource.text("status") != Some("active") || resource.text("channel.type") != Some("websocket") {
            return None;
        }
        let id = resource.id()?.to_owned();
        let text = resource.text("criteria")?;
        let (resource_type, query) = text.split_once('?').unwrap_or((text, ""));
        let Some(Ok(criteria)) = parse_criteria(resource_type, &decode_query(query)) else {
            tracing::warn!(%id, "the criteria of a Subscription are not understood: it is not served");
            return None;
        };
        let payload = match resource.text("channel.payload").map(str::trim) {
            None | Some("") => Payload::Ping,
            Some("application/fhir+json" | "application/json" | "application/json+fhir") => Payload::Json,
            Some("application/fhir+xml" | "application/xml" | "application/xml+fhir") => Payload::Xml,
            Some(_) => {
                tracing::warn!(%id, "the payload type of a Subscription is not known: it is not served");
                return None;
            }
        };
        Some(Self { id, resource_type: resource_type.to_owned(), payload, criteria })
    }

    /// Whether the new state of a resource of its type matches.
    pub fn matches(&self, resource: &Resource) -> bool {
        matches(&self.criteria, resource)
    }
}
