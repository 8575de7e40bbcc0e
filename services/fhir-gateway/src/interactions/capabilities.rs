//! `/metadata`: the CapabilityStatement, made from the tables of types, parameters and profiles
//! (fhir-endpoint contract 1.13).
use std::sync::{Arc, Mutex, PoisonError};

use fhir::{
    Format, Resource,
    search::{Include, ParameterKind, TypeSearch, types},
};
use http::StatusCode;
use serde_json::{Value, json};

use super::failure::Failure;
use crate::{
    exchange::{Answer, Content},
    site::Site,
    store::Profile,
};

/// Extension that names the WebSocket.
const WEBSOCKET: &str = "http://hl7.org/fhir/StructureDefinition/capabilitystatement-websocket";
/// Prefix of the framework's own definitions.
const FRAMEWORK: &str = "http://dsf.dev/fhir";
/// What the elements of the statement cannot say of searches.
const SEARCHES: &str = "Searches are made by GET [type]?... or POST [type]/_search with a form. A comma in a \
    value stands between alternatives, unless it is escaped (`\\,`); in conditional interactions it is part \
    of the value.";
/// Interactions of every type; histories are served, too, but peers do not expect them here.
const INTERACTIONS: [&str; 6] = ["create", "read", "vread", "update", "delete", "search-type"];

/// The statement for the profiles that were stored when it was made.
#[derive(Default)]
pub struct CapabilitiesCache(Mutex<Option<Made>>);

#[derive(Clone)]
struct Made {
    /// `Session::profiles_version` at that time.
    of: (i64, i64),
    statement: Arc<Resource>,
}

/// `GET /metadata`
pub(super) async fn direct(site: &Site) -> Result<Answer, Failure> {
    let session = site.store.session().await?;
    let version = session.profiles_version().await?;
    let known = site.capabilities.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let statement = match known {
        Some(Made { of, statement }) if of == version => statement,
        _ => {
            let statement = Arc::new(statement(site, &session.profiles().await?)?);
            let mut cache = site.capabilities.0.lock().unwrap_or_else(PoisonError::into_inner);
            *cache = Some(Made { of: version, statement: Arc::clone(&statement) });
            statement
        }
    };
    let mut answer = Answer::empty(StatusCode::OK);
    answer.content = Content::Resource(statement);
    Ok(answer)
}

fn statement(site: &Site, profiles: &[Profile]) -> Result<Resource, Failure> {
    let websocket = site.base_url.replacen("http", "ws", 1) + "/ws";
    let resources: Vec<Value> = types().iter().map(|row| resource(row, profiles)).collect();
    let statement = json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": fhir::datetime::now(),
        "publisher": "DSF Developers",
        "kind": "instance",
        "software": {"name": "Data Sharing Framework", "version": env!("CARGO_PKG_VERSION")},
        "implementation": {"description": "Data Sharing Framework", "url": site.base_url},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "application/fhir+xml"],
        "rest": [{
            "extension": [{"url": WEBSOCKET, "valueUrl": websocket}],
            "mode": "server",
            "documentation": SEARCHES,
            "security": {"service": [{"coding": [{
                "system": "http://hl7.org/fhir/restful-security-service", "code": "Certificates",
            }]}]},
            "resource": resources,
        }],
    });
    fhir::parse(statement.to_string().as_bytes(), Format::Json)
        .map_err(|_| Failure::Internal("the capability statement cannot be made"))
}

fn resource(row: &TypeSearch, profiles: &[Profile]) -> Value {
    let ty = row.resource_type;
    let parameter = |name: &str, kind: &str| json!({"name": name, "type": kind});
    let mut parameters = vec![
        parameter("_id", "token"),
        parameter("_lastUpdated", "date"),
        parameter("_profile", "uri"),
        parameter("_sort", "special"),
        parameter("_count", "special"),
        parameter("_page", "special"),
        parameter("_format", "special"),
        parameter("_pretty", "special"),
        parameter("_summary", "special"),
        parameter("_include", "special"),
        parameter("_revinclude", "special"),
    ];
    parameters.extend(row.parameters.iter().map(|own| {
        let kind = match own.kind {
            ParameterKind::Token => "token",
            ParameterKind::String => "string",
            ParameterKind::Uri => "uri",
            ParameterKind::Reference => "reference",
            ParameterKind::Date => "date",
        };
        let mut value = parameter(own.name, kind);
        value["definition"] = match (ty, own.name) {
            // No parameter of R4: the framework defines it.
            ("ResearchStudy", "enrollment") => {
                json!(format!("{FRAMEWORK}/SearchParameter/{ty}-{}", own.name))
            }
            _ => json!(format!("http://hl7.org/fhir/SearchParameter/{ty}-{}", own.name)),
        };
        value
    }));
    let mut operations = vec![operation("permanent-delete")];
    if ty == "StructureDefinition" {
        operations.push(operation("snapshot"));
    }
    let supported: Vec<&str> = profiles
        .iter()
        .filter(|profile| profile.resource_type == ty)
        .map(|profile| profile.url.as_str())
        .collect();
    let mut resource = json!({
        "type": ty,
        "profile": format!("{FRAMEWORK}/StructureDefinition/{}", kebab(ty)),
        "interaction": INTERACTIONS.map(|code| json!({"code": code})),
        "versioning": "versioned",
        "readHistory": true,
        "updateCreate": false,
        "conditionalCreate": true,
        "conditionalRead": "full-support",
        "conditionalUpdate": true,
        "conditionalDelete": "single",
        "referencePolicy": ["literal", "logical"],
        "searchParam": parameters,
        "operation": operations,
    });
    let lists = [
        ("supportedProfile", json!(supported)),
        ("searchInclude", json!(includes(row.includes))),
        ("searchRevInclude", json!(includes(row.rev_includes))),
    ];
    for (name, list) in lists {
        if list.as_array().is_some_and(|list| !list.is_empty()) {
            resource[name] = list;
        }
    }
    resource
}

fn operation(name: &str) -> Value {
    let definition = match name {
        "snapshot" => "http://hl7.org/fhir/OperationDefinition/StructureDefinition-snapshot".to_owned(),
        own => format!("{FRAMEWORK}/OperationDefinition/{own}"),
    };
    json!({"name": name, "definition": definition})
}

/// As a client writes them: with the target where it must be named.
fn includes(includes: &[Include]) -> Vec<String> {
    includes
        .iter()
        .flat_map(|include| {
            let plain = format!("{}:{}", include.source, include.parameter);
            match include.target_required {
                true => include.targets.iter().map(|target| format!("{plain}:{target}")).collect(),
                false => vec![plain],
            }
        })
        .collect()
}

/// `OrganizationAffiliation` as `organization-affiliation`.
fn kebab(name: &str) -> String {
    let mut kebab = String::with_capacity(name.len() + 4);
    for (index, letter) in name.chars().enumerate() {
        if letter.is_ascii_uppercase() && index > 0 {
            kebab.push('-');
        }
        kebab.push(letter.to_ascii_lowercase());
    }
    kebab
}
