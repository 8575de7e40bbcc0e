//! What the engine counts.
use messaging::engine::EngineStatus;
use telemetry::metrics::{Counter, Gauge, Histogram, KeyValue, meter};

/// The engine's instruments.
#[derive(Debug)]
pub struct Metrics {
    started: Counter<u64>,
    ended: Counter<u64>,
    batch: Histogram<u64>,
    claimed: Counter<u64>,
    state: Gauge<u64>,
}

impl Metrics {
    /// Registers the instruments.
    pub fn new() -> Self {
        let meter = meter();
        Self {
            started: meter
                .u64_counter("dsf.engine.instances.started")
                .with_description("Process instances started")
                .build(),
            ended: meter
                .u64_counter("dsf.engine.instances.ended")
                .with_description("Process instances ended")
                .build(),
            batch: meter
                .u64_histogram("dsf.engine.transaction.inputs")
                .with_description("Inputs that one committed transaction took up")
                .build(),
            claimed: meter
                .u64_counter("dsf.engine.jobs.claimed")
                .with_description("Attempts handed out to workers")
                .build(),
            state: meter
                .u64_gauge("dsf.engine.state")
                .with_description("Instances, jobs, messages and incidents by what they wait for")
                .build(),
        }
    }

    /// Instances that one transaction started and ended.
    pub fn instances(&self, started: usize, ended: usize) {
        self.started.add(started as u64, &[]);
        self.ended.add(ended as u64, &[]);
    }

    /// A committed transaction with this many inputs.
    pub fn transaction(&self, inputs: usize) {
        self.batch.record(inputs as u64, &[]);
    }

    /// What is stored at the moment. Every replica reports the same: take the largest.
    pub fn state(&self, status: &EngineStatus) {
        for (kind, count) in [
            ("active-instances", status.active_instances),
            ("ready-jobs", status.ready_jobs),
            ("leased-jobs", status.leased_jobs),
            ("queued-starts", status.queued_starts),
            ("held-messages", status.held_messages),
            ("incidents", status.incidents),
        ] {
            self.state.record(count, &[KeyValue::new("kind", kind)]);
        }
    }

    /// Attempts of one job type handed out. Types are few: deployed plugins bring them along.
    pub fn claimed(&self, kind: &str, count: usize) {
        self.claimed.add(count as u64, &[KeyValue::new("job.type", kind.to_owned())]);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
