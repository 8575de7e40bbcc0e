//! The FHIR interactions: what a request does to the store, in the order of checks of the contract.
//!
//! One file per interaction. [`failure`] maps everything that can go wrong to a status and an outcome,
//! in one place. [`unit`] holds the steps that direct requests and bundle entries share.
mod binary;
mod bundle;
mod bundle_entry;
mod create;
mod delete;
mod failure;
mod read;
mod references;
mod search;
mod unit;
mod update;
mod written;

use std::sync::Arc;

use http::StatusCode;

use crate::{
    exchange::{Answer, BodyFormat, Interaction, Request},
    site::Site,
};

pub(crate) use binary::receive;
pub(crate) use bundle::execute_transaction;
pub(crate) use failure::Failure;

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
        Interaction::PermanentDelete { .. }
        | Interaction::HistorySystem
        | Interaction::HistoryType { .. }
        | Interaction::HistoryInstance { .. }
        | Interaction::Capabilities
        | Interaction::Snapshot { .. } => Ok(Answer::error(
            StatusCode::NOT_IMPLEMENTED,
            "not-supported",
            &format!("{} is not offered by this version", request.interaction.name()),
        )),
    };
    result.unwrap_or_else(|failure| {
        failure.answer(site, request.interaction.resource_type().unwrap_or("Bundle"))
    })
}

/// The resource in the body of a request.
fn body(site: &Site, request: &Request, expected: &str) -> Result<fhir::Resource, Failure> {
    let format = match &request.body_format {
        BodyFormat::Fhir(format) => *format,
        BodyFormat::None => return Err(Failure::Unparsable),
        BodyFormat::Raw(_) if expected == "Binary" => return binary::from_raw(request),
        BodyFormat::Raw(_) => return Err(Failure::UnsupportedMediaType),
    };
    let limits = fhir::Limits { max_bytes: site.limits.max_body, ..fhir::Limits::default() };
    let resource = fhir::parse_with(&request.body, format, &limits).map_err(|_| Failure::Unparsable)?;
    if resource.resource_type() != expected {
        return Err(Failure::Unparsable);
    }
    Ok(resource)
}
