//! One replica of one service with settings of its own, outside of a site.
use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use messaging::connect::{Nats, RequestError};
use nix::sys::signal::Signal;
use serde::{Serialize, de::DeserializeOwned};
use tokio::process::Command;

use crate::{READY_TIMEOUT, ServiceProcess};

/// Starts `program` with `settings` below `prefix`, without waiting for it. Its log is
/// `<folder>/<name>.log`, its ready file `<folder>/<name>.ready`.
pub fn spawn(
    program: &Path,
    prefix: &str,
    settings: &[(&str, String)],
    folder: &Path,
    name: &str,
) -> Result<ServiceProcess> {
    spawn_with(program, prefix, settings, &[], folder, name)
}

fn spawn_with(
    program: &Path,
    prefix: &str,
    settings: &[(&str, String)],
    environment: &[(String, String)],
    folder: &Path,
    name: &str,
) -> Result<ServiceProcess> {
    let ready = folder.join(format!("{name}.ready"));
    if ready.exists() {
        std::fs::remove_file(&ready)?;
    }
    let own = [("READY_FILE", ready.display().to_string())];
    let mut command = Command::new(program);
    command.env_clear();
    for (setting, value) in settings.iter().chain(&own) {
        command.env(format!("{prefix}_{setting}"), value);
    }
    for variable in ["RUST_LOG", "RUST_BACKTRACE", "LLVM_PROFILE_FILE"] {
        if let Ok(value) = std::env::var(variable) {
            command.env(variable, value);
        }
    }
    command.envs(environment.iter().cloned());
    ServiceProcess::spawn(name, &mut command, &folder.join(format!("{name}.log")))
}

/// Waits until a replica that [`spawn`] started is ready.
pub async fn ready(process: &mut ServiceProcess, folder: &Path, name: &str) -> Result<()> {
    let file = folder.join(format!("{name}.ready"));
    process.wait_until(READY_TIMEOUT, || file.exists()).await
}

/// Starts a replica and waits for it.
pub async fn start(
    program: &Path,
    prefix: &str,
    settings: &[(&str, String)],
    folder: &Path,
    name: &str,
) -> Result<ServiceProcess> {
    start_with(program, prefix, settings, &[], folder, name).await
}

/// As [`start`], with further variables.
pub async fn start_with(
    program: &Path,
    prefix: &str,
    settings: &[(&str, String)],
    environment: &[(String, String)],
    folder: &Path,
    name: &str,
) -> Result<ServiceProcess> {
    let mut process = spawn_with(program, prefix, settings, environment, folder, name)?;
    ready(&mut process, folder, name).await?;
    Ok(process)
}

/// Longest wait for one answer before a question is asked again.
const ANSWER: Duration = Duration::from_secs(2);
/// How long a question is asked again.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until somebody answers, as workers do.
///
/// # Errors
/// When nobody does for a minute, or the question is refused.
pub async fn insist<Q: Serialize, A: DeserializeOwned>(nats: &Nats, subject: &str, request: &Q) -> Result<A> {
    let started = Instant::now();
    loop {
        match nats.ask(subject, request, ANSWER).await {
            Ok(answer) => return Ok(answer),
            Err(RequestError::Unavailable { .. }) if started.elapsed() < PATIENCE => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Asks questions two at a time until each of two replicas has answered (as `shares` says), then many at
/// once, while the first replica is killed. Returns all answers.
///
/// # Errors
/// When a question stays without an answer, or one replica does no work.
pub async fn survive<A: Send + 'static, F: Future<Output = Result<A>> + Send + 'static>(
    first: &mut ServiceProcess,
    shares: impl Fn() -> bool,
    ask: impl Fn(usize) -> F,
) -> Result<Vec<A>> {
    let started = Instant::now();
    let mut answers = Vec::new();
    while !shares() {
        ensure!(started.elapsed() < PATIENCE, "one of the replicas does no work");
        let (one, two) = tokio::join!(ask(answers.len()), ask(answers.len() + 1));
        answers.extend([one?, two?]);
    }
    let tasks: Vec<_> = (0..200).map(|at| tokio::spawn(ask(answers.len() + at))).collect();
    for (at, task) in tasks.into_iter().enumerate() {
        if at == 10 {
            first.signal(Signal::SIGKILL);
        }
        answers.push(task.await??);
    }
    first.kill().await;
    Ok(answers)
}
