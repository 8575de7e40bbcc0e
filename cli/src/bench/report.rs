//! The report of a run as Markdown.
use std::{fmt::Write, time::Duration};

use super::{
    counts::Counts,
    measure::{Outcome, Usage},
};

/// Programs in the order of the columns.
const PROGRAMS: [&str; 6] =
    ["fhir-gateway", "bpmn-engine", "task-router", "process-worker", "postgres", "nats-server"];

/// Collects the lines of a run.
pub struct Report {
    /// Replicas of every service.
    pub replicas: usize,
    seconds: u64,
    rows: String,
    memory: String,
    start_up: String,
    counts: String,
}

impl Report {
    /// An empty report.
    pub fn new(seconds: u64, replicas: usize) -> Self {
        Self {
            replicas,
            seconds,
            rows: String::new(),
            memory: String::new(),
            start_up: String::new(),
            counts: String::new(),
        }
    }

    /// Adds a measurement.
    pub fn row(&mut self, name: &str, outcome: Outcome) {
        let Outcome { load, usage } = outcome;
        let operations = load.latencies.len().max(1) as f64;
        let _ = write!(
            self.rows,
            "| {name} | {:.0} | {:.1} | {:.1} | {:.1} |",
            load.rate(),
            load.percentile(0.5),
            load.percentile(0.95),
            load.percentile(0.99)
        );
        for program in PROGRAMS {
            let _ =
                write!(self.rows, " {:.2} |", usage.cpu.get(program).copied().unwrap_or(0.0) / operations);
        }
        self.rows.push('\n');
    }

    /// Adds the resident memory of one moment, per process.
    pub fn memory(&mut self, moment: &str, usage: &Usage) {
        let _ = write!(self.memory, "| {moment} |");
        let mut services = 0.0;
        for program in PROGRAMS {
            let (bytes, processes) = usage.resident.get(program).copied().unwrap_or((0, 0));
            let each =
                if program == "postgres" { bytes as f64 } else { bytes as f64 / f64::from(processes.max(1)) };
            let mib = each / 1024.0 / 1024.0;
            if !matches!(program, "postgres" | "nats-server") {
                services += mib;
            }
            let _ = write!(self.memory, " {mib:.0} |");
        }
        let _ = writeln!(self.memory, " {services:.0} |");
    }

    /// Adds the time from start to readiness of a site's services.
    pub fn start_up(&mut self, time: Duration) {
        self.start_up =
            format!("Ready {:.2} s after the start of the four services of a site.\n", time.as_secs_f64());
    }

    /// Adds what one ping costs.
    pub fn counts(&mut self, counts: &Counts) {
        self.counts = format!(
            "One ping between two sites: {:.1} writing transactions, {:.1} waits for PostgreSQL's log, \
             {:.1} events in the stream, {:.1} NATS messages in all, {:.1} FHIR requests.\n",
            counts.commits, counts.syncs, counts.events, counts.messages, counts.requests
        );
    }

    /// The whole report.
    pub fn markdown(&self) -> String {
        let columns = PROGRAMS.join(" | ");
        let dashes = "---:|".repeat(PROGRAMS.len());
        format!(
            "\n{} processors, {} s per measurement, {} replica(s) per service, two sites, load from the same machine, fsync on.\n\n\
             | operation | per second | p50 ms | p95 ms | p99 ms | {columns} |\n|---|---:|---:|---:|---:|{dashes}\n{}\n\
             Columns with program names: CPU milliseconds per operation, both sites added up.\n\n\
             | resident MiB per process | {columns} | four services |\n|---|{dashes}---:|\n{}\n\
             PostgreSQL: sum over its processes, shared memory counted in each.\n\n{}\n{}",
            std::thread::available_parallelism().map_or(0, usize::from),
            self.seconds,
            self.replicas,
            self.rows,
            self.memory,
            self.start_up,
            self.counts,
        )
    }
}
