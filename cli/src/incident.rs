//! `dsf incident`: what failed, what may fail soon, and trying again.
use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use messaging::{
    operate::{Action, IncidentQuery, IncidentView, RetryAllReply, RetryAllRequest, Warning},
    subject,
};

use crate::{
    operate::{self, Who},
    plugin::Target,
};

/// Commands over incidents.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists incidents, oldest first.
    List {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        target: Target,
    },
    /// Lists what fails with tries left, and what waits longer than it usually does.
    Warnings {
        #[command(flatten)]
        target: Target,
    },
    /// Tries one again, with all its attempts.
    Retry {
        /// Incident id.
        incident: String,
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        target: Target,
    },
    /// Tries all again that the filter selects.
    RetryAll {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        target: Target,
    },
}

/// Which incidents.
#[derive(Debug, clap::Args)]
pub struct Filter {
    /// Of this process key.
    #[arg(long)]
    process: Option<String>,
    /// Of this version of the process.
    #[arg(long)]
    process_version: Option<String>,
    /// Of this instance.
    #[arg(long)]
    instance: Option<String>,
    /// job, step, bpmn-error or write-back.
    #[arg(long)]
    class: Option<String>,
    /// At this element.
    #[arg(long)]
    activity: Option<String>,
    /// With this text in their reason.
    #[arg(long)]
    text: Option<String>,
    /// Resolved ones, too.
    #[arg(long)]
    resolved: bool,
}

impl Filter {
    fn query(self) -> IncidentQuery {
        IncidentQuery {
            instance: self.instance,
            process_key: self.process,
            process_version: self.process_version,
            class: self.class,
            activity: self.activity,
            reason: self.text,
            resolved: self.resolved,
            limit: 0,
        }
    }
}

/// Runs a command.
pub async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::List { filter, target } => {
            let found: Vec<(String, Vec<IncidentView>)> =
                operate::ask(target, subject::INCIDENTS, &filter.query()).await?;
            for (site, incidents) in found {
                for incident in incidents {
                    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
                    println!(
                        "{site}: {} {} {} {} {} at {}, token {}, instance {}: {}",
                        incident.id,
                        incident.created,
                        if incident.resolved.is_some() { "resolved" } else { "open" },
                        incident.class,
                        text(&incident.process_key),
                        text(&incident.activity),
                        text(&incident.token),
                        text(&incident.instance),
                        incident.reason,
                    );
                }
            }
        }
        Command::Warnings { target } => {
            let found: Vec<(String, Vec<Warning>)> =
                operate::ask(target, subject::WARNINGS, &serde_json::Value::Null).await?;
            for (site, warnings) in found {
                for warning in warnings {
                    println!(
                        "{site}: {} {} {} at {} since {}, instance {}: {}",
                        warning.kind,
                        warning.process_key,
                        warning.process_version,
                        warning.activity,
                        warning.since,
                        warning.instance,
                        warning.detail,
                    );
                }
            }
        }
        Command::Retry { incident, who, target } => {
            operate::act(target, &who, Action::RetryIncident { incident }).await?;
        }
        Command::RetryAll { filter, who, target } => {
            let (actor, reason) = who.parts();
            let request = RetryAllRequest { actor, reason, query: filter.query() };
            let done: Vec<(String, RetryAllReply)> =
                operate::ask(target, subject::INCIDENT_RETRY_ALL, &request).await?;
            for (site, done) in done {
                println!("{site}: {} tried again, {} left", done.retried, done.left);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
