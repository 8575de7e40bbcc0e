//! Narratives: which elements and attributes the XHTML of a `div` may have (invariants txt-1, txt-2).

use quick_xml::XmlVersion;
use quick_xml::events::Event;
use quick_xml::reader::Reader;

/// Elements of HTML 4, chapters 7 to 11 and 15, without forms, scripts and frames.
const ELEMENTS: [&str; 56] = [
    "a",
    "abbr",
    "acronym",
    "address",
    "b",
    "bdo",
    "big",
    "blockquote",
    "br",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "font",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "ins",
    "kbd",
    "li",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "samp",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "tt",
    "u",
];
/// Further elements.
const MORE: [&str; 3] = ["ul", "var", "map"];

/// Attributes that every element may have.
const ATTRIBUTES: [&str; 10] =
    ["class", "dir", "id", "idref", "lang", "style", "title", "xml:lang", "xml:space", "xmlns"];

/// Attributes of single elements.
const OWN: &[(&str, &[&str])] = &[
    (
        "a",
        &[
            "charset",
            "coords",
            "href",
            "hreflang",
            "name",
            "rel",
            "rev",
            "shape",
            "tabindex",
            "accesskey",
            "type",
            "target",
        ],
    ),
    ("blockquote", &["cite"]),
    ("caption", &["align"]),
    ("col", &["align", "char", "charoff", "span", "valign", "width"]),
    ("colgroup", &["align", "char", "charoff", "span", "valign", "width"]),
    ("del", &["cite", "datetime"]),
    ("div", &["align"]),
    ("font", &["color", "face", "size"]),
    ("h1", &["align"]),
    ("h2", &["align"]),
    ("h3", &["align"]),
    ("h4", &["align"]),
    ("h5", &["align"]),
    ("h6", &["align"]),
    ("hr", &["align", "noshade", "size", "width"]),
    (
        "img",
        &[
            "align", "alt", "border", "height", "hspace", "ismap", "longdesc", "src", "usemap", "vspace",
            "width",
        ],
    ),
    ("ins", &["cite", "datetime"]),
    ("li", &["type", "value"]),
    ("ol", &["compact", "start", "type"]),
    ("p", &["align"]),
    ("pre", &["width"]),
    ("q", &["cite"]),
    (
        "table",
        &["align", "bgcolor", "border", "cellpadding", "cellspacing", "frame", "rules", "summary", "width"],
    ),
    ("tbody", &["align", "char", "charoff", "valign"]),
    (
        "td",
        &[
            "abbr", "align", "axis", "bgcolor", "char", "charoff", "colspan", "headers", "height", "nowrap",
            "rowspan", "scope", "valign", "width",
        ],
    ),
    ("tfoot", &["align", "char", "charoff", "valign"]),
    (
        "th",
        &[
            "abbr", "align", "axis", "bgcolor", "char", "charoff", "colspan", "headers", "height", "nowrap",
            "rowspan", "scope", "valign", "width",
        ],
    ),
    ("thead", &["align", "char", "charoff", "valign"]),
    ("tr", &["align", "bgcolor", "char", "charoff", "valign"]),
    ("ul", &["compact", "type"]),
];

/// What is wrong with a narrative, as message ids; `resolves` says whether the resource contains
/// something with an id.
pub(super) fn check(div: &str, resolves: &dyn Fn(&str) -> bool) -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut content = false;
    let mut reader = Reader::from_str(div);
    reader.config_mut().expand_empty_elements = true;
    let mut note = |id: &'static str| {
        if !found.contains(&id) {
            found.push(id);
        }
    };
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) => {
                let name = start.local_name();
                let name: &str = name.as_ref();
                if ELEMENTS.binary_search(&name).is_err() && !MORE.contains(&name) {
                    note("txt-1");
                    note("narrative-element");
                }
                content |= name == "img";
                let own = OWN.iter().find(|(element, _)| *element == name).map_or(&[][..], |(_, own)| *own);
                for attribute in start.attributes().flatten() {
                    let key: &str = attribute.key.as_ref();
                    let namespace = key == "xmlns" || key.starts_with("xmlns:");
                    if !namespace && !ATTRIBUTES.contains(&key) && !own.contains(&key) {
                        note("txt-1");
                        note("narrative-attribute");
                    }
                    let value = attribute.normalized_value(XmlVersion::Explicit1_0).unwrap_or_default();
                    let value = value.trim();
                    if matches!(key, "href" | "src") && is_script(value) {
                        note("narrative-active-link");
                    }
                    if key == "src" && value.strip_prefix('#').is_some_and(|id| !resolves(id)) {
                        note("narrative-image-unresolved");
                    }
                }
            }
            Ok(Event::Text(text)) => content |= !text.trim().is_empty(),
            Ok(Event::CData(text)) => content |= !text.trim().is_empty(),
            Ok(Event::GeneralRef(_)) => content = true,
            Ok(Event::Eof) | Err(_) => break,
            Ok(_) => {}
        }
    }
    if !content {
        note("txt-2");
    }
    found
}

/// Schemes that run code. Browsers pass over blanks and control characters inside of them.
fn is_script(link: &str) -> bool {
    let scheme: String = link
        .split(':')
        .next()
        .unwrap_or_default()
        .chars()
        .filter(|character| !character.is_whitespace() && !character.is_control())
        .flat_map(char::to_lowercase)
        .collect();
    link.contains(':')
        && (scheme == "javascript"
            || scheme == "vbscript"
            || (scheme == "data" && !link.starts_with("data:image/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narratives() {
        assert!(ELEMENTS.is_sorted());
        for (content, expected) in [
            ("text", &[][..]),
            ("<p style=\"color:red\" class=\"c\">Hi <b>x</b></p>", &[]),
            ("<table border=\"1\"><tbody><tr><td colspan=\"2\">a</td></tr></tbody></table>", &[]),
            ("<img src=\"#a\" alt=\"a\"/>", &[]),
            ("<img src=\"#b\" alt=\"a\"/>", &["narrative-image-unresolved"]),
            ("  ", &["txt-2"]),
            ("<script>x</script>", &["txt-1", "narrative-element"]),
            ("<p onclick=\"x()\">a</p>", &["txt-1", "narrative-attribute"]),
            ("<a href=\" java\nscript:alert(1)\">a</a>", &["narrative-active-link"]),
            ("<a href=\"https://a.example\">a</a>", &[]),
        ] {
            let div = format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{content}</div>");
            assert_eq!(check(&div, &|id| id == "a"), expected, "{content}");
        }
    }
}
