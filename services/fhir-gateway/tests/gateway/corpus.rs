//! Replays the corpora of the edges (`fuzz/corpus`): PROXY headers, TLS records, HTTP heads.
use std::{fs, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    JSON,
    client::Client,
    world::{PATIENCE, Replica, World},
};

#[path = "../../../../fuzz/src/edges.rs"]
mod edges;

/// Name and bytes of each file.
fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> = files
        .map(|file| (file.file_name().to_string_lossy().into_owned(), fs::read(file.path()).unwrap()))
        .collect();
    files.sort();
    assert!(files.len() >= 8, "{} holds a corpus", folder.display());
    files
}

#[test]
fn proxy_headers() {
    for (name, bytes) in corpus("proxy") {
        for end in 0..=bytes.len() {
            let read = std::panic::catch_unwind(|| edges::proxy(&bytes[..end]));
            assert!(read.is_ok(), "{name}, the first {end} bytes");
        }
    }
}

/// Whatever a connection begins with, it ends, no request fails inside, and the next client is served.
#[tokio::test(flavor = "multi_thread")]
async fn heads_and_records() {
    let world = World::start().await;
    let mut config = world.config();
    for limit in [&mut config.header_timeout, &mut config.body_timeout, &mut config.idle_timeout] {
        *limit = config::Duration::millis(300);
    }
    let gateway = Replica::start(config).await;
    let local = Client::new(&world.authority, Some(&world.local));
    for (name, bytes) in corpus("http") {
        for end in [bytes.len(), bytes.len() / 2, bytes.len() - 1] {
            let mut stream = local.connect(gateway.address, b"").await.unwrap();
            stream.write_all(&bytes[..end]).await.unwrap();
            let mut answer = Vec::new();
            // A reset is an answer, too; standing still is none.
            let ended = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
            assert!(ended.is_ok(), "{name}, the first {end} bytes: the connection stays open");
            let answer = String::from_utf8_lossy(&answer);
            assert!(!answer.starts_with("HTTP/1.1 5"), "{name}, the first {end} bytes: {answer}");
        }
    }
    for (name, bytes) in corpus("tls") {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let ended = timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "{name}: the connection stays open");
    }
    let served = local.ask(gateway.address, "GET /fhir/metadata", &[("accept", JSON)], b"");
    assert_eq!(timeout(Duration::from_secs(10), served).await.unwrap().unwrap().status, 200);
    gateway.stop().await;
}
