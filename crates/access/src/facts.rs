//! What rules need to know of the stored world.
use crate::process_authorization::ProcessDefinition;

/// A role: system and code.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Role {
    /// Code system.
    pub system: String,
    /// Code.
    pub code: String,
}

/// An organization's role in a parent organization, by an active affiliation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Membership {
    /// Identifier value of the parent organization.
    pub parent: String,
    /// The role.
    pub role: Role,
    /// Identifier value of the endpoint the affiliation is for.
    pub endpoint: Option<String>,
}

/// Facts of one moment. The gateway answers from a snapshot of its allow list.
pub trait Facts {
    /// Identifier value of the organization that runs this site.
    fn local_organization(&self) -> &str;
    /// Whether an organization with this identifier value is stored, active or not.
    fn organization_exists(&self, identifier: &str) -> bool;
    /// Whether an active organization with this identifier value is stored.
    fn organization_is_active(&self, identifier: &str) -> bool;
    /// Roles of an organization, by active affiliations of active parents.
    fn memberships(&self, identifier: &str) -> &[Membership];
    /// Whether a stored CodeSystem has the code as a top-level concept.
    fn code_exists(&self, system: &str, code: &str) -> bool;
    /// Process definitions (ActivityDefinitions with status draft or active) with a url and version.
    fn process_definitions(&self, url: &str, version: &str) -> &[ProcessDefinition];
}
