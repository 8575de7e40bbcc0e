//! `plugin.toml`.
use std::{collections::BTreeMap, path::Path};

use messaging::engine::JobMapping;
use serde::Deserialize;

use crate::LoadError;

/// Name of the file in the plugin folder.
pub(crate) const FILE: &str = "plugin.toml";

/// The content of `plugin.toml`; empty where there is none.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Manifest {
    /// Name of the plugin.
    pub(crate) name: Option<String>,
    /// Full version of the plugin.
    pub(crate) version: Option<String>,
    /// Date of its resources, `yyyy-MM-dd`.
    pub(crate) release_date: Option<String>,
    /// What classes and topics become.
    #[serde(default)]
    pub(crate) jobs: BTreeMap<String, JobMapping>,
}

/// Reads the manifest of a folder.
pub(crate) fn read(folder: &Path) -> Result<Manifest, LoadError> {
    let path = folder.join(FILE);
    if !path.is_file() {
        return Ok(Manifest::default());
    }
    let text = std::fs::read_to_string(&path)
        .map_err(|error| LoadError::Read { path: path.clone(), reason: error.to_string() })?;
    let manifest: Manifest = toml::from_str(&text).map_err(|error| {
        let line = error.span().map(|span| line_at(&text, span.start));
        let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        LoadError::file(FILE, format!("{place}{}", error.message()))
    })?;
    for (class, mapping) in &manifest.jobs {
        if mapping.inline.is_some() && mapping.job.is_some() {
            let reason = format!("jobs.\"{class}\" has both 'job' and 'inline': keep one");
            return Err(LoadError::file(FILE, reason));
        }
    }
    Ok(manifest)
}

/// The line, from 1, of a byte of a text.
pub(crate) fn line_at(text: &str, byte: usize) -> u32 {
    let before = text.as_bytes().get(..byte).unwrap_or(text.as_bytes());
    let breaks = before.iter().filter(|byte| **byte == b'\n').count();
    u32::try_from(breaks).unwrap_or(u32::MAX).saturating_add(1)
}
