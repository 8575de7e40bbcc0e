//! What the `main` of every service does: arguments, telemetry, settings, the stop signal, and errors
//! as one line.
//!
//! Invariant: knows no service; what a service does is the function it hands over.
#![forbid(unsafe_code)]

use std::{error::Error, future::Future, path::PathBuf, pin::Pin, process::ExitCode};

use clap::{CommandFactory, FromArgMatches, Parser};
use serde::de::DeserializeOwned;
use tokio::signal::unix::{SignalKind, signal};

/// Settings come from variables with the service's prefix and an optional file.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// TOML file with settings; variables win over it.
    #[arg(long)]
    config: Option<PathBuf>,
}

/// Ends when the process is asked to stop: SIGTERM or Ctrl-C.
pub type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs a service to its end. `name` is its program, `prefix` that of its variables, `about` one line
/// for `--help`. Every failure is one line on standard error and exit status 1.
pub async fn main<C, E, F>(
    name: &'static str,
    prefix: &str,
    about: &'static str,
    run: impl FnOnce(C, Stop) -> F,
) -> ExitCode
where
    C: DeserializeOwned,
    E: Error,
    F: Future<Output = Result<(), E>>,
{
    let matches = Arguments::command().name(name).about(about).get_matches();
    let arguments = match Arguments::from_arg_matches(&matches) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    let telemetry = match telemetry::init(name) {
        Ok(telemetry) => telemetry,
        Err(error) => return failed(name, &error.to_string()),
    };
    let ended = match (config::load(prefix, arguments.config.as_deref()), stop_signal()) {
        (Ok(config), Ok(stop)) => run(config, stop).await.map_err(|error| error.to_string()),
        (Err(error), _) => Err(error.to_string()),
        (_, Err(error)) => Err(format!("signals cannot be handled: {error}")),
    };
    telemetry.shutdown().await;
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(name, &error),
    }
}

fn failed(name: &str, error: &str) -> ExitCode {
    eprintln!("{name}: {}", error.replace('\n', " | "));
    ExitCode::FAILURE
}

fn stop_signal() -> std::io::Result<Stop> {
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(Box::pin(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }))
}
