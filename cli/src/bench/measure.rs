//! Load with latencies, and what processes used meanwhile.
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use stand::Stand;

/// Clock ticks per second of /proc, fixed on Linux.
const TICKS: f64 = 100.0;
/// Bytes per page of /proc/<pid>/statm on the machines we support.
const PAGE: u64 = 4096;

/// Latencies of one measurement.
#[derive(Debug)]
pub struct Load {
    /// How long it took.
    pub elapsed: Duration,
    /// Sorted latencies of all operations.
    pub latencies: Vec<Duration>,
}

impl Load {
    /// Runs `operation` with `clients` at a time until `span` has passed; the first error ends the run.
    pub async fn run<F, R>(span: Duration, clients: usize, operation: F) -> Result<Self>
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<()>> + Send,
    {
        let operation = Arc::new(operation);
        let started = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..clients {
            let operation = Arc::clone(&operation);
            tasks.spawn(async move {
                let mut latencies = Vec::new();
                while started.elapsed() < span {
                    let begin = Instant::now();
                    operation().await?;
                    latencies.push(begin.elapsed());
                }
                Ok::<_, anyhow::Error>(latencies)
            });
        }
        let mut latencies = Vec::new();
        while let Some(done) = tasks.join_next().await {
            latencies.extend(done??);
        }
        latencies.sort_unstable();
        Ok(Self { elapsed: started.elapsed(), latencies })
    }

    /// Operations per second.
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// Latency that a share of the operations did not exceed, in milliseconds.
    pub fn percentile(&self, share: f64) -> f64 {
        let index =
            ((self.latencies.len() as f64 * share) as usize).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
    }
}

/// A measurement with what it used.
#[derive(Debug)]
pub struct Outcome {
    /// Operations and latencies.
    pub load: Load,
    /// CPU per program.
    pub usage: Usage,
}

/// CPU and memory of all programs of a stand, by name, sites and replicas added up.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    /// CPU milliseconds.
    pub cpu: BTreeMap<String, f64>,
    /// Resident bytes and number of processes.
    pub resident: BTreeMap<String, (u64, u32)>,
}

impl Usage {
    /// Reads /proc for the services, nats-server and PostgreSQL with its children.
    pub fn of(stand: &Stand) -> Result<Self> {
        let mut usage = Self::default();
        for site in &stand.sites {
            for (service, _, process) in site.processes() {
                if let Some(pid) = process.pid() {
                    usage.add(service.name(), pid)?;
                }
            }
        }
        if let Some(pid) = stand.nats.pid() {
            usage.add("nats-server", pid)?;
        }
        if let Some(pid) = stand.postgres.pid() {
            usage.add("postgres", pid)?;
            for child in children(pid)? {
                // A backend may end between the listing and the look.
                let _ = usage.add("postgres", child);
            }
        }
        Ok(usage)
    }

    fn add(&mut self, name: &str, pid: u32) -> Result<()> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The program's name is in parentheses and may hold blanks.
        let fields: Vec<&str> = stat.rsplit(") ").next().context("stat")?.split(' ').collect();
        let number =
            |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
        // utime and stime; for PostgreSQL also those of ended children (cutime, cstime).
        let ticks = number(11) + number(12) + if name == "postgres" { number(13) + number(14) } else { 0.0 };
        *self.cpu.entry(name.to_owned()).or_default() += ticks * 1000.0 / TICKS;
        let statm = std::fs::read_to_string(format!("/proc/{pid}/statm"))?;
        let pages: u64 = statm.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
        let resident = self.resident.entry(name.to_owned()).or_default();
        resident.0 += pages * PAGE;
        resident.1 += 1;
        Ok(())
    }

    /// CPU used since `before`; memory as it is now.
    pub fn since(&self, before: &Self) -> Self {
        let cpu = self
            .cpu
            .iter()
            .map(|(name, now)| (name.clone(), now - before.cpu.get(name).copied().unwrap_or(0.0)))
            .collect();
        Self { cpu, resident: self.resident.clone() }
    }
}

fn children(parent: u32) -> Result<Vec<u32>> {
    let mut pids = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{parent}/task"))? {
        let list = std::fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
        pids.extend(list.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    Ok(pids)
}
