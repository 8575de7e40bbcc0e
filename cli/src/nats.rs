//! `dsf nats`: what an operator's NATS servers need from us.
use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::Subcommand;
use messaging::{
    connect::{Nats, NatsConfig},
    permissions, streams,
};

/// Commands over NATS.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Writes the accounts block of a server configuration: one account, a user per service, exact
    /// permissions. Passwords are named as variables: $GATEWAY_PASSWORD, $ROUTER_PASSWORD, ….
    Accounts {
        /// Name of the account; logins are <account>-<service>.
        #[arg(long, default_value = "site")]
        account: String,
    },
    /// Creates the streams or brings them to the current settings. Doing so again changes nothing.
    Provision {
        /// Server URLs.
        #[arg(long, env = "DSF_NATS_URL", value_delimiter = ',', required = true)]
        nats: Vec<String>,
        /// Operator's login.
        #[arg(long, env = "DSF_NATS_USER")]
        user: Option<String>,
        /// File with the operator's password.
        #[arg(long, env = "DSF_NATS_PASSWORD_FILE")]
        password_file: Option<PathBuf>,
        /// Copies of every stream: 3 in a cluster of three.
        #[arg(long, default_value_t = 1)]
        replicas: usize,
    },
}

/// Runs a command.
pub async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Accounts { account } => {
            let password =
                |user: permissions::User| format!("${}_PASSWORD", user.name().to_ascii_uppercase());
            print!(
                "# Written by `dsf nats accounts`; change crates/messaging/src/permissions.rs instead.\n\
                 accounts: {{\n{}}}\n",
                permissions::account(&account, password)
            );
        }
        Command::Provision { nats, user, password_file, replicas } => {
            let password = password_file
                .map(|path| {
                    std::fs::read_to_string(&path)
                        .with_context(|| format!("{} cannot be read", path.display()))
                })
                .transpose()?
                .map(|text| text.trim_end().to_owned());
            let config = NatsConfig { urls: nats.clone(), user, password, ca: None };
            let connection = Nats::try_connect(&config, "dsf")
                .await
                .map_err(|reason| anyhow::anyhow!("NATS at {}: {reason}", nats.join(", ")))?;
            streams::provision_events(connection.client(), replicas).await?;
            println!("stream {} is provisioned with {replicas} copies", streams::EVENTS);
        }
    }
    Ok(ExitCode::SUCCESS)
}
