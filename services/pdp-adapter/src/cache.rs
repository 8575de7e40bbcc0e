//! Decisions that are used again for a short time. A revocation drops them at once.
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Most decisions that are kept; beyond that the cache starts anew.
const MAX_ENTRIES: usize = 200_000;

type Key = (String, String, Option<String>, String);

#[derive(Default)]
struct Kept {
    /// Grows with every revocation: an answer that was asked for before one is not kept.
    generation: u64,
    entries: HashMap<Key, (bool, &'static str, Instant)>,
}

/// The cache; only permits and denials are in it, never failures.
pub struct Cache {
    life: Duration,
    kept: Mutex<Kept>,
}

impl Cache {
    /// A cache whose entries live this long.
    pub fn new(life: Duration) -> Self {
        Self { life, kept: Mutex::default() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the last revocation, to be handed back with [`Cache::put`].
    pub fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// A decision on `record`: permitted or not, and why.
    pub fn get(
        &self,
        subject: &str,
        purpose: &str,
        project: Option<&str>,
        record: &str,
    ) -> Option<(bool, &'static str)> {
        let key = (subject.to_owned(), purpose.to_owned(), project.map(str::to_owned), record.to_owned());
        let kept = self.lock();
        let (permit, reason, until) = kept.entries.get(&key)?;
        (*until > Instant::now()).then_some((*permit, *reason))
    }

    /// Keeps a decision that was asked for in `generation`.
    pub fn put(
        &self,
        generation: u64,
        key: (&str, &str, Option<&str>, &str),
        decision: (bool, &'static str),
    ) {
        if self.life.is_zero() {
            return;
        }
        let mut kept = self.lock();
        if kept.generation != generation {
            return;
        }
        if kept.entries.len() >= MAX_ENTRIES {
            let now = Instant::now();
            kept.entries.retain(|_, (_, _, until)| *until > now);
            if kept.entries.len() >= MAX_ENTRIES {
                kept.entries.clear();
            }
        }
        let (subject, purpose, project, record) = key;
        let key = (subject.to_owned(), purpose.to_owned(), project.map(str::to_owned), record.to_owned());
        kept.entries.insert(key, (decision.0, decision.1, Instant::now() + self.life));
    }

    /// Drops decisions on these records; all where there are none.
    pub fn revoke(&self, records: &[String]) {
        let mut kept = self.lock();
        kept.generation += 1;
        if records.is_empty() {
            kept.entries.clear();
        } else {
            kept.entries.retain(|(_, _, _, record), _| !records.contains(record));
        }
    }
}
