//! A million by a million: all pairs computed from a tile, and blocked in fact, with memory, progress and an
//! early end. Filters are random, since a million persons would take longer to invent than to compare.
use std::{
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use linkage::{
    encode::{RECOMMENDED_THRESHOLD, wire_header},
    filters::{FilterSet, Header},
    matching::{Blocking, MatchError, Matches, Options, Watch, site_unique},
    profile::WireProfile,
};
use rand::{Rng, rngs::StdRng};

use super::clock::{forget_peak, peak, timed};

const MILLION: usize = 1_000_000;
/// Records of a site in the tile that the match of all pairs is computed from.
const TILE: usize = 40_000;
/// Length of the filters, and words in them.
const BITS: u32 = 1024;
const WORDS: usize = 16;
/// Bits of a record of both sites that are drawn again at the second, at most: half of them change. With so
/// many a pair is just at a similarity of 0.8.
const REDRAWN: usize = 400;
/// Tables that a million records have blocks of the right size in.
const BLOCKING: Blocking = Blocking { tables: 20, sample: 20, seed: 1 };
/// How often somebody looks at the progress.
const LOOK: Duration = Duration::from_millis(100);

/// Measures both.
pub fn million(random: &mut StdRng, threads: NonZeroUsize) -> Result<()> {
    let mut cores = vec![NonZeroUsize::MIN];
    cores.extend((threads.get() > 1).then_some(threads));
    println!(
        "\n## A million by a million, {BITS} bits\n\nAll pairs, computed from {TILE} × {TILE}:\n\n| Cores | Seconds | on processors | Pairs compared | M pairs/s of a processor | A million by a million, minutes |\n| --- | --- | --- | --- | --- | --- |"
    );
    let sites = two_sites(TILE, random)?;
    for threads in &cores {
        let mut options = Options::new(RECOMMENDED_THRESHOLD);
        options.threads = *threads;
        let (matches, took) = timed(|| site_unique(&sites, &["a", "b"], &options));
        let compared = matches?.report.compared;
        println!(
            "| {threads} | {:.2} | {:.2} | {compared} | {:.0} | {:.0} |",
            took.wall,
            took.busy,
            compared as f64 / took.busy / 1e6,
            took.wall * (MILLION as f64 / TILE as f64).powi(2) / 60.0
        );
    }
    let sites = two_sites(MILLION, random)?;
    println!(
        "\nBlocked, {} tables of {} bits, a million by a million in fact:\n\n| Cores | Seconds | on processors | Pairs compared | Expected loss | Loss | Peak memory, MiB | Progress told | Seconds to cancel |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        BLOCKING.tables, BLOCKING.sample
    );
    for threads in &cores {
        forget_peak();
        let (run, took) = timed(|| watched(&sites, *threads, None));
        let (matches, told, _) = run;
        let matches = matches?;
        // Persons at both sites have the same place there.
        let both = matches.groups.iter().filter(|group| group.len() == 2);
        let found = both.filter(|group| group[0].index == group[1].index).count();
        let expected = matches.report.blocking.map_or(0.0, |report| report.expected_loss);
        ensure!(told > 2, "the progress was told {told} times");
        let cancel = cancel(&sites, *threads)?;
        println!(
            "| {threads} | {:.1} | {:.1} | {} | {expected:.3} | {:.3} | {} | {told} times | {:.2} |",
            took.wall,
            took.busy,
            matches.report.compared,
            1.0 - found as f64 / reachable(&sites) as f64,
            peak(),
            cancel.as_secs_f64()
        );
    }
    Ok(())
}

/// Matches on a thread of its own while this one looks at the progress, which ends it after so many looks
/// with progress. Beside the result how often there was some, and when it was asked to end.
fn watched(
    sites: &[FilterSet; 2],
    threads: NonZeroUsize,
    end_after: Option<u32>,
) -> (Result<Matches, MatchError>, u32, Option<Instant>) {
    let watch = Arc::new(Watch::default());
    let mut options = Options::new(RECOMMENDED_THRESHOLD);
    options.threads = threads;
    options.blocking = Some(BLOCKING);
    options.watch = Arc::clone(&watch);
    std::thread::scope(|scope| {
        let matching = scope.spawn(|| site_unique(sites, &["a", "b"], &options));
        let (mut told, mut last, mut ended) = (0, 0, None);
        while !matching.is_finished() {
            std::thread::sleep(LOOK);
            let (done, _) = watch.progress();
            if done > last {
                (last, told) = (done, told + 1);
            }
            if ended.is_none() && end_after.is_some_and(|looks| told >= looks) {
                watch.stop();
                ended = Some(Instant::now());
            }
        }
        let result = matching.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (result, told, ended)
    })
}

/// How long a matching goes on after it was asked to end.
fn cancel(sites: &[FilterSet; 2], threads: NonZeroUsize) -> Result<Duration> {
    let (result, _, ended) = watched(sites, threads, Some(3));
    match (result, ended) {
        (Err(MatchError::Cancelled), Some(ended)) => Ok(ended.elapsed()),
        _ => bail!("the matching did not end when it was asked to"),
    }
}

/// Every second record is at both sites, changed a little or a lot.
fn two_sites(count: usize, random: &mut StdRng) -> Result<[FilterSet; 2]> {
    let header = Header { bits: BITS, ..wire_header(WireProfile::Stub1) };
    let mut sites = [FilterSet::new(header.clone()), FilterSet::new(header)];
    for at in 0..count {
        let mut filter: [u64; WORDS] = random.random();
        sites[0].extend_from_bytes(&bytes(&filter))?;
        if at % 2 == 0 {
            for _ in 0..random.random_range(0..REDRAWN) {
                let (bit, set) = (random.random_range(0..BITS), random.random::<bool>());
                let word = &mut filter[bit as usize / 64];
                *word = *word & !(1 << (bit % 64)) | u64::from(set) << (bit % 64);
            }
        } else {
            filter = random.random();
        }
        sites[1].extend_from_bytes(&bytes(&filter))?;
    }
    Ok(sites)
}

fn bytes(filter: &[u64; WORDS]) -> Vec<u8> {
    filter.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Persons at both sites whose filters reach the threshold.
fn reachable(sites: &[FilterSet; 2]) -> usize {
    let pairs = sites[0].iter().zip(sites[1].iter()).step_by(2);
    let count = |words: &[u64]| words.iter().map(|word| word.count_ones()).sum::<u32>();
    pairs
        .filter(|(a, b)| {
            let common = a.iter().zip(*b).map(|(a, b)| (a & b).count_ones()).sum();
            linkage::dice::dice(common, count(a), count(b)) >= RECOMMENDED_THRESHOLD.value()
        })
        .count()
}
