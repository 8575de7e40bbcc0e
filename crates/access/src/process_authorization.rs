//! Process authorization: who may send which message of a process, to whom (contract 4.5).
use fhir::{Element, Resource, generation};

use crate::{
    facts::{Facts, Membership, Role},
    identity::{Identity, Practitioner},
    read_access::coding,
};

const PRACTITIONER: &str =
    "http://dsf.dev/fhir/StructureDefinition/extension-process-authorization-practitioner";
const ORGANIZATION_PRACTITIONER: &str =
    "http://dsf.dev/fhir/StructureDefinition/extension-process-authorization-organization-practitioner";
const ROLE_PRACTITIONER: &str = "http://dsf.dev/fhir/StructureDefinition/extension-process-authorization-parent-organization-role-practitioner";

/// A process as its ActivityDefinition describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessDefinition {
    /// Process url.
    pub url: String,
    /// Version.
    pub version: String,
    /// Who may send what.
    pub authorizations: Vec<Authorization>,
}

/// The rule of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// Name of the message.
    pub message_name: String,
    /// Canonical of the Task profile.
    pub task_profile: String,
    /// Any one of these must admit the requester.
    pub requesters: Vec<Party>,
    /// Any one of these must admit the recipient.
    pub recipients: Vec<Party>,
}

/// Which organizations a party is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Members {
    /// Any.
    All,
    /// One, by identifier value.
    Organization(String),
    /// Those that hold a role in a parent organization.
    Role {
        /// Identifier value of the parent.
        parent: String,
        /// The role.
        role: Role,
    },
}

/// One coding of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// Local or remote organizations.
    pub local: bool,
    /// Which of them.
    pub members: Members,
    /// Persons with this role instead of the organization itself; only local ones.
    pub practitioner: Option<Role>,
}

/// Why an ActivityDefinition's rules are not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// No process-authorization extension.
    #[error("no process-authorization extension")]
    Missing,
    /// A part is missing, repeated or of the wrong form.
    #[error("a process-authorization extension does not have its form")]
    Form,
    /// Two extensions are for the same message.
    #[error("two process-authorization extensions are for the same message-name")]
    RepeatedMessage,
}

impl ProcessDefinition {
    /// Reads an ActivityDefinition.
    pub fn of(definition: &Resource) -> Result<Self, FormError> {
        let mut authorizations = Vec::new();
        for names in generation::all() {
            for extension in definition.root().extensions(names.process_authorization_extension) {
                authorizations.push(authorization(extension, names)?);
            }
        }
        if authorizations.is_empty() {
            return Err(FormError::Missing);
        }
        let mut messages: Vec<&str> = authorizations.iter().map(|rule| rule.message_name.as_str()).collect();
        messages.sort_unstable();
        if messages.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(FormError::RepeatedMessage);
        }
        Ok(Self {
            url: definition.text("url").unwrap_or_default().to_owned(),
            version: definition.text("version").unwrap_or_default().to_owned(),
            authorizations,
        })
    }

    /// The rule for a message and the profiles a Task claims.
    pub fn rule(&self, message_name: &str, profiles: &[&str]) -> Option<&Authorization> {
        self.authorizations.iter().find(|rule| {
            let wanted = rule.task_profile.as_str();
            let unversioned = wanted.split('|').next().unwrap_or(wanted);
            rule.message_name == message_name
                && profiles.iter().any(|profile| *profile == wanted || *profile == unversioned)
        })
    }
}

fn authorization(extension: &Element, names: &generation::Generation) -> Result<Authorization, FormError> {
    let parts = |url: &'static str| extension.extensions(url);
    let one = |url: &'static str, value: &str| -> Result<String, FormError> {
        let mut found = parts(url);
        match (found.next().and_then(|part| part.text(value)), found.next()) {
            (Some(text), None) if !text.trim().is_empty() => Ok(text.to_owned()),
            _ => Err(FormError::Form),
        }
    };
    let list = |url: &'static str, recipient: bool| -> Result<Vec<Party>, FormError> {
        let list: Vec<Party> =
            parts(url).map(|part| party(part, names, recipient)).collect::<Result<_, _>>()?;
        if list.is_empty() { Err(FormError::Form) } else { Ok(list) }
    };
    Ok(Authorization {
        message_name: one("message-name", "valueString")?,
        task_profile: one("task-profile", "valueCanonical")?,
        requesters: list("requester", false)?,
        recipients: list("recipient", true)?,
    })
}

fn party(part: &Element, names: &generation::Generation, recipient: bool) -> Result<Party, FormError> {
    let coding_element = part.child("valueCoding").ok_or(FormError::Form)?;
    if coding_element.text("system") != Some(names.process_authorization) {
        return Err(FormError::Form);
    }
    let code = coding_element.text("code").ok_or(FormError::Form)?;
    let only = |url: &str| coding_element.extension(url).ok_or(FormError::Form);
    let organization = |element: Option<&Element>, value: &str| -> Result<Members, FormError> {
        let element = element.ok_or(FormError::Form)?;
        let system = element.text(&format!("{value}.system"));
        match element.text(&format!("{value}.value")) {
            Some(identifier) if system == Some(names.organization_identifier) => {
                Ok(Members::Organization(identifier.to_owned()))
            }
            _ => Err(FormError::Form),
        }
    };
    let role = |element: &Element| -> Result<Members, FormError> {
        let (parent, role) = names.role_parts;
        let parent = match organization(element.extension(parent), "valueIdentifier")? {
            Members::Organization(identifier) => identifier,
            _ => return Err(FormError::Form),
        };
        let role = element.extension(role).and_then(coding).ok_or(FormError::Form)?;
        Ok(Members::Role { parent, role })
    };
    let practitioner_role =
        |element: &Element| element.extension("practitioner-role").and_then(coding).ok_or(FormError::Form);
    let party = |local, members, practitioner| Ok(Party { local, members, practitioner });
    match code {
        "LOCAL_ALL" => party(true, Members::All, None),
        "LOCAL_ORGANIZATION" => party(
            true,
            organization(Some(only(names.process_authorization_organization)?), "valueIdentifier")?,
            None,
        ),
        "LOCAL_ROLE" => party(true, role(only(names.process_authorization_role)?)?, None),
        _ if recipient => Err(FormError::Form),
        "REMOTE_ALL" => party(false, Members::All, None),
        "REMOTE_ORGANIZATION" => party(
            false,
            organization(Some(only(names.process_authorization_organization)?), "valueIdentifier")?,
            None,
        ),
        "REMOTE_ROLE" => party(false, role(only(names.process_authorization_role)?)?, None),
        "LOCAL_ALL_PRACTITIONER" => {
            party(true, Members::All, Some(coding(only(PRACTITIONER)?).ok_or(FormError::Form)?))
        }
        "LOCAL_ORGANIZATION_PRACTITIONER" => {
            let extension = only(ORGANIZATION_PRACTITIONER)?;
            let members = organization(extension.extension("organization"), "valueIdentifier")?;
            party(true, members, Some(practitioner_role(extension)?))
        }
        "LOCAL_ROLE_PRACTITIONER" => {
            let extension = only(ROLE_PRACTITIONER)?;
            party(true, role(extension)?, Some(practitioner_role(extension)?))
        }
        _ => Err(FormError::Form),
    }
}

impl Party {
    /// Whether this coding admits a caller as requester.
    pub fn admits_requester(&self, identity: &Identity, facts: &dyn Facts) -> bool {
        match identity {
            Identity::Organization(organization) => {
                self.practitioner.is_none()
                    && self.local == organization.local
                    && self.admits_organization(
                        &organization.identifier,
                        organization.endpoint.as_deref(),
                        facts,
                    )
            }
            Identity::Practitioner(practitioner) => {
                self.local && self.admits_person(practitioner) && {
                    self.admits_organization(&practitioner.organization, None, facts)
                }
            }
            Identity::Loader => false,
        }
    }

    /// Whether this coding admits the local organization as recipient.
    pub fn admits_recipient(&self, facts: &dyn Facts) -> bool {
        self.local
            && self.practitioner.is_none()
            && self.admits_organization(facts.local_organization(), None, facts)
    }

    fn admits_person(&self, practitioner: &Practitioner) -> bool {
        match &self.practitioner {
            // What the organization may do, only its administrators may do for it.
            None => practitioner.is_admin(),
            Some(role) => practitioner.practitioner_roles.contains(role),
        }
    }

    fn admits_organization(&self, identifier: &str, endpoint: Option<&str>, facts: &dyn Facts) -> bool {
        facts.organization_is_active(identifier)
            && match &self.members {
                Members::All => true,
                Members::Organization(wanted) => wanted == identifier,
                Members::Role { parent, role } => facts.memberships(identifier).iter().any(|membership| {
                    let Membership { parent: own_parent, role: own_role, endpoint: own_endpoint } =
                        membership;
                    let endpoint_fits = match (endpoint, own_endpoint) {
                        (Some(endpoint), Some(own)) => endpoint == own,
                        _ => true,
                    };
                    own_parent == parent && own_role == role && endpoint_fits
                }),
            }
    }
}
