//! The FHIR edge of the inner zone of a site.
#![forbid(unsafe_code)]

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    service::main(
        "task-router",
        task_router::config::PREFIX,
        "The FHIR edge of the inner zone of a site",
        task_router::run,
    )
    .await
}
