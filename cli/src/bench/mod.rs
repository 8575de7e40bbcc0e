//! `dsf bench`: throughput, latency, CPU and memory of a site, measured in one run.
mod client;
mod counts;
mod endpoint;
mod engine;
mod linkage;
mod measure;
mod report;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use stand::{Options, Service, Stand};

use self::{
    client::{Client, Reuse},
    measure::{Load, Outcome, Usage},
    report::Report,
};
use crate::{progress::Progress, stand::stop_signal};

/// Connections at which creates are measured.
const CONNECTIONS: [usize; 4] = [1, 8, 32, 128];
/// Concurrent clients of the other measurements.
const CLIENTS: usize = 8;
/// Clients that start pings at the same time.
const PING_CLIENTS: usize = 16;
/// Entries of a transaction.
const TRANSACTION_ENTRIES: usize = 20;

/// Settings of a run.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Seconds per measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Folder; a temporary one, removed at the end, where absent.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Replicas of every service.
    #[arg(long, default_value_t = 1)]
    replicas: usize,
    /// Measure the record linkage instead; it needs no site.
    #[arg(long)]
    linkage: bool,
    /// Only the process engine, without sites.
    #[arg(long)]
    engine: bool,
    /// Only the FHIR endpoint, on one site: few and many stored resources, Binaries, subscribers, handshakes.
    #[arg(long)]
    endpoint: bool,
    /// With --endpoint: numbers of stored Tasks, ascending.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 100_000])]
    stored: Vec<usize>,
    /// With --endpoint: how often the allow list was posted before it is measured.
    #[arg(long, default_value_t = 100)]
    versions: usize,
    /// With --engine: numbers of waiting instances, ascending.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10_000, 100_000, 1_000_000])]
    waiting: Vec<u64>,
}

/// Runs all measurements and prints the report as Markdown.
pub async fn run(arguments: Arguments) -> Result<ExitCode> {
    if arguments.linkage {
        return linkage::run().map(|()| ExitCode::SUCCESS);
    }
    let temporary = arguments.dir.is_none();
    let folder = arguments
        .dir
        .clone()
        .unwrap_or_else(|| std::env::temp_dir().join(format!("dsf-bench-{}", std::process::id())));
    let progress = Progress::new();
    // What was started ends with the measurement, also when that is stopped.
    let report = tokio::select! {
        report = measure(&arguments, &folder, &progress) => report,
        () = stop_signal()? => Err(anyhow::anyhow!("stopped")),
    };
    progress.end();
    if temporary {
        // The report matters more than a folder that stays.
        let _ = std::fs::remove_dir_all(&folder);
    }
    print!("{}", report?);
    Ok(ExitCode::SUCCESS)
}

async fn measure(arguments: &Arguments, folder: &Path, progress: &Progress) -> Result<String> {
    let span = Duration::from_secs(arguments.seconds);
    if arguments.engine {
        let engine = engine::run(folder, span, &arguments.waiting, progress);
        return tokio::task::LocalSet::new().run_until(engine).await;
    }
    if arguments.endpoint {
        return endpoint::run(folder, span, &arguments.stored, arguments.versions, progress).await;
    }
    let options = Options {
        sites: 2,
        replicas: arguments.replicas,
        folder: folder.to_owned(),
        processes: true,
        environment: vec![],
    };
    let mut stand = Stand::start(&options, &|step| progress.step(step)).await?;
    let mut report = Report::new(arguments.seconds, arguments.replicas);
    let result = measure_all(&mut stand, span, progress, &mut report).await;
    progress.end();
    stand.stop().await;
    result?;
    progress.step("counts per ping");
    report.counts(&counts::counts(folder).await?);
    Ok(report.markdown())
}

async fn measure_all(
    stand: &mut Stand,
    span: Duration,
    progress: &Progress,
    report: &mut Report,
) -> Result<()> {
    progress.step("start-up and idle memory");
    report.memory("idle", &Usage::of(stand)?);
    report.start_up(start_up(stand).await?);

    progress.step("pings with one target");
    let site = &stand.sites[0];
    let client = Arc::new(Client::new(&stand.authority.certificate, &site.identity, &site.base_url)?);
    let ping = Arc::new(start_ping(&site.organization));
    // A first one, so that nothing is measured that happens once.
    complete_ping(&client, &ping).await?;
    for clients in [1, PING_CLIENTS] {
        let outcome = measured(stand, span, clients, {
            let (client, ping) = (Arc::clone(&client), Arc::clone(&ping));
            move || {
                let (client, ping) = (Arc::clone(&client), Arc::clone(&ping));
                async move { complete_ping(&client, &ping).await.map(drop) }
            }
        })
        .await?;
        report.row(&format!("ping, {clients} at a time"), outcome);
    }
    report.memory("after pings", &Usage::of(stand)?);

    // Now the endpoint alone: nobody picks up the Tasks.
    for service in [Service::Router, Service::Engine, Service::Worker] {
        for replica in 0..report.replicas {
            stand.sites[0].kill(service, replica).await?;
        }
    }
    for (reuse, connections) in [Reuse::KeepAlive, Reuse::Resume]
        .into_iter()
        .flat_map(|reuse| CONNECTIONS.map(|count| (reuse, count)))
    {
        let name = format!("create Task, {connections} connections{}", reuse.suffix());
        progress.step(&name);
        report.row(&name, requests(stand, span, connections, reuse, "POST", "Task", Some(&ping), 201).await?);
    }
    let created = client.send(Reuse::KeepAlive, "POST", "Task", Some(&ping)).await?;
    let location = created.location.context("201 without Location")?;
    let id = id_of(&location);
    let search = "Task?status=requested&_sort=-_lastUpdated&_count=20";
    let transaction = Arc::new(transaction(&ping));
    for (name, method, path, body, status) in [
        ("read Task", "GET", format!("Task/{id}"), None, 200),
        ("search of 20 Tasks", "GET", search.to_owned(), None, 200),
        ("transaction of 20 creates", "POST", String::new(), Some(&transaction), 200),
    ] {
        progress.step(name);
        report
            .row(name, requests(stand, span, CLIENTS, Reuse::KeepAlive, method, &path, body, status).await?);
    }
    report.memory("after load", &Usage::of(stand)?);
    Ok(())
}

/// Seconds from the start of the four services of a site to their readiness.
async fn start_up(stand: &mut Stand) -> Result<Duration> {
    let site = stand.sites.get_mut(1).context("two sites are needed")?;
    site.stop().await;
    let started = std::time::Instant::now();
    site.start(1).await?;
    Ok(started.elapsed())
}

/// Runs an operation with a number of clients for a span and takes the usage around it.
async fn measured<F, R>(stand: &Stand, span: Duration, clients: usize, operation: F) -> Result<Outcome>
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = Result<()>> + Send,
{
    let before = Usage::of(stand)?;
    let load = Load::run(span, clients, operation).await?;
    let after = Usage::of(stand)?;
    Ok(Outcome { load, usage: after.since(&before) })
}

#[allow(clippy::too_many_arguments, reason = "one row of the table of measurements")]
async fn requests(
    stand: &Stand,
    span: Duration,
    clients: usize,
    reuse: Reuse,
    method: &'static str,
    path: &str,
    body: Option<&Arc<Value>>,
    expected: u16,
) -> Result<Outcome> {
    let site = &stand.sites[0];
    let client = Arc::new(Client::new(&stand.authority.certificate, &site.identity, &site.base_url)?);
    let (path, body) = (Arc::new(path.to_owned()), body.cloned());
    measured(stand, span, clients, move || {
        let (client, path, body) = (Arc::clone(&client), Arc::clone(&path), body.clone());
        async move {
            let answer = client.send(reuse, method, &path, body.as_deref()).await?;
            if answer.status != expected {
                bail!(
                    "{method} {path} was answered with {} instead of {expected}: {}",
                    answer.status,
                    answer.body
                );
            }
            Ok(())
        }
    })
    .await
}

/// Posts a start Task and waits until it is completed; how often it was looked at.
async fn complete_ping(client: &Client, ping: &Value) -> Result<u32> {
    let created = client.send(Reuse::KeepAlive, "POST", "Task", Some(ping)).await?;
    if created.status != 201 {
        bail!("the start Task was answered with {}: {}", created.status, created.body);
    }
    let location = created.location.context("201 without Location")?;
    let id = id_of(&location);
    let mut looks = 0;
    loop {
        let answer = client.send(Reuse::KeepAlive, "GET", &format!("Task/{id}"), None).await?;
        looks += 1;
        let task: Value = serde_json::from_str(&answer.body).context("Task is not JSON")?;
        match task["status"].as_str() {
            Some("completed") if answer.body.contains("pong-received") => return Ok(looks),
            Some("requested" | "in-progress") => tokio::time::sleep(Duration::from_millis(20)).await,
            status => bail!("a ping ended as {status:?}: {}", answer.body),
        }
    }
}

/// The id in a `Location`.
fn id_of(location: &str) -> String {
    let id = location.split("/_history/").next().and_then(|resource| resource.rsplit('/').next());
    id.unwrap_or_default().to_owned()
}

fn start_ping(organization: &str) -> Value {
    let reference = json!({"type": "Organization", "identifier": {
        "system": "http://dsf.dev/sid/organization-identifier", "value": organization}});
    json!({
        "resourceType": "Task",
        "meta": {"profile": ["http://dsf.dev/fhir/StructureDefinition/task-start-ping|1.0"]},
        "instantiatesCanonical": "http://dsf.dev/bpe/Process/ping|1.0",
        "status": "requested", "intent": "order", "authoredOn": "2026-11-24T12:00:00+00:00",
        "requester": reference, "restriction": {"recipient": [reference]},
        "input": [{
            "type": {"coding": [{"system": "http://dsf.dev/fhir/CodeSystem/bpmn-message", "code": "message-name"}]},
            "valueString": "startPing",
        }],
    })
}

fn transaction(task: &Value) -> Value {
    let entries: Vec<Value> = (0..TRANSACTION_ENTRIES)
        .map(|index| {
            json!({
                "fullUrl": format!("urn:uuid:00000000-0000-4000-8000-{index:012}"),
                "resource": task, "request": {"method": "POST", "url": "Task"},
            })
        })
        .collect();
    json!({"resourceType": "Bundle", "type": "transaction", "entry": entries})
}
