//! Independent decision points from package registries: `make test-peers`. Left out elsewhere, with one line.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]
use std::{collections::BTreeMap, sync::Arc, time::Duration};

use adapter::{
    audit::{Audit, Parties},
    forward::forward,
    settings::AuditSettings,
    tls::TlsSettings,
};
use hospital::{audit::Schema, gics, json::Json, xacml};
use messaging::{
    engine::Reply,
    hospital::{DecideReply, DecideRequest},
};
use pdp_adapter::{Backend, Cache, Config, PREFIX, Service};
use stand::peers::Hospital;

/// Base URL of an AuthzForce with `tests/peers/authzforce`, set by `make test-peers`.
const AUTHZFORCE: &str = "DSF_PEER_AUTHZFORCE";

fn service(backend: &str, address: &str, audit: Audit) -> Arc<Service> {
    service_with(backend, address, audit, &[])
}

fn service_with(backend: &str, address: &str, audit: Audit, more: &[(&str, &str)]) -> Arc<Service> {
    let all = [
        ("SITE", "site-a"),
        ("BACKEND", backend),
        ("ADDRESS", address),
        ("ALLOW_PLAINTEXT", "true"),
        ("IDENTIFIER_SYSTEM", "urn:oid:2.999.1.10"),
        // A JVM reads schemas and policies at the first request.
        ("ANSWER_TIMEOUT", "60s"),
        ("NATS_URLS", "nats://nowhere"),
    ];
    let all = all.iter().chain(more).map(|(name, value)| (format!("{PREFIX}_{name}"), (*value).to_owned()));
    let config: Config = config::load_from(PREFIX, None, all).expect("settings");
    let backend = Backend::new(&config).expect("a back end");
    Arc::new(Service::new(backend, Cache::new(Duration::ZERO), audit))
}

fn audit(file: Option<&std::path::Path>) -> Audit {
    let parties = Parties {
        site: "site-a".into(),
        service: "pdp-adapter",
        server: "pdp",
        address: String::new(),
        applications: None,
    };
    Audit::new(parties, file).expect("audit")
}

async fn reply(service: &Arc<Service>, purpose: &str, records: &[&str]) -> Reply<DecideReply> {
    let request = DecideRequest {
        request_id: "r1".into(),
        subject: "dsf.site-b.example".into(),
        purpose: purpose.into(),
        project: Some("a study".into()),
        records: records.iter().map(|id| (*id).to_owned()).collect(),
    };
    Arc::clone(service).decide(request).await
}

async fn outcome(service: &Arc<Service>, purpose: &str, records: &[&str]) -> String {
    match reply(service, purpose, records).await {
        Reply::Ok(reply) => {
            let all: BTreeMap<_, _> = reply.decisions.iter().map(|(id, one)| (id, &one.reason)).collect();
            format!("kept {:?} of {all:?}", reply.kept)
        }
        Reply::Invalid(reason) => format!("invalid: {reason}"),
        Reply::Unavailable(reason) => format!("unavailable: {reason}"),
    }
}

#[tokio::test]
async fn authzforce_decides_by_its_policy_and_we_obey() {
    let Ok(url) = std::env::var(AUTHZFORCE) else {
        return eprintln!("left out: {AUTHZFORCE} names no AuthzForce, see make test-peers");
    };
    let service = service("xacml", &url, audit(None));
    assert_eq!(
        outcome(&service, "feasibility", &["ada", "bob", "eve"]).await,
        r#"kept ["ada"] of {"ada": "consent", "bob": "policy", "eve": "policy"}"#
    );
    // A permit with an obligation that nobody here fulfils is none.
    assert!(outcome(&service, "data-sharing", &["ada"]).await.starts_with("kept [] of"));
    // What cannot be decided fails the whole check.
    let undecided = outcome(&service, "feasibility", &["ada", "dan"]).await;
    assert!(undecided.starts_with("unavailable: consent could not be decided"), "{undecided}");
    // The server takes as many records at once as we send.
    let many: Vec<String> = (0..xacml::MAX_RECORDS * 2).map(|at| format!("r{at}")).collect();
    let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
    many.push("ada");
    assert!(outcome(&service, "feasibility", &many).await.starts_with(r#"kept ["ada"] of"#));
}

/// IPF reads the query and writes the answer (SOAP by CXF, SAML and XACML by JAXB), after the schemas of OASIS have
/// taken the query as it came; HERASAF decides by the policy of `tests/peers/hospital`. Ours there is the HTTP server's
/// wiring and one question to HERASAF per record.
#[tokio::test]
async fn herasaf_decides_behind_ipf_and_we_obey() {
    let Some(peer) = Hospital::running() else { return };
    let url = format!("{}/soap/iti79", peer.http);
    // IPF knows the query in the namespace of the later profile.
    let namespace = ("SER_NAMESPACE", hospital::ser::OTHER_PROTOCOL);
    let full = [namespace, ("ORGANIZATION", "urn:oid:2.999.1.3"), ("RECORD_DOMAIN", "2.999.1.10")];
    for more in [&[namespace][..], &full] {
        let service = service_with("ser", &url, audit(None), more);
        let Reply::Ok(reply) = reply(&service, "feasibility", &["ada", "bob", "eve"]).await else {
            panic!("nothing was decided");
        };
        assert_eq!(reply.kept, ["ada"]);
        let decisions: Vec<_> = reply.decisions.values().map(|one| one.decision.as_str()).collect();
        assert_eq!(decisions, ["permit", "deny", "not-applicable"]);
        // What no policy is about is not decided in our favour.
        assert!(outcome(&service, "else", &["ada"]).await.starts_with("kept [] of"));
        // A permit with an obligation that nobody here fulfils is none.
        assert!(outcome(&service, "data-sharing", &["ada"]).await.starts_with("kept [] of"));
        // What cannot be decided fails the whole check.
        let undecided = outcome(&service, "feasibility", &["ada", "dan"]).await;
        assert!(undecided.starts_with("unavailable: consent could not be decided"), "{undecided}");
        let odd = outcome(&service, "feasibility", &["ada", "<&\"'> ä"]).await;
        assert!(odd.starts_with(r#"kept ["ada"] of"#), "{odd}");
        // The server takes as many records at once as we send.
        let many: Vec<String> = (0..xacml::MAX_RECORDS * 2).map(|at| format!("r{at}")).collect();
        let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
        many.push("ada");
        assert!(outcome(&service, "feasibility", &many).await.starts_with(r#"kept ["ada"] of"#));
    }
    let permits = ("OBLIGATIONS", "urn:dsf:test:notice");
    let service = service_with("ser", &url, audit(None), &[namespace, permits]);
    assert!(outcome(&service, "data-sharing", &["ada"]).await.starts_with(r#"kept ["ada"] of"#));
    // A query in another namespace is refused, not taken for a refusal of consent.
    let service = service_with("ser", &url, audit(None), &[]);
    let refused = outcome(&service, "feasibility", &["ada"]).await;
    assert!(refused.starts_with("invalid: the decision point refused"), "{refused}");
}

#[tokio::test]
async fn hapi_fhir_finds_consents_for_us() {
    let Some(peer) = Hospital::running() else { return };
    let fhir = format!("{}/fhir", peer.http);
    // The person with three policies has a page more than the server gives at once; the last one withdraws.
    for (backend, nobody) in [("fhir-consent", "no-consent"), ("gics", "unknown-person")] {
        let service = service(backend, &fhir, audit(None));
        assert_eq!(
            outcome(&service, "feasibility", &["4711", "r1", "r2", "r3"]).await,
            format!(
                r#"kept ["4711", "r1"] of {{"4711": "consent", "r1": "consent", "r2": "no-consent", "r3": "{nobody}"}}"#
            ),
            "{backend}"
        );
        assert!(
            outcome(&service, "data-sharing+record-linkage", &["4711", "r1"])
                .await
                .starts_with(r#"kept ["4711"] of"#),
            "{backend}"
        );
    }
}

#[tokio::test]
async fn hapi_fhir_reads_our_question_about_one_policy() {
    let Some(peer) = Hospital::running() else { return };
    let domain = gics::Domain {
        domain: "MII".into(),
        identifier_system: "urn:oid:2.999.1.10".into(),
        policy_version: "1.7".into(),
        request_date: "2023-11-14".into(),
    };
    for (person, code, expected) in [("r1", 8, true), ("r1", 7, false), ("r2", 8, false)] {
        let question = gics::is_consented(&domain, person, code).to_string();
        let answer = peer.post("/fhir/$isConsented", "application/fhir+json", &question).await;
        let answer = gics::read(200, answer.expect("an answer").as_bytes(), person);
        assert_eq!(answer, Ok(gics::Answer::Consented(expected)), "{person} {code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hapi_fhir_and_ipf_accept_every_audit_record() {
    let Some(peer) = Hospital::running() else { return };
    let fhir = format!("{}/fhir", peer.http);
    let folder = std::env::temp_dir().join(format!("dsf-pdp-peers-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("folder");
    let file = folder.join("audit.ndjson");
    let audit = audit(Some(&file));
    audit.started();
    let service = service("fhir-consent", &fhir, audit);
    outcome(&service, "feasibility", &["4711"]).await;
    outcome(&self::service("deny-all", "", self::audit(Some(&file))), "feasibility", &["4711"]).await;
    let away = "http://127.0.0.1:1/";
    outcome(&self::service("xacml", away, self::audit(Some(&file))), "feasibility", &["4711"]).await;
    drop(service);
    let records = std::fs::read_to_string(&file).expect("records");
    let written = records.lines().count() as u64;
    assert_eq!(written, 5, "start, three decisions, end");
    // The classic form: DICOM's schema, then IPF's reader and rules.
    for record in records.lines() {
        let record = Json::read(record.as_bytes()).expect("JSON");
        let message = hospital::audit::message(&record, Schema::Dicom).expect("a classic message");
        let violations = peer.post("/atna", "application/xml", &message).await.expect("an answer");
        assert_eq!(violations, "", "{message}");
    }
    let before = peer.stored("AuditEvent").await.expect("a number");
    let tls = TlsSettings { roots: None, identity: None, server_name: None, allow_plaintext: true };
    let settings = AuditSettings { file: Some(file), url: Some(fhir), ..AuditSettings::default() };
    let carrier = forward("pdp-adapter", &settings, &tls, &Arc::default());
    let carrier = carrier.expect("an address").expect("a task");
    // A record that the validator refuses is told as refused and never arrives.
    let arrived = async {
        while peer.stored("AuditEvent").await.expect("a number") < before + written {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let all = tokio::time::timeout(Duration::from_secs(60), arrived).await;
    carrier.abort();
    std::fs::remove_dir_all(&folder).expect("clean");
    all.expect("all records are valid AuditEvents");
}
