//! The back ends against a peer that answers, and one that misbehaves: nothing is kept that was not
//! permitted.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]
use std::{collections::BTreeMap, sync::Arc, time::Duration};

use adapter::audit::{Audit, Parties, noting};
use hospital::{ser, soap::Envelope, xacml};
use messaging::{engine::Reply, hospital::DecideRequest};
use pdp_adapter::{Backend, Cache, Config, PREFIX, Question, Service};
use stand::peer::{Act, Peer, Protocol, http};

const SYSTEM: &str = "urn:oid:2.999.1.10";

fn config(backend: &str, address: &str) -> Config {
    let all = [
        ("SITE", "site-a"),
        ("BACKEND", backend),
        ("ADDRESS", address),
        ("ALLOW_PLAINTEXT", "true"),
        ("RETRIES", "0"),
        ("BREAKER_FAILURES", "100"),
        ("ANSWER_TIMEOUT", "2s"),
        ("MAX_ANSWER", "200000"),
        ("IDENTIFIER_SYSTEM", SYSTEM),
        ("NATS_URLS", "nats://nowhere"),
    ];
    config::load_from(PREFIX, None, all.map(|(name, value)| (format!("{PREFIX}_{name}"), value.to_owned())))
        .expect("settings")
}

fn service(backend: &str, peer: &Peer, life: Duration) -> Arc<Service> {
    let backend =
        Backend::new(&config(backend, &format!("http://{}/pdp", peer.address))).expect("a back end");
    let parties = Parties {
        site: "site-a".into(),
        service: "pdp-adapter",
        server: "pdp",
        address: String::new(),
        applications: None,
    };
    Arc::new(Service::new(backend, Cache::new(life), Audit::new(parties, None).expect("audit")))
}

fn ask(purpose: &str, records: &[&str]) -> DecideRequest {
    DecideRequest {
        request_id: "r1".into(),
        subject: "dsf.site-b.example".into(),
        purpose: purpose.into(),
        project: None,
        records: records.iter().map(|id| (*id).to_owned()).collect(),
    }
}

/// What came out, in one line.
async fn outcome(service: &Arc<Service>, request: DecideRequest) -> String {
    match Arc::clone(service).decide(request).await {
        Reply::Ok(reply) => {
            let all: BTreeMap<_, _> = reply.decisions.iter().map(|(id, one)| (id, &one.reason)).collect();
            format!("kept {:?} of {all:?}", reply.kept)
        }
        Reply::Invalid(reason) => format!("invalid: {reason}"),
        Reply::Unavailable(reason) => format!("unavailable: {reason}"),
    }
}

fn body(bytes: &[u8]) -> &[u8] {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| &bytes[at + 4..]).unwrap_or_default()
}

/// A XACML answer to our request: one decision per record.
fn xacml_answer(bytes: &[u8], decide: impl Fn(&str) -> &'static str) -> String {
    let request = xacml::Request::read(body(bytes)).expect("our own request");
    assert!(request.include_in_result, "ids must come back");
    assert!(request.resources.len() <= xacml::MAX_RECORDS);
    let results: Vec<String> = request
        .resources
        .iter()
        .map(|id| {
            format!(
                r#"{{"Decision":"{}","Category":[{{"CategoryId":"urn:oasis:names:tc:xacml:3.0:attribute-category:resource","Attribute":[{{"AttributeId":"urn:oasis:names:tc:xacml:1.0:resource:resource-id","Value":"{id}"}}]}}]}}"#,
                decide(id)
            )
        })
        .collect();
    format!(r#"{{"Response":[{}]}}"#, results.join(","))
}

fn saml_answer(bytes: &[u8], beside: &str, decision: &str) -> String {
    let envelope = Envelope::read(body(bytes)).expect("our own envelope");
    let query = ser::Request::read(&envelope).expect("our own query");
    let results: String = query
        .resources
        .iter()
        .map(|(id, _)| {
            format!("<c:Result ResourceId=\"{id}\"><c:Decision>{decision}</c:Decision></c:Result>")
        })
        .collect();
    format!(
        "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\"><s:Body>\
         <p:Response xmlns:p=\"urn:oasis:names:tc:SAML:2.0:protocol\" xmlns:a=\"urn:oasis:names:tc:SAML:2.0:assertion\" InResponseTo=\"{}\">\
         <p:Status><p:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:Success\"/></p:Status>{beside}<a:Assertion>\
         <a:Statement xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:t=\"urn:oasis:xacml:2.0:saml:assertion:schema:os\" i:type=\"t:XACMLAuthzDecisionStatementType\">\
         <c:Response xmlns:c=\"urn:oasis:names:tc:xacml:2.0:context:schema:os\">{results}</c:Response></a:Statement></a:Assertion></p:Response></s:Body></s:Envelope>",
        query.id.unwrap_or_default()
    )
}

fn consent(person: &str, kind: &str, codes: &[u32]) -> String {
    let codings: Vec<String> = codes
        .iter()
        .map(|code| format!(r#"{{"coding":[{{"system":"urn:oid:2.16.840.1.113883.3.1937.777.24.5.3","code":"2.16.840.1.113883.3.1937.777.24.5.3.{code}"}}]}}"#))
        .collect();
    format!(
        r#"{{"resource":{{"resourceType":"Consent","status":"active","dateTime":"2023-01-15","patient":{{"identifier":{{"system":"{SYSTEM}","value":"{person}"}}}},"provision":{{"type":"{kind}","period":{{"start":"2020-01-01","end":"2199-01-01"}},"code":[{}]}}}}}}"#,
        codings.join(",")
    )
}

fn bundle(entries: &[String]) -> String {
    format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{}]}}"#, entries.join(","))
}

/// Which person a consent question is about.
fn person(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(body(bytes)).into_owned();
    ["ada", "bob", "eve", "nobody"]
        .iter()
        .find(|name| text.contains(*name))
        .map(|name| (*name).to_owned())
        .unwrap_or_default()
}

fn fhir_json(status: u16, body: &str) -> Act {
    Act::Send(http(status, "application/fhir+json", body))
}

#[tokio::test]
async fn permits_are_kept_and_everything_else_is_not() {
    let peer = Peer::start(Protocol::Http, None, |bytes, _| {
        let decide = |id: &str| match id {
            "ada" => "Permit",
            "eve" => "NotApplicable",
            _ => "Deny",
        };
        Act::Send(http(200, "application/xacml+json", &xacml_answer(bytes, decide)))
    })
    .await
    .expect("a peer");
    let xacml = service("xacml", &peer, Duration::ZERO);
    assert_eq!(
        outcome(&xacml, ask("feasibility", &["bob", "ada", "eve", "ada"])).await,
        r#"kept ["ada", "ada"] of {"ada": "consent", "bob": "policy", "eve": "policy"}"#
    );
    // More records than one request may hold.
    let many: Vec<String> = (0..xacml::MAX_RECORDS + 1).map(|at| format!("r{at}")).collect();
    let before = peer.requests();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(outcome(&xacml, ask("feasibility", &many)).await.starts_with("kept [] of"));
    assert_eq!(peer.requests(), before + 2);

    let peer = Peer::start(Protocol::Http, None, |bytes, _| {
        Act::Send(http(200, "application/soap+xml", &saml_answer(bytes, "", "Permit")))
    })
    .await
    .expect("a peer");
    let ser = service("ser", &peer, Duration::ZERO);
    assert_eq!(outcome(&ser, ask("feasibility", &["ada"])).await, r#"kept ["ada"] of {"ada": "consent"}"#);

    for backend in ["fhir-consent", "gics"] {
        let peer = Peer::start(Protocol::Http, None, |bytes, _| match person(bytes).as_str() {
            "ada" => fhir_json(200, &bundle(&[consent("ada", "permit", &[6, 7, 8])])),
            "bob" => fhir_json(200, &bundle(&[consent("bob", "permit", &[8]), consent("bob", "deny", &[8])])),
            "eve" => fhir_json(200, &bundle(&[consent("eve", "permit", &[8])])),
            _ => fhir_json(200, &bundle(&[])),
        })
        .await
        .expect("a peer");
        let service = service(backend, &peer, Duration::ZERO);
        assert_eq!(
            outcome(&service, ask("feasibility", &["ada", "bob", "eve", "nobody"])).await,
            r#"kept ["ada", "eve"] of {"ada": "consent", "bob": "no-consent", "eve": "consent", "nobody": "no-consent"}"#,
            "{backend}"
        );
        assert_eq!(
            outcome(&service, ask("data-sharing", &["ada", "eve"])).await,
            r#"kept ["ada"] of {"ada": "consent", "eve": "no-consent"}"#,
            "{backend}"
        );
        assert!(
            outcome(&service, ask("data-sharing+record-linkage", &["ada"])).await.starts_with("kept []"),
            "{backend}"
        );
        assert!(outcome(&service, ask("curiosity", &["ada"])).await.starts_with("invalid"), "{backend}");
    }
    let deny = service("deny-all", &peer, Duration::ZERO);
    assert_eq!(outcome(&deny, ask("feasibility", &["ada"])).await, r#"kept [] of {"ada": "policy"}"#);
}

#[tokio::test]
async fn every_fault_fails_the_whole_check() {
    type Make = fn(&[u8]) -> Act;
    let all = ["xacml", "ser", "fhir-consent", "gics"];
    let of_all: Vec<(&'static str, Make)> = vec![
        ("timeout", |_| Act::Silent),
        ("timeout", |_| Act::Drip(http(200, "application/json", "{}"), Duration::from_millis(200))),
        ("closed", |_| Act::SendAndClose(Vec::new())),
        ("closed", |_| Act::SendAndClose(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{".to_vec())),
        ("malformed", |_| Act::Send(http(200, "text/html", "log in"))),
        ("too-large", |_| Act::Send(http(200, "application/json", &" ".repeat(300_000)))),
        ("unavailable", |_| Act::Send(http(503, "text/plain", ""))),
        ("charset", |_| Act::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n\"\xff\"".to_vec())),
    ];
    let mut cases: Vec<(&'static str, &'static str, Make)> = Vec::new();
    for backend in all {
        cases.extend(of_all.iter().map(|(expected, make)| (backend, *expected, *make)));
    }
    let own: [(&'static str, &'static str, Make); 11] = [
        ("xacml", "unavailable", |bytes| {
            let decide = |id: &str| if id == "bob" { "Indeterminate" } else { "Permit" };
            Act::Send(http(200, "application/xacml+json", &xacml_answer(bytes, decide)))
        }),
        ("xacml", "malformed", |bytes| {
            Act::Send(http(200, "application/xacml+json", &xacml_answer(bytes, |_| "Sure")))
        }),
        ("xacml", "malformed", |_| {
            Act::Send(http(
                200,
                "application/json",
                r#"{"Response":[{"Decision":"Deny","Decision":"Permit"}]}"#,
            ))
        }),
        ("ser", "dtd-forbidden", |bytes| {
            let text = format!(
                "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>{}",
                saml_answer(bytes, "", "Permit")
            );
            Act::Send(http(200, "application/soap+xml", &text))
        }),
        ("ser", "dtd-forbidden", |_| {
            Act::Send(http(
                200,
                "application/soap+xml",
                "<!DOCTYPE a [<!ENTITY b \"ha\"><!ENTITY c \"&b;&b;\">]><a>&c;</a>",
            ))
        }),
        ("ser", "statement-wrapped", |bytes| {
            Act::Send(http(
                200,
                "application/soap+xml",
                &saml_answer(bytes, "<p:Extensions><a:Assertion/></p:Extensions>", "Permit"),
            ))
        }),
        ("ser", "control-id-mismatch", |bytes| {
            Act::Send(http(
                200,
                "application/soap+xml",
                &saml_answer(bytes, "", "Permit").replace("InResponseTo=\"", "InResponseTo=\"x"),
            ))
        }),
        ("ser", "unavailable", |bytes| {
            Act::Send(http(200, "application/soap+xml", &saml_answer(bytes, "", "Indeterminate")))
        }),
        ("fhir-consent", "person-mismatch", |_| {
            fhir_json(200, &bundle(&[consent("mallory", "permit", &[8])]))
        }),
        ("gics", "person-mismatch", |_| fhir_json(200, &bundle(&[consent("mallory", "permit", &[8])]))),
        ("fhir-consent", "malformed", |_| {
            fhir_json(
                200,
                r#"{"resourceType":"Bundle","link":[{"relation":"next","url":"http://elsewhere/x"}]}"#,
            )
        }),
    ];
    cases.extend(own);
    let runs = cases.into_iter().enumerate().map(|(at, (backend, expected, make))| async move {
        let peer = Peer::start(Protocol::Http, None, move |bytes, _| make(bytes)).await.expect("a peer");
        let service = service(backend, &peer, Duration::from_secs(60));
        let found = outcome(&service, ask("feasibility", &["ada", "bob"])).await;
        let wanted = format!("unavailable: consent could not be decided ({expected})");
        assert!(found.starts_with(&wanted), "case {at}, {backend}: {found}, expected {expected}");
        // A failure is not remembered as a decision.
        drop(peer);
        let found = outcome(&service, ask("feasibility", &["ada"])).await;
        assert!(found.starts_with("unavailable"), "case {at}, {backend}, gone: {found}");
    });
    futures_util::future::join_all(runs).await;
}

#[tokio::test]
async fn a_revocation_takes_effect_at_once() {
    let peer = Peer::start(Protocol::Http, None, |bytes, number| {
        let decide = move |_: &str| if number == 0 { "Permit" } else { "Deny" };
        Act::Send(http(200, "application/xacml+json", &xacml_answer(bytes, decide)))
    })
    .await
    .expect("a peer");
    let service = service("xacml", &peer, Duration::from_secs(60));
    let kept = r#"kept ["ada", "bob"]"#;
    assert!(outcome(&service, ask("feasibility", &["ada", "bob"])).await.starts_with(kept));
    assert!(outcome(&service, ask("feasibility", &["ada", "bob"])).await.starts_with(kept));
    assert_eq!(peer.requests(), 1, "the second question is answered from the cache");
    service.cache.revoke(&["bob".to_owned()]);
    assert!(outcome(&service, ask("feasibility", &["ada", "bob"])).await.starts_with(r#"kept ["ada"]"#));
    // Another purpose is another question.
    assert!(outcome(&service, ask("data-sharing", &["ada"])).await.starts_with("kept []"));
    service.cache.revoke(&[]);
    assert!(outcome(&service, ask("feasibility", &["ada"])).await.starts_with("kept []"));
    // An answer that was asked for before a revocation is not kept after it.
    let generation = service.cache.generation();
    service.cache.revoke(&[]);
    service.cache.put(generation, ("s", "p", None, "r"), (true, "consent"));
    assert_eq!(service.cache.get("s", "p", None, "r"), None);
}

#[tokio::test]
async fn audit_records_have_the_questions_without_the_records() {
    for kind in ["xacml", "ser", "fhir-consent", "gics"] {
        let peer = Peer::start(Protocol::Http, None, |_, _| Act::Send(http(500, "text/plain", "")))
            .await
            .expect("a peer");
        let backend =
            Backend::new(&config(kind, &format!("http://{}/pdp", peer.address))).expect("a back end");
        let question = Question {
            subject: "dsf.site-b.example".into(),
            purpose: "feasibility".into(),
            project: None,
            records: vec!["Canary-4711".into()],
        };
        let (decided, query) = noting(backend.decide(&question, time::OffsetDateTime::UNIX_EPOCH)).await;
        assert!(decided.is_err());
        let text = String::from_utf8(query.expect("a query").text).expect("text");
        assert!(text.contains('*') && !text.contains("Canary"), "{kind}: {text}");
    }
}
