//! `Range` and `If-Range` of a request for data (RFC 9110, sections 13.1.5 and 14; fhir-endpoint
//! contract 1.12).
use std::ops;

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Range {
    /// Everything.
    Whole,
    /// These bytes, at least one.
    Part(ops::Range<u64>),
    /// Nothing that exists.
    Unsatisfiable,
}

/// Reads `Range`. What is malformed, in other units, or has several parts asks for everything.
pub(crate) fn range(header: Option<&str>, size: u64) -> Range {
    let Some(spec) = header.and_then(|header| header.trim().strip_prefix("bytes=")) else {
        return Range::Whole;
    };
    let Some((first, last)) = spec.trim().split_once('-') else { return Range::Whole };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => part(first, last.saturating_add(1), size),
        (Some(first), None) if last.is_empty() => part(first, size, size),
        (None, Some(0)) if first.is_empty() => Range::Unsatisfiable,
        (None, Some(length)) if first.is_empty() => part(size.saturating_sub(length), size, size),
        _ => Range::Whole,
    }
}

fn part(start: u64, end: u64, size: u64) -> Range {
    if start < size { Range::Part(start..end.min(size)) } else { Range::Unsatisfiable }
}

/// Digits only; a number that is too large is beyond every end.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        let table = [
            (None, Range::Whole),
            (Some("bytes=0-0"), Range::Part(0..1)),
            (Some("bytes=2-5"), Range::Part(2..6)),
            (Some("bytes=2-"), Range::Part(2..10)),
            (Some("bytes=-3"), Range::Part(7..10)),
            (Some("bytes=-30"), Range::Part(0..10)),
            (Some("bytes=9-99999999999999999999999"), Range::Part(9..10)),
            (Some("bytes=10-"), Range::Unsatisfiable),
            (Some("bytes=10-12"), Range::Unsatisfiable),
            (Some("bytes=-0"), Range::Unsatisfiable),
            (Some("bytes=5-2"), Range::Whole),
            (Some("bytes=0-1,3-4"), Range::Whole),
            (Some("bytes=a-b"), Range::Whole),
            (Some("bytes=-"), Range::Whole),
            (Some("bytes=+1-2"), Range::Whole),
            (Some("lines=0-1"), Range::Whole),
        ];
        for (header, expected) in table {
            assert_eq!(range(header, 10), expected, "{header:?}");
        }
        assert_eq!(range(Some("bytes=0-"), 0), Range::Unsatisfiable, "of nothing");
    }
}
