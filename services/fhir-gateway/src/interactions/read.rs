//! Read and vread (fhir-endpoint contract 1.5).
use std::borrow::Cow;

use deadpool_postgres::GenericClient;
use fhir::search::Summary;
use http::StatusCode;
use time::OffsetDateTime;

use super::{
    binary,
    failure::Failure,
    result_bundle::summarized,
    unit::{Unit, gone, uuid},
};
use crate::{
    exchange::{Answer, Conditions, Request},
    site::Site,
    store::{Session, Stored},
};

/// `GET /T/{id}`
pub(super) async fn read(
    site: &Site,
    request: &Request,
    ty: &'static str,
    id: &str,
) -> Result<Answer, Failure> {
    let id = uuid(id).ok_or_else(|| not_an_id(ty))?;
    let session = site.store.session().await?;
    let stored = session.read(ty, id).await?.ok_or(Failure::NotFound)?;
    if let Some(deleted) = stored.deleted {
        return Err(gone(&stored, deleted));
    }
    answer(site, request, ty, &session, stored)
}

/// `GET /T/{id}/_history/{version}`
pub(super) async fn vread(
    site: &Site,
    request: &Request,
    ty: &'static str,
    id: &str,
    version: &str,
) -> Result<Answer, Failure> {
    let id = uuid(id).ok_or_else(|| not_an_id(ty))?;
    let version: u64 = version.parse().map_err(|_| Failure::NotFound)?;
    let session = site.store.session().await?;
    match session.vread(ty, id, version).await? {
        Some(stored) => answer(site, request, ty, &session, stored),
        None => {
            // Deleting adds no version, but the one after the last answers that it is gone.
            let last = session.read(ty, id).await?.ok_or(Failure::NotFound)?;
            match last.deleted {
                Some(deleted) if last.version + 1 == version => Err(gone(&last, deleted)),
                _ => Err(Failure::NotFound),
            }
        }
    }
}

fn not_an_id(ty: &str) -> Failure {
    Failure::NotFoundOutcome(format!("{ty} ids are UUIDs"))
}

fn answer<C: GenericClient>(
    site: &Site,
    request: &Request,
    ty: &'static str,
    session: &Session<C>,
    stored: Stored,
) -> Result<Answer, Failure> {
    let unit = Unit::direct(site, request, session);
    unit.authorize_read(ty, &stored)?;
    let version = stored.version;
    let modified = OffsetDateTime::from_unix_timestamp(stored.last_updated.div_euclid(1000)).ok();
    let mut answer = match condition(&request.conditions, version, modified) {
        Some(status) => Answer::empty(status),
        None if ty == "Binary" => {
            return binary::answer(site, request, stored).map(|mut answer| {
                (answer.version, answer.last_modified) = (Some(version), modified);
                answer
            });
        }
        None => {
            let summary = request.query.iter().find(|(name, _)| name == "_summary");
            let summary = summary.and_then(|(_, value)| Summary::parse(value));
            let content = match summarized(&stored.content, summary)? {
                Cow::Owned(summary) => summary,
                Cow::Borrowed(_) => stored.content,
            };
            Answer::stored(StatusCode::OK, content.into())
        }
    };
    if answer.status != StatusCode::PRECONDITION_FAILED {
        answer.version = Some(version);
        answer.last_modified = modified;
    }
    Ok(answer)
}

/// 412 or 304, where a conditional header asks for it.
fn condition(conditions: &Conditions, version: u64, modified: Option<OffsetDateTime>) -> Option<StatusCode> {
    if conditions.if_match.is_some_and(|wanted| wanted != version)
        || conditions.if_unmodified_since.is_some_and(|wanted| Some(wanted) != modified)
    {
        return Some(StatusCode::PRECONDITION_FAILED);
    }
    let not_modified = match (conditions.if_none_match, conditions.if_modified_since) {
        (Some(known), _) => known == version,
        (None, Some(since)) => modified.is_some_and(|modified| modified <= since),
        (None, None) => false,
    };
    not_modified.then_some(StatusCode::NOT_MODIFIED)
}
