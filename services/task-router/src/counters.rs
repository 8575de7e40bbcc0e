//! Metrics: what the router did, by outcome.
use std::sync::OnceLock;

use telemetry::metrics::{Counter, KeyValue};

struct Counters {
    delivered: Counter<u64>,
    sent: Counter<u64>,
    written: Counter<u64>,
}

fn counters() -> &'static Counters {
    static COUNTERS: OnceLock<Counters> = OnceLock::new();
    COUNTERS.get_or_init(|| {
        let meter = telemetry::metrics::meter();
        Counters {
            delivered: meter.u64_counter("dsf.router.delivered").build(),
            sent: meter.u64_counter("dsf.router.sent").build(),
            written: meter.u64_counter("dsf.router.written").build(),
        }
    })
}

/// A Task was handed to the engine, or not.
pub(crate) fn delivered(outcome: &'static str) {
    counters().delivered.add(1, &[KeyValue::new("outcome", outcome)]);
}

/// A message was sent, or not.
pub(crate) fn sent(outcome: &'static str) {
    counters().sent.add(1, &[KeyValue::new("outcome", outcome)]);
}

/// A Task was brought to its desired status, or not.
pub(crate) fn written(outcome: &'static str) {
    counters().written.add(1, &[KeyValue::new("outcome", outcome)]);
}
