//! Tokens of a value (record-linkage.md 10.2, rule 3). Counted in code points, unlike record filters.

use super::schema::Comparison;

/// A value that numeric comparison cannot read. Says nothing of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumericError {
    /// Not a number.
    #[error("not a number")]
    NotANumber,
    /// Beyond what is computed exactly.
    #[error("a number that is too large")]
    TooLarge,
    /// The distance rounds to nothing.
    #[error("`thresholdDistance` rounds to 0 at this precision")]
    Distance,
}

/// The tokens of a value; none for an empty one.
///
/// # Errors
/// With numeric comparison only, when the value is no number.
pub fn tokens(comparison: &Comparison, value: &str) -> Result<Vec<String>, NumericError> {
    if value.is_empty() {
        return Ok(Vec::new());
    }
    match comparison {
        Comparison::Exact => Ok(vec![value.to_owned()]),
        Comparison::Ngram { n, positional } => Ok(ngrams(value, *n, *positional)),
        Comparison::Numeric { distance, resolution, precision } => {
            numeric(value, *distance, *resolution, *precision)
        }
    }
}

fn ngrams(value: &str, n: usize, positional: bool) -> Vec<String> {
    let blanks = || std::iter::repeat_n(' ', n - 1);
    let padded: Vec<char> = blanks().chain(value.chars()).chain(blanks()).collect();
    let windows = padded.windows(n).map(|window| window.iter().collect::<String>());
    if positional {
        windows.zip(1..).map(|(gram, place)| format!("{place} {gram}")).collect()
    } else {
        windows.collect()
    }
}

fn numeric(value: &str, distance: f64, resolution: i64, precision: u32) -> Result<Vec<String>, NumericError> {
    let factor = 10_i128.checked_pow(precision).ok_or(NumericError::TooLarge)?;
    let distance = whole((distance * factor as f64).round_ties_even())?;
    if distance <= 0 {
        return Err(NumericError::Distance);
    }
    let scaled = match super::value::integer(value) {
        Some(integer) => integer.parse::<i128>().ok().and_then(|integer| integer.checked_mul(factor)),
        None => {
            let float: f64 = value.trim().replace('_', "").parse().map_err(|_| NumericError::NotANumber)?;
            let float =
                if precision == 0 { float.trunc() } else { (float * factor as f64).round_ties_even() };
            Some(whole(float)?)
        }
    };
    let place = scaled.and_then(|scaled| scaled.checked_mul(2 * i128::from(resolution)));
    let place = place.filter(|place| place.abs() < i128::MAX / 4).ok_or(NumericError::TooLarge)?;
    let residue = place.rem_euclid(distance);
    // Half of an odd distance lies between two numbers, hence the doubling.
    let nearest = if 2 * residue < distance { place - residue } else { place + distance - residue };
    Ok((-resolution..=resolution).map(|step| (nearest + i128::from(step) * distance).to_string()).collect())
}

/// A float that is a whole number, when it is small enough to be one exactly.
fn whole(float: f64) -> Result<i128, NumericError> {
    if float.is_nan() {
        return Err(NumericError::NotANumber);
    }
    if float.abs() < 1e30 { Ok(float as i128) } else { Err(NumericError::TooLarge) }
}
