//! History of a resource, a type or the whole endpoint (fhir-endpoint contract 1.9).
use access::Interaction;
use bytes::Bytes;
use deadpool_postgres::GenericClient;
use fhir::{datetime, search};
use http::StatusCode;
use uuid::Uuid;

use super::{
    failure::Failure,
    result_bundle::{Entry, ResultBundle, Window, problems},
    unit::{Unit, uuid},
};
use crate::{
    data::Embedding,
    exchange::{Answer, Handling, Request, TYPES},
    site::Site,
    store::{AccessFilter, Past},
};

/// `GET /_history`
pub(super) async fn system(site: &Site, request: &Request) -> Result<Answer, Failure> {
    answer(site, request, None, None).await
}

/// `GET /T/_history`
pub(super) async fn of_type(site: &Site, request: &Request, ty: &'static str) -> Result<Answer, Failure> {
    answer(site, request, Some(ty), None).await
}

/// `GET /T/{id}/_history`
pub(super) async fn of_instance(
    site: &Site,
    request: &Request,
    ty: &'static str,
    id: &str,
) -> Result<Answer, Failure> {
    let id = uuid(id).ok_or_else(|| Failure::NotFoundOutcome(format!("{ty} ids are UUIDs")))?;
    answer(site, request, Some(ty), Some(id)).await
}

async fn answer(
    site: &Site,
    request: &Request,
    ty: Option<&'static str>,
    id: Option<Uuid>,
) -> Result<Answer, Failure> {
    let decision = access::Decision::when(
        ty.is_none_or(|ty| request.identity.may(Interaction::History, ty)),
        "the caller's roles do not include the history of this type",
    );
    let (reason, about) = (decision.reason().map_or(Ok(()), Err), id.map(|id| id.to_string()));
    site.audit.decided(&request.identity, Interaction::History, ty, about, reason);
    if !decision.is_allowed() {
        return Err(Failure::forbidden(Interaction::History));
    }
    let query = search::parse_history(&request.query);
    if request.prefer.handling == Handling::Strict && !query.problems.is_empty() {
        return Err(Failure::BadRequest(problems(&query.problems)));
    }
    let session = site.store.session().await?;
    let unit = Unit::direct(site, request, &session);
    let window = Window::new(site, query.count, query.page, query.summary);
    let (total, mut versions) =
        session.history(&unit.history_scopes(ty), id, &query, window.limit(), window.offset()).await?;
    if query.summary.is_none_or(|summary| summary.keeps_data()) {
        let mut embedding = Embedding::default();
        for version in &mut versions {
            if let Some(content) = &mut version.content {
                embedding.fill(&session, content, version.data).await?;
            }
        }
    }
    let path = match (ty, id) {
        (Some(ty), Some(id)) => format!("/{ty}/{id}"),
        (Some(ty), None) => format!("/{ty}"),
        (None, _) => String::new(),
    };
    let bundle = ResultBundle {
        kind: "history",
        url: format!("{}{path}/_history", site.base_url),
        understood: &query.understood,
        summary: query.summary,
        window,
        total,
        entries: versions.iter().map(|version| entry(site, version)).collect(),
        problems: &query.problems,
    };
    Ok(Answer::stored(StatusCode::OK, Bytes::from(bundle.json()?)))
}

fn entry<'a>(site: &Site, past: &'a Past) -> Entry<'a> {
    let Past { resource_type: ty, id, version, at, content, .. } = past;
    let url = format!("{}/{ty}/{id}", site.base_url);
    let (method, request_url, status) = match (content, version) {
        (None, _) => ("DELETE", format!("{ty}/{id}/_history/{version}"), "200 OK"),
        (Some(_), 1) => ("POST", ty.clone(), "201 Created"),
        // The type alone, as peers know it from the public implementation.
        (Some(_), _) => ("PUT", ty.clone(), "200 OK"),
    };
    Entry {
        before: format!(r#""fullUrl":"{url}","#),
        resource: content.as_deref(),
        after: format!(
            r#""request":{{"method":"{method}","url":"{request_url}"}},"response":{{"status":"{status}","location":"{url}/_history/{version}","etag":"W/\"{version}\"","lastModified":"{}"}}"#,
            datetime::format(*at)
        ),
    }
}

impl<C: GenericClient> Unit<'_, C> {
    /// What the caller may see of one type or of all, types with the same rights together.
    fn history_scopes(&self, ty: Option<&'static str>) -> Vec<(Vec<&'static str>, AccessFilter)> {
        let types: Vec<&'static str> = match ty {
            Some(ty) => vec![ty],
            None => TYPES.into_iter().filter(|ty| self.identity.may(Interaction::History, ty)).collect(),
        };
        let mut scopes: Vec<(Vec<&'static str>, AccessFilter)> = Vec::new();
        for ty in types {
            let filter = self.filter(ty);
            match scopes.iter_mut().find(|(_, known)| *known == filter) {
                Some((names, _)) => names.push(ty),
                None => scopes.push((vec![ty], filter)),
            }
        }
        scopes
    }
}
