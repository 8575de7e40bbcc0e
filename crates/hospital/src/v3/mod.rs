//! HL7 v3 queries over SOAP: PDQv3 (ITI-47) and PIXv3 (ITI-45), contract 1.7.
pub mod pdq;
pub mod pix;

use crate::{
    failure::{Class, Failure, Reason, Told},
    person::{Counts, Domain, Identifier},
    soap::Envelope,
    xml::{Element, escape},
};

/// Namespace of HL7 v3.
pub const HL7: &str = "urn:hl7-org:v3";
const INTERACTION: &str = "2.16.840.1.113883.1.6";

/// Who talks to whom, when, and the ids of the request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// OID of the sending device.
    pub sender: String,
    /// OID of the receiving device.
    pub receiver: String,
    /// `YYYYMMDDHHMMSS`.
    pub time: String,
    /// UUID of the message.
    pub id: String,
    /// Root and extension of the query id.
    pub query_id: (String, String),
}

/// What an answer is compared with.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// `id/@root` of the request.
    pub target_message: Option<String>,
    /// Extension of the query id.
    pub query_id: Option<String>,
}

/// The head of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// `acknowledgement/typeCode`.
    pub ack: Option<String>,
    /// `queryAck/queryResponseCode`.
    pub query_status: Option<String>,
    /// `queryAck/statusCode`.
    pub query_state: Option<String>,
    /// Counts of `queryAck`.
    pub counts: Counts,
}

/// Checks what all answers share; the control act where the answer is a good one.
fn open<'a>(
    envelope: &'a Envelope,
    interaction: &str,
    expected: &Expected,
) -> (Head, Result<&'a Element, Failure>) {
    let message = &envelope.body;
    if !message.is(HL7, interaction) {
        return (Head::default(), Err(Reason::Malformed("HL7 v3 interaction").into()));
    }
    let code = |element: Option<&Element>| element.and_then(|element| element.filled("code"));
    let acknowledgement = message.child("acknowledgement");
    let control = message.child("controlActProcess");
    let query = control.and_then(|control| control.child("queryAck"));
    let count = |name: &str| query?.child(name)?.attribute("value")?.trim().parse().ok();
    let head = Head {
        ack: code(acknowledgement.and_then(|ack| ack.child("typeCode"))),
        query_status: code(query.and_then(|query| query.child("queryResponseCode"))),
        query_state: code(query.and_then(|query| query.child("statusCode"))),
        counts: Counts {
            total: count("resultTotalQuantity"),
            current: count("resultCurrentQuantity"),
            remaining: count("resultRemainingQuantity"),
        },
    };
    let target = acknowledgement.and_then(|ack| ack.at(&["targetMessage", "id"]));
    let target = target.and_then(|id| id.filled("root")).map(|root| root.to_ascii_lowercase());
    let wanted = expected.target_message.as_ref().map(|root| root.to_ascii_lowercase());
    if wanted.is_some() && target != wanted {
        return (Head::default(), Err(Reason::ControlIdMismatch.into()));
    }
    let answered = query.and_then(|query| query.child("queryId")).and_then(|id| id.filled("extension"));
    if let (Some(answered), Some(wanted)) = (&answered, &expected.query_id)
        && answered != wanted
    {
        return (Head::default(), Err(Reason::ControlIdMismatch.into()));
    }
    let refused = matches!(head.query_status.as_deref(), Some("AE" | "QE"));
    let result = match head.ack.as_deref() {
        Some("AA" | "CA") if !refused => control.ok_or(Reason::Malformed("controlActProcess").into()),
        None => Err(Reason::Malformed("acknowledgement").into()),
        _ => Err(Failure::told(told(acknowledgement, head.query_status.as_deref()))),
    };
    (head, result)
}

fn told(acknowledgement: Option<&Element>, query_status: Option<&str>) -> Told {
    let Some(detail) = acknowledgement.and_then(|ack| ack.child("acknowledgementDetail")) else {
        let class = (query_status == Some("QE")).then_some(Class::QueryInvalid);
        return Told { class, ..Told::default() };
    };
    let code = detail.child("code").and_then(|code| code.filled("code"));
    let location = detail.child("location").and_then(Element::trimmed);
    let place = location.as_deref().unwrap_or_default();
    let class = match code.as_deref() {
        Some("204") if place.contains("dataSource") || place.contains("otherIDsScopingOrganization") => {
            Some(Class::TargetDomainUnknown)
        }
        Some("204") if place.ends_with("@root") => Some(Class::SourceDomainUnknown),
        Some("204") => Some(Class::IdUnknown),
        Some("205" | "206" | "207" | "INTERR") => Some(Class::Internal),
        Some("200" | "201" | "NS200" | "NS250") => Some(Class::EventUnsupported),
        Some("202" | "203") => Some(Class::VersionUnsupported),
        _ if query_status == Some("QE") => Some(Class::QueryInvalid),
        _ => None,
    };
    Told {
        code,
        code_system: detail.child("code").and_then(|code| code.filled("codeSystem")),
        class,
        severity: detail.filled("typeCode"),
        location,
        text: detail.child("text").and_then(Element::trimmed),
        ..Told::default()
    }
}

/// An II value; `None` without extension or with a null flavour.
fn instance(element: &Element) -> Option<Identifier> {
    if element.attribute("nullFlavor").is_some() {
        return None;
    }
    Some(Identifier {
        value: element.filled("extension")?,
        domain: Domain { universal_id: element.filled("root"), ..Domain::default() },
        kind: None,
    })
}

/// A message: the wrapper of contract 1.7 around a control act.
fn message(name: &str, header: &Header, acknowledgement: &str, control: &str) -> String {
    let device = |tag: &str, code: &str, root: &str| {
        format!(
            "<{tag} typeCode=\"{code}\"><device classCode=\"DEV\" determinerCode=\"INSTANCE\">\
             <id root=\"{}\"/></device></{tag}>",
            escape(root)
        )
    };
    format!(
        "<{name} xmlns=\"{HL7}\" ITSVersion=\"XML_1.0\"><id root=\"{}\"/><creationTime value=\"{}\"/>\
         <interactionId root=\"{INTERACTION}\" extension=\"{name}\"/><processingCode code=\"P\"/>\
         <processingModeCode code=\"T\"/><acceptAckCode code=\"AL\"/>{}{}{acknowledgement}\
         <controlActProcess classCode=\"CACT\" moodCode=\"EVN\">{control}</controlActProcess></{name}>",
        escape(&header.id),
        escape(&header.time),
        device("receiver", "RCV", &header.receiver),
        device("sender", "SND", &header.sender),
    )
}

fn trigger(code: &str) -> String {
    format!("<code code=\"{code}\" codeSystem=\"{INTERACTION}\"/>")
}

/// An II as an element.
fn write_instance(tag: &str, id: &Identifier) -> String {
    let root = id.domain.universal_id.as_deref().unwrap_or_default();
    format!("<{tag} root=\"{}\" extension=\"{}\"/>", escape(root), escape(&id.value))
}

fn query_id(header: &Header) -> String {
    format!("<queryId root=\"{}\" extension=\"{}\"/>", escape(&header.query_id.0), escape(&header.query_id.1))
}

/// A query as a server sees it.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Name of the interaction.
    pub interaction: String,
    /// `id/@root`.
    pub id: Option<String>,
    /// Root and extension of the query id.
    pub query_id: (Option<String>, Option<String>),
    /// OID of the sender.
    pub sender: Option<String>,
    /// OID of the receiver.
    pub receiver: Option<String>,
    /// `responsePriorityCode`.
    pub priority: Option<String>,
    /// `responseModalityCode`.
    pub modality: Option<String>,
    /// `acknowledgement/typeCode`, in a continuation.
    pub ack: Option<String>,
    /// `acknowledgement/targetMessage/id/@root`.
    pub target_message: Option<String>,
    /// The query or the continuation, for what only one protocol has.
    pub query: Element,
}

impl Request {
    /// Reads a query or a continuation.
    ///
    /// # Errors
    /// [`Reason::Malformed`].
    pub fn read(envelope: &Envelope) -> Result<Self, Reason> {
        let message = &envelope.body;
        let control = message.child("controlActProcess").filter(|_| message.space == HL7);
        let control = control.ok_or(Reason::Malformed("controlActProcess"))?;
        let query = control.child("queryByParameter").or_else(|| control.child("queryContinuation"));
        let query = query.ok_or(Reason::Malformed("query"))?;
        let code = |element: Option<&Element>| element.and_then(|element| element.filled("code"));
        let root = |path: &[&str]| message.at(path).and_then(|element| element.filled("root"));
        let id = query.child("queryId");
        Ok(Self {
            interaction: message.name.clone(),
            id: root(&["id"]),
            query_id: (id.and_then(|id| id.filled("root")), id.and_then(|id| id.filled("extension"))),
            sender: root(&["sender", "device", "id"]),
            receiver: root(&["receiver", "device", "id"]),
            priority: code(query.child("responsePriorityCode")),
            modality: code(query.child("responseModalityCode")),
            ack: code(message.at(&["acknowledgement", "typeCode"])),
            target_message: root(&["acknowledgement", "targetMessage", "id"]),
            query: query.clone(),
        })
    }
}
