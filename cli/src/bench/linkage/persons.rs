//! Invented persons.
use linkage::idat::{BirthDate, Idat};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};

const SYLLABLES: [&str; 20] = [
    "ber", "lin", "mann", "schmi", "dt", "mül", "ler", "wag", "ner", "fi", "scher", "we", "bäu", "er",
    "hoff", "kö", "nig", "lan", "ge", "krü",
];

/// So many of them.
pub fn persons(count: usize, random: &mut StdRng) -> Vec<Idat> {
    let mut person = || {
        let mut name = |syllables: usize| -> String {
            (0..syllables).filter_map(|_| SYLLABLES.choose(random).copied()).collect()
        };
        let (first, last, street, city) = (name(2), name(3), name(2), name(2));
        Idat {
            first_name: Some(first.as_str().into()),
            last_name: Some(last.as_str().into()),
            birthday: Some(BirthDate {
                year: random.random_range(1930..2020),
                month: Some(random.random_range(1..=12)),
                day: Some(random.random_range(1..=28)),
            }),
            sex: Some("F".into()),
            street: Some(format!("{street}straße 12").as_str().into()),
            zip_code: Some(format!("{:05}", random.random_range(1000..99999)).as_str().into()),
            city: Some(city.as_str().into()),
            country: Some("DE".into()),
            ..Idat::default()
        }
    };
    (0..count).map(|_| person()).collect()
}
