//! XACML 3.0 over REST, JSON and XML profile (contract 2.5).
use serde_json::{Value, json};

use crate::{
    decision::{Answered, Decision},
    failure::{Class, Failure, Reason, Told},
    json::Json,
    xml::{self, Element},
};

/// Media type of the JSON profile.
pub const MEDIA_TYPE: &str = "application/xacml+json";
/// Most records per request: the default limit of a common server is 100 children.
pub const MAX_RECORDS: usize = 90;
const CORE: &str = "urn:oasis:names:tc:xacml:3.0:core:schema:wd-17";
const SUBJECT: &str = "urn:oasis:names:tc:xacml:1.0:subject-category:access-subject";
const RESOURCE: &str = "urn:oasis:names:tc:xacml:3.0:attribute-category:resource";
const ACTION: &str = "urn:oasis:names:tc:xacml:3.0:attribute-category:action";
/// Attribute with the id of the asking party.
pub const SUBJECT_ID: &str = "urn:oasis:names:tc:xacml:1.0:subject:subject-id";
/// Attribute with the id of the record.
pub const RESOURCE_ID: &str = "urn:oasis:names:tc:xacml:1.0:resource:resource-id";
/// Attribute with what is to be done.
pub const ACTION_ID: &str = "urn:oasis:names:tc:xacml:1.0:action:action-id";
/// Attribute with the purpose of use.
pub const PURPOSE: &str = "urn:oasis:names:tc:xspa:1.0:subject:purposeofuse";
/// Attribute with the project.
pub const PROJECT: &str = "urn:dsf:xacml:resource:project";
/// Status code for success.
pub const STATUS_OK: &str = "urn:oasis:names:tc:xacml:1.0:status:ok";

/// What is asked for a set of records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Question {
    /// Who asks.
    pub subject: String,
    /// What for.
    pub purpose: String,
    /// The project, if known.
    pub project: Option<String>,
    /// What is to be done with the records.
    pub action: String,
    /// The records.
    pub records: Vec<String>,
}

/// The request in JSON. Every record is a resource category of its own whose id comes back.
pub fn request(question: &Question) -> Value {
    let mut subject = vec![json!({"AttributeId": SUBJECT_ID, "Value": question.subject})];
    if !question.purpose.is_empty() {
        subject.push(json!({"AttributeId": PURPOSE, "Value": question.purpose}));
    }
    let mut categories = vec![json!({"CategoryId": SUBJECT, "Attribute": subject})];
    for id in &question.records {
        let mut attributes = vec![json!({"AttributeId": RESOURCE_ID, "Value": id, "IncludeInResult": true})];
        if let Some(project) = &question.project {
            attributes.push(json!({"AttributeId": PROJECT, "Value": project}));
        }
        categories.push(json!({"CategoryId": RESOURCE, "Attribute": attributes}));
    }
    categories.push(json!({"CategoryId": ACTION, "Attribute": [
        {"AttributeId": ACTION_ID, "Value": question.action},
    ]}));
    json!({"Request": {"Category": categories}})
}

/// Reads an answer in JSON.
///
/// # Errors
/// Refused, unavailable or a protocol error.
pub fn read(status: u16, body: &[u8]) -> Result<Vec<Answered>, Failure> {
    if let Some(failure) = Failure::of_http(status) {
        return Err(failure);
    }
    let json = Json::read(body)?;
    let response = json.find("Response").ok_or(Reason::Malformed("Response"))?;
    if response.is_null() {
        return Err(Reason::Malformed("Response").into());
    }
    let results: Result<Vec<Answered>, Reason> = response.one_or_many().iter().map(json_result).collect();
    Ok(results?)
}

fn json_result(result: &Json) -> Result<Answered, Reason> {
    let decision = result.get("Decision").text().and_then(Decision::from_xacml);
    let decision = decision.ok_or(Reason::Malformed("Decision"))?;
    let status = result.get("Status");
    let code = status.get("StatusCode").get("Value").filled();
    let categories = result.get("Category").one_or_many().iter();
    let ids: Vec<&Json> = categories
        .filter(|category| category.get("CategoryId").text() == Some(RESOURCE))
        .flat_map(|category| category.get("Attribute").one_or_many())
        .filter(|attribute| attribute.get("AttributeId").text() == Some(RESOURCE_ID))
        .flat_map(|attribute| attribute.get("Value").one_or_many())
        .collect();
    let missing = status.get("StatusDetail").get("MissingAttributeDetail");
    let missing = missing.one_or_many().first().and_then(|detail| detail.get("AttributeId").filled());
    let obligations = result.get("Obligations").one_or_many().iter();
    let obligations = obligations.map(|o| o.get("Id").filled().ok_or(Reason::Malformed("Obligation")));
    answered(
        single(ids.iter().map(|id| id.filled()).collect())?,
        decision,
        obligations.collect::<Result<_, _>>()?,
        code,
        status.get("StatusMessage").filled(),
        missing,
    )
}

/// The one record a result is about; several would make it unclear which.
fn single(ids: Vec<Option<String>>) -> Result<Option<String>, Reason> {
    match ids.as_slice() {
        [] => Ok(None),
        [Some(id)] => Ok(Some(id.clone())),
        _ => Err(Reason::Malformed("resource-id")),
    }
}

/// A result; a permit with a failed status is no decision.
pub(crate) fn answered(
    id: Option<String>,
    decision: Decision,
    obligations: Vec<String>,
    status: Option<String>,
    text: Option<String>,
    missing: Option<String>,
) -> Result<Answered, Reason> {
    let failed = status.as_deref().is_some_and(|status| status != STATUS_OK);
    let decision = if failed && decision == Decision::Permit { Decision::Indeterminate } else { decision };
    let class = match status.as_deref().and_then(|status| status.rsplit(':').next()) {
        Some("missing-attribute") => Some(Class::MissingAttribute),
        Some("syntax-error") => Some(Class::QueryInvalid),
        Some("processing-error") => Some(Class::Internal),
        _ => None,
    };
    let told = (failed || text.is_some()).then(|| Told {
        code: status.clone(),
        class,
        text,
        missing,
        ..Told::default()
    });
    Ok(Answered { id, decision, obligations, status, told })
}

/// Reads an answer in XML.
///
/// # Errors
/// Refused, unavailable or a protocol error.
pub fn read_xml(status: u16, body: &[u8]) -> Result<Vec<Answered>, Failure> {
    if let Some(failure) = Failure::of_http(status) {
        return Err(failure);
    }
    let response = xml::read(body)?;
    if !response.is(CORE, "Response") {
        return Err(Reason::Malformed("Response").into());
    }
    let results: Result<Vec<Answered>, Reason> = response.each("Result").map(xml_result).collect();
    Ok(results?)
}

fn xml_result(result: &Element) -> Result<Answered, Reason> {
    let ids = result
        .each("Attributes")
        .filter(|attributes| attributes.attribute("Category") == Some(RESOURCE))
        .flat_map(|attributes| attributes.each("Attribute"))
        .filter(|attribute| attribute.attribute("AttributeId") == Some(RESOURCE_ID))
        .flat_map(|attribute| attribute.each("AttributeValue"));
    let id = single(ids.map(Element::trimmed).collect())?;
    let (decision, code, text, missing) = xml_status(result)?;
    let obligations = result.child("Obligations").into_iter().flat_map(|all| all.each("Obligation"));
    let obligations = obligations.map(|o| o.filled("ObligationId").ok_or(Reason::Malformed("Obligation")));
    answered(id, decision, obligations.collect::<Result<_, _>>()?, code, text, missing)
}

/// Decision, status code, status text and missing attribute; XACML 2 and 3 write them alike.
#[allow(clippy::type_complexity)]
pub(crate) fn xml_status(
    result: &Element,
) -> Result<(Decision, Option<String>, Option<String>, Option<String>), Reason> {
    let mut decisions = result.each("Decision");
    let decision = decisions.next().and_then(Element::trimmed);
    let decision = decision.as_deref().and_then(Decision::from_xacml).ok_or(Reason::Malformed("Decision"))?;
    if decisions.next().is_some() {
        return Err(Reason::Malformed("Decision"));
    }
    let status = result.child("Status");
    let code = status.and_then(|status| status.child("StatusCode")).and_then(|code| code.filled("Value"));
    let text = status.and_then(|status| status.child("StatusMessage")).and_then(Element::trimmed);
    let missing = status.and_then(|status| status.at(&["StatusDetail", "MissingAttributeDetail"]));
    Ok((decision, code, text, missing.and_then(|detail| detail.filled("AttributeId"))))
}

/// A request as a decision point sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// Who asks.
    pub subject: Option<String>,
    /// The records.
    pub resources: Vec<String>,
    /// What is to be done.
    pub action: Option<String>,
    /// Every record id comes back in the answer.
    pub include_in_result: bool,
    /// `CombinedDecision`.
    pub combined_decision: bool,
    /// `ReturnPolicyIdList`.
    pub return_policy_ids: bool,
}

impl Request {
    fn add(&mut self, category: &str, id: &str, value: String, include: bool) {
        match (category, id) {
            (SUBJECT, SUBJECT_ID) => self.subject = Some(value),
            (ACTION, ACTION_ID) => self.action = Some(value),
            (RESOURCE, RESOURCE_ID) => {
                self.include_in_result = include && (self.resources.is_empty() || self.include_in_result);
                self.resources.push(value);
            }
            _ => {}
        }
    }

    /// Reads a request in JSON.
    ///
    /// # Errors
    /// [`Reason::Malformed`].
    pub fn read(body: &[u8]) -> Result<Self, Reason> {
        let json = Json::read(body)?;
        let request = json.find("Request").ok_or(Reason::Malformed("Request"))?;
        let flag = |name: &str| request.get(name).boolean().unwrap_or(false);
        let mut read = Self {
            combined_decision: flag("CombinedDecision"),
            return_policy_ids: flag("ReturnPolicyIdList"),
            ..Self::default()
        };
        for category in request.get("Category").one_or_many() {
            let id = category.get("CategoryId").text().unwrap_or_default();
            for attribute in category.get("Attribute").one_or_many() {
                let include = attribute.get("IncludeInResult").boolean().unwrap_or(false);
                for value in attribute.get("Value").one_or_many().iter().filter_map(Json::filled) {
                    read.add(id, attribute.get("AttributeId").text().unwrap_or_default(), value, include);
                }
            }
        }
        Ok(read)
    }

    /// Reads a request in XML.
    ///
    /// # Errors
    /// [`Reason::Malformed`].
    pub fn read_xml(body: &[u8]) -> Result<Self, Reason> {
        let request = xml::read(body)?;
        if !request.is(CORE, "Request") {
            return Err(Reason::Malformed("Request"));
        }
        let flag = |element: &Element, name: &str| matches!(element.attribute(name), Some("true" | "1"));
        let mut read = Self {
            combined_decision: flag(&request, "CombinedDecision"),
            return_policy_ids: flag(&request, "ReturnPolicyIdList"),
            ..Self::default()
        };
        for attributes in request.each("Attributes") {
            let category = attributes.attribute("Category").unwrap_or_default();
            for attribute in attributes.each("Attribute") {
                let include = flag(attribute, "IncludeInResult");
                let id = attribute.attribute("AttributeId").unwrap_or_default();
                for value in attribute.each("AttributeValue").filter_map(Element::trimmed) {
                    read.add(category, id, value, include);
                }
            }
        }
        Ok(read)
    }
}
