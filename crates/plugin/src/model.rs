//! Checks of the models against each other and against the ActivityDefinitions.
use std::collections::BTreeMap;

use bpmn::{CompileOptions, Inline, InlineAssignment};
use fhir::{generation::ProcessForm, task::Process};
use messaging::engine::JobMapping;

use crate::{LoadError, resource::PluginResource, version::Version};

/// Options the engine compiles with, so that what loads also deploys.
pub(crate) fn compile_options(jobs: &BTreeMap<String, JobMapping>) -> CompileOptions {
    let inline = jobs.iter().filter_map(|(class, mapping)| {
        let assignments = mapping.inline.as_ref()?.iter().map(|(name, value)| InlineAssignment {
            name: name.clone(),
            value: value.clone(),
            local: false,
        });
        Some((class.clone(), Inline { assignments: assignments.collect() }))
    });
    CompileOptions {
        inline: inline.collect(),
        hooks: jobs.keys().cloned().collect(),
        ..CompileOptions::default()
    }
}

/// Process key that an ActivityDefinition's url stands for.
pub(crate) fn process_key(resource: &fhir::Resource) -> Option<String> {
    let url = resource.text("url")?;
    // The key does not depend on the version, so any of the right form serves.
    let of = |text: String, form| Process::parse(&text, form).map(|process| process.key);
    of(format!("{url}|1.0"), ProcessForm::Canonical).or_else(|| of(format!("{url}/1.0.0"), ProcessForm::Uri))
}

/// Checks all models (contract `process-engine.md` section 5.3).
pub(crate) fn check(
    models: &BTreeMap<String, String>,
    jobs: &BTreeMap<String, JobMapping>,
    resources: &[PluginResource],
    version: &Version,
) -> Result<(), LoadError> {
    let options = compile_options(jobs);
    let mut files: BTreeMap<String, &str> = BTreeMap::new();
    for (file, text) in models {
        let wrong = |reason: String| LoadError::file(file, reason);
        let model = bpmn::parse(text).map_err(|error| wrong(error.to_string()))?;
        let definition = bpmn::compile(&model, &options).map_err(|errors| wrong(errors.to_string()))?;
        if definition.version_tag() != Some(version.resource.as_str()) {
            return Err(wrong(format!(
                "camunda:versionTag must be {}: write #{{version}}",
                version.resource
            )));
        }
        let key = definition.key();
        if !is_key(key) {
            return Err(wrong(format!("process id '{key}' must be <domain without dots>_<name>")));
        }
        if let Some(other) = files.insert(key.to_owned(), file) {
            return Err(wrong(format!("process '{key}' stands in {other} too: keep one")));
        }
        let matching = resources
            .iter()
            .filter(|known| known.resource.resource_type() == "ActivityDefinition")
            .filter(|known| process_key(&known.resource).as_deref() == Some(key))
            .count();
        if matching != 1 {
            return Err(wrong(format!(
                "process '{key}' has {matching} ActivityDefinitions: there must be one"
            )));
        }
    }
    Ok(())
}

/// Whether a process id has the form that canonicals can name.
pub(crate) fn is_key(key: &str) -> bool {
    let part = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    key.split_once('_').is_some_and(|(domain, name)| part(domain) && part(name))
}
