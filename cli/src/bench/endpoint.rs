//! `dsf bench --endpoint`: the FHIR endpoint of one site, with few and with many stored resources.
use std::{
    convert::Infallible,
    fmt::Write,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, stream};
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use stand::{
    Options, Service, Stand,
    environment::{Member, allow_list},
};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::{
    CLIENTS,
    client::{Client, Reuse},
    id_of,
    measure::{Load, Outcome, Usage},
    requests, start_ping, transaction,
};
use crate::progress::Progress;

/// Tasks of one bundle while the store is filled.
const FILL: usize = 100;
/// Organizations of the allow list, each with an Endpoint and an OrganizationAffiliation.
const ORGANIZATIONS: usize = 500;
/// How often the allow list is measured.
const ALLOW_LISTS: u32 = 3;
/// Size of the Binary, and of the pieces it is sent in.
const BINARY: usize = 1024 * PIECE;
const PIECE: usize = 1024 * 1024;
/// Downloads whose first byte is waited for.
const FIRST_BYTES: usize = 50;
/// WebSockets that are open and idle.
const SUBSCRIBERS: usize = 1000;
/// WebSockets that are opened at the same time.
const OPENING: usize = 16;
/// Longest wait for one change to reach all subscribers.
const FAN_OUT: Duration = Duration::from_secs(60);
/// System of the identifier that tells stored Tasks apart.
const NUMBER_SYSTEM: &str = "http://bench.test/sid/number";
/// Programs in the order of the columns.
const PROGRAMS: [&str; 3] = ["fhir-gateway", "postgres", "nats-server"];

/// Runs the measurements; the report as Markdown. `stored`: numbers of stored Tasks, ascending.
pub async fn run(
    folder: &Path,
    span: Duration,
    stored: &[usize],
    versions: usize,
    progress: &Progress,
) -> Result<String> {
    let options =
        Options { sites: 1, replicas: 1, folder: folder.to_owned(), processes: true, environment: vec![] };
    let mut stand = Stand::start(&options, &|step| progress.step(step)).await?;
    let result = measure(&mut stand, span, stored, versions, progress).await;
    stand.stop().await;
    result
}

async fn measure(
    stand: &mut Stand,
    span: Duration,
    stored: &[usize],
    versions: usize,
    progress: &Progress,
) -> Result<String> {
    // Nobody picks up the Tasks.
    for service in [Service::Router, Service::Engine, Service::Worker] {
        stand.sites[0].kill(service, 0).await?;
    }
    let site = &stand.sites[0];
    let client = Arc::new(Client::new(&stand.authority.certificate, &site.identity, &site.base_url)?);
    let bench = Bench {
        stand,
        client,
        organization: site.organization.clone(),
        span,
        progress,
        next: AtomicUsize::new(0),
    };
    let mut report = format!(
        "\n## FHIR endpoint\n\n{} processors, one site, one gateway, {CLIENTS} clients, load from the same machine, fsync on.\n\n\
         | operation | stored Tasks | per second | p50 ms | p95 ms | {} |\n|---|---:|---:|---:|---:|{}\n",
        std::thread::available_parallelism().map_or(0, usize::from),
        PROGRAMS.join(" | "),
        "---:|".repeat(PROGRAMS.len()),
    );
    for count in stored {
        bench.fill(*count).await?;
        bench.operations(*count, &mut report).await?;
    }
    let stored = stored.last().copied().unwrap_or_default();
    bench.handshakes(stored, &mut report).await?;
    bench.allow_list(stored, versions, &mut report).await?;
    report.push_str(
        "\nColumns with program names: CPU milliseconds per operation. Tasks are stored by transactions of the endpoint itself.\n\n",
    );
    bench.binary(&mut report).await?;
    bench.subscribers(&mut report).await?;
    Ok(report)
}

struct Bench<'a> {
    stand: &'a Stand,
    client: Arc<Client>,
    organization: String,
    span: Duration,
    progress: &'a Progress,
    /// Number of the next Task.
    next: AtomicUsize,
}

/// A row of the table.
fn row(report: &mut String, name: &str, stored: usize, outcome: &Outcome) {
    let Outcome { load, usage } = outcome;
    // What takes seconds has a rate, too.
    let digits = if load.rate() < 1.0 { 2 } else { 0 };
    let _ = write!(
        report,
        "| {name} | {stored} | {:.digits$} | {:.1} | {:.1} |",
        load.rate(),
        load.percentile(0.5),
        load.percentile(0.95)
    );
    for program in PROGRAMS {
        let cpu = usage.cpu.get(program).copied().unwrap_or_default();
        let _ = write!(report, " {:.2} |", cpu / load.latencies.len().max(1) as f64);
    }
    report.push('\n');
}

fn gateway_mib(usage: &Usage) -> f64 {
    usage.resident.get(Service::Gateway.name()).map_or(0.0, |(bytes, _)| *bytes as f64 / PIECE as f64)
}

impl Bench<'_> {
    /// A Task that differs from all others.
    fn task(&self) -> Value {
        let mut task = start_ping(&self.organization);
        let number = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        task["identifier"] = json!([{"system": NUMBER_SYSTEM, "value": number}]);
        task
    }

    /// Stores Tasks, in transactions over several connections, until there are this many.
    async fn fill(&self, count: usize) -> Result<()> {
        self.progress.step(&format!("storing {count} Tasks"));
        let missing = count.saturating_sub(self.next.load(Ordering::Relaxed));
        let bundles = stream::iter(0..missing.div_ceil(FILL)).map(async |_| {
            let mut bundle = transaction(&Value::Null);
            let entry = bundle["entry"][0].take();
            let entries = (0..FILL).map(|index| {
                let mut entry = entry.clone();
                entry["fullUrl"] = json!(format!("urn:uuid:00000000-0000-4000-8000-{index:012}"));
                entry["resource"] = self.task();
                entry
            });
            bundle["entry"] = entries.collect();
            let answer = self.client.send(Reuse::KeepAlive, "POST", "", Some(&bundle)).await?;
            ensure!(answer.status == 200, "a bundle was answered with {}: {}", answer.status, answer.body);
            Ok(())
        });
        let mut bundles = bundles.buffer_unordered(CLIENTS);
        while let Some(done) = bundles.next().await {
            done?;
        }
        Ok(())
    }

    async fn operations(&self, stored: usize, report: &mut String) -> Result<()> {
        let number = self.next.load(Ordering::Relaxed) - 1;
        let task = Arc::new(self.task());
        let created = self.client.send(Reuse::KeepAlive, "POST", "Task", Some(&task)).await?;
        let read = format!("Task/{}", id_of(&created.location.context("201 without Location")?));
        let one = format!("Task?identifier={NUMBER_SYSTEM}|{number}");
        let transaction = Arc::new(transaction(&task));
        for (name, method, path, body, status) in [
            ("read", "GET", read.as_str(), None, 200),
            ("search, one match", "GET", &one, None, 200),
            (
                "search, 20 newest of all with a status",
                "GET",
                "Task?status=requested&_sort=-_lastUpdated&_count=20",
                None,
                200,
            ),
            (
                "search, the same of one requester",
                "GET",
                "Task?status=requested&requester:identifier=http://dsf.dev/sid/organization-identifier|site-a.test&_sort=-_lastUpdated&_count=20",
                None,
                200,
            ),
            ("search, 20 of all", "GET", "Task?_count=20", None, 200),
            ("create", "POST", "Task", Some(&task), 201),
            ("transaction of 20 creates", "POST", "", Some(&transaction), 200),
        ] {
            self.progress.step(&format!("{name}, {stored} stored"));
            let outcome =
                requests(self.stand, self.span, CLIENTS, Reuse::KeepAlive, method, path, body, status)
                    .await?;
            row(report, name, stored, &outcome);
        }
        Ok(())
    }

    /// A connection for every read: what a handshake costs is the difference to a read.
    async fn handshakes(&self, stored: usize, report: &mut String) -> Result<()> {
        let created = self.client.send(Reuse::KeepAlive, "POST", "Task", Some(&self.task())).await?;
        let read = format!("Task/{}", id_of(&created.location.context("201 without Location")?));
        for (name, reuse) in
            [("TLS handshake and read", Reuse::Full), ("resumed TLS handshake and read", Reuse::Resume)]
        {
            self.progress.step(name);
            let outcome = requests(self.stand, self.span, CLIENTS, reuse, "GET", &read, None, 200).await?;
            row(report, name, stored, &outcome);
        }
        Ok(())
    }

    async fn allow_list(&self, stored: usize, versions: usize, report: &mut String) -> Result<()> {
        let members: Vec<[String; 4]> = (0..ORGANIZATIONS)
            .map(|index| {
                let name = format!("member-{index}.test");
                let thumbprint = format!("{index:0128x}");
                [name.clone(), format!("fhir.{name}"), format!("https://{name}/fhir"), thumbprint]
            })
            .collect();
        let bundle = allow_list(members.iter().map(|[organization, endpoint, address, thumbprint]| Member {
            organization,
            endpoint,
            address,
            thumbprint,
        }));
        let bundle = Arc::new(bundle);
        for version in 0..versions {
            self.progress.step(&format!("allow list, version {version}"));
            post(&self.client, &bundle).await?;
        }
        self.progress.step("allow list");
        let before = Usage::of(self.stand)?;
        let started = Instant::now();
        let mut latencies = Vec::new();
        for _ in 0..ALLOW_LISTS {
            let begin = Instant::now();
            post(&self.client, &bundle).await?;
            latencies.push(begin.elapsed());
        }
        latencies.sort_unstable();
        let load = Load { elapsed: started.elapsed(), latencies };
        let usage = Usage::of(self.stand)?.since(&before);
        let name = format!("allow list of {ORGANIZATIONS} organizations, {versions} earlier versions");
        row(report, &name, stored, &Outcome { load, usage });
        Ok(())
    }

    async fn binary(&self, report: &mut String) -> Result<()> {
        self.progress.step("Binary of 1 GiB");
        let piece = Bytes::from(vec![b'x'; PIECE]);
        let pieces =
            stream::iter(0..BINARY / PIECE).map(move |_| Ok::<_, Infallible>(Frame::data(piece.clone())));
        // A Binary needs something that says who may read it: the own organization.
        let path = format!(
            "Organization?identifier=http://dsf.dev/sid/organization-identifier|{}",
            self.organization
        );
        let found = self.client.send(Reuse::KeepAlive, "GET", &path, None).await?;
        let found: Value = serde_json::from_str(&found.body)?;
        let organization = found["entry"][0]["resource"]["id"].as_str().context("no own organization")?;
        let request = self
            .client
            .request("POST", "Binary")
            .header("content-type", "application/octet-stream")
            .header("accept", "application/fhir+json")
            .header("prefer", "return=minimal")
            .header("x-security-context", format!("Organization/{organization}"))
            .body(StreamBody::new(pieces))?;
        let started = Instant::now();
        let response = self.client.connect(Reuse::Resume).await?.send_request(request).await?;
        ensure!(response.status() == 201, "the upload was answered with {}", response.status());
        let upload = started.elapsed();
        let location = response.headers().get("location").context("201 without Location")?;
        let path = format!("Binary/{}", id_of(location.to_str()?));

        let started = Instant::now();
        let mut body = self.download(&path).await?;
        let mut size = 0;
        while let Some(frame) = body.frame().await {
            size += frame?.data_ref().map_or(0, Bytes::len);
        }
        ensure!(size == BINARY, "{size} bytes came back");
        let download = started.elapsed();

        let mut firsts = Vec::new();
        for _ in 0..FIRST_BYTES {
            let started = Instant::now();
            let mut body = self.download(&path).await?;
            body.frame().await.context("no data")??;
            firsts.push(started.elapsed());
        }
        firsts.sort_unstable();
        let firsts = Load { elapsed: Duration::ZERO, latencies: firsts };
        let rate = |time: Duration| (BINARY / PIECE) as f64 / time.as_secs_f64();
        let _ = writeln!(
            report,
            "Binary of 1 GiB: first byte after {:.1} ms (p95 {:.1} ms), a new connection included; {:.0} MiB/s up, {:.0} MiB/s down; \
             the gateway holds {:.0} MiB afterwards.\n",
            firsts.percentile(0.5),
            firsts.percentile(0.95),
            rate(upload),
            rate(download),
            gateway_mib(&Usage::of(self.stand)?),
        );
        Ok(())
    }

    async fn download(&self, path: &str) -> Result<hyper::body::Incoming> {
        let request = self.client.request("GET", path).header("accept", "*/*").body(Empty::<Bytes>::new())?;
        let response = self.client.connect(Reuse::Resume).await?.send_request(request).await?;
        ensure!(response.status() == 200, "the download was answered with {}", response.status());
        Ok(response.into_body())
    }

    async fn subscribers(&self, report: &mut String) -> Result<()> {
        self.progress.step(&format!("{SUBSCRIBERS} subscribers"));
        let found = self.client.send(Reuse::KeepAlive, "GET", "Subscription?_count=100", None).await?;
        let found: Value = serde_json::from_str(&found.body)?;
        let subscription = found["entry"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|entry| &entry["resource"])
            .find(|resource| resource["criteria"].as_str().is_some_and(|text| text.starts_with("Task?")))
            .and_then(|resource| resource["id"].as_str())
            .context("no Subscription for Tasks")?;
        let before = Usage::of(self.stand)?;
        let (received, mut receipts) = mpsc::channel(SUBSCRIBERS);
        let opened = stream::iter(0..SUBSCRIBERS)
            .map(async |_| subscribe(&self.client, subscription, received.clone()).await)
            .buffer_unordered(OPENING);
        let mut opened = std::pin::pin!(opened);
        let mut sessions = tokio::task::JoinSet::new();
        while let Some(session) = opened.next().await {
            sessions.spawn(session?);
        }
        let open = Usage::of(self.stand)?;
        tokio::time::sleep(self.span).await;
        let idle = Usage::of(self.stand)?.since(&open);
        let cpu =
            idle.cpu.get(Service::Gateway.name()).copied().unwrap_or_default() / self.span.as_secs_f64();

        let started = Instant::now();
        self.client.send(Reuse::KeepAlive, "POST", "Task", Some(&self.task())).await?;
        let all = async {
            for _ in 0..SUBSCRIBERS {
                receipts.recv().await.context("the subscribers have ended")?;
            }
            Ok::<_, anyhow::Error>(())
        };
        tokio::select! {
            done = tokio::time::timeout(FAN_OUT, all) => done.context("a change has not reached all subscribers")??,
            Some(ended) = sessions.join_next() => bail!("a subscriber was dropped: {ended:?}"),
        }
        let fan_out = started.elapsed();
        let _ = writeln!(
            report,
            "{SUBSCRIBERS} idle subscribers: {:.0} KiB each, {cpu:.1} CPU ms per second of the gateway; \
             a change has reached all of them after {:.0} ms.\n",
            (gateway_mib(&open) - gateway_mib(&before)) * 1024.0 / SUBSCRIBERS as f64,
            fan_out.as_secs_f64() * 1000.0,
        );
        Ok(())
    }
}

async fn post(client: &Client, bundle: &Value) -> Result<()> {
    let answer = client.send(Reuse::KeepAlive, "POST", "", Some(bundle)).await?;
    ensure!(answer.status == 200, "the allow list was answered with {}: {}", answer.status, answer.body);
    Ok(())
}

/// Opens a WebSocket and binds the Subscription; the future tells of every resource that comes and ends with
/// the connection.
async fn subscribe(
    client: &Client,
    subscription: &str,
    received: mpsc::Sender<()>,
) -> Result<impl Future<Output = Result<()>> + use<>> {
    let tls = client.tls(Reuse::Resume).await?;
    let url = client.request("GET", "ws").body(())?;
    let host = url.headers().get("host").context("no host")?.to_str()?;
    let (mut socket, _) = tokio_tungstenite::client_async(format!("wss://{host}{}", url.uri()), tls).await?;
    socket.send(Message::text(format!("bind {subscription}"))).await?;
    let bound = socket.next().await.context("the WebSocket was closed")??;
    ensure!(bound.to_text()?.starts_with("bound "), "bind was answered with {bound}");
    Ok(async move {
        while let Some(message) = socket.next().await {
            if message?.is_text() {
                received.send(()).await?;
            }
        }
        Ok(())
    })
}
