//! Starts one process-worker.
fn main() {}
