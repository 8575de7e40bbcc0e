//! Narratives: checks that a `div` is well-formed and makes it able to stand alone.
//!
//! A `div` that already carries the XHTML namespace, uses no prefixes and no named HTML entities is
//! kept byte for byte. Otherwise it is written anew: without prefixes, with the namespace on the
//! `div`, with characters instead of named entities.

use std::borrow::Cow;

use quick_xml::XmlVersion;
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::reader::Reader;

use crate::limits::MAX_ATTRIBUTES;
use crate::primitive::{Invalid, is_character};
use crate::xml::escape;

/// The XHTML namespace.
pub(crate) const NAMESPACE: &str = "http://www.w3.org/1999/xhtml";

/// Checks a narrative and gives the text to keep; `None` if it is blank.
pub(crate) fn normalise(text: &str) -> Result<Option<String>, Invalid> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    // As the public implementation does: bare text is the content of a div.
    let text = if text.starts_with('<') {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("<div xmlns=\"{NAMESPACE}\">{text}</div>"))
    };
    match inspect(&text)? {
        (range, true) => Ok(Some(text[range].to_owned())),
        (_, false) => rewrite(&text).map(Some),
    }
}

/// Checks that the text is one well-formed `div` and tells where it is and whether it may stay as it is.
fn inspect(text: &str) -> Result<(std::ops::Range<usize>, bool), Invalid> {
    let mut reader = reader(text);
    let mut depth = 0usize;
    let mut root: Option<usize> = None;
    let mut end = 0;
    let mut verbatim = true;
    loop {
        let before = position(&reader);
        match reader.read_event().map_err(|_| Invalid)? {
            Event::Start(start) => {
                if depth == 0 {
                    if root.is_some() || start.local_name().as_ref() != "div" {
                        return Err(Invalid);
                    }
                    root = Some(before);
                    verbatim &= attributes(&start).any(|attribute| {
                        attribute.is_ok_and(|a| a.key.as_ref() == "xmlns" && &*a.value == NAMESPACE)
                    });
                }
                verbatim &= start.name().prefix().is_none();
                for attribute in attributes(&start) {
                    let attribute = attribute?;
                    verbatim &= attribute.key.prefix().is_none_or(|prefix| prefix.as_ref() == "xml");
                    verbatim &= !attribute.value.contains('&') || predefined_only(&attribute);
                    value(&attribute)?;
                }
                depth += 1;
            }
            Event::End(_) => {
                depth -= 1;
                if depth == 0 {
                    end = position(&reader);
                }
            }
            Event::Text(text) if depth == 0 => {
                if !text.trim().is_empty() {
                    return Err(Invalid);
                }
            }
            Event::Text(text) => characters(&text)?,
            Event::CData(text) if depth > 0 => characters(&text)?,
            Event::GeneralRef(reference) if depth > 0 => {
                entity(&reference)?;
                verbatim &= reference.is_char_ref() || predefined(&reference).is_some();
            }
            Event::Comment(text) => characters(&text)?,
            Event::PI(_) => verbatim = false,
            Event::Decl(_) if root.is_none() => {}
            Event::Eof => break,
            Event::DocType(_) | Event::Decl(_) | Event::CData(_) | Event::GeneralRef(_) | Event::Empty(_) => {
                return Err(Invalid);
            }
        }
    }
    match root {
        Some(start) if depth == 0 => Ok((start..end, verbatim)),
        _ => Err(Invalid),
    }
}

/// Writes a text that [`inspect`] has accepted anew.
fn rewrite(text: &str) -> Result<String, Invalid> {
    let mut reader = reader(text);
    let mut out = String::with_capacity(text.len() + 64);
    let mut depth = 0usize;
    loop {
        match reader.read_event().map_err(|_| Invalid)? {
            Event::Start(start) => {
                out.push('<');
                out.push_str(start.local_name().as_ref());
                if depth == 0 {
                    push_attribute(&mut out, "xmlns", NAMESPACE);
                }
                for attribute in attributes(&start) {
                    let attribute = attribute?;
                    let key = attribute.key.as_ref();
                    // Namespace prefixes are gone, so attributes that need one go too.
                    let keep = match attribute.key.prefix() {
                        Some(prefix) => prefix.as_ref() == "xml",
                        None => key != "xmlns" || depth > 0 && &*attribute.value != NAMESPACE,
                    };
                    if keep {
                        push_attribute(&mut out, key, &value(&attribute)?);
                    }
                }
                out.push('>');
                depth += 1;
            }
            Event::End(end) => {
                depth -= 1;
                out.push_str("</");
                out.push_str(end.local_name().as_ref());
                out.push('>');
            }
            Event::Text(text) if depth > 0 => out.push_str(&text),
            Event::CData(text) => escape(&text, &mut out),
            Event::GeneralRef(reference) => {
                let mut buffer = [0; 4];
                escape(entity(&reference)?.encode_utf8(&mut buffer), &mut out);
            }
            Event::Comment(text) if depth > 0 => {
                out.push_str("<!--");
                out.push_str(&text);
                out.push_str("-->");
            }
            Event::Eof => return Ok(out),
            _ => {}
        }
    }
}

fn push_attribute(out: &mut String, name: &str, value: &str) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    escape(value, out);
    out.push('"');
}

fn reader(text: &str) -> Reader<&[u8]> {
    let mut reader = Reader::from_str(text);
    let config = reader.config_mut();
    config.expand_empty_elements = true;
    config.check_comments = true;
    reader
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

fn attributes<'a>(start: &'a BytesStart<'_>) -> impl Iterator<Item = Result<Attribute<'a>, Invalid>> {
    start.attributes().enumerate().map(|(index, attribute)| match attribute {
        Ok(attribute) if index < MAX_ATTRIBUTES => Ok(attribute),
        _ => Err(Invalid),
    })
}

fn value<'a>(attribute: &Attribute<'a>) -> Result<Cow<'a, str>, Invalid> {
    if attribute.value.contains('<') {
        return Err(Invalid);
    }
    let value = attribute
        .normalized_value_with(XmlVersion::Explicit1_0, 1, |name| {
            predefined_text(name).or_else(|| html(name))
        })
        .map_err(|_| Invalid)?;
    characters(&value)?;
    Ok(value)
}

fn predefined_only(attribute: &Attribute<'_>) -> bool {
    attribute.normalized_value(XmlVersion::Explicit1_0).is_ok()
}

fn characters(text: &str) -> Result<(), Invalid> {
    if text.chars().all(is_character) { Ok(()) } else { Err(Invalid) }
}

fn entity(reference: &BytesRef<'_>) -> Result<char, Invalid> {
    if reference.is_char_ref() {
        return reference.resolve_char_ref().ok().flatten().filter(|c| is_character(*c)).ok_or(Invalid);
    }
    predefined(reference).or_else(|| html(reference).and_then(|text| text.chars().next())).ok_or(Invalid)
}

fn predefined(name: &str) -> Option<char> {
    predefined_text(name).and_then(|text| text.chars().next())
}

fn predefined_text(name: &str) -> Option<&'static str> {
    quick_xml::escape::resolve_xml_entity(name)
}

fn html(name: &str) -> Option<&'static str> {
    HTML_ENTITIES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The named entities of HTML 4 that occur in narratives: Latin-1, punctuation, arrows, Greek.
#[rustfmt::skip]
const HTML_ENTITIES: &[(&str, &str)] = &[
    ("nbsp", "\u{a0}"), ("iexcl", "¡"), ("cent", "¢"), ("pound", "£"), ("curren", "¤"), ("yen", "¥"),
    ("brvbar", "¦"), ("sect", "§"), ("uml", "¨"), ("copy", "©"), ("ordf", "ª"), ("laquo", "«"),
    ("not", "¬"), ("shy", "\u{ad}"), ("reg", "®"), ("macr", "¯"), ("deg", "°"), ("plusmn", "±"),
    ("sup2", "²"), ("sup3", "³"), ("acute", "´"), ("micro", "µ"), ("para", "¶"), ("middot", "·"),
    ("cedil", "¸"), ("sup1", "¹"), ("ordm", "º"), ("raquo", "»"), ("frac14", "¼"), ("frac12", "½"),
    ("frac34", "¾"), ("iquest", "¿"), ("Agrave", "À"), ("Aacute", "Á"), ("Acirc", "Â"), ("Atilde", "Ã"),
    ("Auml", "Ä"), ("Aring", "Å"), ("AElig", "Æ"), ("Ccedil", "Ç"), ("Egrave", "È"), ("Eacute", "É"),
    ("Ecirc", "Ê"), ("Euml", "Ë"), ("Igrave", "Ì"), ("Iacute", "Í"), ("Icirc", "Î"), ("Iuml", "Ï"),
    ("ETH", "Ð"), ("Ntilde", "Ñ"), ("Ograve", "Ò"), ("Oacute", "Ó"), ("Ocirc", "Ô"), ("Otilde", "Õ"),
    ("Ouml", "Ö"), ("times", "×"), ("Oslash", "Ø"), ("Ugrave", "Ù"), ("Uacute", "Ú"), ("Ucirc", "Û"),
    ("Uuml", "Ü"), ("Yacute", "Ý"), ("THORN", "Þ"), ("szlig", "ß"), ("agrave", "à"), ("aacute", "á"),
    ("acirc", "â"), ("atilde", "ã"), ("auml", "ä"), ("aring", "å"), ("aelig", "æ"), ("ccedil", "ç"),
    ("egrave", "è"), ("eacute", "é"), ("ecirc", "ê"), ("euml", "ë"), ("igrave", "ì"), ("iacute", "í"),
    ("icirc", "î"), ("iuml", "ï"), ("eth", "ð"), ("ntilde", "ñ"), ("ograve", "ò"), ("oacute", "ó"),
    ("ocirc", "ô"), ("otilde", "õ"), ("ouml", "ö"), ("divide", "÷"), ("oslash", "ø"), ("ugrave", "ù"),
    ("uacute", "ú"), ("ucirc", "û"), ("uuml", "ü"), ("yacute", "ý"), ("thorn", "þ"), ("yuml", "ÿ"),
    ("OElig", "Œ"), ("oelig", "œ"), ("Scaron", "Š"), ("scaron", "š"), ("Yuml", "Ÿ"), ("fnof", "ƒ"),
    ("circ", "ˆ"), ("tilde", "˜"), ("ensp", "\u{2002}"), ("emsp", "\u{2003}"), ("thinsp", "\u{2009}"),
    ("zwnj", "\u{200c}"), ("zwj", "\u{200d}"), ("lrm", "\u{200e}"), ("rlm", "\u{200f}"), ("ndash", "–"),
    ("mdash", "—"), ("lsquo", "‘"), ("rsquo", "’"), ("sbquo", "‚"), ("ldquo", "“"), ("rdquo", "”"),
    ("bdquo", "„"), ("dagger", "†"), ("Dagger", "‡"), ("bull", "•"), ("hellip", "…"), ("permil", "‰"),
    ("prime", "′"), ("Prime", "″"), ("lsaquo", "‹"), ("rsaquo", "›"), ("oline", "‾"), ("frasl", "⁄"),
    ("euro", "€"), ("trade", "™"), ("larr", "←"), ("uarr", "↑"), ("rarr", "→"), ("darr", "↓"),
    ("harr", "↔"), ("lArr", "⇐"), ("uArr", "⇑"), ("rArr", "⇒"), ("dArr", "⇓"), ("hArr", "⇔"),
    ("forall", "∀"), ("part", "∂"), ("exist", "∃"), ("empty", "∅"), ("nabla", "∇"), ("isin", "∈"),
    ("notin", "∉"), ("ni", "∋"), ("prod", "∏"), ("sum", "∑"), ("minus", "−"), ("lowast", "∗"),
    ("radic", "√"), ("prop", "∝"), ("infin", "∞"), ("ang", "∠"), ("and", "∧"), ("or", "∨"),
    ("cap", "∩"), ("cup", "∪"), ("int", "∫"), ("there4", "∴"), ("sim", "∼"), ("cong", "≅"),
    ("asymp", "≈"), ("ne", "≠"), ("equiv", "≡"), ("le", "≤"), ("ge", "≥"), ("sub", "⊂"), ("sup", "⊃"),
    ("nsub", "⊄"), ("sube", "⊆"), ("supe", "⊇"), ("oplus", "⊕"), ("otimes", "⊗"), ("perp", "⊥"),
    ("sdot", "⋅"), ("loz", "◊"), ("spades", "♠"), ("clubs", "♣"), ("hearts", "♥"), ("diams", "♦"),
    ("Alpha", "Α"), ("Beta", "Β"), ("Gamma", "Γ"), ("Delta", "Δ"), ("Epsilon", "Ε"), ("Zeta", "Ζ"),
    ("Eta", "Η"), ("Theta", "Θ"), ("Iota", "Ι"), ("Kappa", "Κ"), ("Lambda", "Λ"), ("Mu", "Μ"),
    ("Nu", "Ν"), ("Xi", "Ξ"), ("Omicron", "Ο"), ("Pi", "Π"), ("Rho", "Ρ"), ("Sigma", "Σ"), ("Tau", "Τ"),
    ("Upsilon", "Υ"), ("Phi", "Φ"), ("Chi", "Χ"), ("Psi", "Ψ"), ("Omega", "Ω"), ("alpha", "α"),
    ("beta", "β"), ("gamma", "γ"), ("delta", "δ"), ("epsilon", "ε"), ("zeta", "ζ"), ("eta", "η"),
    ("theta", "θ"), ("iota", "ι"), ("kappa", "κ"), ("lambda", "λ"), ("mu", "μ"), ("nu", "ν"), ("xi", "ξ"),
    ("omicron", "ο"), ("pi", "π"), ("rho", "ρ"), ("sigmaf", "ς"), ("sigma", "σ"), ("tau", "τ"),
    ("upsilon", "υ"), ("phi", "φ"), ("chi", "χ"), ("psi", "ψ"), ("omega", "ω"), ("thetasym", "ϑ"),
    ("upsih", "ϒ"), ("piv", "ϖ"), ("weierp", "℘"), ("image", "ℑ"), ("real", "ℜ"), ("alefsym", "ℵ"),
    ("crarr", "↵"), ("lceil", "⌈"), ("rceil", "⌉"), ("lfloor", "⌊"), ("rfloor", "⌋"), ("lang", "〈"),
    ("rang", "〉"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narratives() {
        let standing = |content: &str| format!("<div xmlns=\"{NAMESPACE}\">{content}</div>");
        for (text, expected) in [
            (standing("a <b>x</b> tail\n&amp;&#160;<br/><!-- c --><![CDATA[<]]>"), Some(None)),
            ("<div>x</div>".to_owned(), Some(Some("x"))),
            ("plain".to_owned(), Some(Some("plain"))),
            (standing("a&nbsp;b"), Some(Some("a\u{a0}b"))),
            (
                format!("<h:div xmlns:h=\"{NAMESPACE}\"><h:p xml:lang=\"de\" h:x=\"y\">t</h:p></h:div>"),
                Some(Some("<p xml:lang=\"de\">t</p>")),
            ),
            (format!("<?xml version=\"1.0\"?>{}", standing("x")), Some(Some("x"))),
            (standing("<p>x</b>"), None),
            (standing("&unknown;"), None),
            (standing("&#0;"), None),
            (format!("<!DOCTYPE div>{}", standing("x")), None),
            (format!("{}{}", standing("x"), standing("y")), None),
            (format!("{}text", standing("x")), None),
            ("<p>x</p>".to_owned(), None),
            ("<div>x".to_owned(), None),
            ("<div a=\"1\" a=\"2\">x</div>".to_owned(), None),
        ] {
            let result = normalise(&text);
            match expected {
                None => assert_eq!(result, Err(Invalid), "{text}"),
                Some(None) => assert_eq!(result.unwrap().unwrap(), text),
                Some(Some(content)) => assert_eq!(result.unwrap().unwrap(), standing(content), "{text}"),
            }
        }
        assert_eq!(normalise("  "), Ok(None));
    }
}
