//! Audit records as AuditMessage of classic ATNA (DICOM PS3.15 A.5, and RFC 3881 before it), made from
//! the FHIR form.
use std::{fmt::Write, net::IpAddr};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{DCM, OWN_TRANSACTIONS, REQUEST_ID, TRANSACTIONS, Transaction};
use crate::{json::Json, xml::escape};

/// Which schema a repository expects; they differ in the name of the attribute of codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Schema {
    /// DICOM PS3.15 A.5.
    #[default]
    Dicom,
    /// RFC 3881.
    Rfc3881,
}

impl Schema {
    /// MSGID of the syslog message.
    pub fn message_id(self) -> &'static str {
        match self {
            Self::Dicom => "IHE+DICOM",
            Self::Rfc3881 => "IHE+RFC-3881",
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::Dicom => "csd-code",
            Self::Rfc3881 => "code",
        }
    }

    /// A coded value; a name always has something in it.
    fn coded(self, element: &str, code: &str, system: &str, name: &str) -> String {
        let name = if name.is_empty() { code } else { name };
        format!(
            "<{element} {}=\"{}\" codeSystemName=\"{}\" displayName=\"{3}\" originalText=\"{3}\"/>",
            self.code(),
            escape(code),
            escape(system),
            escape(name)
        )
    }
}

/// Code, name of its system, and name of what an object of a record is identified by.
const PATIENT_NUMBER: (&str, &str, &str) = ("2", "RFC-3881", "Patient Number");
const USER_IDENTIFIER: (&str, &str, &str) = ("11", "RFC-3881", "User Identifier");
const URI: (&str, &str, &str) = ("12", "RFC-3881", "URI");

/// The message for a FHIR AuditEvent as [`super::Event::resource`] and [`super::activity`] write it;
/// `None` for anything else.
pub fn message(event: &Json, schema: Schema) -> Option<String> {
    if event.get("resourceType").text() != Some("AuditEvent") {
        return None;
    }
    let kind = event.get("type");
    let last = event.get("subtype").items().last()?;
    let (code, name) = (last.get("code").text()?, last.get("display").text().unwrap_or_default());
    let is_transaction = kind.get("code").text() == Some("rest");
    // What is an interaction with FHIR is a query here.
    let (id, id_name) = if is_transaction {
        ("110112", "Query")
    } else {
        (kind.get("code").text()?, kind.get("display").text().unwrap_or_default())
    };
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?><AuditMessage>");
    let _ = write!(
        text,
        "<EventIdentification EventActionCode=\"{}\" EventDateTime=\"{}\" EventOutcomeIndicator=\"{}\">{}{}",
        escape(event.get("action").text()?),
        escape(event.get("recorded").text()?),
        escape(event.get("outcome").text()?),
        schema.coded("EventID", id, "DCM", id_name),
        schema.coded("EventTypeCode", code, system(last.get("system").text()?), name),
    );
    // RFC 3881 has no description of the outcome.
    if let Some(outcome) = event.get("outcomeDesc").text().filter(|_| schema == Schema::Dicom) {
        let _ = write!(text, "<EventOutcomeDescription>{}</EventOutcomeDescription>", escape(outcome));
    }
    text.push_str("</EventIdentification>");
    let agents = event.get("agent").items();
    if agents.is_empty() {
        return None;
    }
    for agent in agents {
        participant(&mut text, agent, schema)?;
    }
    let source = event.get("source");
    let _ = write!(
        text,
        "<AuditSourceIdentification AuditEnterpriseSiteID=\"{}\" AuditSourceID=\"{}\">",
        escape(source.get("site").text().unwrap_or_default()),
        escape(source.get("observer").get("display").text()?),
    );
    // An application server process.
    let _ = write!(text, "<AuditSourceTypeCode {}=\"4\"/></AuditSourceIdentification>", schema.code());
    for entity in event.get("entity").items() {
        object(&mut text, entity, (code, name), schema);
    }
    text.push_str("</AuditMessage>");
    Some(text)
}

fn system(system: &str) -> &str {
    match system {
        TRANSACTIONS => "IHE Transactions",
        OWN_TRANSACTIONS => "DSF Transactions",
        DCM => "DCM",
        other => other,
    }
}

fn participant(text: &mut String, agent: &Json, schema: Schema) -> Option<()> {
    let who = agent.get("who");
    let display = who.get("display").text()?;
    let network = agent.get("network");
    let address = network.get("address").text();
    // Who it is on the wire: applications of HL7 v2, else the address of an endpoint, else the name.
    let endpoint = address.filter(|_| network.get("type").text() == Some("5"));
    let user = who.get("identifier").get("value").text().or(endpoint).unwrap_or(display);
    let _ = write!(text, "<ActiveParticipant UserID=\"{}\"", escape(user));
    if let Some(process) = agent.get("altId").text() {
        let _ = write!(text, " AlternativeUserID=\"{}\"", escape(process));
    }
    let requestor = agent.get("requestor").boolean().unwrap_or_default();
    let _ = write!(text, " UserName=\"{}\" UserIsRequestor=\"{requestor}\"", escape(display));
    if let Some(host) = address.map(host).filter(|host| !host.is_empty()) {
        // A name, or an IP address.
        let kind = if host.parse::<IpAddr>().is_ok() { "2" } else { "1" };
        let host = escape(host);
        let _ = write!(text, " NetworkAccessPointID=\"{host}\" NetworkAccessPointTypeCode=\"{kind}\"");
    }
    text.push('>');
    if let Some(role) = agent.get("type").get("coding").items().first() {
        let name = role.get("display").text().unwrap_or_default();
        // Classic ATNA says `Source` and `Destination`.
        let name = name.strip_suffix(" Role ID").unwrap_or(name);
        text.push_str(&schema.coded("RoleIDCode", role.get("code").text()?, "DCM", name));
    }
    text.push_str("</ActiveParticipant>");
    Some(())
}

/// The host in a URL, in `host:port` or alone, without the brackets of IPv6.
fn host(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if let Some((host, _)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return host;
    }
    // More than one colon is an IPv6 address without a port.
    match rest.split_once(':') {
        Some((host, port)) if !port.contains(':') => host,
        _ => rest,
    }
}

/// An object; the query of a transaction is identified by the code of the transaction.
fn object(text: &mut String, entity: &Json, transaction: (&str, &str), schema: Schema) {
    let kind = entity.get("type");
    let (code, role) = (kind.get("code").text().unwrap_or_default(), entity.get("role").get("code").text());
    let is_request = kind.get("system").text() == Some(REQUEST_ID);
    let query = entity.get("query").text();
    let own = Transaction::of(transaction.0).map(|row| system(row.system())).unwrap_or("DSF Transactions");
    let (id_code, id_system, id_name) = match (is_request, query, code, role) {
        (true, ..) => (code, "BasicAuditEntityType", "X-Request-Id"),
        (_, Some(_), ..) => (transaction.0, own, transaction.1),
        (_, _, "1", Some("11")) => USER_IDENTIFIER,
        (_, _, "1", _) => PATIENT_NUMBER,
        _ => URI,
    };
    let what = entity.get("what");
    let id = what.get("identifier").get("value").text().or_else(|| what.get("display").text());
    let id = id.unwrap_or(id_name);
    let _ = write!(
        text,
        "<ParticipantObjectIdentification ParticipantObjectID=\"{}\" ParticipantObjectTypeCode=\"{}\"",
        escape(id),
        // A request is a system object.
        if is_request { "2" } else { code },
    );
    if let Some(role) = role {
        let _ = write!(text, " ParticipantObjectTypeCodeRole=\"{}\"", escape(role));
    }
    text.push('>');
    text.push_str(&schema.coded("ParticipantObjectIDTypeCode", id_code, id_system, id_name));
    // The schema wants either; whose name it is belongs to nobody here.
    let _ = match query {
        Some(query) => write!(text, "<ParticipantObjectQuery>{}</ParticipantObjectQuery>", escape(query)),
        None => write!(text, "<ParticipantObjectName>{}</ParticipantObjectName>", escape(id_name)),
    };
    for detail in entity.get("detail").items() {
        let value = detail.get("valueString").text();
        if let (Some(kind), Some(value)) = (detail.get("type").text(), value) {
            let (kind, value) = (escape(kind), STANDARD.encode(value));
            let _ = write!(text, "<ParticipantObjectDetail type=\"{kind}\" value=\"{value}\"/>");
        }
    }
    text.push_str("</ParticipantObjectIdentification>");
}
