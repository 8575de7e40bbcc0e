//! Storage of resources (placeholder, the owner replaces it).

/// Storage of resources.
#[derive(Clone)]
pub struct Store;
