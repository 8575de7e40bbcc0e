//! What all answers share: whether they belong to the request, and MSA, ERR, QAK.
use super::{Message, Segment};
use crate::failure::{Class, Failure, Reason, Told};

/// The head of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Acknowledgement {
    /// MSA-1, for example `AA`.
    pub code: Option<String>,
    /// QAK-2, for example `NF`.
    pub query_status: Option<String>,
    /// What the server refused, if it did.
    pub told: Option<Told>,
    /// MSH-9.1: `ACK`, `RSP`.
    pub message: Option<String>,
}

impl Acknowledgement {
    /// The failure that the head states.
    ///
    /// # Errors
    /// Refused or unavailable, by the error code.
    pub fn check(&self) -> Result<(), Failure> {
        let accepted = matches!(self.code.as_deref(), Some("AA" | "CA"));
        let refused = matches!(self.query_status.as_deref(), Some("AE" | "AR"));
        if accepted && !refused && self.told.is_none() {
            return Ok(());
        }
        if self.code.is_none() {
            return Err(Reason::Malformed("MSA segment").into());
        }
        Err(Failure::told(self.told.clone().unwrap_or_default()))
    }
}

/// Reads the head of an answer to the message `control_id`, query `tag`.
///
/// # Errors
/// [`Reason::ControlIdMismatch`] when it belongs to another message or query.
pub fn acknowledgement(
    message: &Message,
    control_id: Option<&str>,
    tag: Option<&str>,
    location_of_204: Class,
) -> Result<Acknowledgement, Reason> {
    let answered = message.field("MSA", 2).text();
    if control_id.is_some() && answered.as_deref() != control_id {
        return Err(Reason::ControlIdMismatch);
    }
    let answered_tag = message.field("QAK", 1).text();
    if let (Some(answered), Some(tag)) = (&answered_tag, tag)
        && answered != tag
    {
        return Err(Reason::ControlIdMismatch);
    }
    Ok(Acknowledgement {
        code: message.field("MSA", 1).text(),
        query_status: message.field("QAK", 2).text(),
        told: message.each("ERR").find_map(|segment| told(&segment, location_of_204)),
        message: message.field("MSH", 9).component(1).text(),
    })
}

/// One ERR segment. Severity `I` and `W` are not failures.
fn told(segment: &Segment<'_>, location_of_204: Class) -> Option<Told> {
    let code = segment.field(3).first();
    let location = segment.field(2).first().raw();
    let severity = segment.field(4).text();
    if matches!(severity.as_deref(), Some("I" | "W")) {
        return None;
    }
    // ERR-1 is how versions before 2.5 said it: segment, sequence, field, code.
    let old = segment.field(1).first();
    let number = code.component(1).text().or_else(|| old.component(4).subcomponent(1).text());
    if number.is_none() && location.is_empty() {
        return None;
    }
    let diagnostics = segment.field(7).text().or_else(|| code.component(9).text());
    Some(Told {
        class: number.as_deref().and_then(|number| class(number, location, location_of_204)),
        code: number,
        severity,
        location: Some(location.to_owned()).filter(|location| !location.is_empty()),
        text: code.component(2).text().or_else(|| old.component(4).subcomponent(2).text()),
        diagnostics: diagnostics.or_else(|| segment.field(8).text()),
        ..Told::default()
    })
}

/// Class of a code of table 0357. A 204 is told apart by its place (contract 1.4, 1.5).
fn class(code: &str, location: &str, location_of_204: Class) -> Option<Class> {
    let mut place = location.split('^');
    let (segment, _, field) = (place.next(), place.next(), place.next());
    let (_, component) = (place.next(), place.next());
    Some(match code {
        "100" | "101" | "102" | "103" => Class::QueryInvalid,
        "200" | "201" => Class::EventUnsupported,
        "202" | "203" => Class::VersionUnsupported,
        "204" => match (segment, field, component) {
            (Some("QPD"), Some("3"), Some("4")) => Class::SourceDomainUnknown,
            (Some("QPD"), Some("3"), _) => Class::IdUnknown,
            (Some("QPD"), Some("4" | "8"), _) => Class::TargetDomainUnknown,
            _ => location_of_204,
        },
        "205" | "206" | "207" => Class::Internal,
        _ => return None,
    })
}
