//! Data a site starts with: the framework's definitions, naming systems and Subscriptions
//! (fhir-endpoint contract 6.2 to 6.4), then the site's own bundle (8.3).
use std::{collections::BTreeMap, path::Path, sync::Arc};

use access::Identity;
use fhir::{Format, Resource};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{interactions, site::Site};

/// Source of the framework's resources: names and codes are the contract's.
const FRAMEWORK: &str = include_str!("../../initial/framework.json");
/// Prefix of the framework's canonicals.
const BASE: &str = "http://dsf.dev/fhir";

/// Why the initial data cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Framework {
    date: String,
    naming_systems: BTreeMap<String, bool>,
    subscriptions: Vec<String>,
}

/// Loads the bundled resources, then the bundle of the configuration. Doing so again changes nothing
/// but what the site's bundle says anew. Replicas that start together do so one after the other: the
/// later ones find everything done.
/// `thumbprint`: of the site's client certificate.
pub async fn load(site: &Arc<Site>, bundle: Option<&Path>, thumbprint: Option<&str>) -> Result<(), Error> {
    let mut session = site.store.session().await.map_err(database)?;
    let turn = session.begin().await.map_err(database)?;
    turn.load_alone().await.map_err(database)?;
    let framework = parse(framework()?.to_string().as_bytes(), Format::Json, "the framework's resources")?;
    execute(site, &framework, "the framework's resources").await?;
    if let Some(path) = bundle {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error(format!("init_bundle {name} cannot be read ({error}): check the path")))?;
        if thumbprint.is_none() && text.contains(THUMBPRINT) {
            return Err(Error(format!(
                "init_bundle {name} has {THUMBPRINT}, which is not known: set client_certificate or organization_thumbprint"
            )));
        }
        let text = fill(site, &text, thumbprint.unwrap_or_default());
        let format = if text.trim_start().starts_with('<') { Format::Xml } else { Format::Json };
        execute(site, &parse(text.as_bytes(), format, &name)?, &name).await?;
    }
    turn.commit().await.map_err(database)
}

fn database(error: database::Error) -> Error {
    Error(format!("the database failed: {error}"))
}

fn parse(bytes: &[u8], format: Format, name: &str) -> Result<Resource, Error> {
    fhir::parse(bytes, format).map_err(|error| Error(format!("{name} is no readable Bundle: {error}")))
}

async fn execute(site: &Arc<Site>, bundle: &Resource, name: &str) -> Result<(), Error> {
    // What an earlier bundle or replica wrote must be known.
    site.directory.fresh(&site.store).await.map_err(database)?;
    if let Err(failure) = interactions::execute_transaction(site, &Identity::Loader, bundle).await {
        let text = failure
            .outcome("Bundle")
            .and_then(|outcome| outcome.text("issue.diagnostics").map(str::to_owned))
            .unwrap_or_else(|| failure.status().to_string());
        return Err(Error(format!("{name} was refused: {text}")));
    }
    site.directory.fresh(&site.store).await.map_err(database)?;
    Ok(())
}

/// Stands in a site's bundle for the thumbprint of its client certificate.
const THUMBPRINT: &str = "${dev.dsf.fhir.server.organization.thumbprint}";

/// Placeholders of a site's bundle (fhir-endpoint contract 8.3).
fn fill(site: &Site, text: &str, thumbprint: &str) -> String {
    let host =
        site.base_url.split("://").nth(1).and_then(|rest| rest.split(['/', ':']).next()).unwrap_or_default();
    [
        ("${dev.dsf.fhir.server.organization.identifier.value}", site.organization.as_str()),
        (THUMBPRINT, thumbprint),
        ("${dev.dsf.fhir.server.endpoint.identifier.value}", host),
        ("${dev.dsf.fhir.server.endpoint.address}", site.base_url.as_str()),
    ]
    .iter()
    .fold(text.to_owned(), |text, (placeholder, value)| text.replace(placeholder, value))
}

/// The definitions of the present generation, which other sites may read. Those of the first generation
/// are only validated against.
fn stored_definitions() -> impl Iterator<Item = Resource> {
    let present = format!("{BASE}/");
    let old = format!("{BASE}/StructureDefinition/task-base");
    fhir::framework::resources()
        .into_iter()
        .filter(move |found| found.text("url").is_some_and(|url| url.starts_with(&present) && url != old))
}

fn framework() -> Result<Value, Error> {
    let framework: Framework = serde_json::from_str(FRAMEWORK)
        .map_err(|error| Error(format!("the framework's resources are not readable: {error}")))?;
    let tag =
        |code: &str| json!({"tag": [{"system": format!("{BASE}/CodeSystem/read-access-tag"), "code": code}]});
    let mut entries = Vec::new();
    let mut post = |resource: Value, condition: String| {
        entries.push(json!({
            "fullUrl": format!("urn:uuid:{}", uuid::Uuid::new_v4()),
            "request": {"method": "POST", "url": resource["resourceType"], "ifNoneExist": condition},
            "resource": resource,
        }));
    };
    for definition in stored_definitions() {
        let canonical = |name: &str| definition.text(name).unwrap_or_default();
        let condition = format!("url={}&version={}", canonical("url"), canonical("version"));
        let resource = serde_json::from_slice(&fhir::to_json(&definition))
            .map_err(|error| Error(format!("the framework's definitions are not readable: {error}")))?;
        post(resource, condition);
    }
    for (name, checked) in &framework.naming_systems {
        let mut unique = json!({"type": "other", "value": format!("http://dsf.dev/sid/{name}")});
        if *checked {
            unique["modifierExtension"] = json!([{
                "url": format!("{BASE}/StructureDefinition/extension-check-logical-reference"), "valueBoolean": true,
            }]);
        }
        post(
            json!({
                "resourceType": "NamingSystem", "meta": tag("ALL"), "name": name, "status": "active",
                "kind": "identifier", "date": framework.date, "uniqueId": [unique],
            }),
            format!("name={name}"),
        );
    }
    for criteria in &framework.subscriptions {
        let mut meta = tag("LOCAL");
        meta["profile"] = json!([format!("{BASE}/StructureDefinition/subscription")]);
        post(
            json!({
                "resourceType": "Subscription", "meta": meta, "status": "active",
                "reason": "Events for the process engine", "criteria": criteria,
                "channel": {"type": "websocket", "payload": "application/fhir+json"},
            }),
            // Escaped once: the value holds `?` and `=` of its own.
            format!(
                "criteria:exact={}&status=active&type=websocket&payload=application/fhir%2Bjson",
                criteria.replace('?', "%3F").replace('=', "%3D")
            ),
        );
    }
    Ok(json!({"resourceType": "Bundle", "type": "transaction", "entry": entries}))
}
