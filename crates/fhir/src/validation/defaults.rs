//! The framework's default profiles: put in front when a resource claims none of its type.

use crate::element::Element;
use crate::generation::{HIGHMED, MODERN};
use crate::resource::Resource;

/// Prefix of the framework's profiles.
const PREFIX: &str = "http://dsf.dev/fhir/StructureDefinition/";

/// Types with a default profile. A Task names the profile of its process itself.
const TYPES: [&str; 25] = [
    "ActivityDefinition",
    "Binary",
    "Bundle",
    "CodeSystem",
    "DocumentReference",
    "Endpoint",
    "Group",
    "HealthcareService",
    "Library",
    "Location",
    "Measure",
    "MeasureReport",
    "NamingSystem",
    "Organization",
    "OrganizationAffiliation",
    "Patient",
    "Practitioner",
    "PractitionerRole",
    "Provenance",
    "Questionnaire",
    "QuestionnaireResponse",
    "ResearchStudy",
    "StructureDefinition",
    "Subscription",
    "ValueSet",
];

/// Puts the default profile of the type in front of `meta.profile`, unless a supported one is there by
/// its plain url (validation contract 1) or the resource speaks HiGHmed's names. Tells whether something was added.
pub fn add_default_profile(resource: &mut Resource) -> bool {
    let code = resource.resource_type();
    if !TYPES.contains(&code) {
        return false;
    }
    let canonical = format!("{PREFIX}{}", kebab(code));
    let parent = format!("{PREFIX}organization-parent");
    let present = resource
        .profiles()
        .iter()
        .any(|profile| *profile == canonical || code == "Organization" && *profile == parent);
    if present || only_tagged_by_highmed(resource) {
        return false;
    }
    if resource.child("meta").is_none() {
        resource.push(Element::new("meta"));
    }
    if let Some(meta) = resource.child_mut("meta") {
        let at = meta.children().iter().position(|child| child.name() == "profile");
        let at = at.unwrap_or_else(|| {
            let before = ["id", "extension", "versionId", "lastUpdated", "source"];
            meta.children().iter().take_while(|child| before.contains(&child.name())).count()
        });
        meta.children_mut().insert(at, Element::primitive("profile", &canonical));
    }
    true
}

/// The resource speaks the first generation's names, which has no default profiles: the framework's own
/// would ask it for tags and extensions of the other generation.
fn only_tagged_by_highmed(resource: &Resource) -> bool {
    let tags = resource.child("meta").into_iter().flat_map(|meta| meta.children());
    let tagged = |system: &str| {
        tags.clone().any(|child| child.name() == "tag" && child.text("system") == Some(system))
    };
    tagged(HIGHMED.read_access_tag) && !tagged(MODERN.read_access_tag)
}

/// `OrganizationAffiliation` to `organization-affiliation`.
fn kebab(code: &str) -> String {
    let mut out = String::with_capacity(code.len() + 4);
    for (index, character) in code.char_indices() {
        if character.is_ascii_uppercase() {
            if index > 0 {
                out.push('-');
            }
            out.push(character.to_ascii_lowercase());
        } else {
            out.push(character);
        }
    }
    out
}
