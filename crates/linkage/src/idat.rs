//! Identifying data of a person as a master patient index gives them, before normalisation.
//!
//! Never logged: `Debug` shows nothing of it, memory is wiped when dropped, and nothing here can write it
//! down.

use serde::Deserialize;

use crate::secret::{SecretText, exposed};

/// One person. `None` is absent; HL7 null, an empty component and a missing one all are.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Idat {
    /// Given names in one text.
    pub first_name: Option<Text>,
    /// Family name.
    pub last_name: Option<Text>,
    /// Family name at birth, where it is known to differ. Only `de-1` uses it.
    pub birth_name: Option<Text>,
    /// Date of birth, possibly partial.
    pub birthday: Option<BirthDate>,
    /// Administrative sex as delivered: one of D F M O U X in HiGHmed, or a code of HL7.
    pub sex: Option<Text>,
    /// Street with house number.
    pub street: Option<Text>,
    /// Postal code.
    pub zip_code: Option<Text>,
    /// Place.
    pub city: Option<Text>,
    /// Country, two letters in HiGHmed.
    pub country: Option<Text>,
    /// The part of the health insurance number that does not change, ten characters.
    pub insurance_number: Option<Text>,
}

impl std::fmt::Debug for Idat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Idat(redacted)")
    }
}

/// A text of [`Idat`].
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(transparent)]
pub struct Text(#[serde(deserialize_with = "exposed::deserialize")] pub SecretText);

impl Text {
    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text(SecretText::from(text))
    }
}

/// A date of birth. Its parts are as delivered; nothing says that such a day exists.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BirthDate {
    /// Year, four digits.
    pub year: u16,
    /// Month, 1 to 12; `None` when only the year is known.
    pub month: Option<u8>,
    /// Day, 1 to 31; `None` when it is unknown.
    pub day: Option<u8>,
}

impl std::fmt::Debug for BirthDate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BirthDate(redacted)")
    }
}

impl BirthDate {
    /// Reads `d.m.yyyy` with or without leading zeros, `yyyy-mm-dd`, `yyyy-mm`, `yyyymmdd` (and longer,
    /// as HL7 writes times), `yyyymm` and `yyyy`. `None` for anything else, and for dates whose parts are
    /// out of range.
    #[must_use]
    pub fn parse(text: &str) -> Option<BirthDate> {
        let text = text.trim();
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let (year, month, day) = if text.contains('.') {
            let mut parts = text.split('.').map(str::trim);
            let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
            if parts.next().is_some() || !(1..=2).contains(&day.len()) || !(1..=2).contains(&month.len()) {
                return None;
            }
            (year, Some(month), Some(day))
        } else if text.contains('-') {
            let mut parts = text.split('-');
            let (year, month, day) = (parts.next()?, parts.next()?, parts.next());
            if parts.next().is_some() || month.len() != 2 || day.is_some_and(|day| day.len() != 2) {
                return None;
            }
            (year, Some(month), day)
        } else if digits(text) && matches!(text.len(), 4 | 6 | 8..=14) {
            (&text[..4], text.get(4..6), text.get(6..8))
        } else {
            return None;
        };
        if year.len() != 4 || ![Some(year), month, day].iter().flatten().all(|part| digits(part)) {
            return None;
        }
        let number = |part: Option<&str>| part.map(str::parse::<u8>).transpose().ok();
        let date = BirthDate { year: year.parse().ok()?, month: number(month)?, day: number(day)? };
        let fits = date.month.is_none_or(|month| (1..=12).contains(&month))
            && date.day.is_none_or(|day| (1..=31).contains(&day));
        fits.then_some(date)
    }

    /// Whether there is such a day, as far as it is known.
    #[must_use]
    pub fn exists(self) -> bool {
        let month = self.month.map(time::Month::try_from);
        match (month, self.day) {
            (None, None) => self.year > 0,
            (Some(Ok(_)), None) => self.year > 0,
            (Some(Ok(month)), Some(day)) => {
                self.year > 0 && time::Date::from_calendar_date(self.year.into(), month, day).is_ok()
            }
            _ => false,
        }
    }
}
