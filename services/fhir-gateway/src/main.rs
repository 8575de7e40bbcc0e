//! The FHIR endpoint of a site.
#![forbid(unsafe_code)]

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    service::main(
        "fhir-gateway",
        fhir_gateway::config::PREFIX,
        "The FHIR endpoint of a site",
        fhir_gateway::run,
    )
    .await
}
