//! `dsf vectors hospital`: decodes every file of a folder and compares with its `expected.json`.
mod compare;
mod decode;
mod request;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::json::Json;

const EXPECTED: &str = "expected.json";
/// Largest file, in bytes.
const MAX_FILE: u64 = 64 * 1024 * 1024;
const ENTRY_KEYS: [&str; 9] =
    ["kind", "expect", "context", "settings", "variants", "cases", "meaning", "note", "peer"];

/// What came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Runs that agree.
    pub passed: usize,
    /// Runs that differ, and files or entries without their partner.
    pub failed: usize,
    /// Runs under settings that we do not offer.
    pub unsupported: usize,
}

/// Compares a folder. Each run is one line: `ok …`, `FAILED …` or `unsupported …`; no line holds a
/// value of a message.
///
/// # Errors
/// One line, when there is no readable `expected.json`.
pub fn run(folder: &Path, report: &mut dyn FnMut(&str)) -> Result<Totals, String> {
    let index = folder.join(EXPECTED);
    let bytes = std::fs::read(&index).map_err(|error| format!("{}: {error}", index.display()))?;
    let expected = Json::read_within(&bytes, usize::MAX).map_err(|reason| format!("{EXPECTED}: {reason}"))?;
    let mut files = BTreeSet::new();
    collect(folder, folder, &mut files).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut totals = Totals::default();
    for file in &files {
        if expected.find(file).is_none() {
            totals.failed += 1;
            report(&format!("FAILED {file}: no entry in {EXPECTED}"));
        }
    }
    for (file, entry) in expected.members() {
        if !files.contains(file) {
            totals.failed += 1;
            report(&format!("FAILED {file}: no such file"));
            continue;
        }
        entry_runs(folder, file, entry, &mut totals, report);
    }
    Ok(totals)
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeSet<String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path: PathBuf = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
            continue;
        }
        let Ok(name) = path.strip_prefix(root) else { continue };
        let name =
            name.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
        if name != "README.md" && name != EXPECTED {
            files.insert(name);
        }
    }
    Ok(())
}

fn entry_runs(folder: &Path, file: &str, entry: &Json, totals: &mut Totals, report: &mut dyn FnMut(&str)) {
    let mut fail = |totals: &mut Totals, what: &str| {
        totals.failed += 1;
        report(&format!("FAILED {file}: {what}"));
    };
    if let Some((key, _)) = entry.members().iter().find(|(key, _)| !ENTRY_KEYS.contains(&key.as_str())) {
        return fail(totals, &format!("unknown key {key} in its entry"));
    }
    let kind = match entry.get("kind").text() {
        Some(kind) if decode::KINDS.contains(&kind) => kind,
        _ => return fail(totals, "unknown kind"),
    };
    if kind == decode::FIXTURE {
        totals.passed += 1;
        return report(&format!("ok {file} ({kind})"));
    }
    let Some(expect) = entry.find("expect") else { return fail(totals, "nothing expected") };
    let none = Json::Object(Vec::new());
    let settings = entry.find("settings").unwrap_or(&none);
    let context = entry.find("context").unwrap_or(&none);
    let mut run = |label: &str, settings: &Json, context: &Json, expect: &Json| match one(
        folder, file, kind, settings, context, expect,
    ) {
        Ok(()) => {
            totals.passed += 1;
            report(&format!("ok {file} ({kind}{label})"));
        }
        Err(Trouble::Unsupported(setting)) => {
            totals.unsupported += 1;
            report(&format!("unsupported {file} ({kind}{label}): setting {setting}"));
        }
        Err(Trouble::Different(places)) => {
            totals.failed += 1;
            report(&format!("FAILED {file} ({kind}{label}): differs at {}", places.join(", ")));
        }
    };
    run("", settings, context, expect);
    for (at, variant) in entry.get("variants").items().iter().enumerate() {
        let settings = compare::merge(settings, variant.get("settings"));
        let expect = compare::merge(expect, variant.get("expect"));
        run(&format!(", variant {at}"), &settings, context, &expect);
    }
    for (at, case) in entry.get("cases").items().iter().enumerate() {
        let context = compare::merge(context, case.get("context"));
        run(&format!(", case {at}"), settings, &context, case.get("expect"));
    }
}

enum Trouble {
    Unsupported(String),
    Different(Vec<String>),
}

fn one(
    folder: &Path,
    file: &str,
    kind: &str,
    settings: &Json,
    context: &Json,
    expect: &Json,
) -> Result<(), Trouble> {
    let settings = decode::Settings::read(settings).map_err(Trouble::Unsupported)?;
    let different = |place: &str| Trouble::Different(vec![place.to_owned()]);
    let bytes = read_file(folder, file).ok_or_else(|| different("the file, which cannot be read"))?;
    let input = decode::Input { folder, context, settings: &settings };
    let decoded = decode::decode(kind, &bytes, &input);
    let mut places = Vec::new();
    compare::compare("", expect, &decoded, &mut places);
    if kind == "mllp-frame" {
        decode::compare_frames(&bytes, &input, expect.get("frames").items(), &mut places);
    }
    if places.is_empty() { Ok(()) } else { Err(Trouble::Different(places)) }
}

fn read_file(folder: &Path, name: &str) -> Option<Vec<u8>> {
    let path = folder.join(name);
    let inside = Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_)));
    let small = std::fs::metadata(&path).is_ok_and(|data| data.len() <= MAX_FILE);
    if inside && small { std::fs::read(path).ok() } else { None }
}

#[cfg(test)]
mod tests;
