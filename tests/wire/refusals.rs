//! What a site does not accept: every refusal has the status and outcome of the contract
//! (fhir-endpoint 1.14 and 4.5, java-client-exchange 7) and leaves no trace behind the endpoint.
use anyhow::{Context, Result};
use bytes::Bytes;
use end_to_end::{
    ORGANIZATION, TestStand, create, curl, curl_as, ended, engine_rows, engine_status, message_input,
    organization, ping_message, search, stand, stand_with, start_ping, wait_for,
};
use fhir_client::{Client, ClientConfig, Headers, TransportKind};
use http::Method;
use serde_json::{Value, json};
use stand::{Authority, Identity, curl::Response};

const JSON: &str = "application/fhir+json";
const XML: &str = "application/fhir+xml";
/// One byte more than a body may have.
const TOO_LARGE: usize = 10 * 1024 * 1024 + 1;

/// Our own client with any certificate.
fn client(stand: &TestStand, identity: &Identity) -> Result<Client> {
    let config = ClientConfig::new(
        identity.certificate.clone(),
        identity.key.clone(),
        stand.authority.certificate.clone(),
    );
    Ok(Client::new(&config)?)
}

/// Status, outcome code and outcome text. Code and text are empty where the body is.
type Refusal = (u16, &'static str, &'static str);

const FORBIDDEN: Refusal = (403, "forbidden", "Operation create forbidden");
const UNPARSABLE: Refusal = (403, "structure", "Unable to parse resource");
/// With a text that names the place.
const DANGLING: Refusal = (403, "processing", "*");

fn assert_refused(name: &str, status: u16, body: &[u8], expected: Refusal) -> Result<()> {
    let text = String::from_utf8_lossy(body).into_owned();
    assert_eq!(status, expected.0, "{name}: {text}");
    if expected.1.is_empty() {
        assert_eq!(text, "", "{name}: the body must be empty");
        return Ok(());
    }
    let outcome: Value = serde_json::from_str(&text).with_context(|| format!("{name}: {text}"))?;
    assert_eq!(outcome["resourceType"], "OperationOutcome", "{name}: {text}");
    assert_eq!(outcome["issue"].as_array().map(Vec::len), Some(1), "{name}: {text}");
    let issue = &outcome["issue"][0];
    assert_eq!((&issue["severity"], &issue["code"]), (&json!("error"), &json!(expected.1)), "{name}: {text}");
    if expected.2 != "*" {
        assert_eq!(issue["diagnostics"], expected.2, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn certificates_that_are_not_trusted_end_the_handshake() -> Result<()> {
    let reload = ("DSF_GATEWAY_RELOAD_INTERVAL".to_owned(), "100ms".to_owned());
    let stand = stand_with(1, 1, false, vec![reload]).await?;
    let folder = |name: &str| stand.folder.join(name);
    let foreign =
        Authority::create(&folder("other-ca"), "another CA")?.issue(&folder("foreign"), "foreign")?;
    let expired = stand.authority.issue_valid(&folder("expired"), "expired", time::Duration::days(-2))?;
    let revoked = stand.authority.issue(&folder("revoked"), "revoked")?;
    let url = format!("{}/metadata", stand.sites[0].base_url);
    // Before it is revoked the certificate is as good as any unknown one.
    assert_eq!(curl_as(&stand, Some(&revoked)).get(&url).await?.status, 403);
    stand.authority.revoke(&revoked)?;
    for (name, identity, alert) in [
        ("untrusted CA", &foreign, "unknown ca"),
        ("expired", &expired, "certificate expired"),
        ("revoked", &revoked, "certificate revoked"),
    ] {
        let error = wait_for(&format!("the refusal of a certificate: {name}"), || async {
            Ok(curl_as(&stand, Some(identity)).get(&url).await.err())
        })
        .await?;
        let error = error.to_string();
        assert!(error.contains("alert") && error.contains(alert), "{name}: expected alert {alert}: {error}");
        let answer = client(&stand, identity)?.request(Method::GET, &url, None, &Headers::default()).await;
        assert_eq!(answer.err().map(|error| error.kind), Some(TransportKind::Tls), "{name}: our own client");
    }
    Ok(())
}

#[tokio::test]
async fn unknown_callers_get_403_without_a_body() -> Result<()> {
    let stand = stand_with(2, 1, true, Vec::new()).await?;
    let site = &stand.sites[0];
    let stranger = &stand.unknown;
    let task = start_ping(site).to_string();
    let body = Some(task.as_bytes());
    for (name, identity) in [("no certificate", None), ("certificate in no allow list", Some(stranger))] {
        let curl = curl_as(&stand, identity);
        for (method, path, body) in [
            ("GET", "metadata", None),
            ("GET", "Task", None),
            ("GET", "nowhere", None),
            ("GET", "ws", None),
            ("POST", "Task", body),
            ("POST", "", body),
            ("PUT", "Task/00000000-0000-4000-8000-000000000000", body),
            ("DELETE", "Task/00000000-0000-4000-8000-000000000000", None),
        ] {
            let url = format!("{}/{path}", site.base_url);
            let answer = curl.send(method, &url, &[("Content-Type", JSON), ("Accept", JSON)], body).await?;
            let seen = (answer.status, answer.text(), answer.header("cache-control"));
            let expected = (403, String::new(), Some("must-revalidate,no-cache,no-store"));
            assert_eq!(seen, expected, "{name}: {method} {path}");
        }
    }
    let answer = client(&stand, stranger)?
        .request(
            Method::POST,
            &format!("{}/Task", site.base_url),
            Some(task.clone().into()),
            &Headers::default(),
        )
        .await?;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (403, 0), "our own client");

    // An organization that is taken off the list is unknown from then on.
    let (site, other) = (&stand.sites[0], &stand.sites[1]);
    let query = format!("{}/Organization?identifier={ORGANIZATION}|{}", site.base_url, other.organization);
    let mut known = search(&curl(&stand, site), &query).await?.pop().context("the other organization")?;
    known["active"] = json!(false);
    let url = format!("{}/Organization/{}", site.base_url, known["id"].as_str().unwrap_or_default());
    let change = known.to_string();
    let changed =
        curl(&stand, site).send("PUT", &url, &[("Content-Type", JSON)], Some(change.as_bytes())).await?;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let answer =
        curl(&stand, other).post(&format!("{}/Task", site.base_url), &ping_message(other, site)).await?;
    assert_eq!((answer.status, answer.text()), (403, String::new()), "inactive organization");
    assert_eq!(engine_rows(&stand, site).await?, Default::default(), "the engine has heard of none");
    Ok(())
}

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sender {
    /// The site itself.
    Local,
    /// The other site.
    Remote,
}
use Sender::{Local, Remote};

type Edit = fn(&mut Value);

/// Faults in a Task that starts a process (local) or continues one (remote).
const TASKS: &[(&str, Sender, Refusal, Edit)] = &[
    ("unknown process", Remote, FORBIDDEN, |task| {
        task["instantiatesCanonical"] = json!("http://dsf.dev/bpe/Process/nothing|1.0");
    }),
    ("unknown version of the process", Remote, FORBIDDEN, |task| {
        task["instantiatesCanonical"] = json!("http://dsf.dev/bpe/Process/pong|9.9");
    }),
    ("process without version", Remote, FORBIDDEN, |task| {
        task["instantiatesCanonical"] = json!("http://dsf.dev/bpe/Process/pong");
    }),
    ("no process", Local, FORBIDDEN, |task| remove(task, "instantiatesCanonical")),
    ("unknown message name", Remote, FORBIDDEN, |task| {
        task["input"][0]["valueString"] = json!("pang");
    }),
    ("blank message name", Local, FORBIDDEN, |task| task["input"][0]["valueString"] = json!(" ")),
    ("no inputs", Local, FORBIDDEN, |task| remove(task, "input")),
    ("two message names", Local, FORBIDDEN, |task| {
        task["input"] =
            json!([message_input("message-name", "startPing"), message_input("message-name", "startPing")]);
    }),
    ("message only for the site itself", Remote, FORBIDDEN, |task| {
        task["instantiatesCanonical"] = json!("http://dsf.dev/bpe/Process/ping|1.0");
        task["meta"]["profile"][0] = json!("http://dsf.dev/fhir/StructureDefinition/task-start-ping|1.0");
        task["input"] = json!([message_input("message-name", "startPing")]);
    }),
    ("unknown profile", Remote, FORBIDDEN, |task| {
        task["meta"]["profile"][0] = json!("http://dsf.dev/fhir/StructureDefinition/task-pang|1.0");
    }),
    ("no profile", Remote, FORBIDDEN, |task| remove(task, "meta")),
    ("requester is not the caller", Remote, FORBIDDEN, |task| {
        task["requester"] = task["restriction"]["recipient"][0].clone();
    }),
    ("requester is nobody", Local, FORBIDDEN, |task| task["requester"] = organization("nobody.test")),
    ("no requester", Remote, FORBIDDEN, |task| remove(task, "requester")),
    ("recipient is the sender", Remote, FORBIDDEN, |task| {
        task["restriction"]["recipient"][0] = task["requester"].clone();
    }),
    ("recipient is nobody", Local, FORBIDDEN, |task| {
        task["restriction"]["recipient"][0] = organization("nobody.test");
    }),
    ("two recipients", Local, FORBIDDEN, |task| {
        let recipient = task["restriction"]["recipient"][0].clone();
        task["restriction"]["recipient"] = json!([recipient, recipient]);
    }),
    ("no recipient", Local, FORBIDDEN, |task| remove(task, "restriction")),
    ("in progress already", Local, FORBIDDEN, |task| task["status"] = json!("in-progress")),
    ("completed already", Remote, FORBIDDEN, |task| task["status"] = json!("completed")),
    ("draft from outside", Remote, FORBIDDEN, |task| task["status"] = json!("draft")),
    ("no status", Local, FORBIDDEN, |task| remove(task, "status")),
    ("output", Local, FORBIDDEN, |task| task["output"] = json!([message_input("error", "none")])),
    ("identifier of a draft", Local, FORBIDDEN, |task| {
        task["identifier"] = json!([{"system": "http://dsf.dev/sid/task-identifier", "value": "x"}]);
    }),
    ("reference to an unknown endpoint", Remote, DANGLING, |task| {
        task["input"][3]["valueReference"]["identifier"]["value"] = json!("fhir.nobody.test");
    }),
    ("another resource", Local, UNPARSABLE, |task| task["resourceType"] = json!("Patient")),
    ("no resource type", Local, UNPARSABLE, |task| remove(task, "resourceType")),
    ("a status that is none", Local, UNPARSABLE, |task| task["status"] = json!("begun")),
    ("a date that is none", Local, UNPARSABLE, |task| task["authoredOn"] = json!("yesterday")),
];

fn remove(task: &mut Value, name: &str) {
    if let Some(fields) = task.as_object_mut() {
        fields.remove(name);
    }
}

/// A request as it is: what is asked, header lines, body.
struct Raw {
    name: &'static str,
    request: (&'static str, &'static str),
    headers: &'static [(&'static str, &'static str)],
    body: Option<Vec<u8>>,
    expected: Refusal,
}

fn raw_requests() -> Vec<Raw> {
    const POST_JSON: &[(&str, &str)] = &[("Content-Type", JSON), ("Accept", JSON)];
    const POST_XML: &[(&str, &str)] = &[("Content-Type", XML), ("Accept", JSON)];
    const GET: &[(&str, &str)] = &[("Accept", JSON)];
    const STRICT: &[(&str, &str)] = &[("Accept", JSON), ("Prefer", "handling=strict")];
    const UNKNOWN: &str = "Task/00000000-0000-4000-8000-000000000000";
    let empty = |status: u16| (status, "", "");
    let deep = [b"{\"resourceType\":\"Task\",\"contained\":[".repeat(200), b"]}".repeat(200)].concat();
    let large = [b"{\"resourceType\":\"Task\"}".to_vec(), vec![b' '; TOO_LARGE]].concat();
    let entities = br#"<!DOCTYPE Task [<!ENTITY e SYSTEM "file:///etc/passwd">]><Task xmlns="http://hl7.org/fhir"><description value="&e;"/></Task>"#;
    let post = |name, headers, body: &[u8], expected| Raw {
        name,
        request: ("POST", "Task"),
        headers,
        body: Some(body.to_vec()),
        expected,
    };
    let get =
        |name, path, headers, expected| Raw { name, request: ("GET", path), headers, body: None, expected };
    vec![
        post("malformed JSON", POST_JSON, br#"{"resourceType":"Task","#, UNPARSABLE),
        post("malformed XML", POST_XML, br#"<Task xmlns="http://hl7.org/fhir"><status"#, UNPARSABLE),
        post("JSON called XML", POST_XML, br#"{"resourceType":"Task"}"#, UNPARSABLE),
        post("XML entities", POST_XML, entities, UNPARSABLE),
        post("nothing", POST_JSON, b"", UNPARSABLE),
        post("not UTF-8", POST_JSON, b"{\"resourceType\":\"Task\",\"description\":\"\xff\"}", UNPARSABLE),
        post("nested too deep", POST_JSON, &deep, UNPARSABLE),
        post("JSON without what a Task needs", POST_JSON, br#"{"resourceType":"Task"}"#, FORBIDDEN),
        post("XML without what a Task needs", POST_XML, br#"<Task xmlns="http://hl7.org/fhir"/>"#, FORBIDDEN),
        post("larger than 10 MiB", POST_JSON, &large, empty(413)),
        post("text", &[("Content-Type", "text/plain"), ("Accept", JSON)], b"Task", empty(415)),
        post("an answer in CSV", &[("Content-Type", JSON), ("Accept", "text/csv")], b"{}", empty(406)),
        get("format that is none", "Task?_format=yaml", GET, empty(415)),
        get("unknown Task", UNKNOWN, GET, empty(404)),
        get("id that is none", "Task/1", GET, (404, "processing", "*")),
        get("unknown type", "Nothing", GET, empty(404)),
        get("unknown parameter, strict", "Task?colour=red", STRICT, (400, "processing", "*")),
        Raw {
            name: "create by update",
            request: ("PUT", UNKNOWN),
            headers: POST_JSON,
            body: Some(br#"{"resourceType":"Task","id":"00000000-0000-4000-8000-000000000000","status":"requested","intent":"order"}"#.to_vec()),
            expected: (405, "processing", "*"),
        },
        Raw {
            name: "a transaction with a forbidden entry",
            request: ("POST", ""),
            headers: POST_JSON,
            body: Some(br#"{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"urn:uuid:00000000-0000-4000-8000-000000000001","resource":{"resourceType":"Task","status":"requested","intent":"order"},"request":{"method":"POST","url":"Task"}}]}"#.to_vec()),
            expected: FORBIDDEN,
        },
        Raw {
            name: "a bundle that is no request",
            request: ("POST", ""),
            headers: POST_JSON,
            body: Some(br#"{"resourceType":"Bundle","type":"collection"}"#.to_vec()),
            expected: (403, "forbidden", "Operation bundle forbidden"),
        },
    ]
}

#[tokio::test]
async fn what_is_refused_leaves_no_trace() -> Result<()> {
    let stand = stand(2, 1).await?;
    let (remote, local) = (&stand.sites[0], &stand.sites[1]);
    let own = [client(&stand, &local.identity)?, client(&stand, &remote.identity)?];
    let url = format!("{}/Task", local.base_url);
    let sent = |sender: Sender| match sender {
        Local => (curl(&stand, local), &own[0], start_ping(local)),
        Remote => (curl(&stand, remote), &own[1], ping_message(remote, local)),
    };
    for (name, sender, expected, edit) in TASKS {
        let (curl, client, mut task) = sent(*sender);
        edit(&mut task);
        let answer = curl.post(&url, &task).await?;
        assert_refused(name, answer.status, &answer.body, *expected)?;
        let body = Some(Bytes::from(task.to_string()));
        let answer = client.request(Method::POST, &url, body, &Headers::default()).await?;
        assert_refused(&format!("{name}, our own client"), answer.status.as_u16(), &answer.body, *expected)?;
    }
    for raw in raw_requests() {
        let (method, path) = raw.request;
        let url = format!("{}/{path}", local.base_url);
        let answer: Response = curl(&stand, local)
            .send(method, &url, raw.headers, raw.body.as_deref())
            .await
            .context(raw.name)?;
        assert_refused(raw.name, answer.status, &answer.body, raw.expected)?;
    }
    for (name, condition) in
        [("blank", " "), ("with a path", "Task?identifier=a|b"), ("unknown", "colour=red")]
    {
        let headers = Headers { if_none_exist: Some(condition.to_owned()), ..Headers::default() };
        let body = Some(Bytes::from(start_ping(local).to_string()));
        let answer = own[0].request(Method::POST, &url, body, &headers).await?;
        let name = format!("If-None-Exist {name}");
        assert_refused(&name, answer.status.as_u16(), &answer.body, (400, "processing", "*"))?;
    }

    let tasks = format!("{url}?status:not=draft");
    assert_eq!(search(&curl(&stand, local), &tasks).await?, Vec::<Value>::new(), "no Task was stored");
    assert_eq!(engine_rows(&stand, local).await?, Default::default(), "the engine has no row of any");
    let status = engine_status(local).await?;
    assert_eq!(status, Default::default(), "the engine knows of nothing");

    // What was sent is what is meant: without its fault each Task is taken. Two Tasks, no more, have
    // an effect: so none of the refused ones was only late.
    let started = create(&curl(&stand, local), &local.base_url, &start_ping(local)).await?;
    ended(&curl(&stand, local), &started).await?;
    let message = create(&curl(&stand, remote), &local.base_url, &ping_message(remote, local)).await?;
    ended(&curl(&stand, local), &message).await?;
    let rows = engine_rows(&stand, local).await?;
    // A start, its pong from the other site, and the message.
    assert_eq!((rows.instances, rows.messages, rows.incidents), (2, 3, 0), "{rows:?}");
    Ok(())
}
