//! `dsf bench --linkage`: encoding, comparison and matching on this machine, on one core and on all, beside
//! clkhash and anonlink where `DSF_PEER_PYTHON` names a Python that has them.
mod clock;
mod million;
mod peers;
mod persons;

use std::num::NonZeroUsize;

use anyhow::Result;
use linkage::{
    dice::{Kernel, Share, Threshold, Tile},
    encode::{FilterEncoder, RECOMMENDED_THRESHOLD},
    filters::FilterSet,
    idat::Idat,
    matching::{Options, Strategy, compatible, site_unique},
    profile::WireProfile,
    rbf::BloomFilterConfig,
};
use rand::{Rng, SeedableRng, rngs::StdRng};

use self::{clock::timed, million::million, peers::peers, persons::persons};

/// Records of a site in the federated match.
const SITE: usize = 5_000;
/// Processor seconds that a kernel is measured for.
const KERNEL: f64 = 0.5;

/// Runs all measurements and prints a table per question, as Markdown.
pub fn run() -> Result<()> {
    let processors = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let kernels: Vec<&str> = Kernel::available().into_iter().map(Kernel::name).collect();
    println!("# Record linkage\n\nProcessors: {processors}; kernels: {}.\n", kernels.join(", "));
    let mut random = StdRng::seed_from_u64(1);
    let config = BloomFilterConfig::generate(&mut random);
    // Half of the second site are persons of the first who have moved.
    let mut sites = [persons(SITE, &mut random), persons(SITE, &mut random)];
    let [first, second] = &mut sites;
    for (moved, person) in second.iter_mut().zip(first.iter()).take(SITE / 2) {
        *moved = Idat { street: moved.street.clone(), ..person.clone() };
    }
    let sets = encode(&config, &sites, processors)?;
    compare(&mut random);
    federated(&sets, processors)?;
    million(&mut random, processors)?;
    peers(&sites, processors)
}

/// Filters of both sites in each profile, and how long they took.
fn encode(
    config: &BloomFilterConfig,
    sites: &[Vec<Idat>; 2],
    threads: NonZeroUsize,
) -> Result<Vec<[FilterSet; 2]>> {
    println!(
        "## Encoding, records/s\n\n| Profile | Bits | Cold, one core | Warm, one core | Warm, {threads} cores, time on the wall |\n| --- | --- | --- | --- | --- |"
    );
    let encoders =
        [FilterEncoder::wire(WireProfile::Stub1, config)?, FilterEncoder::german(&config.to_bytes())?];
    let mut sets = Vec::new();
    for encoder in &encoders {
        let header = encoder.header().clone();
        // Cold: no token of any name is known. Warm: the other site's names are the same syllables.
        let cold = cold(encoder, &sites[0]);
        let mut encoder = encoder.clone();
        let mut encode = |site: &[Idat]| {
            let mut set = FilterSet::new(header.clone());
            let (filters, took) =
                timed(|| site.iter().map(|person| encoder.encode(person).0).collect::<Vec<_>>());
            filters.iter().try_for_each(|filter| set.push(filter))?;
            anyhow::Ok((set, site.len() as f64 / took.busy))
        };
        let (first, _) = encode(&sites[0])?;
        let (second, warm) = encode(&sites[1])?;
        let (all, took) = timed(|| encoder.encode_all(&sites[1], threads));
        let (_, all) = (all?, sites[1].len() as f64 / took.wall);
        println!("| {} | {} | {cold:.0} | {warm:.0} | {all:.0} |", header.profile, header.bits);
        sets.push([first, second]);
    }
    Ok(sets)
}

/// Records per second of an encoder that knows nothing yet: a new one for every hundred records, since
/// those have most of the tokens in them.
fn cold(encoder: &FilterEncoder, site: &[Idat]) -> f64 {
    let mut seconds = 0.0;
    for some in site.chunks(100) {
        let mut encoder = encoder.clone();
        let encode = || some.iter().for_each(|person| drop(std::hint::black_box(encoder.encode(person))));
        seconds += timed(encode).1.busy;
    }
    site.len() as f64 / seconds
}

/// The kernels as the matchers use them: rows against tiles, which are laid out anew each time.
fn compare(random: &mut StdRng) {
    println!("\n## Comparison, one core\n\n| Bits | Kernel | M comparisons/s |\n| --- | --- | --- |");
    let share = Share::new(Threshold::HIGHMED);
    for words in [16, 48] {
        let filters: Vec<u64> = (0..256 * words).map(|_| random.random()).collect();
        let counts: Vec<u32> = filters
            .chunks_exact(words)
            .map(|filter| filter.iter().map(|word| word.count_ones()).sum())
            .collect();
        let needs: Vec<u64> = counts.iter().map(|count| share.need(*count)).collect();
        let (mut tile, mut hits) = (Tile::default(), Vec::new());
        for kernel in Kernel::available() {
            let (mut seconds, mut compared) = (0.0, 0.0);
            while seconds < KERNEL {
                let round = || {
                    for (tile_filters, tile_counts) in filters.chunks(64 * words).zip(counts.chunks(64)) {
                        tile.fill(words, tile_filters, tile_counts, share);
                        hits.resize(counts.len() * tile.blocks(), 0);
                        kernel.reach(&filters, &needs, &tile, &mut hits);
                        std::hint::black_box(&hits);
                    }
                };
                seconds += timed(round).1.busy;
                compared += (counts.len() * counts.len()) as f64;
            }
            println!("| {} | {} | {:.0} |", words * 64, kernel.name(), compared / seconds / 1e6);
        }
    }
}

/// The federated match with both matchers, and ours with every kernel and on all cores.
fn federated(sets: &[[FilterSet; 2]], threads: NonZeroUsize) -> Result<()> {
    println!(
        "\n## {SITE} × {SITE} federated match\n\n| Profile | Matcher | Cores | Seconds | on processors | Groups |\n| --- | --- | --- | --- | --- | --- |"
    );
    for sets in sets {
        let profile = &sets[0].header().profile;
        let line = |matcher: &str, cores: NonZeroUsize, took: clock::Took, groups: usize| {
            println!("| {profile} | {matcher} | {cores} | {:.3} | {:.3} | {groups} |", took.wall, took.busy);
        };
        let (groups, took) = timed(|| compatible(sets, Strategy::Min, Threshold::HIGHMED.value()));
        line("as HiGHmed 0.9", NonZeroUsize::MIN, took, groups?.len());
        let mut options = Options::new(RECOMMENDED_THRESHOLD);
        for kernel in Kernel::available() {
            options.kernel = kernel;
            let (matches, took) = timed(|| site_unique(sets, &["a", "b"], &options));
            let name = format!("site-unique, {}", kernel.name());
            line(&name, NonZeroUsize::MIN, took, matches?.groups.len());
        }
        if threads.get() > 1 {
            options.kernel = Kernel::detect();
            options.threads = threads;
            let (matches, took) = timed(|| site_unique(sets, &["a", "b"], &options));
            line("site-unique", threads, took, matches?.groups.len());
        }
    }
    Ok(())
}
