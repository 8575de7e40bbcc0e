//! Update and conditional update (fhir-endpoint contract 1.7).
use deadpool_postgres::GenericClient;
use fhir::Resource;
use http::StatusCode;
use uuid::Uuid;

use super::{
    body,
    failure::Failure,
    references::{Verified, absolute_urls},
    search::parse_condition,
    unit::{Target, Unit, gone, parsed, uuid},
    written::Written,
};
use crate::{
    exchange::{Answer, Request},
    site::Site,
};

/// `PUT /T/{id}`
pub(super) async fn direct(
    site: &Site,
    request: &Request,
    ty: &'static str,
    id: &str,
) -> Result<Answer, Failure> {
    let id = uuid(id);
    let mut verified = Verified::default();
    loop {
        let resource = body(site, request, ty)?;
        let id = id.ok_or(Failure::UpdateAsCreate)?;
        match by_id(site, request, (ty, id), resource, &verified).await {
            Err(Failure::Unverified(pending)) => verified.ask(site, pending).await?,
            other => return other,
        }
    }
}

async fn by_id(
    site: &Site,
    request: &Request,
    (ty, id): (&'static str, Uuid),
    resource: Resource,
    verified: &Verified,
) -> Result<Answer, Failure> {
    let session = site.store.session().await?;
    let unit = Unit { verified: verified.clone(), ..Unit::direct(site, request, &session) };
    let written = unit.update(ty, id, resource, request.conditions.if_match, true).await?;
    finish(site, request, &written)
}

/// `PUT /T?…`
pub(super) async fn conditional(site: &Site, request: &Request, ty: &'static str) -> Result<Answer, Failure> {
    let mut verified = Verified::default();
    loop {
        let resource = body(site, request, ty)?;
        match by_condition(site, request, ty, resource, &verified).await {
            Err(Failure::Unverified(pending)) => verified.ask(site, pending).await?,
            other => return other,
        }
    }
}

async fn by_condition(
    site: &Site,
    request: &Request,
    ty: &'static str,
    mut resource: Resource,
    verified: &Verified,
) -> Result<Answer, Failure> {
    let session = site.store.session().await?;
    let unit = Unit { verified: verified.clone(), ..Unit::direct(site, request, &session) };
    let written = match unit.condition_target(ty, &request.query_text, resource.id()).await? {
        Some(id) => {
            resource.set_id(&id.to_string());
            unit.update(ty, id, resource, request.conditions.if_match, true).await?
        }
        None => unit.create(ty, resource, None).await?,
    };
    finish(site, request, &written)
}

fn finish(site: &Site, request: &Request, written: &Written) -> Result<Answer, Failure> {
    site.changes.committed(written.event().into_iter().collect());
    Ok(written.answer(site, request.prefer.returns))
}

impl<C: GenericClient> Unit<'_, C> {
    /// Which resource a conditional update is for; `None`: it creates one.
    pub(super) async fn condition_target(
        &self,
        ty: &'static str,
        query: &str,
        body_id: Option<&str>,
    ) -> Result<Option<Uuid>, Failure> {
        let criteria = parse_condition(ty, query)?;
        if criteria.is_empty() {
            return Err(Failure::BadRequest("a conditional update needs a condition".to_owned()));
        }
        match (self.session.find(ty, &criteria, 2).await?.as_slice(), body_id) {
            ([], None) => Ok(None),
            ([], Some(_)) => Err(Failure::UpdateAsCreate),
            ([(id, _)], None) => Ok(Some(*id)),
            ([(id, _)], Some(own)) if own == id.to_string() => Ok(Some(*id)),
            ([_], Some(_)) => {
                Err(Failure::BadRequest("the resource's id is not the one that was matched".to_owned()))
            }
            _ => Err(Failure::MultipleMatches),
        }
    }

    /// Replaces the current version. References are checked here only where `check` is set; a
    /// transaction checks them after all its writes.
    pub(super) async fn update(
        &self,
        ty: &'static str,
        id: Uuid,
        mut resource: Resource,
        if_match: Option<u64>,
        check: bool,
    ) -> Result<Written, Failure> {
        let stored = self.session.read(ty, id).await?.ok_or(Failure::UpdateAsCreate)?;
        if let Some(deleted) = stored.deleted {
            return Err(gone(&stored, deleted));
        }
        let mut old = parsed(&stored)?;
        absolute_urls(&mut resource, &self.site.base_url);
        let failing_task = ty == "Task" && resource.text("status") == Some("failed");
        let tags = match ty {
            // Its keys are references: they are compared in their resolved form.
            "OrganizationAffiliation" => {
                let mut resolved = resource.clone();
                self.resolve_what_can_be(&mut old).await?;
                self.resolve_what_can_be(&mut resolved).await?;
                self.authorize_update(&old, &resolved).await?
            }
            _ => self.authorize_update(&old, &resource).await?,
        };
        let notes = if failing_task { Vec::new() } else { self.validate(&mut resource).await? };
        match resource.id() {
            Some(own) if own == id.to_string() => {}
            _ => {
                return Err(Failure::BadRequest(
                    "the id of the resource is not the id of the request".to_owned(),
                ));
            }
        }
        if let Some(expected) = if_match
            && expected != stored.version
        {
            return Err(Failure::VersionConflict { expected: Some(expected), latest: stored.version });
        }
        // A Task must be able to fail whatever has become of what it refers to.
        if !failing_task {
            self.resolve_logical(&mut resource).await?;
            if check {
                self.check_references(&resource).await?;
            }
        } else {
            self.resolve_what_can_be(&mut resource).await?;
        }
        let latest = stored.version;
        match self.write(ty, resource, Target::After(&stored, &old), tags).await {
            Err(Failure::VersionConflict { .. }) => {
                Err(Failure::VersionConflict { expected: if_match, latest: latest + 1 })
            }
            other => other.map(|written| Written { notes, ..written }),
        }
    }
}

/// Whether a failure of a bundle entry keeps its own status in a transaction.
pub(super) fn keeps_status(status: StatusCode) -> bool {
    status == StatusCode::FORBIDDEN || status.is_server_error() || status == StatusCode::PAYLOAD_TOO_LARGE
}
