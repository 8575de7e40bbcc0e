//! clkhash and anonlink from PyPI: `make test-peers`. The same records and schema give the same bytes, the
//! same pairs and the same groups of two. Left out elsewhere, with one line.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use linkage::bits::Bits;
use linkage::clk::{Encoder, Folds, Schema};
use linkage::dice::{Threshold, dice};
use linkage::encode::wire_header;
use linkage::filters::{FilterSet, Header};
use linkage::matching::{Options, site_unique};
use linkage::profile::WireProfile;
use serde_json::Value;

/// A Python interpreter with `tests/peers/linkage/requirements.txt`, set by `make test-peers`.
const PYTHON: &str = "DSF_PEER_PYTHON";
const SECRET: &str = "a secret of both";
const THRESHOLD: f64 = 0.8;
const PERSONS: u64 = 400;

/// Every kind of value, comparison and hash.
const SCHEMA: &str = r#"{"version": 3,
  "clkConfig": {"l": 1024, "kdf": {"type": "HKDF", "hash": "SHA256", "salt": "c2FsdA==", "info": "aW5mbw==", "keySize": 64}},
  "features": [
    {"identifier": "last", "format": {"type": "string", "encoding": "utf-8"},
     "hashing": {"comparison": {"type": "ngram", "n": 2}, "strategy": {"bitsPerFeature": 200}, "hash": {"type": "blakeHash"}}},
    {"identifier": "first", "format": {"type": "string", "encoding": "utf-16"},
     "hashing": {"comparison": {"type": "ngram", "n": 3, "positional": true}, "strategy": {"bitsPerToken": 8},
                 "hash": {"type": "doubleHash", "prevent_singularity": true}}},
    {"identifier": "nothing", "ignored": true},
    {"identifier": "birth", "format": {"type": "date", "format": "%Y-%m-%d"},
     "hashing": {"comparison": {"type": "ngram", "n": 1, "positional": true}, "strategy": {"bitsPerFeature": 120},
                 "missingValue": {"sentinel": "-", "replaceWith": ""}, "hash": {"type": "blakeHash"}}},
    {"identifier": "weight", "format": {"type": "integer"},
     "hashing": {"comparison": {"type": "numeric", "thresholdDistance": 5, "resolution": 4}, "strategy": {"bitsPerToken": 10},
                 "hash": {"type": "doubleHash"}}},
    {"identifier": "city", "format": {"type": "string", "encoding": "utf-8"},
     "hashing": {"comparison": {"type": "exact"}, "strategy": {"bitsPerFeature": 40}, "hash": {"type": "blakeHash"}}}]}"#;

/// Invented persons; every third one is misspelt at the second site, every fifth one is another.
fn persons(site: u64) -> Vec<[String; 6]> {
    let last = ["Müller", "Özdemir", "Groß", "Nowak", "O'Neill", "von der Au", "Yıldız", "Ng", "Ærø", "李"];
    let first = ["Anna", "Zoë", "Karl-Heinz", "Ayşe", "Jörg", "Mia", "Emre", "Lu"];
    let city = ["Göttingen", "Heidelberg", "Leipzig", ""];
    let person = |number: u64| {
        let number = if site == 1 && number.is_multiple_of(5) { number + 10_000 } else { number };
        let mixed = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let pick = |bits: u32, of: usize| (mixed.rotate_left(bits) % of as u64) as usize;
        let misspelt = if site == 1 && number.is_multiple_of(3) { "x" } else { "" };
        let birth = match pick(3, 9) {
            0 => "-".to_owned(),
            _ => format!("{}-{:02}-{:02}", 1930 + pick(19, 80), 1 + pick(23, 12), 1 + pick(29, 28)),
        };
        [
            format!("{}{misspelt}{}", last[pick(5, last.len())], number % 89),
            first[pick(11, first.len())].to_owned(),
            "ignored".to_owned(),
            birth,
            (40 + pick(37, 60)).to_string(),
            city[pick(41, city.len())].to_owned(),
        ]
    };
    (0..PERSONS).map(person).collect()
}

#[test]
fn clkhash_and_anonlink_give_the_same_bytes_and_pairs() {
    let Some(python) = std::env::var_os(PYTHON) else {
        return eprintln!(
            "left out: {PYTHON} names no Python with clkhash and anonlink, see make test-peers"
        );
    };
    let folder = std::env::temp_dir().join(format!("dsf-linkage-peers-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("folder");
    let file = |name: &str, text: &str| -> PathBuf {
        std::fs::write(folder.join(name), text).expect("a file");
        folder.join(name)
    };
    let sites = [persons(0), persons(1)];
    let table =
        |persons: &[[String; 6]]| persons.iter().map(|person| person.join("\t") + "\n").collect::<String>();
    let output = std::process::Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers/linkage/peer.py"))
        .args([file("schema.json", SCHEMA), PathBuf::from(SECRET), PathBuf::from(THRESHOLD.to_string())])
        .args([file("a.tsv", &table(&sites[0])), file("b.tsv", &table(&sites[1]))])
        .output()
        .expect("python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs: Value = serde_json::from_slice(&output.stdout).expect("JSON");

    let encoder = Encoder::new(Schema::parse(SCHEMA, Folds::Strict).unwrap(), SECRET.as_bytes()).unwrap();
    let header = Header { bits: 1024, ..wire_header(WireProfile::Stub1) };
    let mut sets = [FilterSet::new(header.clone()), FilterSet::new(header)];
    let mut filters: [Vec<Bits>; 2] = Default::default();
    for (site, persons) in sites.iter().enumerate() {
        for (at, person) in persons.iter().enumerate() {
            let record: Vec<&str> = person.iter().map(String::as_str).collect();
            let filter = encoder.encode(&record).expect("a filter");
            assert_eq!(
                theirs["clks"][site][at],
                filter.to_clk_text(),
                "site {site}, record {at}: {record:?}"
            );
            sets[site].push(&filter).unwrap();
            filters[site].push(filter);
        }
    }
    // The same pairs with the same scores.
    let mut ours = BTreeSet::new();
    for (a, left) in filters[0].iter().enumerate() {
        for (b, right) in filters[1].iter().enumerate() {
            let common = left.words().iter().zip(right.words()).map(|(x, y)| (x & y).count_ones()).sum();
            let score = dice(common, left.count(), right.count());
            if score >= THRESHOLD {
                ours.insert((a as u64, b as u64, score.to_bits()));
            }
        }
    }
    let pair = |pair: &Value| {
        (pair[0].as_u64().unwrap(), pair[1].as_u64().unwrap(), pair[2].as_f64().unwrap().to_bits())
    };
    let found: BTreeSet<_> = theirs["pairs"].as_array().unwrap().iter().map(pair).collect();
    assert_eq!(ours, found);
    assert!(ours.len() > 200, "the data have pairs: {}", ours.len());
    // Ours prefers other pairs among equal scores, so that only clear ones are compared.
    let options = Options::new(Threshold::new(THRESHOLD).unwrap());
    let matches = site_unique(&sets, &["a", "b"], &options).unwrap();
    assert_eq!(matches.report.candidates, found.len() as u64);
    let linked = matches.groups.iter().filter(|group| group.len() == 2).count();
    assert_eq!(linked, theirs["groups"].as_array().unwrap().len(), "groups of both solvers");
    std::fs::remove_dir_all(&folder).expect("clean");
}
