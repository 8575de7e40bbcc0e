//! Search (fhir-endpoint contract 1.10).
use access::Interaction;
use bytes::Bytes;
use deadpool_postgres::GenericClient;
use fhir::search;
use http::StatusCode;
use percent_encoding::percent_decode_str;
use uuid::Uuid;

use super::{
    failure::Failure,
    result_bundle::{self, Entry, ResultBundle, Window, problems},
    unit::Unit,
};
use crate::{
    data::Embedding,
    exchange::{Answer, Handling, Request},
    site::Site,
    store::Stored,
};

/// `GET /T?…`
pub(super) async fn direct(site: &Site, request: &Request, ty: &'static str) -> Result<Answer, Failure> {
    let session = site.store.session().await?;
    let unit = Unit::direct(site, request, &session);
    let mut embedding = Embedding::default();
    let found = unit.search(ty, &request.query, request.prefer.handling, &mut embedding).await?;
    let json = found.json;
    Ok(Answer::stored(StatusCode::OK, Bytes::from(json)))
}

/// A search result.
pub(super) struct Found {
    /// The searchset as compact JSON.
    pub(super) json: Vec<u8>,
    /// The only match, where there is exactly one and it is on the page.
    pub(super) only: Option<Stored>,
}

impl<C: GenericClient> Unit<'_, C> {
    /// Searches as the caller.
    pub(super) async fn search(
        &self,
        ty: &'static str,
        parameters: &[(String, String)],
        handling: Handling,
        embedding: &mut Embedding,
    ) -> Result<Found, Failure> {
        if !self.identity.may(Interaction::Search, ty) {
            let reason = "the caller's roles do not include searching this type";
            return Err(self.deny(Interaction::Search, ty, None, reason));
        }
        self.allow(Interaction::Search, ty, None);
        let query = search::parse_query(ty, parameters).ok_or(Failure::NotFound)?;
        if handling == Handling::Strict && !query.problems.is_empty() {
            return Err(Failure::BadRequest(problems(&query.problems)));
        }
        let window = Window::new(self.site, query.count, query.page, query.summary);
        let mut found =
            self.session.search(&query, &self.filter(ty), window.limit(), window.offset()).await?;
        if query.summary.is_none_or(|summary| summary.keeps_data()) {
            for stored in &mut found.matches {
                embedding.fill(self.session, &mut stored.content, stored.data).await?;
            }
        }
        let included =
            if found.matches.is_empty() { Vec::new() } else { self.includes(&query, &found.matches).await? };
        let entry = |ty: &str, stored: &'_ Stored, mode: &str| {
            (
                format!(r#""fullUrl":"{}/{ty}/{}","#, self.site.base_url, stored.id),
                format!(r#""search":{{"mode":"{mode}"}}"#),
            )
        };
        let matches = found.matches.iter().map(|stored| (stored, entry(ty, stored, "match")));
        let included = included.iter().map(|(ty, stored)| (stored, entry(ty, stored, "include")));
        let entries = matches
            .chain(included)
            .map(|(stored, (before, after))| Entry { before, resource: Some(&stored.content), after })
            .collect();
        let json = ResultBundle {
            kind: "searchset",
            url: format!("{}/{ty}", self.site.base_url),
            understood: &query.understood,
            summary: query.summary,
            window,
            total: found.total,
            entries,
            problems: &query.problems,
        }
        .json()?;
        let only = (found.total == 1).then(|| found.matches.into_iter().next()).flatten();
        Ok(Found { json, only })
    }

    async fn includes(
        &self,
        query: &search::Query,
        matches: &[Stored],
    ) -> Result<Vec<(&'static str, Stored)>, Failure> {
        let ids: Vec<Uuid> = matches.iter().map(|stored| stored.id).collect();
        let mut included: Vec<(&'static str, Stored)> = Vec::new();
        for include in &query.includes {
            included.extend(self.session.included(include, &ids, |ty| self.filter(ty)).await?);
        }
        for include in &query.rev_includes {
            let found = self
                .session
                .referring(include, query.resource_type, &ids, self.filter(include.source))
                .await?;
            included.extend(found.into_iter().map(|stored| (include.source, stored)));
        }
        let mut seen = std::collections::HashSet::new();
        included.retain(|(_, stored)| seen.insert((stored.id, stored.version)));
        Ok(included)
    }
}

/// The conditions of a query text; anything that is not understood is an error of the client.
pub(super) fn parse_condition(ty: &str, query: &str) -> Result<Vec<search::Criterion>, Failure> {
    let parameters = split_query(query);
    match search::parse_conditions(ty, &parameters) {
        Some(Ok(criteria)) => Ok(criteria),
        Some(Err(problems)) => Err(Failure::BadRequest(result_bundle::problems(&problems))),
        None => Err(Failure::BadRequest(format!("{ty} is not a type of this server"))),
    }
}

/// Splits and decodes a query. `+` stays: in references and conditions it is itself.
pub(super) fn split_query(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}
