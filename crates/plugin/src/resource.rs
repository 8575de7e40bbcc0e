//! The FHIR resources of a plugin: identity, status, profile, order.
use std::collections::BTreeSet;

use fhir::{
    Element, Format, Resource,
    generation::{self, Generation, HIGHMED, MODERN},
};

use crate::{LoadError, compatibility, placeholder::Placeholders, version::Version};

/// Types in the order they are uploaded: what others refer to comes first.
const ORDER: [&str; 9] = [
    "NamingSystem",
    "CodeSystem",
    "ValueSet",
    "StructureDefinition",
    "Library",
    "Measure",
    "Questionnaire",
    "ActivityDefinition",
    "Task",
];

/// Types that have a publication status, with the base profile of the framework.
const METADATA: [(&str, &str); 8] = [
    ("NamingSystem", "naming-system"),
    ("CodeSystem", "code-system"),
    ("ValueSet", "value-set"),
    ("StructureDefinition", "structure-definition"),
    ("Library", "library"),
    ("Measure", "measure"),
    ("Questionnaire", "questionnaire"),
    ("ActivityDefinition", "activity-definition"),
];

/// One resource of a plugin.
#[derive(Debug, Clone)]
pub struct PluginResource {
    /// Path of its file below the plugin folder.
    pub file: String,
    /// By what the site recognises it.
    pub identity: Identity,
    /// The resource as it is uploaded.
    pub resource: Resource,
}

/// By what a resource is recognised: it is uploaded only where the site has none with this identity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Identity {
    /// Resource type, url and version.
    Canonical {
        /// Resource type.
        resource_type: String,
        /// `url`
        url: String,
        /// `version`
        version: String,
    },
    /// Name of a NamingSystem.
    Name(String),
    /// Identifier of a draft Task.
    DraftTask {
        /// `identifier.system`
        system: String,
        /// `identifier.value`
        value: String,
    },
}

impl Identity {
    /// The identity of a resource, or what it lacks.
    pub(crate) fn of(resource: &Resource) -> Result<Identity, String> {
        let text = |path: &str| {
            resource.text(path).map(str::to_owned).ok_or_else(|| format!("{path} is missing: add it"))
        };
        match resource.resource_type() {
            "NamingSystem" => Ok(Identity::Name(text("name")?)),
            "Task" => {
                let known =
                    |system: &str| generation::all().iter().any(|g| g.task_identifier == Some(system));
                let mut identifiers = resource.each("identifier");
                let found = identifiers.find_map(|identifier| {
                    let system = identifier.text("system").filter(|system| known(system))?;
                    let value = identifier.text("value")?;
                    Some(Identity::DraftTask { system: system.to_owned(), value: value.to_owned() })
                });
                found.ok_or_else(|| {
                    "a draft Task needs an identifier of system http://dsf.dev/sid/task-identifier".to_owned()
                })
            }
            kind if METADATA.iter().any(|(known, _)| *known == kind) => Ok(Identity::Canonical {
                resource_type: kind.to_owned(),
                url: text("url")?,
                version: text("version")?,
            }),
            kind => Err(format!("a plugin cannot bring a {kind}")),
        }
    }

    /// The search that finds the resource, as `If-None-Exist` takes it.
    pub fn query(&self) -> String {
        match self {
            Identity::Canonical { url, version, .. } => format!("url={url}&version={version}"),
            Identity::Name(name) => format!("name={name}"),
            Identity::DraftTask { system, value } => format!("identifier={system}|{value}&status=draft"),
        }
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Identity::Canonical { resource_type, url, version } => {
                write!(f, "{resource_type} {url}|{version}")
            }
            Identity::Name(name) => write!(f, "NamingSystem {name}"),
            Identity::DraftTask { value, .. } => write!(f, "Task {value}"),
        }
    }
}

/// Reads one resource file and makes it ready for the upload.
pub(crate) fn load(
    file: &str,
    text: &str,
    placeholders: &Placeholders<'_>,
    version: &Version,
) -> Result<PluginResource, LoadError> {
    let wrong = |reason: String| LoadError::file(file, reason);
    let json = file.ends_with(".json");
    let text = placeholders.in_resource(text, json).map_err(wrong)?;
    let format = if json { Format::Json } else { Format::Xml };
    let mut resource = fhir::parse(text.as_bytes(), format).map_err(|error| wrong(error.to_string()))?;
    let identity = Identity::of(&resource).map_err(wrong)?;
    if let Identity::Canonical { version: found, .. } = &identity
        && *found != version.resource
    {
        return Err(wrong(format!(
            "version is '{found}', expected '{}': write #{{version}}",
            version.resource
        )));
    }
    if resource.resource_type() == "Task" {
        if resource.text("status") != Some("draft") {
            return Err(wrong("a Task of a plugin is a template: its status must be 'draft'".to_owned()));
        }
        return Ok(PluginResource { file: file.to_owned(), identity, resource });
    }
    resource.set_text("status", if version.draft { "draft" } else { "active" });
    if resource_generation(&resource) == &MODERN {
        compatibility::upgrade(&mut resource);
    }
    add_profile(&mut resource);
    Ok(PluginResource { file: file.to_owned(), identity, resource })
}

/// The current generation expects its metadata resources to name its base profile.
fn add_profile(resource: &mut Resource) {
    let kind = resource.resource_type();
    let profile = METADATA.iter().find(|(known, _)| *known == kind).map(|(_, profile)| *profile);
    let Some(profile) = profile.filter(|_| resource.profiles().is_empty()) else { return };
    if resource_generation(resource) != &MODERN {
        return;
    }
    let profile =
        Element::primitive("profile", &format!("{}/fhir/StructureDefinition/{profile}", MODERN.prefix));
    match resource.child_mut("meta") {
        Some(meta) => {
            meta.push(profile);
        }
        None => {
            resource.push(Element::new("meta").with(profile));
        }
    }
}

/// The generation a resource is written for: its read tag says it, else its url.
fn resource_generation(resource: &Resource) -> &'static Generation {
    let tags = resource.at("meta.tag.system");
    let of_tag = tags.iter().filter_map(|system| system.value()).find_map(|system| {
        generation::all().into_iter().find(|generation| generation.read_access_tag == system)
    });
    of_tag.or_else(|| resource.text("url").and_then(generation::of_name)).unwrap_or(&MODERN)
}

/// The generation of a plugin: that of its ActivityDefinitions.
pub(crate) fn generation(resources: &[PluginResource]) -> &'static Generation {
    let mut definitions =
        resources.iter().filter(|known| known.resource.resource_type() == "ActivityDefinition");
    match definitions.any(|known| resource_generation(&known.resource) == &HIGHMED) {
        true => &HIGHMED,
        false => &MODERN,
    }
}

/// Upload order; within a type by file.
pub(crate) fn sort(resources: &mut [PluginResource]) {
    resources.sort_by_cached_key(|known| {
        let place = ORDER.iter().position(|kind| *kind == known.resource.resource_type());
        (place.unwrap_or(ORDER.len()), known.file.clone())
    });
}

/// Two files with one identity would hide each other.
pub(crate) fn check_unique(resources: &[PluginResource]) -> Result<(), LoadError> {
    let mut seen = BTreeSet::new();
    for known in resources {
        if !seen.insert(&known.identity) {
            return Err(LoadError::file(
                &known.file,
                format!("{} stands in another file too: keep one", known.identity),
            ));
        }
    }
    Ok(())
}
