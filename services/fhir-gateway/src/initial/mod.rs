//! Initial data (placeholder, the owner replaces it).
