//! One hospital site: its names, certificate, allow list and running services.
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use messaging::{
    connect::{Nats, NatsConfig},
    permissions::User,
};
use nix::sys::signal::Signal;
use tokio::process::Command;

use crate::{
    Authority, Identity, NatsServer, Persons, Postgres, READY_TIMEOUT, Service, ServiceProcess,
    environment::{SERVICES, Surroundings},
    ports,
};

/// Identifier value of the parent organization all sites of a stand belong to.
pub const PARENT_ORGANIZATION: &str = "network.test";
/// Role every site holds in it.
pub const ROLE: &str = "DIC";

/// Name of the site at a position: `site-a`, `site-b`, …, `site-z`, `site-27`, ….
pub(crate) fn name(index: usize) -> String {
    match u8::try_from(index) {
        Ok(letter @ 0..26) => format!("site-{}", char::from(b'a' + letter)),
        _ => format!("site-{}", index + 1),
    }
}

/// What is decided about a site before anything of it runs.
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) organization: String,
    pub(crate) endpoint: String,
    pub(crate) base_url: String,
    pub(crate) folder: PathBuf,
    pub(crate) identity: Identity,
    pub(crate) persons: Persons,
    port: ports::Reserved,
}

impl Plan {
    pub(crate) fn new(index: usize, stand: &Path, authority: &Authority) -> Result<Self> {
        let name = name(index);
        let folder = stand.join(&name);
        let organization = format!("{name}.test");
        let identity = authority.issue(&folder.join("certificate"), &organization)?;
        let persons = Persons::issue(authority, &folder.join("persons"), &organization)?;
        persons.write_roles(&folder.join("roles.toml"))?;
        let port = ports::endpoint()?;
        let base_url = format!("https://localhost:{}/fhir", port.port);
        Ok(Self {
            endpoint: format!("fhir.{organization}"),
            name,
            organization,
            base_url,
            folder,
            identity,
            persons,
            port,
        })
    }
}

/// Writes the site's initial allow list: all organizations, endpoints and affiliations of the stand.
pub(crate) fn write_init_bundle(plan: &Plan, plans: &[Plan]) -> Result<()> {
    let bundle = crate::environment::allow_list(plans.iter().map(|plan| crate::environment::Member {
        organization: &plan.organization,
        endpoint: &plan.endpoint,
        address: &plan.base_url,
        thumbprint: &plan.identity.thumbprint,
    }));
    std::fs::write(plan.folder.join("allow-list.json"), serde_json::to_vec_pretty(&bundle)?)?;
    Ok(())
}

/// A site of a stand.
pub struct Site {
    /// Short name, also its account in NATS and the prefix of its databases.
    pub name: String,
    /// Organization identifier value.
    pub organization: String,
    /// Endpoint identifier value.
    pub endpoint: String,
    /// FHIR base URL.
    pub base_url: String,
    /// Certificate of the site.
    pub identity: Identity,
    /// Persons the site's gateway knows.
    pub persons: Persons,
    folder: PathBuf,
    surroundings: Surroundings,
    processes: BTreeMap<(Service, usize), ServiceProcess>,
    /// Keeps others from the port; `None` once it was given up.
    port: Option<ports::Reserved>,
}

impl Site {
    pub(crate) fn prepare(
        plan: Plan,
        authority: &Authority,
        postgres: &Postgres,
        nats: &NatsServer,
        environment: &[(String, String)],
    ) -> Result<Self> {
        std::fs::create_dir_all(plan.folder.join("log"))?;
        std::fs::create_dir_all(plan.folder.join("run"))?;
        let surroundings = Surroundings::new(&plan, plan.port.port, authority, postgres, nats, environment)?;
        Ok(Self {
            name: plan.name,
            organization: plan.organization,
            endpoint: plan.endpoint,
            base_url: plan.base_url,
            identity: plan.identity,
            persons: plan.persons,
            folder: plan.folder,
            surroundings,
            processes: BTreeMap::new(),
            port: Some(plan.port),
        })
    }

    /// Folder with the log files, `<service>-<replica>.log`.
    pub fn logs(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Starts all services and waits for them.
    pub async fn start(&mut self, replicas: usize) -> Result<()> {
        for replica in 0..replicas {
            for service in SERVICES {
                self.spawn(service, replica)?;
            }
        }
        for replica in 0..replicas {
            for service in SERVICES {
                self.wait_ready(service, replica).await?;
            }
        }
        Ok(())
    }

    fn ready_file(&self, service: Service, replica: usize) -> PathBuf {
        self.folder.join("run").join(format!("{}-{replica}.ready", service.name()))
    }

    /// Starts one replica without waiting for it.
    pub fn spawn(&mut self, service: Service, replica: usize) -> Result<()> {
        let ready = self.ready_file(service, replica);
        if ready.exists() {
            std::fs::remove_file(&ready)?;
        }
        let variables = self.surroundings.variables(service, &ready);
        self.spawn_as(service, replica, &[], variables)
    }

    /// Starts one replica with arguments and an environment of the caller's, and nothing else.
    pub fn spawn_as(
        &mut self,
        service: Service,
        replica: usize,
        arguments: &[String],
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<()> {
        let mut command = Command::new(program(service.name())?);
        command.args(arguments).env_clear().envs(variables);
        let log = self.logs().join(format!("{}-{replica}.log", service.name()));
        let name = format!("{} {}", self.name, service.name());
        let process = ServiceProcess::spawn(&name, &mut command, &log)?;
        self.processes.insert((service, replica), process);
        Ok(())
    }

    /// Gives up the reservation of the endpoint's port, for a gateway that does not share its port.
    pub fn release_port(&mut self) {
        self.port = None;
    }

    /// Waits until a replica says that it is ready.
    pub async fn wait_ready(&mut self, service: Service, replica: usize) -> Result<()> {
        let ready = self.ready_file(service, replica);
        self.process(service, replica)?.wait_until(READY_TIMEOUT, || ready.exists()).await
    }

    /// The process of a replica.
    pub fn process(&mut self, service: Service, replica: usize) -> Result<&mut ServiceProcess> {
        self.processes
            .get_mut(&(service, replica))
            .with_context(|| format!("{} has no running {} {replica}", self.name, service.name()))
    }

    /// All processes with their service and replica.
    pub fn processes(&self) -> impl Iterator<Item = (Service, usize, &ServiceProcess)> {
        self.processes.iter().map(|((service, replica), process)| (*service, *replica, process))
    }

    /// Ends a replica as a crash would.
    pub async fn kill(&mut self, service: Service, replica: usize) -> Result<()> {
        self.process(service, replica)?.kill().await;
        self.processes.remove(&(service, replica));
        Ok(())
    }

    /// Starts a replica and waits for it.
    pub async fn restart(&mut self, service: Service, replica: usize) -> Result<()> {
        self.spawn(service, replica)?;
        self.wait_ready(service, replica).await
    }

    /// Asks all services to end and waits for them.
    pub async fn stop(&mut self) {
        for process in self.processes.values() {
            process.signal(Signal::SIGTERM);
        }
        for process in self.processes.values_mut() {
            process.stop(Signal::SIGTERM).await;
        }
        self.processes.clear();
    }

    /// Connects to the site's NATS account as its operator.
    pub async fn operator(&self) -> Result<Nats> {
        let (user, password) = self.surroundings.credentials(User::Operator);
        connect(&self.surroundings.nats_url, user, password).await
    }
}

/// Connects to NATS with a login.
pub(crate) async fn connect(url: &str, user: String, password: String) -> Result<Nats> {
    let config =
        NatsConfig { urls: vec![url.to_owned()], user: Some(user), password: Some(password), ca: None };
    Nats::try_connect(&config, "dsf").await.map_err(|reason| anyhow::anyhow!("NATS at {url}: {reason}"))
}

/// The service's program: beside the running one, or one folder up (tests run in `deps`).
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let me = std::env::current_exe()?;
    let mut folder = me.parent();
    for _ in 0..2 {
        let Some(place) = folder else { break };
        let program = place.join(name);
        if program.is_file() {
            return Ok(program);
        }
        folder = place.parent();
    }
    bail!("program {name} was not found beside {}: build the workspace first", me.display())
}
