//! The recorded outputs of highmed-dsf 0.9.3 and clkhash 0.18.3, and that a wrong expectation is seen.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use serde_json::Value;

fn folder(kind: &str) -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("DSF_SHARED").map_or(default, PathBuf::from).join("vectors").join(kind);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("left out: no vectors at {}", folder.display());
    None
}

type Run = fn(&Path, &mut dyn FnMut(&str)) -> (usize, usize);
const KINDS: [(&str, Run, usize); 2] =
    [("rbf", linkage::vectors::run_rbf, 557), ("clk", linkage::vectors::run_clk, 74)];

#[test]
fn recorded_outputs_are_repeated() {
    for (kind, run, least) in KINDS {
        let Some(folder) = folder(kind) else { continue };
        let mut failures = Vec::new();
        let (passed, failed) = run(&folder, &mut |line| {
            if !line.starts_with("ok ") {
                failures.push(line.to_owned());
            }
        });
        assert_eq!(failed, 0, "{kind}:\n{}", failures.join("\n"));
        assert!(passed >= least, "{kind}: {passed} cases, {least} were expected");
    }
}

/// Changes the texts and numbers of expectations, one file at a time, and takes them away.
#[test]
fn a_wrong_or_missing_expectation_fails() {
    // Kind, file, path to an expectation.
    let expectations = [
        ("rbf", "hashing.json", "/hashers/0/entries/0/hash2Hex"),
        ("rbf", "hashing.json", "/hashers/0/entries/0/positionsByLength"),
        ("rbf", "field-bloom-filters.json", "/groups/0/entries/0/setBits"),
        ("rbf", "field-bloom-filters.json", "/groups/0/entries/0/base64"),
        ("rbf", "java-random-shuffle.json", "/entries/0/nextInt"),
        ("rbf", "java-random-shuffle.json", "/entries/0/shuffledIdentityList"),
        ("rbf", "rbf-compose.json", "/entries/0/base64"),
        ("rbf", "rbf-persons.json", "/configurations/0/results/0/base64"),
        ("rbf", "bloom-filter-config.json", "/entries/0/processVariableJson"),
        ("rbf", "matcher.json", "/federated/0/groupsSorted"),
        ("rbf", "matcher.json", "/dice/1/diceIeee754BitsHex"),
        ("rbf", "crypto.json", "/aesGcmFixedIv/0/ciphertextAndTagHex"),
        ("rbf", "crypto.json", "/aesGcmDecryptOnly/0/plaintextUtf8"),
        ("rbf", "pseudonyms-deployed-mapper.json", "/sets/0/pseudonymsShuffled/0/plaintextJson"),
        ("rbf", "resultset-pipeline.json", "/withRbfColumn"),
        ("rbf", "resultset-pipeline.json", "/ttpResultForMedic"),
        ("rbf", "resultset-pipeline.json", "/decryptedByMedic/rows"),
        ("clk", "clk-schemas.json", "/cases/0/clksBase64"),
        ("clk", "clk-primitives.json", "/tokenizers/1/tokens"),
        ("clk", "clk-primitives.json", "/blakeTokens/0/indices"),
        ("clk", "clk-old-schema-versions.json", "/cases/0/clksBase64"),
    ];
    let scratch = std::env::temp_dir().join(format!("linkage-vectors-{}", std::process::id()));
    for (kind, file, pointer) in expectations {
        let Some(folder) = folder(kind) else { return };
        let run = KINDS.iter().find(|(name, ..)| *name == kind).unwrap().1;
        for taken_away in [false, true] {
            let _ = std::fs::remove_dir_all(&scratch);
            std::fs::create_dir_all(&scratch).unwrap();
            for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
                // Files that refer to others need those.
                if entry.file_name() == "rbf-persons.json" || entry.file_name() == file {
                    let text = std::fs::read(entry.path()).unwrap();
                    std::fs::write(scratch.join(entry.file_name()), text).unwrap();
                }
            }
            let mut value: Value =
                serde_json::from_slice(&std::fs::read(scratch.join(file)).unwrap()).unwrap();
            if taken_away {
                let (parent, name) = pointer.rsplit_once('/').unwrap();
                value.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
            } else {
                spoil(value.pointer_mut(pointer).unwrap());
            }
            std::fs::write(scratch.join(file), value.to_string()).unwrap();
            let (_, failed) = run(&scratch, &mut |_| {});
            assert!(failed > 0, "{file} {pointer} (taken away: {taken_away}) is not missed");
        }
    }
    let _ = std::fs::remove_dir_all(&scratch);
}

/// Changes the first text or number in a value.
fn spoil(value: &mut Value) {
    match value {
        Value::Array(items) => items.first_mut().map_or((), spoil),
        Value::Object(members) => members.values_mut().next().map_or((), spoil),
        Value::Number(number) => *number = (number.as_i64().unwrap_or(0) ^ 1).into(),
        Value::String(text) => {
            let first = text.chars().next().unwrap_or('x');
            let other = if first == '0' { "1" } else { "0" };
            *text = format!("{other}{}", text.chars().skip(1).collect::<String>());
        }
        other => *other = Value::from(0),
    }
}

#[test]
fn a_folder_of_something_else_fails() {
    let scratch = std::env::temp_dir().join(format!("linkage-other-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).unwrap();
    for text in ["{}", "[]", "no JSON", r#"{"cases":[],"entries":[],"records":[]}"#] {
        std::fs::write(scratch.join("file.json"), text).unwrap();
        for (kind, run, _) in KINDS {
            assert_eq!(run(&scratch, &mut |_| {}), (0, 1), "{kind}: {text}");
        }
    }
    std::fs::remove_dir_all(&scratch).unwrap();
    for (kind, run, _) in KINDS {
        assert_eq!(run(&scratch, &mut |_| {}), (0, 1), "{kind}: no folder");
    }
}
