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

/// How often a create with `If-None-Exist` that was overtaken begins again. The next time it finds what
/// the other one wrote.
pub(super) const MAX_RACES: u32 = 3;

/// `POST /T`
pub(super) async fn direct(site: &Site, request: &Request, ty: &'static str) -> Result<Answer, Failure> {
    let mut verified = Verified::default();
    let mut races = 0;
    loop {
        match once(site, request, ty, &verified).await {
            Err(Failure::Unverified(pending)) => verified.ask(site, pending).await?,
            Err(Failure::Raced) if races < MAX_RACES => races += 1,
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
    /// It may be written.
    New {
        /// The right to do so.
        permit: Permit,
        /// What validation has noted.
        notes: Vec<Issue>,
        /// Key to write with it, where the create is conditional.
        once: Option<String>,
    },
}

/// What `If-None-Exist` says.
pub(super) enum Reserved {
    /// There is one.
    Existed(Written),
    /// There is none. Who writes takes the key with the resource: of two creates under the same condition
    /// at once one is refused and looks again, also where the answer of the other never arrived.
    Free(Option<String>),
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
            Prepared::New { permit, notes, once } => {
                let target = Target::New { id: Uuid::new_v4(), once };
                let written = self.write(ty, resource, target, permit).await?;
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
        let once = match self.reserve(ty, if_none_exist).await? {
            Reserved::Existed(existing) => return Ok(Prepared::Existed(existing)),
            Reserved::Free(once) => once,
        };
        self.resolve_logical(resource).await?;
        self.check_references(resource).await?;
        Ok(Prepared::New { permit, notes, once })
    }

    /// Finds the resource of an `If-None-Exist` condition, or the key to create it under.
    pub(super) async fn reserve(
        &self,
        ty: &'static str,
        if_none_exist: Option<&str>,
    ) -> Result<Reserved, Failure> {
        let Some(condition) = if_none_exist else { return Ok(Reserved::Free(None)) };
        let key = format!("If-None-Exist {ty}?{}", condition.trim());
        // In this order: a holder that was there before the search, and that it does not find, has changed
        // since and no longer is what the condition asks for.
        let holder = self.session.holder(&key).await?;
        if let Some(existing) = self.existing(ty, if_none_exist).await? {
            return Ok(Reserved::Existed(existing));
        }
        if let Some(holder) = holder {
            self.session.release(&key, holder).await?;
        }
        Ok(Reserved::Free(Some(key)))
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
