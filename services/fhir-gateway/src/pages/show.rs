//! The page of an answer to a read, a search or a history.
use askama::Template;
use fhir::Resource;
use http::{HeaderValue, StatusCode, header};

use super::{
    Page, Visit, answer,
    fields::{self, Field},
    form::{Form, Kind},
    frame::Frame,
    listing, resource, response, source, task,
};
use crate::exchange::{Answer, Content};

/// A Task's input or output.
pub(super) struct Parameter {
    pub(super) label: String,
    pub(super) value: fields::Value,
    /// Sub-values that extensions add.
    pub(super) details: Vec<(String, fields::Value)>,
}

#[derive(Template)]
#[template(path = "resource.html")]
struct ResourcePage<'a> {
    frame: &'a Frame,
    ty: &'a str,
    id: Option<&'a str>,
    version: Option<&'a str>,
    updated: Option<String>,
    /// Address of the resource itself, where it has an id.
    /// `Type/id`
    path: Option<String>,
    here: Option<String>,
    fields: Vec<Field>,
    inputs: Vec<Parameter>,
    outputs: Vec<Parameter>,
    answers: Vec<(String, Vec<fields::Value>)>,
    /// A Task that still runs: the page is worth looking at again.
    running: bool,
    binary: bool,
    form: Option<Form>,
    json: Option<String>,
    xml: Option<String>,
}

/// The page of an answer.
pub(crate) async fn show(visit: &Visit, answer: Answer) -> Page {
    if !answer.status.is_success() {
        return response::outcome(visit, &answer);
    }
    let (status, version, modified) = (answer.status, answer.version, answer.last_modified);
    let Some(resource) = resource(&answer).or_else(|| header_of(&answer)) else {
        return response::without_answer(visit, status, "This is too large for a page: ask for it as JSON.");
    };
    let mut page = match resource.resource_type() {
        "Bundle" if resource.child("link").is_some() => listing::page(visit, &resource),
        _ => one(visit, &resource, None, status).await,
    };
    // The page has a version of its own, so that no cache takes it for the resource.
    let tag = version.and_then(|version| HeaderValue::try_from(format!("W/\"h{version}\"")).ok());
    page.headers_mut().extend(tag.map(|tag| (header::ETAG, tag)));
    let modified = modified.and_then(crate::http::format_date);
    let modified = modified.and_then(|date| HeaderValue::try_from(date).ok());
    page.headers_mut().extend(modified.map(|date| (header::LAST_MODIFIED, date)));
    page
}

/// A Binary whose data are sent piece by piece, without them.
fn header_of(answer: &Answer) -> Option<Resource> {
    let Content::Blob { blob, .. } = &answer.content else { return None };
    let (before, _) = blob.around.as_ref()?;
    let text = std::str::from_utf8(before).ok()?.strip_suffix(r#","data":""#)?;
    fhir::parse(format!("{text}}}").as_bytes(), fhir::Format::Json).ok()
}

/// The page of a resource; with a form that was sent, where that has failed.
pub(super) async fn one(visit: &Visit, resource: &Resource, sent: Option<Form>, status: StatusCode) -> Page {
    let ty = resource.resource_type();
    let base = visit.site.base_url.as_str();
    let form = match (sent, ty) {
        (Some(sent), _) => Some(sent),
        (None, "Task") => task::form(visit, resource).await,
        (None, "QuestionnaireResponse") => answer::form(visit, resource).await,
        (None, _) => None,
    };
    let title = match resource.id() {
        Some(_) => {
            let name = ["title", "name"].iter().find_map(|path| resource.text(path));
            name.map_or_else(|| title(resource), str::to_owned)
        }
        None => ty.to_owned(),
    };
    let json = fhir::to_json(resource);
    let shown = json.len() <= source::MAX_SHOWN;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap_or_default();
    let frame = Frame::new(visit, &title);
    let page = ResourcePage {
        frame: &frame,
        ty,
        id: resource.id(),
        version: resource.version_id(),
        updated: resource.last_updated().map(fields::when),
        here: resource.id().map(|id| format!("{base}/{ty}/{id}")),
        path: resource.id().map(|id| format!("{ty}/{id}")),
        fields: fields::of(resource, base),
        inputs: parameters(resource, "input", base),
        outputs: parameters(resource, "output", base),
        answers: if ty == "QuestionnaireResponse" { answer::given(resource, base) } else { Vec::new() },
        running: ty == "Task" && matches!(resource.text("status"), Some("requested" | "in-progress")),
        binary: ty == "Binary",
        form,
        xml: shown.then(|| source::xml(&text(fhir::to_xml(resource)), base)),
        json: shown.then(|| source::json(&text(json), base)),
    };
    response::html(status, &frame, &page)
}

/// What a resource without a name is called.
fn title(resource: &Resource) -> String {
    match resource.resource_type() {
        "Task" => {
            let process = resource
                .text("instantiatesCanonical")
                .or_else(|| resource.text("instantiatesUri"))
                .map(|process| fhir::reference::canonical(process).0)
                .and_then(|process| process.rsplit('/').find(|part| !part.contains('.')))
                .unwrap_or("of no process");
            match resource.text("status") {
                Some("draft") => format!("Start {process}"),
                _ => format!("Task {process}"),
            }
        }
        "QuestionnaireResponse" => "Form".to_owned(),
        other => other.to_owned(),
    }
}

fn parameters(resource: &Resource, name: &str, base: &str) -> Vec<Parameter> {
    if resource.resource_type() != "Task" {
        return Vec::new();
    }
    resource
        .each(name)
        .map(|parameter| Parameter {
            label: task::label(parameter),
            value: parameter.choice("value").map_or_else(
                || fields::Value { text: String::new(), link: None },
                |value| fields::value(value, base),
            ),
            details: parameter
                .each("extension")
                .flat_map(|extension| extension.each("extension"))
                .filter_map(|part| {
                    let label = part.extension_url()?.replace('-', " ");
                    Some((label, fields::value(part.choice("value")?, base)))
                })
                .collect(),
        })
        .collect()
}
