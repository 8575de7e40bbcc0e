//! Rules of the other types as data: what must be there, what is unique, what never changes
//! (contract 4.3 and 8.1).
use fhir::{Element, Resource, generation, search};

use crate::{decision::Decision, process_authorization::ProcessDefinition};

/// Something a resource must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Required {
    /// `status` is draft, active or retired.
    MetadataStatus,
    /// An element at a path.
    Element(&'static str),
    /// Valid process-authorization extensions.
    ProcessAuthorization,
    /// Exactly one identifier of the naming system of organizations.
    OrganizationIdentifier,
    /// Exactly one identifier of the naming system of endpoints.
    EndpointIdentifier,
    /// Every certificate thumbprint is 128 lower-case hex digits.
    Thumbprints,
    /// `address` is an https URL.
    Address,
    /// Exactly one `endpoint.reference`, and codings with system and code.
    Affiliation,
    /// Unique ids of type uri differ from each other.
    DistinctUniqueIds,
    /// A websocket channel and criteria that can be searched.
    Channel,
}

/// What may exist only once among the current resources of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unique {
    /// `url` and `version`.
    UrlAndVersion,
    /// `name`.
    Name,
    /// Values of unique ids.
    UniqueIds,
    /// Identifiers of the naming system of organizations.
    OrganizationIdentifier,
    /// Identifiers of the naming system of endpoints.
    EndpointIdentifier,
    /// Each certificate thumbprint.
    Thumbprints,
    /// `address`.
    Address,
    /// Parent, member and endpoint; parent, member and each role.
    Affiliation,
    /// Criteria, channel type and payload.
    Channel,
    /// Identifier of a draft Task.
    DraftIdentifier,
}

/// The rules of one type.
#[derive(Debug, PartialEq, Eq)]
pub struct TypeRule {
    /// Type name.
    pub resource_type: &'static str,
    /// What must be there.
    pub required: &'static [Required],
    /// What is unique.
    pub unique: &'static [Unique],
    /// Which of the unique values stay the same on update.
    pub immutable: &'static [Unique],
}

use Required as R;
use Unique as U;

const METADATA: &[Required] = &[R::MetadataStatus, R::Element("url"), R::Element("version")];

/// One row per type with rules beyond the read-access tag.
pub static RULES: &[TypeRule] = &[
    TypeRule {
        resource_type: "ActivityDefinition",
        required: &[R::MetadataStatus, R::Element("url"), R::Element("version"), R::ProcessAuthorization],
        unique: &[U::UrlAndVersion],
        immutable: &[U::UrlAndVersion],
    },
    TypeRule {
        resource_type: "CodeSystem",
        required: METADATA,
        unique: &[U::UrlAndVersion],
        immutable: &[U::UrlAndVersion],
    },
    TypeRule {
        resource_type: "ValueSet",
        required: METADATA,
        unique: &[U::UrlAndVersion],
        immutable: &[U::UrlAndVersion],
    },
    TypeRule {
        resource_type: "StructureDefinition",
        required: &[
            R::MetadataStatus,
            R::Element("url"),
            R::Element("version"),
            R::Element("baseDefinition"),
        ],
        unique: &[U::UrlAndVersion],
        immutable: &[U::UrlAndVersion],
    },
    TypeRule {
        resource_type: "NamingSystem",
        required: &[R::MetadataStatus, R::Element("name"), R::DistinctUniqueIds],
        unique: &[U::Name, U::UniqueIds],
        immutable: &[U::Name],
    },
    TypeRule {
        resource_type: "Organization",
        required: &[R::OrganizationIdentifier, R::Thumbprints],
        unique: &[U::OrganizationIdentifier, U::Thumbprints],
        immutable: &[U::OrganizationIdentifier],
    },
    TypeRule {
        resource_type: "Endpoint",
        required: &[R::EndpointIdentifier, R::Address],
        unique: &[U::EndpointIdentifier, U::Address],
        immutable: &[U::EndpointIdentifier, U::Address],
    },
    TypeRule {
        resource_type: "OrganizationAffiliation",
        required: &[
            R::Element("organization.reference"),
            R::Element("participatingOrganization.reference"),
            R::Affiliation,
        ],
        unique: &[U::Affiliation],
        immutable: &[],
    },
    TypeRule {
        resource_type: "PractitionerRole",
        required: &[R::Element("organization"), R::Element("practitioner")],
        unique: &[],
        immutable: &[],
    },
    TypeRule {
        resource_type: "Subscription",
        required: &[R::Channel],
        unique: &[U::Channel],
        immutable: &[U::Channel],
    },
    TypeRule { resource_type: "Task", required: &[], unique: &[U::DraftIdentifier], immutable: &[] },
];

/// The row of a type.
pub fn of(resource_type: &str) -> Option<&'static TypeRule> {
    RULES.iter().find(|rule| rule.resource_type == resource_type)
}

/// Whether a resource has what its type requires.
pub fn complete(resource: &Resource) -> Decision {
    of(resource.resource_type()).map_or(Decision::Allow, |rule| {
        rule.required
            .iter()
            .fold(Decision::Allow, |decision, required| decision.and(|| required.check(resource)))
    })
}

/// Whether an update leaves alone what never changes.
pub fn unchanged(old: &Resource, new: &Resource) -> Decision {
    let immutable = of(old.resource_type()).map_or(&[][..], |rule| rule.immutable);
    let kept = immutable.iter().all(|unique| unique.values(old) == unique.values(new));
    let kept = kept
        && (old.resource_type() != "OrganizationAffiliation"
            || ["organization", "participatingOrganization", "endpoint"].iter().all(|path| {
                let reference = |resource: &Resource| {
                    resource.text(&format!("{path}.reference")).map(|reference| id_of(reference).to_owned())
                };
                reference(old) == reference(new)
            }));
    Decision::when(kept, "an element that identifies the resource was changed")
}

/// The unique keys of a resource, as stored. References must be resolved.
pub fn unique_keys(resource: &Resource) -> Vec<String> {
    let Some(rule) = of(resource.resource_type()) else { return Vec::new() };
    let mut keys: Vec<String> = rule.unique.iter().flat_map(|unique| unique.values(resource)).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

impl Required {
    fn check(self, resource: &Resource) -> Decision {
        let (holds, reason) = match self {
            Self::MetadataStatus => (
                matches!(resource.text("status"), Some("draft" | "active" | "retired")),
                "status is not draft, active or retired",
            ),
            Self::Element(path) => (!resource.root().at(path).is_empty(), "a required element is missing"),
            Self::ProcessAuthorization => (
                ProcessDefinition::of(resource).is_ok(),
                "process-authorization extensions are missing or not valid",
            ),
            Self::OrganizationIdentifier => (
                Unique::OrganizationIdentifier.values(resource).len() == 1,
                "not exactly one organization identifier",
            ),
            Self::EndpointIdentifier => (
                Unique::EndpointIdentifier.values(resource).len() == 1,
                "not exactly one endpoint identifier",
            ),
            Self::Thumbprints => {
                let valid = |value: &str| {
                    value.len() == 128 && value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
                };
                (
                    thumbprints(resource).into_iter().all(valid),
                    "a certificate thumbprint is not 128 lower-case hex digits",
                )
            }
            Self::Address => {
                (resource.text("address").is_some_and(is_address), "the address is not an https URL")
            }
            Self::Affiliation => {
                let codings = resource.root().at("code.coding");
                let coded = codings
                    .iter()
                    .all(|coding| coding.text("system").is_some() && coding.text("code").is_some());
                let codes = resource.root().each("code").count();
                let endpoints = resource.root().at("endpoint.reference").len();
                (
                    endpoints == 1 && codes >= 1 && codings.len() >= codes && coded,
                    "not exactly one endpoint, or a code without system or code",
                )
            }
            Self::DistinctUniqueIds => {
                let mut uris: Vec<&str> = resource
                    .root()
                    .each("uniqueId")
                    .filter(|id| id.text("type") == Some("uri"))
                    .filter_map(|id| id.text("value"))
                    .collect();
                uris.sort_unstable();
                (uris.windows(2).all(|pair| pair[0] != pair[1]), "two unique ids are the same")
            }
            Self::Channel => (
                channel_is_valid(resource),
                "the channel is not a websocket, or the criteria cannot be searched",
            ),
        };
        Decision::when(holds, reason)
    }
}

fn channel_is_valid(subscription: &Resource) -> bool {
    let payload = subscription.text("channel.payload");
    let criteria = subscription.text("criteria").and_then(criteria);
    subscription.text("status").is_some()
        && subscription.text("channel.type") == Some("websocket")
        && matches!(payload, None | Some("application/fhir+json" | "application/fhir+xml"))
        && criteria.is_some()
}

/// Type and conditions of a Subscription's criteria `Type?name=value&…`; `None` if they cannot be searched.
pub fn criteria(text: &str) -> Option<(&'static str, Vec<search::Criterion>)> {
    let (resource_type, query) = text.split_once('?').unwrap_or((text, ""));
    let parameters: Vec<(String, String)> = query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let row = search::search_of(resource_type)?;
    Some((row.resource_type, search::parse_criteria(resource_type, &parameters)?.ok()?))
}

impl Unique {
    fn values(self, resource: &Resource) -> Vec<String> {
        let ty = resource.resource_type();
        let text = |path: &str| resource.text(path).unwrap_or_default();
        let identifiers = |pick: fn(&generation::Generation) -> &'static str| -> Vec<String> {
            resource
                .root()
                .each("identifier")
                .filter(|identifier| {
                    let system = identifier.text("system");
                    generation::all().into_iter().any(|names| Some(pick(names)) == system)
                })
                .filter_map(|identifier| identifier.text("value"))
                .map(|value| format!("{ty}.identifier|{value}"))
                .collect()
        };
        match self {
            Self::UrlAndVersion => vec![format!("{ty}.url|{}|{}", text("url"), text("version"))],
            Self::Name => vec![format!("{ty}.name|{}", text("name"))],
            Self::UniqueIds => resource
                .root()
                .each("uniqueId")
                .filter_map(|id| id.text("value"))
                .map(|value| format!("{ty}.uniqueId|{value}"))
                .collect(),
            Self::OrganizationIdentifier => identifiers(|names| names.organization_identifier),
            Self::EndpointIdentifier => identifiers(|names| names.endpoint_identifier),
            Self::Thumbprints => {
                thumbprints(resource).into_iter().map(|value| format!("{ty}.thumbprint|{value}")).collect()
            }
            Self::Address => vec![format!("{ty}.address|{}", text("address"))],
            Self::Affiliation => {
                let id = |path: &str| id_of(text(path));
                let pair = format!(
                    "{ty}|{}|{}",
                    id("organization.reference"),
                    id("participatingOrganization.reference")
                );
                let mut keys = vec![format!("{pair}|endpoint|{}", id("endpoint.reference"))];
                keys.extend(resource.root().at("code.coding").into_iter().map(|coding| {
                    format!(
                        "{pair}|role|{}|{}",
                        coding.text("system").unwrap_or_default(),
                        coding.text("code").unwrap_or_default()
                    )
                }));
                keys
            }
            Self::Channel => vec![format!(
                "{ty}|{}|{}|{}",
                text("criteria"),
                text("channel.type"),
                text("channel.payload")
            )],
            Self::DraftIdentifier => crate::task::draft_identifiers(resource)
                .into_iter()
                .map(|value| format!("{ty}.identifier|{value}"))
                .collect(),
        }
    }
}

fn thumbprints(resource: &Resource) -> Vec<&str> {
    generation::all()
        .into_iter()
        .flat_map(|names| resource.root().extensions(names.certificate_thumbprint))
        .filter_map(|extension: &Element| extension.text("valueString"))
        .collect()
}

/// Logical id of a literal reference, relative or absolute.
fn id_of(reference: &str) -> &str {
    let unversioned = reference.split("/_history/").next().unwrap_or(reference);
    unversioned.rsplit('/').next().unwrap_or(unversioned)
}

/// `https://` host, port of any length, path. Peers refuse ports of five digits; we do not.
fn is_address(address: &str) -> bool {
    let Some(rest) = address.strip_prefix("https://") else { return false };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (host, port) = authority.split_once(':').unwrap_or((authority, "443"));
    let word = |c: char| c.is_ascii_alphanumeric();
    !host.is_empty()
        && host.chars().all(|c| word(c) || matches!(c, '.' | '-'))
        && (1..=5).contains(&port.len())
        && port.chars().all(|c| c.is_ascii_digit())
        && path.chars().all(|c| word(c) || matches!(c, '/' | '-' | '_'))
}
