//! `highmed-stub-1` and `highmed-java-pdq-1` (record-linkage.md 8, hospital-systems.md 0.2 and 1.1).

use crate::idat::{BirthDate, Idat, Text};
use crate::rbf::Attributes;
use crate::secret::SecretText;

fn text(text: Option<&Text>) -> Option<SecretText> {
    text.map(|text| text.0.clone())
}

/// As the interface documents them. It has no form for partial dates: they are absent.
pub fn stub(person: &Idat) -> Attributes {
    let padded = |date: BirthDate| {
        Some(SecretText::from(format!("{:02}.{:02}.{:04}", date.day?, date.month?, date.year)))
    };
    [
        text(person.first_name.as_ref()),
        text(person.last_name.as_ref()),
        person.birthday.and_then(padded),
        text(person.sex.as_ref()),
        text(person.street.as_ref()),
        text(person.zip_code.as_ref()),
        text(person.city.as_ref()),
        text(person.country.as_ref()),
        text(person.insurance_number.as_ref()),
    ]
}

/// As the HL7 v2 client delivers them: dates without leading zeros and with 0 for an unknown part, sex in
/// upper case and empty when absent, names and addresses empty when all of PID-5 or PID-11 is absent and
/// `null` when only the component is. Its HL7 null (two quote characters) is a bug that is not repeated:
/// HL7 null is absent.
pub fn java_pdq(person: &Idat) -> Attributes {
    let component = |field: &Option<Text>, whole: &[&Option<Text>]| match field {
        None if whole.iter().all(|other| other.is_none()) => Some(SecretText::from("")),
        field => text(field.as_ref()),
    };
    let name = [&person.first_name, &person.last_name];
    let address = [&person.street, &person.zip_code, &person.city, &person.country];
    let unpadded = |date: BirthDate| {
        SecretText::from(format!("{}.{}.{}", date.day.unwrap_or(0), date.month.unwrap_or(0), date.year))
    };
    let sex = person.sex.as_ref().map_or(String::new(), |sex| sex.expose().to_uppercase());
    [
        component(&person.first_name, &name),
        component(&person.last_name, &name),
        person.birthday.map(unpadded),
        Some(SecretText::from(sex)),
        component(&person.street, &address),
        component(&person.zip_code, &address),
        component(&person.city, &address),
        component(&person.country, &address),
        text(person.insurance_number.as_ref()),
    ]
}
