//! Role configuration: which certificates are persons of the site and what they may do.

/// The list of role entries.
#[derive(Debug, Clone, Default)]
pub struct RoleConfig {}
