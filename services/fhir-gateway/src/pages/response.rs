//! From a rendered page to an HTTP response: headers that keep a browser from doing what no page of
//! ours needs (fhir-endpoint contract 1.3).
use askama::Template;
use fhir::Resource;
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::{Page, Visit, frame::Frame, origin, resource};
use crate::exchange::Answer;

/// No script, no inline style, nothing from elsewhere, no frame around us.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 9] = [
    (header::CACHE_CONTROL, "private, no-cache, no-transform"),
    (header::VARY, "Accept, Cookie"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "strict-origin-when-cross-origin"),
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-site"),
    (HeaderName::from_static("permissions-policy"), "geolocation=(), camera=(), microphone=()"),
];

/// An empty response with the headers of pages.
pub(super) fn bare(status: StatusCode) -> Page {
    let mut page = Page::new(bytes::Bytes::new().into());
    *page.status_mut() = status;
    for (name, value) in HEADERS {
        page.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    page
}

/// A page.
pub(super) fn html(status: StatusCode, frame: &Frame, template: &impl Template) -> Page {
    let text = match template.render() {
        Ok(text) => text,
        Err(error) => {
            tracing::error!(%error, "a page cannot be rendered");
            return bare(StatusCode::INTERNAL_SERVER_ERROR);
        }
    };
    let mut page = bare(status);
    let headers = page.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html;charset=UTF-8"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
    if frame.new_token {
        set_cookie(&mut page, origin::TOKEN_COOKIE, &frame.token, true);
    }
    *page.body_mut() = text.into();
    page
}

/// Sets a cookie for the pages of this host, for this site's own requests.
pub(super) fn set_cookie(page: &mut Page, name: &str, value: &str, session: bool) {
    let age = if session { "" } else { "; Max-Age=31536000" };
    let cookie = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Strict{age}");
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        page.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

/// Sends the browser to another page of ours.
pub(super) fn go(location: &str) -> Page {
    let mut page = bare(StatusCode::SEE_OTHER);
    match HeaderValue::try_from(location) {
        Ok(location) => drop(page.headers_mut().insert(header::LOCATION, location)),
        Err(_) => *page.status_mut() = StatusCode::BAD_REQUEST,
    }
    page
}

/// One problem, for people.
pub(super) struct Issue {
    pub(super) severity: String,
    pub(super) text: String,
    pub(super) place: String,
}

/// The issues of an OperationOutcome.
pub(super) fn issues(outcome: &Resource) -> Vec<Issue> {
    outcome
        .each("issue")
        .map(|issue| Issue {
            severity: issue.text("severity").unwrap_or("error").to_owned(),
            text: issue
                .text("diagnostics")
                .or_else(|| issue.text("details.text"))
                .unwrap_or("no further word")
                .to_owned(),
            place: issue
                .each("expression")
                .chain(issue.each("location"))
                .filter_map(fhir::Element::value)
                .collect::<Vec<_>>()
                .join(", "),
        })
        .collect()
}

#[derive(Template)]
#[template(path = "outcome.html")]
struct OutcomePage<'a> {
    frame: &'a Frame,
    status: StatusCode,
    issues: Vec<Issue>,
}

/// The page of an answer that is not what was asked for.
pub(crate) fn outcome(visit: &Visit, answer: &Answer) -> Page {
    let issues = resource(answer).map(|outcome| issues(&outcome)).unwrap_or_default();
    said(visit, answer.status, issues)
}

/// The page of a status alone.
pub(crate) fn without_answer(visit: &Visit, status: StatusCode, text: &str) -> Page {
    let issue = Issue { severity: "error".to_owned(), text: text.to_owned(), place: String::new() };
    said(visit, status, vec![issue])
}

fn said(visit: &Visit, status: StatusCode, issues: Vec<Issue>) -> Page {
    let title = match status {
        StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::GONE => "Deleted",
        StatusCode::SERVICE_UNAVAILABLE => "Not available now",
        status if status.is_success() => "Done",
        _ => "That did not work",
    };
    let frame = Frame::new(visit, title);
    html(status, &frame, &OutcomePage { frame: &frame, status, issues })
}
