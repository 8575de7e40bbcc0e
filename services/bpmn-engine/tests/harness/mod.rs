//! Real servers and a scripted worker: one database and one NATS account per scenario.
#![allow(dead_code, reason = "each test program uses its part")]
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use bpmn_engine::Config;
use messaging::{
    connect::{Nats, NatsConfig, RequestError},
    engine::{
        CompleteTaskRequest, DeliverRequest, Delivered, DeployReply, DeployRequest, EngineStatus,
        InstanceQuery, InstanceView,
    },
    job::*,
    operate::*,
    permissions::User,
    subject,
};
use serde_json::{Value, json};
use stand::{NatsServer, Postgres, Tools};
use tokio::{sync::RwLock, task::JoinHandle};

/// Longest wait for anything that must happen: several lost requests and a lease on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// How long an answer is waited for before the request is made again.
const REQUEST: Duration = Duration::from_secs(10);
const BASE_URL: &str = "https://site.test/fhir";

/// The servers all scenarios share.
pub struct Servers {
    pub postgres: RwLock<Postgres>,
    pub nats: RwLock<NatsServer>,
    folder: PathBuf,
}

impl Servers {
    pub async fn start(sites: &[&str]) -> Arc<Self> {
        let tools = Tools::find().expect("PostgreSQL and nats-server");
        let folder = std::env::temp_dir().join(format!("dsf-engine-test-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let postgres = Postgres::start(&tools, &folder.join("postgres")).await.unwrap();
        let names: Vec<String> = sites.iter().map(|site| (*site).to_owned()).collect();
        let nats = NatsServer::start(&tools, &folder.join("nats"), &names).await.unwrap();
        for site in sites {
            postgres.execute("postgres", &format!("CREATE DATABASE {site}")).await.unwrap();
        }
        Arc::new(Self { postgres: RwLock::new(postgres), nats: RwLock::new(nats), folder })
    }

    pub async fn stop(&self) {
        self.postgres.write().await.stop().await;
        self.nats.write().await.stop().await;
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// One site: engines, and the rights of router, worker and operator.
pub struct Site {
    pub name: &'static str,
    config: Config,
    environment: Vec<(String, String)>,
    login: (String, String, String),
    router: Nats,
    worker: Nats,
    operator: Nats,
    pub engines: Vec<JoinHandle<()>>,
    /// How long an answer is waited for.
    pub request: Duration,
    /// Write-backs answered so far, whoever waited for them.
    written: std::sync::Mutex<Vec<WriteBackOrder>>,
}

impl Site {
    pub async fn start(
        servers: &Servers,
        name: &'static str,
        replicas: usize,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut site = Self::prepare(servers, name, change).await;
        for _ in 0..replicas {
            site.add_engine();
        }
        site.deploy().await;
        site
    }

    /// A site whose engine the test starts itself.
    pub async fn prepare(servers: &Servers, name: &'static str, change: impl FnOnce(&mut Config)) -> Self {
        let nats = servers.nats.read().await;
        let connect = async |user: User| {
            let (login, password) = nats.credentials(name, user);
            let config =
                NatsConfig { urls: vec![nats.url()], user: Some(login), password: Some(password), ca: None };
            Nats::connect(&config, name).await
        };
        let (login, password) = nats.credentials(name, User::Engine);
        let settings = [
            ("DATABASE_URL", servers.postgres.read().await.url(name)),
            ("NATS_URLS", nats.url()),
            ("NATS_USER", login),
            ("NATS_PASSWORD", password),
        ];
        let environment: Vec<(String, String)> =
            settings.map(|(key, value)| (format!("{}_{key}", bpmn_engine::PREFIX), value)).into();
        let mut config: Config =
            config::load_from(bpmn_engine::PREFIX, None, environment.iter().cloned()).unwrap();
        change(&mut config);
        let (user, password) = nats.credentials(name, User::Worker);
        Self {
            name,
            config,
            environment,
            login: (nats.url(), user, password),
            router: connect(User::Router).await,
            worker: connect(User::Worker).await,
            operator: connect(User::Operator).await,
            engines: Vec::new(),
            request: REQUEST,
            written: std::sync::Mutex::default(),
        }
    }

    /// Settings by which an engine of this site starts as a process of its own.
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    pub fn add_engine(&mut self) {
        let config = self.config.clone();
        self.engines.push(tokio::spawn(async move {
            bpmn_engine::run(config, std::future::pending()).await.unwrap();
        }));
    }

    /// Ends every engine at once, in the middle of whatever it does, and starts another one.
    pub fn crash(&mut self) {
        for engine in self.engines.drain(..) {
            engine.abort();
        }
        self.add_engine();
    }

    /// Starts the example worker of the documentation for one job type.
    pub fn example_worker(&self, kind: &str) -> std::process::Child {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/examples/worker.py");
        let (url, user, password) = &self.login;
        std::process::Command::new("python3")
            .args([script, kind])
            .env("NATS_URL", url)
            .env("NATS_USER", user)
            .env("NATS_PASSWORD", password)
            .spawn()
            .expect("python3 runs the example worker")
    }

    /// Deploys the test models.
    pub async fn deploy(&self) {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/models");
        let mut models = BTreeMap::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            models.insert(name, std::fs::read_to_string(path).unwrap());
        }
        let request =
            DeployRequest { plugin: "test".into(), version: "1.0.0.0".into(), models, jobs: BTreeMap::new() };
        let reply: DeployReply = patient(self.name, "deployment", async || {
            self.operator.ask(subject::DEPLOY, &request, self.request).await
        })
        .await;
        assert_eq!(reply.definitions.len(), 7, "{}: all models are deployed", self.name);
    }

    /// Deploys one more model of the test plugin.
    pub async fn deploy_model(&self, xml: &str) {
        let models = BTreeMap::from([("more.bpmn".to_owned(), xml.to_owned())]);
        let (plugin, version) = ("more".to_owned(), "1.0.0.0".to_owned());
        let request = DeployRequest { plugin, version, models, jobs: BTreeMap::new() };
        let _: DeployReply = patient(self.name, "deployment", async || {
            self.operator.ask(subject::DEPLOY, &request, self.request).await
        })
        .await;
    }

    pub async fn try_deliver(&self, request: &DeliverRequest) -> Result<Delivered, RequestError> {
        self.router.ask(subject::DELIVER, request, self.request).await
    }

    /// Delivers as the router does: until the engine has it.
    pub async fn deliver(&self, request: &DeliverRequest) -> Delivered {
        patient(self.name, "delivery", async || self.try_deliver(request).await).await
    }

    pub async fn claim(&self, kinds: &[&str], max: u32, lease_millis: u64) -> Vec<Job> {
        let request = ClaimRequest {
            version: PROTOCOL_VERSION,
            worker: "test".into(),
            types: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            max,
            lease_millis,
        };
        self.worker
            .ask::<_, ClaimReply>(subject::CLAIM, &request, self.request)
            .await
            .map_or_else(|_| Vec::new(), |reply| reply.jobs)
    }

    /// Claims one job of a type, waiting for it.
    pub async fn job(&self, kind: &str) -> Job {
        self.job_with_lease(kind, 30_000).await
    }

    pub async fn job_with_lease(&self, kind: &str, lease_millis: u64) -> Job {
        until(self.name, &format!("a job of type {kind}"), async || {
            self.claim(&[kind], 1, lease_millis).await.pop()
        })
        .await
    }

    pub async fn answer(&self, job: &Job, outcome: Outcome) -> Acknowledgement {
        let result =
            JobResult { version: PROTOCOL_VERSION, id: job.id.clone(), lease: job.lease.clone(), outcome };
        let user = if job.kind.starts_with("dsf/") { &self.router } else { &self.worker };
        let subject = subject::job_result(&job.kind);
        patient(self.name, "result", async || user.ask(&subject, &result, self.request).await).await
    }

    pub async fn heartbeat(&self, job: &Job) -> Acknowledgement {
        let beat = Heartbeat { id: job.id.clone(), lease: job.lease.clone(), lease_millis: 30_000 };
        self.worker.ask(subject::HEARTBEAT, &beat, self.request).await.unwrap()
    }

    pub async fn done(&self, job: &Job, done: Done) {
        assert_eq!(
            self.answer(job, Outcome::Done(done)).await,
            Acknowledgement::Accepted,
            "{}: {}",
            self.name,
            job.kind
        );
    }

    /// Plays the router: writes what is desired until a Task has a status; returns the last order.
    pub async fn written(&self, reference: &str, status: &str) -> WriteBackOrder {
        let (reference, status) = (reference.to_owned(), status.to_owned());
        until(self.name, &format!("{reference} is {status}"), async || {
            for job in self.claim(&[WRITE_BACK], 16, 30_000).await {
                let order = job.write_back.clone().unwrap();
                let now = order.status.clone();
                let taken = self.answer(&job, Outcome::Written { status: now, version: 2 }).await;
                assert_eq!(taken, Acknowledgement::Accepted);
                self.written.lock().unwrap().push(order);
            }
            let written = self.written.lock().unwrap();
            written
                .iter()
                .rfind(|order| order.source.reference == reference && order.status == status)
                .cloned()
        })
        .await
    }

    pub async fn instances(&self, business_key: Option<&str>) -> Vec<InstanceView> {
        let query = InstanceQuery { business_key: business_key.map(str::to_owned), status: None, limit: 500 };
        patient(self.name, "instances", async || {
            self.operator.ask(subject::INSTANCES, &query, self.request).await
        })
        .await
    }

    pub async fn instance(&self, business_key: &str) -> InstanceView {
        let mut found = self.instances(Some(business_key)).await;
        assert_eq!(found.len(), 1, "{}: one instance with key {business_key}", self.name);
        found.remove(0)
    }

    pub async fn instance_is(&self, business_key: &str, status: &str) -> InstanceView {
        until(self.name, &format!("instance {business_key} is {status}"), async || {
            let found = self.instances(Some(business_key)).await;
            found.into_iter().find(|instance| instance.status == status)
        })
        .await
    }

    /// Does something as an operator.
    pub async fn operate(&self, action: Action) -> Result<(), RequestError> {
        let operation = Operation { actor: "op".into(), reason: "a test".into(), action };
        let subject = operation.action.subject();
        self.operator.ask(subject, &operation, self.request).await
    }

    pub async fn incidents(&self, query: &IncidentQuery) -> Vec<IncidentView> {
        self.operator.ask(subject::INCIDENTS, query, self.request).await.unwrap()
    }

    /// Asks anything as an operator.
    pub async fn ask<Q: serde::Serialize, A: serde::de::DeserializeOwned>(
        &self,
        subject: &str,
        request: &Q,
    ) -> Result<A, RequestError> {
        self.operator.ask(subject, request, self.request).await
    }

    pub async fn export(&self, instance: &str) -> InstanceExport {
        let request = ExportRequest { instance: instance.to_owned(), variables: true };
        self.operator.ask(subject::INSTANCE_EXPORT, &request, self.request).await.unwrap()
    }

    pub async fn complete_task(&self, request: &CompleteTaskRequest) -> Delivered {
        patient(self.name, "completion", async || {
            self.router.ask(subject::COMPLETE_TASK, request, self.request).await
        })
        .await
    }

    pub async fn status(&self) -> EngineStatus {
        patient(self.name, "status", async || {
            self.operator.ask(subject::ENGINE_STATUS, &json!({}), self.request).await
        })
        .await
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for engine in &self.engines {
            engine.abort();
        }
    }
}

/// Repeats a request while its receiver is away.
async fn patient<T>(site: &str, what: &str, ask: impl AsyncFn() -> Result<T, RequestError>) -> T {
    let started = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(RequestError::Unavailable { .. }) if started.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{site}: {what}: {error}"),
        }
    }
}

/// Polls until there is something.
pub async fn until<T>(site: &str, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{site}: expected {what} within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A Task for one of the test processes.
pub fn task(id: &str, process: &str, message: &str, key: Option<&str>) -> DeliverRequest {
    DeliverRequest {
        source: source(id),
        process_key: format!("testexample_{process}"),
        process_version: "1.0".into(),
        message_name: message.into(),
        business_key: key.map(str::to_owned),
        correlation_key: None,
        requester: "requester.test".into(),
        document: Document {
            media_type: "application/fhir+json".into(),
            text: json!({"resourceType": "Task", "id": id}).to_string(),
        },
    }
}

/// A process that starts and ends, and is kept so long afterwards. `start` is the event's definition.
pub fn brief(name: &str, kept: &str, start: &str) -> String {
    format!(
        r#"<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:camunda="http://camunda.org/schema/1.0/bpmn" targetNamespace="http://test.example/bpmn">
<message id="m" name="start"/>
<process id="testexample_{name}" isExecutable="true" camunda:versionTag="1.0" camunda:historyTimeToLive="{kept}">
<startEvent id="Start" name="start">{start}</startEvent><endEvent id="End"/>
<sequenceFlow id="f" sourceRef="Start" targetRef="End"/></process></definitions>"#
    )
}

pub fn source(id: &str) -> Source {
    Source { base_url: BASE_URL.into(), reference: format!("Task/{id}") }
}

pub fn target(name: &str) -> Value {
    json!({
        "organizationIdentifierValue": name,
        "endpointIdentifierValue": format!("endpoint.{name}"),
        "endpointUrl": format!("https://{name}/fhir"),
        "correlationKey": format!("ck-{name}"),
    })
}

/// Sets `targets` as the select step of a ping does.
pub fn chosen(names: &[&str]) -> Done {
    let entries: Vec<Value> = names.iter().map(|name| target(name)).collect();
    let targets = Variable { kind: "json".into(), value: json!({ "entries": entries }) };
    Done { variables: [("targets".to_owned(), targets)].into(), ..Done::default() }
}

/// The message the `ask` step sends to the target it sees.
pub fn send(job: &Job) -> Outcome {
    Outcome::Send(Box::new(SendRequest {
        target: serde_json::from_value(job.variables["target"].value.clone()).unwrap(),
        instantiates: job.fields["instantiatesCanonical"].as_str().unwrap().to_owned(),
        message_name: job.fields["messageName"].as_str().unwrap().to_owned(),
        profile: job.fields["profile"].as_str().unwrap().to_owned(),
        business_key: None,
        inputs: Vec::new(),
        then: Done::default(),
    }))
}
