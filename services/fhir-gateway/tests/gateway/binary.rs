//! Binaries: streamed both ways in constant memory, resumed by range, readable as their context is.
use std::{net::SocketAddr, process::Stdio};

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use stand::ServiceProcess;
use tokio::process::Command;
use uuid::Uuid;

use crate::{
    JSON, bind,
    client::{Answer, Client},
    open, text,
    world::{Replica, World, until_async},
};

/// Header lines of a request.
type Headers<'a> = &'a [(&'a str, &'a str)];

const MIB: u64 = 1024 * 1024;
/// What the gateway's memory may grow by at its peak, whatever the size of a Binary. Holding the 64 MiB
/// of the smaller test once would be more.
const MAX_GROWTH_KIB: u64 = 40 * 1024;

/// A gateway as a process of its own, so that its memory can be seen.
struct Gateway {
    process: ServiceProcess,
    address: SocketAddr,
}

impl Gateway {
    async fn start(world: &World, further: &[(&str, &str)]) -> Self {
        let mut settings = world.settings();
        settings.extend(further.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let setting = |name: &str| settings.iter().find(|(known, _)| known == name).unwrap().1.clone();
        let address: SocketAddr = setting("DSF_GATEWAY_LISTEN").parse().unwrap();
        let ready = std::path::PathBuf::from(setting("DSF_GATEWAY_READY_FILE"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_fhir-gateway"));
        command.env_clear().envs(settings).stdin(Stdio::null());
        let log = world.folder.join(format!("gateway-{}.log", address.port()));
        let mut process = ServiceProcess::spawn("gateway", &mut command, &log).unwrap();
        process.wait_until(crate::world::PATIENCE, || ready.exists()).await.unwrap();
        Self { process, address }
    }

    /// Largest resident memory so far, in KiB.
    fn peak(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.pid().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

/// The test's data: every 64 KiB block differs from the others, and none is a multiple of another.
fn block(number: u64) -> Bytes {
    let seed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut state = seed;
    let mut bytes = Vec::with_capacity(64 * 1024);
    for _ in 0..8 * 1024 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.into()
}

fn content(size: u64) -> impl Iterator<Item = Bytes> {
    (0..size.div_ceil(64 * 1024)).map(move |number| {
        let rest = size - number * 64 * 1024;
        let block = block(number);
        block.slice(..usize::try_from(rest).unwrap_or(usize::MAX).min(block.len()))
    })
}

/// Sends a request with a streamed body; the answer's body is still to be read.
async fn send(
    client: &Client,
    address: SocketAddr,
    line: &str,
    headers: &[(&str, &str)],
    body: impl Iterator<Item = Bytes> + Send + 'static,
) -> Result<Response<Incoming>> {
    send_stream(client, address, line, headers, stream::iter(body)).await
}

/// The same with a body that is waited for. A chunk that is ready and empty must not repeat: hyper would ask for the
/// next one for ever instead of sending what it has.
async fn send_stream(
    client: &Client,
    address: SocketAddr,
    line: &str,
    headers: &[(&str, &str)],
    body: impl Stream<Item = Bytes> + Send + 'static,
) -> Result<Response<Incoming>> {
    let stream = client.connect(address, b"").await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (method, path) = line.split_once(' ').context("method and path")?;
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = body.map(|chunk| Ok::<_, std::io::Error>(Frame::data(chunk)));
    Ok(sender.send_request(request.body(StreamBody::new(body))?).await?)
}

/// Length and hash of a body, taking at most `limit` bytes of it.
async fn digest(mut body: Incoming, limit: u64, hash: &mut Sha256) -> u64 {
    let mut length = 0;
    while length < limit
        && let Some(frame) = body.frame().await
    {
        let data = frame.unwrap().into_data().unwrap();
        let taken = usize::try_from(limit - length).unwrap_or(usize::MAX).min(data.len());
        hash.update(&data[..taken]);
        length += taken as u64;
    }
    length
}

fn header<'a, B>(response: &'a Response<B>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// A resource of ours that a Binary can have as context, with a read tag.
async fn context(client: &Client, address: SocketAddr, tag: &str) -> String {
    let patient = json!({"resourceType": "Patient", "meta": {"tag": [
        {"system": "http://dsf.dev/fhir/CodeSystem/read-access-tag", "code": tag}]}});
    let headers = [("content-type", JSON), ("accept", JSON)];
    let created =
        client.ask(address, "POST /fhir/Patient", &headers, patient.to_string().as_bytes()).await.unwrap();
    assert_eq!(created.status, 201, "{}", created.body);
    let created: Value = serde_json::from_str(&created.body).unwrap();
    format!("Patient/{}", created["id"].as_str().unwrap())
}

/// Path of the version a write has made.
fn path(location: &str) -> String {
    let (_, path) = location.split_once("/fhir/").unwrap();
    format!("/fhir/{path}")
}

async fn round_trip(size: u64) {
    let world = World::start().await;
    let gateway = Gateway::start(&world, &[]).await;
    let address = gateway.address;
    let local = Client::new(&world.authority, Some(&world.local));
    let context = context(&local, address, "LOCAL").await;
    let headers = [("content-type", "application/zip"), ("x-security-context", context.as_str())];
    let expected = content(size).fold(Sha256::new(), |hash, block| hash.chain_update(&block)).finalize();
    // Everything that is allocated once is allocated now.
    let small = send(&local, address, "POST /fhir/Binary", &headers, content(MIB)).await.unwrap();
    assert_eq!(small.status(), 201);
    let get = [("accept", "*/*")];
    let line = format!("GET {}", path(header(&small, "location")));
    let read = send(&local, address, &line, &get, content(0)).await.unwrap();
    digest(read.into_body(), u64::MAX, &mut Sha256::new()).await;
    let before = gateway.peak();

    let created = send(&local, address, "POST /fhir/Binary", &headers, content(size)).await.unwrap();
    assert_eq!(created.status(), 201);
    let version = path(header(&created, "location"));
    let current = version.split("/_history").next().unwrap().to_owned();
    let line = format!("HEAD {current}");
    let head = send(&local, address, &line, &get, content(0)).await.unwrap();
    let seen = ["content-length", "accept-ranges", "content-type", "etag", "x-security-context"]
        .map(|name| header(&head, name));
    let length = size.to_string();
    assert_eq!(seen, [length.as_str(), "bytes", "application/zip", "W/\"1\"", context.as_str()]);

    // A download breaks in the middle and goes on where it was.
    let read = send(&local, address, &format!("GET {current}"), &get, content(0)).await.unwrap();
    assert_eq!((read.status(), header(&read, "content-length")), (StatusCode::OK, length.as_str()));
    let mut hash = Sha256::new();
    let had = digest(read.into_body(), size / 2 + 4711, &mut hash).await;
    let range = format!("bytes={had}-");
    let resume = [("accept", "*/*"), ("range", range.as_str()), ("if-range", "W/\"1\"")];
    let rest = send(&local, address, &format!("GET {current}"), &resume, content(0)).await.unwrap();
    assert_eq!(rest.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(header(&rest, "content-range"), format!("bytes {had}-{}/{size}", size - 1));
    let further = digest(rest.into_body(), u64::MAX, &mut hash).await;
    assert_eq!((had + further, hash.finalize()), (size, expected), "the data come back as they were sent");

    let grown = gateway.peak() - before;
    assert!(grown < MAX_GROWTH_KIB, "the gateway grew by {grown} KiB for a Binary of {size} bytes");
    println!("{size} bytes: the gateway's peak memory grew by {grown} KiB from {before} KiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn binaries_are_streamed_in_constant_memory() {
    round_trip(64 * MIB).await;
}

/// Only in `make test-large`: takes minutes and 5 GB of disk.
#[tokio::test(flavor = "multi_thread")]
async fn binaries_of_4_gib_are_streamed_in_constant_memory() {
    if std::env::var_os("DSF_TEST_LARGE").is_some() {
        round_trip(4096 * MIB).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn binaries_are_read_in_parts_and_forms_by_whom_their_context_admits() {
    const SIZE: u64 = 700_001;
    let world = World::start().await;
    let gateway = Replica::start(world.config()).await;
    let local = Client::new(&world.authority, Some(&world.local));
    let remote = Client::new(&world.authority, Some(&world.remote));
    let whole: Vec<u8> = content(SIZE).flatten().collect();
    let (open, closed) =
        tokio::join!(context(&local, gateway.address, "ALL"), context(&local, gateway.address, "LOCAL"));
    let create = async |context: &str, content_type: &str, size: u64| {
        let headers = [("content-type", content_type), ("x-security-context", context)];
        let created = send(&local, gateway.address, "POST /fhir/Binary", &headers, content(size)).await;
        let created = created.unwrap();
        assert_eq!(created.status(), 201);
        path(header(&created, "location")).split("/_history").next().unwrap().to_owned()
    };
    let get = async |client: &Client, path: &str, headers: &[(&str, &str)]| {
        let answer =
            send(client, gateway.address, &format!("GET {path}"), headers, content(0)).await.unwrap();
        let (parts, body) = answer.into_parts();
        (parts.status.as_u16(), parts.headers, body.collect().await.unwrap().to_bytes())
    };

    // Ranges, of data beside the resource and within it.
    for size in [SIZE, 1000] {
        let path = create(&open, "text/csv", size).await;
        let all = &whole[..usize::try_from(size).unwrap()];
        let last = size - 1;
        let table = [
            ("bytes=0-0", 206, 0..1),
            ("bytes=255-999", 206, 255..1000),
            ("bytes=-7", 206, size - 7..size),
            ("bytes=400-", 206, 400..size),
            ("bytes=9999999-", 416, 0..0),
            ("bytes=1-2,5-6", 200, 0..size),
        ];
        for (range, status, expected) in table {
            let (seen, headers, body) = get(&remote, &path, &[("accept", "text/*"), ("range", range)]).await;
            let part = usize::try_from(expected.start).unwrap()..usize::try_from(expected.end).unwrap();
            assert_eq!(seen, status, "{range} of {size}");
            assert!(body == all[part], "{range} of {size}: other bytes");
            let content_range = match status {
                206 => Some(format!("bytes {}-{}/{size}", expected.start, expected.end - 1)),
                416 => Some(format!("bytes */{size}")),
                _ => None,
            };
            assert_eq!(
                headers.get("content-range").map(|value| value.to_str().unwrap().to_owned()),
                content_range
            );
        }
        let (_, headers, _) = get(&remote, &path, &[]).await;
        let modified = headers["last-modified"].to_str().unwrap();
        assert!(headers["content-disposition"].to_str().unwrap().ends_with(".csv"));
        for (condition, status) in [
            ("W/\"1\"", 206),
            ("W/\"2\"", 200),
            ("\"1\"", 200),
            (modified, 206),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 200),
        ] {
            let headers = [("range", "bytes=1-2"), ("if-range", condition)];
            assert_eq!(get(&remote, &path, &headers).await.0, status, "If-Range: {condition}");
        }
        let (_, _, part) = get(&remote, &path, &[("range", &format!("bytes={last}-{last}"))]).await;
        assert!(part == all[all.len() - 1..]);

        // The FHIR form has the same data, in both formats.
        let (status, headers, body) = get(&remote, &path, &[("accept", JSON)]).await;
        assert_eq!((status, headers["content-length"].to_str().unwrap()), (200, &*body.len().to_string()));
        let resource: Value = serde_json::from_slice(&body).unwrap();
        assert!(STANDARD.decode(resource["data"].as_str().unwrap()).unwrap() == all);
        let (_, _, xml) = get(&remote, &path, &[("accept", "application/fhir+xml")]).await;
        let limits = fhir::Limits::default();
        let xml = fhir::parse_with(&xml, fhir::Format::Xml, &limits).unwrap();
        assert!(xml.text("data") == resource["data"].as_str(), "XML has the same data");
        assert_eq!(get(&remote, &path, &[("accept", "image/png")]).await.0, 406);
    }

    // Read rights are those of the context.
    let hidden = create(&closed, "text/plain", SIZE).await;
    for headers in [vec![], vec![("accept", JSON)], vec![("range", "bytes=0-1")]] {
        assert_eq!(get(&remote, &hidden, &headers).await.0, 403, "{headers:?}");
    }
    assert_eq!(get(&local, &hidden, &[]).await.0, 200);
    let (_, headers, _) = get(&local, &format!("{hidden}?_format=inline"), &[]).await;
    assert!(headers["content-disposition"].to_str().unwrap().starts_with("inline;"));
    assert!(headers["content-security-policy"].to_str().unwrap().contains("sandbox"));

    // The FHIR form creates and updates; versions keep their own data.
    let form = |id: Option<&str>, data: &[u8]| {
        json!({"resourceType": "Binary", "id": id, "contentType": "text/plain",
            "securityContext": {"reference": open}, "data": STANDARD.encode(data)})
        .to_string()
    };
    let headers = [("content-type", JSON), ("accept", JSON)];
    let ask = async |line: &str, body: String| -> Answer {
        local.ask(gateway.address, line, &headers, body.as_bytes()).await.unwrap()
    };
    let created = ask("POST /fhir/Binary", form(None, &whole)).await;
    assert_eq!(created.status, 201);
    let resource: Value = serde_json::from_str(&created.body).unwrap();
    assert!(resource["data"].as_str() == Some(&STANDARD.encode(&whole)), "what was sent comes back");
    let id = resource["id"].as_str().unwrap();
    let updated = ask(&format!("PUT /fhir/Binary/{id}"), form(Some(id), b"short")).await;
    assert_eq!(updated.status, 200, "{}", updated.body);
    let binary = format!("/fhir/Binary/{id}");
    assert!(get(&local, &binary, &[]).await.2 == "short");
    assert!(get(&local, &format!("{binary}/_history/1"), &[]).await.2 == whole);

    // Refused before the body is read.
    let plain = ("content-type", "text/plain");
    let table: [(&str, Headers<'_>, u16); 7] = [
        ("POST /fhir/Binary", &[plain], 400),
        ("POST /fhir/Binary", &[plain, ("x-security-context", " ")], 400),
        ("POST /fhir/Binary", &[plain, ("x-security-context", &open), ("x-security-context", &open)], 400),
        ("POST /fhir/Binary", &[plain, ("x-security-context", "Task/1")], 403),
        ("POST /fhir/Binary", &[plain, ("x-security-context", &format!("Patient/{}", Uuid::new_v4()))], 403),
        (&format!("PUT {binary}"), &[plain, ("x-security-context", &open)], 400),
        ("PUT /fhir/Binary?contentType=text/plain", &[plain, ("x-security-context", &open)], 415),
    ];
    for (line, headers, status) in table {
        for size in [10, 100_000] {
            let answer = send(&local, gateway.address, line, headers, content(size)).await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{line} {headers:?} with {size} bytes");
        }
    }
    let by_remote = [plain, ("x-security-context", open.as_str())];
    let answer = send(&remote, gateway.address, "POST /fhir/Binary", &by_remote, content(100_000)).await;
    assert_eq!(answer.unwrap().status(), 403, "remote organizations create no Binaries");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_or_removed_leaves_no_data() {
    let world = World::start().await;
    let mut config = world.config();
    config.max_binary = MIB;
    let gateway = Replica::start(config).await;
    let local = Client::new(&world.authority, Some(&world.local));
    let context = context(&local, gateway.address, "ALL").await;
    let headers = [("content-type", "text/plain"), ("x-security-context", context.as_str())];
    let pieces = async || -> i64 {
        let client = world.store.pool().get().await.unwrap();
        client.query_one("SELECT count(*) FROM binary_chunk", &[]).await.unwrap().get(0)
    };

    let fits = send(&local, gateway.address, "POST /fhir/Binary", &headers, content(MIB)).await.unwrap();
    assert_eq!(fits.status(), 201);
    let kept = pieces().await;
    assert!(kept > 1);
    let client = world.store.pool().get().await.unwrap();
    let open: i64 = client.query_one("SELECT count(*) FROM binary_upload", &[]).await.unwrap().get(0);
    assert_eq!(open, 0, "a finished upload is no upload any more");
    let large = send(&local, gateway.address, "POST /fhir/Binary", &headers, content(MIB + 1)).await.unwrap();
    assert_eq!(large.status(), 413);
    until_async("the pieces of the refused upload are gone", async || (pieces().await == kept).then_some(()))
        .await;

    // A client that goes away in the middle.
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    // Then nothing more, until it is seen that the upload has begun.
    let end = stream::once(async move {
        let _ = stopped.await;
        Bytes::new()
    });
    let unfinished = stream::iter(content(MIB * 3 / 4)).chain(end);
    // It announces more than it sends.
    let announced = MIB.to_string();
    let broken = [headers[0], headers[1], ("content-length", announced.as_str())];
    let going = send_stream(&local, gateway.address, "POST /fhir/Binary", &broken, unfinished);
    let watching = async {
        until_async("the upload has begun", async || (pieces().await > kept).then_some(())).await;
        drop(stop);
    };
    let (answer, ()) = tokio::join!(going, watching);
    assert!(answer.is_err());
    until_async("the pieces of the broken upload are gone", async || (pieces().await == kept).then_some(()))
        .await;

    // An upload whose gateway died is swept; one that has become a version never is.
    let session = world.store.session().await.unwrap();
    session.add_chunk(Uuid::new_v4(), 0, b"left behind").await.unwrap();
    client
        .execute(
            "INSERT INTO binary_upload SELECT DISTINCT data_id FROM resource WHERE data_id IS NOT NULL",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(session.remove_abandoned(std::time::Duration::ZERO).await.unwrap(), 2);
    assert_eq!(pieces().await, kept);

    // Data go with their version, whoever removes it.
    client.execute("DELETE FROM resource WHERE type = 'Binary'", &[]).await.unwrap();
    assert_eq!(pieces().await, 0);
    gateway.stop().await;
}

/// Among other resources a Binary has its data as long as one answer holds them; beyond it says that they
/// are missing. By itself it is always whole.
#[tokio::test(flavor = "multi_thread")]
async fn binaries_among_others_have_their_data() {
    let world = World::start().await;
    let gateway = Replica::start(world.config()).await;
    let address = gateway.address;
    let local = Client::new(&world.authority, Some(&world.local));
    let context = context(&local, address, "LOCAL").await;
    let mut sockets = Vec::new();
    for payload in [JSON, "application/fhir+xml"] {
        let subscription = json!({
            "resourceType": "Subscription", "status": "active", "reason": "test", "criteria": "Binary",
            "channel": {"type": "websocket", "payload": payload},
        });
        let subscription = world.write(&subscription, None, 1, Vec::new()).await;
        let mut socket = open(&world, &world.local, &gateway).await;
        bind(&mut socket, subscription).await;
        sockets.push((payload, socket));
    }
    let mut ids = Vec::new();
    // A small one, one of several pieces, one that no answer has room for.
    for size in [1000, 700_000, 5 * MIB] {
        let headers = [("content-type", "application/zip"), ("x-security-context", context.as_str())];
        let created = send(&local, address, "POST /fhir/Binary", &headers, content(size)).await.unwrap();
        assert_eq!(created.status(), 201);
        let location = header(&created, "location").to_owned();
        ids.push(location.split('/').nth_back(2).unwrap().to_owned());
        // Subscribers get the same (contract 7): the whole resource as far as there is room.
        for (payload, socket) in &mut sockets {
            let frame = text(socket).await;
            let format = if *payload == JSON { fhir::Format::Json } else { fhir::Format::Xml };
            let frame = fhir::parse(frame.as_bytes(), format).unwrap();
            assert_eq!(frame.text("id"), ids.last().map(String::as_str), "{payload}, {size} bytes");
            let expected: Vec<u8> = content(size).flatten().collect();
            let (data, tag) = (frame.text("data"), frame.text("meta.tag.code"));
            match size <= MIB {
                true => assert!(
                    data == Some(STANDARD.encode(expected).as_str()) && tag.is_none(),
                    "{payload}, {size} bytes: {tag:?}"
                ),
                false => assert_eq!((data, tag), (None, Some("SUBSETTED")), "{payload}, {size} bytes"),
            }
        }
    }
    let ask = async |line: &str, body: &str| -> Value {
        let headers = [("content-type", JSON), ("accept", JSON)];
        let answer = local.ask(address, line, &headers, body.as_bytes()).await.unwrap();
        assert_eq!(answer.status, 200, "{line}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    };
    let gets: Vec<Value> =
        ids.iter().map(|id| json!({"request": {"method": "GET", "url": format!("Binary/{id}")}})).collect();
    let bundle = |kind: &str| json!({"resourceType": "Bundle", "type": kind, "entry": gets}).to_string();
    let answers = [
        ("search", ask("GET /fhir/Binary?_sort=_lastUpdated", "").await),
        ("history", ask("GET /fhir/Binary/_history", "").await),
        ("batch", ask("POST /fhir/", &bundle("batch")).await),
        ("transaction", ask("POST /fhir/", &bundle("transaction")).await),
    ];
    for (what, answer) in answers {
        let entries = answer["entry"].as_array().unwrap();
        let of = |id: &String| &entries.iter().find(|entry| entry["resource"]["id"] == **id).expect(what)["resource"];
        for (id, size) in ids.iter().zip([1000, 700_000]) {
            let expected: Vec<u8> = content(size).flatten().collect();
            assert_eq!(of(id)["data"], STANDARD.encode(expected), "{what}");
            assert!(of(id)["meta"]["tag"].is_null(), "{what}");
        }
        let large = of(&ids[2]);
        assert!(large["data"].is_null(), "{what}");
        assert_eq!(large["meta"]["tag"][0]["code"], "SUBSETTED", "{what}");
    }
    let summary = ask("GET /fhir/Binary?_summary=true", "").await;
    assert!(summary["entry"].as_array().unwrap().iter().all(|entry| entry["resource"]["data"].is_null()));
    gateway.stop().await;
}
