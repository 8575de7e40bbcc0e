//! Trace context across process borders: W3C `traceparent` and `tracestate`.
use opentelemetry::{
    Context,
    propagation::{Extractor, Injector},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Header name of the trace parent.
pub const TRACEPARENT: &str = "traceparent";

struct Single<'a>(&'a str);

impl Extractor for Single<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACEPARENT).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

#[derive(Default)]
struct Kept(Option<String>);

impl Injector for Kept {
    fn set(&mut self, key: &str, value: String) {
        // An empty tracestate is also offered; only the parent travels.
        if key == TRACEPARENT && !value.is_empty() {
            self.0 = Some(value);
        }
    }
}

/// The `traceparent` of the current span, where it has one.
pub fn current() -> Option<String> {
    of(&Span::current())
}

/// The `traceparent` of a span, where it has one.
pub fn of(span: &Span) -> Option<String> {
    let context = span.context();
    let mut kept = Kept::default();
    opentelemetry::global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut kept)
    });
    kept.0
}

/// Makes the sender of `traceparent` the parent of `span`. Must be called before the span is entered;
/// nothing happens when the text is no trace parent.
pub fn set_parent(span: &Span, traceparent: Option<&str>) {
    let Some(traceparent) = traceparent else { return };
    let context: Context =
        opentelemetry::global::get_text_map_propagator(|propagator| propagator.extract(&Single(traceparent)));
    let _ = span.set_parent(context);
}

/// Adds the current trace parent to NATS headers.
pub fn inject(headers: &mut async_nats::HeaderMap) {
    if let Some(parent) = current() {
        headers.insert(TRACEPARENT, parent.as_str());
    }
}

/// The trace parent in NATS headers.
pub fn extract(headers: Option<&async_nats::HeaderMap>) -> Option<String> {
    headers?.get(TRACEPARENT).map(|value| value.as_str().to_owned())
}
