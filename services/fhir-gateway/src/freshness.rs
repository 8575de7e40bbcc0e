//! Whether what a replica keeps in memory of some resource types still is what the database holds.
//!
//! Writers here and at other replicas tell of changes; a load takes in all that was told before it began.
//! What is kept is stale until such a load has ended, so a client finds what it has written.
use std::{
    collections::BTreeSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Oldest state that is used while notifications of the database are not heard.
const DEAF_AGE: Duration = Duration::from_secs(1);

/// What is known of the age of a kept state.
pub struct Freshness {
    /// The types that the state is made of.
    watched: &'static [&'static str],
    /// Types that changed since the state.
    changed: Mutex<BTreeSet<&'static str>>,
    /// How many changes were told of, and how many of them the state holds.
    told: AtomicU64,
    held: AtomicU64,
    /// Notifications of the database are heard.
    listening: AtomicBool,
    loaded: Mutex<Option<Instant>>,
    /// One load at a time.
    loading: tokio::sync::Mutex<()>,
}

impl Freshness {
    /// Nothing is loaded yet.
    pub fn new(watched: &'static [&'static str]) -> Self {
        Self {
            watched,
            changed: Mutex::new(watched.iter().copied().collect()),
            told: AtomicU64::new(1),
            held: AtomicU64::new(0),
            listening: AtomicBool::new(false),
            loaded: Mutex::new(None),
            loading: tokio::sync::Mutex::new(()),
        }
    }

    /// A resource of a type changed; nothing happens for types that are not watched.
    pub fn invalidate(&self, resource_type: &str) {
        if let Some(known) = self.watched.iter().find(|known| **known == resource_type) {
            self.changed().insert(known);
            self.told.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Notifications are heard again (everything may have changed), or are not heard any more.
    pub fn set_listening(&self, listening: bool) {
        if listening {
            self.changed().extend(self.watched);
            self.told.fetch_add(1, Ordering::AcqRel);
        }
        self.listening.store(listening, Ordering::Release);
    }

    /// The state holds every change that was told of.
    pub fn is_fresh(&self) -> bool {
        if self.held.load(Ordering::Acquire) != self.told.load(Ordering::Acquire) {
            return false;
        }
        self.listening.load(Ordering::Acquire) || {
            let loaded = *self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            loaded.is_some_and(|loaded| loaded.elapsed() < DEAF_AGE)
        }
    }

    /// Waits for a load that runs, then begins the next one, unless none is needed any more.
    pub async fn begin(&self) -> Option<Load<'_>> {
        let one = self.loading.lock().await;
        if self.is_fresh() {
            return None;
        }
        let deaf = !self.listening.load(Ordering::Acquire);
        // Taken before reading: a change that comes meanwhile is loaded next time.
        let told = self.told.load(Ordering::Acquire);
        let mut types = std::mem::take(&mut *self.changed());
        if deaf {
            types.extend(self.watched);
        }
        Some(Load { freshness: self, told, types, ended: false, _one: one })
    }

    fn changed(&self) -> MutexGuard<'_, BTreeSet<&'static str>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A load that runs. Dropped before its end (a failure, a client that went away), it counts as never begun.
pub struct Load<'f> {
    freshness: &'f Freshness,
    told: u64,
    types: BTreeSet<&'static str>,
    ended: bool,
    _one: tokio::sync::MutexGuard<'f, ()>,
}

impl Load<'_> {
    /// The types to read.
    pub fn types(&self) -> &BTreeSet<&'static str> {
        &self.types
    }

    /// The new state is in place.
    pub fn end(mut self) {
        self.ended = true;
        let freshness = self.freshness;
        freshness.held.store(self.told, Ordering::Release);
        *freshness.loaded.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

impl Drop for Load<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.freshness.changed().append(&mut self.types);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_state_is_stale_until_a_load_with_the_last_change_has_ended() {
        let freshness = Freshness::new(&["Endpoint", "Organization"]);
        freshness.begin().await.expect("nothing is loaded yet").end();
        assert!(freshness.is_fresh(), "just loaded");
        freshness.set_listening(true);
        freshness.begin().await.expect("everything may have changed").end();
        freshness.invalidate("Task");
        assert!(freshness.is_fresh(), "of no concern");

        freshness.invalidate("Endpoint");
        let load = freshness.begin().await.expect("an Endpoint changed");
        assert!(!freshness.is_fresh(), "a load that runs has put nothing in place");
        assert_eq!(load.types().iter().copied().collect::<Vec<_>>(), ["Endpoint"]);
        freshness.invalidate("Organization");
        load.end();
        assert!(!freshness.is_fresh(), "the second change came after the load began");

        drop(freshness.begin().await.expect("an Organization changed"));
        let again = freshness.begin().await.expect("the load did not end");
        assert_eq!(again.types().iter().copied().collect::<Vec<_>>(), ["Organization"]);
        again.end();
        assert!(freshness.is_fresh());
    }
}
