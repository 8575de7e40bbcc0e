//! Questions to the adapters of hospital systems. No protocol of a hospital shows through.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::recipient::Sealed;

/// Most records in one request to the patient index.
pub const MAX_PERSONS: usize = 500;
/// Most records in one question about consent.
pub const MAX_DECISIONS: usize = 5_000;

/// Which domain an identifier is of; the adapter's configured one where nothing is stated.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// Short name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// OID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub universal_id: Option<String>,
    /// FHIR system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
}

/// Finds persons by identifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindRequest {
    /// Id of the request, part of the context of the sealed answers.
    pub request_id: String,
    /// Name of a configured recipient.
    pub recipient: String,
    /// Normalisation profile that will be applied.
    pub profile: String,
    /// Identifiers, at most [`MAX_PERSONS`].
    pub ids: Vec<String>,
}

/// What became of one identifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// One person: an [`Idat`] as JSON, sealed.
    Person(Sealed),
    /// The index answered and knows nobody.
    NotFound,
    /// The index has several persons for it: nobody is handed over.
    Ambiguous,
    /// The index refused; the class says what about.
    Rejected(String),
    /// The index did not answer: nothing is known about the person.
    Unavailable(String),
    /// The answer must not be used; the reason says why.
    Unusable(String),
}

/// Answers in request order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindReply {
    /// One per identifier.
    pub found: Vec<Found>,
}

/// Finds the one person with some demographic values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchRequest {
    /// Id of the request.
    pub request_id: String,
    /// Name of a configured recipient.
    pub recipient: String,
    /// Normalisation profile that will be applied.
    pub profile: String,
    /// A [`Demographics`] as JSON, sealed to the adapter with profile [`MATCH_CONTEXT`].
    pub person: Sealed,
}

/// Profile in the context of what is sealed to the adapter.
pub const MATCH_CONTEXT: &str = "mpi.match";

/// What is known of a person.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Demographics {
    /// Surname.
    #[serde(default)]
    pub last: Option<String>,
    /// Given name.
    #[serde(default)]
    pub first: Option<String>,
    /// ISO date.
    #[serde(default)]
    pub birth: Option<String>,
    /// `D F M O U X`.
    #[serde(default)]
    pub sex: Option<String>,
    /// Postal code.
    #[serde(default)]
    pub zip: Option<String>,
    /// City.
    #[serde(default)]
    pub city: Option<String>,
}

/// A person as the index has it; nothing is normalised.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Idat {
    /// Identifier of the configured authority.
    pub medic_id: Option<String>,
    /// Surname.
    pub last: Option<String>,
    /// First given name.
    pub first: Option<String>,
    /// ISO date at the precision of the source.
    pub birth: Option<String>,
    /// `D F M O U X`.
    pub sex: Option<String>,
    /// Street with house number.
    pub street: Option<String>,
    /// Postal code.
    pub zip: Option<String>,
    /// City.
    pub city: Option<String>,
    /// Country as the source writes it.
    pub country: Option<String>,
    /// Health insurance number.
    pub insurance: Option<String>,
}

impl std::fmt::Debug for Idat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Idat(…)")
    }
}

impl std::fmt::Debug for Demographics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Demographics(…)")
    }
}

/// Finds the other identifiers of persons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrossReferenceRequest {
    /// Id of the request.
    pub request_id: String,
    /// Identifiers, at most [`MAX_PERSONS`].
    pub ids: Vec<String>,
    /// Wanted domains; all where empty.
    #[serde(default)]
    pub targets: Vec<Domain>,
}

/// Other identifiers of one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CrossReferences {
    /// Identifiers with their domains; at least one.
    Identifiers(Vec<(Domain, String)>),
    /// There are none.
    NotFound,
    /// The index refused; the class says what about.
    Rejected(String),
    /// The index did not answer.
    Unavailable(String),
    /// The answer must not be used.
    Unusable(String),
}

/// Answers in request order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrossReferenceReply {
    /// One per identifier.
    pub found: Vec<CrossReferences>,
}

/// May these records be used?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecideRequest {
    /// Id of the request.
    pub request_id: String,
    /// Who asks, for example the organization of the requester.
    pub subject: String,
    /// What for: `feasibility`, `data-sharing`; with `+record-linkage`, `+retrospective`.
    pub purpose: String,
    /// Project, if known.
    #[serde(default)]
    pub project: Option<String>,
    /// Record or person ids, at most [`MAX_DECISIONS`].
    pub records: Vec<String>,
}

/// The decision on one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// `permit`, `deny` or `not-applicable`.
    pub decision: String,
    /// Why: `consent`, `no-consent`, `unknown-person`, `policy`, `missing`, `contradictory`,
    /// `obligation-unknown`.
    pub reason: String,
}

/// A whole check. Where no decision was possible for some record, the answer is an error instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecideReply {
    /// Per asked record.
    pub decisions: BTreeMap<String, Decided>,
    /// Records that may be used, in asked order.
    pub kept: Vec<String>,
}

/// Consents have changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    /// Records concerned; all where empty.
    #[serde(default)]
    pub records: Vec<String>,
}

/// A query of medical data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Query {
    /// AQL text.
    Aql(String),
    /// A stored openEHR query: qualified name and version.
    Stored {
        /// Qualified name.
        name: String,
        /// Version; the newest where absent.
        version: Option<String>,
    },
    /// A FHIR search, for example `Patient?birthdate=ge1980`.
    FhirSearch(String),
}

/// Asks for medical data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRequest {
    /// Id of the request.
    pub request_id: String,
    /// The query.
    pub query: Query,
    /// Parameters, names without `$`.
    #[serde(default)]
    pub parameters: BTreeMap<String, Value>,
    /// Only these records: put into the query as a clause where it is AQL.
    #[serde(default)]
    pub consented: Option<Vec<String>>,
    /// First row of the page.
    #[serde(default)]
    pub offset: u64,
    /// Rows of the page; the adapter's own number where absent.
    #[serde(default)]
    pub limit: Option<u64>,
}

/// A number of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountReply {
    /// How many.
    pub count: u64,
}

/// Record ids of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdsReply {
    /// In the order of the rows.
    pub ids: Vec<String>,
    /// Rows without id: nobody can have consented to their use.
    pub without_id: u64,
    /// Offset of the next page.
    pub next: Option<u64>,
}

/// Rows of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsReply {
    /// Name and path of each column.
    pub columns: Vec<(String, Option<String>)>,
    /// The rows as a JSON array of arrays, numbers and dates byte for byte as the source has them.
    pub rows: String,
    /// Offset of the next page.
    pub next: Option<u64>,
}
