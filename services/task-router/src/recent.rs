//! Versions of resources that were just read or written here, so that a write-back need not read them
//! again. Only a saving: every write names the version it replaces, and after a conflict the endpoint is
//! asked; another replica, or this one after its death, reads.
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use fhir::{Format, Resource};

/// Most resources that are kept.
const KEPT: usize = 256;
/// Longest JSON text that is kept, in bytes; so all together are at most 8 MiB.
const LONGEST: usize = 32 * 1024;

/// Reference and JSON text, oldest first.
#[derive(Clone, Default)]
pub(crate) struct Recent(Arc<Mutex<VecDeque<(String, Vec<u8>)>>>);

impl Recent {
    /// Keeps a version, in place of an older one.
    pub(crate) fn keep(&self, reference: &str, json: Vec<u8>) {
        if json.len() > LONGEST {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(other, _)| other != reference);
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back((reference.to_owned(), json));
    }

    /// Takes a version out: who cannot use it reads.
    pub(crate) fn take(&self, reference: &str) -> Option<Resource> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(other, _)| other == reference)?;
        let (_, json) = kept.remove(at)?;
        drop(kept);
        fhir::parse(&json, Format::Json).ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_given_once_and_the_oldest_resources_go() {
        let recent = Recent::default();
        let task = |version: &str| {
            format!(r#"{{"resourceType":"Task","meta":{{"versionId":"{version}"}},"status":"requested"}}"#)
        };
        recent.keep("Task/a", task("1").into());
        recent.keep("Task/a", task("2").into());
        assert_eq!(recent.take("Task/a").unwrap().version_id(), Some("2"));
        assert!(recent.take("Task/a").is_none());
        recent.keep("Task/long", vec![b' '; LONGEST + 1]);
        for n in 0..=KEPT {
            recent.keep(&format!("Task/{n}"), task("1").into());
        }
        for (reference, kept) in [("Task/long", false), ("Task/0", false), ("Task/1", true)] {
            assert_eq!(recent.take(reference).is_some(), kept, "{reference}");
        }
    }
}
