//! Persons of a site: from the certificates and the role file a stand writes to what they may do.
#[path = "gateway/client.rs"]
#[allow(dead_code, reason = "shared with the gateway's tests")]
mod client;
#[path = "gateway/world.rs"]
#[allow(dead_code, reason = "shared with the gateway's tests")]
mod world;

use access::{Identity, Interaction};
use client::Client;
use fhir_gateway::identity::{RoleConfig, certificate::Certificate};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::json;
use stand::Persons;
use world::{LOCAL, Replica, World};

/// Rights of practitioner, admin and minimal (fhir-endpoint contract 3.2 and 13.1).
#[rustfmt::skip]
const RIGHTS: [(Interaction, &str, [bool; 3]); 21] = [
    (Interaction::Create, "Task", [true, true, true]),
    (Interaction::Create, "Questionnaire", [true, true, false]),
    (Interaction::Create, "QuestionnaireResponse", [true, true, false]),
    (Interaction::Create, "Organization", [true, true, false]),
    (Interaction::Read, "Task", [true, true, true]),
    (Interaction::Read, "Questionnaire", [true, true, true]),
    (Interaction::Read, "QuestionnaireResponse", [true, true, true]),
    (Interaction::Read, "Organization", [true, true, false]),
    (Interaction::Search, "Task", [true, true, true]),
    (Interaction::Search, "Binary", [true, true, false]),
    (Interaction::History, "Task", [true, true, true]),
    (Interaction::History, "QuestionnaireResponse", [true, true, true]),
    (Interaction::History, "Endpoint", [true, true, false]),
    (Interaction::Update, "QuestionnaireResponse", [true, true, true]),
    (Interaction::Update, "Task", [true, true, false]),
    (Interaction::Update, "Questionnaire", [true, true, false]),
    (Interaction::Delete, "Task", [true, true, false]),
    (Interaction::Delete, "QuestionnaireResponse", [true, true, false]),
    (Interaction::PermanentDelete, "Task", [false, true, false]),
    (Interaction::PermanentDelete, "Binary", [false, true, false]),
    (Interaction::WebSocket, "Subscription", [false, true, false]),
];

#[tokio::test(flavor = "multi_thread")]
async fn persons_may_do_what_the_role_file_says() {
    let world = World::start().await;
    let persons = Persons::issue(&world.authority, &world.folder.join("persons"), LOCAL).unwrap();
    let roles_file = world.folder.join("roles.toml");
    persons.write_roles(&roles_file).unwrap();
    let all =
        [("practitioner", &persons.practitioner), ("admin", &persons.admin), ("minimal", &persons.minimal)];

    let roles = RoleConfig::load(&roles_file).unwrap();
    for (position, (name, person)) in all.iter().enumerate() {
        let der = CertificateDer::from_pem_file(&person.identity.certificate).unwrap();
        let certificate = Certificate::from_chain(vec![der], 1).unwrap();
        assert_eq!(certificate.thumbprint, person.identity.thumbprint, "{name}");
        let practitioner = roles.practitioner(&certificate.credentials(), LOCAL).unwrap();
        assert_eq!(practitioner.identifier, person.identifier, "{name}");
        assert_eq!(person.identifier, format!("{name}@{LOCAL}"));
        let identity = Identity::Practitioner(practitioner);
        assert_eq!(identity.acts_for_local_organization(), *name == "admin", "{name}");
        for (interaction, ty, expected) in RIGHTS {
            assert_eq!(identity.may(interaction, ty), expected[position], "{name} {interaction:?} {ty}");
        }
    }

    // The same through the door.
    let mut config = world.config();
    config.roles_file = Some(roles_file);
    let gateway = Replica::start(config).await;
    let headers = [("accept", "application/fhir+json"), ("content-type", "application/fhir+json")];
    let table: [(&str, [u16; 3]); 6] = [
        ("GET /fhir/Task", [200, 200, 200]),
        ("GET /fhir/QuestionnaireResponse", [200, 200, 200]),
        ("GET /fhir/Organization", [200, 200, 403]),
        (&format!("GET /fhir/Organization/{}", world.remote_id), [200, 200, 403]),
        ("POST /fhir/CodeSystem", [201, 201, 403]),
        ("POST /fhir/Task", [403, 403, 403]),
    ];
    for (position, (name, person)) in all.iter().enumerate() {
        let client = Client::new(&world.authority, Some(&person.identity));
        for (line, expected) in &table {
            let body = match *line {
                "POST /fhir/CodeSystem" => json!({
                    "resourceType": "CodeSystem", "url": format!("http://test/{name}"), "version": "1",
                    "status": "active", "content": "complete", "date": "2026-11-24", "concept": [{"code": "a"}],
                    "name": "Test",
                    "meta": {"tag": [{"system": "http://dsf.dev/fhir/CodeSystem/read-access-tag", "code": "ALL"}]},
                }),
                "POST /fhir/Task" => {
                    json!({"resourceType": "Task", "status": "requested", "intent": "order"})
                }
                _ => serde_json::Value::Null,
            };
            let body = if body.is_null() { String::new() } else { body.to_string() };
            let answer = client.ask(gateway.address, line, &headers, body.as_bytes()).await.unwrap();
            assert_eq!(answer.status.as_u16(), expected[position], "{name} {line}: {}", answer.body);
        }
    }
    gateway.stop().await;
}
