//! What the normalisation profiles make of persons, and that filters of different profiles are not linked.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::num::NonZeroUsize;

use linkage::dice::Threshold;
use linkage::encode::{FilterEncoder, wire_header};
use linkage::filters::{Difference, FilterSet};
use linkage::idat::{BirthDate, Idat, Text};
use linkage::matching::{MatchError, Options, Strategy, compatible, site_unique};
use linkage::profile::{ProfileId, WireProfile, german};
use linkage::rbf::BloomFilterConfig;
use linkage::secret::SecretText;
use rand::SeedableRng as _;

fn text(text: &str) -> Option<Text> {
    Some(Text::from(text))
}

fn plain(parts: &[SecretText]) -> String {
    parts.iter().map(SecretText::expose).collect::<Vec<_>>().join(" ")
}

/// One attribute that is set, and what comes out of it; an empty result is absent.
type Rule = (&'static str, &'static str);

#[test]
fn family_names() {
    let rules: [Rule; 33] = [
        ("Müller", "mueller"),
        ("MÜLLER", "mueller"),
        ("Mu\u{308}ller", "mueller"),
        ("Mueller", "mueller"),
        ("Groß", "gross"),
        ("GROẞ", "gross"),
        ("Müller-Lüdenscheidt", "luedenscheidt mueller"),
        ("Müller \u{2013} Lüdenscheidt", "luedenscheidt mueller"),
        ("Lüdenscheidt Müller", "luedenscheidt mueller"),
        ("von der Hagen", "hagen von der"),
        ("v. Hagen", "hagen von"),
        ("v.d. Hagen", "hagen von der"),
        ("Hagen, von der", "hagen von der"),
        ("van den Berg", "berg van den"),
        ("Freiherr von und zu Guttenberg", "guttenberg von und zu"),
        ("Frhr. v. Stein", "stein von"),
        ("Graf", "graf"),
        ("Müller-Graf", "graf mueller"),
        ("Graf Lambsdorff", "lambsdorff"),
        ("Prof. Dr. med. Weiß", "weiss"),
        ("Dipl.-Ing. Weiß", "weiss"),
        ("Dr. h. c. Weiß", "weiss"),
        ("Dr. Med", "dr med"),
        ("Le", "le"),
        ("O\u{2019}Neill", "oneill"),
        ("O'Neill", "oneill"),
        ("Yılmaz", "yilmaz"),
        ("Łukasz", "lukasz"),
        ("Đặng", "dang"),
        ("Åse Sørensen", "ase sorensen"),
        ("unbekannt", ""),
        ("N. N.", ""),
        (" - ", ""),
    ];
    for (given, expected) in rules {
        let person = german(&Idat { last_name: text(given), ..Idat::default() });
        assert_eq!(plain(&person.family.all), expected, "{given}");
    }
}

#[test]
fn given_names() {
    for (given, first, all) in [
        ("Hans-Jörg", "hans", "hans joerg"),
        ("Jörg Hans", "joerg", "hans joerg"),
        ("Dr. Anna Maria", "anna", "anna maria"),
        ("Anna  Anna", "anna", "anna"),
        ("Zoë", "zoe", "zoe"),
    ] {
        let names = german(&Idat { first_name: text(given), ..Idat::default() }).given;
        assert_eq!((names.first.unwrap().expose(), plain(&names.all).as_str()), (first, all), "{given}");
    }
}

#[test]
fn addresses() {
    for (given, name, number) in [
        ("Hauptstraße 12", "hauptstr", "12"),
        ("Hauptstr. 12", "hauptstr", "12"),
        ("HAUPTSTRASSE 12", "hauptstr", "12"),
        ("Haupt-Straße 12 a", "hauptstr", "12A"),
        ("Hauptstr.12A", "hauptstr", "12A"),
        ("Am Markt 12-14", "ammarkt", "12-14"),
        ("Straße des 17. Juni 135", "strassedes17juni", "135"),
        ("Q7 24", "q", "724"),
        ("Postfach", "postfach", ""),
    ] {
        let street = german(&Idat { street: text(given), ..Idat::default() }).street.unwrap();
        assert_eq!((street.name.expose(), street.number.expose()), (name, number), "{given}");
    }
    for (given, country, expected) in [
        ("69120", Some("DE"), "69120"),
        ("D-69120", None, "69120"),
        ("1067", Some("D"), "01067"),
        ("1010", Some("AT"), "1010"),
        ("SW1A 1AA", Some("GB"), "sw1a1aa"),
        ("00000", None, ""),
        ("", None, ""),
    ] {
        let person =
            german(&Idat { zip_code: text(given), country: country.and_then(text), ..Idat::default() });
        assert_eq!(person.zip_code.as_ref().map_or("", SecretText::expose), expected, "{given}");
    }
    for (given, expected) in [
        ("Köln", "koeln"),
        ("Halle (Saale)", "halle"),
        ("Frankfurt/Main", "frankfurt"),
        ("Frankfurt a. M.", "frankfurt"),
        ("Frankfurt am Main", "frankfurt"),
        ("Neustadt an der Weinstraße", "neustadt"),
        ("St. Ingbert", "sanktingbert"),
        ("Sankt Ingbert", "sanktingbert"),
        ("unbekannt", ""),
    ] {
        let person = german(&Idat { city: text(given), ..Idat::default() });
        assert_eq!(person.city.as_ref().map_or("", SecretText::expose), expected, "{given}");
    }
    for (given, expected) in [("Deutschland", "DE"), ("d", "DE"), ("at", "AT"), ("xyz", "")] {
        let person = german(&Idat { country: text(given), ..Idat::default() });
        assert_eq!(person.country.as_ref().map_or("", SecretText::expose), expected, "{given}");
    }
}

#[test]
fn numbers_and_codes() {
    // The example number of the issuing association, and changes of it.
    for (given, expected) in [
        ("A123456780", "A123456780"),
        ("a 123 456 780", "A123456780"),
        ("A123456781", ""),
        ("A12345678", ""),
        ("1123456780", ""),
    ] {
        let person = german(&Idat { insurance_number: text(given), ..Idat::default() });
        assert_eq!(person.insurance_number.as_ref().map_or("", SecretText::expose), expected, "{given}");
    }
    for (given, expected) in
        [("W", Some('f')), ("F", Some('f')), ("männlich", Some('m')), ("U", None), ("", None)]
    {
        assert_eq!(german(&Idat { sex: text(given), ..Idat::default() }).sex, expected, "{given}");
    }
}

#[test]
fn dates() {
    let date = |year, month, day| Some(BirthDate { year, month, day });
    for (given, expected) in [
        ("07.03.1980", date(1980, Some(3), Some(7))),
        ("7.3.1980", date(1980, Some(3), Some(7))),
        ("1980-03-07", date(1980, Some(3), Some(7))),
        ("1980-03", date(1980, Some(3), None)),
        ("19800307", date(1980, Some(3), Some(7))),
        ("198003071530", date(1980, Some(3), Some(7))),
        ("1980", date(1980, None, None)),
        ("31.02.1980", date(1980, Some(2), Some(31))),
        ("7.3.80", None),
        ("03/07/1980", None),
        ("7.13.1980", None),
        ("", None),
    ] {
        let found = BirthDate::parse(given);
        assert!(found == expected, "{given}");
        let normal = german(&Idat { birthday: found, ..Idat::default() }).birthday;
        assert!(normal == expected.filter(|date| date.day != Some(31)), "{given}");
    }
    let placeholder = BirthDate::parse("01.01.1900");
    assert!(german(&Idat { birthday: placeholder, ..Idat::default() }).birthday.is_none());
}

#[test]
fn wire_profiles() {
    let shown = |profile: WireProfile, person: &Idat| {
        let attributes = profile.attributes(person);
        attributes
            .map(|attribute| attribute.map_or("(null)".to_owned(), |text| text.expose().to_owned()))
            .join("|")
    };
    let full = Idat {
        first_name: text(" Jörg "),
        last_name: text("GROẞ"),
        birthday: BirthDate::parse("07.03.1980"),
        sex: text("m"),
        street: None,
        zip_code: text("69120"),
        city: text(""),
        country: text("DEU"),
        ..Idat::default()
    };
    assert_eq!(shown(WireProfile::Stub1, &full), " Jörg |GROẞ|07.03.1980|m|(null)|69120||DEU|(null)");
    assert_eq!(shown(WireProfile::JavaPdq1, &full), " Jörg |GROẞ|7.3.1980|M|(null)|69120||DEU|(null)");
    let year_only = Idat { birthday: BirthDate::parse("1947"), first_name: text("Anna"), ..Idat::default() };
    assert_eq!(
        shown(WireProfile::Stub1, &year_only),
        "Anna|(null)|(null)|(null)|(null)|(null)|(null)|(null)|(null)"
    );
    assert_eq!(shown(WireProfile::JavaPdq1, &year_only), "Anna|(null)|0.0.1947||||||(null)");
}

#[test]
fn filters_of_different_profiles_or_keys_are_not_linked() {
    let config = |seed| BloomFilterConfig::generate(&mut rand::rngs::StdRng::seed_from_u64(seed));
    let encode = |encoder: FilterEncoder| {
        let person = Idat { last_name: text("Müller"), ..Idat::default() };
        encoder.encode_all(&[person], NonZeroUsize::MIN).unwrap().0
    };
    let stub = encode(FilterEncoder::wire(WireProfile::Stub1, &config(1)).unwrap());
    let pdq = encode(FilterEncoder::wire(WireProfile::JavaPdq1, &config(1)).unwrap());
    let other_key = encode(FilterEncoder::wire(WireProfile::Stub1, &config(2)).unwrap());
    let own = encode(FilterEncoder::german(&config(1).to_bytes()).unwrap());
    let options = Options::new(Threshold::HIGHMED);
    let difference = |sets: [&FilterSet; 2]| {
        let sets = sets.map(Clone::clone);
        let ours = site_unique(&sets, &["a", "b"], &options).map(|_| ());
        let theirs = compatible(&sets, Strategy::Min, 0.8).map(|_| ());
        assert_eq!(ours, theirs);
        match ours {
            Ok(()) => None,
            Err(MatchError::Header(mismatch)) => Some(mismatch.difference),
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(difference([&stub, &stub]), None);
    assert!(matches!(difference([&stub, &pdq]), Some(Difference::Profile(..))));
    assert!(matches!(difference([&own, &stub]), Some(Difference::Profile(..))));
    assert_eq!(difference([&stub, &other_key]), Some(Difference::Keys));
    // Filters from the wire carry no check of the keys.
    assert_eq!(difference([&stub, &FilterSet::new(wire_header(WireProfile::Stub1))]), None);
    let version_2 = ProfileId { name: "de".to_owned(), version: 2 };
    let mut header = own.header().clone();
    header.profile = version_2.clone();
    assert_eq!(version_2.to_string().parse::<ProfileId>(), Ok(version_2));
    assert!(matches!(difference([&own, &FilterSet::new(header)]), Some(Difference::Profile(..))));
    // The header survives writing.
    let read: FilterSet = serde_json::from_str(&serde_json::to_string(&own).unwrap()).unwrap();
    assert!(read == own);
}
