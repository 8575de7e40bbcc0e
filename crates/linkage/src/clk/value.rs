//! Integers and dates of records, brought to the form that is tokenised (record-linkage.md 10.2, rule 2).

/// A whole number in base 10: blanks around, a sign, and `_` between digits are allowed. Printed plainly.
pub fn integer(text: &str) -> Option<String> {
    let text = text.trim();
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    let groups = || digits.split('_');
    if groups().any(|group| group.is_empty() || !group.bytes().all(|byte| byte.is_ascii_digit())) {
        return None;
    }
    let digits: String = groups().collect();
    let digits = digits.trim_start_matches('0');
    Some(if digits.is_empty() { "0".to_owned() } else { format!("{sign}{digits}") })
}

/// A strptime pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatePattern(Vec<Item>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Literal(char),
    Blanks,
    Field(Part),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Day,
    Month,
    Year,
    ShortYear,
    Hour,
    Minute,
    Second,
}

impl Part {
    /// Digits at least and at most, and the values allowed.
    const fn rule(self) -> (usize, usize, u32, u32) {
        match self {
            Part::Day => (1, 2, 1, 31),
            Part::Month => (1, 2, 1, 12),
            Part::Year => (4, 4, 0, 9999),
            Part::ShortYear => (2, 2, 0, 99),
            Part::Hour => (1, 2, 0, 23),
            Part::Minute => (1, 2, 0, 59),
            Part::Second => (1, 2, 0, 61),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Date {
    year: u32,
    month: u32,
    day: u32,
}

impl DatePattern {
    /// Reads a pattern of `%d %m %Y %y %H %M %S %%`, blanks and other characters.
    pub fn parse(pattern: &str) -> Result<DatePattern, String> {
        let mut items = Vec::new();
        let mut characters = pattern.chars();
        while let Some(character) = characters.next() {
            let item = match character {
                '%' => match characters.next() {
                    Some('d') => Item::Field(Part::Day),
                    Some('m') => Item::Field(Part::Month),
                    Some('Y') => Item::Field(Part::Year),
                    Some('y') => Item::Field(Part::ShortYear),
                    Some('H') => Item::Field(Part::Hour),
                    Some('M') => Item::Field(Part::Minute),
                    Some('S') => Item::Field(Part::Second),
                    Some('%') => Item::Literal('%'),
                    other => return Err(format!("`%{}` is not supported", other.unwrap_or(' '))),
                },
                blank if blank.is_whitespace() => {
                    if items.last() == Some(&Item::Blanks) {
                        continue;
                    }
                    Item::Blanks
                }
                literal => Item::Literal(literal),
            };
            items.push(item);
        }
        if items.is_empty() {
            return Err("a strptime pattern is needed".to_owned());
        }
        Ok(DatePattern(items))
    }

    /// Reads a date and prints it as year, month, day without separators.
    pub fn read(&self, text: &str) -> Option<String> {
        // What the pattern does not name is the first of January 1900.
        let date = read(&self.0, text, Date { year: 1900, month: 1, day: 1 })?;
        Some(format!("{}{:02}{:02}", date.year, date.month, date.day))
    }
}

/// Matches the rest of a pattern; longer numbers are tried first, shorter ones when the rest then fails.
fn read(items: &[Item], text: &str, date: Date) -> Option<Date> {
    let Some((item, rest)) = items.split_first() else {
        return (text.is_empty() && exists(date)).then_some(date);
    };
    match item {
        Item::Blanks => {
            let trimmed = text.trim_start();
            if trimmed.len() == text.len() { None } else { read(rest, trimmed, date) }
        }
        Item::Literal(literal) => {
            let mut characters = text.chars();
            let same = characters.next().is_some_and(|other| other.to_lowercase().eq(literal.to_lowercase()));
            if same { read(rest, characters.as_str(), date) } else { None }
        }
        Item::Field(part) => {
            let (least, most, lowest, highest) = part.rule();
            (least..=most).rev().find_map(|digits| {
                let number = text.get(..digits)?;
                // A day may be filled with a blank.
                let number =
                    if *part == Part::Day && digits == 2 { number.trim_start_matches(' ') } else { number };
                if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
                    return None;
                }
                let value = number.parse().ok().filter(|value| (lowest..=highest).contains(value))?;
                let mut date = date;
                match part {
                    Part::Day => date.day = value,
                    Part::Month => date.month = value,
                    Part::Year => date.year = value,
                    Part::ShortYear => date.year = if value < 69 { 2000 + value } else { 1900 + value },
                    Part::Hour | Part::Minute | Part::Second => {}
                }
                read(rest, &text[digits..], date)
            })
        }
    }
}

fn exists(date: Date) -> bool {
    let month = u8::try_from(date.month).ok().and_then(|month| time::Month::try_from(month).ok());
    let (Some(month), Ok(year), Ok(day)) = (month, i32::try_from(date.year), u8::try_from(date.day)) else {
        return false;
    };
    year > 0 && time::Date::from_calendar_date(year, month, day).is_ok()
}
