//! ISO 8601 durations, dates and repetitions as BPMN timers and retry cycles use them (contract 7.5).
use serde::{Deserialize, Serialize};
use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

/// Attempts a retry cycle may ask for; more is taken as this many.
pub const MAX_ATTEMPTS: u32 = 1000;
/// Repetitions looked at to find the next firing of a cycle in months; beyond it the cycle is over.
const MAX_CALENDAR_STEPS: u32 = 100_000;

/// A calendar period: months are added to the date, milliseconds to the instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Period {
    /// Years and months, in months.
    pub months: u32,
    /// Everything else, in milliseconds.
    pub millis: i64,
}

/// A repetition: `R[n]/[start/]period`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cycle {
    /// Number of firings; endless where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// Anchor, milliseconds since the epoch; the time of creation where the text names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<i64>,
    /// Distance of the firings.
    pub period: Period,
}

/// How often and with which pauses a job is tried (`failedJobRetryTimeCycle`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryCycle {
    /// Number of attempts in all, at least 1.
    pub attempts: u32,
    /// Pause before the second, third, … attempt in milliseconds; the last one holds for the rest.
    pub delays: Vec<i64>,
}

/// A text that is none of the supported forms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a supported ISO 8601 {0}")]
pub struct FormatError(pub &'static str);

/// Reads a duration such as `PT20S`, `P1DT2H`, `P2W` or `PT0.5S`.
///
/// # Errors
/// Any other text, or one too large to compute with.
pub fn duration(text: &str) -> Result<Period, FormatError> {
    parse_duration(text.trim()).ok_or(FormatError("duration"))
}

/// Reads a date or date-time; without a zone it is UTC. Milliseconds since the epoch.
///
/// # Errors
/// Any other text.
pub fn instant(text: &str) -> Result<i64, FormatError> {
    parse_instant(text.trim()).ok_or(FormatError("date"))
}

/// Reads a repetition such as `R3/PT10M`, `R/PT1H` or `R5/2030-01-01T00:00:00Z/P1D`.
///
/// # Errors
/// Any other text; cron expressions among them.
pub fn cycle(text: &str) -> Result<Cycle, FormatError> {
    parse_cycle(text.trim()).ok_or(FormatError("repetition"))
}

/// Reads a retry cycle: `R5/PT1M`, a list `PT1M,PT5M` (attempts = entries + 1), or one duration.
/// `R0/…` means no retry: one attempt.
///
/// # Errors
/// Any other text.
pub fn retry_cycle(text: &str) -> Result<RetryCycle, FormatError> {
    let text = text.trim();
    if text.starts_with('R') {
        let cycle = cycle(text).map_err(|_| FormatError("retry cycle"))?;
        let attempts = cycle.times.unwrap_or(MAX_ATTEMPTS).clamp(1, MAX_ATTEMPTS);
        return Ok(RetryCycle { attempts, delays: vec![cycle.period.as_millis()] });
    }
    let delays: Result<Vec<i64>, FormatError> =
        text.split(',').map(|part| duration(part).map(|period| period.as_millis())).collect();
    let delays = delays.map_err(|_| FormatError("retry cycle"))?;
    let attempts = u32::try_from(delays.len()).unwrap_or(MAX_ATTEMPTS).min(MAX_ATTEMPTS - 1) + 1;
    Ok(RetryCycle { attempts, delays })
}

/// Writes an instant as RFC 3339 in UTC with milliseconds; out-of-range values give the epoch.
pub fn format_instant(millis: i64) -> String {
    let at = from_millis(millis).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.millisecond()
    )
}

impl Period {
    /// The instant this period after another one; the day is cut to the length of the month.
    /// `None` when out of range.
    pub fn after(&self, instant: i64) -> Option<i64> {
        let shifted = if self.months == 0 { instant } else { add_months(instant, self.months)? };
        shifted.checked_add(self.millis)
    }

    /// Length in milliseconds, a month counted as 30 days.
    pub fn as_millis(&self) -> i64 {
        self.millis.saturating_add(i64::from(self.months) * 30 * 86_400_000)
    }
}

impl Cycle {
    /// First firing after `now`; `None` when the repetition is over. Firings are anchored at the
    /// start, so those that a late `now` skipped are lost.
    pub fn next(&self, created: i64, now: i64) -> Option<i64> {
        let start = self.start.unwrap_or(created);
        if start > now {
            return Some(start);
        }
        if self.period.as_millis() <= 0 {
            return None;
        }
        let steps = if self.period.months == 0 {
            u32::try_from((now - start) / self.period.millis + 1).unwrap_or(u32::MAX)
        } else {
            let fires_after = |k: &u32| self.nth(start, *k).is_none_or(|at| at > now);
            (1..self.times.unwrap_or(MAX_CALENDAR_STEPS).min(MAX_CALENDAR_STEPS)).find(fires_after)?
        };
        if self.times.is_some_and(|times| steps > times) { None } else { self.nth(start, steps) }
    }

    fn nth(&self, start: i64, steps: u32) -> Option<i64> {
        let months = self.period.months.checked_mul(steps)?;
        let millis = self.period.millis.checked_mul(i64::from(steps))?;
        Period { months, millis }.after(start)
    }
}

fn parse_duration(text: &str) -> Option<Period> {
    let rest = text.strip_prefix('P')?;
    let (days, times) = match rest.split_once('T') {
        Some((_, "")) => return None,
        Some((days, times)) => (days, times),
        None => (rest, ""),
    };
    if days.is_empty() && times.is_empty() {
        return None;
    }
    let mut period = Period::default();
    for (number, unit) in fields(days)? {
        let whole: u32 = number.parse().ok()?;
        match unit {
            'Y' => period.months = period.months.checked_add(whole.checked_mul(12)?)?,
            'M' => period.months = period.months.checked_add(whole)?,
            'W' => period.millis = period.millis.checked_add(i64::from(whole) * 7 * 86_400_000)?,
            'D' => period.millis = period.millis.checked_add(i64::from(whole) * 86_400_000)?,
            _ => return None,
        }
    }
    for (number, unit) in fields(times)? {
        let millis = match unit {
            'H' => i64::from(number.parse::<u32>().ok()?) * 3_600_000,
            'M' => i64::from(number.parse::<u32>().ok()?) * 60_000,
            'S' => seconds_to_millis(number)?,
            _ => return None,
        };
        period.millis = period.millis.checked_add(millis)?;
    }
    Some(period)
}

/// Splits `1Y2M` into numbers and units.
fn fields(text: &str) -> Option<Vec<(&str, char)>> {
    let mut found = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ',')?;
        let unit = rest[end..].chars().next()?;
        if end == 0 {
            return None;
        }
        found.push((&rest[..end], unit));
        rest = &rest[end + unit.len_utf8()..];
    }
    Some(found)
}

fn seconds_to_millis(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, ""));
    let whole: i64 = whole.parse::<u32>().ok()?.into();
    if !fraction.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let millis: String = fraction.chars().chain("000".chars()).take(3).collect();
    Some(whole * 1000 + millis.parse::<i64>().ok()?)
}

fn parse_instant(text: &str) -> Option<i64> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut parts = date.splitn(3, '-');
    let year: i32 = parts.next().filter(|year| year.len() == 4)?.parse().ok()?;
    let month: u8 = parts.next()?.parse().ok()?;
    let day: u8 = parts.next()?.parse().ok()?;
    let date = Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()?;
    let (time, offset) = match time {
        Some(time) => parse_time(time)?,
        None => (Time::MIDNIGHT, UtcOffset::UTC),
    };
    Some(to_millis(date.with_time(time).assume_offset(offset)))
}

fn parse_time(text: &str) -> Option<(Time, UtcOffset)> {
    let zone_at = text.find(['Z', '+', '-']).unwrap_or(text.len());
    let (time, zone) = text.split_at(zone_at);
    let offset = match zone {
        "" | "Z" => UtcOffset::UTC,
        zone => {
            let sign: i8 = if zone.starts_with('-') { -1 } else { 1 };
            let digits: String = zone.chars().filter(char::is_ascii_digit).collect();
            let hours: i8 = digits.get(..2)?.parse().ok()?;
            let minutes: i8 = digits.get(2..4).unwrap_or("00").parse().ok()?;
            UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok()?
        }
    };
    let mut parts = time.split(':');
    let hour: u8 = parts.next()?.parse().ok()?;
    let minute: u8 = parts.next().unwrap_or("0").parse().ok()?;
    let millis = seconds_to_millis(parts.next().unwrap_or("0"))?;
    if parts.next().is_some() {
        return None;
    }
    let second = u8::try_from(millis / 1000).ok()?;
    let milli = u16::try_from(millis % 1000).ok()?;
    Some((Time::from_hms_milli(hour, minute, second, milli).ok()?, offset))
}

fn parse_cycle(text: &str) -> Option<Cycle> {
    let mut parts = text.strip_prefix('R')?.split('/');
    let times = match parts.next()? {
        "" => None,
        number => Some(number.parse().ok()?),
    };
    let (second, third) = (parts.next()?, parts.next());
    if parts.next().is_some() {
        return None;
    }
    match third {
        None => Some(Cycle { times, start: None, period: parse_duration(second)? }),
        Some(period) => {
            Some(Cycle { times, start: Some(parse_instant(second)?), period: parse_duration(period)? })
        }
    }
}

fn from_millis(millis: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok()
}

fn to_millis(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

fn add_months(instant: i64, months: u32) -> Option<i64> {
    let at = from_millis(instant)?;
    let total = i64::from(at.year()) * 12 + i64::from(u8::from(at.month())) - 1 + i64::from(months);
    let year = i32::try_from(total.div_euclid(12)).ok()?;
    let month = Month::try_from(u8::try_from(total.rem_euclid(12) + 1).ok()?).ok()?;
    let day = at.day().min(month.length(year));
    Some(to_millis(at.replace_date(Date::from_calendar_date(year, month, day).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let table = [
            ("PT20S", 0, 20_000),
            ("PT0.5S", 0, 500),
            ("P1Y2M3DT4H5M6.789S", 14, 3 * 86_400_000 + 4 * 3_600_000 + 5 * 60_000 + 6_789),
            ("P2W", 0, 14 * 86_400_000),
        ];
        for (text, months, millis) in table {
            assert_eq!(duration(text), Ok(Period { months, millis }), "{text}");
        }
        for bad in ["", "P", "PT", "20S", "PTS", "P1H", "PT1D", "PT1.5H", "P-1D", "PT99999999999S"] {
            assert!(duration(bad).is_err(), "{bad} must be refused");
        }
    }

    #[test]
    fn dates() {
        let table = [
            ("1970-01-02", 86_400_000),
            ("1970-01-01T00:00:01.5Z", 1_500),
            ("1970-01-01T02:00:00+02:00", 0),
            ("1970-01-01T00:00", 0),
        ];
        for (text, millis) in table {
            assert_eq!(instant(text), Ok(millis), "{text}");
        }
        for bad in
            ["", "1970", "1970-13-01", "1970-01-32", "1970-01-01T25:00:00", "PT1S", "1970-01-01T1:2:3:4"]
        {
            assert!(instant(bad).is_err(), "{bad} must be refused");
        }
        assert_eq!(format_instant(1_500), "1970-01-01T00:00:01.500Z");
        let february = Period { months: 1, millis: 0 }.after(instant("2030-01-31").unwrap()).unwrap();
        assert_eq!(format_instant(february), "2030-02-28T00:00:00.000Z");
    }

    #[test]
    fn cycles_are_anchored_and_lose_skipped_firings() {
        let three = cycle("R3/PT10M").unwrap();
        let minute = 60_000;
        assert_eq!(three.next(0, 0), Some(10 * minute));
        assert_eq!(three.next(0, 10 * minute + 1), Some(20 * minute));
        assert_eq!(three.next(0, 25 * minute), Some(30 * minute));
        assert_eq!(three.next(0, 30 * minute + 1), None);
        assert_eq!(cycle("R/PT1H").unwrap().next(0, 1), Some(60 * minute));
        assert_eq!(cycle("R2/1970-01-01T05:00:00Z/PT1H").unwrap().next(0, 0), Some(300 * minute));
        assert!(cycle("0 0/5 * * * ?").is_err());
    }

    #[test]
    fn retry_cycles() {
        assert_eq!(retry_cycle("R3/PT5S"), Ok(RetryCycle { attempts: 3, delays: vec![5_000] }));
        assert_eq!(retry_cycle("R0/PT5S"), Ok(RetryCycle { attempts: 1, delays: vec![5_000] }));
        assert_eq!(retry_cycle("PT1M,PT5M"), Ok(RetryCycle { attempts: 3, delays: vec![60_000, 300_000] }));
        assert!(retry_cycle("often").is_err());
    }
}
