//! Repetitions as cron expressions with six fields, seconds first, in UTC (contract 7.5).
//!
//! Fields hold `*`, `?`, numbers, names (`MON`, `JAN`), ranges, steps and lists; the day of the month
//! may be `L`, the last one. Both day fields must fit. `W`, `#` and `L` with a number are refused.
use serde::{Deserialize, Serialize};
use time::{Date, Duration, OffsetDateTime, Time};

/// Days that are looked at for the next firing: the 29th of February on a given weekday recurs
/// within 28 years, within 40 over a century that is no leap year.
const HORIZON_DAYS: u32 = 40 * 366;

/// A cron expression: one bit for each value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cron {
    seconds: u64,
    minutes: u64,
    hours: u32,
    /// Bit 0 is the last day of the month.
    days: u32,
    months: u16,
    /// Sunday is bit 0.
    weekdays: u8,
}

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const MACROS: [(&str, &str); 7] = [
    ("@yearly", "0 0 0 1 1 *"),
    ("@annually", "0 0 0 1 1 *"),
    ("@monthly", "0 0 0 1 * *"),
    ("@weekly", "0 0 0 * * 0"),
    ("@daily", "0 0 0 * * *"),
    ("@midnight", "0 0 0 * * *"),
    ("@hourly", "0 0 * * * *"),
];

impl Cron {
    /// Reads an expression; `None` for any other text.
    pub fn parse(text: &str) -> Option<Cron> {
        let text = text.trim();
        let text = MACROS.iter().find(|(name, _)| *name == text).map_or(text, |(_, meaning)| meaning);
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [seconds, minutes, hours, days, months, weekdays] = fields.as_slice() else { return None };
        let weekdays = bits(weekdays, 0, 7, &WEEKDAYS, 0)?;
        Some(Cron {
            seconds: bits(seconds, 0, 59, &[], 0)?,
            minutes: bits(minutes, 0, 59, &[], 0)?,
            hours: u32::try_from(bits(hours, 0, 23, &[], 0)?).ok()?,
            days: if *days == "L" { 1 } else { u32::try_from(bits(days, 1, 31, &[], 0)?).ok()? },
            months: u16::try_from(bits(months, 1, 12, &MONTHS, 1)?).ok()?,
            // Sunday is 0 and 7.
            weekdays: u8::try_from((weekdays | weekdays >> 7) & 0x7f).ok()?,
        })
    }

    /// The first firing later than an instant; milliseconds since the epoch.
    pub fn next(&self, after: i64) -> Option<i64> {
        let from = OffsetDateTime::from_unix_timestamp(after.div_euclid(1000)).ok()? + Duration::seconds(1);
        let mut date = from.date();
        let mut earliest = Some(from.time());
        for _ in 0..HORIZON_DAYS {
            if self.fits(date)
                && let Some(time) = self.time(earliest)
            {
                return Some(date.with_time(time).assume_utc().unix_timestamp() * 1000);
            }
            date = date.next_day()?;
            earliest = None;
        }
        None
    }

    fn fits(&self, date: Date) -> bool {
        let last = date.next_day().is_none_or(|next| next.day() == 1);
        let weekday = date.weekday().number_days_from_sunday();
        self.months >> u8::from(date.month()) & 1 == 1
            && self.weekdays >> weekday & 1 == 1
            && (self.days >> date.day() & 1 == 1 || last && self.days & 1 == 1)
    }

    /// First time of day that fits, not before the given one.
    fn time(&self, earliest: Option<Time>) -> Option<Time> {
        let earliest = earliest.unwrap_or(Time::MIDNIGHT);
        let (hour, minute, second) = earliest.as_hms();
        let first = |bits: u64, from: u8| (from..60).find(|value| bits >> value & 1 == 1);
        for h in (hour..24).filter(|h| self.hours >> h & 1 == 1) {
            let from = if h == hour { minute } else { 0 };
            for m in (from..60).filter(|m| self.minutes >> m & 1 == 1) {
                let from = if h == hour && m == minute { second } else { 0 };
                if let Some(s) = first(self.seconds, from) {
                    return Time::from_hms(h, m, s).ok();
                }
            }
        }
        None
    }
}

fn bits(field: &str, low: u8, high: u8, names: &[&str], first: u8) -> Option<u64> {
    let value = |text: &str| -> Option<u8> {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let value = match named {
            Some(at) => u8::try_from(at).ok()? + first,
            None => text.parse().ok()?,
        };
        (low..=high).contains(&value).then_some(value)
    };
    let mut bits = 0;
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<u8>().ok().filter(|step| *step > 0)?)),
            None => (part, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" || range == "?" => (low, high),
            Some((from, to)) => (value(from)?, value(to)?),
            // `5/10` counts from 5 to the end.
            None => (value(range)?, if step.is_some() { high } else { value(range)? }),
        };
        if from > to {
            return None;
        }
        for at in (from..=to).step_by(usize::from(step.unwrap_or(1))) {
            bits |= 1_u64 << at;
        }
    }
    Some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iso8601::{format_instant, instant};

    #[test]
    fn firings() {
        for (text, after, expected) in [
            ("0 0/5 * * * ?", "2030-01-01T00:00:00Z", "2030-01-01T00:05:00Z"),
            ("0 0/5 * * * ?", "2030-01-01T00:04:59.999Z", "2030-01-01T00:05:00Z"),
            ("*/20 59 23 * * *", "2030-12-31T23:59:40Z", "2031-01-01T23:59:00Z"),
            ("0 30 9 * * MON-FRI", "2030-01-04T10:00:00Z", "2030-01-07T09:30:00Z"),
            ("0 0 0 29 FEB ?", "2030-01-01T00:00:00Z", "2032-02-29T00:00:00Z"),
            ("0 0 12 L * ?", "2030-02-01T00:00:00Z", "2030-02-28T12:00:00Z"),
            ("0 0 0 13 * 5", "2030-01-01T00:00:00Z", "2030-09-13T00:00:00Z"),
            ("0 0 6,18 1,15 * *", "2030-01-01T06:00:00Z", "2030-01-01T18:00:00Z"),
            ("0 0 0 * * 7", "2030-01-01T00:00:00Z", "2030-01-06T00:00:00Z"),
            ("@hourly", "2030-01-01T00:00:00Z", "2030-01-01T01:00:00Z"),
        ] {
            let next = Cron::parse(text).unwrap().next(instant(after).unwrap()).unwrap();
            assert_eq!(next, instant(expected).unwrap(), "{text} after {after}: {}", format_instant(next));
        }
        assert_eq!(Cron::parse("0 0 0 31 FEB *").unwrap().next(0), None, "never");
    }

    #[test]
    fn refused() {
        for text in [
            "",
            "* * * * *",
            "60 * * * * *",
            "0 0 0 1W * *",
            "0 0 0 * * 5#2",
            "0 5-1 * * * *",
            "0 */0 * * * *",
        ] {
            assert_eq!(Cron::parse(text), None, "{text}");
        }
    }
}
