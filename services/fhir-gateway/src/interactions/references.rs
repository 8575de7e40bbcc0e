//! References of a resource to be written (fhir-endpoint contract 5): resolving logical, conditional
//! and temporary ones, checking literal ones.
use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use deadpool_postgres::GenericClient;
use fhir::{
    Element, Resource,
    reference::{self, Target},
    search,
};
use uuid::Uuid;

use super::{
    failure::Failure,
    search::parse_condition,
    unit::{Unit, uuid},
};
use crate::{
    partners::{Existence, External, MAX_REFERENCES},
    site::Site,
};

/// Marks a naming system whose logical references must resolve.
const CHECK: &str = "http://dsf.dev/fhir/StructureDefinition/extension-check-logical-reference";

impl<C: GenericClient> Unit<'_, C> {
    /// Sets `reference` beside the identifier of logical references whose naming system is checked;
    /// one that does not resolve is a failure.
    pub(crate) async fn resolve_logical(&self, resource: &mut Resource) -> Result<(), Failure> {
        self.resolve(resource, true).await
    }

    /// As [`Unit::resolve_logical`], leaving alone what does not resolve.
    pub(crate) async fn resolve_what_can_be(&self, resource: &mut Resource) -> Result<(), Failure> {
        self.resolve(resource, false).await
    }

    async fn resolve(&self, resource: &mut Resource, strict: bool) -> Result<(), Failure> {
        let mut wanted = Vec::new();
        for found in reference::all(resource) {
            // What a client sends beside an identifier is not trusted: it is resolved anew.
            let Some(identifier) = found.element.child("identifier") else { continue };
            let (Some(system), Some(value)) = (identifier.text("system"), identifier.text("value")) else {
                continue;
            };
            if !self.is_checked(system) {
                continue;
            }
            let Some(ty) = found.element.text("type") else {
                if !strict {
                    continue;
                }
                return Err(Failure::Invalid(format!("Unknown reference at {}", found.path)));
            };
            if strict
                && !found.targets.is_empty()
                && !found.targets.contains(&ty)
                && !found.targets.contains(&"Resource")
            {
                return Err(Failure::Invalid(format!("Reference at {} must not be to {ty}", found.path)));
            }
            wanted.push((found.path.clone(), ty.to_owned(), system.to_owned(), value.to_owned()));
        }
        let mut resolved: HashMap<(String, String, String), String> = HashMap::new();
        for (path, ty, system, value) in wanted {
            let key = (ty, system, value);
            if resolved.contains_key(&key) {
                continue;
            }
            let (ty, system, value) = (&key.0, &key.1, &key.2);
            match self.find_logical(ty, system, value).await?.as_slice() {
                [id] => {
                    let reference = format!("{ty}/{id}");
                    resolved.insert(key, reference);
                }
                _ if !strict => {}
                _ => {
                    return Err(Failure::Invalid(format!(
                        "Reference at {path}: no {ty} with this identifier of system {system} was found"
                    )));
                }
            }
        }
        if resolved.is_empty() {
            return Ok(());
        }
        reference::for_each_mut(resource, &mut |element| {
            let key = (
                element.text("type").unwrap_or_default().to_owned(),
                element.text("identifier.system").unwrap_or_default().to_owned(),
                element.text("identifier.value").unwrap_or_default().to_owned(),
            );
            if let Some(reference) = resolved.get(&key) {
                element.set_text("reference", reference);
            }
        });
        Ok(())
    }

    /// Whether a stored NamingSystem asks for references with this system to be checked.
    fn is_checked(&self, system: &str) -> bool {
        self.directory.all("NamingSystem").iter().any(|naming| {
            matches!(naming.text("status"), Some("draft" | "active"))
                && naming.each("uniqueId").any(|id| {
                    id.text("value") == Some(system)
                        && id.each("modifierExtension").any(|extension| {
                            extension.extension_url() == Some(CHECK)
                                && extension.text("valueBoolean") == Some("true")
                        })
                })
        })
    }

    async fn find_logical(&self, ty: &str, system: &str, value: &str) -> Result<Vec<Uuid>, Failure> {
        if self.transaction {
            // The transaction itself may have written or deleted it.
            return Ok(self.session.find_by_identifier(ty, system, value, 2).await?);
        }
        let known: Vec<Uuid> = self
            .directory
            .all(ty)
            .iter()
            .filter(|resource| {
                resource.each("identifier").any(|identifier| {
                    identifier.text("system") == Some(system) && identifier.text("value") == Some(value)
                })
            })
            .filter_map(|resource| resource.id().and_then(uuid))
            .collect();
        if !known.is_empty() {
            return Ok(known);
        }
        // A type that the snapshot does not hold.
        Ok(self.session.find_by_identifier(ty, system, value, 2).await?)
    }

    /// Replaces conditional references of a bundle entry by literal ones, in urls of attachments and
    /// related artifacts by absolute ones.
    pub(crate) async fn resolve_conditional(&self, resource: &mut Resource) -> Result<(), Failure> {
        let mut wanted: Vec<(String, String)> = reference::all(resource)
            .into_iter()
            .filter_map(|found| Some((found.path.clone(), found.element.text("reference")?.to_owned())))
            .collect();
        reference::for_each_url(resource, &mut |path, url| wanted.push((path.to_owned(), url.to_owned())));
        let mut resolved: HashMap<String, String> = HashMap::new();
        for (path, text) in wanted {
            let Target::Conditional { resource_type, query } = reference::literal(&text, &self.site.base_url)
            else {
                continue;
            };
            if resolved.contains_key(&text) {
                continue;
            }
            let criteria = parse_condition(resource_type, query)?;
            match self.session.find(resource_type, &criteria, 2).await?.as_slice() {
                [(id, _)] => {
                    let literal = format!("{resource_type}/{id}");
                    resolved.insert(text, literal);
                }
                _ => {
                    return Err(Failure::Invalid(format!(
                        "Conditional reference at {path} does not match exactly one {resource_type}"
                    )));
                }
            }
        }
        replace_references(resource, &resolved, &self.site.base_url);
        Ok(())
    }

    /// Checks references: own ones must exist, those to known Endpoints must have been found there
    /// (contract 5.1 and 5.3), anything but a literal or whole logical reference is unknown.
    ///
    /// # Errors
    /// [`Failure::Unverified`] with the references that other sites are still to be asked for.
    pub(crate) async fn check_references(&self, resource: &Resource) -> Result<(), Failure> {
        // What a finished Task was about may be gone at the other site.
        let done = resource.resource_type() == "Task" && resource.text("status") == Some("completed");
        let skipped = |path: &str| done && path.starts_with("Task.input.");
        let mut unverified = Vec::new();
        for found in reference::all(resource) {
            let system = found.element.text("identifier.system");
            if system.is_some_and(|system| self.is_checked(system)) {
                // Resolved already.
                continue;
            }
            match reference::of(found.element, &self.site.base_url) {
                Target::Internal(literal) => {
                    let allowed = found.targets.is_empty()
                        || found.targets.contains(&literal.resource_type)
                        || found.targets.contains(&"Resource");
                    if !allowed {
                        return Err(Failure::Invalid(format!(
                            "Reference at {} must not be to {}",
                            found.path, literal.resource_type
                        )));
                    }
                    self.check_own(&found.path, literal).await?;
                }
                Target::External { base, literal } if !skipped(&found.path) => {
                    unverified.extend(self.unverified(base, literal));
                }
                // A naming system that nobody asks us to check.
                Target::External { .. } | Target::Contained(_) | Target::Logical { .. } => {}
                Target::Unknown if says_nothing(found.element) => {}
                Target::Temporary(_) | Target::Conditional { .. } | Target::Unknown => {
                    return Err(Failure::Invalid(format!("Unknown reference at {}", found.path)));
                }
            }
        }
        let mut urls = Vec::new();
        reference::for_each_url(resource, &mut |path, url| urls.push((path.to_owned(), url)));
        for (path, url) in urls {
            match reference::literal(url, &self.site.base_url) {
                Target::Internal(literal) => self.check_own(&path, literal).await?,
                Target::External { base, literal } if !skipped(&path) => {
                    unverified.extend(self.unverified(base, literal));
                }
                // Any other URL is not ours to judge.
                _ => {}
            }
        }
        if !unverified.is_empty() {
            return Err(Failure::Unverified(unverified));
        }
        if resource.resource_type() == "Binary" && resource.child("securityContext").is_some() {
            let target = resource.text("securityContext.reference");
            let allowed = target.is_some_and(|text| match reference::literal(text, &self.site.base_url) {
                Target::Internal(literal) => !matches!(literal.resource_type, "Binary" | "Task"),
                _ => false,
            });
            if !allowed {
                return Err(Failure::Invalid(
                    "Binary.securityContext: must be a resource of this server, neither Binary nor Task"
                        .to_owned(),
                ));
            }
        }
        self.check_process(resource).await?;
        self.check_questionnaire(resource).await
    }

    async fn check_own(&self, path: &str, literal: reference::Literal<'_>) -> Result<(), Failure> {
        let version = literal.version.map(str::parse).transpose().ok();
        let exists = match (uuid(literal.id), version) {
            (Some(id), Some(version)) => self.session.exists(literal.resource_type, id, version).await?,
            _ => false,
        };
        if exists {
            return Ok(());
        }
        Err(Failure::Invalid(format!("Reference at {path} to {}: target not found", literal.resource_type)))
    }

    /// The reference, if it is to an active Endpoint and was not found there yet. Other addresses are
    /// never asked.
    fn unverified(&self, base: &str, literal: reference::Literal<'_>) -> Option<External> {
        let known = self.site.partners.checks()
            && self.directory.all("Endpoint").iter().any(|endpoint| {
                endpoint.text("status") == Some("active")
                    && endpoint.text("address").is_some_and(|address| address.trim_end_matches('/') == base)
            });
        if !known {
            return None;
        }
        let version = literal.version.map(|version| format!("/_history/{version}")).unwrap_or_default();
        let resource = format!("{}/{}{version}", literal.resource_type, literal.id);
        let external = External { base: base.to_owned(), resource };
        (!self.verified.holds(&external)).then_some(external)
    }

    /// `Task.instantiatesCanonical` must name a stored process, also of a draft that no rule looks at.
    async fn check_process(&self, resource: &Resource) -> Result<(), Failure> {
        if resource.resource_type() != "Task" || resource.text("status") != Some("draft") {
            return Ok(());
        }
        let Some((url, Some(version))) = resource.text("instantiatesCanonical").map(reference::canonical)
        else {
            return Ok(());
        };
        if !self.facts().process_definitions(url, version).is_empty() {
            return Ok(());
        }
        let condition = [("url".to_owned(), url.to_owned()), ("version".to_owned(), version.to_owned())];
        match self
            .session
            .find("ActivityDefinition", &criteria("ActivityDefinition", &condition)?, 1)
            .await?
            .as_slice()
        {
            [] => Err(Failure::Invalid("Task.instantiatesCanonical: target not found".to_owned())),
            _ => Ok(()),
        }
    }

    /// `QuestionnaireResponse.questionnaire` must name a stored Questionnaire.
    async fn check_questionnaire(&self, resource: &Resource) -> Result<(), Failure> {
        if resource.resource_type() != "QuestionnaireResponse" {
            return Ok(());
        }
        let Some(canonical) = resource.text("questionnaire") else { return Ok(()) };
        // Not as query text: a canonical may hold `&` and `%`.
        let condition = [("url".to_owned(), canonical.to_owned())];
        match self.session.find("Questionnaire", &criteria("Questionnaire", &condition)?, 1).await?.as_slice()
        {
            [] => Err(Failure::Invalid("QuestionnaireResponse.questionnaire: target not found".to_owned())),
            _ => Ok(()),
        }
    }
}

/// Replaces references by those the map gives; urls become absolute.
pub(crate) fn replace_references(resource: &mut Resource, map: &HashMap<String, String>, base_url: &str) {
    if map.is_empty() {
        return;
    }
    reference::for_each_mut(resource, &mut |element| {
        let replacement = element.text("reference").and_then(|text| map.get(text)).cloned();
        if let Some(replacement) = replacement {
            element.set_text("reference", &replacement);
        }
    });
    reference::replace_urls(resource, &|url| map.get(url).map(|relative| format!("{base_url}/{relative}")));
}

/// Makes relative urls of attachments and related artifacts absolute (contract 1.6, step 2).
pub(crate) fn absolute_urls(resource: &mut Resource, base_url: &str) {
    reference::replace_urls(resource, &|url| {
        reference::Literal::parse(url).map(|_| format!("{base_url}/{url}"))
    });
}

/// A Reference without anything that names something: extensions, perhaps a type.
fn says_nothing(reference: &Element) -> bool {
    ["reference", "identifier", "display"].iter().all(|name| reference.child(name).is_none())
}

fn criteria(ty: &str, condition: &[(String, String)]) -> Result<Vec<search::Criterion>, Failure> {
    match search::parse_conditions(ty, condition) {
        Some(Ok(criteria)) => Ok(criteria),
        _ => Err(Failure::Invalid(format!("a canonical reference to {ty} cannot be read"))),
    }
}

/// References to other sites that were found there while this request is worked on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verified(HashSet<External>);

impl Verified {
    fn holds(&self, external: &External) -> bool {
        self.0.contains(external)
    }

    /// Asks the other sites. No session of the store may be held meanwhile: a slow partner would keep
    /// it from others.
    ///
    /// # Errors
    /// A reference that is not there, or that its site says nothing about.
    pub(crate) async fn ask(&mut self, site: &Site, mut pending: Vec<External>) -> Result<(), Failure> {
        pending.sort();
        pending.dedup();
        if self.0.len() + pending.len() > MAX_REFERENCES {
            return Err(Failure::Invalid(format!(
                "more than {MAX_REFERENCES} references to other sites in one request: send several"
            )));
        }
        for (reference, existence) in site.partners.exist(pending).await {
            let (base, resource) = (&reference.base, &reference.resource);
            match existence {
                Existence::Found => drop(self.0.insert(reference)),
                Existence::NotFound => {
                    return Err(Failure::Invalid(format!("Reference to {resource}: not found on {base}")));
                }
                Existence::Unknown => {
                    return Err(Failure::Invalid(format!(
                        "Reference to {resource}: could not be resolved on {base}"
                    )));
                }
            }
        }
        Ok(())
    }
}

/// The resource with own absolute references made relative, so that index values and keys have one
/// form. The stored form is the one that was sent; most resources have no such reference.
pub(crate) fn own_relative<'a>(resource: &'a Resource, base_url: &str) -> Cow<'a, Resource> {
    let base = format!("{base_url}/");
    let is_own = |found: &reference::Found<'_>| {
        found.element.text("reference").is_some_and(|text| text.starts_with(&base))
    };
    if !reference::all(resource).iter().any(is_own) {
        return Cow::Borrowed(resource);
    }
    let mut relative = resource.clone();
    reference::for_each_mut(&mut relative, &mut |element: &mut Element| {
        let relative = element.text("reference").and_then(|text| text.strip_prefix(&base)).map(str::to_owned);
        if let Some(relative) = relative {
            element.set_text("reference", &relative);
        }
    });
    Cow::Owned(relative)
}

/// Id and version a Binary's security context points to.
pub(crate) fn security_context(resource: &Resource, base_url: &str) -> Option<(Uuid, Option<u64>)> {
    if resource.resource_type() != "Binary" {
        return None;
    }
    let text = resource.text("securityContext.reference")?;
    match reference::literal(text, base_url) {
        Target::Internal(literal) => {
            Some((uuid(literal.id)?, literal.version.and_then(|version| version.parse().ok())))
        }
        _ => None,
    }
}
