//! Limits on what is read.

/// Most bytes of one document: larger payloads travel as raw Binary, which is never parsed.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Deepest nesting of elements, nested resources included. The deepest public resources
/// (questionnaires in bundles) stay below 30.
pub const MAX_DEPTH: usize = 100;

/// Most elements of one document. An element costs about 100 bytes, so this bounds a tree to
/// some hundred megabytes whatever the input repeats.
pub const MAX_ELEMENTS: usize = 2_000_000;

/// Most attributes of one XML element, namespace declarations included. Every attribute is compared
/// with those
/// before it, and every prefix is looked up in all declarations in scope, so both must stay few.
pub(crate) const MAX_ATTRIBUTES: usize = 64;

/// Limits for reading one document.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Most bytes.
    pub max_bytes: usize,
    /// Deepest nesting of elements; in XML also below unknown elements and in narratives.
    pub max_depth: usize,
    /// Most elements (JSON: values).
    pub max_elements: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { max_bytes: MAX_BYTES, max_depth: MAX_DEPTH, max_elements: MAX_ELEMENTS }
    }
}
