//! User tasks: makes the QuestionnaireResponse that asks for one, and reads completed ones
//! (contract process-engine.md 4 and 1.4).
//!
//! The QuestionnaireResponse carries the user task as identifier in our own system and is created on
//! the condition that none has it, so a repeated attempt makes no second one.
use std::sync::Arc;

use fhir::{Element, Resource, bundle};
use messaging::{
    engine::CompleteTaskRequest,
    job::{Document, FormOrder, Job, Outcome, Source},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::{
    directory::Directory,
    gateway::{Gateway, GatewayError},
};

/// Naming system of user tasks.
const USER_TASK: &str = "https://w3id.org/dsf-rust/sid/user-task";
const PROFILE: &str = "http://dsf.dev/fhir/StructureDefinition/questionnaire-response";
const ORGANIZATION: &str = "http://dsf.dev/sid/organization-identifier";
const AUTHORIZATION: &str = "http://dsf.dev/fhir/StructureDefinition/extension-questionnaire-authorization";
const ROLES: &str = "http://dsf.dev/fhir/CodeSystem/practitioner-role";
const PRACTITIONERS: &str = "http://dsf.dev/sid/practitioner-identifier";
const BUSINESS_KEY: &str = "business-key";
const USER_TASK_ID: &str = "user-task-id";

/// Handles jobs of type `dsf/user-task`.
pub(crate) struct Forms {
    pub(crate) gateway: Gateway,
    pub(crate) directory: Arc<Directory>,
}

impl Forms {
    /// Makes the QuestionnaireResponse of the job, unless an earlier attempt has.
    pub(crate) async fn handle(&self, job: Job) -> Outcome {
        let Some(order) = &job.form else { return fault("the job has no user task".to_owned()) };
        match self.make(order).await {
            Ok(source) => Outcome::Created { source },
            Err(Failure::Gateway(error)) => {
                let unavailable = matches!(error, GatewayError::Unavailable(_));
                Outcome::Fault { reason: error.to_string(), unavailable }
            }
            Err(Failure::Form(reason)) => fault(reason),
        }
    }

    async fn make(&self, order: &FormOrder) -> Result<Source, Failure> {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let (url, version) = match order.form_key.split_once('|') {
            Some((url, version)) => (url, format!("&version={}", encode(version))),
            None => (order.form_key.as_str(), String::new()),
        };
        if url.is_empty() {
            return Err(Failure::Form(
                "the user task has no camunda:formKey, so nobody can be asked".to_owned(),
            ));
        }
        let found = self.gateway.read(&format!("Questionnaire?url={}{version}", encode(url))).await?;
        let questionnaire = bundle::entries(&found)
            .filter_map(|entry| entry.resource()?.resource())
            .find(|resource| resource.resource_type() == "Questionnaire")
            .ok_or_else(|| Failure::Form(format!("Questionnaire {} is not stored here", order.form_key)))?;
        let site = self.directory.site().await?;
        let response = response(order, &questionnaire, &site.organization).map_err(Failure::Form)?;
        let identifier = encode(&format!("{USER_TASK}|{}", order.user_task));
        let condition = format!("identifier={identifier}");
        let body = serde_json::to_vec(&response).map_err(|error| Failure::Form(error.to_string()))?;
        let answer = self.gateway.create("QuestionnaireResponse", body, &condition).await?;
        let id = match answer.location.as_deref().and_then(id_in) {
            Some(id) => id.to_owned(),
            None => {
                let found = self.gateway.read(&format!("QuestionnaireResponse?{condition}")).await?;
                let made = bundle::entries(&found).filter_map(|entry| entry.resource()?.resource());
                let id = made.filter_map(|made| made.id().map(str::to_owned)).next();
                id.ok_or_else(|| {
                    Failure::Form("the QuestionnaireResponse was made and cannot be found".to_owned())
                })?
            }
        };
        let reference = format!("QuestionnaireResponse/{id}");
        Ok(Source { base_url: self.gateway.base_url().to_owned(), reference })
    }
}

/// The id in a `Location` header.
fn id_in(location: &str) -> Option<&str> {
    let (_, rest) = location.rsplit_once("QuestionnaireResponse/")?;
    rest.split('/').next().filter(|id| !id.is_empty())
}

enum Failure {
    Gateway(GatewayError),
    Form(String),
}

impl From<GatewayError> for Failure {
    fn from(error: GatewayError) -> Self {
        Self::Gateway(error)
    }
}

fn fault(reason: String) -> Outcome {
    Outcome::Fault { reason, unavailable: false }
}

/// The QuestionnaireResponse of a user task, its answers to be given.
pub(crate) fn response(
    order: &FormOrder,
    questionnaire: &Resource,
    organization: &str,
) -> Result<Value, String> {
    let text = |link: &str, text: &str, value: &str| json!({"linkId": link, "text": text, "answer": [{"valueString": value}]});
    let mut items = vec![
        text(BUSINESS_KEY, "The business-key of the process execution", &order.business_key),
        text(USER_TASK_ID, "The user-task-id of the process execution", &order.user_task),
    ];
    for item in questionnaire.each("item") {
        let link = item.text("linkId").unwrap_or_default();
        if matches!(link, BUSINESS_KEY | USER_TASK_ID) {
            continue;
        }
        let mut made = json!({"linkId": link});
        if let Some(text) = item.text("text") {
            made["text"] = json!(text);
        }
        if let Some(placeholder) = placeholder(item.text("type").unwrap_or_default())? {
            made["answer"] = json!([placeholder]);
        }
        items.push(made);
    }
    let mut response = json!({
        "resourceType": "QuestionnaireResponse",
        "meta": {"profile": [PROFILE]},
        "identifier": {"system": USER_TASK, "value": order.user_task},
        "questionnaire": order.form_key,
        "status": "in-progress",
        "author": {"type": "Organization", "identifier": {"system": ORGANIZATION, "value": organization}},
        "item": items,
    });
    let who = authorization(order);
    if !who.is_empty() {
        response["extension"] = json!([{"url": AUTHORIZATION, "extension": who}]);
    }
    Ok(response)
}

/// Placeholder answer of an item type; none for `display`.
fn placeholder(kind: &str) -> Result<Option<Value>, String> {
    Ok(Some(match kind {
        "display" => return Ok(None),
        "string" | "text" => json!({"valueString": "Placeholder.."}),
        "integer" => json!({"valueInteger": 0}),
        "decimal" => json!({"valueDecimal": 0.0}),
        "boolean" => json!({"valueBoolean": false}),
        "date" => json!({"valueDate": "1900-01-01"}),
        "time" => json!({"valueTime": "00:00:00"}),
        "dateTime" => json!({"valueDateTime": "1900-01-01T00:00:00.000Z"}),
        "url" => json!({"valueUri": "http://example.org/foo"}),
        "reference" => json!({"valueReference": {"reference": "http://example.org/fhir/Placeholder/id"}}),
        "choice" => {
            json!({"valueCoding": {"system": "http://example.org/fhir/CodeSystem/name", "code": "code"}})
        }
        "quantity" => json!({"valueQuantity": {
            "value": 0, "unit": "unit", "system": "http://example.org/fhir/CodeSystem/name", "code": "code"}}),
        other => {
            return Err(format!("the Questionnaire has an item of type '{other}', which cannot be prepared"));
        }
    }))
}

/// Who may answer: from the fields of the task listeners.
fn authorization(order: &FormOrder) -> Vec<Value> {
    let values = |names: [&str; 2]| {
        let fields = names.into_iter().filter_map(|name| order.fields.get(name));
        fields
            .flat_map(|field| match field {
                Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                Value::String(text) if !text.is_empty() => vec![text.clone()],
                _ => Vec::new(),
            })
            .collect::<Vec<String>>()
    };
    let split = |value: &str, default: &str| match value.split_once('|') {
        Some((system, code)) => (system.to_owned(), code.to_owned()),
        None => (default.to_owned(), value.to_owned()),
    };
    let practitioners = values(["practitioner", "practitioners"]).into_iter().map(|value| {
        let (system, value) = split(&value, PRACTITIONERS);
        json!({"url": "practitioner", "valueIdentifier": {"system": system, "value": value}})
    });
    let roles = values(["practitionerRole", "practitionerRoles"]).into_iter().map(|value| {
        let (system, code) = split(&value, ROLES);
        json!({"url": "practitioner-role", "valueCoding": {"system": system, "code": code}})
    });
    practitioners.chain(roles).collect()
}

/// A completed QuestionnaireResponse as the engine's command; `None`: it asks for no user task or is
/// not completed.
pub(crate) fn completion(response: &Resource, text: String, source: Source) -> Option<CompleteTaskRequest> {
    if response.text("status") != Some("completed") {
        return None;
    }
    let answer = |link: &str| {
        let item = response.each("item").find(|item| item.text("linkId") == Some(link))?;
        item.at("answer.valueString").first().and_then(|value| Element::value(value)).map(str::to_owned)
    };
    Some(CompleteTaskRequest {
        source,
        user_task: answer(USER_TASK_ID)?,
        business_key: answer(BUSINESS_KEY),
        document: Document { media_type: "application/fhir+json".to_owned(), text },
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_response_asks_what_the_questionnaire_asks() {
        let questionnaire = fhir::parse(
            br#"{"resourceType": "Questionnaire", "status": "active", "item": [
                {"linkId": "business-key", "type": "string"}, {"linkId": "user-task-id", "type": "string"},
                {"linkId": "info", "type": "display", "text": "Read this"},
                {"linkId": "release", "type": "boolean", "text": "Release?"}]}"#,
            fhir::Format::Json,
        )
        .unwrap();
        let fields = [("practitionerRoles".to_owned(), json!(["DSF_ADMIN", "http://x|y"]))];
        let order = FormOrder {
            user_task: "t1".into(),
            form_key: "http://q|1.0".into(),
            business_key: "k".into(),
            fields: fields.into(),
        };
        let made = response(&order, &questionnaire, "site.test").unwrap();
        let links: Vec<&str> =
            made["item"].as_array().unwrap().iter().map(|item| item["linkId"].as_str().unwrap()).collect();
        assert_eq!(links, ["business-key", "user-task-id", "info", "release"]);
        assert_eq!(made["item"][2].get("answer"), None);
        assert_eq!(made["item"][3]["answer"][0]["valueBoolean"], false);
        assert_eq!(
            made["extension"][0]["extension"][0]["valueCoding"],
            json!({"system": ROLES, "code": "DSF_ADMIN"})
        );
        assert_eq!(made["extension"][0]["extension"][1]["valueCoding"]["system"], "http://x");

        // Completed, it comes back to its user task.
        let mut answered = made.clone();
        answered["status"] = json!("completed");
        let source = Source { base_url: "b".into(), reference: "QuestionnaireResponse/1".into() };
        for (json, expected) in [(made, None), (answered, Some("t1"))] {
            let read = fhir::parse(json.to_string().as_bytes(), fhir::Format::Json).unwrap();
            let request = completion(&read, json.to_string(), source.clone());
            assert_eq!(request.as_ref().map(|request| request.user_task.as_str()), expected);
        }
        let unknown = fhir::parse(
            br#"{"resourceType": "Questionnaire", "item": [{"linkId": "a", "type": "attachment"}]}"#,
            fhir::Format::Json,
        )
        .unwrap();
        assert!(response(&order, &unknown, "x").unwrap_err().contains("attachment"));
    }
}
