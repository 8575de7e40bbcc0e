//! The demographics query of HL7 v3, ITI-47.
use super::{Expected, HL7, Head, Header, instance, message, open, query_id, trigger, write_instance};
use crate::{
    failure::Failure,
    person::{Continuation, Identifier, Person, Persons, Profile, Repetition, Sex, filled, iso_date},
    soap::Envelope,
    xml::{Element, escape},
};

/// Action of a query.
pub const ACTION: &str = "urn:hl7-org:v3:PRPA_IN201305UV02";
/// Action of a request for the next page.
pub const CONTINUE_ACTION: &str = "urn:hl7-org:v3:QUQI_IN000003UV01_Continue";

/// What is asked for; absent values do not restrict.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Parameters {
    /// Administrative gender code.
    pub sex: Option<String>,
    /// Birth, `YYYYMMDD`.
    pub birth: Option<String>,
    /// An identifier.
    pub id: Option<Identifier>,
    /// Surname.
    pub last: Option<String>,
    /// Given name.
    pub first: Option<String>,
    /// City.
    pub city: Option<String>,
    /// Postal code.
    pub zip: Option<String>,
}

/// The body of a query. `limit` is the size of a page.
pub fn request(header: &Header, parameters: &Parameters, limit: Option<u32>) -> String {
    // The schema fixes the order of the parameters.
    let mut list = String::new();
    let mut add = |tag: &str, value: String, semantics: &str| {
        list.push_str(&format!("<{tag}>{value}<semanticsText>{semantics}</semanticsText></{tag}>"));
    };
    if let Some(sex) = &parameters.sex {
        let value = format!("<value code=\"{}\" codeSystem=\"2.16.840.1.113883.5.1\"/>", escape(sex));
        add("livingSubjectAdministrativeGender", value, "LivingSubject.administrativeGender");
    }
    if let Some(birth) = &parameters.birth {
        let value = format!("<value value=\"{}\"/>", escape(birth));
        add("livingSubjectBirthTime", value, "LivingSubject.birthTime");
    }
    if let Some(id) = &parameters.id {
        add("livingSubjectId", write_instance("value", id), "LivingSubject.id");
    }
    if parameters.last.is_some() || parameters.first.is_some() {
        let part = |tag: &str, text: &Option<String>| {
            text.as_ref().map(|text| format!("<{tag}>{}</{tag}>", escape(text))).unwrap_or_default()
        };
        let name = part("given", &parameters.first) + &part("family", &parameters.last);
        add("livingSubjectName", format!("<value>{name}</value>"), "LivingSubject.name");
    }
    if parameters.city.is_some() || parameters.zip.is_some() {
        let part = |tag: &str, text: &Option<String>| {
            text.as_ref().map(|text| format!("<{tag}>{}</{tag}>", escape(text))).unwrap_or_default()
        };
        let address = part("city", &parameters.city) + &part("postalCode", &parameters.zip);
        add("patientAddress", format!("<value>{address}</value>"), "Patient.addr");
    }
    let limit = limit.map(|limit| {
        format!(
            "<initialQuantity value=\"{limit}\"/>\
             <initialQuantityCode code=\"RD\" codeSystem=\"2.16.840.1.113883.5.1112\"/>"
        )
    });
    let control = format!(
        "{}<queryByParameter>{}<statusCode code=\"new\"/><responseModalityCode code=\"R\"/>\
         <responsePriorityCode code=\"I\"/>{}<parameterList>{list}</parameterList></queryByParameter>",
        trigger("PRPA_TE201305UV02"),
        query_id(header),
        limit.unwrap_or_default()
    );
    message("PRPA_IN201305UV02", header, "", &control)
}

/// The body of a request for the page that starts with result `start`. `answered` is the id of the
/// last answer.
pub fn continuation(header: &Header, answered: &str, start: u64, quantity: u32) -> String {
    let acknowledgement = format!(
        "<acknowledgement><typeCode code=\"AA\"/><targetMessage><id root=\"{}\"/></targetMessage></acknowledgement>",
        escape(answered)
    );
    let control = format!(
        "{}<queryContinuation>{}<startResultNumber value=\"{start}\"/>\
         <continuationQuantity value=\"{quantity}\"/><statusCode code=\"waitContinuedQueryResponse\"/>\
         </queryContinuation>",
        trigger("PRPA_TE000003UV01"),
        query_id(header)
    );
    message("QUQI_IN000003UV01", header, &acknowledgement, &control)
}

/// Reads an answer. `before` is how many persons earlier pages had.
///
/// # Errors
/// In the second part: refused, unavailable or a protocol error.
pub fn read(
    envelope: &Envelope,
    expected: &Expected,
    asked: Option<&str>,
    before: u64,
    profile: &Profile,
) -> (Head, Result<Persons, Failure>) {
    let (head, control) = open(envelope, "PRPA_IN201306UV02", expected);
    let persons = control.map(|control| {
        let patients = control.each("subject").filter_map(|subject| {
            subject.at(&["registrationEvent", "subject1", "patient"]).filter(|patient| patient.space == HL7)
        });
        let persons: Vec<Person> = patients.map(|patient| person(patient, asked, profile)).collect();
        let more = head.counts.remaining.is_some_and(|remaining| remaining > 0);
        let next = before + persons.len() as u64 + 1;
        Persons { persons, counts: head.counts, continuation: more.then_some(Continuation::Start(next)) }
    });
    (head, persons)
}

fn person(patient: &Element, asked: Option<&str>, profile: &Profile) -> Person {
    let empty = Element::default();
    let who = patient.child("patientPerson").unwrap_or(&empty);
    let preferred = profile.repetition == Some(Repetition::Preferred);
    let name = choose(who, "name", preferred.then_some(&["L", "OR"])).unwrap_or(&empty);
    let address = choose(who, "addr", preferred.then_some(&["H", "HP"])).unwrap_or(&empty);
    let text = |element: &Element, tag: &str| filled(element.child(tag).and_then(Element::trimmed));
    let street = text(address, "streetAddressLine").or_else(|| {
        let (street, number) = (text(address, "streetName")?, text(address, "houseNumber"));
        Some(number.map_or_else(|| street.clone(), |number| format!("{street} {number}")))
    });
    let mut identifiers: Vec<Identifier> = Vec::new();
    let own = patient.each("id");
    let others = who.each("asOtherIDs").flat_map(|other| other.each("id"));
    for id in own.chain(others).filter_map(instance) {
        if !identifiers.contains(&id) {
            identifiers.push(id);
        }
    }
    let insurance = profile.insurance_authority.as_ref().and_then(|authority| {
        identifiers.iter().find(|id| authority.matches(&id.domain)).map(|id| id.value.clone())
    });
    let confidence = patient.at(&["subjectOf1", "queryMatchObservation", "value"]);
    let mut person = Person {
        last: text(name, "family"),
        first: text(name, "given"),
        birth: who.child("birthTime").and_then(|birth| birth.attribute("value")).and_then(iso_date),
        sex: who
            .child("administrativeGenderCode")
            .and_then(|gender| gender.attribute("code"))
            .and_then(Sex::from_hl7),
        street,
        zip: text(address, "postalCode"),
        city: text(address, "city"),
        country: text(address, "country"),
        insurance,
        confidence: confidence
            .and_then(|value| value.attribute("value"))
            .and_then(|text| text.trim().parse().ok())
            .filter(|value| *value <= 100),
        identifiers,
        medic_id: None,
        score: None,
        grade: None,
        resource: None,
    };
    profile.name(&mut person, asked);
    person
}

fn choose<'a>(who: &'a Element, tag: &'a str, by_use: Option<&[&str; 2]>) -> Option<&'a Element> {
    let stated = || who.each(tag).filter(|element| element.attribute("nullFlavor").is_none());
    let wanted = by_use.and_then(|order| {
        order.iter().find_map(|wanted| {
            stated().find(|element| {
                element.attribute("use").is_some_and(|uses| uses.split_whitespace().any(|u| u == *wanted))
            })
        })
    });
    wanted.or_else(|| stated().next())
}
