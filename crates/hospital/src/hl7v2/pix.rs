//! Answers to the PIX Query, ITI-9: `RSP^K23^RSP_K23` (contract 1.5).
use super::{Acknowledgement, Message, acknowledgement, pdq::identifier};
use crate::{
    failure::{Class, Failure, Reason},
    person::{Domain, Identifier},
};

/// What an answer is compared with.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// MSH-10 of the request.
    pub control_id: Option<String>,
    /// QPD-2 of the request.
    pub query_tag: Option<String>,
    /// The identifier that was asked.
    pub id: Option<String>,
    /// Its domain.
    pub source: Domain,
    /// Wanted domains; all where empty.
    pub targets: Vec<Domain>,
}

impl Asked {
    /// True for an identifier that answers the question: not the asked one, of a wanted domain.
    pub(crate) fn wants(&self, identifier: &Identifier) -> bool {
        let is_asked =
            self.id.as_deref() == Some(identifier.value.as_str()) && self.source.matches(&identifier.domain);
        let wanted = self.targets.is_empty()
            || self.targets.iter().any(|target| {
                // What HL7 does not say of a domain cannot be compared.
                let loose = Domain { universal_id_type: None, system: None, ..target.clone() };
                loose.matches(&identifier.domain)
            });
        wanted && !is_asked
    }
}

/// Reads an answer; no identifiers is an answer too.
///
/// # Errors
/// In the second part: refused, unavailable or a protocol error.
pub fn read(message: &Message, asked: &Asked) -> (Acknowledgement, Result<Vec<Identifier>, Failure>) {
    let head =
        acknowledgement(message, asked.control_id.as_deref(), asked.query_tag.as_deref(), Class::IdUnknown);
    let head = match head {
        Ok(head) => head,
        Err(reason) => return (Acknowledgement::default(), Err(reason.into())),
    };
    let identifiers = head.check().and_then(|()| {
        let mut persons = message.each("PID");
        let person = persons.next();
        if persons.next().is_some() {
            return Err(Reason::Malformed("more than one person in a PIX answer").into());
        }
        match (head.query_status.as_deref(), &person) {
            (Some("OK"), _) | (Some("NF"), None) => {}
            _ => return Err(Reason::Malformed("QAK segment").into()),
        }
        let all = person.into_iter().flat_map(|pid| pid.field(3).repetitions().collect::<Vec<_>>());
        Ok(all.filter_map(identifier).filter(|identifier| asked.wants(identifier)).collect())
    });
    (head, identifiers)
}
