//! Linkage quality on invented sets of two sites.

use std::path::Path;

use super::Tally;

/// A folder with `a.tsv` and `b.tsv`.
pub fn run(_tally: &mut Tally<'_>, _folder: &Path) {}
