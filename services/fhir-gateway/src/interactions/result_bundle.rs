//! Searchsets and histories: pages, links and the warning entry (fhir-endpoint contract 1.9 and 1.10).
use fhir::{
    Format, datetime,
    outcome::Severity,
    search::{Problem, Summary},
    summary::summarize,
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::failure::Failure;
use crate::site::Site;

/// Largest product of page and page size that is offered.
const MAX_POSITION: i64 = i32::MAX as i64;
/// What must be escaped in the values of links.
const ESCAPED: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'&').add(b'+').add(b'<').add(b'>').add(b'|');

/// Which page of a result is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    count: i64,
    page: i64,
    counts_only: bool,
}

impl Window {
    /// From `_count`, `_page` and `_summary`.
    pub(super) fn new(site: &Site, count: Option<i64>, page: Option<i64>, summary: Option<Summary>) -> Self {
        let default = i64::from(site.page_count);
        let (count, page) = (count.unwrap_or(default), page.unwrap_or(1));
        let (count, page) = if count > 0 && page > 0 && count.saturating_mul(page) > MAX_POSITION {
            (default, 1)
        } else {
            (count.min(i64::from(site.limits.max_page_count)), page)
        };
        Self { count, page, counts_only: summary == Some(Summary::Count) || count < 1 || page < 1 }
    }

    /// Most entries of the page; 0 counts only.
    pub(super) fn limit(self) -> i64 {
        if self.counts_only { 0 } else { self.count }
    }

    /// Entries before the page.
    pub(super) fn offset(self) -> i64 {
        self.page.saturating_sub(1).saturating_mul(self.limit())
    }
}

/// One entry, everything but its resource written already.
pub(super) struct Entry<'a> {
    /// Members before the resource, each followed by a comma.
    pub(super) before: String,
    /// Compact FHIR JSON.
    pub(super) resource: Option<&'a [u8]>,
    /// Members behind it, without comma at either end.
    pub(super) after: String,
}

/// A result in the making.
pub(super) struct ResultBundle<'a> {
    /// `searchset` or `history`.
    pub(super) kind: &'static str,
    /// What was asked, absolute, without query.
    pub(super) url: String,
    /// The parameters that were understood, without `_count` and `_page`.
    pub(super) understood: &'a [(String, String)],
    /// `_summary`
    pub(super) summary: Option<Summary>,
    /// The page.
    pub(super) window: Window,
    /// Entries over all pages that the caller may see.
    pub(super) total: u64,
    /// Entries of this page.
    pub(super) entries: Vec<Entry<'a>>,
    /// What was not understood.
    pub(super) problems: &'a [Problem],
}

impl ResultBundle<'_> {
    /// Compact FHIR JSON. Stored JSON goes in as it is, without being read again.
    pub(super) fn json(&self) -> Result<Vec<u8>, Failure> {
        let mut json = Vec::with_capacity(4096);
        let push = |json: &mut Vec<u8>, text: &str| json.extend_from_slice(text.as_bytes());
        push(
            &mut json,
            &format!(
                r#"{{"resourceType":"Bundle","type":"{}","timestamp":"{}","total":{},"link":["#,
                self.kind,
                datetime::now(),
                self.total
            ),
        );
        for (index, (relation, url)) in self.links().iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            push(&mut json, &format!(r#"{comma}{{"relation":"{relation}","url":{}}}"#, quoted(url)));
        }
        push(&mut json, "]");
        let mut opening = r#","entry":[{"#;
        for entry in &self.entries {
            push(&mut json, opening);
            opening = ",{";
            push(&mut json, &entry.before);
            if let Some(resource) = entry.resource {
                push(&mut json, r#""resource":"#);
                json.extend_from_slice(&summarized(resource, self.summary)?);
                push(&mut json, ",");
            }
            push(&mut json, &entry.after);
            push(&mut json, "}");
        }
        if !self.problems.is_empty() {
            let outcome = fhir::outcome::one(Severity::Warning, "processing", &problems(self.problems));
            push(&mut json, opening);
            opening = ",{";
            push(&mut json, r#""resource":"#);
            json.extend_from_slice(&fhir::to_json(&outcome));
            push(&mut json, r#","search":{"mode":"outcome"}}"#);
        }
        if opening == ",{" {
            push(&mut json, "]");
        }
        push(&mut json, "}");
        Ok(json)
    }

    fn links(&self) -> Vec<(&'static str, String)> {
        let Window { count, page, .. } = self.window;
        if self.entries.is_empty() {
            return vec![("self", self.link(0, None))];
        }
        let last = i64::try_from(self.total).unwrap_or(i64::MAX).saturating_add(count - 1) / count.max(1);
        let mut links = vec![("self", self.link(count, Some(page))), ("first", self.link(count, Some(1)))];
        if page > 1 {
            links.push(("previous", self.link(count, Some(page - 1))));
        }
        if page < last {
            links.push(("next", self.link(count, Some(page + 1))));
        }
        links.push(("last", self.link(count, Some(last))));
        links
    }

    fn link(&self, count: i64, page: Option<i64>) -> String {
        let mut url = format!("{}?", self.url);
        for (name, value) in self.understood {
            url.push_str(&format!("{name}={}&", utf8_percent_encode(value, ESCAPED)));
        }
        url.push_str(&format!("_count={count}"));
        if let Some(page) = page {
            url.push_str(&format!("&_page={page}"));
        }
        url
    }
}

/// A stored resource as `_summary` asks for it.
pub(super) fn summarized(
    stored: &[u8],
    summary: Option<Summary>,
) -> Result<std::borrow::Cow<'_, [u8]>, Failure> {
    match summary {
        None | Some(Summary::Count | Summary::False) => Ok(stored.into()),
        Some(summary) => {
            let resource = fhir::parse(stored, Format::Json)
                .map_err(|_| Failure::Internal("a stored resource cannot be read"))?;
            Ok(fhir::to_json(&summarize(resource, summary)).into())
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// All problems as one text.
pub(super) fn problems(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
