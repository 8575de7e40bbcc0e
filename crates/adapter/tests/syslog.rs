//! Audit records as classic ATNA, to receivers over TLS and UDP: form, order, at least once, and what an
//! operator is told.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use adapter::{
    audit::{Asked, Audit, Parties},
    forward::{Backlog, forward},
    settings::{AuditFormat, AuditSettings},
    tls::TlsSettings,
};
use hospital::{
    audit::{Query, Schema, message, table},
    json::Json,
};
use stand::{Authority, Identity, peer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

struct Place {
    folder: PathBuf,
    settings: AuditSettings,
    lines: Vec<String>,
    backlog: Arc<Backlog>,
}

impl Place {
    /// A file with records of a start, a query and an end.
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("dsf-syslog-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("folder");
        let file = folder.join("audit.ndjson");
        let parties = Parties {
            site: "site-ä".into(),
            service: "mpi-adapter",
            server: "mpi",
            address: "mpi.example:2575".into(),
            applications: Some(("DSF|A".into(), "MPI|A".into())),
        };
        let audit = Audit::new(parties, Some(&file)).expect("audit");
        let backlog = Arc::clone(audit.backlog());
        audit.started();
        let query = Some(Query { text: b"MSH|".to_vec(), details: vec![("MSH-10", "1".into())] });
        let ids = ["person-4711".to_owned()];
        audit.record(Asked { query, ..Asked::new(table::ITI_21, "r1", &ids) }, Ok("found"));
        drop(audit);
        let text = std::fs::read_to_string(&file).expect("records");
        assert!(!text.contains("person-4711"));
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 3);
        let settings = AuditSettings { file: Some(file), ..AuditSettings::default() };
        Self { folder, settings, lines, backlog }
    }

    fn start(&self) -> JoinHandle<()> {
        let carrier = forward("mpi-adapter", &self.settings, &TlsSettings::default(), &self.backlog);
        carrier.expect("settings").expect("a task")
    }

    /// The messages that have to arrive.
    fn messages(&self, schema: Schema) -> Vec<String> {
        let form = |line: &String| message(&Json::read(line.as_bytes()).expect("JSON"), schema);
        self.lines.iter().map(|line| form(line).expect("a message")).collect()
    }

    fn sent(&self) -> String {
        std::fs::read_to_string(self.folder.join("audit.ndjson.sent")).unwrap_or_default().trim().to_owned()
    }

    fn size(&self) -> String {
        let file = self.settings.file.as_ref().expect("a file");
        std::fs::metadata(file).expect("a file").len().to_string()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what} in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The parts of an RFC 5424 message; asserts what is the same in all of ours.
fn parts(message: &[u8], id: &str) -> String {
    let text = std::str::from_utf8(message).expect("UTF-8");
    let fields: Vec<&str> = text.splitn(8, ' ').collect();
    assert_eq!(fields[0], "<85>1");
    assert!(fields[1].ends_with('Z') && fields[1].contains('T'), "{text}");
    assert!(!fields[2].is_empty());
    let process = std::process::id().to_string();
    assert_eq!(fields[3..7], ["mpi-adapter", process.as_str(), id, "-"]);
    fields[7].strip_prefix('\u{feff}').expect("a byte order mark").to_owned()
}

/// Octet counting of RFC 5425: the whole bytes are frames and nothing else.
fn frames(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let space = bytes.iter().position(|byte| *byte == b' ').expect("a length");
        let length: usize = std::str::from_utf8(&bytes[..space]).unwrap().parse().expect("a length");
        frames.push(bytes[space + 1..space + 1 + length].to_vec());
        bytes = &bytes[space + 1 + length..];
    }
    frames
}

#[derive(Default)]
struct Received {
    connections: AtomicUsize,
    frames: Mutex<Vec<Vec<u8>>>,
}

/// A receiver that reads everything; the first `broken` connections it drops without an end of TLS.
async fn receiver(
    listener: TcpListener,
    identity: &Identity,
    clients: &Authority,
    broken: usize,
) -> (Arc<Received>, JoinHandle<()>) {
    let config = peer::tls(identity, Some(&clients.certificate)).expect("TLS");
    let (acceptor, received) = (TlsAcceptor::from(Arc::new(config)), Arc::new(Received::default()));
    let keep = Arc::clone(&received);
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut bytes = Vec::new();
            if stream.read_to_end(&mut bytes).await.is_err() {
                continue;
            }
            let number = keep.connections.fetch_add(1, Ordering::SeqCst);
            keep.frames.lock().unwrap().extend(frames(&bytes));
            if number >= broken {
                let _ = stream.shutdown().await;
            }
        }
    });
    (received, task)
}

struct Pki {
    ours: Authority,
    server: Identity,
    client: Identity,
    stranger: Identity,
}

fn pki(place: &Place) -> Pki {
    let ours = Authority::create(&place.folder.join("ours"), "ours").expect("an authority");
    let theirs = Authority::create(&place.folder.join("theirs"), "theirs").expect("an authority");
    Pki {
        server: ours.issue(&place.folder.join("server"), "audit").expect("a certificate"),
        client: ours.issue(&place.folder.join("client"), "adapter").expect("a certificate"),
        stranger: theirs.issue(&place.folder.join("stranger"), "adapter").expect("a certificate"),
        ours,
    }
}

fn with_tls(place: &mut Place, pki: &Pki, client: &Identity, address: SocketAddr) {
    place.settings.url = Some(format!("syslog+tls://localhost:{}", address.port()));
    place.settings.ca = Some(pki.ours.certificate.clone());
    place.settings.client_certificate = Some(client.certificate.clone());
    place.settings.client_key = Some(client.key.clone());
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_records_wait_for_their_receiver_and_come_in_order() {
    let mut place = Place::new("tls");
    let pki = pki(&place);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    with_tls(&mut place, &pki, &pki.client, address);
    let carrier = place.start();
    until("a failure is told", || place.backlog.health().failing.is_some()).await;
    let health = place.backlog.health();
    assert_eq!(health.target.as_deref(), Some("syslog+tls"));
    assert_eq!(health.waiting_bytes.to_string(), place.size());
    assert_eq!(health.failing.expect("a failure").kind, "refused");
    assert_eq!(place.sent(), "");

    let listener = TcpListener::bind(address).await.expect("the port again");
    let (received, task) = receiver(listener, &pki.server, &pki.ours, 0).await;
    until("all arrive", || place.sent() == place.size()).await;
    let arrived: Vec<String> =
        received.frames.lock().unwrap().iter().map(|frame| parts(frame, "IHE+DICOM")).collect();
    assert_eq!(arrived, place.messages(Schema::Dicom), "all, once, in order");
    until("all is well", || place.backlog.health().failing.is_none()).await;
    assert_eq!(place.backlog.health().waiting_bytes, 0);
    carrier.abort();
    task.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_records_come_again_unless_the_receiver_ended_in_order() {
    let mut place = Place::new("broken");
    let pki = pki(&place);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    with_tls(&mut place, &pki, &pki.client, listener.local_addr().expect("an address"));
    place.settings.format = AuditFormat::Rfc3881;
    let (received, task) = receiver(listener, &pki.server, &pki.ours, 1).await;
    let carrier = place.start();
    until("all arrive", || place.sent() == place.size()).await;
    let arrived: Vec<String> =
        received.frames.lock().unwrap().iter().map(|frame| parts(frame, "IHE+RFC-3881")).collect();
    let expected = place.messages(Schema::Rfc3881);
    assert_eq!(arrived, [expected.clone(), expected].concat(), "all of them twice");
    carrier.abort();
    task.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_a_stranger_delivers_nothing() {
    let mut place = Place::new("stranger");
    let pki = pki(&place);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    with_tls(&mut place, &pki, &pki.stranger, listener.local_addr().expect("an address"));
    let (received, task) = receiver(listener, &pki.server, &pki.ours, 0).await;
    let carrier = place.start();
    until("a failure is told", || place.backlog.health().failing.is_some()).await;
    assert_eq!(place.backlog.health().failing.expect("a failure").kind, "tls");
    assert_eq!((place.sent().as_str(), received.connections.load(Ordering::SeqCst)), ("", 0));
    carrier.abort();
    task.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn over_udp_records_arrive_and_what_is_no_record_is_told() {
    let mut place = Place::new("udp");
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let address = socket.local_addr().expect("an address");
    drop(socket);
    place.settings.url = Some(format!("syslog+udp://{address}"));
    // A line that is no record holds nothing up.
    let file = place.settings.file.clone().expect("a file");
    let text = std::fs::read_to_string(&file).expect("records");
    std::fs::write(&file, format!("{{}}\n{text}")).expect("records");
    let carrier = place.start();
    until("nobody listens", || place.backlog.health().failing.is_some()).await;
    let socket = UdpSocket::bind(address).await.expect("the port again");
    let mut buffer = vec![0; 65_536];
    let mut arrived = Vec::new();
    for _ in 0..3 {
        let length = tokio::time::timeout(Duration::from_secs(60), socket.recv(&mut buffer)).await;
        arrived.push(parts(&buffer[..length.expect("in time").expect("a datagram")], "IHE+DICOM"));
    }
    assert_eq!(arrived, place.messages(Schema::Dicom));
    until("all is well", || place.backlog.health().failing.is_none()).await;
    let health = place.backlog.health();
    assert_eq!((health.target.as_deref(), health.refused, health.waiting_bytes), (Some("syslog+udp"), 1, 0));
    assert_eq!(place.sent(), place.size());
    carrier.abort();
}

#[tokio::test]
async fn addresses_and_files_are_checked_at_the_start() {
    let place = Place::new("settings");
    let pki = pki(&place);
    let ca = Some(pki.ours.certificate.clone());
    let cases = [
        ("syslog+tls://audit.example", None, "syslog+tls needs AUDIT_CA"),
        ("syslog+tls://audit.example", ca.clone(), ""),
        ("syslog+tls://[::1]:6514", ca.clone(), ""),
        ("syslog+udp://audit.example", None, ""),
        ("syslog+tcp://audit.example:1", ca.clone(), "syslog+tls://host:port"),
        ("syslog+udp://audit.example:many", None, "syslog+tls://host:port"),
        ("syslog+udp://", None, "syslog+tls://host:port"),
        ("syslog+udp://user@audit.example", None, "syslog+tls://host:port"),
        ("audit.example", ca, "no URL"),
    ];
    for (url, ca, expected) in cases {
        let settings = AuditSettings { url: Some(url.into()), ca, ..place.settings.clone() };
        let started = forward("mpi-adapter", &settings, &TlsSettings::default(), &Arc::default());
        match started {
            Ok(carrier) => {
                carrier.expect("a task").abort();
                assert_eq!(expected, "", "{url}");
            }
            Err(error) => assert!(!expected.is_empty() && error.0.contains(expected), "{url}: {error}"),
        }
    }
    let no_file =
        AuditSettings { url: Some("syslog+udp://audit.example".into()), ..AuditSettings::default() };
    assert!(forward("mpi-adapter", &no_file, &TlsSettings::default(), &Arc::default()).is_err());
}
