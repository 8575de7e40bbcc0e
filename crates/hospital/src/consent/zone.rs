//! Dates of consents as instants: where the day starts and ends.
use time::{
    Date, Duration, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset,
    format_description::well_known::Rfc3339,
};

/// Where dates without a time are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// Central European time with the summer time of the European Union (`Europe/Berlin`).
    Berlin,
    /// One offset all year.
    Fixed(UtcOffset),
}

/// What a date of any precision covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First instant.
    pub first: OffsetDateTime,
    /// End of the first day (the instant itself where there is a time).
    pub first_day_end: OffsetDateTime,
    /// Start of the last day (the instant itself where there is a time).
    pub last_day: OffsetDateTime,
    /// Last instant.
    pub last: OffsetDateTime,
    /// A whole date or an instant, no bare year or month.
    pub is_exact: bool,
}

impl Zone {
    /// From a setting: `Europe/Berlin`, `UTC` or an offset such as `+01:00`.
    pub fn from_setting(text: &str) -> Option<Self> {
        match text {
            "Europe/Berlin" => Some(Self::Berlin),
            "UTC" | "Z" => Some(Self::Fixed(UtcOffset::UTC)),
            _ => {
                let (sign, rest) = match text.split_at_checked(1)? {
                    ("+", rest) => (1, rest),
                    ("-", rest) => (-1, rest),
                    _ => return None,
                };
                let (hours, minutes) = rest.split_once(':')?;
                let (hours, minutes): (i8, i8) = (hours.parse().ok()?, minutes.parse().ok()?);
                UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok().map(Self::Fixed)
            }
        }
    }

    /// Start of a day.
    fn midnight(self, date: Date) -> OffsetDateTime {
        let local = PrimitiveDateTime::new(date, Time::MIDNIGHT);
        let offset = match self {
            Self::Fixed(offset) => offset,
            Self::Berlin => berlin(date),
        };
        local.assume_offset(offset)
    }

    /// What a FHIR date or dateTime covers; `None` when it is not one.
    pub fn span(self, text: &str) -> Option<Span> {
        if text.contains('T') {
            let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
            return Some(Span { first: at, first_day_end: at, last_day: at, last: at, is_exact: true });
        }
        let mut parts = text.split('-');
        let year: i32 = parts.next().filter(|part| part.len() == 4)?.parse().ok()?;
        let mut two = || -> Option<Option<u8>> {
            match parts.next() {
                None => Some(None),
                Some(part) if part.len() == 2 => Some(Some(part.parse().ok()?)),
                Some(_) => None,
            }
        };
        let (month, day) = (two()?, two()?);
        if parts.next().is_some() {
            return None;
        }
        let months = |number: Option<u8>, default| number.map_or(Some(default), |m| Month::try_from(m).ok());
        let (first_month, last_month) = (months(month, Month::January)?, months(month, Month::December)?);
        let first = Date::from_calendar_date(year, first_month, day.unwrap_or(1)).ok()?;
        let last_day = day.unwrap_or_else(|| last_month.length(year));
        let last = Date::from_calendar_date(year, last_month, last_day).ok()?;
        let end = |date: Date| Some(self.midnight(date.next_day()?) - Duration::nanoseconds(1));
        Some(Span {
            first: self.midnight(first),
            first_day_end: end(first)?,
            last_day: self.midnight(last),
            last: end(last)?,
            is_exact: day.is_some(),
        })
    }
}

/// Offset at midnight in Berlin. Summer time starts on the last Sunday of March and ends on the last
/// Sunday of October, both after midnight.
fn berlin(date: Date) -> UtcOffset {
    // March and October have 31 days; Sunday is day 0 of the week.
    let to_end = 31 - i16::from(date.day());
    let sunday_to_come = i16::from((7 - date.weekday().number_days_from_sunday()) % 7);
    let days_to_last_sunday =
        if sunday_to_come > to_end { -1 } else { to_end - (to_end - sunday_to_come) % 7 };
    let summer = match date.month() {
        Month::April | Month::May | Month::June | Month::July | Month::August | Month::September => true,
        Month::March => days_to_last_sunday < 0,
        Month::October => days_to_last_sunday >= 0,
        _ => false,
    };
    // Both offsets are valid.
    UtcOffset::from_hms(if summer { 2 } else { 1 }, 0, 0).unwrap_or(UtcOffset::UTC)
}
