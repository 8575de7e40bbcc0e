//! JSON and XML as people read them: indented, coloured by class, references and canonicals as links.
use std::fmt::Write;

use super::fields::link;

/// Source up to this length is shown; beyond it there is the download, in bytes.
pub(super) const MAX_SHOWN: usize = 1024 * 1024;

/// Escapes text for HTML.
fn escape(text: &str, into: &mut String) {
    for character in text.chars() {
        match character {
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '&' => into.push_str("&amp;"),
            '"' => into.push_str("&quot;"),
            '\'' => into.push_str("&#39;"),
            other => into.push(other),
        }
    }
}

fn span(class: &str, text: &str, into: &mut String) {
    let _ = write!(into, "<span class=\"{class}\">");
    escape(text, into);
    into.push_str("</span>");
}

/// A value with its link, where it has one. `shown` is its text in the source.
fn value(name: &str, value: &str, shown: &str, base: &str, into: &mut String) {
    match link(name, value, base) {
        Some(href) => {
            into.push_str("<a href=\"");
            escape(&href, into);
            into.push_str("\">");
            span("s", shown, into);
            into.push_str("</a>");
        }
        None => span("s", shown, into),
    }
}

fn line(depth: usize, into: &mut String) {
    into.push('\n');
    into.extend(std::iter::repeat_n("  ", depth));
}

/// Compact JSON as HTML. Order and lexical forms are those of the text.
pub(super) fn json(text: &str, base: &str) -> String {
    let mut html = String::with_capacity(text.len() * 2);
    let (mut depth, mut key, mut rest) = (0_usize, String::new(), text);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => string_length(rest),
            '{' | '}' | '[' | ']' | ',' | ':' => 1,
            _ => rest.find(['{', '}', '[', ']', ',', ':', '"']).unwrap_or(rest.len()).max(first.len_utf8()),
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        match first {
            '{' | '[' => {
                html.push(first);
                depth += 1;
                line(depth, &mut html);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(depth, &mut html);
                html.push(first);
            }
            ',' => {
                html.push(first);
                line(depth, &mut html);
            }
            ':' => html.push_str(": "),
            '"' => {
                let inner: String = serde_json::from_str(token).unwrap_or_default();
                if rest.starts_with(':') {
                    span("k", token, &mut html);
                    key = inner;
                } else {
                    value(&key, &inner, token, base, &mut html);
                }
            }
            _ => span("n", token, &mut html),
        }
    }
    html
}

/// Length of a JSON string with its quotes.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Compact FHIR XML as HTML.
pub(super) fn xml(text: &str, base: &str) -> String {
    let mut html = String::with_capacity(text.len() * 2);
    let (mut depth, mut rest, mut first) = (0_usize, text, true);
    while !rest.is_empty() {
        // A narrative is mixed text: it stays as it is.
        let length = if rest.starts_with("<div") {
            rest.rfind("</div>").map_or(rest.len(), |at| at + 6)
        } else if rest.starts_with('<') {
            rest.find('>').map_or(rest.len(), |at| at + 1)
        } else {
            rest.find('<').unwrap_or(rest.len())
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        let closing = token.starts_with("</");
        if closing {
            depth = depth.saturating_sub(1);
        }
        if !first {
            line(depth, &mut html);
        }
        first = false;
        if token.starts_with("<div") || !token.starts_with('<') {
            escape(token, &mut html);
            continue;
        }
        tag(token, base, &mut html);
        if !closing && !token.ends_with("/>") && !token.starts_with("<?") {
            depth += 1;
        }
    }
    html
}

fn tag(token: &str, base: &str, html: &mut String) {
    let name_end = token.find([' ', '>']).unwrap_or(token.len());
    let name = token[..name_end].trim_matches(['<', '/']);
    let (begin, mut rest) = token.split_at(name_end);
    span("k", begin, html);
    while let Some((before, after)) = rest.split_once('"') {
        let Some((text, after)) = after.split_once('"') else { break };
        escape(before, html);
        let plain =
            text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        value(name, &plain, &format!("\"{text}\""), base, html);
        rest = after;
    }
    span("k", rest, html);
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://a.test/fhir";

    /// Without markup.
    fn plain(html: &str) -> String {
        let mut text = String::new();
        let mut rest = html;
        while let Some((before, after)) = rest.split_once('<') {
            text.push_str(before);
            rest = after.split_once('>').map_or("", |(_, after)| after);
        }
        text.push_str(rest);
        text.replace("&quot;", "\"")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&#39;", "'")
            .replace("&amp;", "&")
    }

    #[test]
    fn sources_are_indented_linked_and_harmless() {
        let id = "8d5a1e5c-3f50-4a55-8a54-0f6d1d6d0f01";
        let text = format!(
            r#"{{"resourceType":"Task","note":[{{"text":"<script>\"a\":1"}}],"for":{{"reference":"Patient/{id}"}},"instantiatesCanonical":"http://x.test/bpe/Process/p|1.0","n":1.50}}"#
        );
        let html = json(&text, BASE);
        assert!(!html.contains("<script"), "{html}");
        assert!(html.contains(&format!("<a href=\"{BASE}/Patient/{id}\">")), "{html}");
        assert!(html.contains("ActivityDefinition?url="), "{html}");
        let again: serde_json::Value = serde_json::from_str(&plain(&html)).unwrap();
        assert_eq!(again, serde_json::from_str::<serde_json::Value>(&text).unwrap(), "nothing is lost");

        let resource = fhir::parse(text.replace(r#","n":1.50"#, "").as_bytes(), fhir::Format::Json).unwrap();
        let compact = String::from_utf8(fhir::to_xml(&resource)).unwrap();
        let html = xml(&compact, BASE);
        assert!(!html.contains("<script"), "{html}");
        assert!(html.contains(&format!("<a href=\"{BASE}/Patient/{id}\">")), "{html}");
        let joined: String = plain(&html).lines().map(str::trim_start).collect();
        assert_eq!(joined, compact, "nothing is lost");
    }
}
