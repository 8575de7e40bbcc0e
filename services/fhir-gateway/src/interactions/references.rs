//! References of a resource to be written (fhir-endpoint contract 5): resolving logical, conditional
//! and temporary ones, checking literal ones.
use std::{borrow::Cow, collections::HashMap};

use deadpool_postgres::GenericClient;
use fhir::{
    Element, Resource,
    reference::{self, Target},
};
use uuid::Uuid;

use super::{
    failure::Failure,
    search::parse_condition,
    unit::{Unit, uuid},
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

    /// Replaces conditional references of a bundle entry by literal ones.
    pub(crate) async fn resolve_conditional(&self, resource: &mut Resource) -> Result<(), Failure> {
        let mut resolved: HashMap<String, String> = HashMap::new();
        for found in reference::all(resource) {
            let Some(text) = found.element.text("reference") else { continue };
            let Target::Conditional { resource_type, query } = reference::literal(text, &self.site.base_url)
            else {
                continue;
            };
            let criteria = parse_condition(resource_type, query)?;
            match self.session.find(resource_type, &criteria, 2).await?.as_slice() {
                [(id, _)] => resolved.insert(text.to_owned(), format!("{resource_type}/{id}")),
                _ => {
                    return Err(Failure::Invalid(format!(
                        "Conditional reference at {} does not match exactly one {resource_type}",
                        found.path
                    )));
                }
            };
        }
        replace_references(resource, &resolved);
        Ok(())
    }

    /// Checks literal references: own ones must exist, those to known endpoints will be asked for
    /// there (issue 2), anything else is unknown. `task_completed`: external inputs may be gone.
    pub(crate) async fn check_literal(&self, resource: &Resource) -> Result<(), Failure> {
        for found in reference::all(resource) {
            if found.element.child("identifier").is_some() {
                continue;
            }
            let Some(text) = found.element.text("reference") else { continue };
            match reference::literal(text, &self.site.base_url) {
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
                    let version = literal.version.map(str::parse).transpose().ok();
                    let exists = match (uuid(literal.id), version) {
                        (Some(id), Some(version)) => {
                            self.session.exists(literal.resource_type, id, version).await?
                        }
                        _ => false,
                    };
                    if !exists {
                        return Err(Failure::Invalid(format!(
                            "Reference at {} to {}: target not found",
                            found.path, literal.resource_type
                        )));
                    }
                }
                Target::External { .. } | Target::Contained(_) => {}
                Target::Temporary(_)
                | Target::Conditional { .. }
                | Target::Logical { .. }
                | Target::Unknown => {
                    return Err(Failure::Invalid(format!("Unknown reference at {}", found.path)));
                }
            }
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
        self.check_questionnaire(resource).await
    }

    /// `QuestionnaireResponse.questionnaire` must name a stored Questionnaire.
    async fn check_questionnaire(&self, resource: &Resource) -> Result<(), Failure> {
        if resource.resource_type() != "QuestionnaireResponse" {
            return Ok(());
        }
        let Some(canonical) = resource.text("questionnaire") else { return Ok(()) };
        let criteria = parse_condition("Questionnaire", &format!("url={canonical}"))?;
        match self.session.find("Questionnaire", &criteria, 1).await?.as_slice() {
            [] => Err(Failure::Invalid("QuestionnaireResponse.questionnaire: target not found".to_owned())),
            _ => Ok(()),
        }
    }
}

/// Replaces temporary references by those the map gives.
pub(crate) fn replace_references(resource: &mut Resource, map: &HashMap<String, String>) {
    if map.is_empty() {
        return;
    }
    reference::for_each_mut(resource, &mut |element| {
        let replacement = element.text("reference").and_then(|text| map.get(text)).cloned();
        if let Some(replacement) = replacement {
            element.set_text("reference", &replacement);
        }
    });
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
