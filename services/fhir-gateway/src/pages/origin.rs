//! Only our own pages may make a browser write: where a request comes from, and the token of forms.
//!
//! A browser shows its certificate to us whoever's page made it call. Two walls stand against that:
//! what browsers say of the origin of a request, and a token that is in a cookie and in the form.
use http::{HeaderMap, Method, header};

/// Cookie of the form token. The prefix keeps other hosts of the domain from setting it.
pub(crate) const TOKEN_COOKIE: &str = "__Host-dsf-form";
/// Random bytes in a token.
const TOKEN_LENGTH: usize = 32;

/// Whether a browser sends this request from another site's page. Other clients say nothing of an
/// origin; a request without any word of it is theirs.
pub(crate) fn is_foreign(method: &Method, headers: &HeaderMap, base_url: &str) -> bool {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return false;
    }
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    let other_origin = text("origin").is_some_and(|origin| !origin.eq_ignore_ascii_case(own(base_url)));
    let other_site = text("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none"));
    other_origin || other_site
}

/// Whether a browser says that this request comes from a page of ours. Forms need it.
pub(crate) fn is_own(headers: &HeaderMap, base_url: &str) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    text("origin").is_some_and(|origin| origin.eq_ignore_ascii_case(own(base_url)))
        && text("sec-fetch-site").is_none_or(|site| site == "same-origin")
}

/// Scheme, host and port of the base URL.
pub(crate) fn own(base_url: &str) -> &str {
    let start = base_url.find("://").map_or(0, |at| at + 3);
    let end = base_url[start..].find('/').map_or(base_url.len(), |at| start + at);
    &base_url[..end]
}

/// Value of a cookie.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// The token of this browser; a new one where it has none yet.
pub(crate) fn token(headers: &HeaderMap) -> (String, bool) {
    match cookie(headers, TOKEN_COOKIE).filter(|token| token.len() == 2 * TOKEN_LENGTH) {
        Some(token) => (token.to_owned(), false),
        None => (hex::encode(rand::random::<[u8; TOKEN_LENGTH]>()), true),
    }
}

/// Whether the token of a form is the one of the browser.
pub(crate) fn is_token(headers: &HeaderMap, sent: &str) -> bool {
    let known = cookie(headers, TOKEN_COOKIE).unwrap_or_default();
    known.len() == 2 * TOKEN_LENGTH
        && aws_lc_rs::constant_time::verify_slices_are_equal(known.as_bytes(), sent.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn foreign_pages_are_told_from_ours() {
        let base = "https://dsf.example.org:8443/fhir";
        let ours = "https://dsf.example.org:8443";
        // origin, sec-fetch-site, foreign, own
        let table = [
            (None, None, false, false),
            (Some(ours), Some("same-origin"), false, true),
            (Some(ours), None, false, true),
            (Some("https://dsf.example.org"), Some("same-site"), true, false),
            (Some("https://evil.example"), None, true, false),
            (Some("null"), None, true, false),
            (None, Some("cross-site"), true, false),
            (Some(ours), Some("cross-site"), true, false),
        ];
        for (origin, site, foreign, own) in table {
            let mut headers = HeaderMap::new();
            for (name, value) in [("origin", origin), ("sec-fetch-site", site)] {
                if let Some(value) = value {
                    headers.insert(name, HeaderValue::from_static(value));
                }
            }
            assert_eq!(is_foreign(&Method::POST, &headers, base), foreign, "{origin:?} {site:?}");
            assert_eq!(is_own(&headers, base), own, "{origin:?} {site:?}");
            assert!(!is_foreign(&Method::GET, &headers, base), "reading is not writing");
        }
    }

    #[test]
    fn tokens_come_from_the_cookie() {
        let mut headers = HeaderMap::new();
        let (token, new) = token(&headers);
        assert!(new && !is_token(&headers, &token) && !is_token(&headers, ""));
        let line = format!("dsf-theme=dark; {TOKEN_COOKIE}={token}");
        headers.insert(header::COOKIE, HeaderValue::try_from(line).unwrap());
        assert!(is_token(&headers, &token));
        assert_eq!(super::token(&headers), (token.clone(), false));
        assert!(!is_token(&headers, &token.replace(&token[..1], "x")));
    }
}
