//! The transactions that are recorded (contract 5), one row each.
use super::{OWN_TRANSACTIONS, TRANSACTIONS};

const BALP_QUERY: &str = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.Query";
const BALP_PATIENT_QUERY: &str =
    "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PatientQuery";

/// One kind of transaction. All are executions (`E`) of the event 110112, Query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Transaction {
    /// Code, for example `ITI-78`, or our own where IHE has none.
    pub code: &'static str,
    /// What people call it.
    pub name: &'static str,
    /// Interaction in the FHIR form.
    pub interaction: &'static str,
    /// Profile of the FHIR form, where the transaction has one of its own.
    profile: Option<&'static str>,
}

impl Transaction {
    /// Code system of the code. Nobody may put codes into that of IHE.
    pub fn system(&self) -> &'static str {
        if self.code.starts_with("ITI-") { TRANSACTIONS } else { OWN_TRANSACTIONS }
    }

    /// The profile that a record with a query fulfils.
    pub(super) fn profile(&self, has_patient: bool) -> &'static str {
        self.profile.unwrap_or(if has_patient { BALP_PATIENT_QUERY } else { BALP_QUERY })
    }

    /// The row with a code.
    pub fn of(code: &str) -> Option<&'static Transaction> {
        ALL.iter().find(|transaction| transaction.code == code)
    }
}

const fn row(code: &'static str, name: &'static str) -> Transaction {
    Transaction { code, name, interaction: "search", profile: None }
}

/// Identifiers of a person, HL7 v2.
pub const ITI_9: Transaction = row("ITI-9", "PIX Query");
/// Persons by identifier or demographics, HL7 v2.
pub const ITI_21: Transaction = row("ITI-21", "Patient Demographics Query");
/// Identifiers of a person, HL7 v3.
pub const ITI_45: Transaction = row("ITI-45", "PIXV3 Query");
/// Persons by identifier or demographics, HL7 v3.
pub const ITI_47: Transaction = row("ITI-47", "Patient Demographics Query");
/// Persons by identifier, FHIR.
pub const ITI_78: Transaction = Transaction {
    profile: Some("https://profiles.ihe.net/ITI/PDQm/StructureDefinition/IHE.PDQm.Query.Audit.Consumer"),
    ..row("ITI-78", "Mobile Patient Demographics Query")
};
/// Consent, XACML 2.0 over SAML.
pub const ITI_79: Transaction = row("ITI-79", "Authorization Decisions Query");
/// Identifiers of a person, FHIR.
pub const ITI_83: Transaction = Transaction {
    profile: Some("https://profiles.ihe.net/ITI/PIXm/StructureDefinition/IHE.PIXm.Query.Audit.Consumer"),
    ..row("ITI-83", "Mobile Patient Identifier Cross-reference Query")
};
/// Persons by demographics, FHIR.
pub const ITI_119: Transaction = row("ITI-119", "Patient Demographics Match");
/// Counts, ids and rows, openEHR.
pub const OPENEHR_QUERY: Transaction = row("dsf-openehr-query", "openEHR Query");
/// Counts and ids, FHIR.
pub const FHIR_SEARCH: Transaction = row("dsf-fhir-search", "FHIR Search");
/// Consent, XACML 3.0 over REST.
pub const XACML_DECISION: Transaction = row("dsf-xacml-decision", "XACML Decision");
/// Consent, FHIR Consent resources.
pub const CONSENT_SEARCH: Transaction = row("dsf-consent-search", "Consent Search");
/// Consent, gICS.
pub const GICS_POLICY_STATES: Transaction = row("dsf-gics-policy-states", "gICS Policy States");
/// Consent that is always refused.
pub const DENY_ALL: Transaction = row("dsf-deny-all", "Decision without Decision Point");
/// Persons by identifier, our own table.
pub const TABLE_FIND: Transaction = row("dsf-table-find", "Person Query");
/// Persons by demographics, our own table.
pub const TABLE_MATCH: Transaction = row("dsf-table-match", "Person Match");
/// Identifiers of a person, our own table.
pub const TABLE_CROSS_REFERENCE: Transaction = row("dsf-table-cross-reference", "Cross-reference Query");
/// The persons behind pseudonyms.
pub const OPEN_PSEUDONYMS: Transaction =
    Transaction { interaction: "operation", ..row("rbf.open-pseudonyms", "Opening of Pseudonyms") };

/// All rows.
pub const ALL: &[Transaction] = &[
    ITI_9,
    ITI_21,
    ITI_45,
    ITI_47,
    ITI_78,
    ITI_79,
    ITI_83,
    ITI_119,
    OPENEHR_QUERY,
    FHIR_SEARCH,
    XACML_DECISION,
    CONSENT_SEARCH,
    GICS_POLICY_STATES,
    DENY_ALL,
    TABLE_FIND,
    TABLE_MATCH,
    TABLE_CROSS_REFERENCE,
    OPEN_PSEUDONYMS,
];
