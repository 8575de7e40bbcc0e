//! The site of fhir-endpoint contract 13.1: two organizations in a parent organization, a person, an
//! administrator and a person with few rights.
use std::net::SocketAddr;

use serde_json::{Value, json};
use stand::Identity;

use crate::{
    client::{Answer, Client},
    world::{LOCAL, Replica, World},
};

pub const JSON: &str = "application/fhir+json";
pub const REMOTE: &str = "remote.test";
pub const PARENT: &str = "parent.test";
pub const PARENT_PROFILE: &str = "http://dsf.dev/fhir/StructureDefinition/organization-parent";
pub const ORGANIZATION: &str = "http://dsf.dev/sid/organization-identifier";
pub const ENDPOINT: &str = "http://dsf.dev/sid/endpoint-identifier";
pub const PRACTITIONER: &str = "http://dsf.dev/sid/practitioner-identifier";
pub const ROLE: &str = "http://dsf.dev/fhir/CodeSystem/organization-role";
pub const PERSON_ROLE: &str = "http://dsf.dev/fhir/CodeSystem/practitioner-role";
pub const TAG: &str = "http://dsf.dev/fhir/CodeSystem/read-access-tag";
const TASK_PROFILE: &str = "http://dsf.dev/fhir/StructureDefinition/test-task";
const EXTENSION: &str = "http://dsf.dev/fhir/StructureDefinition/extension";

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    Local,
    Remote,
    Practitioner,
    Admin,
    Minimal,
}

pub use Who::{Admin, Local, Minimal, Practitioner, Remote};

/// A running gateway with its callers.
pub struct Site {
    pub world: World,
    pub gateway: Replica,
    clients: Vec<(Who, Client)>,
    persons: Vec<(Who, String)>,
    pub base: String,
}

impl Site {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut fhir_gateway::Config)) -> Self {
        let world = World::empty().await;
        let issue = |name: &str| world.authority.issue(&world.folder.join(name), name).unwrap();
        let (practitioner, admin, minimal) = (issue("practitioner"), issue("admin"), issue("minimal"));
        let mut config = world.config();
        let write = |name: &str, content: &Value| {
            let path = world.folder.join(name);
            std::fs::write(&path, content.to_string()).unwrap();
            Some(path)
        };
        config.init_bundle = write("allow-list.json", &allow_list(&world.local, &world.remote));
        config.roles_file = write("roles.json", &roles(&practitioner, &admin, &minimal));
        change(&mut config);
        let base = config.base_url();
        let client = |identity: &Identity| Client::new(&world.authority, Some(identity));
        let clients = vec![
            (Local, client(&world.local)),
            (Remote, client(&world.remote)),
            (Practitioner, client(&practitioner)),
            (Admin, client(&admin)),
            (Minimal, client(&minimal)),
        ];
        // Certificates without a mail address: the identifier is made of the thumbprint.
        let person = |identity: &Identity| format!("{}@certificate.invalid", identity.thumbprint);
        let persons =
            vec![(Practitioner, person(&practitioner)), (Admin, person(&admin)), (Minimal, person(&minimal))];
        let gateway = Replica::start(config).await;
        Self { gateway, clients, persons, base, world }
    }

    pub async fn stop(self) {
        self.gateway.stop().await;
    }

    pub fn address(&self) -> SocketAddr {
        self.gateway.address
    }

    pub fn client(&self, who: Who) -> &Client {
        &self.clients.iter().find(|(known, _)| *known == who).unwrap().1
    }

    /// Identifier value of a person.
    pub fn person(&self, who: Who) -> &str {
        self.persons.iter().find(|(known, _)| *known == who).map_or("", |(_, value)| value)
    }

    /// A Task of a caller for the local organization.
    pub fn task(&self, who: Who, process: &str, status: &str) -> Value {
        task_of(who, self.person(who), process, status)
    }

    /// One request below the base URL; JSON unless the headers say otherwise.
    pub async fn ask(&self, who: Who, line: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let mut all = vec![];
        if !headers.iter().any(|(name, _)| *name == "accept") {
            all.push(("accept", JSON));
        }
        let body = match body {
            Value::Null => Vec::new(),
            Value::String(text) => text.clone().into_bytes(),
            json => json.to_string().into_bytes(),
        };
        if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "content-type") {
            all.push(("content-type", JSON));
        }
        all.extend_from_slice(headers);
        let line = format!("{method} /fhir/{path}");
        self.client(who).ask(self.address(), &line, &all, &body).await.unwrap_or_else(|error| {
            panic!("{who:?} {line}: {error:#}");
        })
    }

    pub async fn get(&self, who: Who, path: &str) -> Answer {
        self.ask(who, &format!("GET {path}"), &[], &Value::Null).await
    }

    /// Creates a resource that must be accepted; its id.
    pub async fn create(&self, who: Who, resource: &Value) -> String {
        let ty = resource["resourceType"].as_str().unwrap();
        let answer = self.ask(who, &format!("POST {ty}"), &[], resource).await;
        assert_eq!(answer.status, 201, "{who:?} creates {ty}: {} {resource}", answer.body);
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Id of the organization with this identifier value.
    pub async fn organization(&self, identifier: &str) -> String {
        let found = self.get(Local, &format!("Organization?identifier={identifier}")).await.json();
        found["entry"][0]["resource"]["id"].as_str().unwrap().to_owned()
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{} {:?}", self.status, self.body))
    }

    /// `diagnostics` of the first issue of an OperationOutcome.
    pub fn diagnostics(&self) -> String {
        self.json()["issue"][0]["diagnostics"].as_str().unwrap_or_default().to_owned()
    }

    pub fn code(&self) -> String {
        self.json()["issue"][0]["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// `meta` with read-access tags: `ALL`, `LOCAL`, `ORGANIZATION <identifier>`, `ROLE <code>`.
pub fn meta(tags: &[&str]) -> Value {
    let tags: Vec<Value> = tags
        .iter()
        .map(|tag| match tag.split_once(' ') {
            None => json!({"system": TAG, "code": tag}),
            Some(("ORGANIZATION", organization)) => json!({
                "extension": [{
                    "url": format!("{EXTENSION}-read-access-organization"),
                    "valueIdentifier": {"system": ORGANIZATION, "value": organization},
                }],
                "system": TAG, "code": "ORGANIZATION",
            }),
            Some((_, role)) => json!({
                "extension": [{
                    "url": format!("{EXTENSION}-read-access-parent-organization-role"),
                    "extension": [
                        {"url": "parent-organization", "valueIdentifier": {"system": ORGANIZATION, "value": PARENT}},
                        {"url": "organization-role", "valueCoding": {"system": ROLE, "code": role}},
                    ],
                }],
                "system": TAG, "code": "ROLE",
            }),
        })
        .collect();
    json!({"tag": tags})
}

/// A small resource of a type without further rules.
pub fn group(identifier: &str, tags: &[&str]) -> Value {
    json!({
        "resourceType": "Group", "meta": meta(tags), "type": "person", "actual": true,
        "identifier": [{"system": "http://test", "value": identifier}],
    })
}

/// A CodeSystem; other metadata resources differ in little.
pub fn code_system(url: &str, tags: &[&str]) -> Value {
    json!({
        "resourceType": "CodeSystem", "meta": meta(tags), "url": url, "version": "1.0", "name": "Test",
        "status": "active", "content": "complete", "date": "2026-11-23",
    })
}

/// A process for messages of `requester` to `recipient`, in the words of [`coding`].
pub fn process(name: &str, requesters: &[&str], recipient: &str) -> Value {
    let mut parts = vec![
        json!({"url": "message-name", "valueString": "test-message"}),
        json!({"url": "task-profile", "valueCanonical": format!("{TASK_PROFILE}|1.0")}),
    ];
    parts.extend(requesters.iter().map(|text| json!({"url": "requester", "valueCoding": coding(text)})));
    parts.push(json!({"url": "recipient", "valueCoding": coding(recipient)}));
    json!({
        "resourceType": "ActivityDefinition", "meta": meta(&["ALL"]), "status": "active", "kind": "Task",
        "url": format!("http://dsf.dev/bpe/Process/{name}"), "version": "1.0", "date": "2026-11-23",
        "name": name, "extension": [{"url": format!("{EXTENSION}-process-authorization"), "extension": parts}],
    })
}

/// `CODE [organization or role] [practitioner role]` as a Coding.
fn coding(text: &str) -> Value {
    let words: Vec<&str> = text.split(' ').collect();
    let identifier = |value: &str| json!({"system": ORGANIZATION, "value": value});
    let role = |system: &str, code: &str| json!({"system": system, "code": code});
    let url = |suffix: &str| format!("{EXTENSION}-process-authorization-{suffix}");
    let parts = |own: &str| {
        vec![
            json!({"url": "parent-organization", "valueIdentifier": identifier(PARENT)}),
            json!({"url": "organization-role", "valueCoding": role(ROLE, own)}),
        ]
    };
    let extension = match words.as_slice() {
        [code, own] if code.ends_with("_ALL_PRACTITIONER") => {
            json!([{"url": url("practitioner"), "valueCoding": role(PERSON_ROLE, own)}])
        }
        [code, organization] if code.ends_with("_ORGANIZATION") => {
            json!([{"url": url("organization"), "valueIdentifier": identifier(organization)}])
        }
        [code, own] if code.ends_with("_ROLE") => {
            json!([{"url": url("parent-organization-role"), "extension": parts(own)}])
        }
        [code, organization, person] if code.ends_with("_ORGANIZATION_PRACTITIONER") => json!([{
            "url": url("organization-practitioner"), "extension": [
                {"url": "organization", "valueIdentifier": identifier(organization)},
                {"url": "practitioner-role", "valueCoding": role(PERSON_ROLE, person)},
            ],
        }]),
        [_, own, person] => {
            let mut parts = parts(own);
            parts.push(json!({"url": "practitioner-role", "valueCoding": role(PERSON_ROLE, person)}));
            json!([{"url": url("parent-organization-role-practitioner"), "extension": parts}])
        }
        _ => return json!({"system": "http://dsf.dev/fhir/CodeSystem/process-authorization", "code": text}),
    };
    json!({
        "extension": extension, "system": "http://dsf.dev/fhir/CodeSystem/process-authorization", "code": words[0],
    })
}

/// A Task of a caller for the local organization.
pub fn task_of(who: Who, person: &str, process: &str, status: &str) -> Value {
    let organization =
        |value: &str| json!({"type": "Organization", "identifier": {"system": ORGANIZATION, "value": value}});
    let requester = match (who, status) {
        (Local, _) | (_, "draft") => organization(LOCAL),
        (Remote, _) => organization(REMOTE),
        _ => json!({"type": "Practitioner", "identifier": {"system": PRACTITIONER, "value": person}}),
    };
    let mut task = json!({
        "resourceType": "Task",
        "meta": {"profile": [format!("{TASK_PROFILE}|1.0")]},
        "instantiatesCanonical": format!("http://dsf.dev/bpe/Process/{process}|1.0"),
        "status": status, "intent": "order", "authoredOn": "2026-11-23T04:50:27+00:00",
        "requester": requester,
        "restriction": {"recipient": [organization(LOCAL)]},
        "input": [{
            "type": {"coding": [{"system": "http://dsf.dev/fhir/CodeSystem/bpmn-message", "code": "message-name"}]},
            "valueString": "test-message",
        }],
    });
    if status == "draft" {
        task["identifier"] = json!([{
            "system": "http://dsf.dev/sid/task-identifier", "value": uuid::Uuid::new_v4().to_string(),
        }]);
    }
    task
}

fn roles(practitioner: &Identity, admin: &Identity, minimal: &Identity) -> Value {
    let all = json!(["CREATE", "READ", "UPDATE", "DELETE", "SEARCH", "HISTORY", "PERMANENT_DELETE"]);
    let role = |code: &str| format!("{PERSON_ROLE}|{code}");
    let seen = json!(["Task", "Questionnaire", "QuestionnaireResponse"]);
    json!({"role": [
        {"thumbprint": practitioner.thumbprint, "dsf-role": ["CREATE", "READ", "UPDATE", "DELETE", "SEARCH", "HISTORY"],
         "practitioner-role": role("DIC_USER")},
        {"thumbprint": admin.thumbprint, "dsf-role": all, "practitioner-role": role("DSF_ADMIN")},
        {"thumbprint": minimal.thumbprint, "practitioner-role": role("DIC_USER"), "dsf-role": [
            {"CREATE": ["Task"]}, {"READ": seen}, {"SEARCH": seen}, {"HISTORY": seen}, {"UPDATE": ["QuestionnaireResponse"]},
        ]},
    ]})
}

/// Profile of [`task_of`]: its message, and a reference to data if there is any.
fn task_profile() -> Value {
    let element = |id: &str, members: Value| {
        let path: Vec<&str> = id.split('.').map(|step| step.split(':').next().unwrap()).collect();
        let mut element = json!({"id": id, "path": path.join(".")});
        element.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        element
    };
    json!({
        "resourceType": "StructureDefinition", "meta": meta(&["ALL"]), "url": TASK_PROFILE, "version": "1.0",
        "name": "TestTask", "status": "active", "date": "2026-11-23", "fhirVersion": "4.0.1", "kind": "resource",
        "abstract": false, "type": "Task", "baseDefinition": "http://dsf.dev/fhir/StructureDefinition/task",
        "derivation": "constraint",
        "differential": {"element": [
            element("Task.input:message-name", json!({"sliceName": "message-name"})),
            element("Task.input:message-name.value[x]", json!({"fixedString": "test-message"})),
            element("Task.input:data", json!({"sliceName": "data", "min": 0, "max": "1"})),
            element("Task.input:data.type.coding", json!({"min": 1, "max": "1"})),
            element("Task.input:data.type.coding.system", json!({"min": 1, "fixedUri": "http://test"})),
            element("Task.input:data.type.coding.code", json!({"min": 1, "fixedCode": "data"})),
            element("Task.input:data.value[x]", json!({"type": [{"code": "Reference"}]})),
        ]},
    })
}

/// The input that a Task has from when it is taken up.
pub fn business_key() -> Value {
    json!({
        "type": {"coding": [{"system": "http://dsf.dev/fhir/CodeSystem/bpmn-message", "code": "business-key"}]},
        "valueString": uuid::Uuid::new_v4().to_string(),
    })
}

/// Allow list of the site as its start bundle.
fn allow_list(local: &Identity, remote: &Identity) -> Value {
    let urn = |number: u32| format!("urn:uuid:00000000-0000-4000-8000-{number:012}");
    let entry = |number: u32, url: String, resource: Value| json!({"fullUrl": urn(number), "resource": resource, "request": {"method": "PUT", "url": url}});
    let organization = |number: u32, value: &str, thumbprint: Option<&str>, endpoint: Option<u32>| {
        let mut resource = json!({
            "resourceType": "Organization", "meta": meta(&["ALL"]), "active": true, "name": format!("Name of {value}"),
            "identifier": [{"system": ORGANIZATION, "value": value}],
        });
        match thumbprint {
            // A parent has neither certificate nor endpoint.
            None => resource["meta"]["profile"] = json!([PARENT_PROFILE]),
            Some(thumbprint) => {
                resource["extension"] = json!([{
                    "url": format!("{EXTENSION}-certificate-thumbprint"), "valueString": thumbprint,
                }])
            }
        }
        if let Some(endpoint) = endpoint {
            resource["endpoint"] = json!([{"reference": urn(endpoint)}]);
        }
        entry(number, format!("Organization?identifier={ORGANIZATION}|{value}"), resource)
    };
    let endpoint = |number: u32, value: &str, address: &str, of: u32| {
        let resource = json!({
            "resourceType": "Endpoint", "meta": meta(&["ALL"]), "status": "active", "name": value, "address": address,
            "identifier": [{"system": ENDPOINT, "value": value}],
            "connectionType": {"system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type", "code": "hl7-fhir-rest"},
            "payloadType": [{"coding": [{"system": "http://hl7.org/fhir/resource-types", "code": "Task"}]}],
            "payloadMimeType": ["application/fhir+xml", "application/fhir+json"],
            "managingOrganization": {"reference": urn(of)},
        });
        entry(number, format!("Endpoint?identifier={ENDPOINT}|{value}"), resource)
    };
    let affiliation = |number: u32, value: &str, member: u32, endpoint: u32, codes: &[&str]| {
        let codes: Vec<Value> =
            codes.iter().map(|code| json!({"coding": [{"system": ROLE, "code": code}]})).collect();
        let resource = json!({
            "resourceType": "OrganizationAffiliation", "meta": meta(&["ALL"]), "active": true, "code": codes,
            "organization": {"reference": urn(1)}, "participatingOrganization": {"reference": urn(member)},
            "endpoint": [{"reference": urn(endpoint)}],
        });
        let query = format!(
            "OrganizationAffiliation?primary-organization:identifier={ORGANIZATION}|{PARENT}\
             &participating-organization:identifier={ORGANIZATION}|{value}"
        );
        entry(number, query, resource)
    };
    let (local, remote) = (local.thumbprint.as_str(), remote.thumbprint.as_str());
    json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        organization(1, PARENT, None, None),
        organization(2, LOCAL, Some(local), Some(4)),
        organization(3, REMOTE, Some(remote), Some(5)),
        endpoint(4, "fhir.local.test", "${dev.dsf.fhir.server.endpoint.address}", 2),
        endpoint(5, "fhir.remote.test", "https://localhost:80010/fhir", 3),
        affiliation(6, LOCAL, 2, 4, &["DIC", "COS"]),
        affiliation(7, REMOTE, 3, 5, &["TTP", "DTS"]),
        entry(8, format!("StructureDefinition?url={TASK_PROFILE}&version=1.0"), task_profile()),
    ]})
}
