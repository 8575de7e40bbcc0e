//! One replica of one service with settings of its own, outside of a site.
use std::path::Path;

use anyhow::Result;
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
    let mut process = spawn(program, prefix, settings, folder, name)?;
    ready(&mut process, folder, name).await?;
    Ok(process)
}
