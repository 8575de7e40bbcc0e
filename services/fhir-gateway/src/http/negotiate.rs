//! Media types, `_format`, `Prefer` and conditional headers (fhir-endpoint contract 1.2 to 1.5).
use fhir::Format;
use http::{HeaderMap, HeaderName, StatusCode, header};
use percent_encoding::percent_decode_str;
use time::{
    OffsetDateTime, PrimitiveDateTime, format_description::BorrowedFormatItem, macros::format_description,
};

use crate::exchange::{BodyFormat, Conditions, Handling, Interaction, Output, Prefer, Return};

const FHIR_JSON: &str = "application/fhir+json";
const FHIR_XML: &str = "application/fhir+xml";

/// Media types of answers in the order in which `Accept` is searched for them; q-values do not count.
const ACCEPTED: [(&str, Format); 7] = [
    (FHIR_JSON, Format::Json),
    ("application/json+fhir", Format::Json),
    ("application/json", Format::Json),
    (FHIR_XML, Format::Xml),
    ("application/xml+fhir", Format::Xml),
    ("application/xml", Format::Xml),
    ("text/xml", Format::Xml),
];

/// Media types of bodies.
const CONTENT: [(&str, Format); 6] = [
    (FHIR_XML, Format::Xml),
    ("application/xml+fhir", Format::Xml),
    ("application/xml", Format::Xml),
    (FHIR_JSON, Format::Json),
    ("application/json+fhir", Format::Json),
    ("application/json", Format::Json),
];

/// IMF-fixdate, the one form of HTTP dates that is written (RFC 9110, section 5.6.7).
const HTTP_DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

/// Query parameters, decoded, in their order. `+` is a space; what is not UTF-8 becomes U+FFFD.
pub fn query(text: &str) -> Vec<(String, String)> {
    let decode = |part: &str| percent_decode_str(&part.replace('+', " ")).decode_utf8_lossy().into_owned();
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// The form of the answer.
///
/// # Errors
/// 415 for an unknown `_format`, 406 where nothing that is accepted can be made.
pub(super) fn output(headers: &HeaderMap, query: &[(String, String)]) -> Result<Output, StatusCode> {
    let accept = joined(headers, &header::ACCEPT);
    if let Some((_, value)) = query.iter().find(|(name, _)| name == "_format") {
        // An unescaped `+` arrives as a space.
        let value = value.replace(' ', "+");
        let (media_type, format) = match value.as_str() {
            "json" => (FHIR_JSON, Format::Json),
            "xml" => (FHIR_XML, Format::Xml),
            "html" | "text/html" => return Err(StatusCode::NOT_ACCEPTABLE),
            "inline" => (FHIR_XML, Format::Xml),
            other => *ACCEPTED
                .iter()
                .find(|(media_type, _)| *media_type == other)
                .ok_or(StatusCode::UNSUPPORTED_MEDIA_TYPE)?,
        };
        return Ok(Output { format, media_type, by_parameter: true, accept });
    }
    let found = match accept.as_deref() {
        None => Some((FHIR_XML, Format::Xml)),
        Some(text) => ACCEPTED
            .iter()
            .find(|(media_type, _)| text.contains(media_type))
            .copied()
            .or_else(|| text.contains("*/*").then_some((FHIR_XML, Format::Xml))),
    };
    let (media_type, format) = found.ok_or(StatusCode::NOT_ACCEPTABLE)?;
    Ok(Output { format, media_type, by_parameter: false, accept })
}

/// As [`output`], for requests that are answered with a Binary, whose raw form may have any type.
pub(super) fn output_or_raw(headers: &HeaderMap, query: &[(String, String)]) -> Result<Output, StatusCode> {
    match output(headers, query) {
        Err(StatusCode::NOT_ACCEPTABLE) => Ok(Output {
            format: Format::Xml,
            media_type: FHIR_XML,
            by_parameter: false,
            accept: joined(headers, &header::ACCEPT),
        }),
        other => other,
    }
}

/// What the body is written in.
///
/// # Errors
/// 415 for a type that the interaction does not take.
pub(super) fn body_format(headers: &HeaderMap, interaction: &Interaction) -> Result<BodyFormat, StatusCode> {
    let takes_body = matches!(
        interaction,
        Interaction::Create { .. }
            | Interaction::Update { .. }
            | Interaction::ConditionalUpdate { .. }
            | Interaction::Bundle
            | Interaction::Validate { .. }
            | Interaction::Snapshot { .. }
    );
    if !takes_body {
        return Ok(BodyFormat::None);
    }
    let Some(sent) = text(headers, &header::CONTENT_TYPE) else {
        // A GET of a snapshot has no body, and a stored resource may be meant.
        return match interaction {
            Interaction::Snapshot { .. } | Interaction::Validate { id: Some(_), .. } => Ok(BodyFormat::None),
            _ => Err(StatusCode::UNSUPPORTED_MEDIA_TYPE),
        };
    };
    let media_type = sent.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match CONTENT.iter().find(|(known, _)| *known == media_type) {
        Some((_, format)) => Ok(BodyFormat::Fhir(*format)),
        None if interaction.resource_type() == Some("Binary") && interaction.name() != "validate" => {
            Ok(BodyFormat::Raw(sent.to_owned()))
        }
        None => Err(StatusCode::UNSUPPORTED_MEDIA_TYPE),
    }
}

/// Preferences: the first `Prefer` line counts; one that joins several with `,` or `;` is read too.
pub(super) fn prefer(headers: &HeaderMap) -> Prefer {
    let mut prefer = Prefer::default();
    for part in text(headers, &HeaderName::from_static("prefer")).unwrap_or_default().split([',', ';']) {
        match part.trim() {
            "return=minimal" => prefer.returns = Return::Minimal,
            "return=representation" => prefer.returns = Return::Representation,
            "return=OperationOutcome" => prefer.returns = Return::OperationOutcome,
            "handling=strict" => prefer.handling = Handling::Strict,
            "handling=lenient" => prefer.handling = Handling::Lenient,
            _ => {}
        }
    }
    prefer
}

/// Conditional headers; what cannot be read is left out.
pub(super) fn conditions(headers: &HeaderMap) -> Conditions {
    let owned = |name: &HeaderName| text(headers, name).map(str::to_owned);
    let date = |name: &HeaderName| text(headers, name).and_then(parse_date);
    Conditions {
        if_match: text(headers, &header::IF_MATCH).and_then(weak_version),
        if_none_match: text(headers, &header::IF_NONE_MATCH).and_then(weak_version),
        if_modified_since: date(&header::IF_MODIFIED_SINCE),
        if_unmodified_since: date(&header::IF_UNMODIFIED_SINCE),
        if_none_exist: owned(&HeaderName::from_static("if-none-exist")),
        range: owned(&header::RANGE),
        if_range: owned(&header::IF_RANGE),
    }
}

/// `W/"3"` is version 3; strong ETags and anything else are not ours.
fn weak_version(text: &str) -> Option<u64> {
    text.trim().strip_prefix("W/\"")?.strip_suffix('"')?.parse().ok()
}

/// Reads an HTTP date.
pub(crate) fn parse_date(text: &str) -> Option<OffsetDateTime> {
    PrimitiveDateTime::parse(text.trim(), HTTP_DATE).ok().map(PrimitiveDateTime::assume_utc)
}

/// An HTTP date, whole seconds.
pub(crate) fn format_date(time: OffsetDateTime) -> Option<String> {
    time.to_offset(time::UtcOffset::UTC).format(HTTP_DATE).ok()
}

/// First line of a header, as text.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// All lines of a header, joined as one list.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Vec<&str> = headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        lines.iter().map(line).collect()
    }

    #[test]
    fn output_is_negotiated_by_substring() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        let table: [(Option<&str>, &str, Result<&str, u16>); 16] = [
            (None, "", Ok("application/fhir+xml")),
            (Some("*/*"), "", Ok("application/fhir+xml")),
            (Some("application/fhir+json"), "", Ok("application/fhir+json")),
            (
                Some("application/fhir+json;charset=utf-8;q=0.1, application/fhir+xml"),
                "",
                Ok("application/fhir+json"),
            ),
            (Some("application/fhir+xml, application/json"), "", Ok("application/json")),
            (Some("application/json+fhir"), "", Ok("application/json+fhir")),
            (Some("text/xml"), "", Ok("text/xml")),
            (Some(browser), "", Ok("application/xml")),
            (Some("text/csv"), "", Err(406)),
            (Some("application/fhir+xml"), "_format=json", Ok("application/fhir+json")),
            (Some("text/csv"), "_format=xml", Ok("application/fhir+xml")),
            (None, "_format=application/fhir+json", Ok("application/fhir+json")),
            (None, "_format=application%2Ffhir%2Bxml", Ok("application/fhir+xml")),
            (None, "_format=text/xml", Ok("text/xml")),
            (None, "_format=yaml", Err(415)),
            (None, "_format=html", Err(406)),
        ];
        for (accept, parameters, expected) in table {
            let headers = accept.map_or_else(HeaderMap::new, |accept| headers(&[("accept", accept)]));
            let output = output(&headers, &query(parameters));
            let seen = output.map(|output| output.media_type).map_err(|status| status.as_u16());
            assert_eq!(seen, expected, "Accept {accept:?}, query {parameters:?}");
        }
    }

    #[test]
    fn bodies_have_the_types_of_the_contract() {
        let task = Interaction::Create { ty: "Task" };
        let binary = Interaction::Create { ty: "Binary" };
        let table = [
            (&task, "application/fhir+json", Ok(BodyFormat::Fhir(Format::Json))),
            (&task, "Application/FHIR+XML; charset=UTF-8", Ok(BodyFormat::Fhir(Format::Xml))),
            (&task, "text/plain", Err(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
            (&binary, "text/plain", Ok(BodyFormat::Raw("text/plain".into()))),
            (&binary, "application/json", Ok(BodyFormat::Fhir(Format::Json))),
        ];
        for (interaction, content_type, expected) in table {
            assert_eq!(
                body_format(&headers(&[("content-type", content_type)]), interaction),
                expected,
                "{content_type}"
            );
        }
        assert_eq!(body_format(&HeaderMap::new(), &task), Err(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }

    #[test]
    fn queries_are_decoded_in_order() {
        let pairs = query(
            "criteria%3Aexact=Task%3Fstatus%3Drequested&&_count=1&flag&date=gt2026-01-01T00:00:00+01:00",
        );
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let expected = [
            ("criteria:exact", "Task?status=requested"),
            ("_count", "1"),
            ("flag", ""),
            ("date", "gt2026-01-01T00:00:00 01:00"),
        ];
        assert_eq!(pairs, expected);
    }

    #[test]
    fn preferences_and_conditions_are_read() {
        let strict = prefer(&headers(&[("prefer", "handling=strict")]));
        assert_eq!((strict.handling, strict.returns), (Handling::Strict, Return::Representation));
        let both = prefer(&headers(&[("prefer", "return=minimal; handling=strict")]));
        assert_eq!((both.handling, both.returns), (Handling::Strict, Return::Minimal));

        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let read = conditions(&headers(&[
            ("if-match", "W/\"7\""),
            ("if-none-match", "\"7\""),
            ("if-modified-since", date),
            ("if-none-exist", ""),
        ]));
        assert_eq!((read.if_match, read.if_none_match), (Some(7), None), "strong ETags are ignored");
        assert_eq!(read.if_modified_since.and_then(format_date).as_deref(), Some(date));
        assert_eq!(read.if_none_exist.as_deref(), Some(""), "a blank one is the client's error, not absence");
    }
}
