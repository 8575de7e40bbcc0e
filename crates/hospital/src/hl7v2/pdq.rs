//! Answers to the Patient Demographics Query, ITI-21: `RSP^K22^RSP_K21` (contract 1.4).
use super::{Acknowledgement, Message, Value, acknowledgement};
use crate::{
    failure::{Class, Failure, Reason},
    person::{Continuation, Counts, Domain, Identifier, Person, Persons, Profile, Repetition, Sex, iso_date},
};

/// What an answer is compared with.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// MSH-10 of the request.
    pub control_id: Option<String>,
    /// QPD-2 of the request.
    pub query_tag: Option<String>,
    /// The identifier, in an identifier query.
    pub id: Option<String>,
}

/// Reads an answer. The head comes even when there are no persons to take.
///
/// # Errors
/// In the second part: refused, unavailable or a protocol error.
pub fn read(
    message: &Message,
    asked: &Asked,
    profile: &Profile,
) -> (Acknowledgement, Result<Persons, Failure>) {
    let head = acknowledgement(
        message,
        asked.control_id.as_deref(),
        asked.query_tag.as_deref(),
        Class::TargetDomainUnknown,
    );
    let head = match head {
        Ok(head) => head,
        Err(reason) => return (Acknowledgement::default(), Err(reason.into())),
    };
    let persons = head.check().and_then(|()| persons(message, &head, asked, profile).map_err(Failure::from));
    (head, persons)
}

fn persons(
    message: &Message,
    head: &Acknowledgement,
    asked: &Asked,
    profile: &Profile,
) -> Result<Persons, Reason> {
    let status = head.query_status.as_deref();
    let persons: Vec<Person> =
        message.each("PID").map(|pid| person(&pid, asked.id.as_deref(), profile)).collect();
    match (status, persons.is_empty()) {
        (Some("OK"), _) | (Some("NF"), true) => {}
        (Some("NF"), false) => return Err(Reason::Malformed("persons in an answer without match")),
        _ => return Err(Reason::Malformed("QAK segment")),
    }
    let count = |number| message.field("QAK", number).text().and_then(|text| text.trim().parse().ok());
    Ok(Persons {
        persons,
        counts: Counts { total: count(4), current: count(5), remaining: count(6) },
        continuation: message.field("DSC", 1).text().map(Continuation::Pointer),
    })
}

fn person(pid: &super::Segment<'_>, asked: Option<&str>, profile: &Profile) -> Person {
    let preferred = profile.repetition == Some(Repetition::Preferred);
    let name = choose(pid.field(5), preferred.then_some((7, &["L", "D"][..])));
    let address = choose(pid.field(11), preferred.then_some((7, &["H", "C", "P"][..])));
    let street = address.component(1);
    let parts = || {
        let (name, number) = (street.subcomponent(2).text()?, street.subcomponent(3).text());
        Some(number.map_or_else(|| name.clone(), |number| format!("{name} {number}")))
    };
    let mut person = Person {
        identifiers: pid.field(3).repetitions().filter_map(identifier).collect(),
        last: name.component(1).subcomponent(1).text(),
        first: name.component(2).subcomponent(1).text(),
        birth: pid.field(7).first().component(1).text().and_then(|stamp| iso_date(&stamp)),
        sex: pid.field(8).first().component(1).text().and_then(|code| Sex::from_hl7(&code)),
        street: street.subcomponent(1).text().or_else(parts),
        zip: address.component(5).text(),
        city: address.component(3).text(),
        country: address.component(6).text(),
        insurance: pid.field(19).first().component(1).text(),
        medic_id: None,
        confidence: None,
        score: None,
        grade: None,
        resource: None,
    };
    if person.insurance.is_none()
        && let Some(authority) = &profile.insurance_authority
    {
        let number = person.identifiers.iter().find(|id| authority.matches(&id.domain));
        person.insurance = number.map(|id| id.value.clone());
    }
    profile.name(&mut person, asked);
    person
}

/// A repetition whose type (in component `at`) comes first in the list, else the first one.
fn choose<'a>(field: Value<'a>, by_type: Option<(usize, &[&str])>) -> Value<'a> {
    let wanted = by_type.and_then(|(at, order)| {
        order.iter().find_map(|kind| {
            field.repetitions().find(|value| value.component(at).text().as_deref() == Some(*kind))
        })
    });
    wanted.unwrap_or_else(|| field.first())
}

/// A CX value.
pub(super) fn identifier(value: Value<'_>) -> Option<Identifier> {
    Some(Identifier {
        value: value.component(1).subcomponent(1).text()?,
        domain: domain(value.component(4)),
        kind: value.component(5).text(),
    })
}

/// An HD value as a component.
pub(super) fn domain(value: Value<'_>) -> Domain {
    Domain {
        namespace: value.subcomponent(1).text(),
        universal_id: value.subcomponent(2).text(),
        universal_id_type: value.subcomponent(3).text(),
        system: None,
    }
}
