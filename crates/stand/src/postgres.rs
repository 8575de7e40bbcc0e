//! A private PostgreSQL cluster with two databases per site.
use std::{
    path::{Path, PathBuf},
    process::Command as StdCommand,
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::Signal,
    unistd::{Uid, User},
};
use tokio::process::Command;
use tokio_postgres::NoTls;

use crate::{READY_TIMEOUT, ServiceProcess, Tools, description::write_private, ports};

/// Account that runs the server where the stand itself runs as root, which PostgreSQL refuses.
const FALLBACK_UID: u32 = 65534;
/// Connections for all sites and replicas of a stand.
const MAX_CONNECTIONS: u32 = 400;

/// A running cluster. Durability is as in production: fsync and synchronous commit are on.
#[derive(Debug)]
pub struct Postgres {
    process: ServiceProcess,
    tools: PathBuf,
    folder: PathBuf,
    port: u16,
    password: String,
}

impl Postgres {
    /// Creates and starts a cluster below `folder`.
    pub async fn start(tools: &Tools, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let password = hex::encode(rand::random::<[u8; 16]>());
        let password_file = folder.join("password");
        write_private(&password_file, password.as_bytes())?;
        own(folder)?;
        let mut init = as_server_user(&tools.postgres.join("initdb"));
        init.arg("-D").arg(folder.join("data")).args(["-U", "postgres", "--auth=scram-sha-256"]);
        init.arg("--pwfile").arg(&password_file).args(["--no-sync", "--encoding=UTF8", "--no-locale"]);
        let output = init.output().context("initdb cannot be started")?;
        if !output.status.success() {
            bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr).trim().replace('\n', " | "));
        }
        let port = ports::any()?;
        let process = spawn(&tools.postgres, folder, port)?;
        let mut postgres =
            Self { process, tools: tools.postgres.clone(), folder: folder.to_owned(), port, password };
        postgres.wait().await?;
        Ok(postgres)
    }

    async fn wait(&mut self) -> Result<()> {
        let started = std::time::Instant::now();
        loop {
            // Keeps watch over the process while the server is not ready for connections.
            self.process.wait_until(READY_TIMEOUT, || true).await?;
            match tokio_postgres::connect(&self.url("postgres"), NoTls).await {
                Ok(_) => return Ok(()),
                Err(error) if started.elapsed() > READY_TIMEOUT => {
                    return Err(error).context("PostgreSQL did not start");
                }
                Err(_) => tokio::time::sleep(crate::process::POLL).await,
            }
        }
    }

    /// Connection URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// Creates the two databases of a site.
    pub(crate) async fn create_site(&self, site: &str) -> Result<()> {
        for database in [fhir_database(site), engine_database(site)] {
            self.execute("postgres", &format!("CREATE DATABASE {database}")).await?;
        }
        Ok(())
    }

    /// Runs a statement in a database.
    pub async fn execute(&self, database: &str, statement: &str) -> Result<()> {
        let client = self.client(database).await?;
        client.batch_execute(statement).await.with_context(|| format!("statement failed: {statement}"))
    }

    /// A connection to a database, for looking at facts in tests.
    pub async fn client(&self, database: &str) -> Result<tokio_postgres::Client> {
        let (client, connection) = tokio_postgres::connect(&self.url(database), NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Process id of the postmaster, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// Ends the server after open transactions are rolled back.
    pub async fn stop(&mut self) {
        self.process.stop(Signal::SIGINT).await;
    }

    /// Ends the server as a crash would.
    pub async fn kill(&mut self) {
        self.process.stop(Signal::SIGQUIT).await;
    }

    /// Starts the server again on its data and port.
    pub async fn restart(&mut self) -> Result<()> {
        self.process = spawn(&self.tools, &self.folder, self.port)?;
        self.wait().await
    }
}

/// Name of a site's database behind the gateway.
pub fn fhir_database(site: &str) -> String {
    format!("{}_fhir", site.replace('-', "_"))
}

/// Name of a site's database behind the engine.
pub fn engine_database(site: &str) -> String {
    format!("{}_engine", site.replace('-', "_"))
}

fn spawn(tools: &Path, folder: &Path, port: u16) -> Result<ServiceProcess> {
    let mut command = as_server_user(&tools.join("postgres"));
    command.arg("-D").arg(folder.join("data")).arg("-k").arg(folder.join("data"));
    command.args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
    command.args(["-c", &format!("max_connections={MAX_CONNECTIONS}"), "-c", "log_min_messages=warning"]);
    // The socket path of a deep folder would be too long; TCP is what services use anyway.
    command.args(["-c", "unix_socket_directories="]);
    ServiceProcess::spawn("PostgreSQL", &mut Command::from(command), &folder.join("postgres.log"))
}

/// PostgreSQL refuses to run as root: drop to its own account, or to an unprivileged one.
fn as_server_user(program: &Path) -> StdCommand {
    let mut command = StdCommand::new(program);
    if let Some((uid, gid)) = server_user() {
        use std::os::unix::process::CommandExt;
        command.uid(uid).gid(gid).current_dir("/");
    }
    command
}

fn server_user() -> Option<(u32, u32)> {
    if !Uid::effective().is_root() {
        return None;
    }
    let account = User::from_name("postgres").ok().flatten();
    Some(account.map_or((FALLBACK_UID, FALLBACK_UID), |user| (user.uid.as_raw(), user.gid.as_raw())))
}

/// Gives the folder to the account that runs the server.
fn own(folder: &Path) -> Result<()> {
    let Some((uid, gid)) = server_user() else { return Ok(()) };
    std::os::unix::fs::chown(folder, Some(uid), Some(gid))?;
    std::os::unix::fs::chown(folder.join("password"), Some(uid), Some(gid))?;
    Ok(())
}
