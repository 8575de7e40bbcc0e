//! Who may see a version: the rights that are stored with it, and those a caller holds.
//!
//! One mechanism for all types: a version carries tags, a caller holds grants, one in common is
//! enough. Read-access tags are the resource's own; Tasks and QuestionnaireResponses have none and get
//! theirs from whom they name (fhir-endpoint contract 4.2, 4.5, 4.6). Because the tags belong to the
//! version, read, search and history of old versions decide alike.
use fhir::{
    Element, Resource,
    generation::{self, MODERN},
};

use crate::{
    decision::Decision,
    facts::Facts,
    identity::{Identity, Interaction},
    questionnaire_response,
    read_access::{self, TagError},
};

/// What a caller can see of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Everything,
    /// Nothing.
    Nothing,
    /// Versions with one of these tags.
    Tags(Vec<String>),
}

/// Task whose requester is this organization.
fn requester(organization: &str) -> String {
    format!("REQUESTER|{organization}")
}

/// Task whose requester is this person.
fn person(practitioner: &str) -> String {
    format!("PERSON|{practitioner}")
}

/// Task for this organization.
fn recipient(organization: &str) -> String {
    format!("RECIPIENT|{organization}")
}

/// Draft Task for this organization.
fn draft(organization: &str) -> String {
    format!("DRAFT|{organization}")
}

/// Tags to be stored with a version.
///
/// # Errors
/// Read-access tags that are missing or not valid. Tasks and QuestionnaireResponses never fail.
pub fn tags(resource: &Resource, facts: &dyn Facts) -> Result<Vec<String>, TagError> {
    match resource.resource_type() {
        "Task" => Ok(task_tags(resource)),
        "QuestionnaireResponse" => Ok(questionnaire_response::tags(resource)),
        _ => Ok(read_access::tags(resource, facts)?.iter().map(read_access::ReadTag::text).collect()),
    }
}

fn task_tags(task: &Resource) -> Vec<String> {
    // Identifier values of organizations are unique over the systems of all generations.
    let organization = |reference: &Element| {
        let system = reference.text("identifier.system")?;
        generation::all().into_iter().find(|names| names.organization_identifier == system)?;
        reference.text("identifier.value").map(str::to_owned)
    };
    let mut tags = Vec::new();
    for reference in task.each("requester") {
        if let Some(identifier) = organization(reference) {
            tags.push(requester(&identifier));
        } else if reference.text("identifier.system") == MODERN.practitioner_identifier {
            tags.extend(reference.text("identifier.value").map(person));
        }
    }
    for identifier in task.at("restriction.recipient").into_iter().filter_map(organization) {
        if task.text("status") == Some("draft") {
            tags.push(draft(&identifier));
        }
        tags.push(recipient(&identifier));
    }
    tags
}

/// Scope of a caller for a type, rights of the role included (contract 4.2, 4.5, 4.6).
pub fn of(identity: &Identity, resource_type: &str, facts: &dyn Facts) -> Scope {
    if *identity == Identity::Loader {
        return Scope::Everything;
    }
    if !identity.may(Interaction::Read, resource_type) {
        return Scope::Nothing;
    }
    match resource_type {
        "Task" => Scope::Tags(task_grants(identity, facts.local_organization())),
        "QuestionnaireResponse" => match identity {
            _ if identity.acts_for_local_organization() => Scope::Everything,
            Identity::Practitioner(practitioner) => Scope::Tags(questionnaire_response::grants(practitioner)),
            _ => Scope::Nothing,
        },
        _ => Scope::Tags(read_access::grants(identity, facts)),
    }
}

fn task_grants(identity: &Identity, local: &str) -> Vec<String> {
    match identity {
        Identity::Organization(organization) if organization.local => {
            vec![recipient(local), requester(&organization.identifier)]
        }
        Identity::Organization(organization) => vec![requester(&organization.identifier)],
        Identity::Practitioner(practitioner) if practitioner.is_admin() => vec![recipient(local)],
        Identity::Practitioner(practitioner) => vec![person(&practitioner.identifier), draft(local)],
        Identity::Loader => Vec::new(),
    }
}

/// Whether a caller may read a version of a type that carries `tags`.
pub fn may_read(identity: &Identity, resource_type: &str, tags: &[String], facts: &dyn Facts) -> Decision {
    match of(identity, resource_type, facts) {
        Scope::Everything => Decision::Allow,
        Scope::Nothing => Decision::Deny("the caller's roles do not include reading this type"),
        Scope::Tags(grants) => Decision::when(
            grants.iter().any(|grant| tags.contains(grant)),
            "nothing in the version names the caller",
        ),
    }
}
