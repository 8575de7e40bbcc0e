//! Bookmarks of a person: in a cookie of their browser, nowhere else (fhir-endpoint contract 9).
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{Page, Visit, form::Sent, origin, response};

/// The cookie: `<path>~<name>` of every bookmark, escaped, the newest first, separated by `|`.
const COOKIE: &str = "dsf-bookmarks";
/// Bookmarks at most; a further one takes the place of the oldest.
const MAX_BOOKMARKS: usize = 20;
/// Longest name that is kept, in characters.
const MAX_NAME: usize = 40;
/// Longest cookie, in bytes: browsers keep 4096 with its attributes.
const MAX_COOKIE: usize = 3500;
/// What stands in the cookie as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.');

/// A resource to come back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bookmark {
    /// `Type/id`
    pub(super) path: String,
    /// What the page was called.
    pub(super) name: String,
}

/// The bookmarks of the browser that asks.
pub(super) fn of(headers: &http::HeaderMap) -> Vec<Bookmark> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8().ok().map(String::from);
    origin::cookie(headers, COOKIE)
        .unwrap_or_default()
        .split('|')
        .filter_map(|bookmark| {
            let (path, name) = bookmark.split_once('~')?;
            let bookmark = Bookmark { path: decode(path)?, name: decode(name)? };
            is_resource(&bookmark.path).then_some(bookmark)
        })
        .take(MAX_BOOKMARKS)
        .collect()
}

/// Keeps or forgets a bookmark and goes to its resource, or to the start page where it is forgotten.
pub(super) fn submit(visit: &Visit, sent: &Sent) -> Page {
    let base = &visit.site.base_url;
    let Some(path) = sent.value("path").filter(|path| is_resource(path)) else {
        return response::without_answer(visit, http::StatusCode::BAD_REQUEST, "That cannot be bookmarked.");
    };
    let mut bookmarks = of(&visit.headers);
    bookmarks.retain(|known| known.path != path);
    let keep = sent.value("name").filter(|name| !name.trim().is_empty());
    if let Some(name) = keep {
        let name = name.chars().filter(|character| !character.is_control()).take(MAX_NAME).collect();
        bookmarks.insert(0, Bookmark { path: path.to_owned(), name });
    }
    let mut page = response::go(&format!("{base}/{path}"));
    response::set_cookie(&mut page, COOKIE, &cookie(&bookmarks), false);
    page
}

fn cookie(bookmarks: &[Bookmark]) -> String {
    let mut cookie = String::new();
    for Bookmark { path, name } in bookmarks.iter().take(MAX_BOOKMARKS) {
        let next = format!("{}~{}", utf8_percent_encode(path, PLAIN), utf8_percent_encode(name, PLAIN));
        if cookie.len() + next.len() >= MAX_COOKIE {
            break;
        }
        if !cookie.is_empty() {
            cookie.push('|');
        }
        cookie.push_str(&next);
    }
    cookie
}

/// Whether a path is that of a resource here, so that no bookmark leads elsewhere.
fn is_resource(path: &str) -> bool {
    path.split_once('/').is_some_and(|(ty, id)| {
        fhir::search::search_of(ty).is_some() && crate::interactions::uuid(id).is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bookmarks_fit_a_cookie() {
        let id = "0b6f2a39-43a1-4a1a-9f5a-1f2b3c4d5e6f";
        let bookmark = |name: &str| Bookmark { path: format!("Task/{id}"), name: name.to_owned() };
        let read = |cookie: &str| {
            let mut headers = http::HeaderMap::new();
            headers.insert(http::header::COOKIE, format!("a=b; {COOKIE}={cookie}").parse().unwrap());
            of(&headers)
        };
        let some = vec![bookmark("Zuordnung |~;=\" ä"), bookmark("second")];
        assert_eq!(read(&cookie(&some)), some);
        let long = vec![bookmark(&"ä".repeat(MAX_NAME)); 30];
        let text = cookie(&long);
        assert!(text.len() < MAX_COOKIE && read(&text).len() >= 10, "{}", text.len());
        for nonsense in [
            "",
            "~",
            "x",
            "Task~x",
            "Task/1~x",
            "https://evil~x",
            "Nothing/0b6f2a39-43a1-4a1a-9f5a-1f2b3c4d5e6f~x",
            "%ff~%ff",
        ] {
            assert_eq!(read(nonsense), [], "{nonsense}");
        }
    }
}
