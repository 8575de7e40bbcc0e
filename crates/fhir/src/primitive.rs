//! Primitive types: which texts are values of them, and how a text is normalised.
//!
//! The rules are those of the public implementation's lenient parser, which is wider than the
//! regular expressions of the specification: the rest is the profile validator's business.

use std::borrow::Cow;

use crate::datetime::{DateTime, Precision};
use crate::xhtml;

/// Most digits that an exponent may expand a decimal to.
const MAX_DECIMAL_DIGITS: usize = 1000;

/// A FHIR primitive type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the FHIR types")]
pub enum Primitive {
    Base64Binary,
    Boolean,
    Canonical,
    Code,
    Date,
    DateTime,
    Decimal,
    Id,
    Instant,
    Integer,
    Markdown,
    Oid,
    PositiveInt,
    String,
    Time,
    UnsignedInt,
    Uri,
    Url,
    Uuid,
    Xhtml,
}

/// The text is not a value of the type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Invalid;

impl Primitive {
    /// The primitive type with this FHIR name.
    pub fn from_code(code: &str) -> Option<Primitive> {
        Some(match code {
            "base64Binary" => Primitive::Base64Binary,
            "boolean" => Primitive::Boolean,
            "canonical" => Primitive::Canonical,
            "code" => Primitive::Code,
            "date" => Primitive::Date,
            "dateTime" => Primitive::DateTime,
            "decimal" => Primitive::Decimal,
            "id" => Primitive::Id,
            "instant" => Primitive::Instant,
            "integer" => Primitive::Integer,
            "markdown" => Primitive::Markdown,
            "oid" => Primitive::Oid,
            "positiveInt" => Primitive::PositiveInt,
            "string" => Primitive::String,
            "time" => Primitive::Time,
            "unsignedInt" => Primitive::UnsignedInt,
            "uri" => Primitive::Uri,
            "url" => Primitive::Url,
            "uuid" => Primitive::Uuid,
            "xhtml" => Primitive::Xhtml,
            _ => return None,
        })
    }

    /// The FHIR name of the type.
    pub fn code(self) -> &'static str {
        match self {
            Primitive::Base64Binary => "base64Binary",
            Primitive::Boolean => "boolean",
            Primitive::Canonical => "canonical",
            Primitive::Code => "code",
            Primitive::Date => "date",
            Primitive::DateTime => "dateTime",
            Primitive::Decimal => "decimal",
            Primitive::Id => "id",
            Primitive::Instant => "instant",
            Primitive::Integer => "integer",
            Primitive::Markdown => "markdown",
            Primitive::Oid => "oid",
            Primitive::PositiveInt => "positiveInt",
            Primitive::String => "string",
            Primitive::Time => "time",
            Primitive::UnsignedInt => "unsignedInt",
            Primitive::Uri => "uri",
            Primitive::Url => "url",
            Primitive::Uuid => "uuid",
            Primitive::Xhtml => "xhtml",
        }
    }

    /// Whether JSON writes a value of the type without quotes.
    pub fn is_unquoted(self) -> bool {
        matches!(
            self,
            Primitive::Boolean
                | Primitive::Integer
                | Primitive::UnsignedInt
                | Primitive::PositiveInt
                | Primitive::Decimal
        )
    }

    fn is_blank_nothing(self) -> bool {
        self.is_unquoted()
            || matches!(
                self,
                Primitive::Date | Primitive::DateTime | Primitive::Instant | Primitive::Base64Binary
            )
    }

    /// Checks a text as received and gives its normal form. `None` stands for no value: an empty
    /// text, or a blank one where blanks are no value of the type, is dropped, not refused.
    pub(crate) fn accept(self, text: Cow<'_, str>) -> Result<Option<Box<str>>, Invalid> {
        if text.is_empty() || (self.is_blank_nothing() && text.trim().is_empty()) {
            return Ok(None);
        }
        let accepted = match self {
            Primitive::Boolean => matches!(&*text, "true" | "false").then_some(text),
            Primitive::Integer | Primitive::UnsignedInt | Primitive::PositiveInt => integer(text),
            Primitive::Decimal => decimal(&text).map(Cow::Owned),
            Primitive::Date => date(&text, Precision::Day).then_some(text),
            Primitive::DateTime | Primitive::Instant => date(&text, Precision::Fraction).then_some(text),
            Primitive::Base64Binary => base64(text),
            Primitive::Xhtml => return xhtml::normalise(&text).map(|div| div.map(Into::into)),
            _ => text.chars().all(is_character).then_some(text),
        };
        match accepted {
            Some(text) => Ok(Some(text.into())),
            None => Err(Invalid),
        }
    }
}

/// Whether both XML 1.0 and JSON can hold the character.
pub(crate) fn is_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

fn date(text: &str, most: Precision) -> bool {
    DateTime::parse(text).is_some_and(|value| value.precision() <= most)
}

/// A 32 bit integer without sign and zeros in front, as JSON wants it.
fn integer(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let number: i32 = text.parse().ok()?;
    let normal = text.strip_prefix('-').unwrap_or(&text);
    if normal == "0" || normal.starts_with(|first: char| ('1'..='9').contains(&first)) {
        // "-0" is the one text that is left with a sign it does not need.
        return if number == 0 { Some(Cow::Borrowed("0")) } else { Some(text) };
    }
    Some(Cow::Owned(number.to_string()))
}

/// A decimal with its exponent expanded and all its digits kept, also trailing zeros.
fn decimal(text: &str) -> Option<String> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], rest[at + 1..].parse::<i32>().ok()?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: String = [whole, fraction].concat();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // The number is `digits` with `scale` of them behind the point.
    let scale = i64::try_from(fraction.len()).ok()? - i64::from(exponent);
    if exponent != 0 && scale.unsigned_abs() as usize > MAX_DECIMAL_DIGITS {
        return None;
    }
    let mut digits = digits;
    let behind = usize::try_from(scale).unwrap_or_else(|_| {
        digits.extend(std::iter::repeat_n('0', scale.unsigned_abs() as usize));
        0
    });
    if digits.len() <= behind {
        digits.insert_str(0, &"0".repeat(behind + 1 - digits.len()));
    }
    let (whole, fraction) = digits.split_at(digits.len() - behind);
    let whole = whole.trim_start_matches('0');
    let mut result = String::with_capacity(digits.len() + 3);
    if negative && digits.bytes().any(|byte| byte != b'0') {
        result.push('-');
    }
    result.push_str(if whole.is_empty() { "0" } else { whole });
    if behind > 0 {
        result.push('.');
        result.push_str(fraction);
    }
    Some(result)
}

/// Base64 of the standard alphabet with white space removed and padding put right.
fn base64(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let mut text = text;
    if text.bytes().any(|byte| byte.is_ascii_whitespace()) {
        text = Cow::Owned(text.chars().filter(|character| !character.is_ascii_whitespace()).collect());
    }
    let data = text.trim_end_matches('=').len();
    let valid = text[..data].bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
        && data % 4 != 1
        && text.len() - data <= 2;
    if !valid {
        return None;
    }
    let padding = (4 - data % 4) % 4;
    if text.len() != data + padding {
        let text = text.to_mut();
        text.truncate(data);
        text.push_str(&"=="[..padding]);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_forms() {
        use Primitive::{Base64Binary, Boolean, Code, Date, DateTime, Decimal, Integer, PositiveInt};
        for (primitive, text, expected) in [
            (Decimal, "1.0", Ok("1.0")),
            (Decimal, "1.50e3", Ok("1500")),
            (Decimal, "1.2340e2", Ok("123.40")),
            (Decimal, "1E-7", Ok("0.0000001")),
            (Decimal, "-0.5", Ok("-0.5")),
            (Decimal, "-0.0", Ok("0.0")),
            (Decimal, "+007", Ok("7")),
            (Decimal, ".5", Ok("0.5")),
            (Decimal, "1e999999999", Err(Invalid)),
            (Decimal, "1e", Err(Invalid)),
            (Decimal, ".", Err(Invalid)),
            (Decimal, "NaN", Err(Invalid)),
            (Integer, "+07", Ok("7")),
            (Integer, "-0", Ok("0")),
            (Integer, "-12", Ok("-12")),
            (PositiveInt, "1.0", Err(Invalid)),
            (Integer, "2147483648", Err(Invalid)),
            (Boolean, "TRUE", Err(Invalid)),
            (Date, "2024-02", Ok("2024-02")),
            (Date, "2024-02-01T10:00:00Z", Err(Invalid)),
            (DateTime, "2024-02-01T10:00:00", Ok("2024-02-01T10:00:00")),
            (Base64Binary, " QU\nJD ", Ok("QUJD")),
            (Base64Binary, "QUI", Ok("QUI=")),
            (Base64Binary, "QQ=", Ok("QQ==")),
            (Base64Binary, "QQ===", Err(Invalid)),
            (Base64Binary, "Q", Err(Invalid)),
            (Base64Binary, "Q=A=", Err(Invalid)),
            (Code, "a b", Ok("a b")),
            (Code, "a\u{1}b", Err(Invalid)),
        ] {
            let accepted = primitive.accept(Cow::Borrowed(text)).map(|text| text.unwrap_or_default());
            assert_eq!(accepted, expected.map(Box::from), "{} {text}", primitive.code());
        }
    }
}
