//! From an answer to an HTTP response: format, headers, length.
use bytes::Bytes;
use fhir::Format;
use http::{HeaderName, HeaderValue, StatusCode, header};
use warp::{Reply, reply::Response};

use super::negotiate::format_date;
use crate::exchange::{Answer, Content, Output, RETRY_AFTER_SECONDS};

/// On answers with and about resources.
const CACHE_CONTROL: &str = "private, no-cache, no-transform";

/// A response without body.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Bytes::new().into());
    *response.status_mut() = status;
    if status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    response
}

/// 503: the client may come again.
pub(super) fn busy() -> Response {
    let mut response = empty(StatusCode::SERVICE_UNAVAILABLE);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    response
}

/// 403 to a caller we do not know, exactly as recorded (fhir-endpoint contract 3.1).
pub(super) fn unknown_caller() -> Response {
    let mut response = empty(StatusCode::FORBIDDEN);
    let value = HeaderValue::from_static("must-revalidate,no-cache,no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, value);
    response
}

/// 405, or the answer to OPTIONS, with the methods that work.
pub(super) fn allowing(status: StatusCode, allow: &'static str) -> Response {
    let mut response = empty(status);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

/// Writes an answer in the negotiated form. `head` leaves out the body but not its length.
pub(super) fn write(answer: Answer, output: &Output, head: bool) -> Response {
    let content_type = |output: &Output| format!("{};charset=UTF-8", output.media_type);
    let (mut length, mut body) = (None, None);
    let (bytes, kind) = match answer.content {
        Content::Empty => (Bytes::new(), None),
        Content::Resource(resource) => {
            (fhir::write(&resource, output.format).into(), Some(content_type(output)))
        }
        Content::Stored(json) if output.format == Format::Json => (json, Some(content_type(output))),
        Content::Stored(json) => match fhir::parse(&json, Format::Json) {
            Ok(resource) => (fhir::to_xml(&resource).into(), Some(content_type(output))),
            Err(error) => {
                tracing::error!(%error, "a stored resource cannot be read");
                return empty(StatusCode::INTERNAL_SERVER_ERROR);
            }
        },
        Content::Raw { content_type, bytes } => (bytes, Some(content_type)),
        Content::Blob { content_type, blob } => {
            length = Some(blob.length());
            body = (!head).then(|| warp::reply::stream(blob.stream()).into_response().into_body());
            (Bytes::new(), Some(content_type))
        }
    };
    let length = length.unwrap_or(bytes.len() as u64);
    let mut response = empty(answer.status);
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: String| match HeaderValue::try_from(value) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(_) => tracing::error!(%name, "a header value cannot be sent"),
    };
    set(header::CACHE_CONTROL, CACHE_CONTROL.to_owned());
    set(header::VARY, "Accept".to_owned());
    if let Some(version) = answer.version {
        set(header::ETAG, format!("W/\"{version}\""));
    }
    if let Some(date) = answer.last_modified.and_then(format_date) {
        set(header::LAST_MODIFIED, date);
    }
    if let Some(location) = answer.location {
        set(header::LOCATION, location);
    }
    if let Some(kind) = kind {
        set(header::CONTENT_TYPE, kind);
        set(header::CONTENT_LENGTH, length.to_string());
    }
    for (name, value) in answer.headers {
        headers.insert(name, value);
    }
    if !head {
        *response.body_mut() = body.unwrap_or_else(|| bytes.into());
    }
    response
}
