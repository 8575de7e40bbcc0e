//! The validator gives the verdicts of the public implementation on the shared vectors.

use std::path::PathBuf;

use fhir::vectors::run_validation;

fn shared() -> PathBuf {
    std::env::var_os("DSF_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from)
}

#[test]
fn recorded_verdicts() {
    let dir = shared().join("vectors/validation");
    if !dir.exists() {
        println!("left out: no validation vectors at {}", dir.display());
        return;
    }
    let mut problems = Vec::new();
    let mut note = |line: &str| {
        if !line.starts_with("ok ") || line.contains(" but ") {
            problems.push(line.to_owned());
        }
    };
    let (passed, failed) = run_validation(&dir, Some(&shared().join("plugins")), None, &mut note);
    let problems = problems.join("\n");
    println!("{passed} passed, {failed} failed\n{problems}");
    assert!(failed == 0 && passed > 0, "{passed} passed, {failed} failed:\n{problems}");
}
