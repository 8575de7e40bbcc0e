//! Process plugins: a folder with models and FHIR resources becomes what a site needs to run it.
//!
//! A plugin is a folder with `bpe/*.bpmn` and `fhir/**/*.{xml,json}`. An optional `plugin.toml` gives
//! name and version and maps the classes and topics of the models to job types; without it the folder
//! name says name and version, and every class is its own job type. So the folders of published plugins
//! load as they are.
//!
//! The crate reads files and nothing else: it talks to no server. What it makes ([`Plugin::upload_bundle`],
//! [`Plugin::deploy_request`]) is sent by the caller. Rules: contract `process-engine.md` section 5.
#![forbid(unsafe_code)]

mod compatibility;
mod error;
mod files;
mod lint;
mod manifest;
mod model;
mod placeholder;
mod resource;
mod upload;
mod version;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use fhir::{Resource, generation::Generation};
use messaging::engine::{DeployRequest, JobMapping};

pub use error::LoadError;
pub use lint::{Finding, Severity, lint};
pub use resource::{Identity, PluginResource};

/// What a folder does not say itself, and where it is loaded.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Name of the plugin; wins over `plugin.toml` and the folder name.
    pub name: Option<String>,
    /// Version of the plugin; wins over `plugin.toml` and the folder name.
    pub version: Option<String>,
    /// Date of the resources, `yyyy-MM-dd`; else `release-date` of `plugin.toml`, else today (UTC).
    pub date: Option<String>,
    /// Identifier value of the local organization, for `#{organization}`.
    pub organization: String,
    /// Values of the other placeholders: `#{a.b.c}` takes `A_B_C`.
    pub environment: BTreeMap<String, String>,
}

/// A loaded plugin, placeholders replaced.
#[derive(Debug)]
pub struct Plugin {
    /// Name.
    pub name: String,
    /// Full version, for example `1.0.1.0`.
    pub version: String,
    /// Version of its resources and models, for example `1.0`.
    pub resource_version: String,
    /// The names its resources use.
    pub generation: &'static Generation,
    /// Not yet released (`-SNAPSHOT`, `-M<n>`, `-RC<n>`): its resources are uploaded as drafts.
    pub draft: bool,
    /// Model documents by path below the plugin folder.
    pub models: BTreeMap<String, String>,
    /// How classes and topics become jobs.
    pub jobs: BTreeMap<String, JobMapping>,
    /// FHIR resources in upload order.
    pub resources: Vec<PluginResource>,
}

/// Reads a plugin folder and checks it.
///
/// # Errors
/// One line: which file, what is wrong, what to do.
pub fn load(folder: &Path, options: &Options) -> Result<Plugin, LoadError> {
    let frame = frame(folder, options)?;
    let placeholders = frame.placeholders(options);
    let mut models = BTreeMap::new();
    for (file, text) in files::models(folder)? {
        let text = placeholders.in_model(&text).map_err(|reason| LoadError::file(&file, reason))?;
        models.insert(file, text);
    }
    let mut resources = Vec::new();
    for (file, text) in files::resources(folder)? {
        resources.push(resource::load(&file, &text, &placeholders, &frame.version)?);
    }
    resource::check_unique(&resources)?;
    resource::sort(&mut resources);
    let generation = resource::generation(&resources);
    model::check(&models, &frame.manifest.jobs, &resources, &frame.version)?;
    Ok(Plugin {
        name: frame.name,
        version: frame.version.full,
        resource_version: frame.version.resource,
        draft: frame.version.draft,
        generation,
        models,
        jobs: frame.manifest.jobs,
        resources,
    })
}

impl Plugin {
    /// The models, compiled as the engine compiles them, in the order of their paths.
    ///
    /// # Errors
    /// When a model does not compile; [`load`] has checked that it does.
    pub fn definitions(&self) -> Result<Vec<bpmn::Definition>, LoadError> {
        let options = model::compile_options(&self.jobs);
        let compile = |(file, text): (&String, &String)| {
            let model = bpmn::parse(text).map_err(|error| LoadError::file(file, error.to_string()))?;
            bpmn::compile(&model, &options).map_err(|errors| LoadError::file(file, errors.to_string()))
        };
        self.models.iter().map(compile).collect()
    }

    /// What the engine needs.
    pub fn deploy_request(&self) -> DeployRequest {
        DeployRequest {
            plugin: self.name.clone(),
            version: self.version.clone(),
            models: self.models.clone(),
            jobs: self.jobs.clone(),
        }
    }

    /// Puts another ActivityDefinition in place of the one with the same url and version, or adds it.
    /// For sites with rules of their own about who may send what.
    pub fn replace_activity_definition(&mut self, resource: Resource) {
        let key = |resource: &Resource| {
            (resource.text("url").map(str::to_owned), resource.text("version").map(str::to_owned))
        };
        let wanted = key(&resource);
        let replaced = self.resources.iter_mut().find(|known| {
            known.resource.resource_type() == "ActivityDefinition" && key(&known.resource) == wanted
        });
        match replaced {
            Some(known) => known.resource = resource,
            None => {
                let identity = Identity::of(&resource);
                if let Ok(identity) = identity {
                    self.resources.push(PluginResource {
                        file: "replacement".to_owned(),
                        identity,
                        resource,
                    });
                    resource::sort(&mut self.resources);
                }
            }
        }
    }
}

/// What is known about a plugin before its files are read.
struct Frame {
    name: String,
    version: version::Version,
    date: String,
    manifest: manifest::Manifest,
}

impl Frame {
    fn placeholders<'a>(&'a self, options: &'a Options) -> placeholder::Placeholders<'a> {
        placeholder::Placeholders {
            version: &self.version.resource,
            date: &self.date,
            organization: &options.organization,
            environment: &options.environment,
            tolerant: false,
        }
    }
}

fn frame(folder: &Path, options: &Options) -> Result<Frame, LoadError> {
    if !folder.is_dir() {
        return Err(LoadError::Folder(folder.to_owned()));
    }
    let manifest = manifest::read(folder)?;
    let canonical: PathBuf = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let of_folder = canonical.file_name().and_then(|name| name.to_str()).and_then(version::split_folder_name);
    let name = options
        .name
        .clone()
        .or_else(|| manifest.name.clone())
        .or_else(|| of_folder.map(|of| of.0.to_owned()));
    let text = options
        .version
        .clone()
        .or_else(|| manifest.version.clone())
        .or_else(|| of_folder.map(|of| of.1.to_owned()));
    let (Some(name), Some(text)) = (name, text) else {
        return Err(LoadError::Unnamed(folder.to_owned()));
    };
    let version = version::Version::parse(&text).ok_or(LoadError::Version(text))?;
    let date = options.date.clone().or_else(|| manifest.release_date.clone()).unwrap_or_else(version::today);
    if fhir::datetime::range(&date).is_none() || date.len() != 10 {
        return Err(LoadError::Date(date));
    }
    Ok(Frame { name, version, date, manifest })
}

#[cfg(test)]
mod tests;
