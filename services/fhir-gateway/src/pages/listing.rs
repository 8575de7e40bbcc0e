//! Tables: search results and histories.
use askama::Template;
use fhir::{Resource, bundle, search};
use http::StatusCode;

use super::{
    Page, Visit,
    fields::{self, Field},
    frame::Frame,
    response,
};

/// A line of a table.
pub(super) struct Row {
    pub(super) ty: String,
    /// Address of what the line is of; none where it was deleted.
    pub(super) link: String,
    pub(super) name: String,
    pub(super) updated: String,
    /// What a history says was done.
    pub(super) event: String,
    pub(super) fields: Vec<Field>,
}

/// A field of the search form.
struct Asked {
    name: &'static str,
    value: String,
    hint: &'static str,
}

#[derive(Template)]
#[template(path = "listing.html")]
struct ListingPage<'a> {
    frame: &'a Frame,
    /// Type of a search.
    ty: Option<&'static str>,
    total: &'a str,
    history: bool,
    labels: Vec<&'static str>,
    rows: Vec<Row>,
    included: Vec<Row>,
    warnings: Vec<String>,
    pages: Vec<(&'static str, String)>,
    asked: Vec<Asked>,
    filtered: bool,
    json: String,
}

/// The page of a search or history Bundle.
pub(super) fn page(visit: &Visit, bundle: &Resource) -> Page {
    let base = visit.site.base_url.as_str();
    let own = bundle::link(bundle, "self").unwrap_or_default();
    let history = bundle.text("type") == Some("history");
    let path = own.strip_prefix(base).unwrap_or(own).trim_start_matches('/');
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let ty = search::search_of(path).map(|found| found.resource_type);
    let (mut rows, mut included, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
    for entry in bundle::entries(bundle) {
        match (entry.search_mode(), entry.resource().and_then(fhir::Element::resource)) {
            (Some("outcome"), Some(outcome)) => {
                warnings.extend(response::issues(&outcome).into_iter().map(|issue| issue.text));
            }
            (Some("include"), Some(resource)) => included.push(row(&entry, &resource, base)),
            (_, Some(resource)) => rows.push(row(&entry, &resource, base)),
            (_, None) => rows.push(deleted(&entry, base)),
        }
    }
    let pages = [("first", "First"), ("previous", "Previous"), ("next", "Next"), ("last", "Last")]
        .into_iter()
        .filter_map(|(relation, label)| Some((label, bundle::link(bundle, relation)?.to_owned())))
        .filter(|(_, url)| url != own)
        .collect();
    let query = crate::http::decode_query(query);
    let asked: Vec<Asked> = ty.map(|ty| asked(ty, &query)).unwrap_or_default();
    let title = match (ty, history) {
        (Some(ty), _) => format!("{ty} search"),
        (None, true) => "History".to_owned(),
        (None, false) => "Search".to_owned(),
    };
    let frame = Frame::new(visit, &title);
    let separator = if own.contains('?') { '&' } else { '?' };
    let page = ListingPage {
        frame: &frame,
        ty,
        total: bundle.text("total").unwrap_or("0"),
        history,
        labels: ty.map(fields::labels).unwrap_or_default(),
        rows,
        included,
        warnings,
        pages,
        filtered: asked.iter().any(|field| !field.value.is_empty()),
        asked,
        json: format!("{own}{separator}_format=json"),
    };
    response::html(StatusCode::OK, &frame, &page)
}

fn asked(ty: &str, query: &[(String, String)]) -> Vec<Asked> {
    let Some(known) = search::search_of(ty) else { return Vec::new() };
    let own = known.parameters.iter();
    let common = ["_id", "_lastUpdated"].into_iter().filter_map(|name| known.parameter(name));
    own.chain(common)
        .map(|parameter| Asked {
            name: parameter.name,
            value: query
                .iter()
                .find(|(name, _)| name == parameter.name)
                .map(|(_, value)| value.clone())
                .unwrap_or_default(),
            hint: match parameter.kind {
                search::ParameterKind::Token => "code, or system|code",
                search::ParameterKind::String => "beginning of the text",
                search::ParameterKind::Uri => "whole address",
                search::ParameterKind::Reference => "Type/id",
                search::ParameterKind::Date => "date, also gt2026-01-31",
            },
        })
        .collect()
}

fn row(entry: &bundle::Entry<'_>, resource: &Resource, base: &str) -> Row {
    let (ty, id) = (resource.resource_type(), resource.id().unwrap_or_default());
    let versioned = entry.element().text("response.location");
    let event = match entry.method() {
        Some("POST") => "created",
        Some("PUT") => "changed",
        _ => "",
    };
    let version = resource.version_id().unwrap_or_default();
    let current = format!("{base}/{ty}/{id}");
    Row {
        ty: ty.to_owned(),
        name: if event.is_empty() { short(id) } else { format!("{ty} {}, version {version}", short(id)) },
        link: match versioned {
            Some(location) if !event.is_empty() => location.to_owned(),
            _ => current,
        },
        updated: resource.last_updated().map(fields::when).unwrap_or_default(),
        event: event.to_owned(),
        fields: fields::of(resource, base),
    }
}

fn deleted(entry: &bundle::Entry<'_>, base: &str) -> Row {
    let url = entry.url().unwrap_or_default();
    Row {
        ty: url.split('/').next().unwrap_or_default().to_owned(),
        link: format!("{base}/{url}"),
        name: url.to_owned(),
        updated: entry.element().text("response.lastModified").map(fields::when).unwrap_or_default(),
        event: "deleted".to_owned(),
        fields: Vec::new(),
    }
}

/// Enough of an id to tell it from others.
fn short(id: &str) -> String {
    id.chars().take(8).collect()
}
