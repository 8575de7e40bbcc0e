//! Patients of a FHIR server: PDQm search (ITI-78) and $match (ITI-119), contract 1.9.
use serde_json::{Value, json};

use crate::{
    failure::{Class, Failure, Reason, Told},
    json::Json,
    person::{Continuation, Counts, Domain, Identifier, Person, Persons, Profile, Repetition, Sex, filled},
};

const MATCH_GRADE: &str = "http://hl7.org/fhir/StructureDefinition/match-grade";
const GENDER_AMTLICH: &str = "http://fhir.de/StructureDefinition/gender-amtlich-de";

/// Reads a bundle of patients.
///
/// # Errors
/// Refused, unavailable or a protocol error.
pub fn read(status: u16, body: &[u8], asked: Option<&str>, profile: &Profile) -> Result<Persons, Failure> {
    let json = match Json::read(body) {
        Ok(json) => json,
        Err(reason) => return Err(Failure::of_http(status).unwrap_or(reason.into())),
    };
    if json.get("resourceType").text() == Some("OperationOutcome") || status != 200 {
        return Err(refused(status, &json));
    }
    if json.get("resourceType").text() != Some("Bundle") {
        return Err(Reason::Malformed("Bundle").into());
    }
    let mut persons = Persons {
        counts: Counts {
            total: json.get("total").whole().and_then(|total| total.try_into().ok()),
            ..Counts::default()
        },
        continuation: next_page(&json).map(Continuation::Pointer),
        ..Persons::default()
    };
    for entry in json.get("entry").items() {
        let resource = entry.get("resource");
        match resource.get("resourceType").text() {
            Some("Patient") => persons.persons.push(person(entry, resource, asked, profile)),
            // A server says in this way that it left out a domain (ITI-78): no complete answer.
            Some("OperationOutcome") => return Err(refused(status, resource)),
            _ => {}
        }
    }
    Ok(persons)
}

/// Address of the next page of a searchset.
pub fn next_page(bundle: &Json) -> Option<String> {
    let links = bundle.get("link").items();
    links.iter().find(|link| link.get("relation").text() == Some("next"))?.get("url").filled()
}

/// What an OperationOutcome says.
pub(crate) fn refused(status: u16, outcome: &Json) -> Failure {
    let issue = outcome.get("issue").items().first();
    let text = |name: &str| issue.and_then(|issue| issue.get(name).filled());
    let (code, diagnostics) = (text("code"), text("diagnostics"));
    let said = diagnostics.as_deref().unwrap_or_default();
    let class = match (status, code.as_deref()) {
        _ if said.contains("targetSystem") => Some(Class::TargetDomainUnknown),
        _ if said.contains("Assigning Authority") => Some(Class::SourceDomainUnknown),
        (404, Some("not-found")) => Some(Class::IdUnknown),
        (400, Some("code-invalid")) => Some(Class::SourceDomainUnknown),
        // 403 is how PIXm says that a target is unknown; without that issue it is what it looks like.
        (403, Some("code-invalid")) => Some(Class::TargetDomainUnknown),
        (401 | 403, _) => Some(Class::AccessDenied),
        (408 | 425 | 429 | 500.., _) => Some(Class::Internal),
        (_, Some("invalid" | "structure" | "value" | "code-invalid")) => Some(Class::QueryInvalid),
        (_, Some("exception" | "transient" | "timeout" | "throttled" | "incomplete")) => {
            Some(Class::Internal)
        }
        _ => None,
    };
    Failure::told(Told { code, class, severity: text("severity"), text: diagnostics, ..Told::default() })
}

fn person(entry: &Json, patient: &Json, asked: Option<&str>, profile: &Profile) -> Person {
    let preferred = profile.repetition != Some(Repetition::First);
    let name = choose(patient.get("name").items(), preferred, &["official", "usual"]);
    let addresses = patient.get("address").items();
    let visited: Vec<&Json> = addresses.iter().filter(|a| a.get("type").text() != Some("postal")).collect();
    let address = if preferred {
        let home = visited.iter().find(|address| address.get("use").text() == Some("home"));
        home.or(visited.first()).copied().or(addresses.first())
    } else {
        addresses.first()
    };
    let part = |json: Option<&Json>, name: &str| json.and_then(|json| json.get(name).filled());
    let first_of = |json: Option<&Json>, name: &str| {
        json.and_then(|json| json.get(name).items().iter().find_map(Json::filled))
    };
    let identifiers: Vec<Identifier> =
        patient.get("identifier").items().iter().filter_map(identifier).collect();
    let insurance = profile.insurance_authority.as_ref().and_then(|authority| {
        identifiers.iter().find(|id| authority.matches(&id.domain)).map(|id| id.value.clone())
    });
    let search = entry.get("search");
    let grades = search.get("extension").items();
    let mut person = Person {
        last: part(name, "family"),
        first: first_of(name, "given"),
        birth: patient.get("birthDate").filled(),
        sex: sex(patient),
        street: first_of(address, "line"),
        zip: part(address, "postalCode"),
        city: part(address, "city"),
        country: part(address, "country"),
        insurance,
        score: search.get("score").number().map(str::to_owned),
        grade: grades
            .iter()
            .find(|extension| extension.get("url").text() == Some(MATCH_GRADE))
            .and_then(|extension| extension.get("valueCode").filled()),
        resource: entry.get("fullUrl").filled(),
        identifiers,
        medic_id: None,
        confidence: None,
    };
    profile.name(&mut person, asked);
    person
}

fn choose<'a>(values: &'a [Json], preferred: bool, uses: &[&str]) -> Option<&'a Json> {
    let of_use = |wanted: &&str| values.iter().find(|value| value.get("use").text() == Some(wanted));
    uses.iter().filter(|_| preferred).find_map(of_use).or(values.first())
}

fn sex(patient: &Json) -> Option<Sex> {
    let extensions = patient.get("_gender").get("extension").items();
    let official = || {
        let extension = extensions.iter().find(|e| e.get("url").text() == Some(GENDER_AMTLICH))?;
        match extension.get("valueCoding").get("code").text()? {
            "D" => Some(Sex::Diverse),
            "X" => Some(Sex::Undetermined),
            _ => None,
        }
    };
    Some(match patient.get("gender").text()? {
        "female" => Sex::Female,
        "male" => Sex::Male,
        "unknown" => Sex::Unknown,
        "other" => official().unwrap_or(Sex::Other),
        _ => return None,
    })
}

/// A FHIR identifier; an OID as system also counts as universal id.
pub(crate) fn identifier(json: &Json) -> Option<Identifier> {
    let system = json.get("system").filled();
    let oid = system.as_deref().and_then(|system| system.strip_prefix("urn:oid:")).map(str::to_owned);
    Some(Identifier {
        value: filled(json.get("value").filled())?,
        domain: Domain { universal_id: oid, system, ..Domain::default() },
        kind: None,
    })
}

/// A search for an identifier, as the body of `POST Patient/_search`: identifiers stay out of the
/// server's access log.
pub fn identifier_search(id: &Identifier) -> Vec<(String, String)> {
    let system = id.domain.system.as_deref().unwrap_or_default();
    vec![("identifier".to_owned(), format!("{}|{}", escape(system), escape(&id.value)))]
}

/// Escapes a value of a search parameter (FHIR search, 3.1.1.4.0.1).
pub fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for character in value.chars() {
        if matches!(character, '\\' | ',' | '$' | '|') {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

/// What is known of a person to match.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// Surname.
    pub last: Option<String>,
    /// Given names.
    pub given: Vec<String>,
    /// Birth date.
    pub birth: Option<String>,
    /// FHIR gender.
    pub gender: Option<String>,
    /// Postal code.
    pub zip: Option<String>,
    /// City.
    pub city: Option<String>,
}

/// The body of `POST Patient/$match`.
pub fn match_request(known: &Known, only_certain: bool, limit: u32) -> Value {
    let mut patient = json!({"resourceType": "Patient"});
    if known.last.is_some() || !known.given.is_empty() {
        let mut name = json!({});
        if let Some(last) = &known.last {
            name["family"] = json!(last);
        }
        if !known.given.is_empty() {
            name["given"] = json!(known.given);
        }
        patient["name"] = json!([name]);
    }
    for (member, value) in [("gender", &known.gender), ("birthDate", &known.birth)] {
        if let Some(value) = value {
            patient[member] = json!(value);
        }
    }
    let mut address = serde_json::Map::new();
    for (member, value) in [("city", &known.city), ("postalCode", &known.zip)] {
        if let Some(value) = value {
            address.insert(member.to_owned(), json!(value));
        }
    }
    if !address.is_empty() {
        patient["address"] = json!([address]);
    }
    json!({"resourceType": "Parameters", "parameter": [
        {"name": "resource", "resource": patient},
        {"name": "onlyCertainMatches", "valueBoolean": only_certain},
        {"name": "count", "valueInteger": limit},
    ]})
}

/// A $match as a server sees it: who, only certain ones, how many.
///
/// # Errors
/// [`Reason::Malformed`].
pub fn read_match_request(body: &[u8]) -> Result<(Known, Option<bool>, Option<i64>), Reason> {
    let json = Json::read(body)?;
    let parameters = json.get("parameter").items();
    let named = |name: &str| parameters.iter().find(|parameter| parameter.get("name").text() == Some(name));
    let patient = match json.get("resourceType").text() {
        Some("Patient") => &json,
        _ => named("resource").ok_or(Reason::Malformed("Parameters"))?.get("resource"),
    };
    let name = patient.get("name").items().first();
    let given = name.map(|name| name.get("given").items()).unwrap_or_default();
    let address = patient.get("address").items().first();
    let known = Known {
        last: name.and_then(|name| name.get("family").filled()),
        given: given.iter().filter_map(Json::filled).collect(),
        birth: patient.get("birthDate").filled(),
        gender: patient.get("gender").filled(),
        zip: address.and_then(|address| address.get("postalCode").filled()),
        city: address.and_then(|address| address.get("city").filled()),
    };
    let only = named("onlyCertainMatches").and_then(|parameter| parameter.get("valueBoolean").boolean());
    Ok((known, only, named("count").and_then(|parameter| parameter.get("valueInteger").whole())))
}
