//! Queries that we send, and reading them back for our own test peers.
use super::{Message, Value, escape, pdq::domain, pdq::identifier};
use crate::person::{Domain, Identifier};

/// Longest control id (HL7 2.5, MSH-10).
pub const MAX_CONTROL_ID: usize = 20;
/// Longest query tag (HL7 2.5, QPD-2).
pub const MAX_QUERY_TAG: usize = 32;

/// Who talks to whom, and when.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// MSH-3 and MSH-4.
    pub sender: (String, String),
    /// MSH-5 and MSH-6.
    pub receiver: (String, String),
    /// MSH-7, `YYYYMMDDHHMMSS+ZZZZ`.
    pub time: String,
    /// MSH-10, at most [`MAX_CONTROL_ID`] characters, unique.
    pub control_id: String,
}

impl Header {
    /// The MSH segment; we always declare UTF-8.
    fn write(&self, message: &str) -> String {
        format!(
            "MSH|^~\\&|{}|{}|{}|{}|{}||{message}|{}|P|2.5||||||UNICODE UTF-8\r",
            escape(&self.sender.0),
            escape(&self.sender.1),
            escape(&self.receiver.0),
            escape(&self.receiver.1),
            escape(&self.time),
            escape(&self.control_id)
        )
    }
}

/// A demographics query.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct PdqRequest {
    /// Query tag, unchanged over all pages.
    pub query_tag: String,
    /// Field (`@PID.5.1.1`) and value; all must fit.
    pub parameters: Vec<(String, String)>,
    /// Domains that identifiers are wanted from; all where empty.
    pub domains: Vec<Domain>,
    /// Most persons per page.
    pub limit: Option<u32>,
    /// Pointer of the last page.
    pub continuation: Option<String>,
}

/// Parameters of an identifier query (contract 1.2).
pub fn identifier_parameters(id: &Identifier) -> Vec<(String, String)> {
    let mut parameters = vec![("@PID.3.1".to_owned(), id.value.clone())];
    let domain = [("@PID.3.4.1", &id.domain.namespace), ("@PID.3.4.2", &id.domain.universal_id)];
    for (field, value) in domain {
        parameters.extend(value.clone().map(|value| (field.to_owned(), value)));
    }
    parameters
}

impl PdqRequest {
    /// The message `QBP^Q22^QBP_Q21`.
    pub fn write(&self, header: &Header) -> Vec<u8> {
        let parameters: Vec<String> = self
            .parameters
            .iter()
            .map(|(field, value)| format!("{}^{}", escape(field), escape(value)))
            .collect();
        let mut message = header.write("QBP^Q22^QBP_Q21");
        message.push_str(&format!("QPD|IHE PDQ Query|{}|{}", escape(&self.query_tag), parameters.join("~")));
        if !self.domains.is_empty() {
            message.push_str(&format!("|||||{}", domains(&self.domains)));
        }
        message.push_str("\rRCP|I");
        if let Some(limit) = self.limit {
            message.push_str(&format!("|{limit}^RD"));
        }
        message.push('\r');
        if let Some(pointer) = &self.continuation {
            message.push_str(&format!("DSC|{}|I\r", escape(pointer)));
        }
        message.into_bytes()
    }
}

/// The message `QBP^Q23^QBP_Q21`: which identifiers has the person with this one?
pub fn pix(header: &Header, query_tag: &str, source: &Identifier, targets: &[Domain]) -> Vec<u8> {
    let mut message = header.write("QBP^Q23^QBP_Q21");
    message.push_str(&format!(
        "QPD|IHE PIX Query|{}|{}^^^{}",
        escape(query_tag),
        escape(&source.value),
        hd(&source.domain)
    ));
    if !targets.is_empty() {
        message.push_str(&format!("|{}", domains(targets)));
    }
    message.push_str("\rRCP|I\r");
    message.into_bytes()
}

/// The message `QCN^J01^QCN_J01`: we take no further pages.
pub fn cancel(header: &Header, query_tag: &str) -> Vec<u8> {
    let mut message = header.write("QCN^J01^QCN_J01");
    message.push_str(&format!("QID|{}|IHE PDQ Query\r", escape(query_tag)));
    message.into_bytes()
}

fn domains(domains: &[Domain]) -> String {
    domains.iter().map(|domain| format!("^^^{}", hd(domain))).collect::<Vec<_>>().join("~")
}

/// An HD value as a component.
fn hd(domain: &Domain) -> String {
    let part = |value: &Option<String>| value.as_deref().map(escape).unwrap_or_default();
    let Some(id) = &domain.universal_id else { return part(&domain.namespace) };
    let kind = domain.universal_id_type.as_deref().unwrap_or("ISO");
    format!("{}&{}&{}", part(&domain.namespace), escape(id), escape(kind))
}

/// A query as a server sees it.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// MSH-9 as it stands.
    pub message: String,
    /// MSH-10.
    pub control_id: Option<String>,
    /// MSH-12.
    pub version: Option<String>,
    /// MSH-18, first repetition.
    pub charset: Option<String>,
    /// MSH-11 as it stands.
    pub processing: String,
    /// MSH-3 and MSH-4.
    pub sender: (Option<String>, Option<String>),
    /// MSH-5 and MSH-6.
    pub receiver: (Option<String>, Option<String>),
    /// QPD-1 or QID-2.
    pub query_name: Option<String>,
    /// QPD-2 or QID-1.
    pub query_tag: Option<String>,
    /// QPD-3 of a demographics query.
    pub parameters: Vec<(String, Option<String>)>,
    /// QPD-3 of a PIX query.
    pub source: Option<Identifier>,
    /// QPD-8 (PDQ) or QPD-4 (PIX).
    pub domains: Vec<Domain>,
    /// RCP-1.
    pub priority: Option<String>,
    /// RCP-2: quantity and unit.
    pub limit: Option<(u64, Option<String>)>,
    /// DSC-1.
    pub continuation: Option<String>,
}

impl Request {
    /// Reads a query.
    pub fn read(message: &Message) -> Self {
        let text = |segment: &str, field| message.field(segment, field).first().component(1).text();
        let pair = |first, second| (text("MSH", first), text("MSH", second));
        let is_pix = message.field("MSH", 9).component(2).text().as_deref() == Some("Q23");
        let is_cancel = message.first("QID").is_some();
        let criteria = message.field("QPD", 3);
        let wanted = message.field("QPD", if is_pix { 4 } else { 8 });
        let parameters = |value: Value<'_>| Some((value.component(1).text()?, value.component(2).text()));
        let limit = message.field("RCP", 2);
        Self {
            message: message.field("MSH", 9).raw().to_owned(),
            control_id: text("MSH", 10),
            version: text("MSH", 12),
            charset: text("MSH", 18),
            processing: message.field("MSH", 11).raw().to_owned(),
            sender: pair(3, 4),
            receiver: pair(5, 6),
            query_name: if is_cancel { text("QID", 2) } else { text("QPD", 1) },
            query_tag: if is_cancel { text("QID", 1) } else { text("QPD", 2) },
            parameters: if is_pix {
                Vec::new()
            } else {
                criteria.repetitions().filter_map(parameters).collect()
            },
            source: if is_pix { identifier(criteria.first()) } else { None },
            domains: wanted.repetitions().map(|value| domain(value.component(4))).collect(),
            priority: text("RCP", 1),
            limit: limit
                .component(1)
                .text()
                .and_then(|text| text.trim().parse().ok())
                .map(|quantity| (quantity, limit.component(2).text())),
            continuation: text("DSC", 1),
        }
    }
}
