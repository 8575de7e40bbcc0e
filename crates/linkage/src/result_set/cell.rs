//! A cell of a result set: its kind, its JSON, and its encrypted text (record-linkage.md 5 and 7.1).

use time::{Date, Month, Time};

use super::json::{Json, java_double};
use crate::cipher::{OpenError, decrypt, encrypt};
use crate::secret::Key256;

/// A value. Patient data.
#[derive(Clone, PartialEq)]
pub enum Cell {
    /// A whole number. Not cut to 32 bits as the original does.
    Integer(i128),
    /// Any other number.
    Double(f64),
    /// A date and time with offset, in the form that is written.
    Timestamp(String),
    /// Any other text.
    Text(String),
    /// Anything else.
    Json(Json),
}

/// A cell that is no encrypted one, or does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CellError {
    /// It does not open; one outcome for every cause.
    #[error("a cell {0}")]
    Open(#[from] OpenError),
    /// It is not a text with a known type before a colon.
    #[error("a cell is not encrypted, or of an unknown type")]
    Type,
}

impl From<Json> for Cell {
    fn from(json: Json) -> Cell {
        match json {
            Json::Integer(number) => Cell::Integer(number),
            Json::Double(number) => Cell::Double(number),
            Json::Text(text) => timestamp(&text).map_or(Cell::Text(text), Cell::Timestamp),
            other => Cell::Json(other),
        }
    }
}

impl Cell {
    pub(super) fn to_json(&self) -> Json {
        match self {
            Cell::Integer(number) => Json::Integer(*number),
            Cell::Double(number) => Json::Double(*number),
            Cell::Timestamp(text) | Cell::Text(text) => Json::Text(text.clone()),
            Cell::Json(json) => json.clone(),
        }
    }

    /// The text of a text cell.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Cell::Text(text) | Cell::Timestamp(text) => Some(text),
            _ => None,
        }
    }

    /// The cell as encrypted text: type, colon, Base64.
    pub(super) fn seal(&self, key: &Key256, study: &str, random: &mut dyn rand::CryptoRng) -> Cell {
        let (kind, plaintext) = match self {
            Cell::Integer(number) => ("integer", number.to_string()),
            Cell::Double(number) => ("double", java_double(*number)),
            Cell::Timestamp(text) => ("timestamp", text.clone()),
            Cell::Text(text) => ("string", text.clone()),
            Cell::Json(json) => ("json", json.to_string()),
        };
        let plaintext = zeroize::Zeroizing::new(plaintext);
        Cell::Text(format!("{kind}:{}", encrypt(key, study, &plaintext, random)))
    }

    /// Opens what [`Cell::seal`] made.
    pub(crate) fn open(&self, key: &Key256, study: &str) -> Result<Cell, CellError> {
        let (kind, sealed) = self.text().and_then(|text| text.split_once(':')).ok_or(CellError::Type)?;
        if !["integer", "double", "timestamp", "string", "json"].contains(&kind) {
            return Err(CellError::Type);
        }
        let plaintext = decrypt(key, study, sealed)?;
        let cell = match kind {
            "integer" => plaintext.parse().ok().map(Cell::Integer),
            "double" => plaintext.parse().ok().map(Cell::Double),
            "timestamp" => timestamp(&plaintext).map(Cell::Timestamp),
            "json" => serde_json::from_str(&plaintext).ok().map(Cell::Json),
            _ => Some(Cell::Text(plaintext.to_string())),
        };
        cell.ok_or(CellError::Open(OpenError))
    }
}

/// Date and time with offset (`ISO_OFFSET_DATE_TIME`) in the form that is written: seconds always there,
/// fraction without zeros at the end, `Z` for no offset. `None` for any other text.
fn timestamp(text: &str) -> Option<String> {
    if !text.is_ascii() || !text.get(10..11)?.eq_ignore_ascii_case("t") {
        return None;
    }
    let (date, rest) = (&text[..10], &text[11..]);
    let digits = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u32>().ok()).flatten()
    };
    let small =
        |text: &str| if text.len() == 2 { digits(text).and_then(|n| u8::try_from(n).ok()) } else { None };
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let year_number = i32::try_from(digits(year).filter(|_| year.len() == 4)?).ok()?;
    Date::from_calendar_date(year_number, Month::try_from(small(month)?).ok()?, small(day)?).ok()?;

    let offset_at = rest.find(['Z', 'z', '+', '-'])?;
    let (clock, offset) = rest.split_at(offset_at);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = clock.split(':');
    let (hour, minute) = (parts.next()?, parts.next()?);
    let second = parts.next().unwrap_or("00");
    if parts.next().is_some() || (clock.len() < 8 && rest[..offset_at].contains('.')) {
        return None;
    }
    Time::from_hms(small(hour)?, small(minute)?, small(second)?).ok()?;
    if fraction.len() > 9 || digits(if fraction.is_empty() { "0" } else { fraction }).is_none() {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    Some(format!("{date}T{hour}:{minute}:{second}{dot}{fraction}{}", written_offset(offset)?))
}

/// An offset from UTC: `Z`, or sign with hours, minutes and, if not 0, seconds.
fn written_offset(offset: &str) -> Option<String> {
    if offset.eq_ignore_ascii_case("z") {
        return Some("Z".to_owned());
    }
    let (sign, rest) = offset.split_at(1);
    let digits = rest.replace(':', "");
    let colons_fit = rest.len() == digits.len() || rest.split(':').all(|part| part.len() == 2);
    if !colons_fit || !matches!(digits.len(), 2 | 4 | 6) || !digits.bytes().all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    let part = |at: usize| digits.get(at..at + 2).unwrap_or("00");
    let (hours, minutes, seconds) = (part(0), part(2), part(4));
    // The widest offset is 18 hours.
    if minutes > "59" || seconds > "59" || format!("{hours}{minutes}{seconds}").as_str() > "180000" {
        return None;
    }
    match (hours, minutes, seconds) {
        ("00", "00", "00") => Some("Z".to_owned()),
        (_, _, "00") => Some(format!("{sign}{hours}:{minutes}")),
        _ => Some(format!("{sign}{hours}:{minutes}:{seconds}")),
    }
}
