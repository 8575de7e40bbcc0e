//! Both forms of every row of the table, and the shared example.
use super::*;
use crate::xml::{self, Element};

fn event(transaction: Transaction) -> Event {
    Event {
        transaction,
        recorded: "2023-11-14T22:13:20.123Z".into(),
        outcome: Outcome::Success,
        outcome_text: Some("found <1>".into()),
        client: Party {
            name: "mpi-adapter".into(),
            user: Some("DSF|SITE-A".into()),
            address: "mpi-adapter".into(),
        },
        process: Some("4711".into()),
        server: Party {
            name: "mpi".into(),
            user: Some("MPI|SITE-A".into()),
            address: "https://mpi.example.org:8443/fhir".into(),
        },
        site: "site-a".into(),
        patient: Some(("urn:dsf:audit:records".into(), "1:abc".into())),
        requester: None,
        query: Some(Query {
            text: b"MSH|^~\\&|DSF\rQPD|IHE PDQ Query|tag|@PID.3.1^*\r".to_vec(),
            details: vec![("MSH-10", "ABC".into())],
        }),
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".into(),
        request_id: Some("r1".into()),
    }
}

fn json(value: &Value) -> Json {
    Json::read(value.to_string().as_bytes()).expect("JSON")
}

fn classic(value: &Value, schema: Schema) -> Element {
    xml::read(message(&json(value), schema).expect("a message").as_bytes()).expect("XML")
}

/// Code, code system and text of a coded child.
fn coded(element: &Element, child: &str, code: &str) -> (String, String, String) {
    let child = element.child(child).expect(child);
    let part = |name: &str| child.attribute(name).expect(name).to_owned();
    (part(code), part("codeSystemName"), part("originalText"))
}

fn triple(code: &str, system: &str, text: &str) -> (String, String, String) {
    (code.into(), system.into(), text.into())
}

#[test]
fn every_transaction_has_both_forms() {
    assert!(table::ALL.len() > 15);
    for transaction in table::ALL {
        assert_eq!(Transaction::of(transaction.code), Some(transaction), "codes are unique");
        let resource = event(*transaction).resource();
        let read = read(&json(&resource));
        let system = if transaction.code.starts_with("ITI-") { TRANSACTIONS } else { OWN_TRANSACTIONS };
        assert_eq!(read["subtypes"][1], json!(format!("{system}|{}", transaction.code)));
        assert!(
            read["profile"].as_str().is_some_and(|profile| profile.starts_with("https://profiles.ihe.net/"))
        );
        for (schema, code) in [(Schema::Dicom, "csd-code"), (Schema::Rfc3881, "code")] {
            let message = classic(&resource, schema);
            assert_eq!(message.name, "AuditMessage");
            let identification = message.child("EventIdentification").expect("an event");
            assert_eq!(identification.attribute("EventActionCode"), Some("E"));
            assert_eq!(identification.attribute("EventDateTime"), Some("2023-11-14T22:13:20.123Z"));
            assert_eq!(identification.attribute("EventOutcomeIndicator"), Some("0"));
            assert_eq!(coded(identification, "EventID", code), triple("110112", "DCM", "Query"));
            let system =
                if transaction.code.starts_with("ITI-") { "IHE Transactions" } else { "DSF Transactions" };
            let expected = triple(transaction.code, system, transaction.name);
            assert_eq!(coded(identification, "EventTypeCode", code), expected);
            let described = identification.child("EventOutcomeDescription").and_then(Element::trimmed);
            assert_eq!(described.as_deref(), (schema == Schema::Dicom).then_some("found <1>"));
            let people: Vec<&Element> = message.each("ActiveParticipant").collect();
            let attributes = |name: &str| people.iter().map(|one| one.attribute(name)).collect::<Vec<_>>();
            assert_eq!(attributes("UserID"), [Some("DSF|SITE-A"), Some("MPI|SITE-A")]);
            assert_eq!(attributes("AlternativeUserID"), [Some("4711"), None]);
            assert_eq!(attributes("UserIsRequestor"), [Some("true"), Some("false")]);
            assert_eq!(attributes("NetworkAccessPointID"), [Some("mpi-adapter"), Some("mpi.example.org")]);
            assert_eq!(attributes("NetworkAccessPointTypeCode"), [Some("1"), Some("1")]);
            assert_eq!(coded(people[0], "RoleIDCode", code), triple("110153", "DCM", "Source"));
            assert_eq!(coded(people[1], "RoleIDCode", code), triple("110152", "DCM", "Destination"));
            let source = message.child("AuditSourceIdentification").expect("a source");
            assert_eq!(source.attribute("AuditEnterpriseSiteID"), Some("site-a"));
            assert_eq!(source.attribute("AuditSourceID"), Some("mpi-adapter"));
            let objects: Vec<&Element> = message.each("ParticipantObjectIdentification").collect();
            let attributes = |name: &str| objects.iter().map(|one| one.attribute(name)).collect::<Vec<_>>();
            assert_eq!(attributes("ParticipantObjectTypeCode"), [Some("1"), Some("2"), Some("2")]);
            assert_eq!(attributes("ParticipantObjectTypeCodeRole"), [Some("1"), Some("24"), None]);
            let ids = attributes("ParticipantObjectID");
            assert_eq!((ids[0], ids[2]), (Some("1:abc"), Some("4bf92f3577b34da6a3ce929d0e0e4736")));
            assert_eq!(coded(objects[1], "ParticipantObjectIDTypeCode", code), expected);
            let query =
                objects[1].child("ParticipantObjectQuery").and_then(Element::trimmed).expect("a query");
            assert_eq!(STANDARD.decode(query).ok(), event(*transaction).query.map(|query| query.text));
            let detail = objects[1].child("ParticipantObjectDetail").expect("a detail");
            assert_eq!((detail.attribute("type"), detail.attribute("value")), (Some("MSH-10"), Some("QUJD")));
        }
    }
}

#[test]
fn decisions_name_who_asked_and_failures_their_weight() {
    let mut event = event(table::ITI_79);
    event.outcome = Outcome::Serious;
    event.requester = Some("hospital-b.example".into());
    event.patient = None;
    event.client.user = None;
    event.server = Party { name: "pdp".into(), user: None, address: "http://[2001:db8::1]:80/pdp".into() };
    let message = classic(&event.resource(), Schema::Dicom);
    let identification = message.child("EventIdentification").expect("an event");
    assert_eq!(identification.attribute("EventOutcomeIndicator"), Some("8"));
    let server = message.each("ActiveParticipant").nth(1).expect("the other side");
    assert_eq!(server.attribute("UserID"), Some("http://[2001:db8::1]:80/pdp"));
    assert_eq!(server.attribute("NetworkAccessPointID"), Some("2001:db8::1"));
    assert_eq!(server.attribute("NetworkAccessPointTypeCode"), Some("2"));
    let object = message.child("ParticipantObjectIdentification").expect("who asked");
    assert_eq!(object.attribute("ParticipantObjectID"), Some("hospital-b.example"));
    assert_eq!(object.attribute("ParticipantObjectTypeCodeRole"), Some("11"));
}

#[test]
fn what_happens_to_a_service_has_both_forms() {
    let rows = [
        (Activity::Start, "110100", "Application Activity", "110120", "Application Start", "0", 0),
        (Activity::Stop, "110100", "Application Activity", "110121", "Application Stop", "0", 0),
        (Activity::NodeAuthentication, "110113", "Security Alert", "110126", "Node Authentication", "8", 1),
    ];
    for (what, id, id_name, code, name, outcome, objects) in rows {
        let node = (objects > 0).then_some("mpi.example.org:2575");
        let resource = activity(what, "mpi-adapter", "4711", "site-a", node, "2023-11-14T22:13:20.123Z");
        let message = classic(&resource, Schema::Dicom);
        let identification = message.child("EventIdentification").expect("an event");
        assert_eq!(identification.attribute("EventOutcomeIndicator"), Some(outcome));
        assert_eq!(coded(identification, "EventID", "csd-code"), triple(id, "DCM", id_name));
        assert_eq!(coded(identification, "EventTypeCode", "csd-code"), triple(code, "DCM", name));
        let who = message.child("ActiveParticipant").expect("a participant");
        assert_eq!(coded(who, "RoleIDCode", "csd-code"), triple("110150", "DCM", "Application"));
        assert_eq!(message.each("ParticipantObjectIdentification").count(), objects);
        if let Some(object) = message.child("ParticipantObjectIdentification") {
            assert_eq!(object.attribute("ParticipantObjectID"), node);
            assert_eq!(
                coded(object, "ParticipantObjectIDTypeCode", "csd-code"),
                triple("12", "RFC-3881", "URI")
            );
        }
    }
}

#[test]
fn what_is_no_record_has_no_message() {
    for text in ["{}", "[]", "1", r#"{"resourceType":"Patient"}"#, r#"{"resourceType":"AuditEvent"}"#] {
        assert_eq!(message(&Json::read(text.as_bytes()).expect("JSON"), Schema::Dicom), None, "{text}");
    }
}

/// What the shared example has, ours has, but for the patient's own identifier.
#[test]
fn the_shared_example_is_what_we_write() {
    let root = std::env::var_os("DSF_SHARED").map_or_else(
        || std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        std::path::PathBuf::from,
    );
    let file = root.join("vectors/hospital/json/audit-iti78-consumer.json");
    let Ok(bytes) = std::fs::read(&file) else {
        return eprintln!("left out: {} is not there", file.display());
    };
    let expected: Value = serde_json::from_slice(&bytes).expect("JSON");
    let query = &expected["entity"][1]["query"];
    let event = Event {
        outcome_text: None,
        client: Party {
            name: "dsf-mpi-adapter".into(),
            user: None,
            address: "mpi-adapter.site-a.example".into(),
        },
        process: None,
        server: Party { name: "mpi".into(), user: None, address: "https://mpi.example.org/fhir".into() },
        patient: Some(("urn:oid:2.999.1.10".into(), "7d44b88c-4199-4bad-97dc-d78268e01398".into())),
        query: Some(Query {
            text: STANDARD.decode(query.as_str().expect("a query")).expect("Base64"),
            details: Vec::new(),
        }),
        request_id: None,
        ..event(table::ITI_78)
    };
    assert_eq!(event.resource(), expected);
}
