//! Laws: no text makes anything panic, encoding depends on data and keys only, matching on neither order
//! nor threads nor kernel, and every kernel counts alike.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::num::NonZeroUsize;

use linkage::bits::Bits;
use linkage::clk::{Encoder, Folds, Schema};
use linkage::dice::{Kernel, LANES, Least, Share, Threshold, Tile, dice};
use linkage::encode::{FilterEncoder, wire_header};
use linkage::filters::{FilterSet, Header};
use linkage::idat::{BirthDate, Idat, Text};
use linkage::matching::{Options, Record, Strategy as Scoring, compatible, site_unique};
use linkage::profile::{WireProfile, german};
use linkage::rbf::BloomFilterConfig;
use linkage::result_set::ResultSet;
use proptest::collection::vec;
use proptest::prelude::*;
use rand::SeedableRng as _;

fn config(seed: u64) -> BloomFilterConfig {
    BloomFilterConfig::generate(&mut rand::rngs::StdRng::seed_from_u64(seed))
}

fn encoders() -> Vec<FilterEncoder> {
    let wire = |profile| FilterEncoder::wire(profile, &config(1)).unwrap();
    let secret = config(1).to_bytes();
    vec![wire(WireProfile::Stub1), wire(WireProfile::JavaPdq1), FilterEncoder::german(&secret).unwrap()]
}

fn text() -> impl Strategy<Value = Option<Text>> {
    let odd = prop_oneof![
        any::<String>(),
        "[\\u{0}-\\u{2ff}\\u{1f600}-\\u{1f64f}]{0,20}",
        "(Dr\\. |von |Graf |v\\. ){0,3}[A-ZÄÖÜa-zäöüß]{0,8}(-[A-Z][a-z]{0,5})?( \\d{1,3} ?[a-z]?)?",
        "[A-Z]?[0-9]{0,10}",
    ];
    proptest::option::of(odd.prop_map(|text| Text::from(text.as_str())))
}

fn date() -> impl Strategy<Value = Option<BirthDate>> {
    let date = (any::<u16>(), any::<Option<u8>>(), any::<Option<u8>>());
    proptest::option::of(date.prop_map(|(year, month, day)| BirthDate { year, month, day }))
}

fn person() -> impl Strategy<Value = Idat> {
    (vec(text(), 9), date()).prop_map(|(texts, birthday)| {
        let mut texts = texts.into_iter();
        let mut next = || texts.next().flatten();
        Idat {
            first_name: next(),
            last_name: next(),
            birth_name: next(),
            birthday,
            sex: next(),
            street: next(),
            zip_code: next(),
            city: next(),
            country: next(),
            insurance_number: next(),
        }
    })
}

/// Sets of filters with few bits and many equal ones: ties are what order could change.
fn sites() -> impl Strategy<Value = Vec<Vec<u64>>> {
    vec(vec(prop_oneof![0_u64..64, any::<u64>()], 0..12), 1..5)
}

fn header(bits: u32) -> Header {
    Header { bits, ..wire_header(WireProfile::Stub1) }
}

fn set(filters: &[u64]) -> FilterSet {
    let mut set = FilterSet::new(header(64));
    for filter in filters {
        let mut bits = Bits::new(64);
        (0..64).filter(|bit| filter >> bit & 1 == 1).for_each(|bit| bits.set(bit));
        set.push(&bits).unwrap();
    }
    set
}

/// Groups as what they hold: site names and filters.
fn content(sets: &[FilterSet], names: &[&str], options: &Options) -> Vec<Vec<(String, Vec<u64>)>> {
    let matches = site_unique(sets, names, options).unwrap();
    let mut groups: Vec<Vec<_>> = matches
        .groups
        .iter()
        .map(|group| {
            let mut group: Vec<_> = group
                .iter()
                .map(|r| (names[r.site].to_owned(), sets[r.site].get(r.index).unwrap().to_vec()))
                .collect();
            group.sort();
            group
        })
        .collect();
    groups.sort();
    groups
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_person_is_encoded_alike_by_every_replica_and_any_number_of_threads(
        persons in vec(person(), 0..8),
        threads in 1_usize..5,
    ) {
        for mut encoder in encoders() {
            let parts = encoder.parts().len();
            let one_by_one: Vec<_> = persons.iter().map(|person| encoder.encode(person)).collect();
            let (set, presences) =
                encoder.encode_all(&persons, NonZeroUsize::new(threads).unwrap()).unwrap();
            prop_assert_eq!(set.len(), persons.len());
            for ((filter, presence), (other, words)) in one_by_one.iter().zip(presences.iter().zip(set.iter())) {
                prop_assert_eq!(presence, other);
                prop_assert_eq!(filter.words(), words);
                prop_assert!(usize::from(presence.0.count_ones() as u8) <= parts);
            }
        }
    }

    #[test]
    fn case_and_umlauts_do_not_matter(name in "[A-ZÄÖÜ][a-zäöüß]{1,10}(( |-)[A-ZÄÖÜ][a-zäöüß]{0,6})?") {
        let family = |name: &str| {
            german(&Idat { last_name: Some(Text::from(name)), ..Idat::default() }).family
        };
        let written_out =
            name.to_lowercase().replace('ä', "ae").replace('ö', "oe").replace('ü', "ue").replace('ß', "ss");
        prop_assert_eq!(family(&name), family(&name.to_uppercase()));
        prop_assert_eq!(family(&name), family(&written_out));
    }

    #[test]
    fn no_text_makes_a_reader_panic(text in any::<String>(), bytes in vec(any::<u8>(), 0..200)) {
        let _ = BirthDate::parse(&text);
        let _ = ResultSet::parse(&text);
        let _ = Schema::parse(&text, Folds::Strict);
        let _ = Bits::from_rbf_text(&text, 3000);
        let _ = Bits::from_clk_text(&text, 1024);
        let _ = BloomFilterConfig::from_task_input(&text);
        let _ = BloomFilterConfig::from_variable(&text);
        let _ = BloomFilterConfig::from_bytes(&bytes);
        let _ = serde_json::from_str::<FilterSet>(&text);
    }

    #[test]
    fn no_value_makes_a_schema_panic(values in vec(any::<String>(), 0..6), number in any::<f64>()) {
        let encoder = Encoder::new(Schema::parse(SCHEMA, Folds::Strict).unwrap(), b"secret").unwrap();
        let mut values: Vec<&str> = values.iter().map(String::as_str).collect();
        let number = number.to_string();
        values.push(&number);
        let _ = encoder.encode(&values);
        values.rotate_right(1);
        let _ = encoder.encode(&values);
    }

    #[test]
    fn result_sets_survive_writing_and_reading(
        texts in vec(any::<String>(), 1..4),
        number in any::<i64>(),
        double in proptest::num::f64::NORMAL,
    ) {
        let row = serde_json::json!([texts, number, double, {"b": 1, "a": texts[0]}, texts[0]]);
        let columns: Vec<_> = (0..5).map(|n| serde_json::json!({"name": n.to_string(), "path": "/"})).collect();
        let json = serde_json::json!({"name": texts[0], "columns": columns, "rows": [row]});
        let read = ResultSet::parse(&json.to_string()).unwrap();
        prop_assert_eq!(&ResultSet::parse(&read.to_json()).unwrap(), &read);
        prop_assert_eq!(&read.to_value().unwrap()["rows"], &json["rows"]);
    }

    #[test]
    fn kernels_count_alike(
        // Up to 3072 bits, or 10 240, and some with all bits set: sums in bytes must not overflow.
        stride in 1_usize..8,
        words in prop_oneof![vec(any::<u64>(), 0..600), vec(Just(u64::MAX), 0..600)],
    ) {
        let stride = if stride == 7 { 160 } else { stride * 8 };
        let (one, many) = words.split_at(stride.min(words.len()));
        let filters = many.len() / stride;
        let mut expected = vec![0; filters];
        Kernel::PORTABLE.common(one, many, &mut expected);
        for (count, filter) in expected.iter().zip(many.chunks(stride)) {
            let by_hand: u32 = one.iter().zip(filter).map(|(a, b)| (a & b).count_ones()).sum();
            prop_assert_eq!(*count, by_hand);
        }
        for kernel in Kernel::available() {
            // Also with filters that are no whole number of vectors, and with too few places.
            for (one, places) in [(one, filters), (one, filters / 2), (&one[..one.len() / 3], filters)] {
                let mut expected = vec![7; places];
                Kernel::PORTABLE.common(one, many, &mut expected);
                let mut counts = vec![7; places];
                kernel.common(one, many, &mut counts);
                prop_assert_eq!(&counts, &expected, "{}", kernel.name());
            }
        }
    }

    #[test]
    fn tiles_lose_nothing_and_let_nearly_nothing_else_through(
        words in 1_usize..70,
        filters in vec(prop_oneof![any::<u64>(), Just(u64::MAX), Just(0)], 70..900),
        rows in 0_usize..7,
        threshold in prop_oneof![0.000_001..=1.0, Just(0.8), Just(1.0)],
    ) {
        let threshold = Threshold::new(threshold).unwrap();
        let share = Share::new(threshold);
        let filters = &filters[..filters.len() / words * words];
        let count = |filter: &[u64]| filter.iter().map(|word| word.count_ones()).sum::<u32>();
        let counts: Vec<u32> = filters.chunks(words).map(count).collect();
        let rows = rows.min(counts.len());
        let needs: Vec<u64> = counts[..rows].iter().map(|count| share.need(*count)).collect();
        let mut tile = Tile::default();
        // What was there before does not matter.
        tile.fill(1, &[u64::MAX; 9], &[64; 9], share);
        tile.fill(words, filters, &counts, share);
        prop_assert_eq!(tile.blocks(), counts.len().div_ceil(LANES));
        for kernel in Kernel::available() {
            let mut hits = vec![0xa5; rows * tile.blocks()];
            kernel.reach(&filters[..rows * words], &needs, &tile, &mut hits);
            for (row, hits) in hits.chunks(tile.blocks()).enumerate() {
                for place in 0..tile.blocks() * LANES {
                    let hit = hits[place / LANES] >> (place % LANES) & 1 == 1;
                    let Some(other) = filters.chunks(words).nth(place) else {
                        prop_assert!(!hit, "{}: nobody is there", kernel.name());
                        continue;
                    };
                    let one = &filters[row * words..][..words];
                    let common: u32 = one.iter().zip(other).map(|(a, b)| (a & b).count_ones()).sum();
                    let sum = u64::from(counts[row]) + u64::from(counts[place]);
                    // What reaches the threshold is hit; what is hit reaches it but for 2^-24 of it.
                    let reaches = dice(common, counts[row], counts[place]) >= threshold.value();
                    prop_assert!(hit || !reaches, "{}", kernel.name());
                    let near = 2.0 * f64::from(common) >= (threshold.value() - 1e-7) * sum as f64;
                    prop_assert!(near || !hit, "{}", kernel.name());
                }
            }
        }
    }

    #[test]
    fn dice_is_symmetric_and_the_bound_loses_nothing(a in 0_u32..=200, b in 0_u32..=200, threshold in 0.01..=1.0) {
        let threshold = Threshold::new(threshold).unwrap();
        let least = Least::new(threshold, 200);
        for common in 0..=a.min(b) {
            let score = dice(common, a, b);
            prop_assert_eq!(score.to_bits(), dice(common, b, a).to_bits());
            prop_assert!(score.is_nan() == (a + b == 0) && (score.is_nan() || (0.0..=1.0).contains(&score)));
            prop_assert_eq!(common >= least.common(a, b), score >= threshold.value());
        }
        let can = a + b > 0 && dice(a.min(b), a, b) >= threshold.value();
        prop_assert_eq!(least.partners(a).is_some_and(|partners| partners.contains(&b)), can);
    }

    #[test]
    fn our_matcher_depends_on_no_order(
        sites in sites(),
        threshold in 0.2..=1.0,
        seed in any::<u64>(),
        threads in 1_usize..4,
    ) {
        use rand::seq::SliceRandom as _;
        let names = ["a", "b", "c", "d"];
        let sets: Vec<_> = sites.iter().map(|filters| set(filters)).collect();
        let mut options = Options::new(Threshold::new(threshold).unwrap());
        let expected = content(&sets, &names[..sets.len()], &options);

        // Every record is in one group, with one record per site and all pairs at the threshold.
        let total: usize = expected.iter().map(Vec::len).sum();
        prop_assert_eq!(total, sites.iter().map(Vec::len).sum::<usize>());
        for group in &expected {
            for (place, (site, filter)) in group.iter().enumerate() {
                for (other_site, other) in &group[..place] {
                    prop_assert_ne!(site, other_site);
                    let common: u32 = filter.iter().zip(other).map(|(a, b)| (a & b).count_ones()).sum();
                    let count = |words: &[u64]| words.iter().map(|word| word.count_ones()).sum();
                    prop_assert!(dice(common, count(filter), count(other)) >= threshold);
                }
            }
        }

        let mut random = rand::rngs::StdRng::seed_from_u64(seed);
        let mut order: Vec<usize> = (0..sites.len()).collect();
        order.shuffle(&mut random);
        let shuffled: Vec<_> = order
            .iter()
            .map(|site| {
                let mut filters = sites[*site].clone();
                filters.shuffle(&mut random);
                set(&filters)
            })
            .collect();
        let names: Vec<_> = order.iter().map(|site| names[*site]).collect();
        options.threads = NonZeroUsize::new(threads).unwrap();
        for kernel in Kernel::available() {
            options.kernel = kernel;
            prop_assert_eq!(&content(&shuffled, &names, &options), &expected);
        }
    }

    #[test]
    fn the_compatible_matcher_holds_everybody_once(sites in sites(), threshold in 0.0..=1.0) {
        let sets: Vec<_> = sites.iter().map(|filters| set(filters)).collect();
        for scoring in [
            Scoring::First, Scoring::Last, Scoring::Max, Scoring::Min,
            Scoring::Average, Scoring::Median, Scoring::None,
        ] {
            let groups = compatible(&sets, scoring, threshold).unwrap();
            let mut all: Vec<_> = groups.into_iter().flatten().collect();
            all.sort();
            let expected: Vec<_> = sites
                .iter()
                .enumerate()
                .flat_map(|(site, filters)| {
                    (0..filters.len()).map(move |index| Record { site, index })
                })
                .collect();
            prop_assert_eq!(all, expected);
        }
    }

    #[test]
    fn the_compatible_matcher_is_the_one_of_the_contract(sites in sites(), threshold in 0.0..=1.0) {
        let sets: Vec<_> = sites.iter().map(|filters| set(filters)).collect();
        prop_assert_eq!(compatible(&sets, Scoring::Min, threshold).unwrap(), by_hand(&sets, threshold));
    }
}

/// The federated matcher with MIN, as record-linkage.md 6 tells it: every score a division.
fn by_hand(sets: &[FilterSet], threshold: f64) -> Vec<Vec<Record>> {
    let mut order: Vec<usize> = (0..sets.len()).collect();
    let largest = order.iter().rev().copied().max_by_key(|site| sets[*site].len());
    order.retain(|site| Some(*site) != largest);
    let mut groups: Vec<Vec<Record>> = Vec::new();
    let words = |record: &Record| sets[record.site].get(record.index).unwrap();
    let count = |words: &[u64]| words.iter().map(|word| word.count_ones()).sum::<u32>();
    let score = |a: &[u64], b: &[u64]| {
        let common = a.iter().zip(b).map(|(a, b)| (a & b).count_ones()).sum();
        dice(common, count(a), count(b))
    };
    for site in largest.into_iter().chain(order) {
        let visible = groups.len();
        for index in 0..sets[site].len() {
            let record = Record { site, index };
            let mut best: Option<(f64, usize)> = None;
            for (place, group) in groups[..visible].iter().enumerate() {
                let scores: Vec<f64> =
                    group.iter().map(|other| score(words(&record), words(other))).collect();
                let lowest = scores.iter().copied().fold(f64::INFINITY, f64::min);
                let joins = lowest >= threshold && !scores.iter().any(|score| score.is_nan());
                if joins && best.is_none_or(|(highest, _)| lowest > highest) {
                    best = Some((lowest, place));
                }
            }
            match best {
                Some((_, place)) => groups[place].push(record),
                None => groups.push(vec![record]),
            }
        }
    }
    groups
}

/// Three sites of more records than are compared at once, of whom many are alike.
fn many(bits: u32) -> Vec<FilterSet> {
    use rand::Rng as _;
    let mut random = rand::rngs::StdRng::seed_from_u64(u64::from(bits));
    let persons: Vec<Bits> = (0..500)
        .map(|_| {
            let mut filter = Bits::new(bits as usize);
            (0..bits / 2).for_each(|_| filter.set(random.random_range(0..bits) as usize));
            filter
        })
        .collect();
    let site = |records: usize| {
        let mut set = FilterSet::new(header(bits));
        for _ in 0..records {
            let mut filter = persons[random.random_range(0..persons.len())].clone();
            (0..random.random_range(0..bits / 6))
                .for_each(|_| filter.set(random.random_range(0..bits) as usize));
            set.push(&filter).unwrap();
        }
        set
    };
    [300, 700, 290].map(site).into()
}

#[test]
fn both_matchers_are_exact_beyond_one_tile() {
    for bits in [100, 1024, 3000] {
        let sets = many(bits);
        assert_eq!(compatible(&sets, Scoring::Min, 0.8).unwrap(), by_hand(&sets, 0.8), "{bits} bits");
        let mut pairs = 0;
        for (second, set) in sets.iter().enumerate() {
            for other in &sets[..second] {
                for (a, b) in set.iter().flat_map(|a| other.iter().map(move |b| (a, b))) {
                    let count = |words: &[u64]| words.iter().map(|word| word.count_ones()).sum();
                    let common = a.iter().zip(b).map(|(a, b)| (a & b).count_ones()).sum();
                    pairs += u64::from(dice(common, count(a), count(b)) >= 0.8);
                }
            }
        }
        for kernel in Kernel::available() {
            let mut options = Options::new(Threshold::HIGHMED);
            options.kernel = kernel;
            let report = site_unique(&sets, &["a", "b", "c"], &options).unwrap().report;
            assert_eq!(report.candidates, pairs, "{bits} bits, {}", kernel.name());
            assert!(report.compared <= report.pairs && report.compared >= pairs, "{report:?}");
        }
    }
}

const SCHEMA: &str = r#"{"version":3,"clkConfig":{"l":64,"xor_folds":1},"features":[
  {"identifier":"n","format":{"type":"string"},"hashing":{"comparison":{"type":"numeric","thresholdDistance":0.5,
    "resolution":2,"fractional_precision":1},"strategy":{"bitsPerFeature":10},"hash":{"type":"blakeHash"}}},
  {"identifier":"d","format":{"type":"date","format":"%d. %m.%Y"},"hashing":{"comparison":{"type":"exact"},
    "strategy":{"bitsPerToken":3},"hash":{"type":"doubleHash","prevent_singularity":true}}},
  {"identifier":"i","format":{"type":"integer"},"hashing":{"comparison":{"type":"ngram","n":3,"positional":true},
    "strategy":{"bitsPerToken":3},"hash":{"type":"doubleHash"}}},
  {"identifier":"s","format":{"type":"string","encoding":"utf-16"},"hashing":{"comparison":{"type":"ngram","n":1},
    "strategy":{"bitsPerFeature":30}}},
  {"identifier":"x","ignored":true}]}"#;
