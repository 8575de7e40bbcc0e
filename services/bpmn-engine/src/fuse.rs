//! Points at which a test lets the engine die. A setting and not a feature of the build, so that the very
//! program dies that hospitals run; without the setting a point costs one look at an `Option`.
//!
//! A point is `<what>/<place>` or `<what>/<place>/<n>`: the n-th time (from 1) that an input of this kind
//! comes to this place of its transaction.
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;

/// What can be named: kinds of inputs, and the transactions that are none.
const KINDS: [&str; 18] = [
    "deliver",
    "refuse",
    "job-done",
    "job-send",
    "job-fault",
    "job-rejected",
    "bpmn-error",
    "send-failed",
    "form-created",
    "written",
    "timer",
    "own-work",
    "operation",
    "user-task",
    "lease-over",
    "admit",
    "expire",
    "claim",
];
/// Transactions that are no inputs of the stepper.
const OTHERS: [&str; 3] = ["claim-write-back", "deploy", "start-timer"];

/// A place in a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Everything is written, nothing is committed.
    BeforeCommit,
    /// It is committed, nobody knows.
    AfterCommit,
    /// The asker knows; hints, timers and what follows are not under way.
    AfterAnswer,
}

/// Where to die.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Point {
    kind: String,
    place: Place,
    nth: u32,
}

impl TryFrom<String> for Point {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut parts = text.split('/');
        let kind = parts.next().unwrap_or_default();
        if !KINDS.contains(&kind) && !OTHERS.contains(&kind) {
            return Err(format!("'{kind}' is no kind of point: use one of {KINDS:?} or {OTHERS:?}"));
        }
        let place = match parts.next() {
            Some("before-commit") => Place::BeforeCommit,
            Some("after-commit") => Place::AfterCommit,
            Some("after-answer") => Place::AfterAnswer,
            _ => return Err("a point has a place: before-commit, after-commit or after-answer".to_owned()),
        };
        let nth = match parts.next() {
            Some(nth) => nth.parse().map_err(|_| format!("'{nth}' is no number"))?,
            None => 1,
        };
        Ok(Self { kind: kind.to_owned(), place, nth })
    }
}

/// Counts down to the point.
#[derive(Debug)]
pub struct Fuse {
    point: Option<Point>,
    passed: AtomicU32,
}

impl Fuse {
    /// Lit when there is a point.
    pub fn new(point: Option<Point>) -> Self {
        if let Some(point) = &point {
            tracing::warn!(kind = point.kind, place = ?point.place, "this process will die on purpose");
        }
        Self { point, passed: AtomicU32::new(0) }
    }

    /// True when this is the point.
    pub fn burns_at(&self, kind: &str, place: Place) -> bool {
        let here = self.point.as_ref().filter(|point| point.kind == kind && point.place == place);
        here.is_some_and(|point| self.passed.fetch_add(1, Ordering::Relaxed) + 1 == point.nth)
    }

    /// Dies when this is the point.
    pub fn pass(&self, kind: &str, place: Place) {
        if self.burns_at(kind, place) {
            die();
        }
    }
}

/// Ends this process at once: no destructor runs, nothing is flushed.
pub fn die() {
    // It fails for no reason that leaves the process alive.
    let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points() {
        let point = |text: &str| Point::try_from(text.to_owned());
        assert_eq!(point("timer/after-commit/3").map(|point| point.nth), Ok(3));
        assert!(point("timer").is_err() && point("x/after-commit").is_err());
        let fuse = Fuse::new(point("timer/after-commit/2").ok());
        let burns = || fuse.burns_at("timer", Place::AfterCommit);
        assert!(!fuse.burns_at("timer", Place::BeforeCommit));
        assert_eq!([burns(), burns(), burns()], [false, true, false]);
    }
}
