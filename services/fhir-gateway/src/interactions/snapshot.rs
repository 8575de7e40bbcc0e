//! The operation `$snapshot`: a StructureDefinition with the snapshot made from its differential
//! (fhir-endpoint contract 1.1). Definitions the caller may not read are not shown.
use deadpool_postgres::GenericClient;
use fhir::Resource;
use http::StatusCode;

use super::{
    failure::Failure,
    parameters,
    search::parse_condition,
    unit::{Unit, gone, parsed, uuid},
};
use crate::{
    exchange::{Answer, BodyFormat, Request},
    site::Site,
};

/// The type it is about.
const TYPE: &str = "StructureDefinition";

/// `GET` or `POST /StructureDefinition[/{id}]/$snapshot`
pub(super) async fn operation(site: &Site, request: &Request, id: Option<&str>) -> Result<Answer, Failure> {
    let session = site.store.session().await?;
    let unit = Unit::direct(site, request, &session);
    let definition = match id {
        Some(id) => unit.definition(id).await?,
        None => match &request.body_format {
            BodyFormat::None => {
                let url = request.query.iter().find(|(name, _)| name == "url").map(|(_, url)| url.as_str());
                unit.definition_of(url).await?
            }
            _ => {
                let body = super::any_body(site, request)?;
                match body.resource_type() {
                    TYPE => body,
                    "Parameters" => match parameters::resource(&body, "resource") {
                        Some(resource) if resource.resource_type() == TYPE => resource,
                        Some(_) => return Err(Failure::BadRequest(format!("the resource is no {TYPE}"))),
                        None => unit.definition_of(parameters::texts(&body, "url").next()).await?,
                    },
                    _ => return Err(Failure::Unparsable),
                }
            }
        },
    };
    let validator = &site.definitions.fresh(&session).await?.validator;
    let with = validator.snapshot(&definition).map_err(|error| {
        Failure::BadRequest(format!("no snapshot can be made of the StructureDefinition: {error}"))
    })?;
    Ok(Answer::resource(StatusCode::OK, with))
}

impl<C: GenericClient> Unit<'_, C> {
    /// The stored definition with an id.
    async fn definition(&self, id: &str) -> Result<Resource, Failure> {
        let id = uuid(id).ok_or(Failure::NotFound)?;
        let stored = self.session.read(TYPE, id).await?.ok_or(Failure::NotFound)?;
        if let Some(deleted) = stored.deleted {
            return Err(gone(&stored, deleted));
        }
        self.authorize_read(TYPE, &stored)?;
        parsed(&stored)
    }

    /// The stored definition with a canonical; without a version the newest one.
    async fn definition_of(&self, canonical: Option<&str>) -> Result<Resource, Failure> {
        let canonical = canonical
            .filter(|canonical| !canonical.is_empty())
            .ok_or_else(|| Failure::BadRequest("a url is needed".to_owned()))?;
        let set = self.site.definitions.fresh(self.session).await?;
        let found = set.validator.definition(canonical).ok_or(Failure::NotFound)?;
        let (url, version) = (found.text("url").unwrap_or_default(), found.text("version"));
        let escape = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
        };
        let mut query = format!("url={}", escape(url));
        if let Some(version) = version {
            query.push_str(&format!("&version={}", escape(version)));
        }
        let criteria = parse_condition(TYPE, &query)?;
        match self.session.find(TYPE, &criteria, 1).await?.as_slice() {
            [(id, _), ..] => self.definition(&id.to_string()).await,
            // One of the program itself, which everybody may read.
            [] => Ok(found.clone()),
        }
    }
}
