//! What a Java engine of DSF 2.1.0 puts on the wire, byte by byte (java-client-exchange contract 1 to 7):
//! chunked bodies, escapes, the trailing slash, exact headers, WebSocket frames.
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};
use uuid::Uuid;

use crate::{
    site::{JSON, Local, ORGANIZATION, REMOTE, Remote, Site, Who, business_key, code_system, process},
    world::{LOCAL, PATIENCE},
};

/// An answer as it came.
struct Raw {
    status: u16,
    head: String,
    body: String,
}

impl Raw {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (own, value) = line.split_once(": ")?;
            own.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{} {:?}", self.status, self.body))
    }
}

/// One request on a connection of its own, in the client's own words; bodies go in two chunks.
async fn say(site: &Site, who: Who, line: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Raw {
    let port = site.address().port();
    let mut text = format!(
        "{line} HTTP/1.1\r\nHost: localhost:{port}\r\nUser-Agent: DSF/2.1.0\r\nConnection: Keep-Alive\r\nAccept: {JSON}\r\nAccept-Encoding: gzip,deflate\r\n"
    );
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = body {
        let body = body.to_string();
        let (one, two) = body.split_at(body.len() / 2);
        text.push_str(&format!("Content-Type: {JSON}\r\nTransfer-Encoding: chunked\r\n\r\n"));
        text.push_str(&format!("{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n", one.len(), two.len()));
    } else {
        text.push_str("\r\n");
    }
    let mut stream = site.client(who).connect(site.address(), b"").await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    let end = loop {
        let mut part = vec![0; 64 * 1024];
        let read = timeout(PATIENCE, stream.read(&mut part)).await.expect("an answer in time").unwrap();
        assert!(read > 0, "{line}: the connection ended after {:?}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&part[..read]);
        let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&seen[..end]).to_string();
        let length = head
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
        let length: usize =
            length.unwrap_or_else(|| panic!("{line}: no Content-Length in {head}")).parse().unwrap();
        if seen.len() >= end + 4 + length {
            break end;
        }
    };
    let head = String::from_utf8(seen[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Raw { status, head, body: String::from_utf8(seen[end + 4..].to_vec()).unwrap() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_java_engine_starts_and_exchanges_tasks() {
    let site = Site::start().await;
    let base = site.base.clone();
    let encoded = base.replace(':', "%3A").replace('/', "%2F");
    let strict = [("Prefer", "handling=strict")];
    let minimal = [("Prefer", "return=minimal")];
    let search =
        async |query: String| say(&site, Local, &format!("GET /fhir/{query}"), &strict, None).await.json();

    // 2.1: its own endpoint and organization; the address is compared literally.
    let own =
        search(format!("Endpoint?status=active&address={encoded}&_include=Endpoint%3Aorganization")).await;
    let modes: Vec<&Value> =
        own["entry"].as_array().unwrap().iter().map(|entry| &entry["search"]["mode"]).collect();
    assert_eq!((&own["total"], modes), (&json!(1), vec![&json!("match"), &json!("include")]));
    assert_eq!(own["entry"][0]["resource"]["address"], base);

    // 2.2a: the first start uploads a batch to the base URL with a slash; references between texts are not escaped.
    let definition = process("ping", &["LOCAL_ALL", "REMOTE_ALL"], "LOCAL_ALL");
    let draft = site.task(Local, "ping", "draft");
    let draft_id = draft["identifier"][0]["value"].as_str().unwrap();
    let urn = || format!("urn:uuid:{}", Uuid::new_v4());
    let entry = |resource: &Value, condition: String| {
        json!({"fullUrl": urn(), "resource": resource,
            "request": {"method": "POST", "url": resource["resourceType"], "ifNoneExist": condition}})
    };
    let url = |resource: &Value| {
        format!("url={}&version={}", resource["url"].as_str().unwrap(), resource["version"].as_str().unwrap())
    };
    let system = code_system("http://dsf.dev/fhir/CodeSystem/ping", &["ALL"]);
    let upload = json!({"resourceType": "Bundle", "type": "batch", "entry": [
        entry(&system, url(&system)),
        entry(&definition, url(&definition)),
        entry(&draft, format!("identifier=http://dsf.dev/sid/task-identifier|{draft_id}&status=draft")),
    ]});
    for expected in ["201 Created", "200 OK"] {
        let answer = say(&site, Local, "POST /fhir/", &minimal, Some(&upload)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.header("content-type"), Some("application/fhir+json;charset=UTF-8"));
        let answer = answer.json();
        assert_eq!(answer["type"], "batch-response");
        for (index, ty) in ["CodeSystem", "ActivityDefinition", "Task"].iter().enumerate() {
            let entry = &answer["entry"][index];
            assert_eq!(entry["response"]["status"], expected, "{ty}: {entry}");
            let location = entry["response"]["location"].as_str().unwrap();
            assert!(
                location.starts_with(&format!("{base}/{ty}/")) && location.ends_with("/_history/1"),
                "{location}"
            );
            assert_eq!(entry["fullUrl"], location.strip_suffix("/_history/1").unwrap());
            assert!(
                entry["resource"].is_null()
                    && entry["response"]["etag"].is_string()
                    && entry["response"]["lastModified"].is_string()
            );
        }
    }
    // 2.2b: later starts look whether all is there.
    let get = |url: String| json!({"request": {"method": "GET", "url": url}});
    let look = json!({"resourceType": "Bundle", "type": "batch", "entry": [
        get(format!("CodeSystem?{}&_count=0", url(&system))),
        get(format!("ActivityDefinition?{}&_count=0", url(&definition))),
        get(format!("Task?identifier=http://dsf.dev/sid/task-identifier|{draft_id}&status=draft&_count=0")),
    ]});
    let answer =
        say(&site, Local, "POST /fhir/", &[("Prefer", "return=representation")], Some(&look)).await.json();
    for index in 0..3 {
        let entry = &answer["entry"][index];
        assert_eq!(
            (&entry["response"]["status"], &entry["resource"]["total"]),
            (&json!("200 OK"), &json!(1)),
            "{entry}"
        );
        assert_eq!(entry["resource"]["link"].as_array().unwrap().len(), 1);
    }

    // 2.3: the Subscriptions it needs, exactly one each.
    let mut bound = Vec::new();
    for criteria in ["Task%3Fstatus%3Drequested", "QuestionnaireResponse%3Fstatus%3Dcompleted"] {
        let found = search(format!(
            "Subscription?payload=application%2Ffhir%2Bjson&criteria%3Aexact={criteria}&type=websocket&status=active"
        ))
        .await;
        assert_eq!(found["total"], 1, "{criteria}: {found}");
        bound.push(found["entry"][0]["resource"]["id"].as_str().unwrap().to_owned());
    }

    // 3: catch-up, the time local and without zone, as short as its fraction allows.
    let waiting = async |since: Option<&str>| {
        let since =
            since.map(|since| format!("&_lastUpdated=gt{}", since.replace(':', "%3A"))).unwrap_or_default();
        search(format!("Task?_page=1&_count=20&_sort=_lastUpdated&status=requested{since}")).await
    };
    assert_eq!(waiting(None).await["total"], 0);

    // 4: one socket per Subscription.
    let stream = site.client(Local).connect(site.address(), b"").await.unwrap();
    let mut request =
        format!("wss://localhost:{}/fhir/ws", site.address().port()).into_client_request().unwrap();
    let origin = format!("https://localhost:{}", site.address().port());
    request.headers_mut().insert("origin", origin.parse().unwrap());
    request.headers_mut().insert("user-agent", "DSF/2.1.0".parse().unwrap());
    let (mut socket, upgrade) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    assert_eq!(upgrade.status(), 101);
    for name in ["sec-websocket-extensions", "sec-websocket-protocol"] {
        assert!(upgrade.headers().get(name).is_none(), "{name}");
    }
    socket.send(Message::text(format!("bind {}", bound[0]))).await.unwrap();
    let mut frame = async || loop {
        match timeout(PATIENCE, socket.next()).await.expect("a frame in time").unwrap().unwrap() {
            Message::Text(text) => return text.to_string(),
            Message::Ping(payload) => assert_eq!(payload.len(), 32),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(frame().await, format!("bound {}", bound[0]));

    // 5.1 to 5.3: a start Task; the frame is the whole resource; taken up with a key of its own.
    let start = site.task(Local, "ping", "requested");
    let created = say(&site, Local, "POST /fhir/Task", &minimal, Some(&start)).await;
    assert_eq!(
        (created.status, created.body.as_str(), created.header("content-length")),
        (201, "", Some("0"))
    );
    assert_eq!(created.header("etag"), Some("W/\"1\""));
    assert!(created.header("last-modified").is_some_and(|date| date.ends_with(" GMT")));
    let location = created.header("location").unwrap().to_owned();
    let text = frame().await;
    let task: Value = serde_json::from_str(&text).unwrap();
    let id = task["id"].as_str().unwrap().to_owned();
    assert_eq!(location, format!("{base}/Task/{id}/_history/1"));
    assert_eq!(task["meta"]["versionId"], "1");
    assert!(task["meta"]["lastUpdated"].as_str().unwrap().ends_with("+00:00") && !text.contains('\n'));
    assert!(task["requester"]["reference"].is_null());

    // The catch-up search finds it until the time it has itself.
    let updated = task["meta"]["lastUpdated"].as_str().unwrap().strip_suffix("+00:00").unwrap();
    let short = updated.trim_end_matches('0').trim_end_matches('.');
    assert_eq!(waiting(None).await["total"], 1);
    assert_eq!(waiting(Some("2020-01-01T00:00")).await["total"], 1);
    assert_eq!(waiting(Some(short)).await["total"], 0, "greater than {short}");

    let mut taken = task.clone();
    taken["status"] = json!("in-progress");
    taken["input"].as_array_mut().unwrap().push(business_key());
    let put = |version: u32| ("If-Match", format!("W/\"{version}\""));
    let update = async |body: &Value, version: u32, prefer: &str| {
        let (name, value) = put(version);
        say(&site, Local, &format!("PUT /fhir/Task/{id}"), &[("Prefer", prefer), (name, &value)], Some(body))
            .await
    };
    let answer = update(&taken, 1, "return=representation").await;
    assert_eq!((answer.status, answer.header("etag")), (200, Some("W/\"2\"")));
    assert_eq!(answer.header("location"), Some(format!("{base}/Task/{id}/_history/2").as_str()));
    let mut done = answer.json();
    assert_eq!(update(&taken, 1, "return=representation").await.status, 412, "the same update again");

    // 5.4 to 5.7: what the plugin looks up.
    for (query, total) in [
        ("Endpoint?status=active&identifier=http%3A%2F%2Fdsf.dev%2Fsid%2Fendpoint-identifier%7C&_page=1".to_owned(), 2),
        (format!("Organization?active=true&identifier%3Anot=http%3A%2F%2Fdsf.dev%2Fsid%2Forganization-identifier%7C{LOCAL}&_page=1&_sort=_id"), 2),
        (format!("Endpoint?address={encoded}&status=active"), 1),
        ("Endpoint?identifier=http%3A%2F%2Fdsf.dev%2Fsid%2Fendpoint-identifier%7Cfhir.remote.test&status=active".to_owned(), 1),
    ] {
        assert_eq!(search(query.clone()).await["total"], total, "{query}");
    }

    // 5.11: the partner's answer arrives as the remote organization; 5.14: the end.
    let mut message = site.task(Remote, "ping", "requested");
    for key in ["business-key", "correlation-key"] {
        message["input"].as_array_mut().unwrap().push(json!({
            "type": {"coding": [{"system": "http://dsf.dev/fhir/CodeSystem/bpmn-message", "code": key}]}, "valueString": Uuid::new_v4().to_string(),
        }));
    }
    assert_eq!(say(&site, Remote, "POST /fhir/Task", &minimal, Some(&message)).await.status, 201);
    let pong: Value = serde_json::from_str(&frame().await).unwrap();
    assert_eq!(pong["requester"]["identifier"]["value"], REMOTE, "no frame for in-progress in between");
    done["status"] = json!("completed");
    done["output"] = json!([{"type": {"coding": [{"system": "http://dsf.dev/fhir/CodeSystem/ping-status", "code": "x"}]}, "valueString": "ok"}]);
    let answer = update(&done, 2, "return=minimal").await;
    assert_eq!((answer.status, answer.body.as_str(), answer.header("content-length")), (200, "", Some("0")));

    // 7: bad requests. 9: sending once.
    let mut stranger = message.clone();
    stranger["requester"]["identifier"]["value"] = json!(LOCAL);
    let answer = say(&site, Remote, "POST /fhir/Task", &minimal, Some(&stranger)).await;
    let outcome = answer.json();
    assert_eq!(
        (answer.status, &outcome["issue"][0]["diagnostics"]),
        (403, &json!("Operation create forbidden"))
    );
    let answer = say(&site, Local, "GET /fhir/Task?unknown=1", &strict, None).await;
    assert!(
        answer.status == 400
            && answer.body.contains("UNSUPPORTED_PARAMETER")
            && answer.body.contains("unknown")
    );
    message["identifier"] = json!([{"system": "http://dsf.example/send", "value": "7"}]);
    let once = [("Prefer", "return=minimal"), ("If-None-Exist", "identifier=http://dsf.example/send|7")];
    let first = say(&site, Remote, "POST /fhir/Task", &once, Some(&message)).await;
    let again = say(&site, Remote, "POST /fhir/Task", &once, Some(&message)).await;
    assert_eq!((first.status, again.status), (201, 200));
    assert_eq!(first.header("location"), again.header("location"));
    let query = format!(
        "GET /fhir/Task?requester%3Aidentifier={}%7C{REMOTE}",
        ORGANIZATION.replace(':', "%3A").replace('/', "%2F")
    );
    assert_eq!(say(&site, Remote, &query, &strict, None).await.json()["total"], 2, "its own Tasks");

    // A client that stops closes with 1000.
    let sent: Value = serde_json::from_str(&frame().await).unwrap();
    assert_eq!(sent["identifier"][0]["value"], "7");
    socket.close(None).await.unwrap();
    let ended = timeout(Duration::from_secs(20), async {
        while socket.next().await.is_some_and(|end| end.is_ok()) {}
    })
    .await;
    assert!(ended.is_ok(), "the close is answered");
    site.stop().await;
}
