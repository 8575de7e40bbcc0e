//! Finds the records of several sites that belong to one person.
//!
//! [`compatible`] repeats the matcher of HiGHmed 0.9, which lets several records of a site into one
//! group. [`site_unique`] is ours: one record per site and group, and a result that does not depend on
//! the order of sites and records.

mod blocking;
mod compatible;
mod prepared;
mod site_unique;
mod watch;

pub use blocking::{Blocking, BlockingError, BlockingReport, MAX_PAIRS};
pub use compatible::{Strategy, compatible, compatible_single, compatible_watched};
pub use site_unique::{MAX_CANDIDATES, Matches, Options, Report, site_unique};
pub use watch::Watch;

use crate::filters::HeaderMismatch;

/// One record: the site's place in the input and the record's place in its set, both from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record {
    /// Place of the site.
    pub site: usize,
    /// Place of the record.
    pub index: usize,
}

/// Records that are taken for one person, in the order of joining.
pub type Group = Vec<Record>;

/// Sets that cannot be matched.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MatchError {
    /// They were made in different ways.
    #[error(transparent)]
    Header(#[from] HeaderMismatch),
    /// More pairs reach the threshold than fit into memory.
    #[error("more than {MAX_CANDIDATES} pairs reach the threshold: raise it")]
    TooManyCandidates,
    /// Somebody asked the [`Watch`] for it.
    #[error("the matching was cancelled")]
    Cancelled,
    /// Blocking that this length of filters does not allow.
    #[error(transparent)]
    Blocking(#[from] BlockingError),
}
