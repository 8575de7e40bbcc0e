//! The service tasks of the bundled processes of a site.
#![forbid(unsafe_code)]

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    service::main(
        "process-worker",
        process_worker::config::PREFIX,
        "The service tasks of the bundled processes of a site",
        process_worker::run,
    )
    .await
}
