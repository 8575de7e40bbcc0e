//! What is recorded of one decision.
use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Who asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// `local-organization`, `remote-organization`, `practitioner`, `loader`, `retention` or `unknown`.
    pub kind: Cow<'static, str>,
    /// Identifier value; of an unknown caller the thumbprint of the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// One decision. Written as JSON; fields are only ever added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// Who asked.
    pub who: Who,
    /// For what: `create`, `read`, `update`, `delete`, `search`, `history`, `permanent delete`, `websocket`.
    pub interaction: Cow<'static, str>,
    /// On which type; absent where it is about all.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<Cow<'static, str>>,
    /// On which resource, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Which version of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The decision.
    pub allowed: bool,
    /// The rule that decided; names rules, never values.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub reason: Cow<'static, str>,
}

impl Event {
    /// The bytes that are kept and chained.
    pub fn json(&self) -> String {
        // Strings and numbers only: nothing in it can fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From what was kept.
    ///
    /// # Errors
    /// What is not of this form.
    pub fn parse(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }
}
