//! The bytes that runs and data sets may take together, reserved before the first of them comes.
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// A number of bytes that is shared. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Memory {
    limit: u64,
    used: Arc<AtomicU64>,
}

/// A share, given back when dropped.
pub(crate) struct Reserved {
    bytes: u64,
    used: Arc<AtomicU64>,
}

impl Memory {
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, used: Arc::default() }
    }

    /// Most bytes there are.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// A share; `None` while others leave less.
    pub(crate) fn reserve(&self, bytes: u64) -> Option<Reserved> {
        let with = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.used.fetch_update(Relaxed, Relaxed, with).ok()?;
        Some(Reserved { bytes, used: Arc::clone(&self.used) })
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_given_than_there_is_and_what_is_dropped_is_there_again() {
        let memory = Memory::new(10);
        let first = memory.reserve(6);
        assert!(first.is_some() && memory.reserve(5).is_none() && memory.reserve(u64::MAX).is_none());
        assert!(memory.reserve(4).is_some(), "what was refused takes nothing");
        drop(first);
        assert!(memory.reserve(10).is_some());
    }
}
