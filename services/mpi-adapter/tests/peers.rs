//! Independent peers from package registries: `make test-peers`. Left out elsewhere, with one line.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]
use std::{path::PathBuf, process::Stdio, time::Duration};

use messaging::hospital::Demographics;
use mpi_adapter::{Backend, Config, Lookup, PREFIX};
use stand::peers::Hospital;
use tokio::io::{AsyncBufReadExt, BufReader};

/// Folder with the jars of HAPI HL7 v2, set by `make test-peers`.
const JARS: &str = "DSF_PEER_HAPI";

#[tokio::test]
async fn hapi_takes_our_queries_and_we_its_answers() {
    let Some(jars) = std::env::var_os(JARS).map(PathBuf::from) else {
        return eprintln!("left out: {JARS} names no folder with HAPI HL7 v2, see make test-peers");
    };
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/HapiPeer.java");
    let mut server = tokio::process::Command::new("java")
        .arg("-cp")
        .arg(jars.join("*"))
        .args([source, &port.to_string()])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("java");
    let mut lines = BufReader::new(server.stdout.take().expect("output")).lines();
    let ready = async {
        while let Some(line) = lines.next_line().await.expect("output") {
            if line == "ready" {
                return;
            }
        }
        panic!("the peer ended before it was ready");
    };
    tokio::time::timeout(Duration::from_secs(120), ready).await.expect("the peer is ready");
    let settings = [
        ("SITE", "site-a".to_owned()),
        ("BACKEND", "hl7-v2".to_owned()),
        ("ADDRESS", format!("127.0.0.1:{port}")),
        ("ALLOW_PLAINTEXT", "true".to_owned()),
        ("RECIPIENTS", String::new()),
        ("AUTHORITY_NAMESPACE", "E".to_owned()),
        ("AUTHORITY_UNIVERSAL_ID", "2.999.1.10".to_owned()),
        ("NATS_URLS", "nats://nowhere".to_owned()),
    ];
    let settings = settings.into_iter().map(|(name, value)| (format!("{PREFIX}_{name}"), value));
    let config: Config = config::load_from(PREFIX, None, settings).expect("settings");
    let backend = Backend::new(&config).await.expect("a back end");
    match backend.find("4711").await.expect("an answer") {
        Lookup::Person(person) => {
            assert_eq!(person.last.as_deref(), Some("Grünwald-Özdemir"));
            assert_eq!(person.street.as_deref(), Some("Lindenstraße 12a"));
            assert_eq!(person.birth.as_deref(), Some("1980-03-07"));
        }
        other => panic!("expected the person, got {other:?}"),
    }
    assert!(matches!(backend.find("nobody|^~\\&").await.expect("an answer"), Lookup::NotFound));
    let references = backend.cross_reference("4711", &[]).await.expect("an answer");
    assert_eq!(references.iter().map(|id| id.value.as_str()).collect::<Vec<_>>(), ["0815"]);
    server.kill().await.expect("the peer ends");
}

/// The one person that `tests/peers/hospital` knows, over every protocol.
const KNOWN: &str = "4711";

#[tokio::test]
async fn every_protocol_finds_the_person_at_a_peer_that_checks_our_messages() {
    let Some(peer) = Hospital::running() else { return };
    let fhir = format!("{}/fhir", peer.http);
    let soap = format!("{}/hl7v3", peer.http);
    for (kind, address, references) in [
        // IPF refuses what Gazelle's profiles of ITI-21 and ITI-9 do not allow.
        ("hl7-v2", &peer.demographics, &peer.references),
        // HAPI refuses unknown parameters and invalid resources.
        ("fhir", &fhir, &fhir),
        // Refuses what the schemas and IHE's rules do not allow.
        ("hl7-v3", &soap, &soap),
    ] {
        let settings = [
            ("SITE", "site-a"),
            ("BACKEND", kind),
            ("ADDRESS", address),
            ("CROSS_REFERENCE_ADDRESS", references),
            ("ALLOW_PLAINTEXT", "true"),
            ("RECIPIENTS", ""),
            ("AUTHORITY_NAMESPACE", "E"),
            ("AUTHORITY_UNIVERSAL_ID", "2.999.1.10"),
            ("AUTHORITY_SYSTEM", "urn:oid:2.999.1.10"),
            ("SENDER_APPLICATION", if kind == "hl7-v3" { "2.999.1.1" } else { "DSF" }),
            ("SENDER_FACILITY", "SITE-A"),
            ("RECEIVER_APPLICATION", if kind == "hl7-v3" { "2.999.1.2" } else { "MPI" }),
            ("RECEIVER_FACILITY", "SITE-A"),
            ("NATS_URLS", "nats://nowhere"),
        ];
        let settings = settings.map(|(name, value)| (format!("{PREFIX}_{name}"), value.to_owned()));
        let config: Config = config::load_from(PREFIX, None, settings).expect("settings");
        let backend = Backend::new(&config).await.expect("a back end");
        let known = Demographics {
            last: Some("Grünwald-Özdemir".to_owned()),
            first: Some("Liselotte".to_owned()),
            birth: Some("1980-03-07".to_owned()),
            sex: Some("F".to_owned()),
            zip: Some("37073".to_owned()),
            city: Some("Göttingen".to_owned()),
        };
        for found in [backend.find(KNOWN).await, backend.match_person(&known).await] {
            match found.unwrap_or_else(|error| panic!("{kind}: {error:?}")) {
                Lookup::Person(person) => {
                    assert_eq!(person.last.as_deref(), Some("Grünwald-Özdemir"), "{kind}");
                    assert_eq!(person.street.as_deref(), Some("Lindenstraße 12a"), "{kind}");
                    assert_eq!(person.birth.as_deref(), Some("1980-03-07"), "{kind}");
                }
                other => panic!("{kind}: expected the person, got {other:?}"),
            }
        }
        let nobody = Demographics { last: Some("Nobody".to_owned()), ..known };
        for found in [backend.find("no|^~\\&<body").await, backend.match_person(&nobody).await] {
            let found = found.unwrap_or_else(|error| panic!("{kind}: {error:?}"));
            assert!(matches!(found, Lookup::NotFound), "{kind}: {found:?}");
        }
        let other = hospital::person::Domain {
            namespace: Some("KIS".to_owned()),
            universal_id: Some("2.999.1.30".to_owned()),
            universal_id_type: Some("ISO".to_owned()),
            system: Some("urn:oid:2.999.1.30".to_owned()),
        };
        for targets in [&[][..], &[other][..]] {
            let references = backend.cross_reference(KNOWN, targets).await;
            let references = references.unwrap_or_else(|error| panic!("{kind}: {error:?}"));
            assert_eq!(references.iter().map(|id| id.value.as_str()).collect::<Vec<_>>(), ["0815"], "{kind}");
        }
    }
}
