//! Validation vectors (see `shared/vectors/validation/README.md`).
//!
//! A folder has `definitions/*.bundle.json` and families of cases, each with an index `cases.jsonl`. A
//! case passes if it is accepted or refused as recorded; an accepted one that only a lenient reader saves
//! (`stricterAllowed`) may be refused. That the first recorded location is among ours is counted, but is
//! no condition.

use std::fs;
use std::path::{Path, PathBuf};

use crate::json::syntax::{Value, document};
use crate::outcome::Severity;
use crate::validation::{Change, DEFINITION_TYPES, Report, Validator, add_default_profile};
use crate::{Format, Resource, bundle, parse};

/// Deepest JSON and most values of one line of an index.
const LINE_LIMIT: usize = 10_000;
/// What the recorded runs put in for placeholders of plugins.
const DATE: &str = "2024-01-15";
const ORGANIZATION: &str = "dic-a.example.org";

/// Runs all cases below `dir`. Definitions are those of `dir`, or, if it has none, `base`; those of the
/// plugins in `plugins` come on top. Every failure is reported as one line; the result is the numbers of
/// passed and failed cases.
pub fn run_validation(
    dir: &Path,
    plugins: Option<&Path>,
    base: Option<&Validator>,
    report: &mut dyn FnMut(&str),
) -> (usize, usize) {
    let (mut passed, mut failed) = (0, 0);
    let mut problem = |text: String, report: &mut dyn FnMut(&str)| {
        report(&text);
        failed += 1;
    };
    let mut validator = base.cloned().unwrap_or_default();
    if base.is_none() {
        match definitions(&dir.join("definitions")) {
            Ok(changes) => validator = validator.with(changes),
            Err(error) => problem(error, report),
        }
    }
    if let Some(plugins) = plugins {
        match plugin_definitions(plugins) {
            Ok(definitions) => validator = validator.with(definitions.into_iter().map(Change::Put)),
            Err(error) => problem(error, report),
        }
    }
    let mut stricter = 0;
    let mut located = (0usize, 0usize);
    for index in indexes(dir) {
        let family = index.parent().unwrap_or(dir);
        let name = family.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let lines = match fs::read_to_string(&index) {
            Ok(lines) => lines,
            Err(error) => {
                problem(format!("{}: {error}", index.display()), report);
                continue;
            }
        };
        for line in lines.lines().filter(|line| !line.trim().is_empty()) {
            let Some(case) = Case::read(line) else {
                problem(format!("{name}: not a case of the index"), report);
                continue;
            };
            let bytes = match fs::read(family.join(&case.file)) {
                Ok(bytes) => bytes,
                Err(error) => {
                    problem(format!("{name}/{}: {error}", case.file), report);
                    continue;
                }
            };
            let found = verdict(&validator, &bytes, &case.file);
            let accepted = found.as_ref().is_ok_and(Report::accepted);
            if accepted == case.valid {
                passed += 1;
                report(&format!("ok {name}/{}", case.file));
            } else if case.valid && case.stricter {
                passed += 1;
                stricter += 1;
                report(&format!("ok {name}/{} (refused, which is allowed)", case.file));
            } else {
                let wanted = if case.valid { "accepted" } else { "refused" };
                problem(format!("{name}/{} must be {wanted}: {}", case.file, describe(&found)), report);
            }
            if let (Some(location), Ok(found), false) = (&case.location, &found, case.valid) {
                located.1 += 1;
                if names(found, location) {
                    located.0 += 1;
                } else {
                    report(&format!(
                        "ok {name}/{} but the recorded location {location} is not among: {}",
                        case.file,
                        describe(&Ok(found.clone()))
                    ));
                }
            }
        }
    }
    report(&format!(
        "the first recorded location is named in {} of {} refused cases; {stricter} accepted cases are refused, \
         as they may be",
        located.0, located.1
    ));
    (passed, failed)
}

fn indexes(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("cases.jsonl"))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found
}

fn verdict(validator: &Validator, bytes: &[u8], file: &str) -> Result<Report, String> {
    let format = if file.ends_with(".xml") { Format::Xml } else { Format::Json };
    let mut resource = parse(bytes, format).map_err(|error| error.to_string())?;
    add_default_profile(&mut resource);
    Ok(validator.validate(&resource))
}

fn describe(found: &Result<Report, String>) -> String {
    match found {
        Err(error) => error.clone(),
        Ok(report) => report
            .messages
            .iter()
            .filter(|message| message.severity >= Severity::Error)
            .map(|message| format!("{} at {}", message.id, message.location))
            .collect::<Vec<_>>()
            .join("; "),
    }
}

/// Whether a location is among those of a report, at the same element or its direct parent.
fn names(report: &Report, location: &str) -> bool {
    let parent = |text: &str| text.rsplit_once('.').map(|(parent, _)| parent.to_owned());
    report.messages.iter().any(|message| {
        message.severity >= Severity::Error
            && (message.location == location
                || parent(location).as_deref() == Some(&message.location)
                || parent(&message.location).as_deref() == Some(location))
    })
}

struct Case {
    file: String,
    valid: bool,
    stricter: bool,
    /// The first one of a refusing message.
    location: Option<String>,
}

impl Case {
    fn read(line: &str) -> Option<Case> {
        let Ok(Value::Object(members)) = document(line, LINE_LIMIT, LINE_LIMIT) else { return None };
        let member = |name: &str| members.iter().find(|(other, _)| other == name).map(|(_, value)| value);
        let flag = |name: &str| match member(name) {
            Some(Value::Boolean(value)) => Some(*value),
            _ => None,
        };
        let Some(Value::String(file)) = member("file") else { return None };
        let location = match member("rejecting") {
            Some(Value::Array(messages)) => match messages.first() {
                Some(Value::Object(message)) => {
                    message.iter().find(|(name, _)| name == "location").and_then(|(_, value)| match value {
                        Value::String(text) => Some(text.to_string()),
                        _ => None,
                    })
                }
                _ => None,
            },
            _ => None,
        };
        Some(Case {
            file: file.to_string(),
            valid: flag("valid")?,
            stricter: flag("stricterAllowed").unwrap_or(false),
            location,
        })
    }
}

/// The definitions of the bundles in a folder.
fn definitions(dir: &Path) -> Result<Vec<Change>, String> {
    let mut changes = Vec::new();
    let entries = fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        if !path.to_string_lossy().ends_with(".bundle.json") {
            continue;
        }
        let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let bundle = parse(&bytes, Format::Json).map_err(|error| format!("{}: {error}", path.display()))?;
        changes.extend(
            bundle::entries(&bundle)
                .filter_map(|entry| entry.resource().and_then(crate::Element::resource))
                .map(Change::Put),
        );
    }
    Ok(changes)
}

/// The definitions of all plugins in a folder: see [`plugin_resources`].
///
/// # Errors
/// A text naming the file that cannot be read.
pub fn plugin_definitions(plugins: &Path) -> Result<Vec<Resource>, String> {
    let mut resources = plugin_resources(plugins)?;
    resources.retain(|resource| DEFINITION_TYPES.contains(&resource.resource_type()));
    Ok(resources)
}

/// The resources of all plugins in a folder, placeholders filled as in the recorded runs and bases of
/// the first generation named as the process engine names them today (validation contract 6.5).
///
/// # Errors
/// A text naming the file that cannot be read.
pub fn plugin_resources(plugins: &Path) -> Result<Vec<Resource>, String> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = fs::read_dir(plugins)
        .map_err(|error| format!("{}: {error}", plugins.display()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    for folder in folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let version = name.rsplit('-').next().unwrap_or_default();
        // Three numbers are the 0.9 generation, which has its full version in its resources.
        let version = match version.split('.').count() {
            _ if !version.starts_with(|first: char| first.is_ascii_digit()) => "1.0".to_owned(),
            0..=3 => version.to_owned(),
            _ => version.split('.').take(2).collect::<Vec<_>>().join("."),
        };
        let mut files = Vec::new();
        collect(&folder.join("fhir"), &mut files);
        files.sort();
        for file in files {
            let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            let text = text
                .replace("#{version}", &version)
                .replace("#{date}", DATE)
                .replace("#{organization}", ORGANIZATION);
            let format = if text.trim_start().starts_with('<') { Format::Xml } else { Format::Json };
            let mut resource =
                parse(text.as_bytes(), format).map_err(|error| format!("{}: {error}", file.display()))?;
            let old = "http://dsf.dev/fhir/StructureDefinition/task-base";
            if resource.text("baseDefinition").is_some_and(|base| base.split('|').next() == Some(old)) {
                resource.set_text("baseDefinition", "http://dsf.dev/fhir/StructureDefinition/task");
            }
            found.push(resource);
        }
    }
    Ok(found)
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for path in fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "xml" || extension == "json") {
            files.push(path);
        }
    }
}
