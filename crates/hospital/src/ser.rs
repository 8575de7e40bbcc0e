//! IHE Secure Retrieve, ITI-79: XACML 2.0 decisions in SAML over SOAP (contract 2.4).
//!
//! Signatures are not checked: the profile allows unsigned assertions over mutual TLS, and the peer
//! is who the certificate says. So nothing may be believed that does not stand exactly where the
//! profile puts it: an answer with a second assertion or statement anywhere is refused.
use crate::{
    decision::Answered,
    failure::{Class, Failure, Reason, Told},
    soap::Envelope,
    xacml::{self, Question},
    xml::{Element, escape},
};

/// Action of a request.
pub const ACTION: &str = "urn:ihe:iti:2014:ser:XACMLAuthorizationDecisionQueryRequest";
/// Namespace of the query that the profile names.
pub const PROTOCOL: &str = "urn:oasis:xacml:2.0:saml:protocol:schema:os";
/// Namespace of the query in other products.
pub const OTHER_PROTOCOL: &str = "urn:oasis:names:tc:xacml:2.0:profile:saml2.0:v2:schema:protocol";
const STATEMENTS: [&str; 2] = [
    "urn:oasis:xacml:2.0:saml:assertion:schema:os",
    "urn:oasis:names:tc:xacml:2.0:profile:saml2.0:v2:schema:assertion",
];
const CONTEXT: &str = "urn:oasis:names:tc:xacml:2.0:context:schema:os";
const SAMLP: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
const SAML: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";
const RESPONDER: &str = "urn:oasis:names:tc:SAML:2.0:status:Responder";
const ORGANIZATION_ID: &str = "urn:oasis:names:tc:xspa:1.0:subject:organization-id";
const PATIENT_ID: &str = "urn:ihe:iti:ser:2016:patient-id";
const STRING: &str = "http://www.w3.org/2001/XMLSchema#string";
const ANY_URI: &str = "http://www.w3.org/2001/XMLSchema#anyURI";

/// What a query says beyond the question.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelop {
    /// SAML id of the query.
    pub id: String,
    /// `IssueInstant`, UTC.
    pub instant: String,
    /// Namespace of the query; [`PROTOCOL`] where empty.
    pub protocol: String,
    /// Organization of the asking party.
    pub organization: Option<String>,
    /// OID of the domain of record ids, for the patient id.
    pub record_domain: Option<String>,
}

/// The body of a query.
pub fn request(envelop: &Envelop, question: &Question) -> String {
    let protocol = if envelop.protocol.is_empty() { PROTOCOL } else { &envelop.protocol };
    let attribute = |id: &str, kind: &str, value: &str| {
        format!(
            "<xc:Attribute AttributeId=\"{id}\" DataType=\"{kind}\"><xc:AttributeValue>{}</xc:AttributeValue></xc:Attribute>",
            escape(value)
        )
    };
    let mut subject = attribute(xacml::SUBJECT_ID, STRING, &question.subject);
    if let Some(organization) = &envelop.organization {
        subject.push_str(&attribute(ORGANIZATION_ID, ANY_URI, organization));
    }
    if !question.purpose.is_empty() {
        subject.push_str(&attribute(xacml::PURPOSE, ANY_URI, &question.purpose));
    }
    let mut resources = String::new();
    for id in &question.records {
        let mut inside = attribute(xacml::RESOURCE_ID, STRING, id);
        if let Some(domain) = &envelop.record_domain {
            inside.push_str(&attribute(PATIENT_ID, STRING, &format!("{id}^^^&{domain}&ISO")));
        }
        if let Some(project) = &question.project {
            inside.push_str(&attribute(xacml::PROJECT, STRING, project));
        }
        resources.push_str(&format!("<xc:Resource>{inside}</xc:Resource>"));
    }
    format!(
        "<xsp:XACMLAuthzDecisionQuery xmlns:xsp=\"{}\" xmlns:xc=\"{CONTEXT}\" ID=\"{}\" Version=\"2.0\" \
         IssueInstant=\"{}\" InputContextOnly=\"false\" ReturnContext=\"false\"><xc:Request>\
         <xc:Subject>{subject}</xc:Subject>{resources}<xc:Action>{}</xc:Action><xc:Environment/>\
         </xc:Request></xsp:XACMLAuthzDecisionQuery>",
        escape(protocol),
        escape(&envelop.id),
        escape(&envelop.instant),
        attribute(xacml::ACTION_ID, ANY_URI, &question.action),
    )
}

/// Reads an answer: SAML status and results.
///
/// # Errors
/// In the second part: refused, unavailable or a protocol error.
pub fn read(envelope: &Envelope, request_id: &str) -> (Option<String>, Result<Vec<Answered>, Failure>) {
    let response = &envelope.body;
    if !response.is(SAMLP, "Response") {
        return (None, Err(Reason::Malformed("SAML response").into()));
    }
    if response.attribute("InResponseTo") != Some(request_id) {
        return (None, Err(Reason::ControlIdMismatch.into()));
    }
    let code = response.at(&["Status", "StatusCode"]);
    let Some(status) = code.and_then(|code| code.filled("Value")) else {
        return (None, Err(Reason::Malformed("SAML status").into()));
    };
    if status != SUCCESS {
        let told = Told {
            class: (status == RESPONDER).then_some(Class::Internal),
            code: Some(status.clone()),
            subcode: code.and_then(|code| code.child("StatusCode")).and_then(|code| code.filled("Value")),
            text: response.at(&["Status", "StatusMessage"]).and_then(Element::trimmed),
            ..Told::default()
        };
        return (Some(status), Err(Failure::told(told)));
    }
    let results = results(response).map_err(Failure::from);
    (Some(status), results)
}

fn results(response: &Element) -> Result<Vec<Answered>, Reason> {
    // One assertion, one statement, one response, each where it belongs and nowhere else.
    let assertion = response.child_in(SAML, "Assertion").ok_or(Reason::Malformed("SAML assertion"))?;
    let once = response.count(SAML, "Assertion") == 1
        && response.count(SAML, "EncryptedAssertion") == 0
        && response.count(CONTEXT, "Response") == 1
        && response.count(SAML, "Statement") == 1
        && response.count(SAMLP, "Response") == 1;
    if !once || !distinct_ids(response) {
        return Err(Reason::Wrapped);
    }
    let is_statement = |element: &&Element| {
        element.is(SAML, "Statement")
            && element.kind.as_ref().is_some_and(|(space, name)| {
                STATEMENTS.contains(&space.as_str()) && name == "XACMLAuthzDecisionStatementType"
            })
    };
    let statement = assertion.children.iter().find(is_statement);
    let statement = statement.ok_or(Reason::Malformed("XACML statement"))?;
    let context = statement.child_in(CONTEXT, "Response").ok_or(Reason::Malformed("XACML response"))?;
    let results: Vec<&Element> = context.each("Result").collect();
    if response.count(CONTEXT, "Result") != results.len() {
        return Err(Reason::Wrapped);
    }
    results.into_iter().map(result).collect()
}

fn distinct_ids(response: &Element) -> bool {
    fn collect<'a>(element: &'a Element, ids: &mut Vec<&'a str>) {
        ids.extend(element.attribute("ID"));
        element.children.iter().for_each(|child| collect(child, ids));
    }
    let mut ids = Vec::new();
    collect(response, &mut ids);
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    ids.len() == all
}

fn result(result: &Element) -> Result<Answered, Reason> {
    let (decision, code, text, missing) = xacml::xml_status(result)?;
    // Obligations have the namespace of policies in XACML 2.0.
    let obligations = result.children.iter().filter(|child| child.name == "Obligations");
    let obligations = obligations
        .flat_map(|all| all.children.iter())
        .map(|one| one.filled("ObligationId").ok_or(Reason::Malformed("Obligation")));
    let obligations = obligations.collect::<Result<_, _>>()?;
    xacml::answered(result.filled("ResourceId"), decision, obligations, code, text, missing)
}

/// A query as a decision point sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// SAML id.
    pub id: Option<String>,
    /// `ReturnContext`.
    pub return_context: bool,
    /// `InputContextOnly`.
    pub input_context_only: bool,
    /// Who asks.
    pub subject: Option<String>,
    /// Its organization.
    pub organization: Option<String>,
    /// What for.
    pub purpose: Option<String>,
    /// Records with their patient ids.
    pub resources: Vec<(String, Option<String>)>,
    /// What is to be done.
    pub action: Option<String>,
    /// Attributes of the environment.
    pub environment: Vec<String>,
}

impl Request {
    /// Reads a query.
    ///
    /// # Errors
    /// [`Reason::Malformed`].
    pub fn read(envelope: &Envelope) -> Result<Self, Reason> {
        let query = &envelope.body;
        if ![PROTOCOL, OTHER_PROTOCOL].contains(&query.space.as_str())
            || query.name != "XACMLAuthzDecisionQuery"
        {
            return Err(Reason::Malformed("XACMLAuthzDecisionQuery"));
        }
        let request = query.child_in(CONTEXT, "Request").ok_or(Reason::Malformed("Request"))?;
        let value = |element: &Element, id: &str| {
            let attribute = element.each("Attribute").find(|a| a.attribute("AttributeId") == Some(id));
            attribute.and_then(|a| a.child("AttributeValue")).and_then(Element::trimmed)
        };
        let of = |name: &str, id: &str| request.child(name).and_then(|element| value(element, id));
        let flag = |name: &str| matches!(query.attribute(name), Some("true" | "1"));
        let environment = request.child("Environment").into_iter().flat_map(|e| e.each("Attribute"));
        Ok(Self {
            id: query.filled("ID"),
            return_context: flag("ReturnContext"),
            input_context_only: flag("InputContextOnly"),
            subject: of("Subject", xacml::SUBJECT_ID),
            organization: of("Subject", ORGANIZATION_ID),
            purpose: of("Subject", xacml::PURPOSE),
            resources: request
                .each("Resource")
                .filter_map(|r| Some((value(r, xacml::RESOURCE_ID)?, value(r, PATIENT_ID))))
                .collect(),
            action: of("Action", xacml::ACTION_ID),
            environment: environment.filter_map(|a| a.filled("AttributeId")).collect(),
        })
    }
}
