//! Snapshot of the allow list: everything that decides who a certificate is and what holds about it.

/// One snapshot. Replaced as a whole when a resource it was made from changes.
#[derive(Default)]
pub struct Directory {}
