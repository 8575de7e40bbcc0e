//! Linkage quality on invented sets of two sites (record-linkage.md 9.4): our own profile and matcher with
//! the threshold we recommend.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::Path;

use super::{Outcome, Tally};
use crate::encode::{FilterEncoder, RECOMMENDED_THRESHOLD};
use crate::idat::{BirthDate, Idat, Text};
use crate::matching::{Options, site_unique};

/// Least F1 that our own profile must reach.
const LEAST_F1: f64 = 0.965;
/// Stands for an absent value.
const ABSENT: &str = "\\N";

/// What came of a linkage of two sites with known truth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// Pairs in both files that were found.
    pub found: usize,
    /// Pairs that were made and are none.
    pub wrong: usize,
    /// Pairs in both files.
    pub truth: usize,
}

impl Quality {
    /// Harmonic mean of precision and recall.
    #[must_use]
    pub fn f1(&self) -> f64 {
        2.0 * self.found as f64 / (self.found + self.wrong + self.truth) as f64
    }
}

/// A folder with `a.tsv` and `b.tsv`, if it is one.
pub fn run(tally: &mut Tally<'_>, folder: &Path) {
    if folder.join("a.tsv").is_file() || folder.join("b.tsv").is_file() {
        tally.case("F1 of de-1", check(folder));
    }
}

fn check(folder: &Path) -> Outcome {
    let (a, b) = (read(&folder.join("a.tsv"))?, read(&folder.join("b.tsv"))?);
    let quality = link(&a, &b)?;
    if quality.truth == 0 {
        return Err("no person is in both files".to_owned());
    }
    if quality.f1() >= LEAST_F1 { Ok(()) } else { Err(format!("F1 is {:.4}: {quality:?}", quality.f1())) }
}

/// A site's persons with what tells truth.
pub(super) type Persons = Vec<(String, Idat)>;

/// Reads id, first name, last name, birthday, sex, street, zip, city, country, insurance number.
pub(super) fn read(file: &Path) -> Result<Persons, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut persons = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let columns: Vec<&str> = line.split('\t').collect();
        let [id, first, last, birthday, sex, street, zip, city, country, insurance] = columns[..] else {
            return Err(format!("{}: line {} has not ten columns", file.display(), number + 1));
        };
        let value = |text: &str| (text != ABSENT).then(|| Text::from(text));
        let person = Idat {
            first_name: value(first),
            last_name: value(last),
            birth_name: None,
            birthday: BirthDate::parse(birthday),
            sex: value(sex),
            street: value(street),
            zip_code: value(zip),
            city: value(city),
            country: value(country),
            insurance_number: value(insurance),
        };
        persons.push((id.to_owned(), person));
    }
    Ok(persons)
}

/// Links two sites with our own profile and matcher.
pub(super) fn link(a: &Persons, b: &Persons) -> Result<Quality, String> {
    let encoder = FilterEncoder::german(b"a secret of this comparison").map_err(|error| error.to_string())?;
    let mut sets = Vec::new();
    for persons in [a, b] {
        let persons: Vec<Idat> = persons.iter().map(|(_, person)| person.clone()).collect();
        sets.push(encoder.encode_all(&persons, NonZeroUsize::MIN).map_err(|error| error.to_string())?.0);
    }
    let options = Options::new(RECOMMENDED_THRESHOLD);
    let matches = site_unique(&sets, &["a", "b"], &options).map_err(|error| error.to_string())?;
    let ids: HashMap<&str, usize> = a.iter().map(|(id, _)| (id.as_str(), 1)).collect();
    let truth = b.iter().filter(|(id, _)| ids.contains_key(id.as_str())).count();
    let pairs = matches.groups.iter().filter(|group| group.len() == 2);
    let (right, wrong): (Vec<_>, Vec<_>) =
        pairs.partition(|group| a[group[0].index].0 == b[group[1].index].0);
    Ok(Quality { found: right.len(), wrong: wrong.len(), truth })
}
