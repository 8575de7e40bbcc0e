//! `dsf bench --linkage`: encoding, comparison and matching on this machine, beside clkhash and anonlink
//! where `DSF_PEER_PYTHON` names a Python that has them.
use std::{
    num::NonZeroUsize,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use linkage::{
    clk::{Encoder, Folds, Schema},
    dice::{Kernel, Threshold},
    encode::{FilterEncoder, RECOMMENDED_THRESHOLD, wire_header},
    filters::{FilterSet, Header},
    idat::{BirthDate, Idat, Text},
    matching::{Blocking, Options, Strategy, compatible, site_unique},
    profile::WireProfile,
    rbf::BloomFilterConfig,
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

/// Records of a site in the federated match.
const SITE: usize = 5_000;
/// Records of a site in the tile that the match of a million by a million is computed from.
const TILE: usize = 40_000;
/// Records of a site that are blocked.
const BLOCKED: usize = 100_000;
/// What the tile stands for.
const MILLION: f64 = 1e6;
/// Records of a site that clkhash and anonlink get as well.
const PEER: usize = 2_000;
const PYTHON: &str = "DSF_PEER_PYTHON";
const SECRET: &str = "secret";
const PEER_SCHEMA: &str = r#"{"version": 3, "clkConfig": {"l": 1024, "kdf": {"type": "HKDF", "hash": "SHA256"}}, "features": [
 {"identifier": "first", "format": {"type": "string"}, "hashing": {"comparison": {"type": "ngram", "n": 2}, "strategy": {"bitsPerFeature": 150}}},
 {"identifier": "last", "format": {"type": "string"}, "hashing": {"comparison": {"type": "ngram", "n": 2}, "strategy": {"bitsPerFeature": 150}}},
 {"identifier": "birth", "format": {"type": "string"}, "hashing": {"comparison": {"type": "ngram", "n": 2, "positional": true}, "strategy": {"bitsPerFeature": 150}}},
 {"identifier": "street", "format": {"type": "string"}, "hashing": {"comparison": {"type": "ngram", "n": 2}, "strategy": {"bitsPerFeature": 60}}},
 {"identifier": "city", "format": {"type": "string"}, "hashing": {"comparison": {"type": "ngram", "n": 2}, "strategy": {"bitsPerFeature": 60}}}]}"#;

const SYLLABLES: [&str; 20] = [
    "ber", "lin", "mann", "schmi", "dt", "mül", "ler", "wag", "ner", "fi", "scher", "we", "bäu", "er",
    "hoff", "kö", "nig", "lan", "ge", "krü",
];

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
    let encoders =
        [FilterEncoder::wire(WireProfile::Stub1, &config)?, FilterEncoder::german(&config.to_bytes())?];
    println!(
        "## Encoding, one core\n\n| Profile | Bits | Cold, records/s | Warm, records/s |\n| --- | --- | --- | --- |"
    );
    let mut sets = Vec::new();
    for encoder in &encoders {
        let header = encoder.header().clone();
        // Cold: no token of any name is known. Warm: the other site's names are the same syllables.
        let cold = cold(encoder, &sites[0]);
        let mut encoder = encoder.clone();
        let mut encode = |site: &[Idat]| {
            let mut set = FilterSet::new(header.clone());
            let start = Timer::start();
            let filters: Vec<_> = site.iter().map(|person| encoder.encode(person).0).collect();
            let rate = site.len() as f64 / start.seconds();
            filters.iter().try_for_each(|filter| set.push(filter))?;
            anyhow::Ok((set, rate))
        };
        let (first, _) = encode(&sites[0])?;
        let (second, warm) = encode(&sites[1])?;
        println!("| {} | {} | {cold:.0} | {warm:.0} |", header.profile, header.bits);
        sets.push([first, second]);
    }
    compare(&mut random);
    println!(
        "\n## {SITE} × {SITE} federated match, one core\n\n| Profile | Matcher | Seconds | Groups |\n| --- | --- | --- | --- |"
    );
    for sets in &sets {
        let profile = &sets[0].header().profile;
        let start = Timer::start();
        let groups = compatible(sets, Strategy::Min, Threshold::HIGHMED.value())?.len();
        println!("| {profile} | as HiGHmed 0.9 | {:.2} | {groups} |", start.seconds());
        let start = Timer::start();
        let matches = site_unique(sets, &["a", "b"], &Options::new(RECOMMENDED_THRESHOLD))?;
        println!("| {profile} | site-unique | {:.2} | {} |", start.seconds(), matches.groups.len());
    }
    million(&mut random, processors)?;
    peers(&sites, processors)
}

/// Records per second of an encoder that knows nothing yet: a new one for every hundred records, since
/// those have most of the tokens in them.
fn cold(encoder: &FilterEncoder, site: &[Idat]) -> f64 {
    let mut seconds = 0.0;
    for some in site.chunks(100) {
        let mut encoder = encoder.clone();
        let start = Timer::start();
        for person in some {
            std::hint::black_box(encoder.encode(person));
        }
        seconds += start.seconds();
    }
    site.len() as f64 / seconds
}

/// The kernels alone.
fn compare(random: &mut StdRng) {
    println!("\n## Comparison, one core\n\n| Bits | Kernel | M comparisons/s |\n| --- | --- | --- |");
    for words in [16, 48] {
        let filters: Vec<u64> = (0..128 * words).map(|_| random.random()).collect();
        let mut counts = [0; 64];
        for kernel in Kernel::available() {
            let (start, mut rounds) = (Timer::start(), 0_u32);
            while rounds < 100 || start.seconds() < 0.5 {
                for one in filters[..64 * words].chunks(words) {
                    kernel.common(one, &filters[64 * words..], &mut counts);
                }
                rounds += 1;
            }
            std::hint::black_box(&counts);
            let rate = f64::from(rounds) * 64.0 * 64.0 / start.seconds() / 1e6;
            println!("| {} | {} | {rate:.0} |", words * 64, kernel.name());
        }
    }
}

/// A million by a million, computed from a tile, and what blocking does with it. Filters are random with
/// the density of real ones, since a million persons would take longer to invent than to compare.
fn million(random: &mut StdRng, threads: NonZeroUsize) -> Result<()> {
    let header = Header { bits: 1024, ..wire_header(WireProfile::Stub1) };
    let mut sets = |count: usize| -> Result<[FilterSet; 2]> {
        let mut sets = [FilterSet::new(header.clone()), FilterSet::new(header.clone())];
        for at in 0..count {
            let mut filter = linkage::bits::Bits::new(1024);
            (0..480).for_each(|_| filter.set(random.random_range(0..1024)));
            sets[0].push(&filter)?;
            // Half of the records are in both sites, with a few bits more.
            if at % 2 == 0 {
                (0..40).for_each(|_| filter.set(random.random_range(0..1024)));
            } else {
                filter = linkage::bits::Bits::new(1024);
                (0..480).for_each(|_| filter.set(random.random_range(0..1024)));
            }
            sets[1].push(&filter)?;
        }
        Ok(sets)
    };
    println!(
        "\n## A million by a million, 1024 bits\n\n| Way | Cores | Measured | Seconds | Compared | Expected loss | A million by a million, minutes |\n| --- | --- | --- | --- | --- | --- | --- |"
    );
    let tile = sets(TILE)?;
    let mut cores = vec![NonZeroUsize::MIN];
    cores.extend((threads.get() > 1).then_some(threads));
    for threads in &cores {
        let mut options = Options::new(RECOMMENDED_THRESHOLD);
        options.threads = *threads;
        let start = Instant::now();
        let matches = site_unique(&tile, &["a", "b"], &options)?;
        let seconds = start.elapsed().as_secs_f64();
        let whole = seconds * (MILLION / TILE as f64).powi(2) / 60.0;
        println!(
            "| all pairs | {threads} | {TILE} × {TILE} | {seconds:.2} | {} | 0 | {whole:.0} (by pairs) |",
            matches.report.compared
        );
    }
    let blocked = sets(BLOCKED)?;
    for blocking in
        [Blocking { tables: 20, sample: 20, seed: 1 }, Blocking { tables: 40, sample: 25, seed: 1 }]
    {
        let mut options = Options::new(RECOMMENDED_THRESHOLD);
        options.threads = threads;
        options.blocking = Some(blocking);
        let start = Instant::now();
        let matches = site_unique(&blocked, &["a", "b"], &options)?;
        let seconds = start.elapsed().as_secs_f64();
        let loss = matches.report.blocking.map_or(0.0, |report| report.expected_loss);
        // Work grows with records (tables) and with pairs (blocks): between these two.
        let factor = MILLION / BLOCKED as f64;
        println!(
            "| {} tables of {} bits | {threads} | {BLOCKED} × {BLOCKED} | {seconds:.2} | {} | {loss:.3} | {:.1} to {:.1} |",
            blocking.tables,
            blocking.sample,
            matches.report.compared,
            seconds * factor / 60.0,
            seconds * factor * factor / 60.0
        );
    }
    Ok(())
}

/// The same records through clkhash and anonlink.
fn peers(sites: &[Vec<Idat>; 2], processors: NonZeroUsize) -> Result<()> {
    println!("\n## clkhash and anonlink, the same {PEER} × {PEER} records, 1024 bits, time on the wall\n");
    let Some(python) = std::env::var_os(PYTHON) else {
        println!("Left out: {PYTHON} names no Python with tests/peers/linkage/requirements.txt.");
        return Ok(());
    };
    let folder = std::env::temp_dir().join(format!("dsf-bench-linkage-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    println!("| Program | Cores | Encode, records/s | Match, M pairs/s |\n| --- | --- | --- | --- |");
    let result = (1..=processors.get().min(2)).try_for_each(|cores| beside(&python, &folder, sites, cores));
    std::fs::remove_dir_all(&folder)?;
    result
}

fn beside(python: &std::ffi::OsStr, folder: &Path, sites: &[Vec<Idat>; 2], cores: usize) -> Result<()> {
    let records: Vec<Vec<[String; 5]>> =
        sites.iter().map(|site| site.iter().take(PEER).map(columns).collect()).collect();
    let mut command = std::process::Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/peers/linkage/peer.py"));
    std::fs::write(folder.join("schema.json"), PEER_SCHEMA)?;
    command.args(["--cores", &cores.to_string()]);
    command.arg(folder.join("schema.json")).args([SECRET, "0.75"]);
    for (site, records) in records.iter().enumerate() {
        let path = folder.join(format!("{site}.tsv"));
        let lines: String = records.iter().map(|record| record.join("\t") + "\n").collect();
        std::fs::write(&path, lines)?;
        command.arg(path);
    }
    let output = command.output().context("the Python of DSF_PEER_PYTHON")?;
    if !output.status.success() {
        bail!("peer.py: {}", String::from_utf8_lossy(&output.stderr));
    }
    let theirs: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let encoder = Encoder::new(Schema::parse(PEER_SCHEMA, Folds::Strict)?, SECRET.as_bytes())?;
    let header = Header { bits: 1024, ..wire_header(WireProfile::Stub1) };
    let start = Instant::now();
    let sets = records.iter().map(|site| set_of(&encoder, &header, site, cores));
    let sets = sets.collect::<Result<Vec<FilterSet>>>()?;
    let encoded = start.elapsed().as_secs_f64();
    let mut options = Options::new(RECOMMENDED_THRESHOLD);
    options.threads = NonZeroUsize::new(cores).unwrap_or(NonZeroUsize::MIN);
    let start = Instant::now();
    let matches = site_unique(&sets, &["a", "b"], &options)?;
    let compared = start.elapsed().as_secs_f64();
    if theirs["pairs"].as_array().map(Vec::len) != usize::try_from(matches.report.candidates).ok() {
        bail!("anonlink found another number of pairs: the figures would not be about the same work");
    }
    let (records, pairs) = (2.0 * PEER as f64, (PEER * PEER) as f64 / 1e6);
    let seconds = |name: &str| theirs[name].as_f64().unwrap_or(f64::NAN);
    println!(
        "| clkhash 0.18.3, anonlink 0.15.3 | {cores} | {:.0} | {:.0} |",
        records / seconds("encode_seconds"),
        pairs / seconds("compare_seconds")
    );
    println!("| dsf | {cores} | {:.0} | {:.0} |", records / encoded, pairs / compared);
    Ok(())
}

/// The filters of a site, encoded by so many threads.
fn set_of(encoder: &Encoder, header: &Header, site: &[[String; 5]], cores: usize) -> Result<FilterSet> {
    let encode = |record: &[String; 5]| encoder.encode(&record.each_ref().map(String::as_str));
    let parts = std::thread::scope(|scope| {
        let parts: Vec<_> = site
            .chunks(site.len().div_ceil(cores).max(1))
            .map(|part| scope.spawn(move || part.iter().map(encode).collect::<Result<Vec<_>, _>>()))
            .collect();
        parts.into_iter().map(|part| part.join()).collect::<Vec<_>>()
    });
    let mut set = FilterSet::new(header.clone());
    for part in parts {
        let Ok(part) = part else { bail!("encoding broke off") };
        part?.iter().try_for_each(|filter| set.push(filter))?;
    }
    Ok(set)
}

fn columns(person: &Idat) -> [String; 5] {
    let text = |text: &Option<Text>| text.as_ref().map_or(String::new(), |text| text.expose().to_owned());
    let birth = person.birthday.map_or(String::new(), |date| {
        format!("{}{:02}{:02}", date.year, date.month.unwrap_or(0), date.day.unwrap_or(0))
    });
    [text(&person.first_name), text(&person.last_name), birth, text(&person.street), text(&person.city)]
}

fn persons(count: usize, random: &mut StdRng) -> Vec<Idat> {
    let mut person = || {
        let mut name = |syllables: usize| -> String {
            (0..syllables).filter_map(|_| SYLLABLES.choose(random).copied()).collect()
        };
        let (first, last, street, city) = (name(2), name(3), name(2), name(2));
        Idat {
            first_name: Some(first.as_str().into()),
            last_name: Some(last.as_str().into()),
            birthday: Some(BirthDate {
                year: random.random_range(1930..2020),
                month: Some(random.random_range(1..=12)),
                day: Some(random.random_range(1..=28)),
            }),
            sex: Some("F".into()),
            street: Some(format!("{street}straße 12").as_str().into()),
            zip_code: Some(format!("{:05}", random.random_range(1000..99999)).as_str().into()),
            city: Some(city.as_str().into()),
            country: Some("DE".into()),
            ..Idat::default()
        }
    };
    (0..count).map(|_| person()).collect()
}

/// Time that this thread was on a processor: on a busy machine the only time that means something.
struct Timer(Duration);

impl Timer {
    fn start() -> Self {
        Self(on_processor())
    }

    fn seconds(&self) -> f64 {
        on_processor().saturating_sub(self.0).as_secs_f64().max(1e-9)
    }
}

fn on_processor() -> Duration {
    let clock = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID;
    nix::time::clock_gettime(clock).map(Duration::from).unwrap_or_default()
}
