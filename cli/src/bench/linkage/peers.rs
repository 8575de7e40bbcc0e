//! The same records through clkhash and anonlink, where `DSF_PEER_PYTHON` names a Python that has them.
use std::{num::NonZeroUsize, path::Path, time::Instant};

use anyhow::{Context, Result, bail};
use linkage::{
    clk::{Encoder, Folds, Schema},
    encode::{RECOMMENDED_THRESHOLD, wire_header},
    filters::{FilterSet, Header},
    idat::{Idat, Text},
    matching::{Options, site_unique},
    profile::WireProfile,
};

/// Records of a site that clkhash and anonlink get as well.
const PEER: usize = 5_000;
const PYTHON: &str = "DSF_PEER_PYTHON";
const SECRET: &str = "secret";
const PEER_SCHEMA: &str = r#"{"version": 3, "clkConfig": {"l": 1024, "kdf": {"type": "HKDF", "hash": "SHA256"}}, "features": [
 {"identifier": "first", "format": {"type": "string"}, "hashing": {"comparison": {"type": "ngram", "n": 2}, "strategy": {"bitsPerFeature": 150}}},
 {"identifier": "last", "format": {"type": "string"}, "hashing": {"comparison": {"type": "ngram", "n": 2}, "strategy": {"bitsPerFeature": 150}}},
 {"identifier": "birth", "format": {"type": "string"}, "hashing": {"comparison": {"type": "ngram", "n": 2, "positional": true}, "strategy": {"bitsPerFeature": 150}}},
 {"identifier": "street", "format": {"type": "string"}, "hashing": {"comparison": {"type": "ngram", "n": 2}, "strategy": {"bitsPerFeature": 60}}},
 {"identifier": "city", "format": {"type": "string"}, "hashing": {"comparison": {"type": "ngram", "n": 2}, "strategy": {"bitsPerFeature": 60}}}]}"#;

/// Measures both.
pub fn peers(sites: &[Vec<Idat>; 2], processors: NonZeroUsize) -> Result<()> {
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
