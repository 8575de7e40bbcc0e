//! OTLP/HTTP exporters over our own HTTP stack.
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry_http::{HttpClient, HttpError, hyper::HyperClient};
use opentelemetry_otlp::{MetricExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    metrics::{PeriodicReader, SdkMeterProvider},
    trace::{Sampler, SdkTracerProvider},
};

use crate::{EXPORT_TIMEOUT, METRIC_INTERVAL, TelemetryError};

/// The SDK's batch threads have no tokio reactor: requests hop onto the runtime.
#[derive(Debug, Clone)]
struct OnRuntime(tokio::runtime::Handle, HyperClient);

#[async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        let client = self.1.clone();
        self.0.spawn(async move { client.send_bytes(request).await }).await?
    }
}

/// Trace and metric providers that export to `endpoint`.
pub(crate) fn providers(
    service: &'static str,
    endpoint: &str,
) -> Result<(SdkTracerProvider, SdkMeterProvider), TelemetryError> {
    let failed = |reason: String| TelemetryError::Exporter { endpoint: endpoint.to_owned(), reason };
    let base = endpoint.trim_end_matches('/');
    let runtime = tokio::runtime::Handle::try_current().map_err(|error| failed(error.to_string()))?;
    let client = OnRuntime(runtime, HyperClient::with_default_connector(EXPORT_TIMEOUT, None));
    let spans = SpanExporter::builder()
        .with_http()
        .with_http_client(client.clone())
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{base}/v1/traces"))
        .build()
        .map_err(|error| failed(error.to_string()))?;
    let metrics = MetricExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{base}/v1/metrics"))
        .build()
        .map_err(|error| failed(error.to_string()))?;
    let name = std::env::var("OTEL_SERVICE_NAME").unwrap_or_else(|_| service.to_owned());
    let resource = Resource::builder().with_service_name(name).build();
    let share = number("OTEL_TRACES_SAMPLER_ARG").unwrap_or(1.0).clamp(0.0, 1.0);
    let interval = number("OTEL_METRIC_EXPORT_INTERVAL")
        .filter(|millis: &f64| *millis >= 1.0)
        .map_or(METRIC_INTERVAL, |millis| Duration::from_secs_f64(millis / 1000.0));
    let traces = SdkTracerProvider::builder()
        .with_resource(resource.clone())
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(share))))
        .with_batch_exporter(spans)
        .build();
    let meters = SdkMeterProvider::builder()
        .with_resource(resource)
        .with_reader(PeriodicReader::builder(metrics).with_interval(interval).build())
        .build();
    Ok((traces, meters))
}

fn number(variable: &str) -> Option<f64> {
    std::env::var(variable).ok()?.parse().ok()
}
