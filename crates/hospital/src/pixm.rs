//! Cross references of a FHIR server: PIXm, ITI-83 (contract 1.8).
use crate::{
    failure::{Failure, Reason},
    json::Json,
    person::Identifier,
};

/// Identifiers of one person, and addresses of its resources.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CrossReferences {
    /// Identifiers in other domains.
    pub identifiers: Vec<Identifier>,
    /// Addresses of Patient resources.
    pub references: Vec<String>,
}

/// Reads an answer; nothing in it is an answer too.
///
/// # Errors
/// Refused, unavailable or a protocol error.
pub fn read(status: u16, body: &[u8]) -> Result<CrossReferences, Failure> {
    let json = match Json::read(body) {
        Ok(json) => json,
        Err(reason) => return Err(Failure::of_http(status).unwrap_or(reason.into())),
    };
    if status != 200 || json.get("resourceType").text() == Some("OperationOutcome") {
        return Err(crate::pdqm::refused(status, &json));
    }
    if json.get("resourceType").text() != Some("Parameters") {
        return Err(Reason::Malformed("Parameters").into());
    }
    let mut found = CrossReferences::default();
    for parameter in json.get("parameter").items() {
        match parameter.get("name").text() {
            Some("targetIdentifier") => {
                found.identifiers.extend(crate::pdqm::identifier(parameter.get("valueIdentifier")));
            }
            Some("targetId") => {
                found.references.extend(parameter.get("valueReference").get("reference").filled());
            }
            _ => {}
        }
    }
    Ok(found)
}

/// Query parameters of `GET Patient/$ihe-pix`.
pub fn parameters(source: &Identifier, target_systems: &[String]) -> Vec<(String, String)> {
    let system = source.domain.system.as_deref().unwrap_or_default();
    let mut parameters = vec![("sourceIdentifier".to_owned(), format!("{system}|{}", source.value))];
    parameters.extend(target_systems.iter().map(|system| ("targetSystem".to_owned(), system.clone())));
    parameters
}
