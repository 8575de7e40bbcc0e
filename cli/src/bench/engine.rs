//! `dsf bench --engine`: the process engine alone, on PostgreSQL and NATS of its own, with stand-ins for
//! router and workers that answer at once.
use std::{
    collections::BTreeMap,
    fmt::Write,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use messaging::{
    connect::{Nats, NatsConfig},
    engine::{
        DeliverRequest, Delivered, DeployReply, DeployRequest, EngineStatus, InstanceQuery, InstanceView,
    },
    job::{
        Acknowledgement, ClaimReply, ClaimRequest, Document, Done, JobResult, Outcome, PROTOCOL_VERSION,
        Source, WRITE_BACK,
    },
    permissions::User,
    subject,
};
use nix::sys::signal::Signal;
use serde_json::json;
use stand::{NatsServer, Postgres, ServiceProcess, Tools};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::task::JoinSet;

use super::measure::Load;
use crate::progress::Progress;

/// Account and database of the measured engine.
const SITE: &str = "bench";
/// Longest wait for an answer.
const REQUEST: Duration = Duration::from_secs(30);
/// Loops that claim jobs and answer them, and jobs of one claim.
const WORKERS: usize = 4;
const CLAIM: u32 = 64;
/// Longest wait for the answer to a claim; an engine that was stopped gives none.
const CLAIM_WAIT: Duration = Duration::from_secs(2);
/// Deliveries under way at a time.
const CLIENTS: usize = 64;
/// Instances whose timers and messages are looked at while others wait.
const SAMPLES: usize = 200;
/// Waiting instances that are copied by one statement.
const BALLAST: i64 = 100_000;
/// Time the sampled timers run.
const TIMER: Duration = Duration::from_secs(2);
/// Longest wait for the last instances of a measurement.
const DRAIN: Duration = Duration::from_secs(120);
/// Job type of the models.
const JOB: &str = "bench/1.0/work";

/// Runs the measurements; the report as Markdown. `waiting`: numbers of waiting instances, ascending.
pub async fn run(folder: &Path, span: Duration, waiting: &[u64], progress: &Progress) -> Result<String> {
    let tools = Tools::find()?;
    std::fs::create_dir_all(folder)?;
    let mut postgres = Postgres::start(&tools, &folder.join("postgres")).await?;
    let mut nats = NatsServer::start(&tools, &folder.join("nats"), &[SITE.to_owned()]).await?;
    let result = async {
        postgres.execute("postgres", &format!("CREATE DATABASE {SITE}")).await?;
        measure(folder, &postgres, &nats, span, waiting, progress).await
    }
    .await;
    nats.stop().await;
    postgres.stop().await;
    result
}

async fn measure(
    folder: &Path,
    postgres: &Postgres,
    nats: &NatsServer,
    span: Duration,
    waiting: &[u64],
    progress: &Progress,
) -> Result<String> {
    let bench = Arc::new(Bench::new(nats).await?);
    let mut engines = vec![Engine::start(folder, 0, postgres, nats).await?];
    bench.deploy().await?;
    // Until the end: a worker that stopped in the middle of a claim would leave its jobs leased.
    let _workers = bench.workers();
    let mut report = String::from(
        "\n## Process engine\n\n| instances | replicas | per second | steps per second | commits per step | p50 ms | p95 ms |\n|---|---:|---:|---:|---:|---:|---:|\n",
    );
    for replicas in [1, 2] {
        while engines.len() < replicas {
            engines.push(Engine::start(folder, engines.len(), postgres, nats).await?);
        }
        for (name, process) in [("sequence of 3 jobs", "sequence"), ("fork and join of 4 jobs", "fork")] {
            progress.step(&format!("{name}, {replicas} replica(s)"));
            let run = bench.throughput(postgres, process, span).await?;
            let _ = writeln!(
                report,
                "| {name} | {replicas} | {:.0} | {:.0} | {:.2} | {:.1} | {:.1} |",
                run.instances, run.steps, run.commits, run.p50, run.p95
            );
        }
    }
    report.push_str(
        "\nA step: a delivery, a job's result or a written status. Latency: of the delivery.\n\n| waiting instances | start-up s | engine MiB | timer late p50 ms | p95 ms | correlation p50 ms | p95 ms |\n|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    stop(&mut engines).await;
    engines.push(Engine::start(folder, 0, postgres, nats).await?);
    let mut there = 0;
    for count in waiting {
        progress.step(&format!("{count} waiting instances"));
        bench.ballast(postgres, count.saturating_sub(there), progress).await?;
        there = *count;
        stop(&mut engines).await;
        let started = Instant::now();
        engines.push(Engine::start(folder, 0, postgres, nats).await?);
        let start_up = started.elapsed();
        let timers = bench.timers().await?;
        let correlation = bench.correlation(*count).await?;
        let memory = engines.first().map(Engine::resident).transpose()?.unwrap_or_default();
        let _ = writeln!(
            report,
            "| {count} | {:.2} | {memory:.0} | {:.1} | {:.1} | {:.1} | {:.1} |",
            start_up.as_secs_f64(),
            timers.percentile(0.5),
            timers.percentile(0.95),
            correlation.percentile(0.5),
            correlation.percentile(0.95),
        );
    }
    report.push_str(
        "\nWaiting instances are rows copied from one that waits for a message, each with a timer. Timers are looked at while as many messages arrive as fit; memory is taken afterwards.\n",
    );
    Ok(report)
}

/// Asks the replicas to end and waits, so that nothing is asked of one that is about to.
async fn stop(engines: &mut Vec<Engine>) {
    for mut engine in engines.drain(..) {
        engine.0.stop(Signal::SIGTERM).await;
    }
}

/// One replica of the engine.
struct Engine(ServiceProcess);

impl Engine {
    async fn start(folder: &Path, replica: usize, postgres: &Postgres, nats: &NatsServer) -> Result<Self> {
        let ready = folder.join(format!("engine-{replica}.ready"));
        if ready.exists() {
            std::fs::remove_file(&ready)?;
        }
        let me = std::env::current_exe()?;
        let program: PathBuf = me.parent().context("dsf lies in no folder")?.join("bpmn-engine");
        let (user, password) = nats.credentials(SITE, User::Engine);
        let mut command = tokio::process::Command::new(program);
        command
            .env("DSF_ENGINE_DATABASE_URL", postgres.url(SITE))
            .env("DSF_ENGINE_NATS_URLS", nats.url())
            .env("DSF_ENGINE_NATS_USER", user)
            .env("DSF_ENGINE_NATS_PASSWORD", password)
            // All starts come from one requester and are never answered.
            .env("DSF_ENGINE_ADMISSION_LIMIT", "1000000")
            .env("DSF_ENGINE_READY_FILE", &ready);
        let log = folder.join(format!("engine-{replica}.log"));
        let mut process = ServiceProcess::spawn("bpmn-engine", &mut command, &log)?;
        process.wait_until(REQUEST, || ready.exists()).await?;
        Ok(Self(process))
    }

    /// Resident memory in MiB.
    fn resident(&self) -> Result<f64> {
        let pid = self.0.pid().context("the engine has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes / 1024.0)
    }
}

/// Figures of one throughput measurement.
struct Throughput {
    instances: f64,
    steps: f64,
    commits: f64,
    p50: f64,
    p95: f64,
}

struct Bench {
    router: Nats,
    worker: Nats,
    operator: Nats,
    next: AtomicU64,
    /// Results that were accepted.
    results: AtomicU64,
}

impl Bench {
    async fn new(nats: &NatsServer) -> Result<Self> {
        let connect = async |user: User| {
            let (login, password) = nats.credentials(SITE, user);
            let config =
                NatsConfig { urls: vec![nats.url()], user: Some(login), password: Some(password), ca: None };
            Nats::try_connect(&config, SITE).await.map_err(|reason| anyhow::anyhow!("NATS: {reason}"))
        };
        Ok(Self {
            router: connect(User::Router).await?,
            worker: connect(User::Worker).await?,
            operator: connect(User::Operator).await?,
            next: AtomicU64::new(0),
            results: AtomicU64::new(0),
        })
    }

    async fn deploy(&self) -> Result<()> {
        let models = [
            ("sequence", SEQUENCE, "s>a a>b b>c c>e"),
            ("fork", FORK, "s>f f>a f>b f>c f>d a>j b>j c>j d>j j>e"),
            ("wait", WAIT, "s>w w>e late>l"),
            ("tick", TICK, "s>t t>e"),
        ];
        let models = models
            .into_iter()
            .map(|(name, elements, flows)| (format!("{name}.bpmn"), model(name, elements, flows)));
        let request = DeployRequest {
            plugin: "bench".to_owned(),
            version: "1.0.0.0".to_owned(),
            models: models.collect(),
            jobs: BTreeMap::new(),
        };
        let _: DeployReply = self.operator.ask(subject::DEPLOY, &request, REQUEST).await?;
        Ok(())
    }

    async fn deliver(&self, process: &str, message: &str, key: &str) -> Result<()> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let request = DeliverRequest {
            source: Source { base_url: "https://bench/fhir".to_owned(), reference: format!("Task/{id}") },
            process_key: format!("benchexample_{process}"),
            process_version: "1.0".to_owned(),
            message_name: message.to_owned(),
            business_key: Some(key.to_owned()),
            correlation_key: None,
            requester: "bench".to_owned(),
            document: Document { media_type: "application/fhir+json".to_owned(), text: "{}".to_owned() },
        };
        match self.router.ask(subject::DELIVER, &request, REQUEST).await? {
            Delivered::Accepted => Ok(()),
            other => bail!("a delivery was answered with {other:?}"),
        }
    }

    async fn start(&self, process: &str) -> Result<String> {
        let key = format!("key-{}", self.next.fetch_add(1, Ordering::Relaxed));
        self.deliver(process, "start", &key).await?;
        Ok(key)
    }

    /// Claims and answers, for ever.
    async fn work(&self) -> Result<std::convert::Infallible> {
        let request = ClaimRequest {
            version: PROTOCOL_VERSION,
            worker: "bench".to_owned(),
            types: vec![JOB.to_owned(), WRITE_BACK.to_owned()],
            max: CLAIM,
            lease_millis: 5_000,
        };
        loop {
            let ClaimReply { jobs } = self.worker.ask(subject::CLAIM, &request, CLAIM_WAIT).await?;
            if jobs.is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let answers = jobs.into_iter().map(async |job| {
                let outcome = match &job.write_back {
                    Some(order) => Outcome::Written { status: order.status.clone(), version: 2 },
                    None => Outcome::Done(Done::default()),
                };
                let user = if job.write_back.is_some() { &self.router } else { &self.worker };
                let result = JobResult { version: PROTOCOL_VERSION, id: job.id, lease: job.lease, outcome };
                let subject = subject::job_result(&job.kind);
                if user.ask::<_, Acknowledgement>(&subject, &result, REQUEST).await?
                    == Acknowledgement::Accepted
                {
                    self.results.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<(), anyhow::Error>(())
            });
            for answer in futures(answers).await {
                answer?;
            }
        }
    }

    /// Workers that end with the value.
    fn workers(self: &Arc<Self>) -> JoinSet<()> {
        let mut workers = JoinSet::new();
        for _ in 0..WORKERS {
            let bench = Arc::clone(self);
            workers.spawn_local(async move {
                // Between two engines nobody answers; what was claimed comes again.
                loop {
                    let Err(error) = bench.work().await;
                    tracing::debug!(%error, "a stand-in worker starts again");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            });
        }
        workers
    }

    async fn throughput(
        self: &Arc<Self>,
        postgres: &Postgres,
        process: &'static str,
        span: Duration,
    ) -> Result<Throughput> {
        let (begin, commits, results) =
            (Instant::now(), transactions(postgres).await?, self.results.load(Ordering::Relaxed));
        let bench = Arc::clone(self);
        let load = Load::run(span, CLIENTS, move || {
            let bench = Arc::clone(&bench);
            async move { bench.start(process).await.map(drop) }
        })
        .await?;
        self.drained().await?;
        let seconds = begin.elapsed().as_secs_f64();
        let instances = load.latencies.len() as f64;
        let steps = instances + (self.results.load(Ordering::Relaxed) - results) as f64;
        Ok(Throughput {
            instances: instances / seconds,
            steps: steps / seconds,
            commits: (transactions(postgres).await? - commits) / steps,
            p50: load.percentile(0.5),
            p95: load.percentile(0.95),
        })
    }

    /// Waits until no job is left.
    async fn drained(&self) -> Result<()> {
        let started = Instant::now();
        loop {
            let status: EngineStatus = self.operator.ask(subject::ENGINE_STATUS, &json!({}), REQUEST).await?;
            if status.ready_jobs + status.leased_jobs + status.queued_starts == 0 {
                return Ok(());
            }
            if started.elapsed() > DRAIN {
                bail!("jobs are left after {DRAIN:?}: {status:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Adds waiting instances: copies of a real one, with a timer each.
    async fn ballast(&self, postgres: &Postgres, count: u64, progress: &Progress) -> Result<()> {
        let key = self.start("wait").await?;
        let database = postgres.client(SITE).await?;
        // All columns but those that make a copy an instance of its own.
        let row = database
            .query_one(
                "select string_agg(format('%I', attname), ', ') from pg_attribute
                 where attrelid = 'instance'::regclass and attnum > 0 and not attisdropped
                     and attname not in ('id', 'business_key', 'fresh_until')",
                &[],
            )
            .await?;
        let columns: String = row.try_get(0)?;
        let copy = format!(
            "with original as (select * from instance where business_key = $1::text),
             copies as (
                 insert into instance (id, business_key, {columns})
                 select md5($1::text || n)::uuid, 'ballast-' || $1::text || '-' || n, {columns}
                 from generate_series($2::bigint, $3::bigint) n, original
                 returning id)
             insert into timer (id, instance, activity, due)
             select gen_random_uuid(), id, 'late', now() + interval '1 day' from copies"
        );
        let copy = database.prepare(&copy).await?;
        let count = i64::try_from(count)?;
        let mut there = 0;
        while there < count {
            let next = count.min(there + BALLAST);
            database.execute(&copy, &[&key, &(there + 1), &next]).await?;
            there = next;
            progress.step(&format!("{there} of {count} copied"));
        }
        // One at a time: together they would be a transaction.
        for table in ["instance", "timer"] {
            database.batch_execute(&format!("vacuum analyze {table}")).await?;
        }
        Ok(())
    }

    /// How late timers are under load.
    async fn timers(self: &Arc<Self>) -> Result<Load> {
        let begin = Instant::now();
        let mut keys = Vec::new();
        for _ in 0..SAMPLES {
            keys.push(self.start("tick").await?);
        }
        // Load until the last one is due.
        let bench = Arc::clone(self);
        Load::run(TIMER, 8, move || {
            let bench = Arc::clone(&bench);
            async move { bench.start("sequence").await.map(drop) }
        })
        .await?;
        let mut latencies = Vec::new();
        for key in keys {
            let ended = self.ended(&key).await?;
            let at = |what: &str| -> Result<OffsetDateTime> {
                let entry = ended.history.iter().find(|entry| entry.activity == "t" && entry.what == what);
                Ok(OffsetDateTime::parse(&entry.context("the timer is in the history")?.at, &Rfc3339)?)
            };
            let took = Duration::try_from(at("end")? - at("start")?).unwrap_or_default();
            latencies.push(took.saturating_sub(TIMER));
        }
        // Not before: counting a million instances again and again would be the load.
        self.drained().await?;
        latencies.sort_unstable();
        Ok(Load { elapsed: begin.elapsed(), latencies })
    }

    async fn ended(&self, key: &str) -> Result<InstanceView> {
        let query = InstanceQuery { business_key: Some(key.to_owned()), status: None, limit: 1 };
        let started = Instant::now();
        loop {
            let found: Vec<InstanceView> = self.operator.ask(subject::INSTANCES, &query, REQUEST).await?;
            if let Some(ended) = found.into_iter().find(|instance| instance.ended.is_some()) {
                return Ok(ended);
            }
            if started.elapsed() > DRAIN {
                bail!("instance {key} has not ended after {DRAIN:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Time to give a message to the one instance of many that waits for it.
    async fn correlation(&self, waiting: u64) -> Result<Load> {
        let samples = SAMPLES.min(usize::try_from(waiting)?.max(1));
        let mut keys = Vec::new();
        for _ in 0..samples {
            keys.push(self.start("wait").await?);
        }
        let begin = Instant::now();
        let mut latencies = Vec::new();
        for key in keys {
            let start = Instant::now();
            self.deliver("wait", "answer", &key).await?;
            latencies.push(start.elapsed());
            let ended = self.ended(&key).await?;
            if ended.status != "completed" {
                bail!("instance {key} is {}", ended.status);
            }
        }
        latencies.sort_unstable();
        Ok(Load { elapsed: begin.elapsed(), latencies })
    }
}

async fn futures<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    futures_util::future::join_all(all).await
}

/// Transactions that wrote something, since the server's start: only they get a number.
async fn transactions(postgres: &Postgres) -> Result<f64> {
    let database = postgres.client("postgres").await?;
    let sql = "select pg_snapshot_xmax(pg_current_snapshot())::text::float8";
    Ok(database.query_one(sql, &[]).await?.get(0))
}

const SEQUENCE: &str = r#"<serviceTask id="a" camunda:class="bench/1.0/work"/><serviceTask id="b" camunda:class="bench/1.0/work"/><serviceTask id="c" camunda:class="bench/1.0/work"/>"#;
const FORK: &str = r#"<parallelGateway id="f"/><serviceTask id="a" camunda:class="bench/1.0/work"/><serviceTask id="b" camunda:class="bench/1.0/work"/><serviceTask id="c" camunda:class="bench/1.0/work"/><serviceTask id="d" camunda:class="bench/1.0/work"/><parallelGateway id="j"/>"#;
const WAIT: &str = r#"<receiveTask id="w" messageRef="answer"/><boundaryEvent id="late" attachedToRef="w"><timerEventDefinition><timeDuration>P1D</timeDuration></timerEventDefinition></boundaryEvent><endEvent id="l"/>"#;
const TICK: &str = r#"<intermediateCatchEvent id="t"><timerEventDefinition><timeDuration>PT2S</timeDuration></timerEventDefinition></intermediateCatchEvent>"#;

/// A model of these elements between start `s` and end `e`; flows as `from>to`.
fn model(name: &str, elements: &str, flows: &str) -> String {
    let mut text = String::new();
    for (from, to) in flows.split(' ').filter_map(|flow| flow.split_once('>')) {
        let _ = write!(text, r#"<sequenceFlow id="{from}-{to}" sourceRef="{from}" targetRef="{to}"/>"#);
    }
    format!(
        r#"<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:camunda="http://camunda.org/schema/1.0/bpmn" targetNamespace="http://bench.example/bpmn"><message id="start" name="start"/><message id="answer" name="answer"/><process id="benchexample_{name}" isExecutable="true" camunda:versionTag="1.0" camunda:historyTimeToLive="P30D"><startEvent id="s" name="start"><messageEventDefinition messageRef="start"/></startEvent><endEvent id="e"/>{elements}{text}</process></definitions>"#
    )
}
