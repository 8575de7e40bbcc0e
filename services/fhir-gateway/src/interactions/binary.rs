//! Binary: its raw form, ranges, and data that do not lie in the resource (fhir-endpoint contract 1.12).
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use deadpool_postgres::GenericClient;
use fhir::{Format, Resource};
use futures_util::Stream;
use http::{HeaderName, HeaderValue, StatusCode, header};
use std::sync::Arc;
use uuid::Uuid;

use super::{
    create::{MAX_RACES, Prepared},
    failure::Failure,
    references::Verified,
    unit::{Target, Unit, parsed},
    written::Written,
};
use crate::{
    data::{Blob, MAX_INLINE, Place, Range, Upload, UploadError, range},
    exchange::{Answer, BodyFormat, Content, Interaction, Request},
    site::Site,
    store::{CHUNK, DataRef, Session, Stored},
};

/// File name extensions by media type; anything else is `bin`.
const EXTENSIONS: [(&str, &str); 21] = [
    ("image/jpeg", "jpeg"),
    ("image/png", "png"),
    ("image/svg+xml", "svg"),
    ("image/tiff", "tiff"),
    ("text/csv", "csv"),
    ("text/html", "html"),
    ("text/plain", "txt"),
    ("application/dicom", "dicom"),
    ("application/json", "json"),
    ("application/fhir+json", "json"),
    ("application/xml", "xml"),
    ("text/xml", "xml"),
    ("application/fhir+xml", "xml"),
    ("application/gzip", "gz"),
    ("application/pdf", "pdf"),
    ("application/x-pem-file", "pem"),
    ("application/pem-certificate-chain", "pem"),
    ("application/ndjson", "ndjson"),
    ("application/x-ndjson", "ndjson"),
    ("application/fhir+ndjson", "ndjson"),
    ("application/zip", "zip"),
];
/// What a browser shows in place with `_format=inline`; anything else it is offered as a file.
const SHOWN: [&str; 9] = [
    "text/html",
    "text/plain",
    "application/pdf",
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/svg+xml",
    "image/avif",
];
/// For data that are shown in place: nothing is run, nothing is loaded, only our pages may frame them.
const INLINE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
     frame-ancestors 'self'; sandbox";

/// Media type without parameters.
fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or(content_type).trim()
}

/// The resource that a raw body is, without its data. Exactly one security context must be named.
pub(super) fn described(request: &Request) -> Result<Resource, Failure> {
    let BodyFormat::Raw(content_type) = &request.body_format else { return Err(Failure::Unparsable) };
    match &request.interaction {
        Interaction::Create { .. } => {}
        // As recorded: only the FHIR form updates.
        Interaction::Update { .. } => {
            return Err(Failure::BadRequest("Binary is updated in its FHIR form only".to_owned()));
        }
        _ => return Err(Failure::UnsupportedMediaType),
    }
    let [context] = request.security_context.as_slice() else {
        return Err(Failure::BadRequest("exactly one X-Security-Context header is needed".to_owned()));
    };
    if context.trim().is_empty() {
        return Err(Failure::BadRequest("X-Security-Context is blank".to_owned()));
    }
    let mut resource = Resource::new("Binary");
    resource.set_text("contentType", content_type);
    resource.push(fhir::Element::new("securityContext").with_text("reference", context.trim()));
    Ok(resource)
}

/// The resource that a small raw body is.
pub(super) fn from_raw(request: &Request) -> Result<Resource, Failure> {
    let mut resource = described(request)?;
    if !request.body.is_empty() {
        resource.push(fhir::Element::primitive("data", &STANDARD.encode(&request.body)));
    }
    Ok(resource)
}

/// Creates a Binary from a raw body that is read while it is written. Never fails, like
/// [`super::handle`]; everything that can be refused is refused before the body is read.
pub(crate) async fn receive<E>(
    site: &Arc<Site>,
    request: Request,
    first: Bytes,
    rest: impl Stream<Item = Result<Bytes, E>>,
) -> Answer {
    let received = async {
        let resource = described(&request)?;
        let mut verified = Verified::default();
        let existing = loop {
            match check(site, &request, &verified, resource.clone()).await {
                Err(Failure::Unverified(pending)) => verified.ask(site, pending).await?,
                found => break found?,
            }
        };
        if let Some(existing) = existing {
            return Ok(existing.answer(site, request.prefer.returns));
        }
        let Some(place) = site.transfers.upload() else { return Ok(busy()) };
        let mut upload = Upload::new(site.store.clone());
        upload.receive(first, rest, site.limits.max_binary).await?;
        drop(place);
        let (site, request) = (Arc::clone(site), request.clone());
        // A task of its own: what has begun ends, also when the client goes away in the middle.
        let finish = tokio::spawn(async move { finish(&site, &request, verified, resource, upload).await });
        finish.await.map_err(|_| Failure::Internal("a Binary was not written to its end"))?
    };
    let answered: Result<Answer, Failure> = received.await;
    answered.unwrap_or_else(|failure| failure.answer(site, "Binary"))
}

/// All checks of a create; what there was before, where `If-None-Exist` found it.
async fn check(
    site: &Site,
    request: &Request,
    verified: &Verified,
    mut resource: Resource,
) -> Result<Option<Written>, Failure> {
    let session = site.store.session().await?;
    let unit = Unit { verified: verified.clone(), ..Unit::direct(site, request, &session) };
    match unit.prepare_create("Binary", &mut resource, request.conditions.if_none_exist.as_deref()).await? {
        Prepared::Existed(existing) => Ok(Some(existing)),
        Prepared::New { .. } => Ok(None),
    }
}

/// Checks once more, for the upload may have taken long, and writes the version.
async fn finish(
    site: &Site,
    request: &Request,
    verified: Verified,
    mut resource: Resource,
    upload: Upload,
) -> Result<Answer, Failure> {
    let session = site.store.session().await?;
    let unit = Unit { verified, ..Unit::direct(site, request, &session) };
    let condition = request.conditions.if_none_exist.as_deref();
    let mut races = 0;
    let written = loop {
        match unit.prepare_create("Binary", &mut resource, condition).await? {
            Prepared::Existed(existing) => break existing,
            Prepared::New { permit, notes, once } => {
                let new = Target::New { id: Uuid::new_v4(), once };
                let data = Some(upload.data());
                match unit.write_version("Binary", resource.clone(), new, permit, data).await {
                    Err(Failure::Raced) if races < MAX_RACES => races += 1,
                    written => break Written { notes, ..written? },
                }
            }
        }
    };
    drop(session);
    if let Some(event) = written.event() {
        upload.keep().await;
        site.changes.committed(vec![event]);
    }
    Ok(written.answer(site, request.prefer.returns))
}

fn busy() -> Answer {
    Answer::unavailable("too many transfers of data at once: try again later")
}

/// Takes data that are too large for a resource out of it and writes them; none where they stay.
pub(super) async fn set_aside<C: GenericClient>(
    session: &Session<C>,
    resource: &mut Resource,
) -> Result<Option<DataRef>, Failure> {
    // Base64 takes four characters for three bytes.
    let Some(text) = resource.text("data").filter(|text| text.len() / 4 * 3 > MAX_INLINE) else {
        return Ok(None);
    };
    let compact: String;
    let text = if text.bytes().any(|byte| byte.is_ascii_whitespace()) {
        compact = text.split_ascii_whitespace().collect();
        &compact
    } else {
        text
    };
    let bytes = STANDARD.decode(text).map_err(|_| Failure::Unparsable)?;
    resource.remove("data");
    let data = DataRef { id: Uuid::new_v4(), size: bytes.len() as u64 };
    for (position, piece) in (0..).zip(bytes.chunks(CHUNK)) {
        session.add_chunk(data.id, position, piece).await?;
    }
    Ok(Some(data))
}

/// The answer to a read of a Binary in the form that is asked for.
pub(super) fn answer(site: &Site, request: &Request, stored: Stored) -> Result<Answer, Failure> {
    if wants_raw(request) || inline(request) {
        raw(site, request, &stored)
    } else {
        form(site, request, stored)
    }
}

/// The FHIR form, with its data wherever they lie.
fn form(site: &Site, request: &Request, stored: Stored) -> Result<Answer, Failure> {
    let Some(data) = stored.data else { return Ok(Answer::stored(StatusCode::OK, stored.content.into())) };
    let broken = Failure::Internal("a stored Binary cannot be read");
    let (mut before, end, around) = match request.output.format {
        Format::Json => (stored.content, "}", (r#","data":""#, r#""}"#)),
        Format::Xml => {
            (fhir::to_xml(&parsed(&stored)?), "</Binary>", (r#"<data value=""#, r#""/></Binary>"#))
        }
    };
    if !before.ends_with(end.as_bytes()) {
        return Err(broken);
    }
    before.truncate(before.len() - end.len());
    before.extend_from_slice(around.0.as_bytes());
    let Ok(place) = place(site, request) else { return Ok(busy()) };
    let blob = Blob {
        store: site.store.clone(),
        data,
        range: 0..data.size,
        around: Some((before.into(), Bytes::from_static(around.1.as_bytes()))),
        place,
    };
    let mut answer = Answer::empty(StatusCode::OK);
    let content_type = format!("{};charset=UTF-8", request.output.media_type);
    answer.content = Content::Blob { content_type, blob: Box::new(blob) };
    Ok(answer)
}

/// A place for a download; HEAD needs none.
fn place(site: &Site, request: &Request) -> Result<Option<Place>, ()> {
    if request.head { Ok(None) } else { site.transfers.download().map(Some).ok_or(()) }
}

/// FHIR form where `_format` or the first `Accept` asks for a FHIR media type (contract 1.12).
fn wants_raw(request: &Request) -> bool {
    let accept = request.output.accept.as_deref().unwrap_or_default();
    let first = accept.split([',', ';']).next().unwrap_or_default().trim();
    let fhir =
        ["application/fhir+xml", "application/fhir+json", "application/xml+fhir", "application/json+fhir"];
    !request.output.by_parameter && !fhir.contains(&first)
}

/// `_format=inline`: the data as a browser shows them.
fn inline(request: &Request) -> bool {
    request.query.iter().find(|(name, _)| name == "_format").is_some_and(|(_, value)| value == "inline")
}

fn raw(site: &Site, request: &Request, stored: &Stored) -> Result<Answer, Failure> {
    let binary = parsed(stored)?;
    let content_type = binary.text("contentType").unwrap_or("application/octet-stream").to_owned();
    let inline = inline(request);
    if !inline && !accepts(request.output.accept.as_deref(), &content_type) {
        return Ok(Answer::empty(StatusCode::NOT_ACCEPTABLE));
    }
    let bytes = match stored.data {
        Some(_) => Bytes::new(),
        None => STANDARD
            .decode(binary.text("data").unwrap_or_default())
            .map_err(|_| Failure::Internal("a stored Binary cannot be read"))?
            .into(),
    };
    let size = stored.data.map_or(bytes.len() as u64, |data| data.size);
    let asked = if request.head || !fresh(request, stored) {
        Range::Whole
    } else {
        range(request.conditions.range.as_deref(), size)
    };
    let (status, part, content_range) = match asked {
        Range::Whole => (StatusCode::OK, 0..size, None),
        Range::Part(part) => {
            let text = format!("bytes {}-{}/{size}", part.start, part.end - 1);
            (StatusCode::PARTIAL_CONTENT, part, Some(text))
        }
        Range::Unsatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, 0..0, Some(format!("bytes */{size}"))),
    };
    let mut answer = Answer::empty(status);
    let known = essence(&content_type);
    let extension = EXTENSIONS.iter().find(|(kind, _)| *kind == known).map_or("bin", |(_, name)| name);
    let way = if inline && SHOWN.contains(&known) { "inline" } else { "attachment" };
    let headers = [
        (header::ACCEPT_RANGES, Some("bytes".to_owned())),
        (header::CONTENT_RANGE, content_range),
        (header::X_CONTENT_TYPE_OPTIONS, Some("nosniff".to_owned())),
        (header::CONTENT_SECURITY_POLICY, inline.then(|| INLINE_POLICY.to_owned())),
        (header::CONTENT_DISPOSITION, Some(format!("{way}; filename=Binary_{}.{extension}", stored.id))),
        (
            HeaderName::from_static("x-security-context"),
            binary.text("securityContext.reference").map(str::to_owned),
        ),
    ];
    for (name, value) in headers {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            answer = answer.with_header(name, value);
        }
    }
    if status == StatusCode::RANGE_NOT_SATISFIABLE {
        return Ok(answer);
    }
    answer.content = match stored.data {
        Some(data) => {
            let Ok(place) = place(site, request) else { return Ok(busy()) };
            let blob = Blob { store: site.store.clone(), data, range: part, around: None, place };
            Content::Blob { content_type, blob: Box::new(blob) }
        }
        None => {
            // Both ends lie within `bytes`, whose length is the size.
            let at = |end: u64| usize::try_from(end).unwrap_or(usize::MAX).min(bytes.len());
            Content::Raw { content_type, bytes: bytes.slice(at(part.start)..at(part.end)) }
        }
    };
    Ok(answer)
}

/// Whether `If-Range`, where there is one, names this version: by weak ETag or by date.
fn fresh(request: &Request, stored: &Stored) -> bool {
    let Some(condition) = request.conditions.if_range.as_deref().map(str::trim) else { return true };
    if condition == format!("W/\"{}\"", stored.version) {
        return true;
    }
    crate::http::parse_date(condition)
        .is_some_and(|date| date.unix_timestamp() == stored.last_updated.div_euclid(1000))
}

fn accepts(accept: Option<&str>, content_type: &str) -> bool {
    let own = essence(content_type);
    let family = own.split('/').next().unwrap_or(own);
    accept.is_none_or(|accept| {
        accept
            .split(',')
            .map(essence)
            .any(|part| part == "*/*" || part == own || part.strip_suffix("/*") == Some(family))
    })
}

impl From<UploadError> for Failure {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Broken => Self::BadRequest("the body ended early".to_owned()),
            UploadError::Stalled => Self::BodyTimeout,
            UploadError::TooLarge { limit } => Self::TooLarge(format!("a Binary has at most {limit} bytes")),
            UploadError::Database(error) => Self::Database(error),
        }
    }
}
