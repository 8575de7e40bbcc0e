//! What is stored, as metrics: events that wait for NATS, Tasks by status.
use telemetry::metrics::{Gauge, KeyValue, meter};

use crate::store::Store;

/// Rounds between two counts of Tasks, which read an index of their size.
const TASK_ROUNDS: u32 = 6;

/// Reports for ever. Every replica reports the same: take the largest.
pub async fn report(store: Store) {
    let waiting: Gauge<u64> =
        meter().u64_gauge("dsf.gateway.outbox").with_description("Events that wait for the stream").build();
    let tasks: Gauge<u64> =
        meter().u64_gauge("dsf.gateway.tasks").with_description("Current Tasks by status").build();
    for round in (0..TASK_ROUNDS).cycle() {
        // During an outage there is nothing to report; others tell of the outage.
        if let Ok(count) = store.waiting_events().await {
            waiting.record(count, &[]);
        }
        if round == 0
            && let Ok(counts) = store.tasks_by_status().await
        {
            for (status, count) in counts {
                tasks.record(count, &[KeyValue::new("status", status)]);
            }
        }
        tokio::time::sleep(telemetry::METRIC_INTERVAL).await;
    }
}
