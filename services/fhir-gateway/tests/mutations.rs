//! Mutated requests: whatever a known caller sends, the gateway neither fails nor grows.
//!
//! `DSF_FUZZ_CASES` sets how many requests are made (100000 before a release), `DSF_FUZZ_SEED` repeats a run.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]
#[path = "gateway/client.rs"]
#[allow(dead_code)]
mod client;
#[path = "interactions/site.rs"]
#[allow(dead_code)]
mod site;
#[path = "gateway/world.rs"]
#[allow(dead_code)]
mod world;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};
use site::{JSON, Local, Practitioner, Remote, Site, code_system, group, process};

/// Requests in a usual run: a few seconds.
const CASES: u32 = 600;
/// Growth of the process that is no leak: caches, prepared statements, the allocator's own.
const GROWTH_KIB: u64 = 256 * 1024;

/// Texts that meet edges: of numbers, dates, escapes, queries, paths, SQL.
const WORDS: [&str; 32] = [
    "",
    " ",
    "\u{0}",
    "\u{7f}",
    "ä",
    "\u{1F600}",
    "\u{202e}",
    "%",
    "%00",
    "%ZZ",
    "'",
    "''; DROP TABLE resource; --",
    "\\",
    "\"",
    "|",
    "||",
    "a|b|c",
    ",",
    "*",
    "_history",
    "$permanent-delete",
    "..",
    "-1",
    "0",
    "2147483648",
    "99999999999999999999",
    "1e400",
    "0000-00-00",
    "2026-13-45T99:99:99",
    "urn:uuid:",
    "http://",
    "Organization?identifier=",
];

const HEADERS: [&str; 12] = [
    "accept",
    "content-type",
    "prefer",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "if-none-exist",
    "range",
    "x-security-context",
    "traceparent",
    "x-clientcert",
];

struct Seed {
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

fn seeds(site: &Site, id: &str) -> Vec<Seed> {
    let json = |line: &str, body: &Value| Seed {
        line: line.to_owned(),
        headers: vec![("accept".into(), JSON.into()), ("content-type".into(), JSON.into())],
        body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
    };
    let urn = "urn:uuid:6f9f2a39-43a1-4a1a-9f5a-1f2b3c4d5e6f";
    let bundle = |kind: &str| {
        json!({"resourceType": "Bundle", "type": kind, "entry": [
            {"fullUrl": urn, "resource": group("b", &["ALL"]), "request": {"method": "POST", "url": "Group", "ifNoneExist": "identifier=http://test|b"}},
            {"fullUrl": urn, "resource": group("c", &["ALL"]), "request": {"method": "PUT", "url": "Group?identifier=http://test|c"}},
            {"request": {"method": "GET", "url": format!("Group/{id}"), "ifNoneMatch": "W/\"1\"", "ifModifiedSince": "2026-01-01T00:00:00Z"}},
            {"request": {"method": "DELETE", "url": "Group?identifier=http://test|b"}},
        ]})
    };
    let mut stored = group("1", &["ALL"]);
    stored["id"] = json!(id);
    let xml = fhir::to_xml(
        &fhir::parse(
            group("x", &["LOCAL", "ORGANIZATION remote.test"]).to_string().as_bytes(),
            fhir::Format::Json,
        )
        .unwrap(),
    );
    let mut seeds = vec![
        json("POST /fhir/Group", &group("a", &["LOCAL", "ROLE DIC"])),
        json("POST /fhir/Task", &site.task(Local, "fuzz", "requested")),
        json("POST /fhir/Task", &site.task(Local, "fuzz", "draft")),
        json("POST /fhir/CodeSystem", &code_system("http://test/fuzz", &["ALL"])),
        json("POST /fhir/ActivityDefinition", &process("fuzz", &["LOCAL_ROLE DIC"], "LOCAL_ALL")),
        json(
            "POST /fhir/Binary",
            &json!({"resourceType": "Binary", "contentType": "text/plain", "data": "YQ==", "securityContext": {"reference": format!("Group/{id}")}}),
        ),
        json(
            "POST /fhir/Subscription",
            &json!({"resourceType": "Subscription", "meta": site::meta(&["LOCAL"]), "status": "active", "reason": "r",
            "criteria": "Task?status=draft&_lastUpdated=gt2026", "channel": {"type": "websocket"}}),
        ),
        json(&format!("PUT /fhir/Group/{id}"), &stored),
        json("PUT /fhir/Group?identifier=http%3A%2F%2Ftest%7Ca", &group("a", &["ALL"])),
        json("POST /fhir/", &bundle("batch")),
        json("POST /fhir/", &bundle("transaction")),
        json("DELETE /fhir/Group?identifier=http%3A%2F%2Ftest%7Cc", &Value::Null),
        json(&format!("GET /fhir/Group/{id}/_history/1?_summary=true"), &Value::Null),
        json(
            "GET /fhir/_history?_since=2026-01-01T00:00:00Z&_at=ge2026-01-01&_count=3&_page=2",
            &Value::Null,
        ),
        json("GET /fhir/metadata", &Value::Null),
        json(
            "GET /fhir/Organization?identifier%3Anot=x%7Cy&name%3Acontains=a&_sort=-name,_id&_include=Organization%3Aendpoint&_count=2",
            &Value::Null,
        ),
        json(
            "GET /fhir/Endpoint?organization%3Aidentifier=x%7Cy&address%3Abelow=https&_revinclude=Organization%3Aendpoint",
            &Value::Null,
        ),
        json(
            "GET /fhir/Task?requester=7&authored-on=gt2026-01-01T00:00:00%2B01:00&_summary=count",
            &Value::Null,
        ),
        json(&format!("POST /fhir/Group/{id}/$permanent-delete"), &Value::Null),
    ];
    seeds.push(Seed {
        line: "POST /fhir/Group".into(),
        headers: vec![("content-type".into(), "application/fhir+xml".into())],
        body: xml,
    });
    seeds
}

/// Changes a JSON value up to `depth` levels below: leaves become other values, members vanish, double,
/// nest.
fn shake(target: &mut Value, random: &mut StdRng, depth: u32) {
    let below = match target {
        Value::Object(members) if depth > 0 && !members.is_empty() => {
            let index = random.random_range(0..members.len());
            members.values_mut().nth(index)
        }
        Value::Array(items) if depth > 0 && !items.is_empty() => {
            let index = random.random_range(0..items.len());
            items.get_mut(index)
        }
        _ => None,
    };
    if let Some(below) = below {
        return shake(below, random, depth - 1);
    }
    let word = *WORDS.choose(random).unwrap();
    *target = match random.random_range(0..9) {
        0 => Value::Null,
        1 => json!([]),
        2 => json!({}),
        3 => json!(random.random::<f64>()),
        4 => json!(word),
        5 => json!([target.take(), word]),
        6 => json!({"extension": [{"url": word, "valueString": word}], "reference": word, "system": word}),
        7 => {
            let mut deep = target.take();
            for _ in 0..random.random_range(1..200) {
                deep = json!({"extension": [deep]});
            }
            deep
        }
        _ => json!(word.repeat(random.random_range(1..3000))),
    };
}

fn mutate(seed: &Seed, random: &mut StdRng) -> Option<Request<Full<Bytes>>> {
    let (method, target) = seed.line.split_once(' ').unwrap();
    let mut target = target.to_owned();
    let mut headers = seed.headers.clone();
    let mut body = seed.body.clone();
    let mut method = method.to_owned();
    for _ in 0..random.random_range(1..4) {
        let word = *WORDS.choose(random).unwrap();
        match random.random_range(0..10) {
            0 => {
                let at = target.floor_char_boundary(random.random_range(5..=target.len()));
                let escaped: String = word.bytes().map(|byte| format!("%{byte:02X}")).collect();
                target.insert_str(at, &escaped);
            }
            1 => target.truncate(target.floor_char_boundary(random.random_range(5..=target.len()))),
            2 => {
                let name = HEADERS.choose(random).unwrap();
                headers.retain(|(own, _)| own != name);
                headers.push(((*name).to_owned(), word.to_owned()));
            }
            3 => {
                let forms = [
                    "W/\"1\"",
                    "W/\"99999999999999999999\"",
                    "return=minimal, handling=strict",
                    "identifier=http://test|a",
                    "?x=",
                    "bytes=0-0",
                    "text/html, */*",
                ];
                headers.push((
                    (*HEADERS.choose(random).unwrap()).to_owned(),
                    (*forms.choose(random).unwrap()).to_owned(),
                ));
            }
            4 if !body.is_empty() => {
                for _ in 0..random.random_range(1..5) {
                    let at = random.random_range(0..body.len());
                    body[at] = random.random();
                }
            }
            5 if !body.is_empty() => body.truncate(random.random_range(0..body.len())),
            6 => {
                method =
                    (*["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"].choose(random).unwrap())
                        .to_owned()
            }
            _ => {
                if let Ok(mut value) = serde_json::from_slice::<Value>(&body) {
                    let depth = random.random_range(1..6);
                    shake(&mut value, random, depth);
                    body = value.to_string().into_bytes();
                }
            }
        }
        if body.is_empty() && !seed.body.is_empty() {
            break;
        }
    }
    let uri: Uri = target.parse().ok()?;
    let mut request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).ok()?)
        .uri(uri)
        .header("host", "localhost");
    for (name, value) in headers {
        request = request.header(
            HeaderName::from_bytes(name.as_bytes()).ok()?,
            HeaderValue::from_bytes(value.as_bytes()).ok()?,
        );
    }
    request.body(Full::new(body.into())).ok()
}

/// Resident memory of this process, the gateway in it, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_breaks_the_gateway() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let cases = number("DSF_FUZZ_CASES").unwrap_or(u64::from(CASES));
    let seed = number("DSF_FUZZ_SEED").unwrap_or_else(rand::random);
    let mut random = StdRng::seed_from_u64(seed);
    let site = Site::start().await;
    let id = site.create(Local, &group("1", &["ALL"])).await;
    let seeds = seeds(&site, &id);
    let before = resident();
    let mut statuses = std::collections::BTreeMap::<u16, u64>::new();
    for case in 0..cases {
        let from = random.random_range(0..seeds.len());
        let Some(request) = mutate(&seeds[from], &mut random) else { continue };
        let who = *[Local, Local, Local, Remote, Practitioner].choose(&mut random).unwrap();
        let text = format!("{who:?} {request:?}");
        let sent = site.client(who).send(site.address(), request).await;
        let (answer, _) =
            sent.unwrap_or_else(|error| panic!("seed {seed}, case {case}: no answer ({error:#}) to {text}"));
        let status = answer.status.as_u16();
        *statuses.entry(status).or_default() += 1;
        // 501 is the honest answer of an operation that is not offered.
        assert!(
            status < 500 || status == 501,
            "seed {seed}, case {case}: {status} {} to {text}",
            answer.body
        );
    }
    assert!(
        statuses.contains_key(&200) && statuses.contains_key(&403),
        "mutations are neither all good nor all bad: {statuses:?}"
    );
    let grown = resident().saturating_sub(before);
    assert!(grown < GROWTH_KIB, "seed {seed}: grown by {grown} KiB in {cases} requests");
    site.stop().await;
}
