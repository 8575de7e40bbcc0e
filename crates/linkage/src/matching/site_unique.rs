//! Our matcher: every pair of records of two sites at or above the threshold is found, then groups are
//! built from the most similar pair down, with at most one record per site.
//!
//! Two groups become one only if no site is in both and **every** pair across them reaches the
//! threshold. Equal scores are taken in an order that depends on names of sites and bits of filters only.

use std::cmp::Ordering;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use super::blocking::{Blocking, BlockingReport, Buckets};
use super::prepared::{Prepared, places};
use super::{Group, MatchError, Record, Watch};
use crate::dice::{Kernel, Least, Share, Threshold, Tile, dice};
use crate::filters::FilterSet;

/// Most pairs at or above the threshold that are kept in memory (24 bytes each).
pub const MAX_CANDIDATES: usize = 20_000_000;

/// Filters of the second site in a tile: 64 of 3000 bits are 24 KiB, which stay in the first cache.
const TILE: usize = 64;

/// Filters of the first site that are compared with a tile: enough for laying it out to cost nearly nothing.
const ROWS: usize = 256;

/// Listed pairs that a thread takes at a time.
const LISTED: usize = 4096;

/// How to match.
#[derive(Debug, Clone)]
pub struct Options {
    /// Least similarity, inclusive.
    pub threshold: Threshold,
    /// Threads that compare. The result does not depend on it.
    pub threads: NonZeroUsize,
    /// Compare only records that share a block; `None` compares all and loses nothing.
    pub blocking: Option<Blocking>,
    /// How common bits are counted. The result does not depend on it.
    pub kernel: Kernel,
    /// Tells how far it is, and stops it.
    pub watch: Arc<Watch>,
}

impl Options {
    /// One thread, no blocking, the fastest kernel.
    #[must_use]
    pub fn new(threshold: Threshold) -> Options {
        Options {
            threshold,
            threads: NonZeroUsize::MIN,
            blocking: None,
            kernel: Kernel::detect(),
            watch: Arc::default(),
        }
    }
}

/// What a matching cost and what it may have lost. Numbers only.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    /// Pairs of records of different sites.
    pub pairs: u64,
    /// Pairs whose common bits were counted; popcounts (and blocking) decided on the others.
    pub compared: u64,
    /// Pairs at or above the threshold.
    pub candidates: u64,
    /// What blocking is expected to have lost; `None` without blocking, which loses nothing.
    pub blocking: Option<BlockingReport>,
}

/// Groups and what they cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Matches {
    /// All records, each in one group; members in the order of sites, groups in the order of their first
    /// members.
    pub groups: Vec<Group>,
    /// What it cost.
    pub report: Report,
}

/// A pair at or above the threshold. Places are those in canonical order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub score: f64,
    /// (site, place) of both, the lower site first.
    pub first: (u32, u32),
    pub second: (u32, u32),
}

impl Candidate {
    fn before(&self, other: &Candidate) -> Ordering {
        let places = |pair: &Candidate| (pair.first, pair.second);
        other.score.total_cmp(&self.score).then_with(|| places(self).cmp(&places(other)))
    }
}

/// One site in canonical order: by popcount, then by bits.
pub(super) struct Site {
    /// Place in the input.
    input: usize,
    /// For every place its index in the input.
    order: Vec<usize>,
    pub filters: Prepared,
}

impl Site {
    pub fn new(input: usize, set: &FilterSet) -> Site {
        let counts: Vec<u32> = set.iter().map(|f| f.iter().map(|word| word.count_ones()).sum()).collect();
        let mut order: Vec<usize> = (0..set.len()).collect();
        order.sort_by(|a, b| {
            counts[*a].cmp(&counts[*b]).then_with(|| set.get(*a).cmp(&set.get(*b))).then_with(|| a.cmp(b))
        });
        let filters = Prepared::new(set, order.iter().copied());
        Site { input, order, filters }
    }
}

/// Matches the records of several sites, at most one of each site in a group. `names` tell the sites
/// apart (their identifiers); they order equal scores, so that the order of input does not matter.
/// Sites without a name count as named by their place.
///
/// # Errors
/// When the sets were made in different ways, too many pairs reach the threshold, or the watch stops it.
pub fn site_unique(sets: &[FilterSet], names: &[&str], options: &Options) -> Result<Matches, MatchError> {
    FilterSet::check(sets)?;
    let Some(bits) = sets.first().map(|set| set.header().bits) else {
        return Ok(Matches { groups: Vec::new(), report: Report::default() });
    };
    let mut sites: Vec<usize> = (0..sets.len()).collect();
    sites.sort_by_key(|site| (names.get(*site).copied().unwrap_or_default(), *site));
    let sites: Vec<Site> = sites.into_iter().map(|site| Site::new(site, &sets[site])).collect();
    let least = Least::new(options.threshold, bits);
    let search = Search { options, least: &least, found: Mutex::default(), full: AtomicBool::new(false) };
    let mut report = Report::default();
    let buckets = match &options.blocking {
        None => None,
        Some(blocking) => Some(Buckets::new(blocking, &sites, bits, &options.watch)?),
    };
    let each = || (0..sites.len()).flat_map(|second| (0..second).map(move |first| (first, second)));
    for (first, second) in each() {
        options.watch.expect(match &buckets {
            None => sites[first].order.len() as u64 * sites[second].order.len() as u64,
            Some(buckets) => buckets.pairs(first, second).len() as u64,
        });
    }
    for (first, second) in each() {
        let (a, b) = (&sites[first], &sites[second]);
        report.pairs += a.order.len() as u64 * b.order.len() as u64;
        report.compared += match &buckets {
            None => search.all((first as u32, a), (second as u32, b)),
            Some(buckets) => search.listed((first as u32, a), (second as u32, b), buckets),
        };
    }
    if options.watch.is_stopped() {
        return Err(MatchError::Cancelled);
    }
    if search.full.load(Relaxed) {
        return Err(MatchError::TooManyCandidates);
    }
    // A poisoned lock only says that a thread panicked, which the scope has already passed on.
    let mut candidates = search.found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    report.candidates = candidates.len() as u64;
    report.blocking = buckets.map(|buckets| buckets.report(&candidates, &sites, options.threshold));
    candidates.sort_unstable_by(Candidate::before);
    Ok(Matches { groups: build(&sites, &candidates, &least, options.kernel), report })
}

/// Looks for pairs at or above the threshold.
struct Search<'a> {
    options: &'a Options,
    least: &'a Least,
    found: Mutex<Vec<Candidate>>,
    full: AtomicBool,
}

impl Search<'_> {
    /// Runs `work` for 0 to `parts` on all threads and adds up what it returns.
    fn parallel(&self, parts: usize, work: impl Fn(usize, &mut Vec<Candidate>) -> u64 + Sync) -> u64 {
        let next = AtomicUsize::new(0);
        let run = || {
            let (mut found, mut compared) = (Vec::new(), 0);
            while !self.full.load(Relaxed) && !self.options.watch.is_stopped() {
                let part = next.fetch_add(1, Relaxed);
                if part >= parts {
                    break;
                }
                compared += work(part, &mut found);
                self.keep(&mut found);
            }
            compared
        };
        let threads = self.options.threads.get().min(parts.max(1));
        if threads == 1 {
            return run();
        }
        std::thread::scope(|scope| {
            let handles: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
            handles
                .into_iter()
                .map(|handle| match handle.join() {
                    Ok(compared) => compared,
                    Err(panic) => std::panic::resume_unwind(panic),
                })
                .sum()
        })
    }

    fn keep(&self, found: &mut Vec<Candidate>) {
        let mut all = self.found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if all.len() + found.len() > MAX_CANDIDATES {
            self.full.store(true, Relaxed);
        } else {
            all.append(found);
        }
    }

    /// All pairs that popcounts allow, tile by tile.
    fn all(&self, (first, a): (u32, &Site), (second, b): (u32, &Site)) -> u64 {
        let share = Share::new(self.options.threshold);
        self.parallel(a.order.len().div_ceil(ROWS), |part, found| {
            let rows = part * ROWS..((part + 1) * ROWS).min(a.order.len());
            // For every row the places of `b` that its popcount allows.
            let windows: Vec<_> = rows.clone().map(|row| self.window(a.filters.counts[row], b)).collect();
            let needs: Vec<u64> = rows.clone().map(|row| share.need(a.filters.counts[row])).collect();
            let from = windows.iter().map(|window| window.start).min().unwrap_or(0);
            let to = windows.iter().map(|window| window.end).max().unwrap_or(0);
            let (mut tile, mut hits) = (Tile::default(), Vec::new());
            let mut compared = 0;
            for start in (from..to).step_by(TILE) {
                let columns = start..to.min(start + TILE);
                let inside = |window: &Range<usize>| window.start < columns.end && window.end > columns.start;
                // Rows are in the order of popcounts, so that those with a place here lie together.
                let (Some(top), Some(last)) =
                    (windows.iter().position(inside), windows.iter().rposition(inside))
                else {
                    continue;
                };
                let some = rows.start + top..rows.start + last + 1;
                tile.fill(
                    b.filters.stride,
                    b.filters.slice(columns.clone()),
                    &b.filters.counts[columns],
                    share,
                );
                hits.resize(some.len() * tile.blocks(), 0);
                self.options.kernel.reach(
                    a.filters.slice(some.clone()),
                    &needs[top..=last],
                    &tile,
                    &mut hits,
                );
                for ((row, window), hits) in
                    some.zip(&windows[top..=last]).zip(hits.chunks_exact(tile.blocks()))
                {
                    compared += window.end.min(start + TILE).saturating_sub(window.start.max(start)) as u64;
                    for place in places(hits) {
                        self.look((first, a, row), (second, b, start + place), found);
                    }
                }
            }
            self.options.watch.add(rows.len() as u64 * b.order.len() as u64);
            compared
        })
    }

    /// The pairs that share a block.
    fn listed(&self, (first, a): (u32, &Site), (second, b): (u32, &Site), buckets: &Buckets) -> u64 {
        let pairs = buckets.pairs(first as usize, second as usize);
        self.parallel(pairs.len().div_ceil(LISTED), |part, found| {
            let mut compared = 0;
            let pairs = pairs.get(part * LISTED..).unwrap_or_default();
            let pairs = pairs.get(..LISTED).unwrap_or(pairs);
            for (row, column) in pairs {
                let (row, column) = (*row as usize, *column as usize);
                if !self.window(a.filters.counts[row], b).contains(&column) {
                    continue;
                }
                compared += 1;
                self.look((first, a, row), (second, b, column), found);
            }
            self.options.watch.add(pairs.len() as u64);
            compared
        })
    }

    /// Places of `site` whose popcounts allow a similarity at the threshold.
    fn window(&self, count: u32, site: &Site) -> std::ops::Range<usize> {
        let Some(partners) = self.least.partners(count) else { return 0..0 };
        let counts = &site.filters.counts;
        counts.partition_point(|other| other < partners.start())
            ..counts.partition_point(|other| other <= partners.end())
    }

    /// Keeps a pair that reaches the threshold.
    fn look(
        &self,
        (first, a, row): (u32, &Site, usize),
        (second, b, column): (u32, &Site, usize),
        found: &mut Vec<Candidate>,
    ) {
        let mut common = [0];
        self.options.kernel.common(a.filters.get(row), b.filters.get(column), &mut common);
        let (in_a, in_b) = (a.filters.counts[row], b.filters.counts[column]);
        if common[0] >= self.least.common(in_a, in_b) {
            // Places fit: sets hold at most MAX_FILTERS.
            found.push(Candidate {
                score: dice(common[0], in_a, in_b),
                first: (first, row as u32),
                second: (second, column as u32),
            });
        }
    }
}

/// Groups from the most similar pair down.
fn build(sites: &[Site], candidates: &[Candidate], least: &Least, kernel: Kernel) -> Vec<Group> {
    // Every record starts as its own group; `group_of` follows merges.
    let mut group_of: Vec<Vec<usize>> = Vec::new();
    let mut groups: Vec<Vec<(usize, usize)>> = Vec::new();
    for (site, records) in sites.iter().enumerate() {
        group_of.push((groups.len()..groups.len() + records.order.len()).collect());
        groups.extend((0..records.order.len()).map(|place| vec![(site, place)]));
    }
    let similar = |a: &(usize, usize), b: &(usize, usize)| {
        let (x, y) = (&sites[a.0].filters, &sites[b.0].filters);
        let mut common = [0];
        kernel.common(x.get(a.1), y.get(b.1), &mut common);
        common[0] >= least.common(x.counts[a.1], y.counts[b.1])
    };
    for candidate in candidates {
        let of = |(site, place): (u32, u32)| group_of[site as usize][place as usize];
        let (a, b) = (of(candidate.first), of(candidate.second));
        if a == b {
            continue;
        }
        let (left, right) = (&groups[a], &groups[b]);
        let apart = left.iter().all(|x| right.iter().all(|y| x.0 != y.0));
        let pairs_only = left.len() == 1 && right.len() == 1;
        if apart && (pairs_only || left.iter().all(|x| right.iter().all(|y| similar(x, y)))) {
            let moved = std::mem::take(&mut groups[b]);
            for (site, place) in &moved {
                group_of[*site][*place] = a;
            }
            groups[a].extend(moved);
        }
    }
    let record = |(site, place): &(usize, usize)| Record {
        site: sites[*site].input,
        index: sites[*site].order[*place],
    };
    let mut groups: Vec<Group> = groups
        .iter()
        .filter(|group| !group.is_empty())
        .map(|group| group.iter().map(record).collect())
        .collect();
    groups.iter_mut().for_each(|group| group.sort_unstable());
    groups.sort_unstable();
    groups
}
