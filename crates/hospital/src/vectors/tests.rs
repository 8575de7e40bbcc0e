//! The runner against the shared vectors, and against entries that must fail.
use std::path::PathBuf;

use super::*;

fn shared() -> Option<PathBuf> {
    let root = std::env::var_os("DSF_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let folder = root.join("vectors/hospital");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("left out: {} is not there", folder.display());
    None
}

#[test]
fn all_shared_vectors_agree() {
    let Some(folder) = shared() else { return };
    let mut lines = Vec::new();
    let totals = run(&folder, &mut |line| lines.push(line.to_owned())).expect("expected.json");
    let failed: Vec<_> = lines.iter().filter(|line| line.starts_with("FAILED")).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(totals.passed > 80 && totals.unsupported == 0, "{totals:?}");
}

#[test]
fn a_difference_an_unknown_key_and_a_missing_partner_fail() {
    let folder = std::env::temp_dir().join(format!("dsf-hospital-vectors-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("json")).expect("folder");
    std::fs::write(folder.join("json/r.json"), r#"{"Response":[{"Decision":"Deny"}]}"#).expect("file");
    std::fs::write(folder.join("json/alone.json"), "{}").expect("file");
    let entry = |expect: &str, more: &str| {
        format!(
            r#"{{"json/r.json": {{"kind": "xacml-json-response", "context": {{"asked": ["a"]}}, "expect": {expect}{more}}}}}"#
        )
    };
    let cases = [
        (entry(r#"{"outcome": "deny", "decisions": {"a": "deny"}}"#, ""), 1, 1, 0),
        (entry(r#"{"outcome": "permit"}"#, ""), 0, 2, 0),
        (entry(r#"{"decisions": {}}"#, ""), 0, 2, 0),
        (entry(r#"{"outcome": "deny"}"#, r#", "surprise": 1"#), 0, 2, 0),
        (entry(r#"{"outcome": {"any_of": ["permit", "deny"]}, "kept": {"ignored": true}}"#, ""), 1, 1, 0),
        (
            entry(r#"{"outcome": "deny"}"#, r#", "variants": [{"settings": {"nobody": 1}, "expect": {}}]"#),
            1,
            1,
            1,
        ),
        (
            entry(
                r#"{"outcome": "deny"}"#,
                r#", "cases": [{"context": {"asked": ["a", "b"]}, "expect": {"outcome": "decided", "fail_closed": "deny"}}]"#,
            ),
            2,
            1,
            0,
        ),
        (r#"{"json/nowhere.json": {"kind": "fixture"}}"#.to_owned(), 0, 3, 0),
    ];
    for (expected, passed, failed, unsupported) in cases {
        std::fs::write(folder.join(EXPECTED), &expected).expect("file");
        let totals = run(&folder, &mut |_| {}).expect("expected.json");
        assert_eq!(totals, Totals { passed, failed, unsupported }, "{expected}");
    }
    std::fs::remove_dir_all(folder).expect("clean");
}
