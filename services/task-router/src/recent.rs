//! Tasks as they were last seen here, so that a change of status need not read them again.
//!
//! Only a shortcut: every write names the version it replaces, and what is not here is read.
use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use fhir::Resource;

/// Tasks kept at most. More are in work only during a burst, which then reads.
const MAX_TASKS: usize = 256;
/// Largest Task that is kept, in bytes of JSON.
pub(crate) const MAX_BYTES: usize = 64 * 1024;
/// How long a Task is kept: the first change of its status follows within a second.
const AGE: Duration = Duration::from_secs(30);

/// The Tasks of one replica.
#[derive(Default)]
pub(crate) struct Recent {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    tasks: HashMap<String, (Instant, Resource)>,
    /// Oldest first; also of Tasks that were taken or kept anew since.
    order: VecDeque<(Instant, String)>,
}

impl Recent {
    /// Keeps a Task of the own endpoint under its reference.
    pub(crate) fn keep(&self, reference: &str, task: Resource) {
        self.lock().keep(Instant::now(), reference, task);
    }

    /// The Task as last seen, to be kept again by who goes on with it.
    pub(crate) fn take(&self, reference: &str) -> Option<Resource> {
        self.lock().take(Instant::now(), reference)
    }

    /// Nothing is half done under the lock.
    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn keep(&mut self, now: Instant, reference: &str, task: Resource) {
        self.forget(now);
        if self.order.len() < MAX_TASKS {
            self.tasks.insert(reference.to_owned(), (now, task));
            self.order.push_back((now, reference.to_owned()));
        }
    }

    fn take(&mut self, now: Instant, reference: &str) -> Option<Resource> {
        self.forget(now);
        self.tasks.remove(reference).map(|(_, task)| task)
    }

    /// Forgets what is too old, and how old that was which is here no more.
    fn forget(&mut self, now: Instant) {
        while let Some((since, reference)) = self.order.front() {
            let held = self.tasks.get(reference).is_some_and(|(kept, _)| kept == since);
            if held && now.duration_since(*since) < AGE {
                return;
            }
            if held {
                self.tasks.remove(reference);
            }
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(version: u64) -> Resource {
        let mut task = Resource::new("Task");
        task.set_meta(version, "2026-01-01T00:00:00Z");
        task
    }

    #[test]
    fn the_last_one_is_taken_once() {
        let (mut kept, now) = (Kept::default(), Instant::now());
        kept.keep(now, "Task/1", task(1));
        kept.keep(now + AGE / 2, "Task/1", task(2));
        assert_eq!(kept.take(now + AGE, "Task/1"), Some(task(2)), "the older entry's age is not its age");
        assert_eq!(kept.take(now + AGE, "Task/1"), None);
        assert!(kept.order.is_empty());
    }

    #[test]
    fn neither_old_nor_many_are_kept() {
        let (mut kept, now) = (Kept::default(), Instant::now());
        for index in 0..=MAX_TASKS {
            kept.keep(now, &format!("Task/{index}"), task(1));
        }
        assert_eq!(kept.tasks.len(), MAX_TASKS);
        assert_eq!(kept.take(now, &format!("Task/{MAX_TASKS}")), None, "one too many");
        kept.keep(now + AGE, "Task/new", task(1));
        assert_eq!((kept.tasks.len(), kept.order.len()), (1, 1));
    }
}
