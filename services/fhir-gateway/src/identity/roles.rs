//! Role configuration: which certificates and tokens are persons of the site and what they may do.
//!
//! A TOML file with `[[role]]` tables, or the same as JSON:
//!
//! ```toml
//! [[role]]
//! name = "readers"                                   # free text, for people
//! email = ["reader@hospital.example"]                # or thumbprint = ["…128 hex digits…"]
//! token-role = ["reader", "client.reader"]           # realm role; role of a client
//! token-group = "readers"
//! dsf-role = ["SEARCH", { READ = ["Task"] }]         # plain, or limited to types
//! practitioner-role = ["http://dsf.dev/fhir/CodeSystem/practitioner-role|DSF_ADMIN"]
//! ```
//!
//! A person gets the sum of all tables that match (fhir-endpoint contract 3.2).
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use access::{DsfRoles, Interaction, Practitioner, Role};
use serde::Deserialize;

use crate::exchange::TYPES;

/// Why a role configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RolesError {
    /// The file cannot be read.
    #[error("role configuration {path} cannot be read ({reason})")]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        reason: String,
    },
    /// The file does not have the form described in this module.
    #[error("role configuration {path} is not usable: {reason}")]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong, folded to one line.
        reason: String,
    },
}

/// The list of role entries.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleConfig {
    #[serde(default)]
    role: Vec<Entry>,
}

/// One entry: any one of the first four matches, all of the last two are granted.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Entry {
    #[serde(default)]
    #[allow(dead_code, reason = "for the people who keep the file")]
    name: String,
    #[serde(default)]
    thumbprint: OneOrMany<String>,
    #[serde(default)]
    email: OneOrMany<String>,
    #[serde(default)]
    token_role: OneOrMany<String>,
    #[serde(default)]
    token_group: OneOrMany<String>,
    #[serde(default)]
    dsf_role: OneOrMany<Grant>,
    #[serde(default)]
    practitioner_role: OneOrMany<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl<T> OneOrMany<T> {
    fn all(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Grant {
    Everywhere(String),
    Limited(BTreeMap<String, OneOrMany<String>>),
}

impl RoleConfig {
    /// Reads a file; `.json` is JSON, everything else TOML. Names that mean nothing are logged and skipped.
    ///
    /// # Errors
    /// See [`RolesError`].
    pub fn load(path: &Path) -> Result<Self, RolesError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| RolesError::File { path: path.to_owned(), reason: error.to_string() })?;
        let read = if path.extension().is_some_and(|end| end == "json") {
            serde_json::from_str(&text).map_err(|error| error.to_string())
        } else {
            toml::from_str(&text).map_err(|error| error.to_string())
        };
        let config: Self = read.map_err(|reason| RolesError::Form {
            path: path.to_owned(),
            reason: reason.split_whitespace().collect::<Vec<_>>().join(" "),
        })?;
        config.warn_of_unknown_names();
        Ok(config)
    }

    fn warn_of_unknown_names(&self) {
        for entry in &self.role {
            for grant in entry.dsf_role.all() {
                let granted: Vec<(&String, &[String])> = match grant {
                    Grant::Everywhere(name) => vec![(name, &[])],
                    Grant::Limited(limited) => {
                        limited.iter().map(|(name, types)| (name, types.all())).collect()
                    }
                };
                for (name, types) in granted {
                    if Interaction::from_role(name).is_none() {
                        tracing::warn!(%name, "the role configuration grants a role that does not exist");
                    }
                    for ty in types.iter().filter(|ty| !TYPES.contains(&ty.as_str())) {
                        tracing::warn!(%name, %ty, "the role configuration limits a role to a type that is not served");
                    }
                }
            }
            for role in entry.practitioner_role.all().iter().filter(|role| practitioner_role(role).is_none())
            {
                tracing::warn!(%role, "a practitioner role is not of the form system|code");
            }
        }
    }

    /// The person that credentials belong to, in the organization that runs this site. `None` where no
    /// entry matches.
    pub fn practitioner(&self, credentials: &Credentials, organization: &str) -> Option<Practitioner> {
        let matching: Vec<&Entry> = self.role.iter().filter(|entry| entry.matches(credentials)).collect();
        if matching.is_empty() {
            return None;
        }
        let mut roles = DsfRoles::default();
        let mut practitioner_roles: Vec<Role> = Vec::new();
        for grant in matching.iter().flat_map(|entry| entry.dsf_role.all()) {
            match grant {
                Grant::Everywhere(name) => {
                    if let Some(interaction) = Interaction::from_role(name) {
                        roles.grant(interaction, []);
                    }
                }
                Grant::Limited(limited) => {
                    for (name, types) in limited {
                        // An empty list is no right; `grant` would take it for all types.
                        if let Some(interaction) = Interaction::from_role(name)
                            && !types.all().is_empty()
                        {
                            roles.grant(interaction, types.all().iter().cloned());
                        }
                    }
                }
            }
        }
        for role in matching.iter().flat_map(|entry| entry.practitioner_role.all()) {
            practitioner_roles
                .extend(practitioner_role(role).filter(|role| !practitioner_roles.contains(role)));
        }
        let identifier = credentials.email.clone().unwrap_or_else(|| credentials.otherwise.clone());
        Some(Practitioner { identifier, organization: organization.to_owned(), roles, practitioner_roles })
    }
}

/// What a certificate or token says of a person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Of the certificate.
    pub thumbprint: Option<String>,
    /// Mail address.
    pub email: Option<String>,
    /// Identifier of somebody without mail address.
    pub otherwise: String,
    /// Roles of a token; those of a client as `client.role`.
    pub token_roles: Vec<String>,
    /// Groups of a token.
    pub token_groups: Vec<String>,
}

impl Entry {
    fn matches(&self, credentials: &Credentials) -> bool {
        let ignoring_case = |own: &OneOrMany<String>, shown: &Option<String>| {
            shown.as_deref().is_some_and(|shown| own.all().iter().any(|own| own.eq_ignore_ascii_case(shown)))
        };
        let any = |own: &OneOrMany<String>, shown: &[String]| own.all().iter().any(|own| shown.contains(own));
        ignoring_case(&self.thumbprint, &credentials.thumbprint)
            || ignoring_case(&self.email, &credentials.email)
            || any(&self.token_role, &credentials.token_roles)
            || any(&self.token_group, &credentials.token_groups)
    }
}

fn practitioner_role(text: &str) -> Option<Role> {
    let (system, code) = text.split_once('|')?;
    (!system.is_empty() && !code.is_empty())
        .then(|| Role { system: system.to_owned(), code: code.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_match_by_role_and_group() {
        let text = r#"
            [[role]]
            token-role = ["realm-reader", "client.reader"]
            dsf-role = "READ"
            [[role]]
            token-group = "searchers"
            dsf-role = "SEARCH"
        "#;
        let config: RoleConfig = toml::from_str(text).unwrap();
        let table: [(&[&str], &[&str], Option<(bool, bool)>); 5] = [
            (&["realm-reader"], &[], Some((true, false))),
            (&["client.reader"], &["searchers"], Some((true, true))),
            (&["other"], &["searchers"], Some((false, true))),
            // Roles and groups are different names, and names are exact.
            (&["searchers", "reader", "Realm-Reader"], &["realm-reader"], None),
            (&[], &[], None),
        ];
        for (roles, groups, expected) in table {
            let credentials = Credentials {
                otherwise: "sub.issuer@oidc.invalid".to_owned(),
                token_roles: roles.iter().map(|role| (*role).to_owned()).collect(),
                token_groups: groups.iter().map(|group| (*group).to_owned()).collect(),
                ..Credentials::default()
            };
            let person = config.practitioner(&credentials, "hospital.example").map(|person| {
                assert_eq!(person.identifier, "sub.issuer@oidc.invalid");
                let person = access::Identity::Practitioner(person);
                (person.may(Interaction::Read, "Task"), person.may(Interaction::Search, "Task"))
            });
            assert_eq!(person, expected, "roles {roles:?}, groups {groups:?}");
        }
    }

    #[test]
    fn persons_get_the_sum_of_matching_entries() {
        let text = r#"
            [[role]]
            name = "readers"
            email = "Reader@Hospital.example"
            dsf-role = ["SEARCH", { READ = ["Task"] }]
            [[role]]
            thumbprint = ["AB"]
            dsf-role = "WEBSOCKET"
            practitioner-role = ["http://dsf.dev/fhir/CodeSystem/practitioner-role|DSF_ADMIN", "nonsense"]
            [[role]]
            email = "other@hospital.example"
            dsf-role = "DELETE"
        "#;
        let config: RoleConfig = toml::from_str(text).unwrap();
        let credentials = |thumbprint: &str, email: Option<&str>| Credentials {
            thumbprint: Some(thumbprint.to_owned()),
            email: email.map(str::to_owned),
            ..Credentials::default()
        };
        let reader = credentials("ab", Some("reader@hospital.example"));
        let person =
            access::Identity::Practitioner(config.practitioner(&reader, "hospital.example").unwrap());
        let table = [
            (Interaction::Search, "Endpoint", true),
            (Interaction::Read, "Task", true),
            (Interaction::Read, "Endpoint", false),
            (Interaction::WebSocket, "Subscription", true),
            (Interaction::Delete, "Task", false),
        ];
        for (interaction, ty, expected) in table {
            assert_eq!(person.may(interaction, ty), expected, "{interaction:?} {ty}");
        }
        assert!(person.acts_for_local_organization(), "DSF_ADMIN was granted");
        let stranger = credentials("cd", None);
        assert!(config.practitioner(&stranger, "hospital.example").is_none());
    }
}
