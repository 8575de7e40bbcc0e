//! SOAP 1.2 envelopes with WS-Addressing, and faults.
use crate::{
    failure::{Class, Failure, Reason, Told},
    xml::{self, Element, escape},
};

/// Namespace of SOAP 1.2.
pub const SOAP: &str = "http://www.w3.org/2003/05/soap-envelope";
/// Namespace of WS-Addressing.
pub const WSA: &str = "http://www.w3.org/2005/08/addressing";

/// An envelope that was read.
#[derive(Debug, Clone, Default)]
pub struct Envelope {
    /// `wsa:Action`.
    pub action: Option<String>,
    /// `wsa:MessageID`.
    pub message_id: Option<String>,
    /// `wsa:RelatesTo`.
    pub relates_to: Option<String>,
    /// The one element in the body.
    pub body: Element,
}

impl Envelope {
    /// Reads an envelope with exactly one element in its body.
    ///
    /// # Errors
    /// As [`xml::read`], or [`Reason::Malformed`].
    pub fn read(bytes: &[u8]) -> Result<Self, Reason> {
        let mut root = xml::read(bytes)?;
        if !root.is(SOAP, "Envelope") {
            return Err(Reason::Malformed("SOAP 1.2 envelope"));
        }
        let is_single = |name: &str| root.each(name).count() == 1;
        if !is_single("Body") || root.each("Header").count() > 1 {
            return Err(Reason::Malformed("SOAP envelope"));
        }
        let header = root.child("Header");
        let addressing = |name: &str| header.and_then(|h| h.child_in(WSA, name)).and_then(Element::trimmed);
        let (action, message_id, relates_to) =
            (addressing("Action"), addressing("MessageID"), addressing("RelatesTo"));
        let body = root.children.iter_mut().find(|child| child.is(SOAP, "Body"));
        let mut content = body.map(|body| std::mem::take(&mut body.children)).unwrap_or_default();
        match (content.pop(), content.is_empty()) {
            (Some(body), true) => Ok(Self { action, message_id, relates_to, body }),
            _ => Err(Reason::Malformed("SOAP body")),
        }
    }

    /// The envelope, unless it is a fault or answers another message. An answer without
    /// `wsa:RelatesTo` is left to the protocol's own ids.
    ///
    /// # Errors
    /// What the fault says, or [`Reason::ControlIdMismatch`].
    pub fn check(self, message_id: Option<&str>) -> Result<Self, Failure> {
        if let (Some(expected), Some(found)) = (message_id, self.relates_to.as_deref())
            && expected != found
        {
            return Err(Reason::ControlIdMismatch.into());
        }
        match self.body.is(SOAP, "Fault") {
            true => Err(fault(&self.body)),
            false => Ok(self),
        }
    }
}

/// What a fault says: the receiver's fault may pass, the sender's does not.
fn fault(fault: &Element) -> Failure {
    let local = |text: String| text.rsplit(':').next().unwrap_or_default().to_owned();
    let value = |path: &[&str]| fault.at(path).and_then(Element::trimmed).map(local);
    let code = value(&["Code", "Value"]);
    let subcode = value(&["Code", "Subcode", "Value"]);
    let class = match (code.as_deref(), subcode.as_deref()) {
        (
            _,
            Some(
                "MessageAddressingHeaderRequired"
                | "InvalidAddressingHeader"
                | "ActionNotSupported"
                | "DestinationUnreachable"
                | "OnlyAnonymousAddressSupported",
            ),
        ) => Some(Class::Addressing),
        (Some("VersionMismatch"), _) => Some(Class::VersionUnsupported),
        (Some("Receiver"), _) => Some(Class::Internal),
        _ => None,
    };
    let text = fault.at(&["Reason", "Text"]).and_then(Element::trimmed);
    Failure::told(Told { code, subcode, class, text, ..Told::default() })
}

/// Writes an envelope. `body` is well-formed XML.
pub fn write(action: &str, message_id: &str, to: &str, body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <soap:Envelope xmlns:soap=\"{SOAP}\" xmlns:wsa=\"{WSA}\"><soap:Header>\
         <wsa:Action soap:mustUnderstand=\"true\">{}</wsa:Action>\
         <wsa:MessageID>{}</wsa:MessageID>\
         <wsa:ReplyTo><wsa:Address>{WSA}/anonymous</wsa:Address></wsa:ReplyTo>\
         <wsa:To>{}</wsa:To></soap:Header><soap:Body>{body}</soap:Body></soap:Envelope>",
        escape(action),
        escape(message_id),
        escape(to)
    )
}

/// Value of `Content-Type` for a message with this action.
pub fn content_type(action: &str) -> String {
    format!("application/soap+xml; charset=UTF-8; action=\"{action}\"")
}
