//! What happens after a commit: the relay wakes, the other replicas and WebSockets hear of it.
use messaging::event::ResourceEvent;

/// To be told of every committed write. Cheap to clone.
#[derive(Clone, Default)]
pub struct Changes {}

impl Changes {
    /// Resources were written and the transaction is committed: one event per resource version, in the
    /// order of writing. Never blocks and never fails; losing the call delays delivery, never loses it.
    pub fn committed(&self, _events: Vec<ResourceEvent>) {}
}
