//! What the end-to-end tests share: stands in temporary folders, Tasks, and waiting for conditions.
#![forbid(unsafe_code)]

pub mod browser;
mod peer;

pub use peer::Peer;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use messaging::{engine::EngineStatus, subject};
use serde_json::{Value, json};
use stand::{Curl, Identity, Options, Site, Stand};

/// How long a condition may take to become true on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// How often a condition is looked at.
pub const LOOK: Duration = Duration::from_millis(50);

/// System of organization identifiers.
pub const ORGANIZATION: &str = "http://dsf.dev/sid/organization-identifier";
/// System of endpoint identifiers.
pub const ENDPOINT: &str = "http://dsf.dev/sid/endpoint-identifier";

/// A stand in a temporary folder, which goes with it.
pub struct TestStand {
    /// The stand. `None` only while it is dropped.
    stand: Option<Stand>,
    folder: PathBuf,
}

impl std::ops::Deref for TestStand {
    type Target = Stand;

    #[allow(clippy::expect_used, reason = "the value is taken out by drop only")]
    fn deref(&self) -> &Stand {
        self.stand.as_ref().expect("a stand that was not dropped")
    }
}

impl std::ops::DerefMut for TestStand {
    #[allow(clippy::expect_used, reason = "the value is taken out by drop only")]
    fn deref_mut(&mut self) -> &mut Stand {
        self.stand.as_mut().expect("a stand that was not dropped")
    }
}

impl Drop for TestStand {
    fn drop(&mut self) {
        drop(self.stand.take());
        if std::thread::panicking() && std::env::var_os("DSF_KEEP").is_some() {
            eprintln!("kept: {}", self.folder.display());
        } else {
            // Nothing is left behind; a folder that cannot be removed fails no test.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// Starts a stand with the bundled processes.
pub async fn stand(sites: usize, replicas: usize) -> Result<TestStand> {
    stand_with(sites, replicas, true, Vec::new()).await
}

/// Starts a stand.
pub async fn stand_with(
    sites: usize,
    replicas: usize,
    processes: bool,
    environment: Vec<(String, String)>,
) -> Result<TestStand> {
    let folder = std::env::temp_dir().join(format!("dsf-test-{}", uuid::Uuid::new_v4()));
    let options = Options { sites, replicas, folder: folder.clone(), processes, environment };
    let started = Stand::start(&options, &|_| {}).await;
    if started.is_err() && std::env::var_os("DSF_KEEP").is_none() {
        let _ = std::fs::remove_dir_all(&folder);
    }
    Ok(TestStand { stand: Some(started?), folder })
}

/// curl with the certificate of a site.
pub fn curl(stand: &Stand, site: &Site) -> Curl {
    Curl::new(&stand.authority.certificate, Some(&site.identity))
}

/// curl with any certificate, or none.
pub fn curl_as(stand: &Stand, identity: Option<&Identity>) -> Curl {
    Curl::new(&stand.authority.certificate, identity)
}

/// An organization as a logical reference.
pub fn organization(value: &str) -> Value {
    json!({"type": "Organization", "identifier": {"system": ORGANIZATION, "value": value}})
}

/// A Task input of the framework's code system.
pub fn message_input(code: &str, value: &str) -> Value {
    json!({"type": {"coding": [{"system": "http://dsf.dev/fhir/CodeSystem/bpmn-message", "code": code}]},
        "valueString": value})
}

/// Adds an input to a Task.
pub fn add_input(task: &mut Value, input: Value) {
    if let Some(inputs) = task["input"].as_array_mut() {
        inputs.push(input);
    }
}

/// The Task that starts a ping at a site.
pub fn start_ping(site: &Site) -> Value {
    json!({
        "resourceType": "Task",
        "meta": {"profile": ["http://dsf.dev/fhir/StructureDefinition/task-start-ping|1.0"]},
        "instantiatesCanonical": "http://dsf.dev/bpe/Process/ping|1.0",
        "status": "requested", "intent": "order", "authoredOn": "2026-11-24T12:00:00+00:00",
        "requester": organization(&site.organization),
        "restriction": {"recipient": [organization(&site.organization)]},
        "input": [message_input("message-name", "startPing")],
    })
}

/// The Task by which one site's ping reaches another site.
pub fn ping_message(from: &Site, to: &Site) -> Value {
    json!({
        "resourceType": "Task",
        "meta": {"profile": ["http://dsf.dev/fhir/StructureDefinition/task-ping|1.0"]},
        "instantiatesCanonical": "http://dsf.dev/bpe/Process/pong|1.0",
        "status": "requested", "intent": "order", "authoredOn": "2026-11-24T12:00:00+00:00",
        "requester": organization(&from.organization),
        "restriction": {"recipient": [organization(&to.organization)]},
        "input": [
            message_input("message-name", "ping"),
            message_input("business-key", &uuid::Uuid::new_v4().to_string()),
            message_input("correlation-key", &uuid::Uuid::new_v4().to_string()),
            {"type": {"coding": [{"system": "http://dsf.dev/fhir/CodeSystem/ping", "code": "endpoint-identifier"}]},
                "valueReference": {"type": "Endpoint",
                    "identifier": {"system": ENDPOINT, "value": from.endpoint}}},
        ],
    })
}

/// Posts a Task and returns the URL it can be read at, without version.
pub async fn create(curl: &Curl, base_url: &str, task: &Value) -> Result<String> {
    let created = curl.post(&format!("{base_url}/Task"), task).await?;
    if created.status != 201 {
        bail!("expected 201 for the Task, got {}: {}", created.status, created.text());
    }
    let location = created.header("location").context("201 without Location")?;
    Ok(location.split("/_history").next().unwrap_or(location).to_owned())
}

/// Waits until the Task has left `requested` and `in-progress`.
pub async fn ended(curl: &Curl, url: &str) -> Result<Value> {
    wait_for(&format!("{url} to end"), || async {
        // Services may be away meanwhile: no answer is no end.
        let Ok(response) = curl.get(url).await else { return Ok(None) };
        if response.status != 200 {
            return Ok(None);
        }
        let task = response.json()?;
        Ok(match task["status"].as_str() {
            Some("completed" | "failed") => Some(task),
            _ => None,
        })
    })
    .await
}

/// Polls until there is a value.
pub async fn wait_for<T, F, R>(what: &str, mut look: F) -> Result<T>
where
    F: FnMut() -> R,
    R: Future<Output = Result<Option<T>>>,
{
    let started = Instant::now();
    loop {
        if let Some(value) = look().await? {
            return Ok(value);
        }
        if started.elapsed() > PATIENCE {
            bail!("waited {PATIENCE:?} for {what}");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// All resources a search finds, over all pages.
pub async fn search(curl: &Curl, url: &str) -> Result<Vec<Value>> {
    let mut resources = Vec::new();
    let mut next = Some(url.to_owned());
    while let Some(url) = next {
        let response = curl.get(&url).await?;
        if response.status != 200 {
            bail!("search {url} was answered with {}: {}", response.status, response.text());
        }
        let bundle = response.json()?;
        resources
            .extend(bundle["entry"].as_array().into_iter().flatten().map(|entry| entry["resource"].clone()));
        next = bundle["link"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|link| link["relation"] == "next")
            .and_then(|link| link["url"].as_str().map(str::to_owned));
    }
    Ok(resources)
}

/// The value of an input or output with a code, whatever its system.
pub fn coded<'a>(entries: &'a Value, code: &str) -> Vec<&'a Value> {
    entries
        .as_array()
        .into_iter()
        .flatten()
        .filter(|entry| entry["type"]["coding"][0]["code"] == code)
        .collect()
}

/// Folder of the public plugins and vectors, where it exists.
pub fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("DSF_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")), PathBuf::from);
    if folder.join("plugins").is_dir() {
        return Some(folder);
    }
    eprintln!("left out: {} has no public plugins", folder.display());
    None
}

/// What a Task of a ping says of its only target: the code of its status.
pub fn ping_status(task: &Value) -> Option<&str> {
    match coded(&task["output"], "ping-status").as_slice() {
        [output] => output["valueCoding"]["code"].as_str(),
        _ => None,
    }
}

/// After everything has ended: the engine has nothing left to do, and took up every Task of the
/// endpoint exactly once. Returns the endpoint's Tasks.
pub async fn settled(stand: &Stand, site: &Site) -> Result<Vec<Value>> {
    let peer = Peer::new(stand, site)?;
    peer.all_ended().await?;
    let tasks = peer.tasks().await?;
    let rows = wait_for("the engine to have nothing left", || async {
        let rows = engine_rows(stand, site).await?;
        Ok((rows.open == 0 && rows.jobs == 0 && rows.unwritten == 0).then_some(rows))
    })
    .await?;
    if rows.messages != i64::try_from(tasks.len())? || rows.incidents != 0 {
        bail!("{} has {} Tasks, but its engine {rows:?}", site.name, tasks.len());
    }
    Ok(tasks)
}

/// What a site's engine holds, looked up in its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EngineRows {
    /// Instances, ended ones included.
    pub instances: i64,
    /// Instances that have not ended.
    pub open: i64,
    /// Jobs of any state.
    pub jobs: i64,
    /// Received Tasks.
    pub messages: i64,
    /// Received Tasks whose write-back is not done.
    pub unwritten: i64,
    /// Open incidents.
    pub incidents: i64,
}

/// Counts the rows of a site's engine.
pub async fn engine_rows(stand: &Stand, site: &Site) -> Result<EngineRows> {
    let database = stand.postgres.client(&stand::postgres::engine_database(&site.name)).await?;
    let row = database
        .query_one(
            "select (select count(*) from instance), (select count(*) from instance where ended is null),
                    (select count(*) from job), (select count(*) from message),
                    (select count(*) from message where work is not null),
                    (select count(*) from incident where resolved is null)",
            &[],
        )
        .await?;
    Ok(EngineRows {
        instances: row.get(0),
        open: row.get(1),
        jobs: row.get(2),
        messages: row.get(3),
        unwritten: row.get(4),
        incidents: row.get(5),
    })
}

/// What a site's engine says of itself, asked as an operator would.
pub async fn engine_status(site: &Site) -> Result<EngineStatus> {
    let operator = site.operator().await?;
    Ok(operator.ask(subject::ENGINE_STATUS, &(), Duration::from_secs(20)).await?)
}
