//! The meter of the product. Names start with `dsf.`; attributes have few values and no free text.
pub use opentelemetry::{
    KeyValue,
    metrics::{Counter, Gauge, Histogram, Meter, UpDownCounter},
};

/// The meter of the process. Call after [`crate::init`]; instruments are kept by their owner.
pub fn meter() -> Meter {
    opentelemetry::global::meter("dsf")
}
