//! Search parameters, includes and reverse includes of the 26 types, one row each.
use std::collections::HashMap;
use std::sync::LazyLock;

/// How values of a parameter are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterKind {
    /// Codes, identifiers and booleans, with or without system.
    Token,
    /// Text, compared from its start without regard to case.
    String,
    /// URIs and canonicals.
    Uri,
    /// References.
    Reference,
    /// Points and spans of time.
    Date,
}

/// One search parameter of one type.
#[derive(Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Name in a query.
    pub name: &'static str,
    /// Type and name, `Task.status`; unique over all types.
    pub key: &'static str,
    /// How it is compared.
    pub kind: ParameterKind,
    /// Dotted paths of the elements it looks at.
    pub paths: &'static [&'static str],
    /// Types a bare id of a reference may belong to.
    pub targets: &'static [&'static str],
}

/// Parameters, of whatever type, whose few values very many resources have.
const SHARED: [&str; 10] = [
    "_profile",
    "active",
    "author",
    "contentType",
    "payload",
    "questionnaire",
    "requester",
    "role",
    "status",
    "type",
];

impl Parameter {
    /// Whether many resources have the same value: a code such as a status, a profile, or who has written
    /// something. A store need not keep such values once per resource.
    pub fn is_shared(&self) -> bool {
        SHARED.contains(&self.name)
    }
}

/// An `_include` or `_revinclude` a type supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Include {
    /// Type that holds the reference.
    pub source: &'static str,
    /// Its search parameter.
    pub parameter: &'static str,
    /// Types that may be named behind a second colon.
    pub targets: &'static [&'static str],
    /// The target must be named.
    pub target_required: bool,
}

/// What can be searched for a type.
#[derive(Debug, PartialEq, Eq)]
pub struct TypeSearch {
    /// Type name.
    pub resource_type: &'static str,
    /// Its own parameters.
    pub parameters: &'static [Parameter],
    /// `_include` values.
    pub includes: &'static [Include],
    /// `_revinclude` values.
    pub rev_includes: &'static [Include],
}

use ParameterKind::{Date, Reference, String, Token, Uri};

macro_rules! parameters {
    ($ty:literal: $($name:literal $kind:ident [$($path:literal),*] $(-> [$($target:literal),*])?;)*) => {
        &[$(Parameter {
            name: $name,
            key: concat!($ty, ".", $name),
            kind: $kind,
            paths: &[$($path),*],
            targets: &[$($($target),*)?],
        }),*]
    };
}

/// `_id`, `_lastUpdated` and `_profile` exist on every type; the first two are columns, not index rows.
pub static COMMON: &[Parameter] = parameters! { "":
    "_id" Token [];
    "_lastUpdated" Date [];
    "_profile" Uri ["meta.profile"];
};

macro_rules! metadata {
    ($ty:literal) => {
        TypeSearch {
            resource_type: $ty,
            parameters: parameters! { $ty:
                "date" Date ["date"]; "identifier" Token ["identifier"]; "name" String ["name"];
                "status" Token ["status"]; "url" Uri ["url"]; "version" Token ["version"];
            },
            includes: &[],
            rev_includes: &[],
        }
    };
}

macro_rules! plain {
    ($ty:literal: $($rest:tt)*) => {
        TypeSearch { resource_type: $ty, parameters: parameters! { $ty: $($rest)* }, includes: &[], rev_includes: &[] }
    };
}

const fn include(source: &'static str, parameter: &'static str, targets: &'static [&'static str]) -> Include {
    Include { source, parameter, targets, target_required: false }
}

static TYPES: &[TypeSearch] = &[
    metadata!("ActivityDefinition"),
    plain! { "Binary": "contentType" Token ["contentType"]; },
    plain! { "Bundle": "identifier" Token ["identifier"]; },
    metadata!("CodeSystem"),
    plain! { "DocumentReference": "identifier" Token ["identifier", "masterIdentifier"]; },
    TypeSearch {
        resource_type: "Endpoint",
        parameters: parameters! { "Endpoint":
            "address" Uri ["address"]; "identifier" Token ["identifier"]; "name" String ["name"];
            "organization" Reference ["managingOrganization"] -> ["Organization"]; "status" Token ["status"];
        },
        includes: &[include("Endpoint", "organization", &["Organization"])],
        rev_includes: &[include("Organization", "endpoint", &["Endpoint"])],
    },
    TypeSearch {
        resource_type: "Group",
        parameters: parameters! { "Group": "identifier" Token ["identifier"]; },
        includes: &[],
        rev_includes: &[include("ResearchStudy", "enrollment", &["Group"])],
    },
    plain! { "HealthcareService":
    "active" Token ["active"]; "identifier" Token ["identifier"]; "name" String ["name"]; },
    metadata!("Library"),
    plain! { "Location": "identifier" Token ["identifier"]; "name" String ["name", "alias"]; },
    TypeSearch {
        resource_type: "Measure",
        parameters: parameters! { "Measure":
            "date" Date ["date"]; "depends-on" Uri ["relatedArtifact.resource", "library"];
            "identifier" Token ["identifier"]; "name" String ["name"]; "status" Token ["status"];
            "url" Uri ["url"]; "version" Token ["version"];
        },
        includes: &[include("Measure", "depends-on", &["Library"])],
        rev_includes: &[],
    },
    plain! { "MeasureReport": "identifier" Token ["identifier"]; },
    plain! { "NamingSystem": "date" Date ["date"]; "name" String ["name"]; "status" Token ["status"]; },
    TypeSearch {
        resource_type: "Organization",
        parameters: parameters! { "Organization":
            "active" Token ["active"]; "endpoint" Reference ["endpoint"] -> ["Endpoint"];
            "identifier" Token ["identifier"]; "name" String ["name", "alias"]; "type" Token ["type"];
        },
        includes: &[include("Organization", "endpoint", &["Endpoint"])],
        rev_includes: &[
            include("Endpoint", "organization", &["Organization"]),
            include("OrganizationAffiliation", "primary-organization", &["Organization"]),
            include("OrganizationAffiliation", "participating-organization", &["Organization"]),
        ],
    },
    TypeSearch {
        resource_type: "OrganizationAffiliation",
        parameters: parameters! { "OrganizationAffiliation":
            "active" Token ["active"]; "endpoint" Reference ["endpoint"] -> ["Endpoint"];
            "identifier" Token ["identifier"];
            "participating-organization" Reference ["participatingOrganization"] -> ["Organization"];
            "primary-organization" Reference ["organization"] -> ["Organization"]; "role" Token ["code"];
        },
        includes: &[
            include("OrganizationAffiliation", "endpoint", &["Endpoint"]),
            include("OrganizationAffiliation", "participating-organization", &["Organization"]),
            include("OrganizationAffiliation", "primary-organization", &["Organization"]),
        ],
        rev_includes: &[],
    },
    plain! { "Patient": "active" Token ["active"]; "identifier" Token ["identifier"]; },
    plain! { "Practitioner": "active" Token ["active"]; "identifier" Token ["identifier"]; },
    TypeSearch {
        resource_type: "PractitionerRole",
        parameters: parameters! { "PractitionerRole":
            "active" Token ["active"]; "identifier" Token ["identifier"];
            "organization" Reference ["organization"] -> ["Organization"];
            "practitioner" Reference ["practitioner"] -> ["Practitioner"];
        },
        includes: &[
            include("PractitionerRole", "organization", &["Organization"]),
            include("PractitionerRole", "practitioner", &["Practitioner"]),
        ],
        rev_includes: &[],
    },
    plain! { "Provenance": },
    metadata!("Questionnaire"),
    TypeSearch {
        resource_type: "QuestionnaireResponse",
        parameters: parameters! { "QuestionnaireResponse":
            "author" Reference ["author"] -> ["Organization", "Practitioner", "PractitionerRole", "Patient"];
            "authored" Date ["authored"]; "identifier" Token ["identifier"];
            "questionnaire" Uri ["questionnaire"]; "status" Token ["status"];
            "subject" Reference ["subject"] -> ["Patient", "Organization", "Practitioner", "PractitionerRole"];
        },
        includes: &[
            include("QuestionnaireResponse", "author", &["Organization", "Practitioner", "PractitionerRole"]),
            include("QuestionnaireResponse", "subject", &["Patient", "Organization", "Practitioner"]),
            include("QuestionnaireResponse", "questionnaire", &["Questionnaire"]),
        ],
        rev_includes: &[],
    },
    TypeSearch {
        resource_type: "ResearchStudy",
        parameters: parameters! { "ResearchStudy":
            "enrollment" Reference ["enrollment"] -> ["Group"]; "identifier" Token ["identifier"];
            "principalinvestigator" Reference ["principalInvestigator"] -> ["Practitioner", "PractitionerRole"];
        },
        includes: &[
            include("ResearchStudy", "enrollment", &["Group"]),
            include("ResearchStudy", "principalinvestigator", &["Practitioner", "PractitionerRole"]),
        ],
        rev_includes: &[],
    },
    metadata!("StructureDefinition"),
    plain! { "Subscription":
    "criteria" String ["criteria"]; "payload" Token ["channel.payload"]; "status" Token ["status"];
    "type" Token ["channel.type"]; },
    TypeSearch {
        resource_type: "Task",
        parameters: parameters! { "Task":
            "authored-on" Date ["authoredOn"]; "identifier" Token ["identifier"]; "modified" Date ["lastModified"];
            "requester" Reference ["requester"] -> ["Practitioner", "Organization", "Patient", "PractitionerRole"];
            "status" Token ["status"];
        },
        includes: &[Include {
            source: "Task",
            parameter: "requester",
            targets: &["Practitioner", "Organization", "Patient", "PractitionerRole"],
            target_required: true,
        }],
        rev_includes: &[],
    },
    metadata!("ValueSet"),
];

static BY_NAME: LazyLock<HashMap<&'static str, &'static TypeSearch>> =
    LazyLock::new(|| TYPES.iter().map(|row| (row.resource_type, row)).collect());

/// The row of a type; `None` for types that are not served.
pub fn search_of(resource_type: &str) -> Option<&'static TypeSearch> {
    BY_NAME.get(resource_type).copied()
}

/// All rows, in alphabetical order of the types.
pub fn types() -> &'static [TypeSearch] {
    TYPES
}

impl TypeSearch {
    /// A parameter of the type or a common one, as queries may name it.
    pub fn parameter(&self, name: &str) -> Option<&'static Parameter> {
        self.parameters.iter().chain(COMMON).find(|parameter| parameter.name == name)
    }
}
