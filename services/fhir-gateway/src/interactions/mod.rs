//! The FHIR interactions: what a request does to the store, in the order of checks of the contract.
//!
//! One file per interaction. [`failure`] maps everything that can go wrong to a status and an outcome,
//! in one place. [`unit`] holds the steps that direct requests and bundle entries share.
mod binary;
mod bundle;
mod bundle_entry;
mod capabilities;
mod create;
mod delete;
mod failure;
mod history;
mod parameters;
mod permanent_delete;
mod read;
mod references;
mod result_bundle;
mod search;
mod snapshot;
mod unit;
mod update;
mod validate;
mod written;

use std::sync::Arc;

use crate::{
    exchange::{Answer, BodyFormat, Interaction, Request},
    site::Site,
};

pub(crate) use binary::receive;
pub(crate) use bundle::execute_transaction;
pub use capabilities::CapabilitiesCache;
pub(crate) use failure::Failure;
pub(crate) use unit::uuid;

/// Carries out one request. Never fails: every outcome is an answer.
pub async fn handle(site: &Arc<Site>, request: Request) -> Answer {
    let result = match &request.interaction {
        Interaction::Create { ty } => create::direct(site, &request, ty).await,
        Interaction::Read { ty, id } => read::read(site, &request, ty, id).await,
        Interaction::Vread { ty, id, version } => read::vread(site, &request, ty, id, version).await,
        Interaction::Update { ty, id } => update::direct(site, &request, ty, id).await,
        Interaction::ConditionalUpdate { ty } => update::conditional(site, &request, ty).await,
        Interaction::Delete { ty, id } => delete::direct(site, &request, ty, id).await,
        Interaction::ConditionalDelete { ty } => delete::conditional(site, &request, ty).await,
        Interaction::Search { ty } => search::direct(site, &request, ty).await,
        Interaction::Bundle => bundle::direct(site, &request).await,
        Interaction::Validate { ty, id } => validate::operation(site, &request, ty, id.as_deref()).await,
        Interaction::Snapshot { id } => snapshot::operation(site, &request, id.as_deref()).await,
        Interaction::PermanentDelete { ty, id } => permanent_delete::direct(site, &request, ty, id).await,
        Interaction::HistorySystem => history::system(site, &request).await,
        Interaction::HistoryType { ty } => history::of_type(site, &request, ty).await,
        Interaction::HistoryInstance { ty, id } => history::of_instance(site, &request, ty, id).await,
        Interaction::Capabilities => capabilities::direct(site).await,
    };
    result.unwrap_or_else(|failure| {
        failure.answer(site, request.interaction.resource_type().unwrap_or("Bundle"))
    })
}

/// The resource in the body of a request.
fn body(site: &Site, request: &Request, expected: &str) -> Result<fhir::Resource, Failure> {
    if expected == "Binary" && matches!(request.body_format, BodyFormat::Raw(_)) {
        return binary::from_raw(request);
    }
    let resource = any_body(site, request)?;
    if resource.resource_type() != expected {
        return Err(Failure::Unparsable);
    }
    Ok(resource)
}

/// The resource in the body of a request, of whatever type.
fn any_body(site: &Site, request: &Request) -> Result<fhir::Resource, Failure> {
    let format = match &request.body_format {
        BodyFormat::Fhir(format) => *format,
        BodyFormat::None => return Err(Failure::Unparsable),
        BodyFormat::Raw(_) => return Err(Failure::UnsupportedMediaType),
    };
    let limits = fhir::Limits { max_bytes: site.limits.max_body, ..fhir::Limits::default() };
    fhir::parse_with(&request.body, format, &limits).map_err(|_| Failure::Unparsable)
}
