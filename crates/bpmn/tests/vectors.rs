//! The recorded runs of the reference engine: all but those that need elements of a later stage.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
use std::path::{Path, PathBuf};

/// Scenarios with call activities, which are refused at deployment so far.
const NOT_YET: [&str; 4] = [
    "call_activity_mappings",
    "call_activity_multi_instance",
    "error_from_call_activity",
    "escalation_from_call_activity",
];

#[test]
fn recorded_runs_are_repeated() {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("DSF_SHARED").map_or(default, PathBuf::from).join("vectors/bpmn");
    if !folder.is_dir() {
        println!("left out: no recorded runs at {}", folder.display());
        return;
    }
    let mut failed = Vec::new();
    let mut unexpected = Vec::new();
    let (passed, _) =
        bpmn::vectors::run(&folder, |result| match (&result.problem, NOT_YET.contains(&&*result.name)) {
            (Some(_), false) => failed.push(result.to_string()),
            (None, true) => unexpected.push(result.name.clone()),
            _ => {}
        })
        .unwrap();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(unexpected.is_empty(), "these pass now, take them off the list: {unexpected:?}");
    assert_eq!(passed, 102, "scenarios that pass");
}
