//! Every model of the public process plugins, and every bundled one, lints without errors and compiles.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
use std::path::{Path, PathBuf};

/// Folder with the public material; absent outside the project's machines.
fn shared() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("DSF_SHARED").map_or(default, PathBuf::from);
    if shared.is_dir() {
        Some(shared)
    } else {
        println!("left out: no public models at {}", shared.display());
        None
    }
}

fn models() -> Vec<PathBuf> {
    let Some(shared) = shared() else { return Vec::new() };
    let mut found = Vec::new();
    for plugin in std::fs::read_dir(shared.join("plugins")).unwrap().map(Result::unwrap) {
        let Ok(folder) = std::fs::read_dir(plugin.path().join("bpe")) else { continue };
        found.extend(
            folder.map(|file| file.unwrap().path()).filter(|path| path.extension() == Some("bpmn".as_ref())),
        );
    }
    found.sort();
    assert_eq!(found.len(), 30, "public models found: {found:?}");
    found
}

#[test]
fn public_models_compile_and_lint_without_errors() {
    for path in models() {
        let text = std::fs::read_to_string(&path).unwrap().replace("#{version}", "1.0");
        let model = bpmn::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let definition = bpmn::compile(&model, &bpmn::CompileOptions::default())
            .unwrap_or_else(|errors| panic!("{}: {errors}", path.display()));
        assert_eq!(definition.version_tag(), Some("1.0"), "{}", path.display());
        assert!(!definition.start_messages().is_empty(), "{}: no message start", path.display());
        let errors: Vec<_> = bpmn::lint(&model)
            .into_iter()
            .filter(|finding| finding.severity == bpmn::Severity::Error)
            .collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
    }
}

#[test]
fn bundled_models_compile_and_lint_without_warnings() {
    let processes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../processes");
    let mut seen = 0;
    for plugin in std::fs::read_dir(processes).unwrap().map(Result::unwrap) {
        for file in std::fs::read_dir(plugin.path().join("bpe")).unwrap().map(Result::unwrap) {
            let text = std::fs::read_to_string(file.path()).unwrap().replace("#{version}", "1.0");
            let model = bpmn::parse(&text).unwrap();
            let findings = bpmn::lint(&model);
            let serious: Vec<_> = findings.iter().filter(|f| f.severity > bpmn::Severity::Info).collect();
            assert!(serious.is_empty(), "{}: {serious:#?}", file.path().display());
            seen += 1;
        }
    }
    assert!(seen >= 5, "bundled models: {seen}");
}
