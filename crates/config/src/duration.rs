//! Durations in settings: `500ms`, `10s`, `5m`, `2h`, `7d`, or ISO 8601 such as `PT10S`.
use std::{fmt, str::FromStr, time};

/// A duration read from a setting. Never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(pub time::Duration);

/// The text is not a duration.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected a duration such as 500ms, 10s, 5m, 2h, 7d or PT10S")]
pub struct DurationError;

impl Duration {
    /// Whole milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(time::Duration::from_millis(millis))
    }

    /// Whole seconds.
    pub const fn secs(secs: u64) -> Self {
        Self(time::Duration::from_secs(secs))
    }

    /// The standard library's duration.
    pub const fn get(self) -> time::Duration {
        self.0
    }
}

impl From<Duration> for time::Duration {
    fn from(duration: Duration) -> Self {
        duration.0
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let text = text.trim();
        match text.strip_prefix(['P', 'p']) {
            Some(rest) => iso(rest),
            None => {
                let split = text.find(|c: char| !c.is_ascii_digit()).ok_or(DurationError)?;
                let (number, unit) = text.split_at(split);
                part(number, unit)
            }
        }
    }
}

fn part(number: &str, unit: &str) -> Result<Duration, DurationError> {
    let millis_per_unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(DurationError),
    };
    let number: u64 = number.parse().map_err(|_| DurationError)?;
    number.checked_mul(millis_per_unit).map(Duration::millis).ok_or(DurationError)
}

fn iso(rest: &str) -> Result<Duration, DurationError> {
    let (date, clock) = rest.split_once(['T', 't']).unwrap_or((rest, ""));
    let mut total = time::Duration::ZERO;
    let mut any = false;
    for (text, units) in [(date, "D"), (clock, "HMS")] {
        let mut number = String::new();
        for c in text.chars() {
            let c = c.to_ascii_uppercase();
            if c.is_ascii_digit() {
                number.push(c);
                continue;
            }
            if !units.contains(c) {
                return Err(DurationError);
            }
            let unit = c.to_ascii_lowercase().to_string();
            total = total.checked_add(part(&number, &unit)?.0).ok_or(DurationError)?;
            number.clear();
            any = true;
        }
        if !number.is_empty() {
            return Err(DurationError);
        }
    }
    if any { Ok(Duration(total)) } else { Err(DurationError) }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0.as_millis())
    }
}

impl<'de> serde::Deserialize<'de> for Duration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
