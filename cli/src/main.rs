//! The `dsf` command: stands for demo and tests, plugins, vectors, benchmarks.
#![forbid(unsafe_code)]

mod audit;
mod bench;
mod demo;
mod health;
mod incident;
mod instance;
mod linkage;
mod nats;
mod operate;
mod plugin;
mod progress;
mod scaffold;
mod stand;
mod vectors;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Data Sharing Framework: operate, test and demonstrate sites.
#[derive(Debug, Parser)]
#[command(name = "dsf", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A network of sites on this machine.
    #[command(subcommand)]
    Stand(stand::Command),
    /// Three sites, a ping between them, and how to go on.
    Demo(demo::Arguments),
    /// The message servers.
    #[command(subcommand)]
    Nats(nats::Command),
    /// Process plugins.
    #[command(subcommand)]
    Plugin(plugin::Command),
    /// What waits for an operator: failed steps, early warnings.
    #[command(subcommand)]
    Incident(incident::Command),
    /// Process instances: look, correct, end, pause.
    #[command(subcommand)]
    Instance(instance::Command),
    /// How the adapters of hospital systems are; fails when one is not well.
    Health(health::Arguments),
    /// The audit trail of a FHIR endpoint.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Keys of the record linkage.
    #[command(subcommand)]
    Linkage(linkage::Command),
    /// Compare with outputs of original programs; last line: `N passed, N failed`.
    Vectors(vectors::Arguments),
    /// Measure throughput, latency, CPU and memory in one run.
    Bench(bench::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Stand(command) => stand::run(command).await,
        Command::Linkage(command) => linkage::run(command),
        Command::Demo(arguments) => demo::run(arguments).await,
        Command::Nats(command) => nats::run(command).await,
        Command::Plugin(command) => plugin::run(command).await,
        Command::Incident(command) => incident::run(command).await,
        Command::Instance(command) => instance::run(command).await,
        Command::Health(arguments) => health::run(arguments).await,
        Command::Audit(command) => audit::run(command).await,
        Command::Vectors(arguments) => vectors::run(&arguments),
        Command::Bench(arguments) => bench::run(arguments).await,
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            // One line for the operator, causes included.
            eprintln!("dsf: {}", format!("{error:#}").replace('\n', " | "));
            ExitCode::FAILURE
        }
    }
}
