//! What follows from the stored organizations, endpoints, affiliations, processes and code systems.
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use access::{Facts, Membership, Role, process_authorization::ProcessDefinition};
use fhir::{Element, Resource, generation};

use super::directory::{Resources, all};

/// [`Facts`] of one snapshot.
#[derive(Default)]
pub struct SnapshotFacts {
    local_organization: String,
    known: HashSet<String>,
    active: HashSet<String>,
    memberships: HashMap<String, Vec<Membership>>,
    codes: HashSet<(String, String)>,
    processes: HashMap<(String, String), Vec<ProcessDefinition>>,
}

impl Facts for SnapshotFacts {
    fn local_organization(&self) -> &str {
        &self.local_organization
    }

    fn organization_exists(&self, identifier: &str) -> bool {
        self.known.contains(identifier)
    }

    fn organization_is_active(&self, identifier: &str) -> bool {
        self.active.contains(identifier)
    }

    fn memberships(&self, identifier: &str) -> &[Membership] {
        self.memberships.get(identifier).map_or(&[], Vec::as_slice)
    }

    fn code_exists(&self, system: &str, code: &str) -> bool {
        self.codes.contains(&(system.to_owned(), code.to_owned()))
    }

    fn process_definitions(&self, url: &str, version: &str) -> &[ProcessDefinition] {
        self.processes.get(&(url.to_owned(), version.to_owned())).map_or(&[], Vec::as_slice)
    }
}

impl SnapshotFacts {
    pub(super) fn of(resources: &Resources, local_organization: &str) -> Self {
        let organizations = by_id(all(resources, "Organization"), active_organization);
        let endpoints = by_id(all(resources, "Endpoint"), endpoint_identifier);
        let mut facts = Self {
            local_organization: local_organization.to_owned(),
            known: all(resources, "Organization")
                .iter()
                .filter_map(|organization| organization_identifier(organization))
                .map(str::to_owned)
                .collect(),
            active: organizations.values().map(|identifier| (*identifier).to_owned()).collect(),
            ..Self::default()
        };
        for affiliation in all(resources, "OrganizationAffiliation") {
            facts.add_affiliation(affiliation, &organizations, &endpoints);
        }
        for system in all(resources, "CodeSystem") {
            let Some(url) = system.text("url") else { continue };
            let codes = system.each("concept").filter_map(|concept| concept.text("code"));
            facts.codes.extend(codes.map(|code| (url.to_owned(), code.to_owned())));
        }
        for definition in all(resources, "ActivityDefinition") {
            if !matches!(definition.text("status"), Some("draft" | "active")) {
                continue;
            }
            match ProcessDefinition::of(definition) {
                Ok(process) => facts
                    .processes
                    .entry((process.url.clone(), process.version.clone()))
                    .or_default()
                    .push(process),
                Err(error) => {
                    tracing::warn!(id = definition.id(), %error, "an ActivityDefinition is not usable")
                }
            }
        }
        facts
    }

    fn add_affiliation(
        &mut self,
        affiliation: &Resource,
        organizations: &HashMap<&str, &str>,
        endpoints: &HashMap<&str, &str>,
    ) {
        if affiliation.text("active") != Some("true") {
            return;
        }
        let organization = |name: &str| {
            let reference = affiliation.child(name)?;
            referenced(reference, organizations).filter(|identifier| self.active.contains(*identifier))
        };
        let (Some(parent), Some(member)) =
            (organization("organization"), organization("participatingOrganization"))
        else {
            return;
        };
        let endpoints: Vec<Option<String>> = affiliation
            .each("endpoint")
            .map(|reference| referenced(reference, endpoints).map(str::to_owned))
            .collect();
        let roles = affiliation.at("code.coding").into_iter().filter_map(|coding| {
            Some(Role { system: coding.text("system")?.to_owned(), code: coding.text("code")?.to_owned() })
        });
        let mut memberships = Vec::new();
        for role in roles {
            let membership =
                |endpoint| Membership { parent: parent.to_owned(), role: role.clone(), endpoint };
            if endpoints.is_empty() {
                memberships.push(membership(None));
            }
            memberships.extend(endpoints.iter().cloned().map(membership));
        }
        self.memberships.entry(member.to_owned()).or_default().extend(memberships);
    }
}

/// Identifier values by logical id, of the resources that have one.
fn by_id(resources: &[Arc<Resource>], identifier: fn(&Resource) -> Option<&str>) -> HashMap<&str, &str> {
    resources.iter().filter_map(|resource| Some((resource.id()?, identifier(resource)?))).collect()
}

/// Identifier value of what a reference names: by its logical id, else by its identifier.
fn referenced<'a>(reference: &'a Element, by_id: &HashMap<&str, &'a str>) -> Option<&'a str> {
    let literal = reference.text("reference").and_then(|text| {
        let text = text.split("/_history/").next()?;
        by_id.get(text.rsplit('/').next()?).copied()
    });
    literal.or_else(|| reference.text("identifier.value"))
}

/// Value of the identifier with one of the given systems.
fn identifier_of(resource: &Resource, system: fn(&generation::Generation) -> &'static str) -> Option<&str> {
    resource.each("identifier").find_map(|identifier| {
        let own = identifier.text("system")?;
        generation::all().iter().any(|names| system(names) == own).then(|| identifier.text("value"))?
    })
}

/// Identifier value of an organization, if it is active.
pub(super) fn active_organization(organization: &Resource) -> Option<&str> {
    (organization.text("active") == Some("true")).then(|| organization_identifier(organization))?
}

fn organization_identifier(organization: &Resource) -> Option<&str> {
    identifier_of(organization, |names| names.organization_identifier)
}

fn endpoint_identifier(endpoint: &Resource) -> Option<&str> {
    identifier_of(endpoint, |names| names.endpoint_identifier)
}

/// Certificate thumbprints of an Organization or Endpoint, lower case.
pub(super) fn thumbprints(resource: &Resource) -> impl Iterator<Item = String> + '_ {
    generation::all()
        .into_iter()
        .flat_map(|names| resource.extensions(names.certificate_thumbprint))
        .filter_map(|extension| extension.text("valueString"))
        .map(str::to_ascii_lowercase)
}

/// Identifier value of the endpoint a certificate of an organization belongs to (contract 3.1): for the local
/// organization the active one at our base URL; else the active one with the same thumbprint, else
/// the organization's only one.
pub(super) fn endpoint_of(
    resources: &Resources,
    organization: &Resource,
    thumbprint: &str,
    local: bool,
    base_url: &str,
) -> Option<String> {
    let endpoints = all(resources, "Endpoint");
    let active = || endpoints.iter().filter(|endpoint| endpoint.text("status") == Some("active"));
    if local {
        return active()
            .find(|endpoint| {
                endpoint.text("address").is_some_and(|url| url.trim_end_matches('/') == base_url)
            })
            .and_then(|endpoint| endpoint_identifier(endpoint))
            .map(str::to_owned);
    }
    if let Some(endpoint) = active().find(|endpoint| thumbprints(endpoint).any(|own| own == thumbprint)) {
        return endpoint_identifier(endpoint).map(str::to_owned);
    }
    let mut references = organization.each("endpoint");
    match (references.next(), references.next()) {
        (Some(only), None) => referenced(only, &by_id(endpoints, endpoint_identifier)).map(str::to_owned),
        _ => None,
    }
}
