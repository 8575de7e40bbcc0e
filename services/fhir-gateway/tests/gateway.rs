//! The gateway as clients see it, against real PostgreSQL and NATS servers: TLS, identity, negotiation,
//! limits, WebSockets, replicas, outages.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]

#[path = "gateway/binary.rs"]
mod binary;
#[path = "gateway/client.rs"]
mod client;
#[path = "gateway/corpus.rs"]
mod corpus;
#[path = "gateway/pages.rs"]
mod pages;
#[path = "gateway/search_form.rs"]
mod search_form;
#[path = "gateway/subscriptions.rs"]
mod subscriptions;
#[path = "gateway/world.rs"]
mod world;

use std::time::Duration;

use bytes::Bytes;
use client::{Client, exchange, request};
use fhir_gateway::store::NewEvent;
use futures_util::{SinkExt, StreamExt};
use messaging::{
    event::ResourceEvent,
    seal,
    subject::{self, Lane},
};
use rustls::HandshakeKind;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use tokio_tungstenite::tungstenite::{Message, protocol::frame::coding::CloseCode};
use uuid::Uuid;
use world::{LOCAL, PATIENCE, Replica, World, organization, until_async};

const JSON: &str = "application/fhir+json";

#[tokio::test(flavor = "multi_thread")]
async fn callers_are_known_by_their_certificate() {
    let world = World::start().await;
    let gateway = Replica::start(world.config()).await;
    let other = stand::Authority::create(&world.folder.join("other"), "another CA").unwrap();
    let foreign = other.issue(&world.folder.join("foreign"), "foreign.test").unwrap();
    let expired = world
        .authority
        .issue_valid(&world.folder.join("expired"), "expired.test", time::Duration::days(-2))
        .unwrap();
    let revoked = world.authority.issue(&world.folder.join("revoked"), "revoked.test").unwrap();
    let unknown = world.authority.issue(&world.folder.join("unknown"), "unknown.test").unwrap();

    // Not a certificate of the configured CAs, or not any more: an alert, no HTTP.
    for (name, identity) in [("foreign CA", &foreign), ("expired", &expired)] {
        let answer = Client::new(&world.authority, Some(identity))
            .ask(gateway.address, "GET /fhir/metadata", &[], b"")
            .await;
        let error = format!("{:#}", answer.expect_err(name));
        assert!(error.contains("alert"), "{name}: expected a TLS alert, got {error}");
    }

    // Nobody we know: 403, exactly like the public implementation.
    let anonymous = Client::new(&world.authority, None);
    let pem = std::fs::read_to_string(&world.local.certificate).unwrap().replace('\n', " ");
    for (name, client) in
        [("anonymous", &anonymous), ("unknown", &Client::new(&world.authority, Some(&unknown)))]
    {
        for line in ["GET /fhir/metadata", "GET /nowhere", "POST /fhir/Task"] {
            let answer = client.ask(gateway.address, line, &[("x-clientcert", &pem)], b"").await.unwrap();
            let seen = (answer.status.as_u16(), answer.body.as_str(), answer.header("cache-control"));
            assert_eq!(seen, (403, "", Some("must-revalidate,no-cache,no-store")), "{name} {line}");
        }
    }

    // Known organizations get through; a second claim to a certificate makes it worthless.
    let local = Client::new(&world.authority, Some(&world.local));
    let remote = Client::new(&world.authority, Some(&world.remote));
    for client in [&local, &remote] {
        assert_eq!(
            client.ask(gateway.address, "GET /fhir/", &[("accept", JSON)], b"").await.unwrap().status,
            405
        );
    }
    let twin =
        world.write(&organization("twin.test", &world.remote.thumbprint, true), None, 1, Vec::new()).await;
    refused(&remote, &gateway, "two organizations claim the certificate").await;
    world.write(&organization("twin.test", &world.remote.thumbprint, false), Some(twin), 2, Vec::new()).await;
    until_async("only one organization has the certificate", async || {
        (status(&remote, &gateway).await == 405).then_some(())
    })
    .await;

    // Revocation reaches a running gateway, also clients that hold a session.
    let holder = Client::new(&world.authority, Some(&revoked));
    assert_eq!(status(&holder, &gateway).await, 403, "not revoked yet, but not known");
    let (_, kind) = holder.send(gateway.address, request("GET /fhir/", &[], b"")).await.unwrap();
    assert_eq!(kind, HandshakeKind::Resumed, "the second connection resumes the session");
    let idle = holder.connect(gateway.address, b"").await.unwrap();
    world.authority.revoke(&revoked).unwrap();
    until_async("the revoked certificate is refused", async || {
        holder.ask(gateway.address, "GET /fhir/", &[], b"").await.is_err().then_some(())
    })
    .await;
    let (answer, _) = exchange(idle, request("GET /fhir/", &[], b"")).await.unwrap();
    assert_eq!(answer.status, 403, "an open connection of a revoked certificate is worth nothing");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_negotiated_and_bounded() {
    let world = World::start().await;
    let mut config = world.config();
    // Long enough for a whole body on a machine that is busy with other tests.
    config.body_timeout = config::Duration::secs(3);
    config.idle_timeout = config::Duration::millis(700);
    config.header_timeout = config::Duration::millis(700);
    let gateway = Replica::start(config).await;
    let local = Client::new(&world.authority, Some(&world.local));

    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], u16, &'a str);
    let table: [Row<'_>; 13] = [
        ("GET /fhir", &[("accept", JSON)], 405, "application/fhir+json;charset=UTF-8"),
        ("GET /fhir/", &[], 405, "application/fhir+xml;charset=UTF-8"),
        ("GET /fhir/?_format=json", &[("accept", "text/csv")], 405, "application/fhir+json;charset=UTF-8"),
        ("GET /fhir/Task", &[("accept", "text/csv")], 406, ""),
        ("GET /fhir/Task?_format=yaml", &[], 415, ""),
        ("POST /fhir/Task", &[("content-type", "text/plain")], 415, ""),
        ("POST /fhir/Task/", &[("content-type", "text/plain")], 415, ""),
        ("PATCH /fhir/Task/1", &[], 405, ""),
        ("DELETE /fhir/metadata", &[], 405, ""),
        ("OPTIONS /fhir/Task", &[], 200, ""),
        ("GET /fhir/Nothing", &[], 404, ""),
        ("GET /fhirother/Task", &[], 404, ""),
        ("GET /fhir/ws", &[], 404, ""),
    ];
    for (line, headers, status, content_type) in table {
        let answer = local.ask(gateway.address, line, headers, b"").await.unwrap();
        let seen = (answer.status.as_u16(), answer.header("content-type").unwrap_or_default());
        assert_eq!(seen, (status, content_type), "{line} {headers:?}");
        assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()), "{line}");
        if status == 405 {
            assert!(answer.header("allow").is_some(), "{line} must say what is allowed");
        }
    }

    // 10 MiB are read, one byte more is not, with and without a length.
    let body = |length: usize| vec![b' '; length];
    const LIMIT: usize = 10 * 1024 * 1024;
    let post = [("content-type", JSON), ("accept", JSON)];
    let fits = local.ask(gateway.address, "POST /fhir/Task", &post, &body(LIMIT)).await.unwrap();
    assert_ne!(fits.status, 413, "10 MiB must be read");
    let chunks = |length: usize| vec![Bytes::from(body(length / 2)), Bytes::from(body(length - length / 2))];
    let answer = local.post_chunked(gateway.address, "/fhir/Task", chunks(LIMIT)).await.unwrap();
    assert_ne!(answer.status, 413, "10 MiB in chunks must be read");
    let answer = local.post_chunked(gateway.address, "/fhir/Task", chunks(LIMIT + 1)).await.unwrap();
    assert_eq!(answer.status, 413, "one byte too many in chunks");
    let announced = format!(
        "POST /fhir/Task HTTP/1.1\r\nhost: localhost\r\ncontent-type: {JSON}\r\ncontent-length: {}\r\n\r\n",
        LIMIT + 1
    );
    assert_eq!(
        raw(&local, &gateway, &announced).await,
        "HTTP/1.1 413 Payload Too Large",
        "one byte too many"
    );

    // Slow clients are told or dropped.
    let slow = format!(
        "POST /fhir/Task HTTP/1.1\r\nhost: localhost\r\ncontent-type: {JSON}\r\ncontent-length: 10\r\n\r\nabc"
    );
    assert_eq!(raw(&local, &gateway, &slow).await, "HTTP/1.1 408 Request Timeout", "slow body");
    assert_eq!(raw(&local, &gateway, "GET /fhir/ HTTP/1.1\r\nhos").await, "", "slow headers");
    assert_eq!(raw(&local, &gateway, "").await, "", "a connection that says nothing");
    gateway.stop().await;
}

/// A refusal is often ready before the body is there. What the client still sends is read, so that it gets
/// its answer, and can go on with the connection.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_may_finish_sending() {
    let world = World::start().await;
    let gateway = Replica::start(world.config()).await;
    for (who, identity) in [("nobody", None), ("a page of others", Some(&world.local))] {
        let client = Client::new(&world.authority, identity);
        let mut stream = client.connect(gateway.address, b"").await.unwrap();
        for turn in 0..2 {
            let head = format!(
                "POST /fhir/Task HTTP/1.1\r\nhost: localhost\r\norigin: https://elsewhere.test\r\n\
                 content-type: {JSON}\r\ncontent-length: 2\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            // Time to answer too early: without it the gateway has the body when it looks.
            let early = timeout(Duration::from_millis(200), stream.read_u8()).await;
            assert!(early.is_err(), "{who}, turn {turn}: answered before the body was there");
            stream.write_all(b"{}").await.unwrap();
            let mut answer = vec![0; 4096];
            let read = timeout(PATIENCE, stream.read(&mut answer)).await.unwrap().unwrap();
            let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
            assert!(answer.starts_with("HTTP/1.1 403 Forbidden"), "{who}, turn {turn}: {answer:?}");
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_sessions_and_proxies_name_the_origin() {
    let world = World::start().await;
    let (one, two) = tokio::join!(Replica::start(world.config()), Replica::start(world.config()));
    let local = Client::new(&world.authority, Some(&world.local));
    let kind = async |replica: &Replica| {
        let (answer, kind) = local.send(replica.address, request("GET /fhir/", &[], b"")).await.unwrap();
        assert_eq!(answer.status, 405, "the caller is known in every kind of handshake");
        kind
    };
    assert_eq!(kind(&one).await, HandshakeKind::Full);
    assert_eq!(kind(&one).await, HandshakeKind::Resumed);
    assert_eq!(kind(&two).await, HandshakeKind::Resumed, "the other replica reads the ticket");

    let mut config = world.config();
    config.proxies = vec!["127.0.0.1".parse().unwrap()];
    let behind = Replica::start(config).await;
    assert!(local.connect(behind.address, b"").await.is_err(), "a proxy must send a header");
    let stream =
        local.connect(behind.address, b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n").await.unwrap();
    let (answer, _) = exchange(stream, request("GET /fhir/", &[], b"")).await.unwrap();
    assert_eq!(answer.status, 405);
    let direct = local.connect(one.address, b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n").await;
    assert!(direct.is_err(), "nobody but a configured proxy may send a header");
    for replica in [one, two, behind] {
        replica.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_hear_of_changes_of_all_replicas() {
    let world = World::start().await;
    let gateway = Replica::start(world.config()).await;
    let subscription = |payload: Option<&str>| {
        json!({
            "resourceType": "Subscription", "status": "active", "reason": "test", "criteria": "Task?status=requested",
            "channel": {"type": "websocket", "payload": payload},
        })
    };
    let json_id = world.write(&subscription(Some(JSON)), None, 1, Vec::new()).await;
    let xml_id = world.write(&subscription(Some("application/fhir+xml")), None, 1, Vec::new()).await;
    let ping_id = world.write(&subscription(None), None, 1, Vec::new()).await;

    let mut forbidden = open(&world, &world.remote, &gateway).await;
    assert_eq!(
        close_code(&mut forbidden).await,
        Some(CloseCode::Policy),
        "remote organizations may not subscribe"
    );
    let mut lost = open(&world, &world.local, &gateway).await;
    lost.send(Message::text(format!("bind {}", Uuid::new_v4()))).await.unwrap();
    assert_eq!(close_code(&mut lost).await, Some(CloseCode::Unsupported), "unknown Subscription");

    let mut socket = open(&world, &world.local, &gateway).await;
    socket.send(Message::text("hello")).await.unwrap();
    bind(&mut socket, json_id).await;
    // What other replicas commit arrives as a notice; only what matches is passed on, and only once.
    let nats = world.nats().await;
    let draft = world.write(&task("draft"), None, 1, Vec::new()).await;
    let requested = world.write(&task("requested"), None, 1, Vec::new()).await;
    for id in [draft, requested, requested] {
        let event = notice(id, 1);
        nats.client().publish(subject::changed("Task"), seal::seal(&event).unwrap().into()).await.unwrap();
    }
    let frame = text(&mut socket).await;
    let resource: Value = serde_json::from_str(&frame).unwrap();
    assert_eq!(resource["id"], requested.to_string(), "the draft does not match the criteria");
    assert_eq!(resource["meta"]["versionId"], "1");
    assert!(!frame.contains('\n'), "compact, in one frame");

    // The same notice again said nothing: the next frames are the ones of the further Subscriptions.
    bind(&mut socket, xml_id).await;
    bind(&mut socket, ping_id).await;
    let next = world.write(&task("requested"), None, 1, Vec::new()).await;
    nats.client()
        .publish(subject::changed("Task"), seal::seal(&notice(next, 1)).unwrap().into())
        .await
        .unwrap();
    let mut frames = [text(&mut socket).await, text(&mut socket).await, text(&mut socket).await];
    frames.sort();
    assert!(frames[0].starts_with("<Task xmlns=\"http://hl7.org/fhir\""), "XML payload: {}", frames[0]);
    assert_eq!(frames[1], format!("ping {ping_id}"), "no payload type: a ping");
    assert!(frames[2].contains(&next.to_string()), "JSON payload");

    // An organization that is taken off the list loses its sockets.
    let mut gone = open(&world, &world.local, &gateway).await;
    bind(&mut gone, json_id).await;
    let session = world.store.session().await.unwrap();
    let local = session
        .all("Organization")
        .await
        .unwrap()
        .into_iter()
        .find(|found| String::from_utf8_lossy(&found.content).contains(LOCAL))
        .unwrap();
    world.write(&organization(LOCAL, &world.local.thumbprint, false), Some(local.id), 2, Vec::new()).await;
    assert_eq!(close_code(&mut gone).await, Some(CloseCode::Policy), "credentials are not valid any more");
    world.write(&organization(LOCAL, &world.local.thumbprint, true), Some(local.id), 3, Vec::new()).await;

    // A gateway that stops drops the connection without a close frame: clients then catch up.
    let mut last = until_async("the organization is known again", async || {
        let mut socket = try_open(&world, &world.local, &gateway).await?;
        socket.send(Message::text(format!("bind {json_id}"))).await.ok()?;
        timeout(PATIENCE, socket.next()).await.ok()??.ok()?.is_text().then_some(socket)
    })
    .await;
    gateway.stop().await;
    loop {
        match timeout(PATIENCE, last.next()).await.expect("the socket ends") {
            Some(Ok(Message::Close(frame))) => panic!("a close frame was sent: {frame:?}"),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => break,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn outages_are_survived_and_events_are_not_lost() {
    let mut world = World::start().await;
    let gateway = Replica::start(world.config()).await;
    let local = Client::new(&world.authority, Some(&world.local));
    assert_eq!(status(&local, &gateway).await, 405);

    // Without NATS requests work, and what was written waits in the outbox, even if NATS lost everything.
    world.nats.kill().await;
    world.nats.lose_everything().unwrap();
    assert_eq!(status(&local, &gateway).await, 405);
    let id = Uuid::new_v4();
    let event = NewEvent {
        subject: subject::event("Task", Some("requested"), Lane::New),
        payload: seal::seal(&notice(id, 1)).unwrap(),
        traceparent: None,
    };
    world.write(&task("requested"), Some(id), 1, vec![event]).await;
    world.nats.restart().await.unwrap();
    until_async("the outbox is empty", async || {
        (world.store.outbox_size().await.unwrap() == 0).then_some(())
    })
    .await;
    let stream = async_nats::jetstream::new(world.nats().await.client().clone());
    let state = stream.get_stream("EVENTS").await.unwrap().cached_info().state.clone();
    assert_eq!(state.messages, 1, "the event is in the stream, once");

    // Without PostgreSQL clients are told to come again, and the gateway recovers by itself.
    world.postgres.kill().await;
    let answer = until_async("the gateway notices", async || {
        let answer = local.ask(gateway.address, "GET /fhir/Task", &[("accept", JSON)], b"").await.unwrap();
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert!(answer.header("retry-after").is_some(), "503 says when to come again");
    world.postgres.restart().await.unwrap();
    until_async("the gateway recovers", async || (status(&local, &gateway).await == 405).then_some(())).await;
    gateway.stop().await;
}

fn task(status: &str) -> Value {
    let party = json!({"type": "Organization", "identifier": {"system": "http://dsf.dev/sid/organization-identifier", "value": LOCAL}});
    json!({"resourceType": "Task", "status": status, "intent": "order", "requester": party, "restriction": {"recipient": [party]}})
}

fn notice(id: Uuid, version: u64) -> ResourceEvent {
    ResourceEvent { resource_type: "Task".into(), id: id.to_string(), version, status: None, deleted: false }
}

/// Status of a request that needs nothing but a known caller.
async fn status(client: &Client, gateway: &Replica) -> u16 {
    client.ask(gateway.address, "GET /fhir/", &[("accept", JSON)], b"").await.unwrap().status.as_u16()
}

async fn refused(client: &Client, gateway: &Replica, why: &str) {
    until_async(why, async || (status(client, gateway).await == 403).then_some(())).await;
}

/// First line of the answer to raw bytes; empty where the connection ends without one.
async fn raw(client: &Client, gateway: &Replica, bytes: &str) -> String {
    let mut stream = client.connect(gateway.address, b"").await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read =
        timeout(PATIENCE, stream.read(&mut answer)).await.expect("an answer or the end in time").unwrap_or(0);
    String::from_utf8_lossy(&answer[..read]).lines().next().unwrap_or_default().to_owned()
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_rustls::client::TlsStream<tokio::net::TcpStream>>;

async fn try_open(world: &World, identity: &stand::Identity, gateway: &Replica) -> Option<Socket> {
    let stream = Client::new(&world.authority, Some(identity)).connect(gateway.address, b"").await.ok()?;
    let (socket, answer) = tokio_tungstenite::client_async("wss://localhost/fhir/ws", stream).await.ok()?;
    assert!(answer.headers().get("sec-websocket-extensions").is_none());
    Some(socket)
}

async fn open(world: &World, identity: &stand::Identity, gateway: &Replica) -> Socket {
    try_open(world, identity, gateway).await.expect("the upgrade is accepted")
}

async fn text(socket: &mut Socket) -> String {
    loop {
        let message = timeout(PATIENCE, socket.next())
            .await
            .expect("a frame in time")
            .expect("the socket is open")
            .unwrap();
        if let Message::Text(text) = message {
            return text.to_string();
        }
    }
}

async fn bind(socket: &mut Socket, id: Uuid) {
    socket.send(Message::text(format!("bind {id}"))).await.unwrap();
    assert_eq!(text(socket).await, format!("bound {id}"));
}

async fn close_code(socket: &mut Socket) -> Option<CloseCode> {
    loop {
        match timeout(Duration::from_secs(20), socket.next()).await.expect("the socket ends in time")? {
            Ok(Message::Close(frame)) => return frame.map(|frame| frame.code),
            Ok(_) => {}
            Err(_) => return None,
        }
    }
}
