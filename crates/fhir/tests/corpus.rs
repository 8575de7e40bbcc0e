//! Replays the corpora of the fuzz targets (`fuzz/`): each file whole, cut short, and with single bits changed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]

#[path = "../../../fuzz/src/codecs.rs"]
mod codecs;

use std::{fs, panic::catch_unwind, path::Path};

/// Cuts and changes of one file at most.
const VARIANTS: usize = 150;
/// What reading small files may cost at its peak, in KiB.
const GROWTH_KIB: u64 = 64 * 1024;

/// Most memory this process ever had, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
}

fn replay(corpus: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(corpus);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 8, "{} holds a corpus", folder.display());
    let before = peak();
    for file in files {
        let bytes = fs::read(&file).unwrap();
        let mut variants = vec![bytes.clone()];
        for at in (0..bytes.len()).step_by(bytes.len() / VARIANTS + 1) {
            variants.push(bytes[..at].to_vec());
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            variants.push(changed);
        }
        for variant in variants {
            let shown = String::from_utf8_lossy(&variant).into_owned();
            assert!(catch_unwind(|| target(&variant)).is_ok(), "{}: {shown}", file.display());
        }
    }
    let grown = peak() - before;
    assert!(grown < GROWTH_KIB, "{corpus}: memory grew by {grown} KiB");
}

#[test]
fn json() {
    replay("json", codecs::json);
}

#[test]
fn xml() {
    replay("xml", codecs::xml);
}

#[test]
fn search() {
    replay("search", codecs::search);
}
