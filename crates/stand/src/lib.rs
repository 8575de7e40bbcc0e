//! A network of hospitals on one machine: PostgreSQL, nats-server, a test CA and any number of sites.
//!
//! Used by the demo, the tests and the benchmarks; never linked into a service. Every service runs
//! as a process of its own with real mutual TLS; everything lives below one folder and ends with the
//! [`Stand`] value.
#![forbid(unsafe_code)]

pub mod collector;
pub mod curl;
pub mod deploy;
mod description;
pub mod ehrbase;
pub mod environment;
pub mod hospital;
mod nats;
pub mod peer;
pub mod peers;
mod persons;
mod pki;
mod ports;
pub mod postgres;
mod process;
mod registry;
pub mod replica;
pub mod site;
mod tools;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};

pub use collector::Collector;
pub use curl::Curl;
pub use description::{Description, NatsDescription, SiteDescription};
pub use environment::Service;
pub use nats::NatsServer;
pub use persons::{Person, Persons};
pub use pki::{Authority, Identity};
pub use postgres::Postgres;
pub use process::ServiceProcess;
pub use registry::running_stands;
pub use site::Site;
pub use tools::Tools;

/// How long a service may take from its start to readiness before the stand gives up.
pub const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// What to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// Number of sites, at least 1.
    pub sites: usize,
    /// Replicas of every service of every site, at least 1.
    pub replicas: usize,
    /// Folder for everything; created where it is missing.
    pub folder: PathBuf,
    /// Deploy the bundled processes to every site.
    pub processes: bool,
    /// Further variables for every service, for example an OTLP endpoint.
    pub environment: Vec<(String, String)>,
}

/// A running network. Dropping it ends every process it started.
pub struct Stand {
    /// The sites, in order of their names.
    pub sites: Vec<Site>,
    /// The test CA; issues further certificates for tests.
    pub authority: Authority,
    /// The message server of all sites.
    pub nats: NatsServer,
    /// The database server of all sites.
    pub postgres: Postgres,
    /// Folder of the stand.
    pub folder: PathBuf,
    /// A certificate of the trusted CA that no site knows.
    pub unknown: Identity,
    _registration: registry::Registration,
}

/// Told of progress: one short line per step.
pub type Progress<'a> = &'a (dyn Fn(&str) + Sync);

impl Stand {
    /// Starts everything and returns when every site is ready.
    pub async fn start(options: &Options, progress: Progress<'_>) -> Result<Self> {
        if options.sites == 0 || options.replicas == 0 {
            bail!("a stand needs at least one site and one replica");
        }
        std::fs::create_dir_all(&options.folder)
            .with_context(|| format!("folder {} cannot be created", options.folder.display()))?;
        let folder = options.folder.canonicalize()?;
        let tools = Tools::find()?;
        progress("certificates");
        let authority = Authority::create(&folder.join("ca"), "DSF stand CA")?;
        let unknown = authority.issue(&folder.join("unknown"), "unknown.test")?;

        progress("PostgreSQL and NATS");
        let names: Vec<String> = (0..options.sites).map(site::name).collect();
        let (postgres_folder, nats_folder) = (folder.join("postgres"), folder.join("nats"));
        let (postgres, nats) = tokio::try_join!(
            Postgres::start(&tools, &postgres_folder),
            NatsServer::start(&tools, &nats_folder, &names),
        )?;
        let mut plans = Vec::new();
        for index in 0..options.sites {
            plans.push(site::Plan::new(index, &folder, &authority)?);
        }
        for plan in &plans {
            postgres.create_site(&plan.name).await?;
            site::write_init_bundle(plan, &plans)?;
        }
        let mut sites = Vec::new();
        for plan in plans {
            sites.push(Site::prepare(plan, &authority, &postgres, &nats, &options.environment)?);
        }
        progress("services");
        let starts = sites.iter_mut().map(|site| site.start(options.replicas));
        for started in futures_join(starts).await {
            started?;
        }
        if options.processes {
            progress("processes");
            for folder in deploy::bundled()? {
                for site in &sites {
                    deploy::plugin(&site.operator().await?, &deploy::Source::folder(&folder)).await?;
                }
            }
        }
        let registration = registry::register(&folder)?;
        let stand = Self { sites, authority, nats, postgres, folder, unknown, _registration: registration };
        stand.describe()?;
        Ok(stand)
    }

    /// Writes `stand.json`, readable by its owner only: it holds passwords.
    fn describe(&self) -> Result<()> {
        let description = Description::of(self);
        let path = self.folder.join("stand.json");
        description::write_private(&path, &serde_json::to_vec_pretty(&description)?)
            .with_context(|| format!("{} cannot be written", path.display()))
    }

    /// Ends every service, then the servers. Dropping the stand does the same without waiting.
    pub async fn stop(mut self) {
        for site in &mut self.sites {
            site.stop().await;
        }
        self.nats.stop().await;
        self.postgres.stop().await;
    }

    /// Path of `stand.json`.
    pub fn description_path(&self) -> PathBuf {
        self.folder.join("stand.json")
    }
}

/// Reads the description of a running stand.
pub fn read_description(folder: &Path) -> Result<Description> {
    let path = if folder.is_dir() { folder.join("stand.json") } else { folder.to_owned() };
    let bytes = std::fs::read(&path)
        .with_context(|| format!("{} cannot be read: is the stand up?", path.display()))?;
    serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is not the description of a stand", path.display()))
}

async fn futures_join<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    futures_util::future::join_all(futures).await
}
