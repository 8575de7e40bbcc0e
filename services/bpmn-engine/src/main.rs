//! The process engine of a site.
#![forbid(unsafe_code)]

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    service::main("bpmn-engine", bpmn_engine::PREFIX, "The process engine of a site", bpmn_engine::run).await
}
