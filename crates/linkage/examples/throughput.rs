//! Encoding and comparison rates of this machine:
//! `cargo run --release -p linkage --example throughput [persons per site] [threads]`.
#![allow(clippy::unwrap_used, reason = "a measuring program may stop")]

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use linkage::dice::Kernel;
use linkage::encode::{FilterEncoder, RECOMMENDED_THRESHOLD};
use linkage::filters::FilterSet;
use linkage::idat::{BirthDate, Idat, Text};
use linkage::matching::{Blocking, Options, Strategy, compatible, site_unique};
use linkage::profile::WireProfile;
use linkage::rbf::BloomFilterConfig;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

const SYLLABLES: [&str; 20] = [
    "ber", "lin", "mann", "schmi", "dt", "mül", "ler", "wag", "ner", "fi", "scher", "we", "bäu", "er",
    "hoff", "kö", "nig", "lan", "ge", "krü",
];

fn persons(count: usize, random: &mut StdRng) -> Vec<Idat> {
    let mut name = |syllables: usize| {
        let name: String = (0..syllables).filter_map(|_| SYLLABLES.choose(random).copied()).collect();
        name
    };
    let mut persons: Vec<Idat> = (0..count)
        .map(|_| Idat {
            first_name: Some(Text::from(name(2).as_str())),
            last_name: Some(Text::from(name(3).as_str())),
            street: Some(Text::from(format!("{}straße 12", name(2)).as_str())),
            city: Some(Text::from(name(2).as_str())),
            country: Some(Text::from("DE")),
            sex: Some(Text::from("F")),
            ..Idat::default()
        })
        .collect();
    for person in &mut persons {
        let (day, month) = (random.random_range(1..=28), random.random_range(1..=12));
        person.birthday =
            Some(BirthDate { year: random.random_range(1930..2020), month: Some(month), day: Some(day) });
        person.zip_code = Some(Text::from(format!("{:05}", random.random_range(1000..99999)).as_str()));
    }
    persons
}

/// Time that the main thread was on a processor: on a busy machine the only time that means something.
fn on_processor() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

fn timed<T>(what: &str, unit: &str, count: f64, work: impl FnOnce() -> T) -> T {
    let (start, processor) = (Instant::now(), on_processor());
    let result = work();
    let wall = start.elapsed().as_secs_f64();
    let processor = on_processor().zip(processor).map_or(0.0, |(end, start)| (end - start).as_secs_f64());
    let rate = |seconds: f64| if seconds > 0.0 { count / seconds } else { f64::NAN };
    println!("{what:<52} {:>12.0} {unit}/s, {:>12.0} per s of the main thread", rate(wall), rate(processor));
    result
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>().unwrap());
    let count = arguments.next().unwrap_or(5000);
    let threads = NonZeroUsize::new(arguments.next().unwrap_or(1)).unwrap();
    let mut random = StdRng::seed_from_u64(1);
    let config = BloomFilterConfig::generate(&mut random);
    // Half of the second site are persons of the first who have moved.
    let mut sites = [persons(count, &mut random), persons(count, &mut random)];
    let [first, second] = &mut sites;
    for (moved, person) in second.iter_mut().zip(first.iter()).take(count / 2) {
        *moved = Idat { street: moved.street.clone(), ..person.clone() };
    }
    println!("{count} persons per site, {threads} thread(s)");

    let encoders = [
        FilterEncoder::wire(WireProfile::Stub1, &config).unwrap(),
        FilterEncoder::german(&config.to_bytes()).unwrap(),
    ];
    for encoder in encoders {
        let header = encoder.header().clone();
        let (profile, bits) = (header.profile.to_string(), header.bits);
        let sets: Vec<FilterSet> = sites
            .iter()
            .map(|site| {
                timed(&format!("encode {profile}, {bits} bits"), "records", count as f64, || {
                    encoder.encode_all(site, threads).unwrap().0
                })
            })
            .collect();
        let pairs = (count * count) as f64;
        for kernel in Kernel::available() {
            let mut options = Options::new(RECOMMENDED_THRESHOLD);
            (options.threads, options.kernel) = (threads, kernel);
            let matches = timed(&format!("match all pairs, {}", kernel.name()), "pairs", pairs, || {
                site_unique(&sets, &["a", "b"], &options).unwrap()
            });
            println!("  {:?}", matches.report);
        }
        let mut options = Options::new(RECOMMENDED_THRESHOLD);
        options.threads = threads;
        options.blocking = Some(Blocking { tables: 20, sample: 15, seed: 1 });
        let matches = timed("match with blocking (20 tables of 15 bits)", "pairs", pairs, || {
            site_unique(&sets, &["a", "b"], &options)
        });
        match matches {
            Ok(matches) => println!("  {:?}", matches.report),
            Err(error) => println!("  {error}"),
        }
        timed("match as HiGHmed 0.9 (MIN, 0.8)", "pairs", pairs, || {
            compatible(&sets, Strategy::Min, 0.8).unwrap().len()
        });
    }

    for words in [16, 48] {
        let filters: Vec<u64> = (0..128 * words).map(|_| random.random()).collect();
        let mut counts = [0; 64];
        for kernel in Kernel::available() {
            let rounds = 2000;
            timed(
                &format!("kernel alone, {} bits, {}", words * 64, kernel.name()),
                "comparisons",
                f64::from(rounds) * 64.0 * 64.0,
                || {
                    for _ in 0..rounds {
                        for one in filters[..64 * words].chunks(words) {
                            kernel.common(one, &filters[64 * words..], &mut counts);
                        }
                    }
                    std::hint::black_box(&counts);
                },
            );
        }
    }
}
