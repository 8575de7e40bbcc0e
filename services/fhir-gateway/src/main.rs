//! Starts one fhir-gateway.
fn main() {}
