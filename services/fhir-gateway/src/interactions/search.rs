//! Search (fhir-endpoint contract 1.10).
use access::{Interaction, questionnaire_response};
use bytes::Bytes;
use deadpool_postgres::GenericClient;
use fhir::{datetime, outcome::Severity, search};
use http::StatusCode;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use uuid::Uuid;

use super::{
    failure::Failure,
    unit::{Unit, parsed},
};
use crate::{
    exchange::{Answer, Handling, Request},
    site::Site,
    store::{AccessFilter, Page, Stored},
};

/// Most responses a person's questionnaire search looks at: their rights are decided one by one.
const MAX_AUTHORIZED: i64 = 1000;
/// Largest product of page and page size that is offered.
const MAX_POSITION: i64 = i32::MAX as i64;
/// What must be escaped in the values of links.
const ESCAPED: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'&').add(b'+').add(b'<').add(b'>').add(b'|');

/// `GET /T?…`
pub(super) async fn direct(site: &Site, request: &Request, ty: &'static str) -> Result<Answer, Failure> {
    let session = site.store.session().await?;
    let unit = Unit {
        site,
        directory: site.directory(),
        identity: &request.identity,
        session: &session,
        trace_parent: None,
        transaction: false,
    };
    let json = unit.search(ty, &request.query, request.prefer.handling).await?.json;
    Ok(Answer::stored(StatusCode::OK, Bytes::from(json)))
}

/// A search result.
pub(super) struct Found {
    /// The searchset as compact JSON.
    pub(super) json: Vec<u8>,
    /// Matches over all pages.
    pub(super) total: u64,
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
    ) -> Result<Found, Failure> {
        if !self.identity.may(Interaction::Search, ty) {
            return Err(Failure::forbidden(Interaction::Search));
        }
        let query = search::parse_query(ty, parameters).ok_or(Failure::NotFound)?;
        if handling == Handling::Strict && !query.problems.is_empty() {
            return Err(Failure::BadRequest(problems(&query)));
        }
        let (count, page) = self.window(&query);
        let limit = if query.summary == Some(search::Summary::Count) || page < 1 { 0 } else { count.max(0) };
        let offset = page.saturating_sub(1).saturating_mul(limit);
        let found = match self.filter(ty) {
            Some(filter) => self.session.search(&query, &filter, limit, offset).await?,
            None => self.authorized(&query, limit, offset).await?,
        };
        let included =
            if found.matches.is_empty() { Vec::new() } else { self.includes(&query, &found.matches).await? };
        let json = self.bundle(&query, &found, &included, count, page);
        let only = (found.total == 1).then(|| found.matches.into_iter().next()).flatten();
        Ok(Found { json, total: found.total, only })
    }

    /// Page size and page number.
    fn window(&self, query: &search::Query) -> (i64, i64) {
        let default = i64::from(self.site.page_count);
        let (count, page) = (query.count.unwrap_or(default), query.page.unwrap_or(1));
        if count > 0 && page > 0 && count.saturating_mul(page) > MAX_POSITION {
            return (default, 1);
        }
        (count.min(i64::from(self.site.limits.max_page_count)), page)
    }

    /// Questionnaire responses a person may see: decided in memory, one by one.
    async fn authorized(&self, query: &search::Query, limit: i64, offset: i64) -> Result<Page, Failure> {
        let all = self.session.search(query, &AccessFilter::Everything, MAX_AUTHORIZED, 0).await?;
        let mut visible = Vec::new();
        for stored in all.matches {
            if questionnaire_response::may_answer(self.identity, &parsed(&stored)?).is_allowed() {
                visible.push(stored);
            }
        }
        let total = visible.len() as u64;
        let (skip, take) =
            (usize::try_from(offset).unwrap_or(usize::MAX), usize::try_from(limit).unwrap_or(0));
        Ok(Page { total, matches: visible.into_iter().skip(skip).take(take).collect() })
    }

    async fn includes(
        &self,
        query: &search::Query,
        matches: &[Stored],
    ) -> Result<Vec<(&'static str, Stored)>, Failure> {
        let ids: Vec<Uuid> = matches.iter().map(|stored| stored.id).collect();
        let filter = |ty: &str| self.filter(ty).unwrap_or(AccessFilter::Nothing);
        let mut included: Vec<(&'static str, Stored)> = Vec::new();
        for include in &query.includes {
            included.extend(self.session.included(include, &ids, filter).await?);
        }
        for include in &query.rev_includes {
            let found =
                self.session.referring(include, query.resource_type, &ids, filter(include.source)).await?;
            included.extend(found.into_iter().map(|stored| (include.source, stored)));
        }
        let mut seen = std::collections::HashSet::new();
        included.retain(|(_, stored)| seen.insert((stored.id, stored.version)));
        Ok(included)
    }

    /// The searchset. Stored JSON goes in as it is, without being read again.
    fn bundle(
        &self,
        query: &search::Query,
        found: &Page,
        included: &[(&'static str, Stored)],
        count: i64,
        page: i64,
    ) -> Vec<u8> {
        let base = &self.site.base_url;
        let mut json = Vec::with_capacity(4096);
        let push = |json: &mut Vec<u8>, text: &str| json.extend_from_slice(text.as_bytes());
        push(
            &mut json,
            &format!(
                r#"{{"resourceType":"Bundle","type":"searchset","timestamp":"{}","total":{},"link":["#,
                datetime::now(),
                found.total
            ),
        );
        let counted_only = found.matches.is_empty();
        let last = if count > 0 {
            i64::try_from(found.total).unwrap_or(i64::MAX).saturating_add(count - 1) / count
        } else {
            0
        };
        let link = |count: i64, page: Option<i64>| self.link(query, count, page);
        let mut links = Vec::new();
        if counted_only {
            links.push(("self", link(0, None)));
        } else {
            links.push(("self", link(count, Some(page))));
            links.push(("first", link(count, Some(1))));
            if page > 1 {
                links.push(("previous", link(count, Some(page - 1))));
            }
            if page < last {
                links.push(("next", link(count, Some(page + 1))));
            }
            links.push(("last", link(count, Some(last))));
        }
        for (index, (relation, url)) in links.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            push(&mut json, &format!(r#"{comma}{{"relation":"{relation}","url":{}}}"#, quoted(url)));
        }
        push(&mut json, "]");
        let outcome = (!query.problems.is_empty())
            .then(|| fhir::to_json(&fhir::outcome::one(Severity::Warning, "processing", &problems(query))));
        let entries = found
            .matches
            .iter()
            .map(|stored| (Some((query.resource_type, stored.id)), stored.content.as_slice(), "match"))
            .chain(
                included
                    .iter()
                    .map(|(ty, stored)| (Some((*ty, stored.id)), stored.content.as_slice(), "include")),
            )
            .chain(outcome.iter().map(|outcome| (None, outcome.as_slice(), "outcome")));
        let mut first = true;
        for (name, content, mode) in entries {
            push(&mut json, if first { r#","entry":[{"# } else { ",{" });
            first = false;
            if let Some((ty, id)) = name {
                push(&mut json, &format!(r#""fullUrl":"{base}/{ty}/{id}","#));
            }
            push(&mut json, r#""resource":"#);
            json.extend_from_slice(content);
            push(&mut json, &format!(r#","search":{{"mode":"{mode}"}}}}"#));
        }
        if !first {
            push(&mut json, "]");
        }
        push(&mut json, "}");
        json
    }

    fn link(&self, query: &search::Query, count: i64, page: Option<i64>) -> String {
        let mut url = format!("{}/{}?", self.site.base_url, query.resource_type);
        for (name, value) in &query.understood {
            url.push_str(&format!("{name}={}&", utf8_percent_encode(value, ESCAPED)));
        }
        url.push_str(&format!("_count={count}"));
        if let Some(page) = page {
            url.push_str(&format!("&_page={page}"));
        }
        url
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn problems(query: &search::Query) -> String {
    query.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The conditions of a query text; anything that is not understood is an error of the client.
pub(super) fn parse_condition(ty: &str, query: &str) -> Result<Vec<search::Criterion>, Failure> {
    let parameters = split_query(query);
    match search::parse_criteria(ty, &parameters) {
        Some(Ok(criteria)) => Ok(criteria),
        Some(Err(problems)) => {
            let text = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            Err(Failure::BadRequest(text))
        }
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
