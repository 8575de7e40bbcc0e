//! Callers and what their roles allow (fhir-endpoint contract 3).
use std::collections::{HashMap, HashSet};

use crate::facts::Role;

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interaction {
    /// Create.
    Create,
    /// Read and vread.
    Read,
    /// Update.
    Update,
    /// Delete.
    Delete,
    /// Search.
    Search,
    /// History.
    History,
    /// Permanent delete.
    PermanentDelete,
    /// Bind a WebSocket.
    WebSocket,
}

impl Interaction {
    /// From the name used in role configurations.
    pub fn from_role(name: &str) -> Option<Self> {
        Some(match name {
            "CREATE" => Self::Create,
            "READ" => Self::Read,
            "UPDATE" => Self::Update,
            "DELETE" => Self::Delete,
            "SEARCH" => Self::Search,
            "HISTORY" => Self::History,
            "PERMANENT_DELETE" => Self::PermanentDelete,
            "WEBSOCKET" => Self::WebSocket,
            _ => return None,
        })
    }

    /// The word in `Operation … forbidden`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Search => "search",
            Self::History => "history",
            Self::PermanentDelete => "permanent delete",
            Self::WebSocket => "websocket",
        }
    }
}

/// An organization that calls with its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Identifier value.
    pub identifier: String,
    /// Logical id of the stored Organization.
    pub id: String,
    /// Whether it runs this site.
    pub local: bool,
    /// Identifier value of the endpoint its certificate belongs to, where that is known.
    pub endpoint: Option<String>,
}

/// Rights of a person: interactions, each for all types or for some.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DsfRoles(HashMap<Interaction, Option<HashSet<String>>>);

impl DsfRoles {
    /// Adds a right; `types` empty: for all types.
    pub fn grant(&mut self, interaction: Interaction, types: impl IntoIterator<Item = String>) {
        let types: HashSet<String> = types.into_iter().collect();
        let granted = self.0.entry(interaction).or_insert_with(|| Some(HashSet::new()));
        match granted {
            Some(_) if types.is_empty() => *granted = None,
            Some(known) => known.extend(types),
            None => {}
        }
    }

    fn allow(&self, interaction: Interaction, resource_type: &str) -> bool {
        match self.0.get(&interaction) {
            Some(None) => true,
            Some(Some(types)) => types.contains(resource_type),
            None => false,
        }
    }
}

/// A person of the local organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Practitioner {
    /// Identifier value: the mail address of the certificate.
    pub identifier: String,
    /// Identifier value of the local organization.
    pub organization: String,
    /// Rights.
    pub roles: DsfRoles,
    /// Practitioner roles, for process authorization.
    pub practitioner_roles: Vec<Role>,
}

/// Code of the practitioner role that acts like the local organization for Tasks.
const ADMIN: &str = "DSF_ADMIN";

impl Practitioner {
    /// Whether the person holds `DSF_ADMIN`.
    pub fn is_admin(&self) -> bool {
        let system = fhir::generation::MODERN.practitioner_role;
        self.practitioner_roles.iter().any(|role| role.code == ADMIN && Some(role.system.as_str()) == system)
    }
}

/// A caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// An organization.
    Organization(Organization),
    /// A person of this site.
    Practitioner(Practitioner),
    /// The site itself while it loads its initial data.
    Loader,
}

impl Identity {
    /// Whether the caller belongs to this site.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Organization(organization) => organization.local,
            Self::Practitioner(_) | Self::Loader => true,
        }
    }

    /// The local organization itself, a person acting for it, or the loader.
    pub fn acts_for_local_organization(&self) -> bool {
        match self {
            Self::Organization(organization) => organization.local,
            Self::Practitioner(practitioner) => practitioner.is_admin(),
            Self::Loader => true,
        }
    }

    /// What the caller's roles allow, before any other rule (contract 3.2).
    pub fn may(&self, interaction: Interaction, resource_type: &str) -> bool {
        use Interaction::{Create, Delete, History, Read, Search, Update};
        match self {
            Self::Organization(organization) if organization.local => true,
            Self::Organization(_) => match interaction {
                Create => resource_type == "Task",
                Read | Search | History => true,
                _ => false,
            },
            Self::Practitioner(practitioner) => practitioner.roles.allow(interaction, resource_type),
            Self::Loader => matches!(interaction, Create | Update | Delete),
        }
    }

    /// Identifier value of the caller's organization.
    pub fn organization(&self) -> Option<&str> {
        match self {
            Self::Organization(organization) => Some(&organization.identifier),
            Self::Practitioner(practitioner) => Some(&practitioner.organization),
            Self::Loader => None,
        }
    }

    /// Kind of caller, for metrics and audit.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Organization(organization) if organization.local => "local-organization",
            Self::Organization(_) => "remote-organization",
            Self::Practitioner(_) => "practitioner",
            Self::Loader => "loader",
        }
    }
}
