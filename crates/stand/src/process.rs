//! Child processes: started with a log file, waited for, ended with their stand.
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::{Child, Command};

/// How long a process may take to end by itself before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a condition is looked at.
pub const POLL: Duration = Duration::from_millis(10);

/// A running child process.
#[derive(Debug)]
pub struct ServiceProcess {
    child: Child,
    /// Where its output goes.
    pub log: PathBuf,
    name: String,
}

impl ServiceProcess {
    /// Starts a program. Its standard output and error go to `log`, which is appended to.
    pub fn spawn(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        Ok(Self { child, log: log.to_owned(), name: name.to_owned() })
    }

    /// Process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until `ready` holds; an error when the process ends before or `timeout` passes.
    pub async fn wait_until(&mut self, timeout: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let started = Instant::now();
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}: {}", self.name, self.last_words());
            }
            if started.elapsed() > timeout {
                bail!("{} was not ready after {timeout:?}: {}", self.name, self.last_words());
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        format!("{} says: {}", self.log.display(), lines.into_iter().rev().collect::<Vec<_>>().join(" | "))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            // The process may have ended in between: nothing to signal then.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// Ends the process at once, as a crash would.
    pub async fn kill(&mut self) {
        let _ = self.child.kill().await;
    }

    /// Asks the process to end and waits; kills it when it does not.
    pub async fn stop(&mut self, signal: Signal) {
        self.signal(signal);
        if tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await.is_err() {
            self.kill().await;
        }
    }
}
