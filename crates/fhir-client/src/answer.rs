//! An HTTP answer of any status.
use bytes::Bytes;
use fhir::{Format, ParseError, Resource};
use http::{HeaderMap, StatusCode, header};

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// `Location` header.
    pub location: Option<String>,
    /// `ETag` header.
    pub etag: Option<String>,
    /// The body; empty where there was none.
    pub body: Bytes,
}

impl Answer {
    pub(crate) fn new(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Self { status, location: text(header::LOCATION), etag: text(header::ETAG), body }
    }

    /// The resource version that the answer is about: from `ETag`, else from `Location`.
    pub fn version(&self) -> Option<u64> {
        let etag = self.etag.as_deref().and_then(|etag| {
            let etag = etag.strip_prefix("W/").unwrap_or(etag);
            etag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
        });
        etag.or_else(|| self.location.as_deref()?.rsplit_once("/_history/")?.1.parse().ok())
    }

    /// The body as a resource.
    ///
    /// # Errors
    /// When it is not a resource in FHIR JSON.
    pub fn resource(&self) -> Result<Resource, ParseError> {
        fhir::parse(&self.body, Format::Json)
    }
}
