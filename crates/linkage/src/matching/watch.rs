//! How far a matching is, and the wish to stop it: shared between the thread that matches and others.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Counts pairs that have been decided on, by comparison or by a bound. Numbers only.
#[derive(Debug, Default)]
pub struct Watch {
    done: AtomicU64,
    total: AtomicU64,
    stop: AtomicBool,
}

impl Watch {
    /// Pairs decided on so far, and pairs in all. Both are 0 before the matching has started. With blocking
    /// they count the records put into tables, and then also the pairs that share a block.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        (self.done.load(Relaxed), self.total.load(Relaxed))
    }

    /// Asks the matching to end early, with [`super::MatchError::Cancelled`].
    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    /// Whether it was asked to end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    pub(super) fn expect(&self, pairs: u64) {
        self.total.fetch_add(pairs, Relaxed);
    }

    pub(super) fn add(&self, pairs: u64) {
        self.done.fetch_add(pairs, Relaxed);
    }
}
