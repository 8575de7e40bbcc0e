//! Delete and conditional delete (fhir-endpoint contract 1.8).
use deadpool_postgres::GenericClient;
use fhir::{datetime, outcome::Severity};
use http::StatusCode;
use messaging::event::ResourceEvent;
use uuid::Uuid;

use super::{
    failure::Failure,
    search::parse_condition,
    unit::{Unit, parsed, uuid},
};
use crate::{
    exchange::{Answer, Request},
    site::Site,
};

/// `DELETE /T/{id}`
pub(super) async fn direct(
    site: &Site,
    request: &Request,
    ty: &'static str,
    id: &str,
) -> Result<Answer, Failure> {
    let id = uuid(id).ok_or_else(|| unknown(ty))?;
    delete(site, request, ty, Some(id)).await
}

/// `DELETE /T?…`
pub(super) async fn conditional(site: &Site, request: &Request, ty: &'static str) -> Result<Answer, Failure> {
    delete(site, request, ty, None).await
}

async fn delete(
    site: &Site,
    request: &Request,
    ty: &'static str,
    id: Option<Uuid>,
) -> Result<Answer, Failure> {
    let session = site.store.session().await?;
    let unit = Unit::direct(site, request, &session);
    let id = match id {
        Some(id) => Some(id),
        None => unit.condition_delete(ty, &request.query_text).await?,
    };
    let Some(id) = id else { return Ok(Answer::empty(StatusCode::NO_CONTENT)) };
    let events = unit.delete(ty, id).await?;
    site.changes.committed(events);
    Ok(Answer::resource(StatusCode::OK, outcome(ty)))
}

/// The outcome that says so.
pub(super) fn outcome(ty: &str) -> fhir::Resource {
    fhir::outcome::one(Severity::Information, "informational", &format!("{ty} marked as deleted"))
}

/// There is nothing to delete.
pub(super) fn unknown(ty: &str) -> Failure {
    Failure::NotFoundOutcome(format!("{ty} with this id does not exist"))
}

impl<C: GenericClient> Unit<'_, C> {
    /// The one resource a conditional delete is for, among those the caller may see.
    pub(super) async fn condition_delete(
        &self,
        ty: &'static str,
        query: &str,
    ) -> Result<Option<Uuid>, Failure> {
        let criteria = parse_condition(ty, query)?;
        if criteria.is_empty() {
            return Err(Failure::BadRequest("a conditional delete needs a condition".to_owned()));
        }
        let query = fhir::search::Query {
            resource_type: ty,
            criteria,
            sort: Vec::new(),
            includes: Vec::new(),
            rev_includes: Vec::new(),
            count: None,
            page: None,
            summary: None,
            understood: Vec::new(),
            problems: Vec::new(),
        };
        match self.session.search(&query, &self.filter(ty), 2, 0).await?.matches.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one.id)),
            _ => Err(Failure::MultipleMatches),
        }
    }

    /// Marks a resource as deleted; doing so again changes nothing.
    pub(super) async fn delete(&self, ty: &'static str, id: Uuid) -> Result<Vec<ResourceEvent>, Failure> {
        let stored = self.session.read(ty, id).await?.ok_or_else(|| unknown(ty))?;
        self.authorize_delete(&parsed(&stored)?)?;
        let written = stored.deleted.is_none() && self.session.delete(ty, id, datetime::now_millis()).await?;
        let event = ResourceEvent {
            resource_type: ty.to_owned(),
            id: id.to_string(),
            version: stored.version,
            status: None,
            deleted: true,
        };
        Ok(written.then_some(event).into_iter().collect())
    }
}
