//! Checks this engine against recorded runs of the reference engine (`vectors/bpmn`).
//!
//! The only part of the crate that reads files. A small engine in memory plays what a
//! service does around [`crate::step`]: correlation, signals, jobs, retries and a virtual clock.
//! Both deliberate differences of behaviour ([`crate::Options`]) are switched off for it.
mod compare;
mod script;
mod site;

use std::path::Path;

use serde_json::Value as Json;

/// What came of one scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScenarioResult {
    /// Name of its folder.
    pub name: String,
    /// Why it failed; `None` when it passed.
    pub problem: Option<String>,
}

impl std::fmt::Display for ScenarioResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.problem {
            None => write!(f, "ok {}", self.name),
            Some(problem) => write!(f, "FAILED {}: {problem}", self.name),
        }
    }
}

/// A folder that cannot be read as scenarios.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {cause}")]
pub struct FolderError {
    /// The file or folder.
    pub path: String,
    /// What is wrong with it.
    pub cause: String,
}

/// Runs every scenario below a folder (or the folder itself, if it is one), reports each, and counts
/// those that passed and failed.
///
/// # Errors
/// When the folder cannot be read or holds no scenario.
pub fn run(folder: &Path, mut report: impl FnMut(&ScenarioResult)) -> Result<(usize, usize), FolderError> {
    let failed = |cause: String| FolderError { path: folder.display().to_string(), cause };
    let mut scenarios = Vec::new();
    if folder.join("scenario.json").is_file() {
        scenarios.push(folder.to_path_buf());
    } else {
        for entry in std::fs::read_dir(folder).map_err(|error| failed(error.to_string()))? {
            let path = entry.map_err(|error| failed(error.to_string()))?.path();
            if path.join("scenario.json").is_file() {
                scenarios.push(path);
            }
        }
    }
    scenarios.sort();
    if scenarios.is_empty() {
        return Err(failed("no scenario here".to_owned()));
    }
    let (mut passed, mut broken) = (0, 0);
    for scenario in scenarios {
        let name = scenario.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let result = ScenarioResult { name, problem: run_scenario(&scenario).err() };
        if result.problem.is_none() {
            passed += 1;
        } else {
            broken += 1;
        }
        report(&result);
    }
    Ok((passed, broken))
}

/// Runs one scenario folder.
///
/// # Errors
/// What differs from the recorded run, or why it could not be played.
pub fn run_scenario(folder: &Path) -> Result<(), String> {
    let scenario = read_json(&folder.join("scenario.json"))?;
    let trace = read_json(&folder.join("trace.json"))?;
    let mut models = Vec::new();
    for file in scenario["bpmn"].as_array().into_iter().flatten().filter_map(Json::as_str) {
        models.push(read(&folder.join(file))?.replace("#{version}", "0.0.1"));
    }
    let deployed = site::Site::deploy(&models);
    let mut site = match (deployed, trace.get("deployError")) {
        (Err(_), Some(_)) => return Ok(()),
        (Ok(_), Some(_)) => return Err("the model is deployed; it should have been refused".to_owned()),
        (Err(error), None) => return Err(format!("the model is refused: {error}")),
        (Ok(site), None) => site,
    };
    let none = Vec::new();
    let recorded = trace["steps"].as_array().unwrap_or(&none);
    let mut actions: Vec<(bool, &Json)> = Vec::new();
    if let Some(start) = scenario.get("start") {
        actions.push((true, start));
    }
    actions.extend(scenario["script"].as_array().unwrap_or(&none).iter().map(|action| (false, action)));
    for (index, (start, action)) in actions.into_iter().enumerate() {
        let step = recorded.get(index).ok_or_else(|| format!("step {index}: the trace ends before it"))?;
        let error = script::play(&mut site, &scenario, action, start);
        compare::step(&mut site, error, step)
            .map_err(|problem| format!("step {index} {action}: {problem}"))?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn read_json(path: &Path) -> Result<Json, String> {
    serde_json::from_str(&read(path)?).map_err(|error| format!("{}: {error}", path.display()))
}
