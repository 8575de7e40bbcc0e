//! Events that leave the gateway: a resource was written.
use serde::{Deserialize, Serialize};

use crate::seal::Kind;

/// Schema version of [`ResourceEvent`] inside its envelope.
pub const RESOURCE_EVENT_VERSION: u8 = 1;

/// A resource version was committed. It names the resource; readers fetch it over REST, so no
/// content (and no personal data) travels in the event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceEvent {
    /// FHIR type name, for example `Task`.
    pub resource_type: String,
    /// Logical id.
    pub id: String,
    /// Version that was written, from 1.
    pub version: u64,
    /// `status` element of that version, if the type has one.
    pub status: Option<String>,
    /// True for the last version of a deleted resource.
    pub deleted: bool,
}

impl Kind for ResourceEvent {
    const KIND: u8 = 1;
    const VERSION: u8 = RESOURCE_EVENT_VERSION;
}
