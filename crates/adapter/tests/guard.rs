//! The breaker, `Retry-After`, and what an operator is told of a system.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use adapter::{
    TransportKind, Trouble,
    guard::{Guard, Limits, WINDOW},
    http::{Body, Call, Client, HttpSettings, Login},
    tls::{Connector, TlsSettings},
};
use hospital::failure::Failure;
use messaging::health::BreakerState;
use stand::peer::{Act, Peer, Protocol, http};
use tokio::sync::Notify;

fn limits(retries: u32, failures: u32) -> Limits {
    Limits { retries, failures, pause: Duration::from_secs(600), ..Limits::new(1) }
}

async fn ask(guard: &Guard, fails: bool) -> Result<(), Trouble> {
    let result = if fails { Err(Trouble::Transport(TransportKind::Closed)) } else { Ok(()) };
    guard.query("test", || std::future::ready(result.clone())).await
}

#[tokio::test]
async fn the_breaker_opens_in_a_row_and_for_more_than_half() {
    // Nobody fails so often in a row, but two of three fail.
    let guard = Guard::new("test", limits(0, 5));
    for at in 0..WINDOW {
        assert!(guard.is_healthy(), "after {at}");
        let _ = ask(&guard, at % 3 != 2).await;
    }
    assert!(!guard.is_healthy());
    assert!(matches!(ask(&guard, false).await, Err(Trouble::Open(_))));
    // Half is not more than half, however long.
    let guard = Guard::new("test", limits(0, 5));
    for at in 0..5 * WINDOW {
        let _ = ask(&guard, at % 2 == 0).await;
        assert!(guard.is_healthy(), "after {at}");
    }
    // What failed long ago does not count.
    for at in 0..2 * WINDOW {
        let _ = ask(&guard, false).await;
        assert!(guard.is_healthy(), "after {at}");
    }
    for at in 0..5 {
        assert!(guard.is_healthy(), "after {at}");
        let _ = ask(&guard, true).await;
    }
    assert!(!guard.is_healthy(), "five in a row");
    // Refusals and states of a protocol are answers.
    let guard = Guard::new("test", limits(0, 1));
    for failure in [
        Trouble::Failure(Failure::Rejected(Box::default())),
        Trouble::Failure(Failure::Unavailable(Box::default())),
        Trouble::Away { status: 503, after: None },
    ] {
        let result: Result<(), _> = guard.query("test", || std::future::ready(Err(failure.clone()))).await;
        assert_eq!(result, Err(failure));
        assert!(guard.is_healthy());
    }
}

#[tokio::test]
async fn a_probe_that_fails_opens_again_and_one_that_does_not_closes() {
    let guard = Guard::new("test", Limits { pause: Duration::ZERO, ..limits(0, 5) });
    for at in 0..WINDOW {
        let _ = ask(&guard, at % 3 != 2).await;
    }
    assert_eq!(guard.health().breaker, BreakerState::HalfOpen, "without a pause the next one is a probe");
    let _ = ask(&guard, true).await;
    assert!(!guard.is_healthy());
    assert_eq!(ask(&guard, false).await, Ok(()));
    assert_eq!(guard.health().breaker, BreakerState::Closed);
    // The window begins anew.
    let _ = ask(&guard, true).await;
    assert!(guard.is_healthy());
}

#[tokio::test]
async fn an_operator_sees_places_waiting_and_what_happened_last() {
    let guard = Arc::new(Guard::new("test", Limits { failures: 2, ..limits(0, 2) }));
    let health = guard.health();
    assert_eq!((health.name.as_str(), health.places, health.in_use, health.waiting), ("test", 1, 0, 0));
    assert_eq!(
        (health.breaker, health.last_success_ms, health.last_failure),
        (BreakerState::Closed, None, None)
    );
    let go = Arc::new(Notify::new());
    let asked: Vec<_> = (0..2)
        .map(|_| {
            let (guard, go) = (Arc::clone(&guard), Arc::clone(&go));
            tokio::spawn(async move {
                guard
                    .query("test", || async {
                        go.notified().await;
                        Ok(())
                    })
                    .await
            })
        })
        .collect();
    let started = Instant::now();
    while (guard.health().in_use, guard.health().waiting) != (1, 1) {
        assert!(started.elapsed() < Duration::from_secs(30), "{:?}", guard.health());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // One that gives up waits no longer.
    asked[1].abort();
    asked[0].abort();
    while (guard.health().in_use, guard.health().waiting) != (0, 0) {
        assert!(started.elapsed() < Duration::from_secs(30), "{:?}", guard.health());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(ask(&guard, false).await, Ok(()));
    assert!(guard.health().last_success_ms.is_some());
    let _ = ask(&guard, true).await;
    let _ = ask(&guard, true).await;
    let health = guard.health();
    assert_eq!(health.breaker, BreakerState::Open);
    assert!(health.next_try_ms.is_some_and(|wait| wait > 0 && wait <= 600_000));
    assert_eq!(health.last_failure.expect("a failure").kind, "closed");
}

#[tokio::test]
async fn retry_after_is_honoured_and_other_failures_are_answers() {
    let answers: [(&str, usize, &str); 6] = [
        // Asked again, not before the time it asked for.
        ("429 Busy\r\nretry-after: 1", 2, "ok"),
        ("503 Away", 2, "ok"),
        ("503 Away\r\nretry-after: Fri, 01 Jan 2021 00:00:00 GMT", 2, "ok"),
        // Longer than anybody waits.
        ("503 Away\r\nretry-after: 3600", 1, "unavailable"),
        ("503 Away\r\nretry-after: Fri, 01 Jan 2100 00:00:00 GMT", 1, "unavailable"),
        ("500 Broken", 1, "500"),
    ];
    for (first, requests, expected) in answers {
        let peer = Peer::start(Protocol::Http, None, move |_, number| match number {
            0 => Act::Send(format!("HTTP/1.1 {first}\r\ncontent-length: 0\r\n\r\n").into_bytes()),
            _ => Act::Send(http(200, "text/plain", "")),
        })
        .await
        .expect("a peer");
        let tls = TlsSettings { allow_plaintext: true, ..TlsSettings::default() };
        let connector = Connector::new(&tls, Duration::from_secs(5)).expect("a connector");
        let settings =
            HttpSettings { answer_timeout: Duration::from_secs(30), max_answer: 1000, login: Login::None };
        let client = Client::new(connector, settings);
        let call = Call {
            method: ::http::Method::GET,
            url: format!("http://{}/", peer.address),
            content_type: None,
            accept: "text/plain",
            body: Body::new(),
            prefer: None,
        };
        let guard = Guard::new("test", limits(2, 5));
        let (started, tries) = (Instant::now(), AtomicUsize::new(0));
        let result = guard
            .query("test", || async {
                tries.fetch_add(1, Ordering::Relaxed);
                client.send(&call).await
            })
            .await;
        let described = match &result {
            Ok(answer) if answer.status == 200 => "ok".to_owned(),
            Ok(answer) => answer.status.to_string(),
            Err(trouble) => trouble.outcome().to_owned(),
        };
        assert_eq!((described.as_str(), tries.load(Ordering::Relaxed)), (expected, requests), "{first}");
        assert_eq!(peer.requests(), requests, "{first}");
        if first.ends_with("retry-after: 1") {
            assert!(started.elapsed() >= Duration::from_secs(1), "not before its time");
        }
    }
}
