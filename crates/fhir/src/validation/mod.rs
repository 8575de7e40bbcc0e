//! Profile validation of R4 resources: base definitions, profiles, slicing, terminology, invariants.
//!
//! A [`Validator`] is an immutable set of compiled definitions over those of R4. A changed definition
//! makes a new one ([`Validator::with`]), which shares everything that did not change. Verdicts are
//! those of the public implementation (validation contract); ids and texts of messages are ours.
//!
//! Nothing here reads a clock, a file or a database, and nothing follows a reference.

mod base;
mod defaults;
mod fhirpath;
mod filter;
mod lexical;
mod message;
mod narrative;
mod node;
mod path;
mod profile;
mod questionnaire;
mod snapshot;
mod special;
mod terminology;
#[cfg(test)]
mod tests;
mod versions;
mod walk;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

pub use defaults::add_default_profile;
pub use message::{MESSAGE_SYSTEM, Message, Report};
pub use profile::ProfileError;

use crate::element::Element;
use crate::outcome::Severity;
use crate::resource::Resource;
use base::base;
use node::Text;
use path::Path;
use profile::{Found, Profile};
use terminology::{CodeSystem, Layers, Terminology, ValueSet, split};
use versions::Versions;
use walk::Walk;

/// Longest chain of profiles that build on one another.
const MAX_CHAIN: usize = 24;

/// Types whose resources change what a [`Validator`] says.
pub const DEFINITION_TYPES: [&str; 4] = ["StructureDefinition", "CodeSystem", "ValueSet", "Questionnaire"];

/// Compiled definitions. Cheap to share, never changed.
#[derive(Clone, Default)]
pub struct Validator {
    profiles: HashMap<Text, Versions<Entry>>,
    terminology: Terminology,
    questionnaires: HashMap<Text, Versions<Resource>>,
}

struct Entry {
    definition: Arc<Resource>,
    profile: Result<Arc<Profile>, ProfileError>,
}

/// A change of the definitions.
#[derive(Clone, Debug)]
pub enum Change {
    /// A definition is new or has new content. Resources of other types are passed over.
    Put(Resource),
    /// A definition is gone.
    Remove {
        /// Its resource type.
        resource_type: String,
        /// Canonical without version.
        url: String,
        /// Its version, empty if it has none.
        version: String,
    },
}

/// Profiles of the extensions of R4; see [`extension_of_r4`].
static EXTENSIONS: LazyLock<HashMap<Text, Arc<Profile>>> = LazyLock::new(|| {
    let mut done: HashMap<Text, Arc<Profile>> = HashMap::new();
    // Extensions that use another one come after it, or take it as a plain extension.
    for _ in 0..2 {
        for definition in &base().extensions() {
            let mut find = |canonical: &str| match done.get(split(canonical).0) {
                Some(profile) => Found::Profile(Arc::clone(profile)),
                None => Found::Missing,
            };
            if let Ok(profile) = profile::compile(definition, &mut find) {
                done.insert(Arc::clone(&profile.url), Arc::new(profile));
            }
        }
    }
    done
});

/// The profile of one of R4's extensions. They are compiled when one of them is used.
fn extension_of_r4(url: &str) -> Option<Arc<Profile>> {
    if base().has_extension(url) { EXTENSIONS.get(url).cloned() } else { None }
}

impl Validator {
    /// Nothing but R4 itself.
    pub fn new() -> Validator {
        Validator::default()
    }

    /// This validator with changed definitions. What depends on a changed profile is compiled anew,
    /// everything else is shared.
    #[must_use]
    pub fn with(&self, changes: impl IntoIterator<Item = Change>) -> Validator {
        let mut next = self.clone();
        let mut dirty: HashSet<Text> = HashSet::new();
        for change in changes {
            match change {
                Change::Put(resource) => next.put(resource, &mut dirty),
                Change::Remove { resource_type, url, version } => match resource_type.as_str() {
                    "StructureDefinition" => {
                        if let Some(versions) = next.profiles.get_mut(&*url) {
                            versions.remove(&version);
                        }
                        dirty.insert(url.into());
                    }
                    "CodeSystem" => next.terminology.remove_code_system(&url, &version),
                    "ValueSet" => next.terminology.remove_value_set(&url, &version),
                    "Questionnaire" => {
                        if let Some(versions) = next.questionnaires.get_mut(&*url) {
                            versions.remove(&version);
                        }
                    }
                    _ => {}
                },
            }
        }
        next.compile_dirty(dirty);
        next
    }

    fn put(&mut self, resource: Resource, dirty: &mut HashSet<Text>) {
        let Some(url) = resource.text("url").map(Text::from) else { return };
        let version = resource.text("version").unwrap_or_default().to_owned();
        match resource.resource_type() {
            "StructureDefinition" => {
                let entry = Entry {
                    definition: Arc::new(resource),
                    profile: Err(ProfileError::Malformed("not compiled".to_owned())),
                };
                self.profiles.entry(Arc::clone(&url)).or_default().add(&version, Arc::new(entry));
                dirty.insert(url);
            }
            "CodeSystem" => {
                self.terminology.add_code_system(&url, &version, CodeSystem::read(&resource));
            }
            "ValueSet" => self.terminology.add_value_set(&url, &version, ValueSet::read(&resource)),
            "Questionnaire" => {
                self.questionnaires.entry(url).or_default().add(&version, Arc::new(resource));
            }
            _ => {}
        }
    }

    /// Compiles the profiles of these urls and all that are made from them.
    fn compile_dirty(&mut self, mut dirty: HashSet<Text>) {
        if dirty.is_empty() {
            return;
        }
        loop {
            let before = dirty.len();
            for (url, versions) in &self.profiles {
                let affected = versions.iter().any(|(_, entry)| match &entry.profile {
                    Ok(profile) => profile.uses.iter().any(|used| dirty.contains(used)),
                    // It may fail no more.
                    Err(_) => true,
                });
                if affected {
                    dirty.insert(Arc::clone(url));
                }
            }
            if dirty.len() == before {
                break;
            }
        }
        let mut build =
            Build { profiles: &self.profiles, dirty: &dirty, done: HashMap::new(), busy: Vec::new() };
        for url in &dirty {
            let versions: Vec<Text> = self
                .profiles
                .get(url)
                .into_iter()
                .flat_map(Versions::iter)
                .map(|(v, _)| Arc::clone(v))
                .collect();
            for version in versions {
                build.get(url, Some(&version));
            }
        }
        let done = build.done;
        for ((url, version), profile) in done {
            if let Some(versions) = self.profiles.get_mut(&url)
                && let Some(entry) = versions.get(Some(&version))
            {
                let definition = Arc::clone(&entry.definition);
                versions.add(&version, Arc::new(Entry { definition, profile }));
            }
        }
    }

    /// Whether a StructureDefinition is held that says the same, whatever its id and metadata: putting
    /// this one would change nothing.
    pub fn holds(&self, definition: &Resource) -> bool {
        let says = |element: &Element| !matches!(element.name(), "id" | "meta" | "text");
        let version = definition.text("version").unwrap_or_default();
        definition.resource_type() == "StructureDefinition"
            && definition.text("url").and_then(|url| self.profiles.get(url)?.get(Some(version))).is_some_and(
                |entry| {
                    let held = entry.definition.children().iter().filter(|child| says(child));
                    held.eq(definition.children().iter().filter(|child| says(child)))
                },
            )
    }

    /// Definitions that cannot be used, with the reason: resources that claim them are refused.
    pub fn unusable(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for (url, versions) in &self.profiles {
            for (version, entry) in versions.iter() {
                let canonical = format!("{url}|{version}");
                match &entry.profile {
                    Err(error) => found.push((canonical, error.to_string())),
                    Ok(profile) => {
                        found
                            .extend(profile.unsupported.iter().map(|text| (canonical.clone(), text.clone())));
                    }
                }
            }
        }
        found.sort();
        found
    }

    /// Validates a resource as it is: its type, the profiles it claims, what it contains.
    pub fn validate(&self, resource: &Resource) -> Report {
        self.run(resource, false)
    }

    /// Validates a resource as the endpoint does: `charset` and `boundary` of a Binary's content type
    /// do not count (validation contract 1).
    pub fn validate_received(&self, resource: &Resource) -> Report {
        self.run(resource, resource.resource_type() == "Binary")
    }

    fn run(&self, resource: &Resource, strip_media_parameters: bool) -> Report {
        let mut walk = Walk::new(self);
        walk.strip_media_parameters = strip_media_parameters;
        walk.resource(resource, &Path::root(resource.resource_type()), None);
        let mut messages = walk.messages;
        if resource.resource_type() == "Bundle"
            && resource.text("identifier.system") == Some(CRYPTOGRAPHY)
            && resource.text("identifier.value") == Some("public-key")
        {
            // Bundles with public keys carry a placeholder for a UUID (validation contract 1).
            for message in messages.iter_mut().filter(|message| message.id == walk::UUID_NULL) {
                message.severity = Severity::Warning;
            }
        }
        Report { messages }
    }

    /// A StructureDefinition with the snapshot made from its differential; one that already has a
    /// snapshot is given back as it is.
    ///
    /// # Errors
    /// [`ProfileError`]: the definition or its base cannot be used.
    pub fn snapshot(&self, definition: &Resource) -> Result<Resource, ProfileError> {
        if definition.child("snapshot").is_some() {
            return Ok(definition.clone());
        }
        let profile = self.compile(definition)?;
        Ok(snapshot::with_snapshot(definition, &profile))
    }

    /// The StructureDefinition of a canonical, with or without version.
    pub fn definition(&self, canonical: &str) -> Option<&Resource> {
        let (url, version) = split(canonical);
        self.profiles.get(url)?.get(version).map(|entry| &*entry.definition)
    }

    fn compile(&self, definition: &Element) -> Result<Profile, ProfileError> {
        let mut find = |canonical: &str| match self.profile(canonical) {
            Some(Ok(profile)) => Found::Profile(profile),
            Some(Err(ProfileError::Malformed(_))) => Found::Malformed,
            Some(Err(ProfileError::UnknownBase(_))) | None => Found::Missing,
        };
        profile::compile(definition, &mut find)
    }

    fn profile(&self, canonical: &str) -> Option<Result<Arc<Profile>, ProfileError>> {
        let (url, version) = split(canonical);
        match self.profiles.get(url).and_then(|versions| versions.get(version)) {
            Some(entry) => Some(entry.profile.clone()),
            None => extension_of_r4(url).map(Ok),
        }
    }

    /// The profile of an extension by its url.
    fn extension(&self, url: &str) -> Option<Arc<Profile>> {
        match self.profile(url) {
            Some(Ok(profile)) if profile.code == "Extension" => Some(profile),
            _ => None,
        }
    }

    fn questionnaire(&self, canonical: &str) -> Option<Arc<Resource>> {
        let (url, version) = split(canonical);
        self.questionnaires.get(url)?.get(version).cloned()
    }

    fn terminology(&self) -> Layers<'_> {
        Layers([&self.terminology, &base().terminology])
    }
}

/// System of identifiers of public keys.
const CRYPTOGRAPHY: &str = "http://medizininformatik-initiative.de/fhir/CodeSystem/cryptography";

type Compiled = Result<Arc<Profile>, ProfileError>;

/// Compiles profiles together with those they are made from.
struct Build<'b> {
    profiles: &'b HashMap<Text, Versions<Entry>>,
    dirty: &'b HashSet<Text>,
    done: HashMap<(Text, Text), Compiled>,
    busy: Vec<(Text, Text)>,
}

impl Build<'_> {
    fn get(&mut self, url: &str, version: Option<&str>) -> Option<Compiled> {
        let Some(entry) = self.profiles.get(url).and_then(|versions| versions.get(version)) else {
            return extension_of_r4(url).map(Ok);
        };
        let version: Text = entry.definition.text("version").unwrap_or_default().into();
        if !self.dirty.contains(url) {
            return Some(entry.profile.clone());
        }
        let key = (Text::from(url), version);
        if let Some(done) = self.done.get(&key) {
            return Some(done.clone());
        }
        if self.busy.contains(&key) || self.busy.len() >= MAX_CHAIN {
            // The one that closes the circle takes the element as a plain one.
            return None;
        }
        self.busy.push(key.clone());
        let definition = Arc::clone(&entry.definition);
        let mut find = |canonical: &str| {
            let (url, version) = split(canonical);
            match self.get(url, version) {
                Some(Ok(profile)) => Found::Profile(profile),
                Some(Err(ProfileError::Malformed(_))) => Found::Malformed,
                Some(Err(ProfileError::UnknownBase(_))) | None => Found::Missing,
            }
        };
        let compiled = profile::compile(&definition, &mut find).map(Arc::new);
        self.busy.pop();
        self.done.insert(key, compiled.clone());
        Some(compiled)
    }
}
