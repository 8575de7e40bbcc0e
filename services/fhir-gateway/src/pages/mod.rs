//! The pages for people: what the interactions answer, as HTML (fhir-endpoint contract 9).
//!
//! A page shows nothing and does nothing that the same caller could not get as JSON: every view renders
//! an answer of the interactions, every form ends in one. No script is needed or allowed; a form is
//! taken only from our own pages ([`origin`]).
mod answer;
mod assets;
mod bookmarks;
mod fields;
mod form;
mod frame;
mod listing;
pub(crate) mod origin;
mod profile;
mod response;
mod show;
mod source;
mod start;
mod task;

use std::sync::Arc;

use access::Identity;
use bytes::Bytes;
use fhir::{Format, Resource};
use http::{HeaderMap, header};
use warp::reply::Response;

pub(crate) use assets::asset;
pub(crate) use form::{FormRequest, submit};
pub(crate) use show::show;
pub(crate) use start::start;

use crate::{
    exchange::{Answer, BodyFormat, Conditions, Content, Interaction, Output, Prefer, Request},
    interactions,
    site::Site,
};

/// Largest form, in bytes.
pub(crate) const MAX_FORM: usize = 1024 * 1024;
/// Rows of a table of search results at most.
const MAX_ROWS: &str = "100";

/// What every page needs to know of its request.
pub(crate) struct Visit {
    /// The site.
    pub(crate) site: Arc<Site>,
    /// Who looks.
    pub(crate) identity: Arc<Identity>,
    /// Header lines of the request.
    pub(crate) headers: HeaderMap,
}

/// Whether a page is asked for: by `_format`, else by `Accept` (contract 1.2).
pub(crate) fn wanted(headers: &HeaderMap, query: &[(String, String)]) -> bool {
    match query.iter().find(|(name, _)| name == "_format") {
        Some((_, format)) => matches!(format.as_str(), "html" | "text/html"),
        None => headers
            .get_all(header::ACCEPT)
            .iter()
            .any(|line| line.to_str().is_ok_and(|line| line.contains("text/html"))),
    }
}

/// The form in which pages ask the interactions.
pub(crate) fn output() -> Output {
    Output {
        format: Format::Json,
        media_type: "application/fhir+json",
        by_parameter: true,
        accept: Some("application/fhir+json".to_owned()),
    }
}

/// The query as the interactions get it: without `_format` and fields of the search form that were
/// left empty, and with a number of rows that a page can hold.
pub(crate) fn query(mut query: Vec<(String, String)>, searching: bool) -> Vec<(String, String)> {
    query.retain(|(name, value)| name != "_format" && !value.trim().is_empty());
    if !searching {
        return query;
    }
    for (name, value) in &mut query {
        let fits = |value: &str| value.parse::<i64>().is_ok_and(|count| count <= 100);
        if name == "_count" && !fits(value) {
            MAX_ROWS.clone_into(value);
        }
    }
    query
}

impl Visit {
    /// Asks the interactions as the visitor.
    async fn ask(&self, interaction: Interaction, query: &[(&str, &str)]) -> Answer {
        let query =
            query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>();
        self.carry_out(interaction, query, Bytes::new(), Conditions::default()).await
    }

    /// Writes a resource as the visitor.
    async fn write(&self, interaction: Interaction, resource: &Resource, if_match: Option<u64>) -> Answer {
        let conditions = Conditions { if_match, ..Conditions::default() };
        self.carry_out(interaction, Vec::new(), fhir::to_json(resource).into(), conditions).await
    }

    async fn carry_out(
        &self,
        interaction: Interaction,
        query: Vec<(String, String)>,
        body: Bytes,
        conditions: Conditions,
    ) -> Answer {
        let request = Request {
            interaction,
            head: false,
            identity: Arc::clone(&self.identity),
            query,
            query_text: String::new(),
            prefer: Prefer::default(),
            conditions,
            body_format: if body.is_empty() { BodyFormat::None } else { BodyFormat::Fhir(Format::Json) },
            body,
            output: output(),
            security_context: Vec::new(),
            trace_parent: telemetry::context::current(),
        };
        interactions::handle(&self.site, request).await
    }

    /// A resource by its id, where the visitor may read it.
    async fn read(&self, ty: &'static str, id: &str) -> Result<Resource, Answer> {
        let answer = self.ask(Interaction::Read { ty, id: id.to_owned() }, &[]).await;
        if answer.status.is_success()
            && let Some(resource) = resource(&answer)
        {
            return Ok(resource);
        }
        Err(answer)
    }

    /// The newest resource with a canonical url, where the visitor may read one.
    async fn canonical(&self, ty: &'static str, canonical: &str) -> Option<Resource> {
        let (url, version) = fhir::reference::canonical(canonical);
        let mut query = vec![("url", url), ("_count", "1"), ("_sort", "-_lastUpdated")];
        query.extend(version.map(|version| ("version", version)));
        let bundle = resource(&self.ask(Interaction::Search { ty }, &query).await)?;
        fhir::bundle::entries(&bundle).find_map(|entry| entry.resource()?.resource())
    }
}

/// The resource of an answer.
fn resource(answer: &Answer) -> Option<Resource> {
    match &answer.content {
        Content::Resource(resource) => Some(Resource::clone(resource)),
        Content::Stored(json) => fhir::parse(json, Format::Json).ok(),
        Content::Empty | Content::Raw { .. } | Content::Blob { .. } => None,
    }
}

/// A page or what is there in its stead.
type Page = Response;
