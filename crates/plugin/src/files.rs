//! Finding and reading the files of a plugin folder, with limits.
use std::path::Path;

use crate::LoadError;

/// Longest file of a plugin, in bytes.
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// Files of a plugin at most.
const MAX_FILES: usize = 1_000;
/// Folder levels below `bpe` and `fhir` at most.
const MAX_DEPTH: usize = 4;

/// The models: path below the plugin folder, and text. Sorted by path.
pub(crate) fn models(folder: &Path) -> Result<Vec<(String, String)>, LoadError> {
    let found = read(folder, "bpe", &["bpmn"])?;
    if found.is_empty() {
        return Err(LoadError::file("bpe", "no *.bpmn there: a plugin has at least one model"));
    }
    Ok(found)
}

/// The FHIR resources: path below the plugin folder, and text. Sorted by path.
pub(crate) fn resources(folder: &Path) -> Result<Vec<(String, String)>, LoadError> {
    let found = read(folder, "fhir", &["xml", "json"])?;
    if found.is_empty() {
        return Err(LoadError::file(
            "fhir",
            "no *.xml or *.json there: a plugin has at least one ActivityDefinition",
        ));
    }
    Ok(found)
}

fn read(folder: &Path, below: &str, endings: &[&str]) -> Result<Vec<(String, String)>, LoadError> {
    let mut paths = Vec::new();
    let start = folder.join(below);
    if start.is_dir() {
        collect(&start, below, endings, 0, &mut paths)?;
    }
    paths.sort();
    let mut files = Vec::with_capacity(paths.len());
    for file in paths {
        let path = folder.join(&file);
        let failed = |reason: String| LoadError::Read { path: path.clone(), reason };
        let size = std::fs::metadata(&path).map_err(|error| failed(error.to_string()))?.len();
        if size > MAX_FILE {
            return Err(failed(format!("it has {size} bytes, at most {MAX_FILE} are read")));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| failed(error.to_string()))?;
        // A byte order mark is no part of the text.
        files.push((file, text.trim_start_matches('\u{feff}').to_owned()));
    }
    Ok(files)
}

fn collect(
    folder: &Path,
    below: &str,
    endings: &[&str],
    depth: usize,
    found: &mut Vec<String>,
) -> Result<(), LoadError> {
    let failed = |reason: String| LoadError::Read { path: folder.to_owned(), reason };
    for entry in std::fs::read_dir(folder).map_err(|error| failed(error.to_string()))? {
        let path = entry.map_err(|error| failed(error.to_string()))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return Err(failed("a file name is not UTF-8".to_owned()));
        };
        let name = format!("{below}/{name}");
        if path.is_dir() {
            if depth < MAX_DEPTH {
                collect(&path, &name, endings, depth + 1, found)?;
            }
        } else if endings.iter().any(|ending| path.extension().is_some_and(|found| found == *ending)) {
            found.push(name);
        }
        if found.len() > MAX_FILES {
            return Err(failed(format!("more than {MAX_FILES} files")));
        }
    }
    Ok(())
}
