//! EHRbase itself, with the version in `tests/peers/ehrbase/pom.xml`: `make test-peers`. Left out elsewhere, with one
//! line.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]
use std::time::Duration;

use adapter::{
    Trouble,
    http::{Call, Client, HttpSettings, Login},
    tls::{Connector, TlsSettings},
};
use hospital::{
    aql,
    failure::{Class, Failure},
};
use http::Method;
use mdat_adapter::{Config, PREFIX, Repository, Wrong};
use messaging::hospital::{DataRequest, IdsReply, Query};
use serde_json::{Value, json};
use stand::ehrbase::Ehrbase;
use tokio::sync::Mutex;

const ID: &str = "/ehr_status/subject/external_ref/id/value";
const TEMPERATURE: &str = "data[at0001]/events[at0002]/data[at0003]/items[at0004]/value";
const TEMPLATE: &str = include_str!("../../../tests/peers/ehrbase/visit.opt");
/// Longest wait for an answer: a JVM compiles at the first request.
const ANSWER: Duration = Duration::from_secs(60);

/// Patients with temperatures of their visits, in °C; one without an id, one without a visit.
const PATIENTS: [(Option<&str>, &[f64]); 5] = [
    (Some("r0"), &[38.2, 39.0]),
    (Some("r1"), &[]),
    (None, &[38.5]),
    (Some("r3"), &[36.6]),
    (Some("r4"), &[38.5]),
];

/// Records that one test alone sees: their visits and ids carry a name of its own.
struct Ward {
    peer: Ehrbase,
    name: String,
}

impl Ward {
    /// Fills one in the running EHRbase, if there is one.
    async fn open() -> Option<Self> {
        // One after the other: EHRbase registers a user at the first write, and two first ones at once clash.
        static FILLING: Mutex<()> = Mutex::const_new(());
        let peer = Ehrbase::running()?;
        let rest = Rest::new(&peer);
        let _filling = FILLING.lock().await;
        // Known where another test was before.
        let status = rest.put(Method::POST, "definition/template/adl1.4", "application/xml", TEMPLATE).await;
        assert!(matches!(status, 201 | 409), "template: {status}");
        let query = format!("SELECT gen_random_uuid()::text FROM generate_series(0, {})", PATIENTS.len());
        let ids = peer.database().await.expect("a database").query(&query, &[]).await.expect("ids");
        let mut ids = ids.iter().map(|row| row.get::<_, String>(0));
        let ward = Self { peer, name: ids.next().expect("an id") };
        for ((patient, temperatures), ehr) in PATIENTS.iter().zip(ids) {
            let subject = patient.map(|id| ward.id(id));
            let status = rest.put_json(Method::PUT, &format!("ehr/{ehr}"), &ehr_status(subject)).await;
            assert_eq!(status, 201, "record");
            for temperature in *temperatures {
                let visit = visit(&ward.name, *temperature);
                let status = rest.put_json(Method::POST, &format!("ehr/{ehr}/composition"), &visit).await;
                assert!(matches!(status, 201 | 204), "visit: {status}");
            }
        }
        Some(ward)
    }

    fn id(&self, patient: &str) -> String {
        format!("{}-{patient}", self.name)
    }

    /// What follows SELECT …: visits of the ward.
    fn visits(&self) -> String {
        format!(
            "FROM EHR e CONTAINS COMPOSITION c[openEHR-EHR-COMPOSITION.visit.v1] \
             CONTAINS OBSERVATION o[openEHR-EHR-OBSERVATION.temperature.v1] \
             WHERE c/composer/name = '{0}' AND o/{TEMPERATURE}/magnitude > 30 \
             OR c/composer/name = '{0}' AND o/{TEMPERATURE}/magnitude < 10",
            self.name
        )
    }

    fn repository(&self, more: &[(&str, &str)]) -> Repository {
        let mut all = vec![
            ("SITE", "site-a"),
            ("BACKEND", "openehr"),
            ("ADDRESS", self.peer.address.as_str()),
            ("BASIC_USER", self.peer.user.as_str()),
            ("BASIC_PASSWORD", self.peer.password.as_str()),
            ("ALLOW_PLAINTEXT", "true"),
            ("NATS_URLS", "nats://nowhere"),
        ];
        all.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        all.extend(more);
        let all = all.into_iter().map(|(name, value)| (format!("{PREFIX}_{name}"), value.to_owned()));
        let config: Config = config::load_from(PREFIX, None, all).expect("settings");
        Repository::new(&config).expect("a repository")
    }

    /// Patients of ids, and rows without id, over pages of two.
    async fn patients(&self, repository: &Repository, mut request: DataRequest) -> (Vec<String>, u64) {
        request.limit = Some(2);
        let (mut ids, mut without) = (Vec::new(), 0);
        loop {
            let IdsReply { ids: page, without_id, next } = repository.ids(&request).await.expect("a page");
            ids.extend(page.iter().map(|id| id.trim_start_matches(&format!("{}-", self.name)).to_owned()));
            without += without_id;
            match next {
                Some(next) => request.offset = next,
                None => return (ids, without),
            }
        }
    }
}

/// Writes to EHRbase as the hospital's systems do.
struct Rest {
    client: Client,
    address: String,
}

impl Rest {
    fn new(peer: &Ehrbase) -> Self {
        let tls = TlsSettings { allow_plaintext: true, ..TlsSettings::default() };
        let login = Login::Basic { user: peer.user.clone(), password: peer.password.clone() };
        let settings = HttpSettings { answer_timeout: ANSWER, max_answer: 1 << 20, login };
        let client = Client::new(Connector::new(&tls, ANSWER).expect("no TLS"), settings);
        Self { client, address: peer.address.clone() }
    }

    /// Status of the answer.
    async fn put(&self, method: Method, path: &str, content_type: &str, body: &str) -> u16 {
        let call = Call {
            method,
            url: format!("{}/{path}", self.address),
            content_type: Some(content_type.to_owned()),
            accept: "*/*",
            body: body.to_owned().into(),
            prefer: None,
        };
        self.client.send(&call).await.expect("an answer").status
    }

    async fn put_json(&self, method: Method, path: &str, body: &Value) -> u16 {
        self.put(method, path, "application/json", &body.to_string()).await
    }
}

fn text(value: &str) -> Value {
    json!({"_type": "DV_TEXT", "value": value})
}

fn code(terminology: &str, code: &str) -> Value {
    let terminology = json!({"_type": "TERMINOLOGY_ID", "value": terminology});
    json!({"_type": "CODE_PHRASE", "terminology_id": terminology, "code_string": code})
}

fn coded(value: &str, openehr: &str) -> Value {
    json!({"_type": "DV_CODED_TEXT", "value": value, "defining_code": code("openehr", openehr)})
}

/// A part of a record, under its name and the code of its node.
fn part(kind: &str, node: &str, name: &str, more: Value) -> Value {
    let mut part = json!({"_type": kind, "archetype_node_id": node, "name": text(name)});
    let members = part.as_object_mut().expect("an object");
    if node.starts_with("openEHR") && kind != "EHR_STATUS" {
        let archetype = json!({"_type": "ARCHETYPE_ID", "value": node});
        let details = json!({"_type": "ARCHETYPED", "archetype_id": archetype, "rm_version": "1.0.4"});
        members.insert("archetype_details".to_owned(), details);
        members.insert("language".to_owned(), code("ISO_639-1", "en"));
    }
    let Value::Object(more) = more else { panic!("an object") };
    members.extend(more);
    part
}

fn ehr_status(subject: Option<String>) -> Value {
    let mut is = json!({"_type": "PARTY_SELF"});
    if let Some(id) = subject {
        let id = json!({"_type": "GENERIC_ID", "value": id, "scheme": "patient"});
        is["external_ref"] = json!({"_type": "PARTY_REF", "id": id, "namespace": "ward", "type": "PERSON"});
    }
    let more = json!({"subject": is, "is_modifiable": true, "is_queryable": true});
    part("EHR_STATUS", "openEHR-EHR-EHR_STATUS.generic.v1", "EHR status", more)
}

/// A visit of the template.
fn visit(ward: &str, temperature: f64) -> Value {
    let time = json!({"_type": "DV_DATE_TIME", "value": "2026-01-02T03:04:05+01:00"});
    let quantity = json!({"_type": "DV_QUANTITY", "magnitude": temperature, "units": "Cel"});
    let element = part("ELEMENT", "at0004", "Temperature", json!({"value": quantity}));
    let tree = part("ITEM_TREE", "at0003", "Tree", json!({"items": [element]}));
    let event = part("POINT_EVENT", "at0002", "Any event", json!({"time": time, "data": tree}));
    let history = part("HISTORY", "at0001", "History", json!({"origin": time, "events": [event]}));
    let more = json!({
        "encoding": code("IANA_character-sets", "UTF-8"),
        "subject": {"_type": "PARTY_SELF"},
        "data": history,
    });
    let observation = part("OBSERVATION", "openEHR-EHR-OBSERVATION.temperature.v1", "Temperature", more);
    let more = json!({
        "territory": code("ISO_3166-1", "DE"),
        "category": coded("event", "433"),
        "composer": {"_type": "PARTY_IDENTIFIED", "name": ward},
        "context": {"_type": "EVENT_CONTEXT", "start_time": time, "setting": coded("other care", "238")},
        "content": [observation],
    });
    let mut visit = part("COMPOSITION", "openEHR-EHR-COMPOSITION.visit.v1", "Visit", more);
    visit["archetype_details"]["template_id"] = json!({"_type": "TEMPLATE_ID", "value": "visit.en.v1"});
    visit
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

fn aql(text: String) -> DataRequest {
    ask(Query::Aql(text))
}

fn stored(name: &str, version: Option<&str>) -> DataRequest {
    ask(Query::Stored { name: name.to_owned(), version: version.map(str::to_owned) })
}

/// What the repository's refusal is about.
#[track_caller]
fn refusal<T: std::fmt::Debug>(answer: Result<T, Wrong>) -> Class {
    match answer {
        Err(Wrong::Trouble(Trouble::Failure(Failure::Rejected(told)))) => told.class.expect("a class"),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test]
async fn counts_and_ids_agree_with_and_without_consent() {
    let Some(ward) = Ward::open().await else { return };
    let repository = ward.repository(&[("PARSED_REWRITE", "true")]);
    // Of rows: one per visit. Of records: each once.
    for (counted, ids, without) in [
        ("e", "r0 r0 r3 r4", 1),
        ("e/ehr_id/value", "r0 r0 r3 r4", 1),
        ("DISTINCT e", "r0 r3 r4", 1),
        ("DISTINCT e/ehr_id/value", "r0 r3 r4", 1),
    ] {
        let query = || aql(format!("SELECT COUNT({counted}) {}", ward.visits()));
        let all = ids.split(' ').count() as u64 + without;
        assert_eq!(repository.count(&query()).await.expect("a count"), all, "{counted}");
        let found = ward.patients(&repository, query()).await;
        assert_eq!((found.0.join(" ").as_str(), found.1), (ids, without), "{counted}");
        let sets: [&[&str]; 5] =
            [&[], &["r0"], &["r1", "r3"], &["r4", "r0", "r4", "r9"], &["r0", "r3", "r4"]];
        for patients in sets {
            let consented = Some(patients.iter().map(|patient| ward.id(patient)).collect());
            let restricted = DataRequest { consented, ..query() };
            let by_clause = repository.count(&restricted).await.expect("a count");
            let (by_filter, _) = ward.patients(&repository, restricted).await;
            let expected = ids.split(' ').filter(|id| patients.contains(id)).count();
            assert_eq!((by_clause, by_filter.len()), (expected as u64, expected), "{counted} {patients:?}");
        }
        // More ids than one query takes.
        let many = (0..1100).map(|at| ward.id(&format!("r{at}"))).collect();
        let restricted = DataRequest { consented: Some(many), ..query() };
        assert_eq!(repository.count(&restricted).await.expect("a count"), all - without, "{counted}");
    }
    // The text of the original process: EHRbase takes it for ids, but counts no whole record.
    let repository = ward.repository(&[]);
    let query = || aql(format!("SELECT COUNT(e) {}", ward.visits()));
    let page = repository.ids(&query()).await.expect("a page");
    assert_eq!((page.ids.len(), page.without_id, page.next), (4, 1, None));
    assert_eq!(refusal(repository.count(&query()).await), Class::QueryInvalid);
}

#[tokio::test]
async fn rows_come_as_they_are_stored() {
    let Some(ward) = Ward::open().await else { return };
    let repository = ward.repository(&[]);
    let request = |consented: Option<&str>| DataRequest {
        parameters: [("ward".to_owned(), json!(ward.name)), ("limit".to_owned(), json!(37.5))].into(),
        consented: consented.map(|patient| vec![ward.id(patient)]),
        ..aql(format!(
            "SELECT e{ID} AS EHRID, o/{TEMPERATURE}/magnitude AS celsius, c/context/start_time/value AS at, \
             o/{TEMPERATURE} AS quantity FROM EHR e CONTAINS COMPOSITION c CONTAINS OBSERVATION o \
             WHERE c/composer/name = $ward AND o/{TEMPERATURE}/magnitude > $limit \
             ORDER BY o/{TEMPERATURE}/magnitude DESC, e{ID}"
        ))
    };
    let row = |id: Option<&str>, celsius: f64| {
        let quantity = json!({"_type": "DV_QUANTITY", "magnitude": celsius, "units": "Cel"});
        json!([id.map(|id| ward.id(id)), celsius, "2026-01-02T03:04:05+01:00", quantity])
    };
    let all = repository.rows(&request(None)).await.expect("rows");
    let names: Vec<&str> = all.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["EHRID", "celsius", "at", "quantity"]);
    let expected =
        json!([row(Some("r0"), 39.0), row(Some("r4"), 38.5), row(None, 38.5), row(Some("r0"), 38.2)]);
    assert_eq!(serde_json::from_str::<Value>(&all.rows).expect("JSON"), expected);
    let first = repository.rows(&DataRequest { limit: Some(3), ..request(None) }).await.expect("rows");
    assert_eq!(first.next, Some(3));
    let rest = DataRequest { offset: 3, limit: Some(3), ..request(None) };
    let rest = repository.rows(&rest).await.expect("rows");
    assert_eq!(serde_json::from_str::<Value>(&rest.rows).expect("JSON"), json!([row(Some("r0"), 38.2)]));
    assert_eq!(rest.next, None);
    let consented = repository.rows(&request(Some("r4"))).await.expect("rows");
    assert_eq!(serde_json::from_str::<Value>(&consented.rows).expect("JSON"), json!([row(Some("r4"), 38.5)]));
}

#[tokio::test]
async fn stored_queries_run_under_their_name() {
    let Some(ward) = Ward::open().await else { return };
    let (repository, rest) = (ward.repository(&[]), Rest::new(&ward.peer));
    let store = async |kind: &str, select: String, version: &str| {
        let path = format!("definition/query/org.example.dsf::{kind}-{}/{version}", ward.name);
        let query = format!("SELECT {select} {}", ward.visits());
        assert_eq!(rest.put(Method::PUT, &path, "text/plain", &query).await, 200, "{kind}");
    };
    let ids = format!("org.example.dsf::ids-{}", ward.name);
    let counted = format!("org.example.dsf::count-{}", ward.name);
    store("ids", format!("e{ID} AS EHRID"), "1.0.0").await;
    store("ids", format!("DISTINCT e{ID} AS EHRID"), "1.1.0").await;
    store("count", "COUNT(DISTINCT e/ehr_id/value)".to_owned(), "1.0.0").await;
    let sorted = |mut page: IdsReply| {
        page.ids.sort_unstable();
        (page.ids, page.without_id)
    };
    let named = |patients: &[&str]| patients.iter().map(|patient| ward.id(patient)).collect::<Vec<_>>();
    let newest = repository.ids(&stored(&ids, None)).await.expect("ids");
    assert_eq!(sorted(newest), (named(&["r0", "r3", "r4"]), 1));
    let first = repository.ids(&stored(&ids, Some("1.0.0"))).await.expect("ids");
    assert_eq!(sorted(first), (named(&["r0", "r0", "r3", "r4"]), 1));
    let consented = DataRequest { consented: Some(named(&["r3", "r9"])), ..stored(&ids, None) };
    assert_eq!(sorted(repository.ids(&consented).await.expect("ids")), (named(&["r3"]), 1));
    let page = DataRequest { offset: 2, limit: Some(2), ..stored(&ids, None) };
    let page = repository.rows(&page).await.expect("rows");
    assert_eq!((page.columns.len(), page.next), (1, Some(4)));
    assert_eq!(repository.count(&stored(&counted, None)).await.expect("a count"), 4);
    let restricted = DataRequest { consented: Some(named(&["r3"])), ..stored(&counted, None) };
    assert!(matches!(repository.count(&restricted).await, Err(Wrong::Request(_))));
    let unknown = stored("org.example.dsf::nothing", None);
    assert_eq!(refusal(repository.ids(&unknown).await), Class::QueryInvalid);
}

#[tokio::test]
async fn what_is_wrong_has_its_name() {
    let Some(ward) = Ward::open().await else { return };
    let repository = ward.repository(&[]);
    // Not sent.
    for (query, expected) in [
        ("SELECT COUNT(e/ehr_id/value) FROM EHR e; DROP SCHEMA ehr", aql::Error::Syntax(39)),
        ("DELETE FROM EHR e", aql::Error::NotReading),
        ("SELECT e/ehr_id/value FROM EHR e", aql::Error::NotCounting),
    ] {
        match repository.count(&aql(query.to_owned())).await {
            Err(Wrong::Query(error)) => assert_eq!(error, expected, "{query}"),
            other => panic!("{query}: {other:?}"),
        }
    }
    // EHRbase would refuse it, too: pages and LIMIT.
    let limited = repository.ids(&aql(format!("SELECT e{ID} AS EHRID FROM EHR e LIMIT 3"))).await;
    assert!(matches!(limited, Err(Wrong::Query(aql::Error::Limited))));
    // Sent and refused.
    for query in [
        "SELECT COUNT(e/ehr_id/value) FROM EHR e CONTAINS",
        "SELECT COUNT(e/ehr_id/value) FROM EHR e CONTAINS COMPOSITION c WHERE c/nothing = 1",
        "SELECT COUNT(e/ehr_id/value) FROM EHR e WHERE e/ehr_id/value = $unbound",
    ] {
        assert_eq!(refusal(repository.count(&aql(query.to_owned())).await), Class::QueryInvalid, "{query}");
    }
    let count = || aql("SELECT COUNT(e/ehr_id/value) FROM EHR e".to_owned());
    for login in [("BASIC_PASSWORD", "another"), ("BASIC_USER", "nobody")] {
        assert_eq!(
            refusal(ward.repository(&[login]).count(&count()).await),
            Class::AccessDenied,
            "{login:?}"
        );
    }
    // An id that is no column of the query.
    match repository.ids(&aql(format!("SELECT c/uid/value AS EHRID {}", ward.visits()))).await {
        Err(Wrong::Trouble(trouble)) => assert_eq!(trouble.outcome(), "id-column-missing"),
        other => panic!("{other:?}"),
    }
    assert!(repository.count(&count()).await.expect("a count") >= PATIENTS.len() as u64);
}

#[tokio::test]
async fn a_repository_that_hangs_is_a_time_out_and_comes_back() {
    let Some(ward) = Ward::open().await else { return };
    let quick = ward.repository(&[("ANSWER_TIMEOUT", "500ms"), ("RETRIES", "0")]);
    let patient = ward.repository(&[]);
    let query = || aql(format!("SELECT COUNT(c) {}", ward.visits()));
    assert_eq!(patient.count(&query()).await.expect("a count"), 5);
    let database = ward.peer.database().await.expect("a database");
    database.batch_execute("BEGIN; LOCK TABLE ehr.comp_data").await.expect("a lock");
    match quick.count(&query()).await {
        Err(Wrong::Trouble(trouble)) => assert_eq!(trouble.outcome(), "timeout"),
        other => panic!("{other:?}"),
    }
    database.batch_execute("ROLLBACK").await.expect("no lock");
    assert_eq!(patient.count(&query()).await.expect("a count"), 5);
}
