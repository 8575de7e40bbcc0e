//! The PIX query of HL7 v3, ITI-45.
use super::{Expected, Head, Header, instance, message, open, query_id, trigger, write_instance};
use crate::{
    failure::{Failure, Reason},
    hl7v2::pix::Asked,
    person::{Domain, Identifier},
    soap::Envelope,
    xml::escape,
};

/// Action of a query.
pub const ACTION: &str = "urn:hl7-org:v3:PRPA_IN201309UV02";

/// The body of a query.
pub fn request(header: &Header, source: &Identifier, targets: &[Domain]) -> String {
    let mut list = String::new();
    for root in targets.iter().filter_map(|target| target.universal_id.as_deref()) {
        list.push_str(&format!(
            "<dataSource><value root=\"{}\"/><semanticsText>DataSource.id</semanticsText></dataSource>",
            escape(root)
        ));
    }
    list.push_str(&format!(
        "<patientIdentifier>{}<semanticsText>Patient.id</semanticsText></patientIdentifier>",
        write_instance("value", source)
    ));
    let control = format!(
        "{}<authorOrPerformer typeCode=\"AUT\"><assignedPerson classCode=\"ASSIGNED\">\
         <id root=\"{}\" extension=\"dsf\"/></assignedPerson></authorOrPerformer>\
         <queryByParameter>{}<statusCode code=\"new\"/><responsePriorityCode code=\"I\"/>\
         <parameterList>{list}</parameterList></queryByParameter>",
        trigger("PRPA_TE201309UV02"),
        escape(&header.sender),
        query_id(header)
    );
    message("PRPA_IN201309UV02", header, "", &control)
}

/// Reads an answer; no identifiers is an answer too.
///
/// # Errors
/// In the second part: refused, unavailable or a protocol error.
pub fn read(
    envelope: &Envelope,
    expected: &Expected,
    asked: &Asked,
) -> (Head, Result<Vec<Identifier>, Failure>) {
    let (head, control) = open(envelope, "PRPA_IN201310UV02", expected);
    let identifiers = control.and_then(|control| {
        let mut subjects = control.each("subject");
        let patient = subjects.next().and_then(|s| s.at(&["registrationEvent", "subject1", "patient"]));
        if subjects.next().is_some() {
            return Err(Reason::Malformed("more than one person in a PIX answer").into());
        }
        let own = patient.into_iter().flat_map(|patient| patient.each("id"));
        let others = patient.into_iter().flat_map(|patient| {
            let person = patient.child("patientPerson").into_iter();
            person.flat_map(|person| person.each("asOtherIDs")).flat_map(|other| other.each("id"))
        });
        let all = own.chain(others).filter_map(instance);
        Ok(all.filter(|identifier| asked.wants(identifier)).collect())
    });
    (head, identifiers)
}
