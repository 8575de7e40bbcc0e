//! The matcher of HiGHmed 0.9 (record-linkage.md 6). Where the original resolves equal scores by the
//! identity of objects, the group that was founded first wins.

use super::prepared::Prepared;
use super::{Group, MatchError, Record, Watch};
use crate::dice::{Kernel, dice};
use crate::filters::FilterSet;

/// How a record is scored against a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// By the record that joined first.
    First,
    /// By the record that joined last.
    Last,
    /// By the most similar record.
    Max,
    /// By the least similar record. What both processes use.
    Min,
    /// By the mean.
    Average,
    /// By the median; for an even number by the mean of the two in the middle.
    Median,
    /// Always 0: no record joins any other.
    None,
}

impl Strategy {
    fn score(self, scores: &mut [f64]) -> f64 {
        match self {
            Strategy::First => scores.first().copied(),
            Strategy::Last => scores.last().copied(),
            // Not f64::max and min, which leave NaN out.
            Strategy::Max => scores.iter().copied().reduce(|a, b| if a >= b || a.is_nan() { a } else { b }),
            Strategy::Min => scores.iter().copied().reduce(|a, b| if a <= b || a.is_nan() { a } else { b }),
            Strategy::Average => (!scores.is_empty()).then(|| compensated_sum(scores) / scores.len() as f64),
            Strategy::Median => {
                scores.sort_by(f64::total_cmp);
                let middle = scores.len() / 2;
                match scores.len() % 2 {
                    0 => middle.checked_sub(1).map(|lower| (scores[lower] + scores[middle]) / 2.0),
                    _ => scores.get(middle).copied(),
                }
            }
            Strategy::None => Some(0.0),
        }
        .unwrap_or(0.0)
    }
}

/// The sum as the mean of a Java stream adds up, so that scores at the threshold fall to the same side.
fn compensated_sum(scores: &[f64]) -> f64 {
    let (mut sum, mut compensation) = (0.0, 0.0);
    for score in scores {
        let corrected = score - compensation;
        let larger: f64 = sum + corrected;
        compensation = (larger - sum) - corrected;
        sum = larger;
    }
    sum - compensation
}

/// Groups of records, with those that have been seen laid out for comparison.
struct Groups {
    kernel: Kernel,
    strategy: Strategy,
    threshold: f64,
    seen: Prepared,
    /// Who each seen record is.
    records: Vec<Record>,
    /// Places of the members among those seen.
    groups: Vec<Vec<usize>>,
    /// Groups that the next record may join.
    visible: usize,
    /// Common bits of the record at hand with the first of those seen.
    common: Vec<u32>,
}

impl Groups {
    fn new(stride_of: &FilterSet, strategy: Strategy, threshold: f64) -> Groups {
        Groups {
            kernel: Kernel::detect(),
            strategy,
            threshold,
            seen: Prepared::new(stride_of, std::iter::empty()),
            records: Vec::new(),
            groups: Vec::new(),
            visible: 0,
            common: Vec::new(),
        }
    }

    fn finish(self) -> Vec<Group> {
        let member = |place: &usize| self.records[*place];
        self.groups.iter().map(|group| group.iter().map(member).collect()).collect()
    }

    /// Adds a record. The first `bulk` of those seen are compared with it all at once, the others when they
    /// are asked for.
    fn add(&mut self, record: Record, filter: &[u64], bulk: usize) {
        let place = self.seen.counts.len();
        self.records.push(record);
        self.seen.push(filter);
        let count = self.seen.counts[place];
        self.common.resize(bulk, 0);
        if self.visible > 0 && self.strategy != Strategy::None {
            self.kernel.common(self.seen.get(place), self.seen.slice(0..bulk), &mut self.common);
        }
        let with = |other: usize| {
            let mut common = [0];
            match self.common.get(other) {
                Some(known) => common[0] = *known,
                None => self.kernel.common(self.seen.get(place), self.seen.get(other), &mut common),
            }
            dice(common[0], count, self.seen.counts[other])
        };
        let reaches = |score: f64| score >= self.threshold;
        let mut best: Option<(f64, usize)> = None;
        let mut scores = Vec::new();
        for (index, group) in self.groups[..self.visible].iter().enumerate() {
            let score = match (self.strategy, group.as_slice()) {
                (Strategy::None, _) => 0.0,
                // Every strategy gives the only score.
                (_, [only]) => with(*only),
                // The least score is no higher than the first; a NaN stays one.
                (Strategy::Min, [first, ..]) if !reaches(with(*first)) => continue,
                (strategy, members) => {
                    scores.clear();
                    scores.extend(members.iter().map(|member| with(*member)));
                    strategy.score(&mut scores)
                }
            };
            if reaches(score) && best.is_none_or(|(highest, _)| score > highest) {
                best = Some((score, index));
            }
        }
        match best {
            Some((_, index)) => self.groups[index].push(place),
            None => self.groups.push(vec![place]),
        }
    }
}

/// Matches the records of several sites: the largest set founds a group per record, the others follow in
/// the order of input. Groups founded by a set can be joined by the sets after it. `threshold` is
/// inclusive.
///
/// # Errors
/// When the sets were made in different ways.
pub fn compatible(sets: &[FilterSet], strategy: Strategy, threshold: f64) -> Result<Vec<Group>, MatchError> {
    compatible_watched(sets, strategy, threshold, &Watch::default())
}

/// As [`compatible`], with progress in pairs of records of different sites, and a way to stop.
///
/// # Errors
/// When the sets were made in different ways, or the watch stops it.
pub fn compatible_watched(
    sets: &[FilterSet],
    strategy: Strategy,
    threshold: f64,
    watch: &Watch,
) -> Result<Vec<Group>, MatchError> {
    FilterSet::check(sets)?;
    let mut seen = 0;
    for set in sets {
        watch.expect(seen * set.len() as u64);
        seen += set.len() as u64;
    }
    // The first of the largest.
    let Some(largest) = (0..sets.len()).rev().max_by_key(|site| sets[*site].len()) else {
        return Ok(Vec::new());
    };
    let mut groups = Groups::new(&sets[largest], strategy, threshold);
    for site in [largest].into_iter().chain((0..sets.len()).filter(|site| *site != largest)) {
        groups.visible = groups.groups.len();
        let bulk = groups.records.len();
        for (index, filter) in sets[site].iter().enumerate() {
            if watch.is_stopped() {
                return Err(MatchError::Cancelled);
            }
            // Those that founded a group in this set cannot be joined by it.
            groups.add(Record { site, index }, filter, bulk);
            watch.add(bulk as u64);
        }
    }
    Ok(groups.finish())
}

/// Matches the records of one site among each other, in their order; new groups can be joined at once.
#[must_use]
pub fn compatible_single(set: &FilterSet, strategy: Strategy, threshold: f64) -> Vec<Group> {
    let mut groups = Groups::new(set, strategy, threshold);
    for (index, filter) in set.iter().enumerate() {
        groups.visible = groups.groups.len();
        groups.add(Record { site: 0, index }, filter, index);
    }
    groups.finish()
}
