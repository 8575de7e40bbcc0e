//! Audit records as FHIR AuditEvent (contract 5), and reading them back.
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::json::Json;

const DCM: &str = "http://dicom.nema.org/resources/ontology/DCM";
const EVENT_TYPE: &str = "http://terminology.hl7.org/CodeSystem/audit-event-type";
const INTERACTION: &str = "http://hl7.org/fhir/restful-interaction";
const TRANSACTION: &str = "urn:ihe:event-type-code";
/// Transactions that IHE has no code for: nobody may put codes into its system.
const OWN_TRANSACTION: &str = "urn:dsf:audit:transaction";
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

/// One transaction with a hospital system. It names records only by what the caller gives: adapters
/// give no patient identifiers but a keyed hash and a count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Transaction, for example `ITI-78`, or our own code where IHE has none.
    pub transaction: &'static str,
    /// Profile of the record, where IHE has one.
    pub profile: Option<&'static str>,
    /// Interaction, `search` or `operation`.
    pub interaction: &'static str,
    /// When, RFC 3339 with milliseconds.
    pub recorded: String,
    /// How it ended.
    pub outcome: Outcome,
    /// One word for how it ended, for example `not-found`; never text of the other side.
    pub outcome_text: Option<String>,
    /// Our service and its address.
    pub client: (String, String),
    /// The other side and its address.
    pub server: (String, String),
    /// Site.
    pub site: String,
    /// Patient concerned: system and value.
    pub patient: Option<(String, String)>,
    /// The query, where it may be kept.
    pub query: Option<Vec<u8>>,
    /// Trace or request id.
    pub request_id: String,
}

impl Event {
    /// The resource.
    pub fn resource(&self) -> Value {
        let agent =
            |code: &str, display: &str, (who, address): &(String, String), requestor: bool, kind: &str| {
                let mut agent = json!({
                    "type": {"coding": [{"system": DCM, "code": code, "display": display}]},
                    "who": {"display": who},
                    "requestor": requestor,
                });
                // An empty text is not FHIR: who decides alone has no address.
                if !address.is_empty() {
                    agent["network"] = json!({"address": address, "type": kind});
                }
                agent
            };
        let address_type = |address: &str| if address.contains("://") { "5" } else { "1" };
        let mut entities = Vec::new();
        if let Some((system, value)) = &self.patient {
            entities.push(json!({
                "what": {"identifier": {"system": system, "value": value}},
                "type": {"system": ENTITY_TYPE, "code": "1", "display": "Person"},
                "role": {"system": ROLE, "code": "1", "display": "Patient"},
            }));
        }
        if let Some(query) = &self.query {
            entities.push(json!({
                "type": {"system": ENTITY_TYPE, "code": "2", "display": "System Object"},
                "role": {"system": ROLE, "code": "24", "display": "Query"},
                "query": STANDARD.encode(query),
            }));
        }
        entities.push(json!({
            "what": {"identifier": {"value": self.request_id}},
            "type": {"system": REQUEST_ID, "code": "XrequestId"},
        }));
        let transactions = if self.transaction.starts_with("ITI-") { TRANSACTION } else { OWN_TRANSACTION };
        let mut event = json!({
            "resourceType": "AuditEvent",
            "type": {"system": EVENT_TYPE, "code": "rest", "display": "Restful Operation"},
            "subtype": [
                {"system": INTERACTION, "code": self.interaction, "display": self.interaction},
                {"system": transactions, "code": self.transaction},
            ],
            "action": "E",
            "recorded": self.recorded,
            "outcome": self.outcome.code(),
            "agent": [
                agent("110153", "Source Role ID", &self.client, true, address_type(&self.client.1)),
                agent("110152", "Destination Role ID", &self.server, false, address_type(&self.server.1)),
            ],
            "source": {
                "site": self.site,
                "observer": {"display": self.client.0},
                "type": [{
                    "system": "http://terminology.hl7.org/CodeSystem/security-source-type",
                    "code": "4",
                    "display": "Application Server",
                }],
            },
            "entity": entities,
        });
        if let Some(profile) = self.profile {
            event["meta"] = json!({"profile": [profile]});
        }
        if let Some(text) = &self.outcome_text {
            event["outcomeDesc"] = json!(text);
        }
        event
    }
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

/// The resource for something that happens to a service. `recorded` is RFC 3339 with milliseconds.
pub fn activity(activity: Activity, service: &str, site: &str, recorded: &str) -> Value {
    let (kind, display, code, name, outcome) = match activity {
        Activity::Start => ("110100", "Application Activity", "110120", "Application Start", "0"),
        Activity::Stop => ("110100", "Application Activity", "110121", "Application Stop", "0"),
        Activity::NodeAuthentication => ("110113", "Security Alert", "110126", "Node Authentication", "8"),
    };
    json!({
        "resourceType": "AuditEvent",
        "type": {"system": DCM, "code": kind, "display": display},
        "subtype": [{"system": DCM, "code": code, "display": name}],
        "action": "E",
        "recorded": recorded,
        "outcome": outcome,
        "agent": [{
            "type": {"coding": [{"system": DCM, "code": "110150", "display": "Application"}]},
            "who": {"display": service},
            "requestor": false,
        }],
        "source": {"site": site, "observer": {"display": service}},
    })
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
