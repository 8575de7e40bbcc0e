//! The start page: what can be started, what waits for an answer, what there is.
use askama::Template;
use fhir::{bundle, search};
use http::StatusCode;

use super::{Page, Visit, fields, frame::Frame, resource, response, task};
use crate::exchange::Interaction;

/// Processes, forms and Tasks on the page at most.
const SHOWN: &str = "50";

/// What leads to a resource.
struct Entry {
    link: String,
    name: String,
    detail: String,
}

/// Figures of the site.
struct Figures {
    version: &'static str,
    database: String,
    counts: Vec<(String, i64)>,
}

#[derive(Template)]
#[template(path = "start.html")]
struct StartPage<'a> {
    frame: &'a Frame,
    drafts: Vec<Entry>,
    forms: Vec<Entry>,
    tasks: Vec<Entry>,
    types: Vec<&'static str>,
    figures: Option<Figures>,
}

/// `GET` on the base URL. Lists what the visitor may see; figures for who acts for the site.
pub(crate) async fn start(visit: &Visit) -> Page {
    let drafts = entries(visit, "Task", &[("status", "draft"), ("_count", SHOWN)]).await;
    let forms = [("status", "in-progress"), ("_count", SHOWN)];
    let forms = entries(visit, "QuestionnaireResponse", &forms).await;
    let recent = [("status:not", "draft"), ("_sort", "-_lastUpdated"), ("_count", "10")];
    let tasks = entries(visit, "Task", &recent).await;
    let figures = if visit.identity.acts_for_local_organization() { figures(visit).await } else { None };
    let frame = Frame::new(visit, "Start");
    let types = search::types().iter().map(|found| found.resource_type).collect();
    let mut page = StartPage { frame: &frame, drafts, forms, tasks, types, figures };
    page.drafts.sort_by(|one, other| one.name.cmp(&other.name));
    response::html(StatusCode::OK, &frame, &page)
}

async fn entries(visit: &Visit, ty: &'static str, query: &[(&str, &str)]) -> Vec<Entry> {
    let answer = visit.ask(Interaction::Search { ty }, query).await;
    let Some(found) = resource(&answer).filter(|_| answer.status.is_success()) else { return Vec::new() };
    bundle::entries(&found)
        .filter_map(|entry| entry.resource()?.resource())
        .filter_map(|found| {
            let status = found.text("status").unwrap_or_default();
            let named = match ty {
                "Task" => task::process(&found),
                _ => found.text("questionnaire").map(|form| {
                    let (url, version) = fhir::reference::canonical(form);
                    let name = url.rsplit('/').next().unwrap_or(url);
                    (name.to_owned(), version.unwrap_or_default().to_owned())
                }),
            };
            let (name, version) = named.unwrap_or_default();
            let updated = found.last_updated().map(fields::when).unwrap_or_default();
            let detail = match status {
                "draft" => task::draft_name(&found).unwrap_or(version),
                "in-progress" if ty == "QuestionnaireResponse" => format!("since {updated}"),
                _ => format!("{status}, {updated}"),
            };
            Some(Entry { link: format!("{}/{ty}/{}", visit.site.base_url, found.id()?), name, detail })
        })
        .collect()
}

async fn figures(visit: &Visit) -> Option<Figures> {
    let figures = async { visit.site.store.session().await?.figures().await };
    match figures.await {
        Ok((size, counts)) => Some(Figures {
            version: env!("CARGO_PKG_VERSION"),
            database: format!("{} MiB", size / (1024 * 1024)),
            counts,
        }),
        Err(error) => {
            tracing::debug!(%error, "the figures of the start page cannot be read");
            None
        }
    }
}
