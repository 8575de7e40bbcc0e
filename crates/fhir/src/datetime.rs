//! FHIR dates and times: partial dates, instants, the range of time they cover.
//!
//! All instants are milliseconds since 1970-01-01T00:00:00Z; what is finer is cut off. A value
//! without zone is taken as UTC, so that every site reads it alike.

use std::time::{SystemTime, UNIX_EPOCH};

const MILLIS_PER_SECOND: i64 = 1000;
const SECONDS_PER_DAY: i64 = 86_400;

/// How exactly a date or time is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// `2024`
    Year,
    /// `2024-02`
    Month,
    /// `2024-02-29`
    Day,
    /// `2024-02-29T12:30` (only in searches)
    Minute,
    /// `2024-02-29T12:30:00Z`
    Second,
    /// `2024-02-29T12:30:00.123Z`
    Fraction,
}

/// The time a value covers, both ends included, in milliseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First millisecond.
    pub low: i64,
    /// Last millisecond.
    pub high: i64,
}

/// A parsed FHIR `date`, `dateTime` or `instant`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTime {
    year: i64,
    month: u32,
    day: u32,
    /// Within the day as written, in milliseconds.
    time: i64,
    /// Minutes east of UTC.
    offset: Option<i32>,
    precision: Precision,
}

impl DateTime {
    /// Reads a FHIR `date`, `dateTime` or `instant`. Months, days, hours and minutes must exist;
    /// second 60 is accepted; the zone may be missing.
    pub fn parse(text: &str) -> Option<DateTime> {
        let bytes = text.as_bytes();
        let mut value = DateTime {
            year: i64::from(digits(bytes, 0, 4)?),
            month: 1,
            day: 1,
            time: 0,
            offset: None,
            precision: Precision::Year,
        };
        if bytes.len() == 4 {
            return Some(value);
        }
        value.month = after(bytes, 4, b'-').filter(|month| (1..=12).contains(month))?;
        value.precision = Precision::Month;
        if bytes.len() == 7 {
            return Some(value);
        }
        let last = days_in_month(value.year, value.month);
        value.day = after(bytes, 7, b'-').filter(|day| (1..=last).contains(day))?;
        value.precision = Precision::Day;
        if bytes.len() == 10 {
            return Some(value);
        }
        value.time_of_day(bytes)?;
        Some(value)
    }

    fn time_of_day(&mut self, bytes: &[u8]) -> Option<()> {
        let hour = after(bytes, 10, b'T').filter(|hour| *hour < 24)?;
        let minute = after(bytes, 13, b':').filter(|minute| *minute < 60)?;
        self.precision = Precision::Minute;
        let mut seconds = i64::from(hour) * 3600 + i64::from(minute) * 60;
        let mut end = 16;
        let mut millis = 0;
        if bytes.get(end) == Some(&b':') {
            seconds += i64::from(after(bytes, 16, b':').filter(|second| *second <= 60)?);
            self.precision = Precision::Second;
            end = 19;
            if bytes.get(end) == Some(&b'.') {
                let fraction = bytes[end + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                if fraction == 0 {
                    return None;
                }
                for index in 0..3 {
                    let digit = if index < fraction { bytes[end + 1 + index] - b'0' } else { 0 };
                    millis = millis * 10 + i64::from(digit);
                }
                self.precision = Precision::Fraction;
                end += 1 + fraction;
            }
        }
        self.time = seconds * MILLIS_PER_SECOND + millis;
        self.offset = match &bytes[end..] {
            [] => None,
            [b'Z'] => Some(0),
            zone @ [sign @ (b'+' | b'-'), ..] if zone.len() == 6 => {
                let hours = digits(zone, 1, 2).filter(|hours| *hours < 24)?;
                let minutes = after(zone, 3, b':').filter(|minutes| *minutes < 60)?;
                let minutes = i32::try_from(hours * 60 + minutes).ok()?;
                Some(if *sign == b'-' { -minutes } else { minutes })
            }
            _ => return None,
        };
        Some(())
    }

    /// How exactly the value is given.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Whether the value has a zone.
    pub fn has_zone(&self) -> bool {
        self.offset.is_some()
    }

    /// The time the value covers: `2024` the whole year, a value with seconds one second.
    pub fn range(&self) -> Range {
        let start =
            |year, month, day| days_from_civil(year, month, day) * SECONDS_PER_DAY * MILLIS_PER_SECOND;
        let shift = i64::from(self.offset.unwrap_or(0)) * 60 * MILLIS_PER_SECOND;
        let low = start(self.year, self.month, self.day) + self.time - shift;
        let next = match self.precision {
            Precision::Year => start(self.year + 1, 1, 1),
            Precision::Month if self.month == 12 => start(self.year + 1, 1, 1),
            Precision::Month => start(self.year, self.month + 1, 1),
            Precision::Day => low + SECONDS_PER_DAY * MILLIS_PER_SECOND,
            Precision::Minute => low + 60 * MILLIS_PER_SECOND,
            Precision::Second => low + MILLIS_PER_SECOND,
            Precision::Fraction => low + 1,
        };
        Range { low, high: next - 1 }
    }
}

/// The time a FHIR `date`, `dateTime` or `instant` covers; `None` if it is none.
pub fn range(text: &str) -> Option<Range> {
    DateTime::parse(text).map(|value| value.range())
}

/// The first millisecond a FHIR `date`, `dateTime` or `instant` covers.
pub fn instant(text: &str) -> Option<i64> {
    range(text).map(|range| range.low)
}

/// Writes an instant as `2024-02-29T12:30:00.123+00:00`.
pub fn format(millis: i64) -> String {
    let seconds = millis.div_euclid(MILLIS_PER_SECOND);
    let (year, month, day) = civil_from_days(seconds.div_euclid(SECONDS_PER_DAY));
    let second_of_day = seconds.rem_euclid(SECONDS_PER_DAY);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}+00:00",
        second_of_day / 3600,
        second_of_day / 60 % 60,
        second_of_day % 60,
        millis.rem_euclid(MILLIS_PER_SECOND)
    )
}

/// The machine's clock in milliseconds since the epoch.
pub fn now_millis() -> i64 {
    // A clock before 1970 or after the year 292 million counts as the epoch.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|age| i64::try_from(age.as_millis()).ok())
        .unwrap_or(0)
}

/// The machine's clock as [`format()`] writes it.
pub fn now() -> String {
    format(now_millis())
}

fn digits(bytes: &[u8], start: usize, count: usize) -> Option<u32> {
    let part = bytes.get(start..start + count)?;
    part.iter()
        .try_fold(0u32, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0')))
}

/// Two digits after a separator.
fn after(bytes: &[u8], at: usize, separator: u8) -> Option<u32> {
    if bytes.get(at) == Some(&separator) { digits(bytes, at + 1, 2) } else { None }
}

fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar (Howard Hinnant's algorithm: years
/// start in March, so that the leap day is the last one).
fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = i64::from((month + 9) % 12);
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (text, low, high) in [
            ("1970", "1970-01-01T00:00:00.000+00:00", "1970-12-31T23:59:59.999+00:00"),
            ("2024-02", "2024-02-01T00:00:00.000+00:00", "2024-02-29T23:59:59.999+00:00"),
            ("2024-12", "2024-12-01T00:00:00.000+00:00", "2024-12-31T23:59:59.999+00:00"),
            ("2023-06-30", "2023-06-30T00:00:00.000+00:00", "2023-06-30T23:59:59.999+00:00"),
            ("2024-02-29T23:59:59-11:30", "2024-03-01T11:29:59.000+00:00", "2024-03-01T11:29:59.999+00:00"),
            (
                "2024-02-29T12:30:01.1234567+02:00",
                "2024-02-29T10:30:01.123+00:00",
                "2024-02-29T10:30:01.123+00:00",
            ),
            ("1969-12-31T23:59:59", "1969-12-31T23:59:59.000+00:00", "1969-12-31T23:59:59.999+00:00"),
        ] {
            let range = range(text).unwrap();
            assert_eq!((format(range.low).as_str(), format(range.high).as_str()), (low, high), "{text}");
        }
    }

    #[test]
    fn refused() {
        for text in [
            "",
            "24",
            "2024-13",
            "2024-02-30",
            "2024-1-1",
            "2024-02-29T",
            "2024-02-29T24:00:00Z",
            "2024-02-29 10:00:00Z",
            "2024-02-29T10:00:00.Z",
            "2024-02-29T10:00:00+1:00",
            "2024-02-29T10:00:00Zx",
            "２０２４",
            " 2024",
        ] {
            assert_eq!(DateTime::parse(text), None, "{text}");
        }
    }
}
