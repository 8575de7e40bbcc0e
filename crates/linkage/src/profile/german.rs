//! `de-1`: German normalisation (record-linkage.md 8).
//!
//! Every rule here is part of the profile: changing one means a new version.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use crate::idat::{BirthDate, Idat, Text};
use crate::secret::SecretText;

/// Letters that have no decomposition, after lower case.
const LETTERS: [(char, &str); 18] = [
    ('ä', "ae"),
    ('ö', "oe"),
    ('ü', "ue"),
    ('ß', "ss"),
    ('ł', "l"),
    ('đ', "d"),
    ('ð', "d"),
    ('ø', "o"),
    ('æ', "ae"),
    ('œ', "oe"),
    ('ı', "i"),
    ('þ', "th"),
    ('ħ', "h"),
    ('ŋ', "n"),
    ('ŧ', "t"),
    ('ĸ', "k"),
    ('ə', "e"),
    ('ſ', "s"),
];

/// Academic titles. They are dropped wherever they stand, as long as something is left.
const ACADEMIC: [&str; 12] = [
    "dr",
    "prof",
    "professor",
    "doktor",
    "dipl",
    "diplom",
    "mag",
    "magister",
    "pd",
    "privatdozent",
    "msc",
    "bsc",
];
/// What can follow an academic title and is dropped with it (Dr. rer. nat., Dipl.-Ing., Dr. h. c.).
const ACADEMIC_SUFFIX: [&str; 16] = [
    "ing", "med", "dent", "vet", "rer", "nat", "phil", "jur", "iur", "pol", "oec", "habil", "hc", "h", "c",
    "mult",
];
/// Titles of nobility. They are dropped at the start of a name and before a particle: elsewhere they are
/// part of a double name.
const NOBILITY: [&str; 24] = [
    "freiherr",
    "freifrau",
    "freiin",
    "frhr",
    "frfr",
    "graf",
    "graefin",
    "reichsgraf",
    "reichsgraefin",
    "fuerst",
    "fuerstin",
    "baron",
    "baronin",
    "baronesse",
    "prinz",
    "prinzessin",
    "herzog",
    "herzogin",
    "ritter",
    "edler",
    "edle",
    "markgraf",
    "landgraf",
    "erbprinz",
];
/// Particles. They are kept, after all other parts of the name.
const PARTICLES: [&str; 30] = [
    "von", "vom", "zu", "zum", "zur", "van", "der", "den", "dem", "des", "de", "del", "della", "di", "da",
    "do", "dos", "das", "du", "la", "le", "ten", "ter", "te", "af", "av", "auf", "und", "el", "al",
];
/// Short forms of particles, with the dot that marks them.
const SHORT_PARTICLES: [(&str, &str); 4] = [("v.", "von"), ("z.", "zu"), ("v.d.", "von der"), ("u.", "und")];
/// Texts that stand for nothing known, without anything but letters.
const PLACEHOLDERS: [&str; 12] = [
    "unbekannt",
    "unknown",
    "nn",
    "keineangabe",
    "ohneangabe",
    "ohne",
    "nichtbekannt",
    "xxx",
    "xx",
    "anonym",
    "anonymus",
    "unbek",
];
/// Dates that stand for nothing known, as (day, month, year).
const PLACEHOLDER_DATES: [(u8, u8, u16); 3] = [(1, 1, 1900), (1, 1, 1800), (1, 1, 1)];
/// Longest text that is looked at, in characters; what is beyond does not count.
const LONGEST: usize = 512;

/// A normalised person. An absent part has no element.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct German {
    /// Given names.
    pub given: Names,
    /// Family name.
    pub family: Names,
    /// Family name at birth, where it differs.
    pub birth: Names,
    /// Date of birth; exists as far as it is known.
    pub birthday: Option<BirthDate>,
    /// One of `d f m o x`.
    pub sex: Option<char>,
    /// Street.
    pub street: Option<Street>,
    /// Postal code: five digits in Germany, letters and digits elsewhere.
    pub zip_code: Option<SecretText>,
    /// Place without additions.
    pub city: Option<SecretText>,
    /// Country, two letters.
    pub country: Option<SecretText>,
    /// Insurance number, its check digit verified.
    pub insurance_number: Option<SecretText>,
}

impl std::fmt::Debug for German {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("German(redacted)")
    }
}

/// The parts of a name.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Names {
    /// The first part as it was given.
    pub first: Option<SecretText>,
    /// All parts in alphabetical order, without titles, particles last.
    pub all: Vec<SecretText>,
}

/// A street.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Street {
    /// Its name.
    pub name: SecretText,
    /// The house number with its letters; empty when there is none.
    pub number: SecretText,
}

/// Normalises a person.
#[must_use]
pub fn german(person: &Idat) -> German {
    let family = names(person.last_name.as_ref(), false);
    let mut birth = names(person.birth_name.as_ref(), false);
    if birth == family {
        birth = Names::default();
    }
    German {
        given: names(person.first_name.as_ref(), true),
        family,
        birth,
        birthday: person.birthday.filter(|date| date.exists() && !is_placeholder_date(*date)),
        sex: person.sex.as_ref().and_then(sex),
        street: person.street.as_ref().and_then(street),
        zip_code: person.zip_code.as_ref().and_then(|zip| zip_code(zip, person.country.as_ref())),
        city: person.city.as_ref().and_then(city),
        country: person.country.as_ref().and_then(country),
        insurance_number: person.insurance_number.as_ref().and_then(insurance_number),
    }
}

/// Lower case, umlauts written out, marks dropped, hyphens, blanks and apostrophes of all kinds made one
/// kind. Other signs stay.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars().take(LONGEST).nfc().flat_map(char::to_lowercase) {
        if let Some((_, letters)) = LETTERS.iter().find(|(letter, _)| *letter == character) {
            out.push_str(letters);
            continue;
        }
        match character {
            '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}' => {
                out.push('-')
            }
            '\'' | '`' | '´' | '\u{2018}'..='\u{201b}' | '\u{2032}' | '\u{02bc}' | '\u{00ad}' => {}
            blank if blank.is_whitespace() => out.push(' '),
            other => {
                // Compatibility forms (ligatures, full width) can be capital letters again.
                let decomposed = std::iter::once(other).nfkd().filter(|c| !is_combining_mark(*c));
                for part in decomposed.flat_map(char::to_lowercase).filter(|c| !is_combining_mark(*c)) {
                    match LETTERS.iter().find(|(letter, _)| *letter == part) {
                        Some((_, letters)) => out.push_str(letters),
                        None => out.push(part),
                    }
                }
            }
        }
    }
    out
}

/// Only letters and digits.
fn letters(text: &str) -> String {
    text.chars().filter(|character| character.is_alphanumeric()).collect()
}

fn is_placeholder(letters: &str) -> bool {
    letters.is_empty() || PLACEHOLDERS.contains(&letters)
}

fn is_placeholder_date(date: BirthDate) -> bool {
    PLACEHOLDER_DATES.iter().any(|(day, month, year)| {
        date.year == *year && date.month.is_none_or(|m| m == *month) && date.day.is_none_or(|d| d == *day)
    })
}

fn names(text: Option<&Text>, given: bool) -> Names {
    let Some(text) = text else { return Names::default() };
    let plain = plain(text.expose());
    if is_placeholder(&letters(&plain)) {
        return Names::default();
    }
    let mut words = split_name(&plain);
    // "Hagen, von der": particles after a comma belong in front.
    if let Some((name, after)) = plain.split_once(',') {
        let after = split_name(after);
        if !after.is_empty() && after.iter().all(|word| PARTICLES.contains(&word.as_str())) {
            words = after.into_iter().chain(split_name(name)).collect();
        }
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut after_title = false;
    for word in &words {
        let title = ACADEMIC.contains(&word.as_str());
        after_title = title || (after_title && ACADEMIC_SUFFIX.contains(&word.as_str()));
        if !after_title {
            kept.push(word);
        }
    }
    if kept.is_empty() {
        kept = words.iter().map(String::as_str).collect();
    }
    let particle = |place: usize| {
        // A particle is followed by a name; at the end it is the name.
        PARTICLES.contains(&kept[place]) && kept[place + 1..].iter().any(|word| !PARTICLES.contains(word))
    };
    let (mut main, mut particles) = (Vec::new(), Vec::new());
    for place in 0..kept.len() {
        if !given && particle(place) {
            particles.push(kept[place]);
        } else {
            let noble = !given
                && NOBILITY.contains(&kept[place])
                && place + 1 < kept.len()
                && (place == 0 || particle(place + 1));
            if !noble {
                main.push(kept[place]);
            }
        }
    }
    let first = main.first().copied().map(SecretText::from);
    main.sort_unstable();
    main.dedup();
    let all = main.iter().chain(&particles).copied().map(SecretText::from).collect();
    Names { first, all }
}

/// Words of a name. Brackets and commas separate; a dot ends a word but is needed to tell short forms.
fn split_name(plain: &str) -> Vec<String> {
    let mut words = Vec::new();
    for word in plain.split([' ', '-', ',', '(', ')', '/']) {
        match SHORT_PARTICLES.iter().find(|(short, _)| *short == word) {
            Some((_, long)) => words.extend(long.split(' ').map(str::to_owned)),
            None => words.extend(word.split('.').map(letters).filter(|word| !word.is_empty())),
        }
    }
    words
}

fn sex(text: &Text) -> Option<char> {
    match letters(&plain(text.expose())).as_str() {
        "m" | "male" | "maennlich" => Some('m'),
        "f" | "w" | "female" | "weiblich" => Some('f'),
        "d" | "divers" => Some('d'),
        "o" | "other" => Some('o'),
        "x" | "unbestimmt" => Some('x'),
        // Unknown says nothing about a person.
        _ => None,
    }
}

/// Splits off the house number and shortens `strasse` at the end of the name.
fn street(text: &Text) -> Option<Street> {
    let plain = plain(text.expose());
    if is_placeholder(&letters(&plain)) {
        return None;
    }
    let (name, number) = split_number(plain.trim());
    let mut name = letters(name);
    if let Some(stem) = name.strip_suffix("strasse") {
        name = format!("{stem}str");
    }
    let number: String =
        number.chars().filter(|c| c.is_alphanumeric() || *c == '-').flat_map(char::to_uppercase).collect();
    if name.is_empty() && number.is_empty() {
        return None;
    }
    Some(Street { name: name.into(), number: number.into() })
}

/// The house number is the longest end of the text that starts with a digit and holds only digits, signs
/// and single letters.
fn split_number(text: &str) -> (&str, &str) {
    let characters: Vec<(usize, char)> = text.char_indices().collect();
    let mut start = text.len();
    for (place, (at, character)) in characters.iter().enumerate().rev() {
        let beside = |other: Option<usize>| {
            other.and_then(|other| characters.get(other)).is_some_and(|(_, c)| c.is_alphabetic())
        };
        let single = !beside(place.checked_sub(1)) && !beside(Some(place + 1));
        if character.is_ascii_digit() {
            start = *at;
        } else if character.is_alphabetic() && !single {
            break;
        }
    }
    text.split_at(start)
}

fn zip_code(text: &Text, country: Option<&Text>) -> Option<SecretText> {
    let mut code = letters(&plain(text.expose()));
    // "D-69120": the country of the postal code.
    if let Some(digits) = code.strip_prefix("de").or_else(|| code.strip_prefix('d'))
        && digits.len() == 5
        && digits.bytes().all(|byte| byte.is_ascii_digit())
    {
        code = digits.to_owned();
    }
    let german =
        country.is_none_or(|country| matches!(self::country(country), Some(c) if c.expose() == "DE"));
    // Registers that keep codes as numbers lose the leading zero.
    if german && code.len() == 4 && code.bytes().all(|byte| byte.is_ascii_digit()) {
        code.insert(0, '0');
    }
    let placeholder = code.bytes().all(|byte| byte == b'0') || code == "99999" || is_placeholder(&code);
    (!placeholder).then(|| code.into())
}

/// Without district and addition: what follows a comma, slash, bracket or hyphen with blanks, and
/// abbreviations such as `a. d.`, `b.`, `i.`.
fn city(text: &Text) -> Option<SecretText> {
    let plain = plain(text.expose());
    let cut = plain.split([',', '/', '(', '[']).next().unwrap_or_default();
    let cut = cut.split(" - ").next().unwrap_or_default();
    let mut name = String::new();
    for word in cut.split([' ', '-']).filter(|word| !word.is_empty()) {
        let short = word.contains('.') && word.split('.').all(|part| part.chars().count() <= 1);
        // The first word is never an addition; after one everything is.
        let addition = short || ["an", "am", "bei", "im", "in", "ob", "vor", "a", "b", "i"].contains(&word);
        if addition && !name.is_empty() {
            break;
        }
        name.push_str(&match letters(word).as_str() {
            "st" => "sankt".to_owned(),
            word => word.to_owned(),
        });
    }
    if is_placeholder(&name) { None } else { Some(name.into()) }
}

fn country(text: &Text) -> Option<SecretText> {
    let country = letters(&plain(text.expose()));
    let code = match country.as_str() {
        "d" | "deu" | "ger" | "deutschland" | "germany" | "brd" => "de",
        "a" | "aut" | "oesterreich" | "austria" => "at",
        "che" | "schweiz" | "switzerland" => "ch",
        code if code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_lowercase()) => code,
        _ => return None,
    };
    Some(code.to_uppercase().into())
}

/// One letter and nine digits, the last one being the check digit: the letter counts as its two-digit
/// place in the alphabet, digits count once and twice in turn, and the digit sums of the products add up
/// to it modulo 10.
fn insurance_number(text: &Text) -> Option<SecretText> {
    let number = letters(&plain(text.expose())).to_uppercase();
    let (letter, digits) = number.split_at_checked(1)?;
    let letter = letter.bytes().next().filter(u8::is_ascii_uppercase)? - b'A' + 1;
    if digits.len() != 9 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let all = [letter / 10, letter % 10].into_iter().chain(digits.bytes().map(|byte| byte - b'0'));
    let sum: u8 = all
        .take(10)
        .zip([1, 2].into_iter().cycle())
        .map(|(digit, factor)| {
            let product = digit * factor;
            product / 10 + product % 10
        })
        .sum();
    (digits.as_bytes()[8] - b'0' == sum % 10).then(|| number.clone().into())
}
