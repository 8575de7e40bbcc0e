//! The right to do one thing once, with the event that records it.
use audit::Event;
use uuid::Uuid;

use super::Audit;

/// A decision to allow something. Its event is stored together with the deed, or queued when the permit is
/// dropped: none goes unrecorded, whatever becomes of the request.
#[must_use]
pub(crate) struct Permit {
    /// Read tags of the version that may be written.
    pub(crate) read_tags: Vec<String>,
    audit: Audit,
    event: Option<Event>,
}

impl Permit {
    pub(super) fn new(audit: Audit, event: Event, read_tags: Vec<String>) -> Self {
        Self { read_tags, audit, event: Some(event) }
    }

    /// The event as it is stored, once it is known which resource and version it is about.
    pub(crate) fn event(&mut self, id: Uuid, version: u64) -> Option<String> {
        self.event.as_mut().map(|event| {
            event.id = Some(id.to_string());
            event.version = Some(version);
            event.json()
        })
    }

    /// The event was stored.
    pub(crate) fn stored(&mut self) {
        if let Some(event) = self.event.take() {
            self.audit.count(&event);
            self.audit.pending.notify_one();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(event) = self.event.take() {
            self.audit.record(event);
        }
    }
}
