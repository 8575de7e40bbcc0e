//! Requests as a peer sees them, in the words of `expected.json`.
use serde_json::{Map, Value, json};

use super::decode::{Input, domain_json, identifier};
use crate::{
    failure::Reason,
    gics,
    hl7v2::{Message, request::Request},
    json::Json,
    openehr, pdqm, ser,
    soap::Envelope,
    v3, xacml,
    xml::Element,
};

/// What the bytes ask for.
pub fn decode(kind: &str, bytes: &[u8], input: &Input<'_>) -> Json {
    let decoded = match kind {
        "hl7-request" => hl7(bytes, input),
        "pdqv3-request" => v3_request(bytes),
        "pixv3-request" => v3_request(bytes),
        "saml-request" => saml(bytes),
        "xacml-json-request" => xacml::Request::read(bytes).map(|request| xacml_request(&request)),
        "xacml-xml-request" => xacml::Request::read_xml(bytes).map(|request| xacml_request(&request)),
        "match-request" => match_request(bytes),
        "gics-request" => gics_request(bytes),
        "openehr-request" => return openehr_request(bytes),
        _ => Err(Reason::Malformed("kind")),
    };
    match decoded {
        Ok(decoded) => decoded.into(),
        Err(reason) => json!({"outcome": "protocol-error", "reason": reason.as_str()}).into(),
    }
}

fn hl7(bytes: &[u8], input: &Input<'_>) -> Result<Value, Reason> {
    let request = Request::read(&Message::read(bytes, input.settings.options)?);
    let party = |(application, facility): &(Option<String>, Option<String>)| json!({"application": application, "facility": facility});
    let parameters: Vec<Value> =
        request.parameters.iter().map(|(field, value)| json!({"field": field, "value": value})).collect();
    Ok(json!({
        "message": request.message,
        "control_id": request.control_id,
        "version": request.version,
        "charset": request.charset,
        "processing": request.processing,
        "sender": party(&request.sender),
        "receiver": party(&request.receiver),
        "query_name": request.query_name,
        "query_tag": request.query_tag,
        "parameters": parameters,
        "domains": request.domains.iter().map(domain_json).collect::<Vec<_>>(),
        "source": request.source.as_ref().map(identifier),
        "priority": request.priority,
        "limit": request.limit.as_ref().map(|(quantity, units)| json!({"quantity": quantity, "units": units})),
        "continuation": request.continuation,
    }))
}

fn instance(element: Option<&Element>) -> Value {
    let part = |name: &str| element.and_then(|element| element.filled(name));
    let mut id = Map::new();
    for (name, value) in [("universal_id", part("root")), ("value", part("extension"))] {
        if let Some(value) = value {
            id.insert(name.to_owned(), json!(value));
        }
    }
    if id.is_empty() { Value::Null } else { Value::Object(id) }
}

fn v3_request(bytes: &[u8]) -> Result<Value, Reason> {
    let envelope = Envelope::read(bytes)?;
    let request = v3::Request::read(&envelope)?;
    let list = request.query.child("parameterList");
    let value = |name: &str| list.and_then(|list| list.at(&[name, "value"]));
    let attribute = |name: &str, attribute: &str| value(name).and_then(|value| value.filled(attribute));
    let number = |name: &str| -> Option<u64> { request.query.child(name)?.attribute("value")?.parse().ok() };
    let name = value("livingSubjectName");
    let part = |tag: &str| name.and_then(|name| name.child(tag)).and_then(Element::trimmed);
    let unit = request.query.child("initialQuantityCode").and_then(|code| code.filled("code"));
    let limit = number("initialQuantity").map(|quantity| json!({"quantity": quantity, "units": unit}));
    let continuation = (request.query.name == "queryContinuation").then(|| {
        json!({
            "start": number("startResultNumber"),
            "quantity": number("continuationQuantity"),
            "state": request.query.child("statusCode").and_then(|code| code.filled("code")),
        })
    });
    let domains: Vec<Value> = list
        .into_iter()
        .flat_map(|list| list.each("dataSource").chain(list.each("otherIDsScopingOrganization")))
        .map(|source| instance(source.child("value")))
        .collect();
    Ok(json!({
        "interaction": request.interaction,
        "action": envelope.action,
        "message_id": envelope.message_id,
        "id": request.id,
        "query_id": {"root": request.query_id.0, "extension": request.query_id.1},
        "sender": request.sender,
        "receiver": request.receiver,
        "priority": request.priority,
        "modality": request.modality,
        "ack": request.ack,
        "target_message": request.target_message,
        "limit": limit,
        "continuation": continuation,
        "domains": domains,
        "source": instance(value("patientIdentifier")),
        "parameters": {
            "sex": attribute("livingSubjectAdministrativeGender", "code"),
            "birth": attribute("livingSubjectBirthTime", "value"),
            "id": instance(value("livingSubjectId")),
            "last": part("family"),
            "first": part("given"),
            "name_use": name.and_then(|name| name.filled("use")),
        },
    }))
}

fn saml(bytes: &[u8]) -> Result<Value, Reason> {
    let envelope = Envelope::read(bytes)?;
    let request = ser::Request::read(&envelope)?;
    let resources: Vec<Value> =
        request.resources.iter().map(|(id, patient)| json!({"id": id, "patient_id": patient})).collect();
    Ok(json!({
        "action_header": envelope.action,
        "message_id": envelope.message_id,
        "request_id": request.id,
        "return_context": request.return_context,
        "input_context_only": request.input_context_only,
        "subject": {
            "id": request.subject,
            "organization_id": request.organization,
            "purpose": request.purpose,
        },
        "resources": resources,
        "action": request.action,
        "environment": request.environment,
    }))
}

fn xacml_request(request: &xacml::Request) -> Value {
    json!({
        "subject": request.subject,
        "resources": request.resources,
        "action": request.action,
        "include_in_result": request.include_in_result,
        "combined_decision": request.combined_decision,
        "return_policy_ids": request.return_policy_ids,
    })
}

fn match_request(bytes: &[u8]) -> Result<Value, Reason> {
    let (known, only_certain, limit) = pdqm::read_match_request(bytes)?;
    Ok(json!({
        "patient": {
            "last": known.last,
            "given": known.given,
            "birth": known.birth,
            "gender": known.gender,
            "zip": known.zip,
            "city": known.city,
        },
        "only_certain": only_certain,
        "limit": limit,
    }))
}

fn gics_request(bytes: &[u8]) -> Result<Value, Reason> {
    let request = gics::Request::read(bytes)?;
    let persons: Vec<Value> =
        request.persons.iter().map(|(system, value)| json!({"system": system, "value": value})).collect();
    Ok(json!({
        "persons": persons,
        "domain": request.domain,
        "policy": request.policy.map(|(system, code)| json!({"system": system, "code": code})),
        "version": request.version,
        "template": request.template,
        "ignore_version": request.ignore_version,
        "config": request.config.map(|config| json!({
            "id_matching": config.id_matching,
            "ignore_version": config.ignore_version,
            "unknown_is_decline": config.unknown_is_decline,
            "request_date": config.request_date,
        })),
    }))
}

fn openehr_request(bytes: &[u8]) -> Json {
    match openehr::Request::read(bytes) {
        Ok(request) => {
            let number =
                |value: Option<u64>| value.map_or(Json::Null, |value| Json::Number(value.to_string()));
            Json::Object(vec![
                ("q".to_owned(), request.q.map_or(Json::Null, Json::Text)),
                ("offset".to_owned(), number(request.offset)),
                ("fetch".to_owned(), number(request.fetch)),
                ("query_parameters".to_owned(), Json::Object(request.parameters)),
            ])
        }
        Err(reason) => json!({"outcome": "protocol-error", "reason": reason.as_str()}).into(),
    }
}
