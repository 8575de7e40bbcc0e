//! Independent peers from package registries: `make test-peers`. Left out elsewhere, with one line.
#![allow(clippy::expect_used, reason = "a failed expectation ends the test")]
use std::{path::PathBuf, process::Stdio, time::Duration};

use mpi_adapter::{Backend, Config, Lookup, PREFIX};
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
