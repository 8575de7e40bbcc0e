//! Entries of a batch or transaction: reading their requests, writing their responses.
use fhir::{Resource, bundle::Entry, datetime};
use uuid::Uuid;

use super::{
    failure::Failure,
    unit::uuid,
    written::{How, Written},
};
use crate::{
    exchange::{Return, TYPES},
    site::Site,
};

/// What an entry asks for.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    /// Position in the request.
    pub(super) index: usize,
    /// `fullUrl` as sent.
    pub(super) full_url: Option<String>,
    /// The resource, for POST and PUT.
    pub(super) resource: Option<Resource>,
    /// What to do.
    pub(super) action: Action,
    /// `ifMatch` of a PUT.
    pub(super) if_match: Option<u64>,
    /// `ifNoneMatch` of a GET.
    pub(super) if_none_match: Option<u64>,
    /// `ifModifiedSince` of a GET, milliseconds.
    pub(super) if_modified_since: Option<i64>,
}

/// The request of an entry. Order of the variants is the order of execution (contract 1.11).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Action {
    /// Delete by id.
    Delete { ty: &'static str, id: String },
    /// Delete by condition.
    ConditionalDelete { ty: &'static str, query: String },
    /// Create.
    Create { ty: &'static str, if_none_exist: Option<String> },
    /// Update by id.
    Update { ty: &'static str, id: String },
    /// Update by condition.
    ConditionalUpdate { ty: &'static str, query: String },
    /// Read; `head` leaves the resource out.
    Read { ty: &'static str, id: String, version: Option<String>, head: bool },
    /// Search; `head` leaves the result out.
    Search { ty: &'static str, query: String, head: bool },
}

impl Action {
    /// Type it is about.
    pub(super) fn resource_type(&self) -> &'static str {
        match self {
            Self::Delete { ty, .. }
            | Self::ConditionalDelete { ty, .. }
            | Self::Create { ty, .. }
            | Self::Update { ty, .. }
            | Self::ConditionalUpdate { ty, .. }
            | Self::Read { ty, .. }
            | Self::Search { ty, .. } => ty,
        }
    }
}

/// Reads an entry. An error is structural: it refuses the whole bundle.
pub(super) fn plan(index: usize, entry: Entry<'_>) -> Result<Planned, Failure> {
    let bad = |text: &str| Failure::BadRequest(format!("Bad bundle request - entry {index}: {text}"));
    let method = entry.method().ok_or_else(|| bad("no request.method"))?;
    let url = entry.url().filter(|url| !url.is_empty()).ok_or_else(|| bad("no request.url"))?;
    let resource = entry.resource().and_then(fhir::Element::resource).map(|mut resource| {
        // Contained resources of entries are not stored (contract 1.11).
        resource.remove("contained");
        resource
    });
    let (path, query) = match url.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (url, None),
    };
    let mut parts = path.split('/');
    let ty = parts.next().unwrap_or_default();
    let ty = TYPES
        .into_iter()
        .find(|known| *known == ty)
        .ok_or_else(|| bad("request.url names no type of this server"))?;
    let rest: Vec<&str> = parts.collect();
    let etag = |name: &str| {
        entry
            .element()
            .text(&format!("request.{name}"))
            .and_then(|text| text.trim_start_matches("W/").trim_matches('"').parse().ok())
    };
    let action = match (method, rest.as_slice(), query) {
        ("POST", [], None) => Action::Create { ty, if_none_exist: entry.if_none_exist().map(str::to_owned) },
        ("PUT", [id], None) => Action::Update { ty, id: (*id).to_owned() },
        ("PUT", [], Some(query)) => Action::ConditionalUpdate { ty, query },
        ("DELETE", [id], None) => Action::Delete { ty, id: (*id).to_owned() },
        ("DELETE", [], Some(query)) => Action::ConditionalDelete { ty, query },
        ("GET" | "HEAD", [id], None) => {
            Action::Read { ty, id: (*id).to_owned(), version: None, head: method == "HEAD" }
        }
        ("GET" | "HEAD", [id, "_history", version], None) => Action::Read {
            ty,
            id: (*id).to_owned(),
            version: Some((*version).to_owned()),
            head: method == "HEAD",
        },
        ("GET" | "HEAD", [], query) => {
            Action::Search { ty, query: query.unwrap_or_default(), head: method == "HEAD" }
        }
        ("POST" | "PUT" | "DELETE" | "GET" | "HEAD", ..) => {
            return Err(bad("request.url does not fit the method"));
        }
        _ => return Err(bad("request.method is not offered")),
    };
    let needs_resource =
        matches!(action, Action::Create { .. } | Action::Update { .. } | Action::ConditionalUpdate { .. });
    match &resource {
        None if needs_resource => return Err(bad("a resource is missing")),
        Some(_) if !needs_resource => return Err(bad("a resource is not expected")),
        Some(resource) if resource.resource_type() != ty => {
            return Err(bad("the resource is of another type than request.url"));
        }
        _ => {}
    }
    Ok(Planned {
        index,
        full_url: entry.full_url().map(str::to_owned),
        resource,
        action,
        if_match: etag("ifMatch"),
        if_none_match: etag("ifNoneMatch"),
        if_modified_since: entry.element().text("request.ifModifiedSince").and_then(datetime::instant),
    })
}

/// Checks that `fullUrl` and ids of an entry fit together; an entry error.
pub(super) fn check_ids(site: &Site, planned: &Planned) -> Result<(), Failure> {
    let bad = |text: &str| {
        Err(Failure::BadRequest(format!("Bad bundle request - entry {}: {text}", planned.index)))
    };
    let Some(resource) = &planned.resource else { return Ok(()) };
    let Some(full_url) = planned.full_url.as_deref() else { return bad("fullUrl is missing") };
    let temporary = full_url.strip_prefix("urn:uuid:");
    let own_id = resource.id();
    match &planned.action {
        Action::Update { ty, id } => {
            if full_url != format!("{}/{ty}/{id}", site.base_url) || own_id != Some(id.as_str()) {
                return bad("fullUrl, request.url and the resource's id differ");
            }
        }
        _ => {
            let Some(temporary) = temporary else { return bad("fullUrl must begin with urn:uuid:") };
            if uuid(temporary).is_none() {
                return bad("fullUrl is no UUID");
            }
            if own_id.is_some_and(|id| id != full_url && id != temporary) {
                return bad("the resource's id is not its fullUrl");
            }
        }
    }
    Ok(())
}

/// One entry of the response as compact JSON.
pub(super) fn written(site: &Site, written: &Written, returns: Return) -> String {
    let status = if written.how == How::Created { "201 Created" } else { "200 OK" };
    let resource = match (written.how, returns) {
        (How::Created | How::Updated, Return::Representation) => {
            format!(r#""resource":{},"#, String::from_utf8_lossy(&written.content))
        }
        _ => String::new(),
    };
    let outcome = match returns {
        Return::OperationOutcome => {
            format!(r#","outcome":{}"#, String::from_utf8_lossy(&fhir::to_json(&written.outcome(site))))
        }
        _ => String::new(),
    };
    format!(
        r#"{{"fullUrl":"{}",{resource}"response":{{"status":"{status}","location":"{}","etag":"W/\"{}\"","lastModified":"{}"{outcome}}}}}"#,
        written.full_url(site),
        written.location(site),
        written.version,
        datetime::format(written.last_updated),
    )
}

/// A response with a status and, where there is one, an outcome.
pub(super) fn status(status: http::StatusCode, outcome: Option<&Resource>) -> String {
    let outcome = outcome
        .map(|outcome| format!(r#","outcome":{}"#, String::from_utf8_lossy(&fhir::to_json(outcome))))
        .unwrap_or_default();
    format!(
        r#"{{"response":{{"status":"{} {}"{outcome}}}}}"#,
        status.as_u16(),
        status.canonical_reason().unwrap_or_default()
    )
}

/// A response with a resource in JSON.
pub(super) fn found(full_url: &str, content: &[u8], version: Option<(u64, i64)>, head: bool) -> String {
    let facts = version
        .map(|(version, modified)| {
            format!(r#","etag":"W/\"{version}\"","lastModified":"{}""#, datetime::format(modified))
        })
        .unwrap_or_default();
    let resource =
        if head { String::new() } else { format!(r#""resource":{},"#, String::from_utf8_lossy(content)) };
    format!(r#"{{"fullUrl":"{full_url}",{resource}"response":{{"status":"200 OK"{facts}}}}}"#)
}

/// A `urn:uuid:` for entries without a resource of their own.
pub(super) fn temporary_url() -> String {
    format!("urn:uuid:{}", Uuid::new_v4())
}
