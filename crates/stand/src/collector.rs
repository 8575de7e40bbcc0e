//! A receiver of OTLP/HTTP: what services tell a collector, kept to be looked at.
use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::any_value::Value,
    metrics::v1::{metric::Data, number_data_point},
    resource::v1::Resource,
};
use prost::Message;

pub use opentelemetry_proto::tonic::trace::v1::Span;

/// A collector on a free port. Cheap to clone; clones share what arrived.
#[derive(Debug, Clone)]
pub struct Collector {
    url: String,
    arrived: Arc<Mutex<Vec<(String, Bytes)>>>,
}

/// Who sent something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sender {
    /// `dsf.site` of the resource.
    pub site: String,
    /// `service.name` of the resource.
    pub service: String,
}

impl Collector {
    /// Listens as long as the runtime lives.
    pub async fn start() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let collector = Self { url: format!("http://{}", listener.local_addr()?), arrived: Arc::default() };
        let kept = collector.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = kept.clone();
                let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    let kept = kept.clone();
                    async move {
                        let path = request.uri().path().to_owned();
                        // A sender that went away sends the rest again to nobody: nothing to keep.
                        if let Ok(body) = request.into_body().collect().await {
                            kept.keep(path, body.to_bytes());
                        }
                        // An empty message: everything was taken.
                        Ok::<_, Infallible>(hyper::Response::new(Full::<Bytes>::default()))
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(collector)
    }

    /// What services of a stand are told to send here: figures every `millis` milliseconds.
    pub fn environment(&self, millis: u64) -> Vec<(String, String)> {
        [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", self.url.clone()),
            ("OTEL_METRIC_EXPORT_INTERVAL", millis.to_string()),
            ("OTEL_BSP_SCHEDULE_DELAY", "200".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    fn keep(&self, path: String, body: Bytes) {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).push((path, body));
    }

    fn bodies(&self, path: &str) -> Vec<Bytes> {
        let arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.iter().filter(|(at, _)| at == path).map(|(_, body)| body.clone()).collect()
    }

    /// Everything as it came, with its path.
    pub fn raw(&self) -> Vec<(String, Bytes)> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The spans of a trace.
    pub fn spans(&self, trace: &[u8]) -> Result<Vec<(Sender, Span)>> {
        let mut spans = Vec::new();
        for body in self.bodies("/v1/traces") {
            for resource in ExportTraceServiceRequest::decode(body)?.resource_spans {
                let sender = sender(resource.resource.as_ref());
                let all = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
                let of_trace = all.filter(|span| span.trace_id == trace);
                spans.extend(of_trace.map(|span| (sender.clone(), span)));
            }
        }
        Ok(spans)
    }

    /// Latest value of every counter and gauge, by sender and name, attributes added up.
    pub fn figures(&self) -> Result<BTreeMap<(Sender, String), f64>> {
        let mut figures = BTreeMap::new();
        for body in self.bodies("/v1/metrics") {
            for resource in ExportMetricsServiceRequest::decode(body)?.resource_metrics {
                let sender = sender(resource.resource.as_ref());
                for metric in resource.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
                    let points = match metric.data {
                        Some(Data::Sum(sum)) => sum.data_points,
                        Some(Data::Gauge(gauge)) => gauge.data_points,
                        _ => continue,
                    };
                    let sum = points
                        .iter()
                        .map(|point| match point.value {
                            Some(number_data_point::Value::AsInt(value)) => value as f64,
                            Some(number_data_point::Value::AsDouble(value)) => value,
                            None => 0.0,
                        })
                        .sum();
                    figures.insert((sender.clone(), metric.name), sum);
                }
            }
        }
        Ok(figures)
    }
}

fn sender(resource: Option<&Resource>) -> Sender {
    let attribute = |name: &str| {
        let all = resource.into_iter().flat_map(|resource| &resource.attributes);
        let value =
            all.filter(|attribute| attribute.key == name).find_map(|found| found.value.clone()?.value);
        match value {
            Some(Value::StringValue(text)) => text,
            _ => String::new(),
        }
    };
    Sender { site: attribute("dsf.site"), service: attribute("service.name") }
}
