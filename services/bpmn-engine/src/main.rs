//! Starts one `bpmn-engine`: settings from `DSF_ENGINE_*` and an optional TOML file.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;

/// Runs the process engine of a site.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Settings file (TOML); environment variables win over it.
    #[arg(long)]
    config: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let telemetry = telemetry::init("bpmn-engine")?;
    let config = config::load(bpmn_engine::PREFIX, arguments.config.as_deref())?;
    let result = bpmn_engine::run(config, stop_signal()).await.context("the engine stopped");
    telemetry.shutdown().await;
    result
}

/// Ends at SIGTERM or Ctrl-C.
async fn stop_signal() {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = terminate => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
