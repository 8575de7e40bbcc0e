//! Create and conditional create (fhir-endpoint contract 1.6).
use deadpool_postgres::GenericClient;
use fhir::Resource;
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

impl<C: GenericClient> Unit<'_, C> {
    /// Creates a resource in the order of a direct request.
    pub(super) async fn create(
        &self,
        ty: &'static str,
        mut resource: Resource,
        if_none_exist: Option<&str>,
    ) -> Result<Written, Failure> {
        absolute_urls(&mut resource, &self.site.base_url);
        let tags = self.authorize_create(&resource).await?;
        let notes = self.validate(&mut resource).await?;
        if let Some(existing) = self.existing(ty, if_none_exist).await? {
            return Ok(existing);
        }
        self.resolve_logical(&mut resource).await?;
        self.check_references(&resource).await?;
        let written = self.write(ty, resource, Target::New(Uuid::new_v4()), tags).await?;
        Ok(Written { notes, ..written })
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
