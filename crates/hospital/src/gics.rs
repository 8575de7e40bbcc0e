//! gICS through the TTP-FHIR gateway: consent questions as FHIR operations (contract 2.7).
use serde_json::{Value, json};

use crate::{
    consent::{Consent, POLICY_OID},
    failure::{Class, Failure, Reason, Told},
    json::Json,
};

const MATCHING: &str = "https://ths-greifswald.de/fhir/CodeSystem/gics/IdMatchingType";
const POLICY_SYSTEM: &str = "urn:oid:2.16.840.1.113883.3.1937.777.24.5.3";

/// What every question says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Domain {
    /// Consent domain, for example `MII`.
    pub domain: String,
    /// System of person identifiers.
    pub identifier_system: String,
    /// Version of policies.
    pub policy_version: String,
    /// Date for which is asked, `YYYY-MM-DD`.
    pub request_date: String,
}

/// The body of `$currentPolicyStatesForPerson`: all policies of one person.
pub fn policy_states(domain: &Domain, person: &str) -> Value {
    json!({"resourceType": "Parameters", "parameter": [
        person_parameter(domain, person),
        {"name": "domain", "valueString": domain.domain},
        config(domain),
    ]})
}

/// The body of `$isConsented`: one policy of one person.
pub fn is_consented(domain: &Domain, person: &str, code: u32) -> Value {
    json!({"resourceType": "Parameters", "parameter": [
        person_parameter(domain, person),
        {"name": "domain", "valueString": domain.domain},
        {"name": "policy", "valueCoding": {"system": POLICY_SYSTEM, "code": format!("{POLICY_OID}.{code}")}},
        {"name": "version", "valueString": domain.policy_version},
        config(domain),
    ]})
}

fn person_parameter(domain: &Domain, person: &str) -> Value {
    json!({"name": "personIdentifier",
        "valueIdentifier": {"system": domain.identifier_system, "value": person}})
}

/// Exactly one identifier is sent, so that the default matching cannot mix persons; an unknown
/// state counts as refusal.
fn config(domain: &Domain) -> Value {
    json!({"name": "config", "resource": {"resourceType": "Parameters", "parameter": [
        {"name": "idMatchingType", "valueCoding": {"system": MATCHING, "code": "AT_LEAST_ONE"}},
        {"name": "ignoreVersionNumber", "valueBoolean": true},
        {"name": "unknownStateIsConsideredAsDecline", "valueBoolean": true},
        {"name": "requestDate", "valueDate": domain.request_date},
    ]}})
}

/// What an operation answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// `$isConsented`.
    Consented(bool),
    /// Policies as Consent resources.
    Policies(Vec<Consent>),
    /// The person is not known there: no consent.
    UnknownPerson,
}

/// Reads an answer about `person`.
///
/// # Errors
/// Refused, unavailable or a protocol error.
pub fn read(status: u16, body: &[u8], person: &str) -> Result<Answer, Failure> {
    let json = match Json::read(body) {
        Ok(json) => json,
        Err(reason) => return Err(Failure::of_http(status).unwrap_or(reason.into())),
    };
    match (status, json.get("resourceType").text()) {
        (404 | 422, Some("OperationOutcome")) => Ok(Answer::UnknownPerson),
        (200, Some("Parameters")) => {
            let parameters = json.get("parameter").items().iter();
            let consented: Vec<Option<bool>> = parameters
                .filter(|parameter| parameter.get("name").text() == Some("consented"))
                .map(|parameter| parameter.get("valueBoolean").boolean())
                .collect();
            match consented.as_slice() {
                [Some(consented)] => Ok(Answer::Consented(*consented)),
                _ => Err(Reason::Malformed("consented").into()),
            }
        }
        (200, Some("Bundle")) => {
            let entries = json.get("entry").items().iter().map(|entry| entry.get("resource"));
            let consents = entries.filter(|resource| resource.get("resourceType").text() == Some("Consent"));
            let consents: Vec<Consent> = consents.map(Consent::read).collect::<Result<_, _>>()?;
            // A policy of somebody else must never count.
            let own = |consent: &Consent| match &consent.patient_identifier {
                Some((_, value)) => value == person,
                None => consent.patient.is_some(),
            };
            if consents.iter().all(own) {
                Ok(Answer::Policies(consents))
            } else {
                Err(Reason::PersonMismatch.into())
            }
        }
        (200, _) => Err(Reason::Malformed("gICS answer").into()),
        _ => {
            let issue = json.get("issue").items().first();
            let text = |name: &str| issue.and_then(|issue| issue.get(name).filled());
            let class = match status {
                401 | 403 => Some(Class::AccessDenied),
                408 | 425 | 429 | 500.. => Some(Class::Internal),
                _ => None,
            };
            Err(Failure::told(Told {
                code: text("code"),
                class,
                text: text("diagnostics"),
                ..Told::default()
            }))
        }
    }
}

/// A question as gICS sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// System and value of each person identifier.
    pub persons: Vec<(Option<String>, String)>,
    /// Consent domain.
    pub domain: Option<String>,
    /// System and code of the policy.
    pub policy: Option<(Option<String>, Option<String>)>,
    /// Version of the policy.
    pub version: Option<String>,
    /// Template with version.
    pub template: Option<String>,
    /// `ignore-version-number`.
    pub ignore_version: Option<bool>,
    /// The nested configuration.
    pub config: Option<Config>,
}

/// Configuration of a question.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// `idMatchingType`.
    pub id_matching: Option<String>,
    /// `ignoreVersionNumber`.
    pub ignore_version: Option<bool>,
    /// `unknownStateIsConsideredAsDecline`.
    pub unknown_is_decline: Option<bool>,
    /// `requestDate`.
    pub request_date: Option<String>,
}

impl Request {
    /// Reads a question.
    ///
    /// # Errors
    /// [`Reason::Malformed`].
    pub fn read(body: &[u8]) -> Result<Self, Reason> {
        let json = Json::read(body)?;
        if json.get("resourceType").text() != Some("Parameters") {
            return Err(Reason::Malformed("Parameters"));
        }
        let mut request = Self::default();
        for parameter in json.get("parameter").items() {
            match parameter.get("name").text().unwrap_or_default() {
                "personIdentifier" => {
                    let identifier = parameter.get("valueIdentifier");
                    let value = identifier.get("value").filled().ok_or(Reason::Malformed("identifier"))?;
                    request.persons.push((identifier.get("system").filled(), value));
                }
                "domain" => request.domain = parameter.get("valueString").filled(),
                "policy" => {
                    let coding = parameter.get("valueCoding");
                    request.policy = Some((coding.get("system").filled(), coding.get("code").filled()));
                }
                "version" => request.version = parameter.get("valueString").filled(),
                "template" => request.template = parameter.get("valueString").filled(),
                "ignore-version-number" => request.ignore_version = parameter.get("valueBoolean").boolean(),
                "config" => {
                    // Some clients nest it as `part`.
                    let nested = parameter.get("resource").get("parameter").items();
                    let parts = parameter.get("part").items();
                    request.config = Some(config_of(if nested.is_empty() { parts } else { nested }));
                }
                _ => {}
            }
        }
        Ok(request)
    }
}

fn config_of(parameters: &[Json]) -> Config {
    let named = |name: &str| parameters.iter().find(|parameter| parameter.get("name").text() == Some(name));
    let flag = |name: &str| named(name).and_then(|parameter| parameter.get("valueBoolean").boolean());
    let date = named("requestDate");
    Config {
        id_matching: named("idMatchingType").and_then(|p| p.get("valueCoding").get("code").filled()),
        ignore_version: flag("ignoreVersionNumber"),
        unknown_is_decline: flag("unknownStateIsConsideredAsDecline"),
        request_date: date.and_then(|p| p.get("valueDate").filled().or(p.get("valueDateTime").filled())),
    }
}
