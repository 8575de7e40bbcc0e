//! The validator gives the verdicts of the public implementation on the shared vectors.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]

use std::path::PathBuf;

use fhir::validation::{Change, Validator, add_default_profile};
use fhir::vectors::{plugin_definitions, plugin_resources, run_validation};

fn shared() -> PathBuf {
    std::env::var_os("DSF_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from)
}

#[test]
fn recorded_verdicts() {
    check(None);
}

/// Our own definitions of the framework say the same as the recorded ones.
#[test]
fn recorded_verdicts_with_own_definitions() {
    check(Some(&fhir::framework::validator()));
}

fn check(base: Option<&Validator>) {
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
    let (passed, failed) = run_validation(&dir, Some(&shared().join("plugins")), base, &mut note);
    let problems = problems.join("\n");
    println!("{passed} passed, {failed} failed\n{problems}");
    assert!(failed == 0 && passed > 0, "{passed} passed, {failed} failed:\n{problems}");
}

/// No profile of a public plugin uses anything that is not checked.
#[test]
fn every_plugin_profile_is_usable() {
    let plugins = shared().join("plugins");
    if !plugins.exists() {
        println!("left out: no plugins at {}", plugins.display());
        return;
    }
    let definitions = plugin_definitions(&plugins).unwrap();
    let profiles = definitions.iter().filter(|d| d.resource_type() == "StructureDefinition").count();
    let validator = fhir::framework::validator().with(definitions.into_iter().map(Change::Put));
    assert!(profiles > 50, "only {profiles} profiles");
    assert_eq!(validator.unusable(), []);
}

/// What we ship ourselves is accepted by what we ship.
#[test]
fn own_processes_are_valid() {
    let processes = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../processes");
    let resources = plugin_resources(&processes).unwrap();
    assert!(resources.len() > 20, "only {} resources", resources.len());
    let validator = fhir::framework::validator().with(resources.iter().cloned().map(Change::Put));
    assert_eq!(validator.unusable(), []);
    for mut resource in resources {
        add_default_profile(&mut resource);
        let report = validator.validate(&resource);
        assert!(
            report.accepted(),
            "{} {:?}: {:?}",
            resource.resource_type(),
            resource.text("url"),
            report.messages
        );
    }
}
