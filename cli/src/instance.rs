//! `dsf instance`: look at process instances, correct, end and pause them.
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use messaging::{
    engine::{InstanceQuery, InstanceView},
    job::Variable,
    operate::{Action, ExportRequest, InstanceExport, PauseScope},
    subject,
};
use serde_json::Value;

use crate::{
    operate::{self, Who},
    plugin::Target,
};

/// Commands over instances.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists instances, newest first.
    List {
        /// With this business key.
        #[arg(long)]
        business_key: Option<String>,
        /// active, incident, completed, failed or cancelled.
        #[arg(long)]
        status: Option<String>,
        /// At most this many for each site.
        #[arg(long, default_value_t = 50)]
        limit: u32,
        #[command(flatten)]
        target: Target,
    },
    /// Prints everything known of one instance as JSON: tokens, jobs, incidents, history.
    Export {
        /// Instance id.
        instance: String,
        /// Values of variables, too; they may be personal data.
        #[arg(long)]
        variables: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Sets or removes a variable.
    SetVariable {
        /// Instance id.
        instance: String,
        /// Its name.
        name: String,
        /// Its value as JSON; without it the variable is removed.
        value: Option<String>,
        /// Type: boolean, integer, decimal, string, date, json; that of the JSON where absent.
        #[arg(long = "type")]
        kind: Option<String>,
        /// Seen from this token; the instance itself where absent.
        #[arg(long)]
        token: Option<String>,
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        target: Target,
    },
    /// Lets a waiting step end as if it were done.
    Skip {
        /// Instance id.
        instance: String,
        /// Token id, as the export or an incident names it.
        token: String,
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        target: Target,
    },
    /// Takes a token to another element of its scope.
    Move {
        /// Instance id.
        instance: String,
        /// Token id.
        token: String,
        /// Element id.
        to: String,
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        target: Target,
    },
    /// Ends an instance as failed; its Tasks fail.
    Fail {
        /// Instance id.
        instance: String,
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        target: Target,
    },
    /// Ends an instance as cancelled; its Tasks fail.
    Cancel {
        /// Instance id.
        instance: String,
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        target: Target,
    },
    /// Holds back jobs, timers and continuations.
    Pause {
        #[command(flatten)]
        what: What,
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        target: Target,
    },
    /// Ends a pause.
    Resume {
        #[command(flatten)]
        what: What,
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        target: Target,
    },
}

/// What is paused.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct What {
    /// One instance.
    #[arg(long)]
    instance: Option<String>,
    /// A process version, key|version.
    #[arg(long)]
    process: Option<String>,
    /// Instances that an organization started, and sends to it.
    #[arg(long)]
    partner: Option<String>,
    /// The whole engine.
    #[arg(long)]
    engine: bool,
}

impl What {
    fn scope(self) -> Result<PauseScope> {
        Ok(match (self.instance, self.process, self.partner) {
            (Some(instance), ..) => PauseScope::Instance { instance },
            (_, Some(process), _) => match process.split_once('|') {
                Some((key, version)) => {
                    PauseScope::Process { key: key.to_owned(), version: version.to_owned() }
                }
                None => bail!("a process is named as key|version"),
            },
            (.., Some(organization)) => PauseScope::Partner { organization },
            _ => PauseScope::Engine,
        })
    }
}

/// A variable from JSON text; text that is no JSON is a string.
fn variable(text: &str, kind: Option<String>) -> Variable {
    let value = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    let natural = match &value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() => "integer",
        Value::Number(_) => "decimal",
        Value::String(_) => "string",
        _ => "json",
    };
    Variable { kind: kind.unwrap_or_else(|| natural.to_owned()), value }
}

/// Runs a command.
pub async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::List { business_key, status, limit, target } => {
            let query = InstanceQuery { business_key, status, limit };
            let found: Vec<(String, Vec<InstanceView>)> =
                operate::ask(target, subject::INSTANCES, &query).await?;
            for (site, instances) in found {
                for instance in instances {
                    println!(
                        "{site}: {} {} {} {} {} started {} waits at [{}]",
                        instance.id,
                        instance.status,
                        instance.process_key,
                        instance.process_version,
                        instance.business_key,
                        instance.started,
                        instance.waiting.join(", "),
                    );
                }
            }
        }
        Command::Export { instance, variables, target } => {
            let request = ExportRequest { instance, variables };
            let found: Vec<(String, InstanceExport)> =
                operate::ask(target, subject::INSTANCE_EXPORT, &request).await?;
            for (_, export) in found {
                println!("{}", serde_json::to_string_pretty(&export).context("the export is no JSON")?);
            }
        }
        Command::SetVariable { instance, name, value, kind, token, who, target } => {
            let value = value.map(|value| variable(&value, kind));
            operate::act(target, &who, Action::SetVariable { instance, token, name, value }).await?;
        }
        Command::Skip { instance, token, who, target } => {
            operate::act(target, &who, Action::Skip { instance, token }).await?;
        }
        Command::Move { instance, token, to, who, target } => {
            operate::act(target, &who, Action::Move { instance, token, to }).await?;
        }
        Command::Fail { instance, who, target } => {
            operate::act(target, &who, Action::Fail { instance }).await?;
        }
        Command::Cancel { instance, who, target } => {
            operate::act(target, &who, Action::Cancel { instance }).await?;
        }
        Command::Pause { what, who, target } => {
            operate::act(target, &who, Action::Pause { scope: what.scope()? }).await?;
        }
        Command::Resume { what, who, target } => {
            operate::act(target, &who, Action::Resume { scope: what.scope()? }).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
