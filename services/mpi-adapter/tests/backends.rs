//! The back ends against a peer that answers, and one that misbehaves in every named way.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]
use std::{path::PathBuf, time::Duration};

use adapter::{TransportKind, Trouble, audit::noting};
use hospital::{
    failure::{Class, Failure},
    hl7v2::{Message, Options, request::Request},
    mllp::frame,
    soap::Envelope,
};
use messaging::hospital::Demographics;
use mpi_adapter::{Backend, Config, Lookup, PREFIX};
use stand::{
    Authority,
    peer::{Act, Peer, Protocol, http, tls},
};

const ID: &str = "4711";
const OID: &str = "2.999.1.10";

fn config(backend: &str, address: &str, more: &[(&str, &str)]) -> Config {
    let base = [
        ("SITE", "site-a"),
        ("BACKEND", backend),
        ("ADDRESS", address),
        ("RECIPIENTS", ""),
        ("AUTHORITY_NAMESPACE", "E"),
        ("AUTHORITY_UNIVERSAL_ID", OID),
        ("AUTHORITY_SYSTEM", "urn:oid:2.999.1.10"),
        ("RETRIES", "0"),
        ("BREAKER_FAILURES", "100"),
        ("ANSWER_TIMEOUT", "2s"),
        ("NATS_URLS", "nats://nowhere"),
        ("SENDER_APPLICATION", "2.999.1.1"),
    ];
    let plain =
        if more.iter().any(|(name, _)| *name == "CA") { vec![] } else { vec![("ALLOW_PLAINTEXT", "true")] };
    let mut all: Vec<(&str, &str)> = base.iter().chain(&plain).copied().collect();
    for (name, value) in more {
        all.retain(|(known, _)| known != name);
        all.push((name, value));
    }
    let all = all.into_iter().map(|(name, value)| (format!("{PREFIX}_{name}"), value.to_owned()));
    config::load_from(PREFIX, None, all).expect("settings")
}

async fn backend(kind: &str, peer: &Peer, more: &[(&str, &str)]) -> Backend {
    let address = match kind {
        "hl7-v2" => peer.address.to_string(),
        _ => format!(
            "http{}://{}/index",
            if more.iter().any(|(n, _)| *n == "CA") { "s" } else { "" },
            peer.address
        ),
    };
    Backend::new(&config(kind, &address, more)).await.expect("a back end")
}

fn request(bytes: &[u8]) -> Request {
    Request::read(&Message::read(bytes, Options::default()).expect("our own message"))
}

/// An RSP to a query of ours: with these PIDs, or with changed ids.
fn rsp(bytes: &[u8], status: &str, rest: &str) -> Vec<u8> {
    let request = request(bytes);
    let (control, tag) = (request.control_id.unwrap_or_default(), request.query_tag.unwrap_or_default());
    let kind = if request.message.starts_with("QBP^Q23") { "RSP^K23^RSP_K23" } else { "RSP^K22^RSP_K21" };
    let ack = if status == "OK" || status == "NF" { "AA" } else { status };
    frame(
        format!("MSH|^~\\&|M|S|D|S|20231114||{kind}|1|P|2.5||||||UNICODE UTF-8\rMSA|{ack}|{control}\r{rest_error}QAK|{tag}|{status}\rQPD|x|{tag}\r{rest_body}",
            rest_error = if rest.starts_with("ERR") { rest } else { "" },
            rest_body = if rest.starts_with("ERR") { "" } else { rest })
        .as_bytes(),
    )
}

fn pid(id: &str) -> String {
    format!("PID|1||{id}^^^E&{OID}&ISO~0815^^^KIS&2.999.1.30&ISO||Grünwald^Lisa||19800307|F\r")
}

fn description(result: &Result<Lookup, Trouble>) -> String {
    match result {
        Ok(Lookup::Person(person)) => format!("person {}", person.last.as_deref().unwrap_or_default()),
        Ok(Lookup::NotFound) => "not-found".to_owned(),
        Ok(Lookup::Ambiguous) => "ambiguous".to_owned(),
        Err(trouble) => trouble.outcome().to_owned(),
    }
}

#[tokio::test]
async fn hl7_v2_answers_mean_what_they_say() {
    let peer = Peer::start(Protocol::Mllp, None, |bytes, _| {
        let request = request(bytes);
        assert!(request.control_id.as_ref().is_some_and(|id| id.len() <= 20), "HL7 2.5 allows 20 characters");
        if request.message.starts_with("QCN") {
            let control = request.control_id.unwrap_or_default();
            return Act::Send(frame(
                format!("MSH|^~\\&|M|S|D|S|2023||ACK^J01^ACK|1|P|2.5\rMSA|AA|{control}\r").as_bytes(),
            ));
        }
        if let Some(source) = &request.source {
            let status = if source.value == ID { "OK" } else { "NF" };
            let person = if source.value == ID { "PID|||0815^^^KIS&2.999.1.30&ISO||~^^^^^^S\r" } else { "" };
            return Act::Send(rsp(bytes, status, person));
        }
        let asked = request.parameters.first().and_then(|(_, value)| value.clone()).unwrap_or_default();
        Act::Send(match (asked.as_str(), request.continuation.as_deref()) {
            (ID, _) => rsp(bytes, "OK", &pid(ID)),
            ("a|b^c", _) => rsp(bytes, "OK", &pid("a\\F\\b\\S\\c")),
            ("twice", _) => rsp(bytes, "OK", &(pid("twice") + &pid("twice"))),
            ("other", _) => rsp(bytes, "OK", &pid(ID)),
            ("refused", _) => rsp(bytes, "AE", "ERR||QPD^1^8^1|204^Unknown Key Identifier^HL70357|E\r"),
            ("broken", _) => rsp(bytes, "AE", "ERR|||207^Application internal error^HL70357|E\r"),
            // One person in two pages.
            ("Paged", None) => rsp(bytes, "OK", "DSC|p1|I\r"),
            ("Paged", Some(_)) => rsp(bytes, "OK", &pid(ID)),
            ("Loop", _) => rsp(bytes, "OK", "DSC|again|I\r"),
            ("Many", _) => rsp(bytes, "OK", &(pid("1") + &pid("2") + "DSC|p1|I\r")),
            _ => rsp(bytes, "NF", ""),
        })
    })
    .await
    .expect("a peer");
    let backend = backend("hl7-v2", &peer, &[]).await;
    for (id, expected) in [
        (ID, "person Grünwald"),
        ("a|b^c", "person Grünwald"),
        ("twice", "ambiguous"),
        ("other", "identifier-missing"),
        ("nobody", "not-found"),
        ("refused", "rejected"),
        ("broken", "unavailable"),
    ] {
        assert_eq!(description(&backend.find(id).await), expected, "{id}");
    }
    for (last, expected) in [
        ("Paged", "person Grünwald"),
        ("Loop", "continuation-loop"),
        ("Many", "ambiguous"),
        ("Nobody", "not-found"),
    ] {
        let known = Demographics { last: Some(last.to_owned()), ..Demographics::default() };
        assert_eq!(description(&backend.match_person(&known).await), expected, "{last}");
    }
    let references = backend.cross_reference(ID, &[]).await.expect("an answer");
    assert_eq!(references.iter().map(|id| id.value.as_str()).collect::<Vec<_>>(), ["0815"]);
    assert!(backend.cross_reference("nobody", &[]).await.expect("an answer").is_empty());
    // Only after an answer that must not be used the connection was given up.
    assert!(peer.connections() < peer.requests() / 2, "{} connections", peer.connections());
}

/// An answer that is as it should be, for the back end.
fn good(kind: &str, bytes: &[u8]) -> Vec<u8> {
    match kind {
        "hl7-v2" => rsp(bytes, "OK", &pid(ID)),
        "fhir" => http(200, "application/fhir+json", &bundle(ID)),
        _ => http(200, "application/soap+xml", &v3(bytes, ID)),
    }
}

fn bundle(id: &str) -> String {
    format!(
        r#"{{"resourceType":"Bundle","type":"searchset","total":1,"entry":[{{"resource":{{"resourceType":"Patient","identifier":[{{"system":"urn:oid:{OID}","value":"{id}"}}],"name":[{{"family":"Grünwald"}}]}}}}]}}"#
    )
}

fn v3(bytes: &[u8], id: &str) -> String {
    let body =
        bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| &bytes[at + 4..]).unwrap_or_default();
    let envelope = Envelope::read(body).expect("our own envelope");
    let query = hospital::v3::Request::read(&envelope).expect("our own query");
    let text = |value: Option<String>| value.unwrap_or_default();
    format!(
        "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" xmlns:w=\"http://www.w3.org/2005/08/addressing\">\
         <s:Header><w:RelatesTo>{}</w:RelatesTo></s:Header><s:Body><PRPA_IN201306UV02 xmlns=\"urn:hl7-org:v3\">\
         <acknowledgement><typeCode code=\"AA\"/><targetMessage><id root=\"{}\"/></targetMessage></acknowledgement>\
         <controlActProcess><subject><registrationEvent><subject1><patient><id root=\"{OID}\" extension=\"{id}\"/>\
         <patientPerson><name><family>Grünwald</family></name></patientPerson></patient></subject1></registrationEvent></subject>\
         <queryAck><queryId extension=\"{}\"/><queryResponseCode code=\"OK\"/></queryAck></controlActProcess>\
         </PRPA_IN201306UV02></s:Body></s:Envelope>",
        text(envelope.message_id),
        text(query.id),
        text(query.query_id.1)
    )
}

#[tokio::test]
async fn every_fault_has_its_name_and_nobody_is_found() {
    type Make = fn(&str, &[u8]) -> Act;
    let half: Make = |kind, bytes| {
        let answer = good(kind, bytes);
        Act::SendAndClose(answer[..answer.len() / 2].to_vec())
    };
    let cases: Vec<(&'static str, &'static str, Make)> = vec![
        ("hl7-v2", "timeout", |_, _| Act::Silent),
        ("fhir", "timeout", |_, _| Act::Silent),
        ("hl7-v3", "timeout", |_, _| Act::Silent),
        ("hl7-v2", "timeout", |kind, bytes| Act::Drip(good(kind, bytes), Duration::from_millis(200))),
        ("fhir", "timeout", |kind, bytes| Act::Drip(good(kind, bytes), Duration::from_millis(200))),
        ("hl7-v2", "closed", |_, _| Act::SendAndClose(Vec::new())),
        ("fhir", "closed", |_, _| Act::SendAndClose(Vec::new())),
        ("hl7-v2", "frame-truncated", half),
        ("fhir", "closed", half),
        ("hl7-v3", "closed", half),
        // Answers to another request.
        ("hl7-v2", "control-id-mismatch", |_, bytes| {
            let answer = String::from_utf8(rsp(bytes, "OK", &pid(ID))).expect("UTF-8");
            let control = request(bytes).control_id.unwrap_or_default();
            Act::Send(answer.replace(&format!("MSA|AA|{control}"), "MSA|AA|stale").into_bytes())
        }),
        ("fhir", "identifier-missing", |_, _| Act::Send(http(200, "application/fhir+json", &bundle("4712")))),
        ("hl7-v3", "control-id-mismatch", |_, bytes| {
            Act::Send(http(
                200,
                "application/soap+xml",
                &v3(bytes, ID).replace("targetMessage><id root=\"", "targetMessage><id root=\"x"),
            ))
        }),
        ("hl7-v3", "control-id-mismatch", |_, bytes| {
            Act::Send(http(
                200,
                "application/soap+xml",
                &v3(bytes, ID).replace("<w:RelatesTo>", "<w:RelatesTo>x"),
            ))
        }),
        // Malformed and hostile.
        ("hl7-v2", "malformed", |_, _| Act::Send(frame(b"not HL7\r"))),
        ("hl7-v2", "segment-terminator", |_, _| Act::Send(frame(b"MSH|^~\\&|\nMSA|AA|1\n"))),
        ("hl7-v2", "charset", |_, _| Act::Send(frame(b"MSH|^~\\&||||||||||||||||UNICODE UTF-8\rPID|\xff\r"))),
        ("hl7-v2", "noise", |_, _| Act::Send(vec![b'x'; 10_000])),
        ("hl7-v2", "frame-too-large", |_, _| Act::Send(frame(&vec![b'x'; 300_000]))),
        ("fhir", "malformed", |_, _| Act::Send(http(200, "text/html", "<html>log in</html>"))),
        ("fhir", "malformed", |_, _| {
            Act::Send(http(200, "application/fhir+json", "{\"resourceType\":\"Bundle\""))
        }),
        ("fhir", "too-large", |_, _| Act::Send(http(200, "application/fhir+json", &" ".repeat(300_000)))),
        ("fhir", "rejected", |_, _| Act::Send(http(302, "text/plain", ""))),
        ("fhir", "rejected", |_, _| Act::Send(http(401, "text/plain", ""))),
        ("fhir", "unavailable", |_, _| Act::Send(http(503, "text/plain", "later"))),
        ("hl7-v3", "dtd-forbidden", |_, bytes| {
            let text =
                format!("<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>{}", v3(bytes, "&x;"));
            Act::Send(http(200, "application/soap+xml", &text))
        }),
        ("hl7-v3", "dtd-forbidden", |_, _| {
            Act::Send(http(
                200,
                "application/soap+xml",
                "<!DOCTYPE a [<!ENTITY b \"ha\"><!ENTITY c \"&b;&b;\">]><a>&c;</a>",
            ))
        }),
        ("hl7-v3", "charset", |_, _| {
            Act::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n<a>\xff</a>".to_vec())
        }),
        ("hl7-v3", "unavailable", |_, _| {
            Act::Send(http(
                500,
                "application/soap+xml",
                "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\"><s:Body><s:Fault><s:Code><s:Value>s:Receiver</s:Value></s:Code></s:Fault></s:Body></s:Envelope>",
            ))
        }),
    ];
    let runs = cases.into_iter().enumerate().map(|(at, (kind, expected, make))| async move {
        let peer = Peer::start(
            if kind == "hl7-v2" { Protocol::Mllp } else { Protocol::Http },
            None,
            move |bytes, _| make(kind, bytes),
        )
        .await
        .expect("a peer");
        let backend = backend(kind, &peer, &[("MAX_ANSWER", "200000")]).await;
        let result = backend.find(ID).await;
        assert_eq!(description(&result), expected, "case {at}, {kind}");
        let outage = result.err().is_some_and(|trouble| trouble.is_outage());
        let is_answer = [
            "rejected",
            "malformed",
            "charset",
            "noise",
            "segment-terminator",
            "control-id-mismatch",
            "identifier-missing",
            "frame-truncated",
            "frame-too-large",
            "dtd-forbidden",
        ]
        .contains(&expected);
        assert_eq!(outage, !is_answer, "case {at}, {kind}: {expected}");
    });
    futures_util::future::join_all(runs).await;
    for kind in ["hl7-v2", "fhir", "hl7-v3"] {
        let protocol = if kind == "hl7-v2" { Protocol::Mllp } else { Protocol::Http };
        let peer =
            Peer::start(protocol, None, move |bytes, _| Act::Send(good(kind, bytes))).await.expect("a peer");
        let backend = backend(kind, &peer, &[]).await;
        assert_eq!(description(&backend.find(ID).await), "person Grünwald", "{kind}");
        // Whoever listened there is gone: refused, never "patient unknown".
        drop(peer);
        let gone = backend.find(ID).await;
        let gone = match gone {
            Err(Trouble::Transport(TransportKind::Closed)) => backend.find(ID).await,
            other => other,
        };
        assert_eq!(description(&gone), "refused", "{kind}");
    }
}

#[tokio::test]
async fn only_the_right_certificates_connect() {
    let folder = std::env::temp_dir().join(format!("dsf-mpi-tls-{}", std::process::id()));
    let ours = Authority::create(&folder.join("ours"), "ours").expect("an authority");
    let theirs = Authority::create(&folder.join("theirs"), "theirs").expect("an authority");
    let client = ours.issue(&folder.join("client"), "adapter").expect("a certificate");
    let good_server = ours.issue(&folder.join("server"), "index").expect("a certificate");
    let expired =
        ours.issue_valid(&folder.join("expired"), "index", -time::Duration::hours(1)).expect("a certificate");
    let stranger = theirs.issue(&folder.join("stranger"), "index").expect("a certificate");
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    let (ca, certificate, key) = (text(&ours.certificate), text(&client.certificate), text(&client.key));
    let with = [("CA", ca.as_str()), ("CLIENT_CERTIFICATE", &certificate), ("CLIENT_KEY", &key)];
    let without = [("CA", ca.as_str())];
    let named = [
        ("CA", ca.as_str()),
        ("CLIENT_CERTIFICATE", &certificate),
        ("CLIENT_KEY", &key),
        ("SERVER_NAME", "elsewhere"),
    ];
    for kind in ["hl7-v2", "fhir"] {
        for (server, settings, expected) in [
            (&good_server, &with[..], "person Grünwald"),
            (&good_server, &without[..], "tls"),
            (&good_server, &named[..], "tls"),
            (&expired, &with[..], "tls"),
            (&stranger, &with[..], "tls"),
        ] {
            let config = tls(server, Some(&ours.certificate)).expect("TLS of the peer");
            let protocol = if kind == "hl7-v2" { Protocol::Mllp } else { Protocol::Http };
            let peer = Peer::start(protocol, Some(config), move |bytes, _| Act::Send(good(kind, bytes)))
                .await
                .expect("a peer");
            let backend = backend(kind, &peer, settings).await;
            assert_eq!(description(&backend.find(ID).await), expected, "{kind}");
        }
    }
    let no_tls = config("hl7-v2", "localhost:1", &[("ALLOW_PLAINTEXT", "false")]);
    assert!(Backend::new(&no_tls).await.is_err(), "plain TCP must be asked for");
    std::fs::remove_dir_all(folder).expect("clean");
}

#[tokio::test]
async fn a_failing_index_is_tried_again_then_left_alone_then_probed() {
    let peer = Peer::start(Protocol::Mllp, None, |bytes, number| match number {
        0 => Act::SendAndClose(Vec::new()),
        1 => Act::Send(rsp(bytes, "OK", &pid(ID))),
        2..=4 => Act::SendAndClose(Vec::new()),
        _ => Act::Send(rsp(bytes, "OK", &pid(ID))),
    })
    .await
    .expect("a peer");
    let settings = [("RETRIES", "1"), ("BREAKER_FAILURES", "3"), ("BREAKER_PAUSE", "3s")];
    let backend = backend("hl7-v2", &peer, &settings).await;
    assert_eq!(description(&backend.find(ID).await), "person Grünwald", "the second try is answered");
    assert_eq!(description(&backend.find(ID).await), "closed");
    assert_eq!(description(&backend.find(ID).await), "breaker-open", "the third failure in a row opens");
    assert!(!backend.is_healthy());
    let asked = peer.requests();
    assert_eq!(description(&backend.find(ID).await), "breaker-open");
    assert_eq!(peer.requests(), asked, "an open breaker does not ask");
    loop {
        match description(&backend.find(ID).await).as_str() {
            "breaker-open" => tokio::time::sleep(Duration::from_millis(20)).await,
            other => break assert_eq!(other, "person Grünwald"),
        }
    }
    assert!(backend.is_healthy());
}

#[tokio::test]
async fn refusals_keep_their_class() {
    let outcome = |status: u16, code: &'static str, text: &'static str| async move {
        let body = format!(
            r#"{{"resourceType":"OperationOutcome","issue":[{{"severity":"error","code":"{code}","diagnostics":"{text}"}}]}}"#
        );
        let peer = Peer::start(Protocol::Http, None, move |_, _| {
            Act::Send(http(status, "application/fhir+json", &body))
        })
        .await
        .expect("a peer");
        match backend("fhir", &peer, &[]).await.cross_reference(ID, &[]).await {
            Err(Trouble::Failure(Failure::Rejected(told))) => told.class,
            other => panic!("expected a refusal, got {other:?}"),
        }
    };
    assert_eq!(outcome(404, "not-found", "").await, Some(Class::IdUnknown));
    assert_eq!(outcome(400, "code-invalid", "").await, Some(Class::SourceDomainUnknown));
    assert_eq!(
        outcome(403, "code-invalid", "targetSystem not found").await,
        Some(Class::TargetDomainUnknown)
    );
    assert_eq!(outcome(403, "forbidden", "").await, Some(Class::AccessDenied));
}

#[tokio::test]
async fn audit_records_have_the_queries_without_the_persons() {
    for (kind, domain) in [("hl7-v2", "E"), ("fhir", "urn:oid:2.999.1.10"), ("hl7-v3", OID)] {
        let protocol = if kind == "hl7-v2" { Protocol::Mllp } else { Protocol::Http };
        // Nobody answers: what was asked is noted all the same.
        let peer = Peer::start(protocol, None, |_, _| Act::SendAndClose(Vec::new())).await.expect("a peer");
        let backend = backend(kind, &peer, &[]).await;
        let known = Demographics {
            last: Some("Canary".into()),
            first: Some("Carl".into()),
            birth: Some("1980-03-07".into()),
            sex: Some("F".into()),
            zip: Some("Zip-Code".into()),
            city: Some("Town".into()),
        };
        let target = hospital::person::Domain { universal_id: Some("2.999.7".into()), ..Default::default() };
        let queries = [
            noting(backend.find("Canary-4711")).await.1,
            noting(backend.match_person(&known)).await.1,
            noting(backend.cross_reference("Canary-4711", &[target])).await.1,
        ];
        for (at, query) in queries.into_iter().enumerate() {
            let query = query.expect("a query");
            let text = String::from_utf8(query.text).expect("text");
            assert!(text.contains('*'), "{kind} {at}: {text}");
            for canary in ["Canary", "Carl", "19800307", "1980-03-07", "Zip-Code", "Town"] {
                assert!(!text.contains(canary), "{kind} {at}: {text}");
            }
            assert!(at == 1 || text.contains(domain), "{kind} {at}: {text}");
            if kind == "hl7-v2" {
                assert!(text.starts_with("MSH|^~\\&|") && text.contains("\rQPD|IHE P"), "{text}");
                let [(name, control)] = &query.details[..] else { panic!("{:?}", query.details) };
                assert!(*name == "MSH-10" && text.contains(control.as_str()), "{text}");
            }
            if kind == "hl7-v3" {
                assert!(
                    text.starts_with("<queryByParameter>") && text.ends_with("</queryByParameter>"),
                    "{text}"
                );
            }
        }
    }
}
