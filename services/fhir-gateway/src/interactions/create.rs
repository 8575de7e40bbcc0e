//! Create and conditional create (fhir-endpoint contract 1.6).
use deadpool_postgres::GenericClient;
use fhir::{Resource, outcome::Issue};
use uuid::Uuid;

use super::{
    body,
    failure::Failure,
    references::{Verified, absolute_urls},
    search::parse_condition,
    unit::{Target, Unit},
    written::{How, Written},
};
use crate::{
    audit::Permit,
    exchange::{Answer, Request},
    site::Site,
};

/// `POST /T`
pub(super) async fn direct(site: &Site, request: &Request, ty: &'static str) -> Result<Answer, Failure> {
    let mut verified = Verified::default();
    loop {
        match once(site, request, ty, &verified).await {
            Err(Failure::Unverified(pending)) => verified.ask(site, pending).await?,
            other => return other,
        }
    }
}

async fn once(
    site: &Site,
    request: &Request,
    ty: &'static str,
    verified: &Verified,
) -> Result<Answer, Failure> {
    let resource = body(site, request, ty)?;
    let session = site.store.session().await?;
    let unit = Unit { verified: verified.clone(), ..Unit::direct(site, request, &session) };
    let written = unit.create(ty, resource, request.conditions.if_none_exist.as_deref()).await?;
    site.changes.committed(written.event().into_iter().collect());
    Ok(written.answer(site, request.prefer.returns))
}

/// What the checks of a create have found.
pub(super) enum Prepared {
    /// `If-None-Exist` matches this one.
    Existed(Written),
    /// It may be written; what validation has noted.
    New(Permit, Vec<Issue>),
}

impl<C: GenericClient> Unit<'_, C> {
    /// Creates a resource in the order of a direct request.
    pub(super) async fn create(
        &self,
        ty: &'static str,
        mut resource: Resource,
        if_none_exist: Option<&str>,
    ) -> Result<Written, Failure> {
        match self.prepare_create(ty, &mut resource, if_none_exist).await? {
            Prepared::Existed(existing) => Ok(existing),
            Prepared::New(permit, notes) => {
                let written = self.write(ty, resource, Target::New(Uuid::new_v4()), permit).await?;
                Ok(Written { notes, ..written })
            }
        }
    }

    /// Everything about a create but the writing: checks, and resolves references.
    pub(super) async fn prepare_create(
        &self,
        ty: &'static str,
        resource: &mut Resource,
        if_none_exist: Option<&str>,
    ) -> Result<Prepared, Failure> {
        absolute_urls(resource, &self.site.base_url);
        let permit = self.authorize_create(resource).await?;
        let notes = self.validate(resource).await?;
        if let Some(existing) = self.existing(ty, if_none_exist).await? {
            return Ok(Prepared::Existed(existing));
        }
        self.resolve_logical(resource).await?;
        self.check_references(resource).await?;
        Ok(Prepared::New(permit, notes))
    }

    /// The one resource an `If-None-Exist` condition matches.
    pub(super) async fn existing(
        &self,
        ty: &'static str,
        if_none_exist: Option<&str>,
    ) -> Result<Option<Written>, Failure> {
        let Some(condition) = if_none_exist else { return Ok(None) };
        let condition = condition.trim();
        let query = condition.strip_prefix('?').unwrap_or(condition);
        let before_value = query.split('=').next().unwrap_or(query);
        if query.is_empty() || before_value.contains(['?', '/']) {
            return Err(Failure::BadRequest("If-None-Exist must be a query without a path".to_owned()));
        }
        let criteria = parse_condition(ty, query)?;
        if criteria.is_empty() {
            return Err(Failure::BadRequest("If-None-Exist has no condition".to_owned()));
        }
        match self.session.find(ty, &criteria, 2).await?.as_slice() {
            [] => Ok(None),
            [(id, _)] => {
                let stored = self.session.read(ty, *id).await?.ok_or(Failure::NotFound)?;
                Ok(Some(Written {
                    resource_type: ty,
                    id: *id,
                    version: stored.version,
                    last_updated: stored.last_updated,
                    how: How::Existed,
                    content: bytes::Bytes::new(),
                    resource_status: None,
                    notes: Vec::new(),
                }))
            }
            _ => Err(Failure::MultipleMatches),
        }
    }
}
