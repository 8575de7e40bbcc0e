//! Encodes, links and pseudonymises records, and encrypts data sets.
#![forbid(unsafe_code)]

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    service::main(
        "rbf-worker",
        rbf_worker::PREFIX,
        "Encodes, links and pseudonymises records, and encrypts data sets",
        rbf_worker::run,
    )
    .await
}
