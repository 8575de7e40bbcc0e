//! Audit records (contract 5): transactions as data, the FHIR form, the classic form, and reading back.
mod message;
pub mod table;
#[cfg(test)]
mod tests;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

pub use self::{
    message::{Schema, message},
    table::Transaction,
};
use crate::json::Json;

const DCM: &str = "http://dicom.nema.org/resources/ontology/DCM";
const EVENT_TYPE: &str = "http://terminology.hl7.org/CodeSystem/audit-event-type";
const INTERACTION: &str = "http://hl7.org/fhir/restful-interaction";
/// Code system of IHE's transactions.
const TRANSACTIONS: &str = "urn:ihe:event-type-code";
/// That of transactions which IHE has no code for.
const OWN_TRANSACTIONS: &str = "urn:dsf:audit:transaction";
const ENTITY_TYPE: &str = "http://terminology.hl7.org/CodeSystem/audit-entity-type";
const ROLE: &str = "http://terminology.hl7.org/CodeSystem/object-role";
const REQUEST_ID: &str = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType";

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Done.
    Success,
    /// Refused by the other side.
    Minor,
    /// No usable answer.
    Serious,
}

impl Outcome {
    /// Code of `AuditEvent.outcome`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Success => "0",
            Self::Minor => "4",
            Self::Serious => "8",
        }
    }
}

/// One side of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Party {
    /// Its name.
    pub name: String,
    /// What the protocol calls it, where that is neither name nor address: `MSH-3|MSH-4` of HL7 v2.
    pub user: Option<String>,
    /// Its address; empty where it has none.
    pub address: String,
}

/// What was asked. It names nobody: adapters write `*` in the place of what belongs to a person.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// The query as it was sent.
    pub text: Vec<u8>,
    /// Further facts, for example the control id (`MSH-10`).
    pub details: Vec<(&'static str, String)>,
}

/// One transaction with a hospital system. It names records only by what the caller gives: adapters
/// give no patient identifiers but a keyed hash and a count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What kind of transaction.
    pub transaction: Transaction,
    /// When, RFC 3339 with milliseconds.
    pub recorded: String,
    /// How it ended.
    pub outcome: Outcome,
    /// One word for how it ended, for example `not-found`; never text of the other side.
    pub outcome_text: Option<String>,
    /// Our service.
    pub client: Party,
    /// Our process.
    pub process: Option<String>,
    /// The other side.
    pub server: Party,
    /// Site.
    pub site: String,
    /// Patient concerned: system and value.
    pub patient: Option<(String, String)>,
    /// On whose behalf a decision was asked for.
    pub requester: Option<String>,
    /// The query, where there was one.
    pub query: Option<Query>,
    /// Trace id, which all records of one request share.
    pub trace_id: String,
    /// Id of the request, where it is another one.
    pub request_id: Option<String>,
}

impl Event {
    /// The resource.
    pub fn resource(&self) -> Value {
        let detail = |(kind, value): (&str, &str)| json!({"type": kind, "valueString": value});
        let mut entities = Vec::new();
        if let Some((system, value)) = &self.patient {
            entities.push(json!({
                "what": {"identifier": {"system": system, "value": value}},
                "type": {"system": ENTITY_TYPE, "code": "1", "display": "Person"},
                "role": {"system": ROLE, "code": "1", "display": "Patient"},
            }));
        }
        if let Some(requester) = &self.requester {
            entities.push(json!({
                "what": {"identifier": {"value": requester}},
                "type": {"system": ENTITY_TYPE, "code": "1", "display": "Person"},
                "role": {"system": ROLE, "code": "11", "display": "Security User Entity"},
            }));
        }
        if let Some(query) = &self.query {
            let mut entity = json!({
                "type": {"system": ENTITY_TYPE, "code": "2", "display": "System Object"},
                "role": {"system": ROLE, "code": "24", "display": "Query"},
                "query": STANDARD.encode(&query.text),
            });
            if !query.details.is_empty() {
                let details = query.details.iter().map(|(kind, value)| detail((*kind, value.as_str())));
                entity["detail"] = details.collect();
            }
            entities.push(entity);
        }
        let mut request = json!({
            "what": {"identifier": {"value": self.trace_id}},
            "type": {"system": REQUEST_ID, "code": "XrequestId"},
        });
        if let Some(id) = &self.request_id {
            request["detail"] = json!([detail(("request", id))]);
        }
        entities.push(request);
        let transaction = self.transaction;
        let mut client = agent("110153", "Source Role ID", &self.client, true);
        if let Some(process) = &self.process {
            client["altId"] = json!(process);
        }
        let mut event = json!({
            "resourceType": "AuditEvent",
            "type": {"system": EVENT_TYPE, "code": "rest", "display": "Restful Operation"},
            "subtype": [
                {
                    "system": INTERACTION,
                    "code": transaction.interaction,
                    "display": transaction.interaction,
                },
                {"system": transaction.system(), "code": transaction.code, "display": transaction.name},
            ],
            "action": "E",
            "recorded": self.recorded,
            "outcome": self.outcome.code(),
            "agent": [client, agent("110152", "Destination Role ID", &self.server, false)],
            "source": source(&self.site, &self.client.name),
            "entity": entities,
        });
        // Profiles want the query.
        if self.query.is_some() {
            event["meta"] = json!({"profile": [transaction.profile(self.patient.is_some())]});
        }
        if let Some(text) = &self.outcome_text {
            event["outcomeDesc"] = json!(text);
        }
        event
    }
}

fn agent(code: &str, display: &str, party: &Party, requestor: bool) -> Value {
    let mut agent = json!({
        "type": {"coding": [{"system": DCM, "code": code, "display": display}]},
        "who": {"display": party.name},
        "requestor": requestor,
    });
    if let Some(user) = &party.user {
        agent["who"]["identifier"] = json!({"value": user});
    }
    // An empty text is not FHIR: who decides alone has no address.
    if !party.address.is_empty() {
        let kind = if party.address.contains("://") { "5" } else { "1" };
        agent["network"] = json!({"address": party.address, "type": kind});
    }
    agent
}

fn source(site: &str, service: &str) -> Value {
    json!({
        "site": site,
        "observer": {"display": service},
        "type": [{
            "system": "http://terminology.hl7.org/CodeSystem/security-source-type",
            "code": "4",
            "display": "Application Server",
        }],
    })
}

/// What happens to a service itself (contract 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activity {
    /// It takes requests.
    Start,
    /// It takes no more.
    Stop,
    /// The other side could not be authenticated, or did not accept us.
    NodeAuthentication,
}

impl Activity {
    /// Event, its type, and outcome.
    fn row(self) -> ((&'static str, &'static str), (&'static str, &'static str), Outcome) {
        const APPLICATION: (&str, &str) = ("110100", "Application Activity");
        match self {
            Self::Start => (APPLICATION, ("110120", "Application Start"), Outcome::Success),
            Self::Stop => (APPLICATION, ("110121", "Application Stop"), Outcome::Success),
            Self::NodeAuthentication => {
                (("110113", "Security Alert"), ("110126", "Node Authentication"), Outcome::Serious)
            }
        }
    }
}

/// The resource for something that happens to a service. `recorded` is RFC 3339 with milliseconds;
/// `process` is our process, `node` the address of the other side of a failed authentication.
pub fn activity(
    activity: Activity,
    service: &str,
    process: &str,
    site: &str,
    node: Option<&str>,
    recorded: &str,
) -> Value {
    let ((kind, display), (code, name), outcome) = activity.row();
    let party = Party { name: service.to_owned(), user: None, address: service.to_owned() };
    let mut agent = agent("110150", "Application", &party, false);
    agent["altId"] = json!(process);
    let mut event = json!({
        "resourceType": "AuditEvent",
        "type": {"system": DCM, "code": kind, "display": display},
        "subtype": [{"system": DCM, "code": code, "display": name}],
        "action": "E",
        "recorded": recorded,
        "outcome": outcome.code(),
        "agent": [agent],
        "source": source(site, service),
    });
    if let Some(node) = node.filter(|node| !node.is_empty()) {
        event["entity"] = json!([{
            "what": {"identifier": {"value": node}},
            "type": {"system": ENTITY_TYPE, "code": "2", "display": "System Object"},
            "role": {"system": ROLE, "code": "13", "display": "Security Resource"},
        }]);
    }
    event
}

/// What a record says, in the words of the vectors.
pub fn read(event: &Json) -> Value {
    let token = |coding: &Json| {
        let (system, code) = (coding.get("system").text(), coding.get("code").text());
        match (system, code) {
            (Some(system), Some(code)) => json!(format!("{system}|{code}")),
            _ => Value::Null,
        }
    };
    let text = |json: &Json| json.text().map_or(Value::Null, |text| json!(text));
    let agents: Vec<Value> = event
        .get("agent")
        .items()
        .iter()
        .map(|agent| {
            let role = agent.get("type").get("coding").items().first().map(|coding| text(coding.get("code")));
            json!({
                "role": role,
                "who": text(agent.get("who").get("display")),
                "requestor": agent.get("requestor").boolean(),
                "address": text(agent.get("network").get("address")),
                "address_type": text(agent.get("network").get("type")),
            })
        })
        .collect();
    let entities: Vec<Value> = event
        .get("entity")
        .items()
        .iter()
        .map(|entity| {
            let mut read = json!({"type": text(entity.get("type").get("code"))});
            if let Some(role) = entity.get("role").get("code").text() {
                read["role"] = json!(role);
            }
            let identifier = entity.get("what").get("identifier");
            if let Some(value) = identifier.get("value").text() {
                read["identifier"] = json!({"value": value});
                if let Some(system) = identifier.get("system").text() {
                    read["identifier"]["system"] = json!(system);
                }
            }
            if let Some(query) = entity.get("query").text() {
                let decoded = STANDARD.decode(query).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                read["query_decoded"] = json!(decoded);
            }
            read
        })
        .collect();
    let source = event.get("source");
    let subtypes: Vec<Value> = event.get("subtype").items().iter().map(token).collect();
    let profile = event.get("meta").get("profile").items().first();
    json!({
        "profile": profile.map(text),
        "type": token(event.get("type")),
        "subtypes": subtypes,
        "action": text(event.get("action")),
        "recorded": text(event.get("recorded")),
        "outcome": text(event.get("outcome")),
        "agents": agents,
        "source": {
            "site": text(source.get("site")),
            "observer": text(source.get("observer").get("display")),
            "type": source.get("type").items().first().map(|kind| text(kind.get("code"))),
        },
        "entities": entities,
    })
}
