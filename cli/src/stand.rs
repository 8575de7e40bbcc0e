//! `dsf stand up`: runs a stand until it is stopped.
use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Subcommand;
use stand::{Options, Stand};

use crate::progress::Progress;

/// Commands over stands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Starts sites, writes stand.json and runs until stopped.
    Up {
        /// Number of sites.
        #[arg(long, default_value_t = 3)]
        sites: usize,
        /// Folder for everything, created where it is missing.
        #[arg(long)]
        dir: PathBuf,
        /// Replicas of every service.
        #[arg(long, default_value_t = 1)]
        replicas: usize,
        /// Do not deploy the bundled processes.
        #[arg(long)]
        bare: bool,
        /// Give every site a patient index, consents and medical data of so many invented persons, and
        /// start the adapters and the record linkage.
        #[arg(long, value_name = "PERSONS", num_args = 0..=1, default_missing_value = "100")]
        hospital: Option<u64>,
    },
}

/// Runs a command.
pub async fn run(command: Command) -> Result<ExitCode> {
    let Command::Up { sites, dir, replicas, bare, hospital } = command;
    let progress = Progress::new();
    let options = Options { sites, replicas, folder: dir, processes: !bare, environment: pass_through() };
    let stopped = stop_signal()?;
    let stand = Stand::start(&options, &|step| progress.step(step)).await?;
    let mut hospitals = Vec::new();
    if let Some(persons) = hospital {
        progress.step("hospital systems");
        for site in 0..stand.sites.len() {
            // Neighbouring sites share half of their persons.
            let first = site as u64 * persons.div_ceil(2);
            let patients = stand::hospital::patients(first..first + persons);
            hospitals.push(stand.hospital(site, &patients, replicas, &pass_through()).await?);
        }
    }
    progress.end();
    for site in &stand.sites {
        println!("{}  {}  {}", site.name, site.organization, site.base_url);
    }
    println!("{}", stand.description_path().display());
    stopped.await;
    for hospital in hospitals {
        hospital.stop().await;
    }
    stand.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Telemetry settings of the caller also hold for the services.
pub fn pass_through() -> Vec<(String, String)> {
    std::env::vars().filter(|(name, _)| name.starts_with("OTEL_EXPORTER_")).collect()
}

/// Resolves when the process is asked to end. Listening starts at once.
pub fn stop_signal() -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate, mut hangup) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}
