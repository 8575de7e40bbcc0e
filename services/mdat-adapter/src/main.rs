//! Asks the repository of medical data of the hospital.
#![forbid(unsafe_code)]

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    service::main(
        "mdat-adapter",
        mdat_adapter::PREFIX,
        "Asks the repository of medical data of the hospital",
        mdat_adapter::run,
    )
    .await
}
