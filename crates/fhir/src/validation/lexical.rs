//! What the text of a primitive must look like beyond what the reader checks (validation contract 3.2).

use crate::datetime::{DateTime, Precision};
use crate::primitive::Primitive;

/// Longest id.
const MAX_ID: usize = 64;
/// Longest string, in bytes (FHIR R4, string).
const MAX_STRING: usize = 1024 * 1024;

/// What is wrong with a text, as a message id.
pub(super) fn check(primitive: Primitive, text: &str) -> Option<&'static str> {
    match primitive {
        Primitive::Id => id(text),
        Primitive::Uri | Primitive::Url | Primitive::Canonical => uri(text),
        Primitive::Oid => (!is_oid(text)).then_some("oid-invalid"),
        Primitive::Uuid => (!text.strip_prefix("urn:uuid:").is_some_and(is_uuid)).then_some("uuid-invalid"),
        Primitive::Code => {
            let blanks = text.trim() != text || text.contains("  ") || text.contains(['\t', '\n', '\r']);
            blanks.then_some("code-white-space")
        }
        Primitive::DateTime => DateTime::parse(text).and_then(|value| {
            let timed = value.precision() >= Precision::Minute;
            if timed && value.precision() < Precision::Second {
                Some("datetime-seconds-missing")
            } else if timed && !value.has_zone() {
                Some("datetime-zone-missing")
            } else {
                year(text)
            }
        }),
        Primitive::Instant => match DateTime::parse(text) {
            Some(value) if value.precision() >= Precision::Second && value.has_zone() => year(text),
            _ => Some("instant-incomplete"),
        },
        Primitive::Date => year(text),
        Primitive::Time => (!is_time(text)).then_some("time-invalid"),
        Primitive::PositiveInt => {
            (!text.parse::<i64>().is_ok_and(|number| number >= 1)).then_some("integer-below-one")
        }
        Primitive::UnsignedInt => {
            (!text.parse::<i64>().is_ok_and(|number| number >= 0)).then_some("integer-below-zero")
        }
        Primitive::String | Primitive::Markdown => (text.len() > MAX_STRING).then_some("string-too-long"),
        Primitive::Base64Binary
        | Primitive::Boolean
        | Primitive::Decimal
        | Primitive::Integer
        | Primitive::Xhtml => None,
    }
}

fn id(text: &str) -> Option<&'static str> {
    if text.len() > MAX_ID {
        Some("id-too-long")
    } else if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')) {
        Some("id-characters")
    } else {
        None
    }
}

/// Years of one digit are typing errors.
fn year(text: &str) -> Option<&'static str> {
    text.starts_with("0000").then_some("year-zero")
}

fn uri(text: &str) -> Option<&'static str> {
    if text.contains(char::is_whitespace) {
        return Some("uri-white-space");
    }
    if let Some(uuid) = text.strip_prefix("urn:uuid:") {
        return (!is_uuid(uuid)).then_some("uuid-invalid");
    }
    if text.starts_with("urn:oid:") {
        return (!is_oid(text)).then_some("oid-invalid");
    }
    (text.starts_with("oid:") || text.starts_with("uuid:")).then_some("uri-without-urn")
}

/// Lower-case hexadecimal digits in groups of 8, 4, 4, 4 and 12.
fn is_uuid(text: &str) -> bool {
    // A fragment or version may follow in a canonical.
    let text = text.split(['|', '#']).next().unwrap_or_default();
    let mut groups = text.split('-');
    let good = [8, 4, 4, 4, 12].into_iter().all(|length| {
        groups.next().is_some_and(|group| {
            group.len() == length && group.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
    });
    good && groups.next().is_none()
}

fn is_oid(text: &str) -> bool {
    let Some(oid) = text.strip_prefix("urn:oid:") else { return false };
    let mut arcs = oid.split('.');
    matches!(arcs.next(), Some("0" | "1" | "2"))
        && oid.contains('.')
        && arcs.all(|arc| {
            !arc.is_empty()
                && arc.bytes().all(|byte| byte.is_ascii_digit())
                && (arc.len() == 1 || !arc.starts_with('0'))
        })
}

fn is_time(text: &str) -> bool {
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (text, None),
    };
    let mut parts = clock.split(':');
    let good = [23, 59, 60].into_iter().all(|most| {
        parts.next().is_some_and(|part| {
            part.len() == 2
                && part.bytes().all(|byte| byte.is_ascii_digit())
                && part.parse::<u32>().is_ok_and(|number| number <= most)
        })
    });
    good && parts.next().is_none()
        && fraction
            .is_none_or(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether a canonical or system is absolute: it has a scheme.
pub(super) fn is_absolute(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    !rest.is_empty()
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        use Primitive::{Canonical, Code, DateTime, Id, Instant, PositiveInt, Time, UnsignedInt, Uri};
        for (primitive, text, expected) in [
            (Id, "a.B-9", None),
            (Id, "a_b", Some("id-characters")),
            (Uri, "http://a b", Some("uri-white-space")),
            (Uri, "urn:uuid:0f1e2d3c-4b5a-4697-8877-665544332211", None),
            (Uri, "urn:uuid:0F1e2d3c-4b5a-4697-8877-665544332211", Some("uuid-invalid")),
            (Uri, "urn:oid:1.2.03", Some("oid-invalid")),
            (Uri, "relative", None),
            (Canonical, "http://a|1.0", None),
            (Code, "a  b", Some("code-white-space")),
            (Code, "a b", None),
            (DateTime, "2024-01-01T10:00:00", Some("datetime-zone-missing")),
            (DateTime, "2024-01-01T10:00Z", Some("datetime-seconds-missing")),
            (DateTime, "2024-01-01T23:59:60Z", None),
            (DateTime, "2024", None),
            (Instant, "2024-01-01", Some("instant-incomplete")),
            (Time, "24:00:00", Some("time-invalid")),
            (Time, "23:00:00.5", None),
            (PositiveInt, "0", Some("integer-below-one")),
            (UnsignedInt, "-1", Some("integer-below-zero")),
        ] {
            assert_eq!(check(primitive, text), expected, "{} {text}", primitive.code());
        }
    }
}
