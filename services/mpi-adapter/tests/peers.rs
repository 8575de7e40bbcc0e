//! Independent peers from package registries: `make test-peers`. Left out elsewhere, with one line.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use hospital::{
    failure::Class,
    hl7v2::{
        Charset, Message, Options, acknowledgement, pdq,
        request::{self, PdqRequest},
    },
    mllp,
    person::{Continuation, Domain, Person, Profile},
    soap::{self, Envelope},
    v3,
};
use messaging::hospital::Demographics;
use mpi_adapter::{Backend, Config, Lookup, PREFIX};
use stand::{Authority, peers::Hospital};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

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

/// A person that `tests/peers/hospital` knows, over every protocol.
const KNOWN: &str = "4711";
/// A surname of three persons there, over HL7 v2 and v3.
const MANY: &str = "Drilling";
const MANY_IDS: [&str; 3] = ["9001", "9002", "9003"];

async fn backend(kind: &str, address: &str, more: &[(&str, &str)]) -> Backend {
    let plain = more.iter().all(|(name, _)| *name != "CA");
    let settings = [
        ("SITE", "site-a"),
        ("BACKEND", kind),
        ("ADDRESS", address),
        ("ALLOW_PLAINTEXT", if plain { "true" } else { "false" }),
        ("RECIPIENTS", ""),
        ("AUTHORITY_NAMESPACE", "E"),
        ("AUTHORITY_UNIVERSAL_ID", "2.999.1.10"),
        ("AUTHORITY_SYSTEM", "urn:oid:2.999.1.10"),
        ("SENDER_APPLICATION", if kind == "hl7-v3" { "2.999.1.1" } else { "DSF" }),
        ("SENDER_FACILITY", "SITE-A"),
        ("RECEIVER_APPLICATION", if kind == "hl7-v3" { "2.999.1.2" } else { "MPI" }),
        ("RECEIVER_FACILITY", "SITE-A"),
        // A JVM reads schemas and rules at the first request.
        ("ANSWER_TIMEOUT", "60s"),
        ("NATS_URLS", "nats://nowhere"),
    ];
    let settings =
        settings.iter().chain(more).map(|(name, value)| (format!("{PREFIX}_{name}"), (*value).to_owned()));
    let config: Config = config::load_from(PREFIX, None, settings).expect("settings");
    Backend::new(&config).await.expect("a back end")
}

fn named(last: &str) -> Demographics {
    Demographics {
        last: Some(last.to_owned()),
        first: Some("Liselotte".to_owned()),
        birth: Some("1980-03-07".to_owned()),
        sex: Some("F".to_owned()),
        zip: Some("37073".to_owned()),
        city: Some("Göttingen".to_owned()),
    }
}

#[tokio::test]
async fn every_protocol_finds_the_person_at_a_peer_that_checks_our_messages() {
    let Some(peer) = Hospital::running() else { return };
    let fhir = format!("{}/fhir", peer.http);
    let soap = |endpoint: &str| format!("{}/soap/{endpoint}", peer.http);
    for (kind, address, references) in [
        // IPF refuses what Gazelle's profiles of ITI-21 and ITI-9 do not allow.
        ("hl7-v2", &peer.demographics, &peer.references),
        // HAPI refuses unknown parameters and invalid resources.
        ("fhir", &fhir, &fhir),
        // IPF refuses what the schemas of HL7 and the rules of IHE and Gazelle do not allow.
        ("hl7-v3", &soap("iti47"), &soap("iti45")),
    ] {
        let backend = backend(kind, address, &[("CROSS_REFERENCE_ADDRESS", references)]).await;
        let known = named("Grünwald-Özdemir");
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
        let nobody = named("Nobody");
        for found in [backend.find("no|^~\\&<body").await, backend.match_person(&nobody).await] {
            let found = found.unwrap_or_else(|error| panic!("{kind}: {error:?}"));
            assert!(matches!(found, Lookup::NotFound), "{kind}: {found:?}");
        }
        let other = Domain {
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

/// Our domain of ids there.
fn profile() -> Profile {
    let authority = Domain {
        namespace: Some("E".to_owned()),
        universal_id: Some("2.999.1.10".to_owned()),
        ..Domain::default()
    };
    Profile { authority, ..Profile::default() }
}

fn ids(persons: &[Person]) -> Vec<&str> {
    persons.iter().flat_map(|person| &person.identifiers).map(|id| id.value.as_str()).collect()
}

#[tokio::test]
async fn several_persons_are_nobody() {
    let Some(peer) = Hospital::running() else { return };
    for (kind, address) in
        [("hl7-v2", peer.demographics.clone()), ("hl7-v3", format!("{}/soap/iti47", peer.http))]
    {
        let found = backend(kind, &address, &[]).await.match_person(&named(MANY)).await;
        assert!(matches!(found, Ok(Lookup::Ambiguous)), "{kind}: {found:?}");
    }
}

/// IPF cuts the answer and keeps its pages; every message of ours is held against its Gazelle profile. Whom a query
/// finds and where pages are kept is ours.
#[tokio::test]
async fn ipf_gives_us_pages_over_mllp_until_we_cancel() {
    let Some(peer) = Hospital::running() else { return };
    let mut stream = tokio::net::TcpStream::connect(&peer.demographics).await.expect("a connection");
    let mut count = 0;
    let mut exchange = async |write: &dyn Fn(&request::Header) -> Vec<u8>| {
        count += 1;
        let header = request::Header {
            sender: ("DSF".to_owned(), "SITE-A".to_owned()),
            receiver: ("MPI".to_owned(), "SITE-A".to_owned()),
            time: "20231114221320+0000".to_owned(),
            control_id: format!("PAGES{count}"),
        };
        stream.write_all(&mllp::frame(&write(&header))).await.expect("a question");
        let mut decoder = mllp::Decoder::new(mllp::FRAME_LIMIT);
        let mut piece = vec![0; 16 * 1024];
        let payload = loop {
            let read = stream.read(&mut piece).await.expect("an answer");
            assert!(read > 0, "the index has closed");
            if let Some(payload) = decoder.push(&piece[..read]).expect("a frame").pop() {
                break payload;
            }
        };
        let options = Options { charset: Charset::Auto, lenient: false };
        (header.control_id, Message::read(&payload, options).expect("a message"))
    };
    let mut query = PdqRequest {
        query_tag: "THREEATONCE".to_owned(),
        parameters: vec![("@PID.5.1.1".to_owned(), MANY.to_owned())],
        limit: Some(1),
        ..PdqRequest::default()
    };
    for (at, expected) in MANY_IDS.iter().enumerate() {
        let (control_id, answer) = exchange(&|header| query.write(header)).await;
        let asked =
            pdq::Asked { control_id: Some(control_id), query_tag: Some(query.query_tag.clone()), id: None };
        let page = pdq::read(&answer, &asked, &profile()).1.expect("persons");
        assert_eq!(ids(&page.persons), [*expected]);
        query.continuation = match page.continuation {
            Some(Continuation::Pointer(pointer)) => Some(pointer),
            other => {
                assert!(other.is_none() && at == MANY_IDS.len() - 1, "page {at} ends with {other:?}");
                None
            }
        };
    }
    // Of the next answer we take one page, and say so.
    query.query_tag = "ONEOFTHREE".to_owned();
    let (_, answer) = exchange(&|header| query.write(header)).await;
    let pointer = answer.field("DSC", 1).text().expect("further pages");
    let (control_id, answer) = exchange(&|header| request::cancel(header, &query.query_tag)).await;
    let head =
        acknowledgement(&answer, Some(&control_id), None, Class::IdUnknown).expect("an acknowledgement");
    head.check().expect("the cancellation is accepted");
    // The pages are gone: whoever asks for one starts anew.
    query.continuation = Some(pointer);
    let (control_id, answer) = exchange(&|header| query.write(header)).await;
    let asked =
        pdq::Asked { control_id: Some(control_id), query_tag: Some(query.query_tag.clone()), id: None };
    let page = pdq::read(&answer, &asked, &profile()).1.expect("persons");
    assert_eq!(ids(&page.persons), [MANY_IDS[0]]);
}

/// The same over SOAP; our messages are held against the schemas of HL7 and Gazelle's rules as they come.
#[tokio::test]
async fn ipf_gives_us_pages_over_soap() {
    let Some(peer) = Hospital::running() else { return };
    let header = |id: &str| v3::Header {
        sender: "2.999.1.1".to_owned(),
        receiver: "2.999.1.2".to_owned(),
        time: "20231114221320".to_owned(),
        id: id.to_owned(),
        query_id: ("2.999.1.1".to_owned(), "three-persons".to_owned()),
    };
    let parameters = v3::pdq::Parameters { last: Some(MANY.to_owned()), ..v3::pdq::Parameters::default() };
    let first = "3b2c9b56-7f0d-4d7c-9d4e-2f1d9b8a7c01";
    let mut message = v3::pdq::request(&header(first), &parameters, Some(1));
    let mut action = v3::pdq::ACTION;
    let mut id = first.to_owned();
    for (at, expected) in MANY_IDS.iter().enumerate() {
        let message_id = format!("urn:uuid:{id}");
        let envelope = soap::write(action, &message_id, &format!("{}/soap/iti47", peer.http), &message);
        let answer =
            peer.post("/soap/iti47", &soap::content_type(action), &envelope).await.expect("an answer");
        let envelope = Envelope::read(answer.as_bytes()).expect("an envelope");
        let envelope = envelope.check(Some(&message_id)).expect("no fault");
        let wanted = v3::Expected { target_message: Some(id), query_id: Some("three-persons".to_owned()) };
        let page = v3::pdq::read(&envelope, &wanted, None, at as u64, &profile()).1.expect("persons");
        assert_eq!(ids(&page.persons), [*expected]);
        let Some(Continuation::Start(start)) = page.continuation else {
            assert_eq!(at, MANY_IDS.len() - 1, "page {at} ends the answer");
            return;
        };
        let answered = envelope.body.child("id").and_then(|id| id.filled("root")).expect("an id");
        id = format!("3b2c9b56-7f0d-4d7c-9d4e-2f1d9b8a7c{:02}", at + 2);
        message = v3::pdq::continuation(&header(&id), &answered, start, 1);
        action = v3::pdq::CONTINUE_ACTION;
    }
    panic!("the last page says that there are more");
}

#[tokio::test]
async fn only_the_right_certificates_reach_an_index_with_tls() {
    let Some(peer) = Hospital::running() else { return };
    let folder = std::env::temp_dir().join(format!("dsf-mpi-peers-{}", std::process::id()));
    let ours = Authority::create(&folder.join("ours"), "ours").expect("an authority");
    let theirs = Authority::create(&folder.join("theirs"), "theirs").expect("an authority");
    let client = ours.issue(&folder.join("client"), "adapter").expect("a certificate");
    let stranger = theirs.issue(&folder.join("stranger"), "adapter").expect("a certificate");
    let server = ours.issue(&folder.join("server"), "index").expect("a certificate");
    let address = peer.with_tls(&ours.certificate, &server).await.expect("an index with TLS");
    let text = |path: &Path| path.to_string_lossy().into_owned();
    for (ca, identity, expected) in [
        (&ours, Some(&client), "found"),
        (&theirs, Some(&client), "tls"),
        (&ours, Some(&stranger), "tls"),
        (&ours, None, "tls"),
    ] {
        let mut settings = vec![("CA", text(&ca.certificate))];
        if let Some(identity) = identity {
            settings.push(("CLIENT_CERTIFICATE", text(&identity.certificate)));
            settings.push(("CLIENT_KEY", text(&identity.key)));
        }
        let settings: Vec<(&str, &str)> =
            settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let found = match backend("hl7-v2", &address, &settings).await.find(KNOWN).await {
            Ok(Lookup::Person(_)) => "found",
            Ok(other) => panic!("expected the person, got {other:?}"),
            Err(trouble) => trouble.outcome(),
        };
        assert_eq!(found, expected);
    }
    std::fs::remove_dir_all(folder).expect("clean");
}
