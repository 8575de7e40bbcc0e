//! Logs, traces and metrics of a service: tracing to standard output, OpenTelemetry by OTLP/HTTP.
//!
//! Invariants: nothing here knows what a span or metric is about; trace context crosses process
//! borders only as W3C `traceparent` (HTTP headers, NATS headers, database columns); certificate
//! subjects, identifiers of persons and resource contents are never recorded by callers.
#![forbid(unsafe_code)]

pub mod context;
mod export;
pub mod metrics;

use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::{metrics::SdkMeterProvider, trace::SdkTracerProvider};
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

/// How often metrics are exported where `OTEL_METRIC_EXPORT_INTERVAL` does not say.
pub const METRIC_INTERVAL: Duration = Duration::from_secs(10);
/// Longest wait for one export request.
pub const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Crates whose own spans and logs must never feed the exporters that use them.
const QUIET: &str = "hyper=off,hyper_util=off,h2=off,opentelemetry=off,opentelemetry_sdk=off,rustls=warn,async_nats=warn,tokio_postgres=warn";

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The OTLP exporter refused its settings.
    #[error("telemetry cannot be exported to {endpoint}: {reason}")]
    Exporter {
        /// Configured endpoint.
        endpoint: String,
        /// The exporter's reason.
        reason: String,
    },
    /// `RUST_LOG` cannot be read.
    #[error(
        "RUST_LOG={filter} is no filter: use a level, or levels of targets as in info,fhir_gateway=debug"
    )]
    Filter {
        /// Its value.
        filter: String,
    },
    /// Called twice in one process.
    #[error("telemetry is already set up in this process")]
    Twice,
}

/// Keeps the exporters alive; [`Telemetry::shutdown`] sends what is buffered.
#[must_use = "dropping it ends the export"]
pub struct Telemetry {
    exporters: Option<(SdkTracerProvider, SdkMeterProvider)>,
}

/// Sets up telemetry for a service.
///
/// Standard variables decide: `RUST_LOG` (a level, or levels of targets; default `info`), `DSF_LOG_FORMAT` (`text` or `json`,
/// default `text`), `OTEL_EXPORTER_OTLP_ENDPOINT` (base URL; without it nothing is exported),
/// `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_METRIC_EXPORT_INTERVAL` (milliseconds),
/// `OTEL_TRACES_SAMPLER_ARG` (share of traces kept, 0 to 1, default 1).
/// Must be called inside a tokio runtime.
pub fn init(service: &'static str) -> Result<Telemetry, TelemetryError> {
    opentelemetry::global::set_text_map_propagator(
        opentelemetry_sdk::propagation::TraceContextPropagator::new(),
    );
    let json = std::env::var("DSF_LOG_FORMAT").is_ok_and(|format| format == "json");
    // One for both layers: a span that passes is entered and left several times per request.
    let filter = filter(&std::env::var("RUST_LOG").unwrap_or_default())?;
    let text = tracing_subscriber::fmt::layer().with_target(false).with_ansi(false);
    let output = if json { text.json().boxed() } else { text.boxed() };

    let endpoint = std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT").ok().filter(|value| !value.is_empty());
    let exporters = endpoint.map(|endpoint| export::providers(service, &endpoint)).transpose()?;
    // Without an exporter spans still get ids, so that context travels through this process.
    let tracer = match &exporters {
        Some((traces, _)) => traces.tracer(service),
        None => SdkTracerProvider::builder().build().tracer(service),
    };
    let spans = tracing_opentelemetry::layer().with_tracer(tracer);
    tracing_subscriber::registry()
        .with(filter)
        .with(output)
        .with(spans)
        .try_init()
        .map_err(|_| TelemetryError::Twice)?;
    if let Some((_, meters)) = &exporters {
        opentelemetry::global::set_meter_provider(meters.clone());
    }
    Ok(Telemetry { exporters })
}

/// What is logged and traced, from the value of `RUST_LOG`.
fn filter(level: &str) -> Result<Targets, TelemetryError> {
    let level = if level.trim().is_empty() { "info" } else { level };
    format!("{level},{QUIET}").parse().map_err(|_| TelemetryError::Filter { filter: level.to_owned() })
}

impl Telemetry {
    /// Sends what is buffered and ends the export. The SDK blocks here, so it runs on its own thread.
    pub async fn shutdown(self) {
        let Some((traces, meters)) = self.exporters else { return };
        let ended = tokio::task::spawn_blocking(move || {
            let _ = traces.shutdown();
            let _ = meters.shutdown();
        });
        let _ = tokio::time::timeout(EXPORT_TIMEOUT, ended).await;
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn filters() {
        for (level, target, of, passes) in [
            ("", "fhir_gateway::store", Level::INFO, true),
            ("", "fhir_gateway::store", Level::DEBUG, false),
            ("warn,fhir_gateway=debug", "fhir_gateway::store", Level::DEBUG, true),
            ("warn,fhir_gateway=debug", "bpmn_engine", Level::INFO, false),
            // What exporters use is never logged: it would feed them.
            ("trace", "hyper::proto", Level::ERROR, false),
            ("trace", "async_nats", Level::INFO, false),
        ] {
            assert_eq!(filter(level).unwrap().would_enable(target, &of), passes, "{level}: {target} {of}");
        }
        let refused = filter("fhir_gateway=loud").unwrap_err().to_string();
        assert!(refused.starts_with("RUST_LOG=fhir_gateway=loud is no filter: use"), "{refused}");
    }
}
