//! Who calls: from the client certificate to an identity, by the allow list and the role configuration.

pub mod directory;
mod roles;

pub use roles::RoleConfig;
