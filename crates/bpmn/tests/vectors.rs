//! The recorded runs of the reference engine.
use std::path::{Path, PathBuf};

#[test]
fn print_all() {
    let shared = std::env::var_os("DSF_SHARED")
        .map_or(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let counts = bpmn::vectors::run(&shared.join("vectors/bpmn"), |result| {
        if let Some(problem) = &result.problem {
            println!("FAIL {}: {problem}", result.name)
        } else {
            println!("ok {}", result.name)
        }
    })
    .unwrap();
    println!("{counts:?}");
}
