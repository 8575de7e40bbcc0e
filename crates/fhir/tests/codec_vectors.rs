//! The codec gives what the public implementation gives, on the shared conversion vectors.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]

use std::path::PathBuf;

#[test]
fn conversion_vectors() {
    let shared = std::env::var_os("DSF_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let dir = shared.join("vectors/codec");
    if !dir.exists() {
        println!("left out: no conversion vectors at {}", dir.display());
        return;
    }
    let mut problems = Vec::new();
    let (passed, failed) = fhir::vectors::run_codec(&dir, &mut |line| problems.push(line.to_owned()));
    println!("{passed} passed, {failed} failed");
    assert!(failed == 0 && passed > 0, "{passed} passed, {failed} failed:\n{}", problems.join("\n"));
}
