//! FHIR Consent of the MII Broad Consent, evaluated by ourselves (contract 2.6).
mod zone;

use time::OffsetDateTime;

pub use zone::{Span, Zone};

use crate::{failure::Reason, json::Json};

/// OID of the policy code system.
pub const POLICY_OID: &str = "2.16.840.1.113883.3.1937.777.24.5.3";
/// Systems under which the policy codes are published.
const POLICY_SYSTEMS: [&str; 3] = [
    "urn:oid:2.16.840.1.113883.3.1937.777.24.5.3",
    "https://www.medizininformatik-initiative.de/fhir/modul-consent/CodeSystem/mii-cs-consent-policy",
    "https://www.medizininformatik-initiative.de/fhir/modul-consent/CodeSystem/mii-cs-consent-consent_policy",
];
/// Code system of policy names in gICS.
const GICS_POLICY: &str = "https://ths-greifswald.de/fhir/CodeSystem/gics/Policy";

/// Codes that a count of patients needs (contract 2.6).
pub const FEASIBILITY: &[u32] = &[8];
/// Codes that sharing medical data needs.
pub const DATA_SHARING: &[u32] = &[6, 7, 8];
/// Code that record linkage needs on top.
pub const RECORD_LINKAGE: u32 = 9;
/// Code that data from before the consent needs on top.
pub const RETROSPECTIVE: u32 = 45;

/// Allowed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Allowed.
    Permit,
    /// Not allowed.
    Deny,
}

impl Kind {
    /// As FHIR writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Deny => "deny",
        }
    }
}

/// What one provision says about one policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Last number of the policy OID; `None` for policies that only have a name.
    pub code: Option<u32>,
    /// Name in gICS.
    pub gics: Option<String>,
    /// Allowed or not.
    pub kind: Kind,
    /// Start as written.
    pub start: Option<String>,
    /// End as written.
    pub end: Option<String>,
}

/// One Consent resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// Id of the resource.
    pub id: Option<String>,
    /// Status; only `active` counts.
    pub status: String,
    /// When it was given, as written.
    pub date_time: Option<String>,
    /// Reference to the patient.
    pub patient: Option<String>,
    /// Identifier of the patient: system and value.
    pub patient_identifier: Option<(Option<String>, String)>,
    /// Profiles it claims.
    pub profiles: Vec<String>,
    /// `provision.type` of the root.
    pub root: Option<Kind>,
    /// All provisions, flat.
    pub policies: Vec<Policy>,
}

impl Consent {
    /// Reads a resource.
    ///
    /// # Errors
    /// [`Reason::Malformed`]: what cannot be understood must not permit anything.
    pub fn read(json: &Json) -> Result<Self, Reason> {
        if json.get("resourceType").text() != Some("Consent") {
            return Err(Reason::Malformed("Consent"));
        }
        let status = json.get("status").filled().ok_or(Reason::Malformed("Consent.status"))?;
        let patient = json.get("patient");
        let identifier = patient.get("identifier");
        let profiles = json.get("meta").get("profile").items();
        let root = json.get("provision");
        let mut policies = Vec::new();
        provision(root, None, (None, None), &mut policies)?;
        Ok(Self {
            id: json.get("id").filled(),
            status,
            date_time: json.get("dateTime").filled(),
            patient: patient.get("reference").filled(),
            patient_identifier: identifier
                .get("value")
                .filled()
                .map(|value| (identifier.get("system").filled(), value)),
            profiles: profiles.iter().filter_map(Json::filled).collect(),
            root: kind(root.get("type"))?,
            policies,
        })
    }

    /// Codes that the consent says something about.
    pub fn codes(&self) -> impl Iterator<Item = u32> + '_ {
        self.policies.iter().filter_map(|policy| policy.code)
    }
}

fn kind(json: &Json) -> Result<Option<Kind>, Reason> {
    match json.text() {
        Some("permit") => Ok(Some(Kind::Permit)),
        Some("deny") => Ok(Some(Kind::Deny)),
        None if json.is_null() => Ok(None),
        _ => Err(Reason::Malformed("Consent.provision.type")),
    }
}

/// A provision and those inside it; kind and period pass on where they are not stated.
fn provision(
    json: &Json,
    outer: Option<Kind>,
    period: (Option<String>, Option<String>),
    policies: &mut Vec<Policy>,
) -> Result<(), Reason> {
    let kind = kind(json.get("type"))?.or(outer);
    let stated = json.get("period");
    let start = stated.get("start").filled().or(period.0);
    let end = stated.get("end").filled().or(period.1);
    for concept in json.get("code").items() {
        let codings = concept.get("coding").items();
        let mut policy = Policy {
            code: None,
            gics: None,
            // A code without type says nothing that could be relied on.
            kind: kind.unwrap_or(Kind::Deny),
            start: start.clone(),
            end: end.clone(),
        };
        for coding in codings {
            let (system, code) = (coding.get("system").text(), coding.get("code").text());
            match (system, code) {
                (Some(system), Some(code)) if POLICY_SYSTEMS.contains(&system) => {
                    policy.code =
                        code.strip_prefix(POLICY_OID).and_then(|n| n.strip_prefix('.')?.parse().ok());
                }
                (Some(GICS_POLICY), Some(code)) => policy.gics = Some(code.to_owned()),
                _ => {}
            }
        }
        policies.push(policy);
    }
    for inner in json.get("provision").items() {
        provision(inner, kind, (start.clone(), end.clone()), policies)?;
    }
    Ok(())
}

/// Whether the consents of one person allow the policy `code` at an instant: the newest consent that
/// mentions it has a permit for then, and no deny of equal or newer date covers then.
pub fn permits(consents: &[Consent], code: u32, at: OffsetDateTime, zone: Zone) -> bool {
    let active = || consents.iter().filter(|consent| consent.status == "active");
    let mentions = || active().filter(|consent| consent.codes().any(|found| found == code));
    let given = |consent: &Consent| consent.date_time.as_deref().and_then(|date| zone.span(date));
    let newest = mentions().filter_map(given).map(|span| span.first).max();
    let Some(newest) = newest else { return false };
    let covers = |consent: &Consent, wanted: Kind| {
        let own = consent.policies.iter().filter(|policy| policy.code == Some(code) && policy.kind == wanted);
        own.into_iter().any(|policy| covered(policy, at, zone))
    };
    let permitted = mentions()
        .filter(|consent| given(consent).is_some_and(|span| span.first == newest))
        .any(|consent| covers(consent, Kind::Permit));
    // A deny without date, or of the same day without time, counts as newer.
    let denied = mentions()
        .filter(|consent| given(consent).is_none_or(|span| span.last >= newest))
        .any(|consent| covers(consent, Kind::Deny));
    permitted && !denied
}

/// Whether a provision covers an instant. Partial dates are read against the person's permission:
/// wide for a deny, narrow for a permit. A date that cannot be read covers all for a deny, nothing
/// for a permit.
fn covered(policy: &Policy, at: OffsetDateTime, zone: Zone) -> bool {
    let deny = policy.kind == Kind::Deny;
    let bound = |text: &Option<String>, is_start: bool| match text {
        None => Some(true),
        Some(text) => {
            let span = zone.span(text)?;
            Some(match (is_start, deny || span.is_exact) {
                (true, true) => at >= span.first,
                (true, false) => at >= span.last_day,
                (false, true) => at <= span.last,
                (false, false) => at <= span.first_day_end,
            })
        }
    };
    match (bound(&policy.start, true), bound(&policy.end, false)) {
        (Some(started), Some(not_ended)) => started && not_ended,
        _ => deny,
    }
}
