//! Validation of what is written (fhir-endpoint contract 6.1), and the operation `$validate`.
use std::sync::Arc;

use access::Interaction;
use deadpool_postgres::GenericClient;
use fhir::{
    Element, Resource,
    outcome::Issue,
    validation::{DEFINITION_TYPES, Validator, add_default_profile},
};
use http::StatusCode;

use super::{
    failure::Failure,
    parameters,
    unit::{Unit, gone, parsed, uuid},
};
use crate::{
    exchange::{Answer, BodyFormat, Request},
    site::Site,
    validation::client_form,
};

impl<C: GenericClient> Unit<'_, C> {
    /// Adds the default profile and validates. What is no error comes back, for a client that asks for
    /// it.
    pub(super) async fn validate(&self, resource: &mut Resource) -> Result<Vec<Issue>, Failure> {
        add_default_profile(resource);
        let report = self.validator().await?.validate_received(resource);
        if report.accepted() { Ok(report.issues().collect()) } else { Err(Failure::NotValid(report)) }
    }

    /// The definitions as this unit sees them: with those its own transaction has written.
    async fn validator(&self) -> Result<Arc<Validator>, Failure> {
        let definitions = &self.site.definitions;
        if self.transaction && self.session.has_written_definitions() {
            let set = definitions.current().renewed(self.session, &DEFINITION_TYPES).await?;
            return Ok(set.validator);
        }
        Ok(Arc::clone(&definitions.fresh(self.session).await?.validator))
    }
}

/// `POST /T/$validate` with a resource, or with Parameters that hold one; `POST /T/{id}/$validate` also
/// without a body, for the stored resource. Nothing is written, and the outcome is the answer.
pub(super) async fn operation(
    site: &Site,
    request: &Request,
    ty: &'static str,
    id: Option<&str>,
) -> Result<Answer, Failure> {
    let session = site.store.session().await?;
    let unit = Unit::direct(site, request, &session);
    let mut resource = match (&request.body_format, id) {
        (BodyFormat::None, Some(id)) => {
            let id = uuid(id).ok_or(Failure::NotFound)?;
            let stored = session.read(ty, id).await?.ok_or(Failure::NotFound)?;
            if let Some(deleted) = stored.deleted {
                return Err(gone(&stored, deleted));
            }
            unit.authorize_read(ty, &stored)?;
            let mut resource = parsed(&stored)?;
            client_form(&mut resource);
            resource
        }
        _ => {
            let may = [Interaction::Create, Interaction::Update]
                .into_iter()
                .any(|interaction| request.identity.may(interaction, ty));
            if !may {
                return Err(Failure::Forbidden("validate"));
            }
            sent(site, request, ty)?
        }
    };
    for (name, value) in &request.query {
        if name == "profile" {
            claim(&mut resource, value);
        }
    }
    add_default_profile(&mut resource);
    let report = unit.validator().await?.validate_received(&resource);
    Ok(Answer::resource(StatusCode::OK, report.outcome()))
}

/// The resource of the body, which may be wrapped in Parameters together with profiles to claim.
fn sent(site: &Site, request: &Request, ty: &str) -> Result<Resource, Failure> {
    let body = super::any_body(site, request)?;
    if body.resource_type() == ty {
        return Ok(body);
    }
    if body.resource_type() != "Parameters" {
        return Err(Failure::Unparsable);
    }
    let mut resource = parameters::resource(&body, "resource")
        .filter(|resource| resource.resource_type() == ty)
        .ok_or_else(|| Failure::BadRequest(format!("Parameters need a resource that is a {ty}")))?;
    for profile in parameters::texts(&body, "profile") {
        claim(&mut resource, profile);
    }
    Ok(resource)
}

/// Adds a profile to those the resource claims.
fn claim(resource: &mut Resource, profile: &str) {
    if resource.profiles().contains(&profile) {
        return;
    }
    if resource.child("meta").is_none() {
        resource.push(Element::new("meta"));
    }
    if let Some(meta) = resource.child_mut("meta") {
        meta.push(Element::primitive("profile", profile));
    }
}
