//! What a caller can see of a type: as a condition for searches and for one resource in hand.
use fhir::{Resource, generation::MODERN, search};

use crate::{
    decision::Decision,
    facts::Facts,
    identity::{Identity, Interaction},
    questionnaire_response, read_access,
};

/// A condition on the index values of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Parameter key; with `:identifier` for the identifier of a reference.
    pub parameter: &'static str,
    /// System, where it matters.
    pub system: Option<&'static str>,
    /// Values, any of which is enough.
    pub values: Vec<String>,
    /// A token the same resource must have as well: parameter key and code.
    pub and: Option<(&'static str, &'static str)>,
}

/// What a caller can see of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Everything,
    /// Nothing.
    Nothing,
    /// Versions with one of these read tags.
    Tags(Vec<String>),
    /// Resources of which one of these holds.
    AnyOf(Vec<Condition>),
    /// Resources that an in-memory rule lets the caller see; only for QuestionnaireResponse.
    Authorized,
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
        "Task" => task(identity, facts),
        "QuestionnaireResponse" => match identity {
            _ if identity.acts_for_local_organization() => Scope::Everything,
            Identity::Practitioner(_) => Scope::Authorized,
            _ => Scope::Nothing,
        },
        _ => Scope::Tags(read_access::grants(identity, facts)),
    }
}

const REQUESTER: &str = "Task.requester:identifier";
const RECIPIENT: &str = "Task.-recipient:identifier";

fn task(identity: &Identity, facts: &dyn Facts) -> Scope {
    let by = |parameter, system, value: &str| Condition {
        parameter,
        system,
        values: vec![value.to_owned()],
        and: None,
    };
    // Identifier values of organizations are unique over the systems of all generations.
    let recipient = by(RECIPIENT, None, facts.local_organization());
    match identity {
        Identity::Organization(organization) if organization.local => {
            Scope::AnyOf(vec![recipient, by(REQUESTER, None, &organization.identifier)])
        }
        Identity::Organization(organization) => {
            Scope::AnyOf(vec![by(REQUESTER, None, &organization.identifier)])
        }
        Identity::Practitioner(practitioner) if practitioner.is_admin() => Scope::AnyOf(vec![recipient]),
        Identity::Practitioner(practitioner) => Scope::AnyOf(vec![
            by(REQUESTER, MODERN.practitioner_identifier, &practitioner.identifier),
            Condition { and: Some(("Task.status", "draft")), ..recipient },
        ]),
        Identity::Loader => Scope::Everything,
    }
}

impl Condition {
    fn holds(&self, values: &[search::IndexValue]) -> bool {
        let found = |key: &str, system: Option<&str>, codes: &[&str]| {
            values.iter().any(|value| {
                let (own_key, own_system, own_code) = match &value.value {
                    search::Value::Token { system, code } => (value.parameter.key.to_owned(), system, code),
                    search::Value::Identifier { system, code } => {
                        (format!("{}:identifier", value.parameter.key), system, code)
                    }
                    _ => return false,
                };
                own_key == key
                    && codes.contains(&own_code.as_str())
                    && system.is_none_or(|system| own_system.as_deref() == Some(system))
            })
        };
        let wanted: Vec<&str> = self.values.iter().map(String::as_str).collect();
        found(self.parameter, self.system, &wanted)
            && self.and.is_none_or(|(key, code)| found(key, None, &[code]))
    }
}

/// Whether a caller may read a version. `tags` are the stored read tags of that version.
pub fn may_read(identity: &Identity, resource: &Resource, tags: &[String], facts: &dyn Facts) -> Decision {
    match of(identity, resource.resource_type(), facts) {
        Scope::Everything => Decision::Allow,
        Scope::Nothing => Decision::Deny("the caller's roles do not include reading this type"),
        Scope::Tags(grants) => Decision::when(
            grants.iter().any(|grant| tags.contains(grant)),
            "no read-access tag names the caller",
        ),
        Scope::AnyOf(conditions) => {
            let values = search::extract(resource);
            Decision::when(
                conditions.iter().any(|condition| condition.holds(&values)),
                "the caller is neither requester nor recipient",
            )
        }
        Scope::Authorized => questionnaire_response::may_answer(identity, resource),
    }
}
