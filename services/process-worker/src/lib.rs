//! process-worker.
