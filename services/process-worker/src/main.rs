//! The service tasks of the bundled processes of a site.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use clap::Parser;
use process_worker::config::PREFIX;
use tokio::signal::unix::{SignalKind, signal};

/// The service tasks of a site. Settings come from DSF_WORKER_* variables and an optional file.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// TOML file with settings; variables win over it.
    #[arg(long)]
    config: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let telemetry = telemetry::init("process-worker")?;
    let config = config::load(PREFIX, arguments.config.as_deref())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    let ended = process_worker::run(config, shutdown).await;
    if let Err(error) = &ended {
        tracing::error!(%error, "the worker cannot run");
    }
    telemetry.shutdown().await;
    Ok(ended?)
}
