//! Questions to the rbf-worker: filters, matching, pseudonyms, encryption of data sets.
//!
//! Keys and persons travel only sealed ([`crate::recipient`]), bound to site, request and use. Filters
//! for a partner are in the text form that the HiGHmed wire has for them (standard Base64, least bit first,
//! trailing zero bytes left out), those of clkhash schemas in that of clkhash. Filters for a run, and data
//! sets, are in [`crate::bulk`].
use serde::{Deserialize, Serialize};

use crate::recipient::Sealed;

/// Most persons in one request for filters.
pub const MAX_RECORDS: usize = 500;
/// Use in the context of sealed keys.
pub const KEYS_CONTEXT: &str = "rbf.keys";
/// Use in the context of sealed persons.
pub const PERSONS_CONTEXT: &str = "rbf.persons";
/// Use in the context of a sealed key of medical data.
pub const DATA_KEY_CONTEXT: &str = "rbf.data-key";

/// Where keys and persons for a worker are sealed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientReply {
    /// The public key of all replicas of the site, Base64.
    pub public_key: String,
    /// The site that stands in the context.
    pub site: String,
}

/// Whose filters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Persons {
    /// The persons with these local ids, asked from the mpi-adapter; at most [`MAX_RECORDS`].
    Ids(Vec<String>),
    /// A JSON array of [`crate::hospital::Idat`], sealed with [`PERSONS_CONTEXT`]; at most [`MAX_RECORDS`].
    Sealed(Sealed),
}

/// Asks for filters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncodeRequest {
    /// Id of the request, part of the context of what is sealed.
    pub request_id: String,
    /// Normalisation profile, or the name of a configured clkhash schema.
    pub profile: String,
    /// The keys: the 72 bytes of a Bloom filter configuration, or the secret of a clkhash schema. Sealed
    /// with [`KEYS_CONTEXT`].
    pub keys: Sealed,
    /// Whose filters.
    pub persons: Persons,
}

/// How filters were made; sets are linked only when all of it is equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterHeader {
    /// Normalisation profile.
    pub profile: String,
    /// Every parameter of the encoding in one text.
    pub encoding: String,
    /// Length in bits.
    pub bits: u32,
    /// Short check value of the keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_check: Option<String>,
}

/// What became of one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoded {
    /// A filter, and which parts of the person were there (one bit per part of [`EncodeReply::parts`]).
    Filter(String, u16),
    /// The index answered and knows nobody.
    NotFound,
    /// The index has several persons for the id.
    Ambiguous,
    /// The index refused; the class says what about.
    Rejected(String),
    /// The index did not answer: nothing is known about the person.
    Unavailable(String),
    /// The person must not be or cannot be encoded; the reason says why, never what.
    Unusable(String),
}

/// Filters in request order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncodeReply {
    /// How they were made.
    pub header: FilterHeader,
    /// Names of the parts of a person.
    pub parts: Vec<String>,
    /// One per person.
    pub encoded: Vec<Encoded>,
}

/// How records are matched.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Matcher {
    /// As HiGHmed 0.9 does.
    Compatible {
        /// Least similarity, inclusive.
        threshold: f64,
    },
    /// Ours: one record per site in a group.
    SiteUnique {
        /// Least similarity, inclusive.
        threshold: f64,
        /// Compare only records that share a block.
        #[serde(default)]
        blocking: Option<Blocking>,
    },
    /// Not at all: every record is its own group.
    Unlinked,
}

/// Tables of samples; see `linkage::matching::Blocking`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blocking {
    /// Number of tables.
    pub tables: u32,
    /// Bits of a sample.
    pub sample: u32,
    /// Seed of the choice of bits.
    pub seed: u64,
}

/// A site of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSite {
    /// Identifier value of its organization.
    pub organization: String,
    /// Number of its records.
    pub records: u64,
    /// How its filters were made; where absent they came over the HiGHmed wire, which does not say.
    #[serde(default)]
    pub header: Option<FilterHeader>,
}

/// Begins a run: a matching that one replica keeps in memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartRequest {
    /// Id of the request.
    pub request_id: String,
    /// Profile that the sites agreed on, for sites without header.
    pub profile: String,
    /// The sites.
    pub sites: Vec<RunSite>,
    /// How to match.
    pub matcher: Matcher,
    /// Identifier value of the study, where groups get pseudonyms.
    #[serde(default)]
    pub study: Option<String>,
}

/// Where a run lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Id of the run.
    pub run: String,
    /// Subject of the replica that keeps it; when nobody answers there any more, start again.
    pub subject: String,
    /// Subject of that replica for records.
    pub records: String,
}

/// A message to a run; its records come as [`crate::bulk::RunRecords`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// Id of the run.
    pub run: String,
    /// What to do.
    pub command: RunCommand,
}

/// What to do with a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunCommand {
    /// Matches, once all records are there. Repeating it changes nothing.
    Match,
    /// How far is it?
    Status,
    /// A page of groups.
    Groups {
        /// First group of the page.
        offset: u64,
    },
    /// Ends the run: a matching is cancelled, and everything of it is forgotten.
    End,
}

/// The answer of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunReply {
    /// The state of the run.
    Status(RunStatus),
    /// A page.
    Groups(GroupsPage),
}

/// State of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunStatus {
    /// Records are being added: so many are there.
    Loading(u64),
    /// Pairs decided on, and all pairs; with blocking also records put into tables.
    Matching(u64, u64),
    /// Matched.
    Done(RunSummary),
    /// The matching failed; start another run.
    Failed(String),
    /// Ended, or never there.
    Ended,
}

/// Numbers of a matching. They are not for others before the privacy floor has been applied.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct RunSummary {
    /// Sites with at least one record.
    pub sites: u64,
    /// Groups, which is persons.
    pub groups: u64,
    /// Pairs of records of different sites.
    pub pairs: u64,
    /// Pairs whose bits were compared.
    pub compared: u64,
    /// Expected share of pairs lost by blocking; 0 without blocking.
    pub expected_loss: f64,
}

/// Groups of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupsPage {
    /// The groups; with pseudonyms in an order that tells nothing.
    pub groups: Vec<RunGroup>,
    /// First group of the next page.
    pub next: Option<u64>,
}

/// Records of one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunGroup {
    /// Pseudonym, where the run is of a study.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pseudonym: Option<String>,
    /// Place of the site and place of the record in it.
    pub records: Vec<(u32, u64)>,
}

/// Opens pseudonyms of a study.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenRequest {
    /// Id of the request.
    pub request_id: String,
    /// Identifier value of the study.
    pub study: String,
    /// The pseudonyms.
    pub pseudonyms: Vec<String>,
}

/// What pseudonyms stand for, in request order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenReply {
    /// The records of each; `None` for what cannot be opened, whatever the cause.
    pub opened: Vec<Option<Vec<OpenedId>>>,
}

/// A record behind a pseudonym.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenedId {
    /// Identifier value of the site's organization.
    pub organization: String,
    /// Its id, as the site encrypted it.
    pub id: Option<String>,
}

/// A step of a result set (openEHR). Rows do not depend on each other: large sets come in pieces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultSetRequest {
    /// Id of the request.
    pub request_id: String,
    /// The step.
    pub step: ResultSetStep,
    /// The result set as JSON.
    pub result: String,
}

/// What happens to a result set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResultSetStep {
    /// Data sharing at a site: a column of filters is added. A person that is not found fails the step.
    AddFilters(FilterStep),
    /// Feasibility at a site: only filters stay. Rows whose person is not found are dropped and counted.
    FiltersOnly(FilterStep),
    /// Data sharing at a site: ids and medical data are encrypted.
    EncryptForThirdParty {
        /// Identifier value of the study.
        study: String,
        /// Path of the id column; that of HiGHmed where absent.
        ehr_id_path: Option<String>,
        /// The key of medical data, 32 bytes, sealed with [`DATA_KEY_CONTEXT`].
        data_key: Sealed,
    },
    /// At the requesting site: medical data are decrypted.
    Decrypt {
        /// Identifier value of the study.
        study: String,
        /// The key of medical data.
        data_key: Sealed,
    },
    /// A research result on its way to the third party.
    EncryptResearchResult {
        /// Identifier value of the study.
        study: String,
        /// The key of medical data.
        data_key: Sealed,
    },
}

/// Filters for a result set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterStep {
    /// Normalisation profile.
    pub profile: String,
    /// The keys, as in [`EncodeRequest`].
    pub keys: Sealed,
    /// Path of the id column; that of HiGHmed where absent.
    #[serde(default)]
    pub ehr_id_path: Option<String>,
}

/// A result set after a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultSetReply {
    /// The result set as JSON.
    pub result: String,
    /// Rows that were dropped since their person was not found.
    pub dropped: u64,
}

/// What to do with a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataSetAction {
    /// Encrypts to a published key: SubjectPublicKeyInfo in DER, Base64, and its published SHA-256 hash in
    /// hex.
    Encrypt {
        /// The key.
        public_key: String,
        /// Its hash.
        hash: String,
    },
    /// Decrypts with the site's own key. One outcome for every cause.
    Decrypt,
}
