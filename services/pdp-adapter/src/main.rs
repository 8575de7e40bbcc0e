//! Asks the hospital's decision point which records may be used.
#![forbid(unsafe_code)]

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    service::main(
        "pdp-adapter",
        pdp_adapter::PREFIX,
        "Asks the hospital's decision point which records may be used",
        pdp_adapter::run,
    )
    .await
}
