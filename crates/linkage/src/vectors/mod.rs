//! Runs this crate over folders of vectors (`shared/vectors/rbf` and `clk`, see the README in each).
//!
//! The only part of the crate that reads files: tests and `dsf vectors` share it. A file is told by its
//! members, not by its name. Whatever a case should expect and does not is a failure of that case, as is
//! a file without cases or of an unknown kind.

mod clk;
mod matcher;
mod quality;
mod rbf;
mod sealed;

use std::path::Path;

use serde_json::Value;

type Outcome = Result<(), String>;
type Report<'a> = &'a mut dyn FnMut(&str);

/// Runs every case below `folder` of the kind `rbf`: filters, shuffle, matcher, encryption, pseudonyms,
/// result sets, and linkage quality on sets of two sites. Reports each as one line (`ok ...` or
/// `FAILED ...`); the result is the numbers of passed and failed cases.
pub fn run_rbf(folder: &Path, report: Report<'_>) -> (usize, usize) {
    run(folder, report, &|tally, value| {
        if value.get("hashers").is_some() {
            rbf::hashing(tally, value)
        } else if value.get("groups").is_some() {
            rbf::field_filters(tally, value)
        } else if value.get("persons").is_some() {
            rbf::persons(tally, value)
        } else if value.get("dice").is_some() || value.get("federated").is_some() {
            matcher::run(tally, value, folder)
        } else if sealed::CRYPTO.iter().any(|kind| value.get(kind).is_some()) {
            sealed::crypto(tally, value)
        } else if value.get("sets").is_some() {
            sealed::pseudonym_sets(tally, value)
        } else if value.get("ehrIdColumnPath").is_some() {
            sealed::pipeline(tally, value, folder)
        } else {
            rbf::entries(tally, value)
        }
    })
}

/// Runs every case below `folder` of the kind `clk`. As [`run_rbf`].
pub fn run_clk(folder: &Path, report: Report<'_>) -> (usize, usize) {
    run(folder, report, &|tally, value| {
        if value.get("cases").is_some() { clk::schemas(tally, value) } else { clk::primitives(tally, value) }
    })
}

type RunFile<'a> = &'a dyn Fn(&mut Tally<'_>, &Value) -> Outcome;

fn run(folder: &Path, report: Report<'_>, run_file: RunFile<'_>) -> (usize, usize) {
    let mut tally = Tally { report, file: folder.display().to_string(), passed: 0, failed: 0 };
    let mut files = Vec::new();
    match std::fs::read_dir(folder) {
        Ok(entries) => files.extend(entries.filter_map(|entry| entry.ok().map(|entry| entry.path()))),
        Err(error) => tally.case("folder", Err(error.to_string())),
    }
    files.sort();
    for file in files {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        tally.file = name;
        if file.is_dir() {
            quality::run(&mut tally, &file);
        } else if file.extension().is_some_and(|extension| extension == "json") {
            let before = tally.passed + tally.failed;
            let outcome = read_json(&file).and_then(|value| run_file(&mut tally, &value));
            if outcome.is_err() {
                tally.case("file", outcome);
            } else if tally.passed + tally.failed == before {
                tally.case("file", Err("has no case".to_owned()));
            }
        }
    }
    (tally.passed, tally.failed)
}

fn read_json(file: &Path) -> Result<Value, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

/// Counts and reports cases.
struct Tally<'a> {
    report: Report<'a>,
    file: String,
    passed: usize,
    failed: usize,
}

impl Tally<'_> {
    fn case(&mut self, name: impl std::fmt::Display, outcome: Outcome) {
        match outcome {
            Ok(()) => {
                self.passed += 1;
                (self.report)(&format!("ok {}: {name}", self.file));
            }
            Err(problem) => {
                self.failed += 1;
                (self.report)(&format!("FAILED {}: {name}: {problem}", self.file));
            }
        }
    }
}

/// Equal, or a text that says what differs.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Outcome {
    if found == expected {
        return Ok(());
    }
    let short = |value: &T| {
        let text = format!("{value:?}");
        text.chars().take(200).collect::<String>()
    };
    Err(format!("{what}\n  expected {}\n  found    {}", short(expected), short(found)))
}

/// Access to members that must be there.
trait Members {
    fn member(&self, name: &str) -> Result<&Value, String>;

    fn text(&self, name: &str) -> Result<&str, String> {
        self.member(name)?.as_str().ok_or_else(|| format!("`{name}` is no text"))
    }

    /// A text, or `null`.
    fn text_or_null(&self, name: &str) -> Result<Option<&str>, String> {
        if self.member(name)?.is_null() { Ok(None) } else { self.text(name).map(Some) }
    }

    fn list(&self, name: &str) -> Result<&Vec<Value>, String> {
        self.member(name)?.as_array().ok_or_else(|| format!("`{name}` is no list"))
    }

    fn number(&self, name: &str) -> Result<u64, String> {
        self.member(name)?.as_u64().ok_or_else(|| format!("`{name}` is no natural number"))
    }

    fn double(&self, name: &str) -> Result<f64, String> {
        self.member(name)?.as_f64().ok_or_else(|| format!("`{name}` is no number"))
    }

    fn flag(&self, name: &str) -> Result<bool, String> {
        self.member(name)?.as_bool().ok_or_else(|| format!("`{name}` is neither true nor false"))
    }

    fn hex(&self, name: &str) -> Result<Vec<u8>, String> {
        hex::decode(self.text(name)?).map_err(|error| format!("`{name}`: {error}"))
    }

    fn numbers(&self, name: &str) -> Result<Vec<i64>, String> {
        let whole = |value: &Value| value.as_i64().ok_or_else(|| format!("`{name}` holds more than numbers"));
        self.list(name)?.iter().map(whole).collect()
    }

    fn texts(&self, name: &str) -> Result<Vec<&str>, String> {
        let text = |value| Value::as_str(value).ok_or_else(|| format!("`{name}` holds more than texts"));
        self.list(name)?.iter().map(text).collect()
    }

    /// A signed 64-bit number as decimal text.
    fn seed(&self, name: &str) -> Result<i64, String> {
        self.text(name)?.parse().map_err(|_| format!("`{name}` is no seed"))
    }
}

impl Members for Value {
    fn member(&self, name: &str) -> Result<&Value, String> {
        self.get(name).ok_or_else(|| format!("`{name}` is missing"))
    }
}
