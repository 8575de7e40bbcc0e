//! What pages load: the style sheet, built in.
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};

use super::{Page, response};

/// Name, media type, bytes.
const ASSETS: [(&str, &str, &[u8]); 2] = [
    ("pages.css", "text/css;charset=UTF-8", include_bytes!("../../assets/pages.css")),
    ("icon.svg", "image/svg+xml", include_bytes!("../../assets/icon.svg")),
];

/// An asset by its name.
pub(crate) fn asset(name: &str, headers: &HeaderMap) -> Page {
    let Some((_, kind, bytes)) = ASSETS.iter().find(|(known, ..)| *known == name) else {
        return response::bare(StatusCode::NOT_FOUND);
    };
    let tag = format!("\"{}\"", hex::encode(&Sha256::digest(bytes)[..8]));
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut page = response::bare(if known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    let headers = page.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    // Hexadecimal digits in quotes are a header value.
    headers.extend(HeaderValue::try_from(tag).ok().map(|tag| (header::ETAG, tag)));
    if !known {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        *page.body_mut() = (*bytes).into();
    }
    page
}
