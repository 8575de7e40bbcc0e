//! Requests by interaction, type and status; their duration.
use std::time::Duration;

use http::StatusCode;
use telemetry::metrics::{Counter, Histogram, KeyValue, meter};

use crate::exchange::Interaction;

/// The instruments of the HTTP side.
#[derive(Clone)]
pub struct Metrics {
    requests: Counter<u64>,
    duration: Histogram<f64>,
    refused: Counter<u64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let meter = meter();
        Self {
            requests: meter
                .u64_counter("dsf.gateway.requests")
                .with_description("FHIR requests by interaction, type and status")
                .build(),
            duration: meter
                .f64_histogram("dsf.gateway.request.duration")
                .with_unit("s")
                .with_description("From the headers of a request to its answer")
                .build(),
            refused: meter
                .u64_counter("dsf.gateway.refused")
                .with_description("Requests refused before they were looked at, by reason")
                .build(),
        }
    }
}

impl Metrics {
    pub(super) fn answered(&self, interaction: &Interaction, status: StatusCode, took: Duration) {
        let attributes = [
            KeyValue::new("interaction", interaction.name()),
            KeyValue::new("type", interaction.resource_type().unwrap_or("none")),
            KeyValue::new("status", i64::from(status.as_u16())),
        ];
        self.requests.add(1, &attributes);
        self.duration.record(took.as_secs_f64(), &attributes);
    }

    pub(super) fn refused(&self, reason: &'static str) {
        self.refused.add(1, &[KeyValue::new("reason", reason)]);
    }
}
