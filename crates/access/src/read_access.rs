//! Read-access tags: reading them from a resource, and who holds one (contract 4.1).
use fhir::{Element, Resource, generation};

use crate::{
    facts::{Facts, Role},
    identity::Identity,
};

/// Who may read a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadTag {
    /// Local identities.
    Local,
    /// Everybody who is known.
    All,
    /// Local identities and one organization.
    Organization(String),
    /// Local identities and members of a parent organization that hold a role.
    Role {
        /// Identifier value of the parent organization.
        parent: String,
        /// The role.
        role: Role,
    },
}

impl ReadTag {
    /// The tag as it is stored and compared.
    pub fn text(&self) -> String {
        match self {
            Self::Local => "LOCAL".to_owned(),
            Self::All => "ALL".to_owned(),
            Self::Organization(identifier) => format!("ORGANIZATION|{identifier}"),
            Self::Role { parent, role } => format!("ROLE|{parent}|{}|{}", role.system, role.code),
        }
    }
}

/// Why the tags of a resource are not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// No tag at all.
    #[error("no read-access tag")]
    Missing,
    /// Not one `ALL`, nor one `LOCAL` with others.
    #[error("read-access tags are not exactly one ALL, or exactly one LOCAL with any ORGANIZATION and ROLE")]
    Combination,
    /// A tag lacks its extension or has more than it should.
    #[error("a read-access tag does not have the form of its code")]
    Form,
    /// The organization or role that is named does not exist.
    #[error("a read-access tag names an organization or role that is not known")]
    Unknown,
}

/// The valid tags of a resource.
pub fn tags(resource: &Resource, facts: &dyn Facts) -> Result<Vec<ReadTag>, TagError> {
    let mut tags = Vec::new();
    for element in resource.root().at("meta.tag") {
        let Some(system) = element.text("system") else { continue };
        let Some(names) = generation::all().into_iter().find(|names| names.read_access_tag == system) else {
            // Tags of other systems are not ours.
            continue;
        };
        tags.push(tag(element, names, facts)?);
    }
    let count = |wanted: &ReadTag| tags.iter().filter(|tag| *tag == wanted).count();
    match (tags.len(), count(&ReadTag::All), count(&ReadTag::Local)) {
        (0, _, _) => Err(TagError::Missing),
        (1, 1, 0) | (_, 0, 1) => Ok(tags),
        _ => Err(TagError::Combination),
    }
}

/// Whether the resource has any read-access tag, valid or not.
pub fn has_tag(resource: &Resource) -> bool {
    resource
        .root()
        .at("meta.tag")
        .iter()
        .filter_map(|tag| tag.text("system"))
        .any(|system| generation::all().into_iter().any(|names| names.read_access_tag == system))
}

fn tag(element: &Element, names: &generation::Generation, facts: &dyn Facts) -> Result<ReadTag, TagError> {
    let extensions: Vec<&Element> = element.each("extension").collect();
    match (element.text("code"), extensions.as_slice()) {
        (Some("LOCAL"), []) => Ok(ReadTag::Local),
        (Some("ALL"), []) => Ok(ReadTag::All),
        (Some("ORGANIZATION"), [extension])
            if extension.extension_url() == Some(names.read_access_organization) =>
        {
            let identifier = identifier(extension, names)?;
            // One that is not active may be named; it reads nothing until it is (contract 4.1).
            known(facts.organization_exists(identifier))?;
            Ok(ReadTag::Organization(identifier.to_owned()))
        }
        (Some("ROLE"), [extension]) if extension.extension_url() == Some(names.read_access_role) => {
            let parts: Vec<&Element> = extension.each("extension").collect();
            let (parent, role) = names.role_parts;
            let part =
                |url: &str| parts.iter().find(|part| part.extension_url() == Some(url)).ok_or(TagError::Form);
            if parts.len() != 2 {
                return Err(TagError::Form);
            }
            let parent = identifier(part(parent)?, names)?;
            let role = coding(part(role)?).ok_or(TagError::Form)?;
            known(facts.organization_exists(parent) && facts.code_exists(&role.system, &role.code))?;
            Ok(ReadTag::Role { parent: parent.to_owned(), role })
        }
        _ => Err(TagError::Form),
    }
}

fn known(condition: bool) -> Result<(), TagError> {
    if condition { Ok(()) } else { Err(TagError::Unknown) }
}

fn identifier<'a>(extension: &'a Element, names: &generation::Generation) -> Result<&'a str, TagError> {
    let system = extension.text("valueIdentifier.system");
    match extension.text("valueIdentifier.value") {
        Some(value) if system == Some(names.organization_identifier) => Ok(value),
        _ => Err(TagError::Form),
    }
}

/// System and code of an extension's `valueCoding`.
pub(crate) fn coding(extension: &Element) -> Option<Role> {
    Some(Role {
        system: extension.text("valueCoding.system")?.to_owned(),
        code: extension.text("valueCoding.code")?.to_owned(),
    })
}

/// The stored tags that let a caller read a version: any one of them is enough.
pub fn grants(identity: &Identity, facts: &dyn Facts) -> Vec<String> {
    let mut grants = vec![ReadTag::All.text()];
    if identity.is_local() {
        // ORGANIZATION and ROLE come only with LOCAL.
        grants.push(ReadTag::Local.text());
    } else if let Some(organization) = identity.organization() {
        grants.push(ReadTag::Organization(organization.to_owned()).text());
        grants.extend(facts.memberships(organization).iter().map(|membership| {
            ReadTag::Role { parent: membership.parent.clone(), role: membership.role.clone() }.text()
        }));
    }
    grants
}
