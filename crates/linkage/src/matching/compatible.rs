//! The matcher of HiGHmed 0.9 (record-linkage.md 6). Where the original resolves equal scores by the
//! identity of objects, the group that was founded first wins.

use super::prepared::{Prepared, places};
use super::{Group, MatchError, Record, Watch};
use crate::dice::{Kernel, Share, Threshold, Tile, dice};
use crate::filters::FilterSet;

/// Records that are compared at once with those seen, and how many of those at a time: see the tiles of
/// our own matcher.
const ROWS: usize = 256;
const TILE: usize = 64;

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
    /// For every seen record the group that it founded.
    founded: Vec<Option<usize>>,
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
            founded: Vec::new(),
            visible: 0,
            common: Vec::new(),
        }
    }

    fn finish(self) -> Vec<Group> {
        let member = |place: &usize| self.records[*place];
        self.groups.iter().map(|group| group.iter().map(member).collect()).collect()
    }

    /// Adds a record that may join every visible group. The first `bulk` of those seen are compared with it
    /// all at once, the others when they are asked for.
    fn add(&mut self, record: Record, filter: &[u64], bulk: usize) {
        let place = self.see(record, filter);
        self.common.resize(bulk, 0);
        if self.visible > 0 && self.strategy != Strategy::None {
            self.kernel.common(self.seen.get(place), self.seen.slice(0..bulk), &mut self.common);
        }
        self.join(place, 0..self.visible);
    }

    fn see(&mut self, record: Record, filter: &[u64]) -> usize {
        self.records.push(record);
        self.seen.push(filter);
        self.founded.push(None);
        self.seen.counts.len() - 1
    }

    /// Puts the record at a place into the best of some groups, in ascending order, or into one of its own.
    fn join(&mut self, place: usize, groups: impl Iterator<Item = usize>) {
        let count = self.seen.counts[place];
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
        for index in groups {
            let score = match (self.strategy, self.groups[index].as_slice()) {
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
            None => {
                self.founded[place] = Some(self.groups.len());
                self.groups.push(vec![place]);
            }
        }
    }

    /// The share of the threshold, where a group can be joined only if its first record reaches it: then
    /// integers decide on nearly all pairs.
    fn first_decides(&self) -> Option<Share> {
        let decides = matches!(self.strategy, Strategy::Min | Strategy::First);
        decides.then(|| Threshold::new(self.threshold).ok()).flatten().map(Share::new)
    }

    /// For each of some filters the visible groups whose first record may reach the threshold, in ascending
    /// order. `bulk` are those seen before their set.
    fn near(&self, rows: &Prepared, bulk: usize, share: Share) -> Vec<Vec<usize>> {
        let mut near = vec![Vec::new(); rows.counts.len()];
        let needs: Vec<u64> = rows.counts.iter().map(|count| share.need(*count)).collect();
        let (mut tile, mut hits) = (Tile::default(), Vec::new());
        for start in (0..bulk).step_by(TILE) {
            let some = start..bulk.min(start + TILE);
            tile.fill(rows.stride, self.seen.slice(some.clone()), &self.seen.counts[some], share);
            hits.resize(needs.len() * tile.blocks(), 0);
            self.kernel.reach(&rows.words, &needs, &tile, &mut hits);
            for (groups, hits) in near.iter_mut().zip(hits.chunks_exact(tile.blocks())) {
                // Groups have the order of their first records.
                groups.extend(places(hits).filter_map(|place| self.founded[start + place]));
            }
        }
        near
    }

    /// Adds all records of a set.
    fn add_set(&mut self, site: usize, set: &FilterSet, watch: &Watch) -> Result<(), MatchError> {
        self.visible = self.groups.len();
        // Those that founded a group in this set cannot be joined by it.
        let bulk = self.records.len();
        let share = self.first_decides();
        for from in (0..set.len()).step_by(ROWS) {
            let rows = from..set.len().min(from + ROWS);
            let near = share.map(|share| self.near(&Prepared::new(set, rows.clone()), bulk, share));
            for index in rows {
                if watch.is_stopped() {
                    return Err(MatchError::Cancelled);
                }
                let (record, filter) = (Record { site, index }, set.get(index).unwrap_or_default());
                match near.as_ref().and_then(|near| near.get(index - from)) {
                    Some(groups) => {
                        let place = self.see(record, filter);
                        self.join(place, groups.iter().copied());
                    }
                    None => self.add(record, filter, bulk),
                }
                watch.add(bulk as u64);
            }
        }
        Ok(())
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
        groups.add_set(site, &sets[site], watch)?;
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
