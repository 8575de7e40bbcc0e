//! The repository against a stand-in for openEHR REST and FHIR search, and one that misbehaves.
//!
//! The stand-in is ours: it keeps strictly to the requests of ITS-REST 1.0.3 as the contract states
//! them, but it is no openEHR server.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]
use std::{
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use hospital::openehr;
use mdat_adapter::{Config, PREFIX, Repository, Wrong};
use messaging::hospital::{DataRequest, Query};
use stand::peer::{Act, Peer, Protocol, http};

const PATH: &str = "/ehr_status/subject/external_ref/id/value";
const COUNT: &str = "SELECT COUNT(e) FROM EHR e CONTAINS COMPOSITION c WHERE c/x = 1 OR c/x = 2";
/// Records of the stand-in: two pages of two, one row without id.
const RECORDS: [Option<&str>; 5] = [Some("r0"), Some("r1"), None, Some("r3"), Some("r4")];

fn repository(kind: &str, peer: &Peer, more: &[(&str, String)]) -> Repository {
    let mut all = vec![
        ("SITE", "site-a".to_owned()),
        ("BACKEND", kind.to_owned()),
        ("ADDRESS", format!("http://{}/rest", peer.address)),
        ("ALLOW_PLAINTEXT", "true".to_owned()),
        ("RETRIES", "0".to_owned()),
        ("BREAKER_FAILURES", "100".to_owned()),
        ("ANSWER_TIMEOUT", "2s".to_owned()),
        ("MAX_ANSWER", "200000".to_owned()),
        ("IDENTIFIER_SYSTEM", "urn:oid:2.999.1.10".to_owned()),
        ("NATS_URLS", "nats://nowhere".to_owned()),
    ];
    all.extend(more.iter().cloned());
    let all = all.into_iter().map(|(name, value)| (format!("{PREFIX}_{name}"), value));
    let config: Config = config::load_from(PREFIX, None, all).expect("settings");
    Repository::new(&config).expect("a repository")
}

fn ask(query: Query) -> DataRequest {
    DataRequest {
        request_id: "r".into(),
        query,
        parameters: Default::default(),
        consented: None,
        offset: 0,
        limit: None,
    }
}

fn aql(text: &str) -> DataRequest {
    ask(Query::Aql(text.to_owned()))
}

fn body(bytes: &[u8]) -> &[u8] {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| &bytes[at + 4..]).unwrap_or_default()
}

/// Answers queries on the five records.
fn openehr_peer(bytes: &[u8]) -> Act {
    let request = openehr::Request::read(body(bytes)).expect("our own request");
    let q = request.q.clone().unwrap_or_default();
    let consented: Vec<String> = request
        .parameters
        .iter()
        .filter(|(name, _)| name.starts_with("consented"))
        .filter_map(|(_, value)| value.filled())
        .collect();
    for (name, _) in &request.parameters {
        assert!(q.contains(&format!("${name}")), "a parameter that the query does not use is an error");
    }
    if q.starts_with("SELECT COUNT") {
        assert!(request.offset.is_none() && request.fetch.is_none());
        let matches = |record: &&Option<&str>| {
            !q.contains("matches") || record.is_some_and(|id| consented.iter().any(|c| c == id))
        };
        let count = RECORDS.iter().filter(matches).count();
        return Act::Send(http(
            200,
            "application/json",
            &format!(r##"{{"columns":[{{"name":"#0"}}],"rows":[[{count}]]}}"##),
        ));
    }
    let (offset, fetch) = (request.offset.expect("a page") as usize, request.fetch.expect("a page") as usize);
    let rows: Vec<String> = RECORDS
        .iter()
        .skip(offset)
        .take(fetch)
        .map(|id| {
            format!("[{},12345678901234567890.10]", id.map_or("null".to_owned(), |id| format!("\"{id}\"")))
        })
        .collect();
    let text = format!(
        r#"{{"columns":[{{"name":"EHRID","path":"{PATH}"}},{{"name":"m","path":"/m"}}],"rows":[{}]}}"#,
        rows.join(",")
    );
    Act::Send(http(200, "application/json", &text))
}

async fn all_ids(repository: &Repository, mut request: DataRequest) -> (Vec<String>, u64) {
    let (mut ids, mut without) = (Vec::new(), 0);
    request.limit = Some(2);
    loop {
        let page = repository.ids(&request).await.expect("a page");
        ids.extend(page.ids);
        without += page.without_id;
        match page.next {
            Some(next) => request.offset = next,
            None => return (ids, without),
        }
    }
}

#[tokio::test]
async fn both_ways_to_apply_consent_count_the_same() {
    let peer = Peer::start(Protocol::Http, None, |bytes, _| openehr_peer(bytes)).await.expect("a peer");
    let repository = repository("openehr", &peer, &[]);
    assert_eq!(repository.count(&aql(COUNT)).await.expect("a count"), 5);
    assert_eq!(
        all_ids(&repository, aql(COUNT)).await,
        (vec!["r0".into(), "r1".into(), "r3".into(), "r4".into()], 1)
    );
    let sets: [&[&str]; 5] = [&[], &["r1"], &["r0", "r4", "r4"], &["r0", "r1", "r3", "r4"], &["r9", "r3"]];
    for consented in sets {
        let consented: Vec<String> = consented.iter().map(|id| (*id).to_owned()).collect();
        let restricted = DataRequest { consented: Some(consented.clone()), ..aql(COUNT) };
        let by_clause = repository.count(&restricted).await.expect("a count");
        let (by_filter, _) = all_ids(&repository, restricted).await;
        assert_eq!(by_clause, by_filter.len() as u64, "{consented:?}");
    }
    // More ids than one query takes.
    let many: Vec<String> = (0..1200).map(|at| format!("r{at}")).collect();
    let restricted = DataRequest { consented: Some(many), ..aql(COUNT) };
    assert_eq!(repository.count(&restricted).await.expect("a count"), 4);
    let rows = repository.rows(&DataRequest { limit: Some(1), ..aql(COUNT) }).await.expect("rows");
    assert_eq!(rows.rows, r#"[["r0",12345678901234567890.10]]"#, "numbers pass byte for byte");
}

#[tokio::test]
async fn fhir_search_counts_as_it_filters() {
    let pages = |bytes: &[u8], base: &str| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let patient = |id: &str| {
            format!(
                r#"{{"resource":{{"resourceType":"Patient","identifier":[{{"system":"urn:oid:2.999.1.10","value":"{id}"}}]}}}}"#
            )
        };
        let bundle = |entries: &str, next: &str| {
            format!(r#"{{"resourceType":"Bundle","total":3,"link":[{next}],"entry":[{entries}]}}"#)
        };
        if text.contains("_summary=count") {
            return bundle("", "");
        }
        if text.starts_with("GET /rest?page=2") {
            return bundle(&patient("p2"), "");
        }
        bundle(
            &[patient("p0"), patient("p1")].join(","),
            &format!(r#"{{"relation":"next","url":"{base}?page=2"}}"#),
        )
    };
    let peer = Peer::start(Protocol::Http, None, move |bytes, _| {
        let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
        let host =
            text.lines().find_map(|line| line.strip_prefix("host:")).unwrap_or_default().trim().to_owned();
        Act::Send(http(200, "application/fhir+json", &pages(bytes, &format!("http://{host}/rest"))))
    })
    .await
    .expect("a peer");
    let repository = repository("fhir", &peer, &[]);
    let search = ask(Query::FhirSearch("Patient?birthdate=ge1980".into()));
    assert_eq!(repository.count(&search).await.expect("a count"), 3);
    assert_eq!(all_ids(&repository, search.clone()).await.0, ["p0", "p1", "p2"]);
    let restricted = DataRequest { consented: Some(vec!["p2".into(), "x".into()]), ..search };
    assert_eq!(repository.count(&restricted).await.expect("a count"), 1);
    assert_eq!(all_ids(&repository, restricted).await.0, ["p2"]);
    for wrong in
        ["Patient/$everything", "Patient/1", "../Patient", "patient?x=1", "Patient?x=1 y", "Patient?a#b"]
    {
        let refused = repository.count(&ask(Query::FhirSearch(wrong.into()))).await;
        assert!(matches!(refused, Err(Wrong::Request(_))), "{wrong}");
    }
}

#[tokio::test]
async fn only_reading_queries_are_sent() {
    let peer = Peer::start(Protocol::Http, None, |bytes, _| openehr_peer(bytes)).await.expect("a peer");
    let repository = repository("openehr", &peer, &[]);
    for query in [
        "DELETE FROM EHR e",
        "SELECT COUNT(e) FROM EHR e; DROP TABLE ehr",
        "SELECT e/ehr_id/value FROM EHR e",
        "SELECT COUNT(e), e/ehr_id/value FROM EHR e",
    ] {
        assert!(matches!(repository.count(&aql(query)).await, Err(Wrong::Query(_))), "{query}");
    }
    assert!(matches!(
        repository.ids(&aql("SELECT e/x AS EHRID FROM EHR e LIMIT 5")).await,
        Err(Wrong::Query(_))
    ));
    let stored = |name: &str| ask(Query::Stored { name: name.into(), version: None });
    for name in ["../aql", "..", ".", "", "a/b", "a%2Fb", "a?q=b"] {
        assert!(matches!(repository.ids(&stored(name)).await, Err(Wrong::Request(_))), "{name}");
    }
    assert!(matches!(
        repository.ids(&DataRequest { limit: Some(0), ..aql(COUNT) }).await,
        Err(Wrong::Request(_))
    ));
    assert_eq!(peer.requests(), 0, "nothing of this reached the repository");
    assert_eq!(repository.ids(&stored("org.example::cohort")).await.expect("a page").ids.len(), 4);
}

#[tokio::test]
async fn every_fault_has_its_name_and_nothing_is_counted() {
    type Make = fn(&[u8]) -> Act;
    let cases: Vec<(&'static str, Make)> = vec![
        ("timeout", |_| Act::Silent),
        ("timeout", |_| {
            Act::Drip(http(200, "application/json", "{\"rows\":[[5]]}"), Duration::from_millis(200))
        }),
        ("closed", |_| Act::SendAndClose(Vec::new())),
        ("closed", |_| {
            Act::SendAndClose(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"rows\":[[5]]".to_vec())
        }),
        ("malformed", |_| Act::Send(http(200, "text/html", "<html/>"))),
        ("malformed", |_| Act::Send(http(200, "application/json", "{\"rows\":[[5]]"))),
        ("malformed", |_| Act::Send(http(200, "application/json", "{\"rows\":[[5],[6]]}"))),
        ("malformed", |_| Act::Send(http(200, "application/json", "{\"rows\":[[-5]]}"))),
        ("malformed", |_| Act::Send(http(200, "application/json", "{\"rows\":[[5.5]]}"))),
        ("malformed", |_| Act::Send(http(200, "application/json", "{\"rows\":[[1]],\"rows\":[[5]]}"))),
        ("malformed", |_| {
            Act::Send(http(
                200,
                "application/json",
                &format!("{{\"rows\":{}5{}}}", "[".repeat(90), "]".repeat(90)),
            ))
        }),
        ("too-large", |_| Act::Send(http(200, "application/json", &" ".repeat(300_000)))),
        ("charset", |_| Act::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n\"\xff\"".to_vec())),
        ("rejected", |_| {
            Act::Send(http(400, "application/json", "{\"message\":\"no\",\"code\":90000,\"errors\":[]}"))
        }),
        ("rejected", |_| Act::Send(http(401, "application/json", ""))),
        ("rejected", |_| Act::Send(http(302, "application/json", ""))),
        ("unavailable", |_| Act::Send(http(408, "application/json", ""))),
        ("unavailable", |_| Act::Send(http(503, "application/json", ""))),
    ];
    let runs = cases.into_iter().enumerate().map(|(at, (expected, make))| async move {
        let peer = Peer::start(Protocol::Http, None, move |bytes, _| make(bytes)).await.expect("a peer");
        let repository = repository("openehr", &peer, &[]);
        match repository.count(&aql(COUNT)).await {
            Err(Wrong::Trouble(trouble)) => assert_eq!(trouble.outcome(), expected, "case {at}"),
            other => panic!("case {at}: expected {expected}, got {other:?}"),
        }
    });
    futures_util::future::join_all(runs).await;
    let peer = Peer::start(Protocol::Http, None, |_, _| {
        Act::Send(http(200, "application/json", r#"{"columns":[{"name":"ID","path":"/x"}],"rows":[["a"]]}"#))
    })
    .await
    .expect("a peer");
    let missing = repository("openehr", &peer, &[]).ids(&aql(COUNT)).await;
    assert!(matches!(missing, Err(Wrong::Trouble(trouble)) if trouble.outcome() == "id-column-missing"));
    // More rows than asked for cannot be the page that was asked for.
    let peer = Peer::start(Protocol::Http, None, |bytes, _| {
        let mut request = openehr::Request::read(body(bytes)).expect("our own request");
        request.fetch = Some(5);
        openehr_peer(format!("\r\n\r\n{}", request.write()).as_bytes())
    })
    .await
    .expect("a peer");
    let more = repository("openehr", &peer, &[]).ids(&DataRequest { limit: Some(2), ..aql(COUNT) }).await;
    assert!(matches!(more, Err(Wrong::Trouble(trouble)) if trouble.outcome() == "malformed"));
}

#[tokio::test]
async fn logins_are_made_and_renewed() {
    let tokens = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&tokens);
    let server = Peer::start(Protocol::Http, None, move |bytes, _| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        assert!(
            text.contains("authorization: Basic") && text.contains("grant%5Ftype=client%5Fcredentials"),
            "RFC 6749"
        );
        let number = counter.fetch_add(1, Ordering::SeqCst);
        Act::Send(http(
            200,
            "application/json",
            &format!(r#"{{"access_token":"t{number}","token_type":"Bearer","expires_in":3600}}"#),
        ))
    })
    .await
    .expect("a token server");
    let peer = Peer::start(Protocol::Http, None, |bytes, number| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let token = if number < 2 { "Bearer t0" } else { "Bearer t1" };
        // The first token is withdrawn after one use.
        let known = text.contains(&format!("authorization: {token}")) && number != 1;
        if known { openehr_peer(bytes) } else { Act::Send(http(401, "application/json", "")) }
    })
    .await
    .expect("a peer");
    let more = [
        ("TOKEN_URL", format!("http://{}/token", server.address)),
        ("TOKEN_CLIENT", "dsf".to_owned()),
        ("TOKEN_SECRET", "s&cret".to_owned()),
    ];
    let repository = repository("openehr", &peer, &more);
    assert_eq!(repository.count(&aql(COUNT)).await.expect("a count"), 5);
    assert!(repository.count(&aql(COUNT)).await.is_err());
    assert_eq!(repository.count(&aql(COUNT)).await.expect("a count"), 5);
    assert_eq!(tokens.load(Ordering::SeqCst), 2);
}
