//! `dsf plugin`: check and deploy process plugins.
use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use messaging::connect::{Nats, NatsConfig};
use stand::deploy;

/// Commands over plugins.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Checks a plugin folder; one line per finding, an error exit if any is an error.
    Lint {
        /// Folder of the plugin.
        folder: PathBuf,
        #[command(flatten)]
        identity: Identity,
    },
    /// Makes a new plugin: one process that runs, to be changed from there.
    New {
        /// Folder to make; its name is the plugin's.
        folder: PathBuf,
        /// Domain of the process, for example hospital.example.
        #[arg(long, default_value = "hospital.example")]
        domain: String,
        /// Folder of the crate process-test, which its test needs; that of the sources of this program where
        /// absent.
        #[arg(long)]
        kit: Option<PathBuf>,
    },
    /// Deploys a plugin: its FHIR resources to the endpoint, its models to the engine.
    Deploy {
        /// Folder of the plugin.
        folder: PathBuf,
        #[command(flatten)]
        identity: Identity,
        #[command(flatten)]
        target: Target,
    },
}

/// What a folder without plugin.toml cannot say itself.
#[derive(Debug, clap::Args)]
pub struct Identity {
    /// Name of the plugin.
    #[arg(long)]
    name: Option<String>,
    /// Version of the plugin.
    #[arg(long)]
    version: Option<String>,
    /// Date of its resources, yyyy-MM-dd; today where absent.
    #[arg(long)]
    date: Option<String>,
}

/// Where to deploy: a stand (the only running one where none is named), or a site's NATS.
#[derive(Debug, clap::Args)]
pub struct Target {
    /// Folder of a running stand, or its stand.json.
    #[arg(long, env = "DSF_STAND")]
    stand: Option<PathBuf>,
    /// Only this site of the stand.
    #[arg(long)]
    site: Option<String>,
    /// URL of a site's NATS server, instead of a stand.
    #[arg(long, env = "DSF_NATS_URL")]
    nats: Option<String>,
    /// Operator's login there.
    #[arg(long, env = "DSF_NATS_USER")]
    user: Option<String>,
    /// File with the operator's password.
    #[arg(long, env = "DSF_NATS_PASSWORD_FILE")]
    password_file: Option<PathBuf>,
}

/// Runs a command.
pub async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Lint { folder, identity } => lint(&folder, identity),
        Command::New { folder, domain, kit } => {
            let name = folder.file_name().and_then(|name| name.to_str()).context("the folder has no name")?;
            let own = crate::scaffold::own_kit();
            let kit = kit.as_deref().or(own);
            crate::scaffold::create(&folder, name, &domain, kit)?;
            println!("{} made; check it with dsf plugin lint", folder.display());
            match kit {
                Some(_) => println!("cargo test in it plays its process"),
                None => println!("no test was made: --kit says where the crate process-test is"),
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Deploy { folder, identity, target } => deploy_all(&folder, identity, target).await,
    }
}

fn lint(folder: &std::path::Path, identity: Identity) -> Result<ExitCode> {
    let options = plugin::Options {
        name: identity.name,
        version: identity.version,
        date: identity.date,
        organization: "organization.example".to_owned(),
        environment: std::env::vars().collect(),
    };
    let findings = plugin::lint(folder, &options);
    let mut errors = 0;
    for finding in &findings {
        errors += usize::from(finding.severity == plugin::Severity::Error);
        println!("{finding}");
    }
    println!("{} findings, {errors} of them errors", findings.len());
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn deploy_all(folder: &std::path::Path, identity: Identity, target: Target) -> Result<ExitCode> {
    let options = deploy::Options { name: identity.name, version: identity.version, date: identity.date };
    let source = deploy::Source::folder(folder).with(options);
    for (name, operator) in operators(target).await? {
        let reply = deploy::plugin(&operator, &source).await.with_context(|| name.clone())?;
        for definition in reply.definitions {
            println!("{name}: {} {} deployed", definition.key, definition.version);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Operators' connections to the sites that the target names, by name.
pub(crate) async fn operators(target: Target) -> Result<Vec<(String, Nats)>> {
    if let Some(url) = target.nats {
        let password = target
            .password_file
            .map(|path| {
                std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
            })
            .transpose()?
            .map(|text| text.trim_end().to_owned());
        return Ok(vec![(url.clone(), connect(&url, target.user, password).await?)]);
    }
    let folder = match target.stand {
        Some(folder) => folder,
        None => match stand::running_stands().as_slice() {
            [one] => one.clone(),
            [] => bail!(
                "no stand is running: name a site's NATS server with --nats, or start one with `dsf stand up`"
            ),
            several => bail!("{} stands are running: name one with --stand", several.len()),
        },
    };
    let description = stand::read_description(&folder)?;
    let mut operators = Vec::new();
    for site in description.sites {
        if target.site.as_ref().is_none_or(|wanted| *wanted == site.name) {
            let operator =
                connect(&description.nats.url, Some(site.operator.user), Some(site.operator.password))
                    .await?;
            operators.push((site.name, operator));
        }
    }
    if operators.is_empty() {
        bail!("the stand has no such site");
    }
    Ok(operators)
}

async fn connect(url: &str, user: Option<String>, password: Option<String>) -> Result<Nats> {
    let config = NatsConfig { urls: vec![url.to_owned()], user, password, ca: None };
    Nats::try_connect(&config, "dsf").await.map_err(|reason| anyhow::anyhow!("NATS at {url}: {reason}"))
}
