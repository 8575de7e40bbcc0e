//! The recorded runs of the reference engine are repeated, all of them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
use std::path::{Path, PathBuf};

#[test]
fn recorded_runs_are_repeated() {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("DSF_SHARED").map_or(default, PathBuf::from).join("vectors/bpmn");
    if !folder.is_dir() {
        println!("left out: no recorded runs at {}", folder.display());
        return;
    }
    let mut failed = Vec::new();
    let (passed, _) = bpmn::vectors::run(&folder, |result| {
        if result.problem.is_some() {
            failed.push(result.to_string());
        }
    })
    .unwrap();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert_eq!(passed, 106, "scenarios that pass");
}
