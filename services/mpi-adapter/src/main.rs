//! Asks the hospital's patient index for persons and their identifiers.
#![forbid(unsafe_code)]

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    service::main(
        "mpi-adapter",
        mpi_adapter::PREFIX,
        "Asks the hospital's patient index for persons and their identifiers",
        mpi_adapter::run,
    )
    .await
}
