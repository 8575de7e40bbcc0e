//! Read and vread (fhir-endpoint contract 1.5).
use std::borrow::Cow;

use base64::Engine;
use deadpool_postgres::GenericClient;
use fhir::search::Summary;
use http::{HeaderName, HeaderValue, StatusCode, header};
use time::OffsetDateTime;

use super::{
    failure::Failure,
    result_bundle::summarized,
    unit::{Unit, gone, parsed, uuid},
};
use crate::{
    exchange::{Answer, Conditions, Content, Request},
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
    let modified = OffsetDateTime::from_unix_timestamp(stored.last_updated.div_euclid(1000)).ok();
    let mut answer = match condition(&request.conditions, stored.version, modified) {
        Some(status) => Answer::empty(status),
        None if ty == "Binary" && wants_raw(request) => raw_binary(request, &stored)?,
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
        answer.version = Some(stored.version);
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

/// FHIR form where `_format` or the first `Accept` asks for a FHIR media type (contract 1.12).
fn wants_raw(request: &Request) -> bool {
    let accept = request.output.accept.as_deref().unwrap_or_default();
    let first = accept.split([',', ';']).next().unwrap_or_default().trim();
    let fhir =
        ["application/fhir+xml", "application/fhir+json", "application/xml+fhir", "application/json+fhir"];
    !request.output.by_parameter && !fhir.contains(&first)
}

fn raw_binary(request: &Request, stored: &Stored) -> Result<Answer, Failure> {
    let binary = parsed(stored)?;
    let content_type = binary.text("contentType").unwrap_or("application/octet-stream").to_owned();
    if !accepts(request.output.accept.as_deref(), &content_type) {
        return Ok(Answer::empty(StatusCode::NOT_ACCEPTABLE));
    }
    let data = binary.text("data").unwrap_or_default();
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(data.as_bytes())
        .map_err(|_| Failure::Internal("a stored Binary cannot be read"))?;
    let mut answer = Answer::empty(StatusCode::OK);
    let file = format!("attachment; filename=Binary_{}.bin", stored.id);
    for (name, value) in [
        (header::CONTENT_DISPOSITION, Some(file)),
        (
            HeaderName::from_static("x-security-context"),
            binary.text("securityContext.reference").map(str::to_owned),
        ),
    ] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            answer = answer.with_header(name, value);
        }
    }
    answer.content = Content::Raw { content_type, bytes: bytes.into() };
    Ok(answer)
}

fn accepts(accept: Option<&str>, content_type: &str) -> bool {
    let own = content_type.split(';').next().unwrap_or(content_type).trim();
    let family = own.split('/').next().unwrap_or(own);
    accept.is_none_or(|accept| {
        accept
            .split(',')
            .map(|part| part.split(';').next().unwrap_or(part).trim())
            .any(|part| part == "*/*" || part == own || part.strip_suffix("/*") == Some(family))
    })
}
