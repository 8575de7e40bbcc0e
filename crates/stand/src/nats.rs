//! A private nats-server with one account per site.
use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use messaging::permissions::{self, User};
use nix::sys::signal::Signal;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
};

use crate::{READY_TIMEOUT, ServiceProcess, Tools, description::write_private, ports};

/// A running nats-server.
#[derive(Debug)]
pub struct NatsServer {
    process: ServiceProcess,
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    monitor: u16,
    secret: String,
}

impl NatsServer {
    /// Writes the configuration, generated from the permissions table, and starts the server.
    pub async fn start(tools: &Tools, folder: &Path, sites: &[String]) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let (port, monitor) = (ports::any()?, ports::any()?);
        // Passwords differ per site and user; one random secret of the stand is behind them all.
        let secret = hex::encode(rand::random::<[u8; 16]>());
        let mut configuration = format!(
            "server_name: stand\nlisten: \"127.0.0.1:{port}\"\nhttp: \"127.0.0.1:{monitor}\"\nmax_payload: 1MB\n\
             jetstream {{ store_dir: \"{}\", max_mem: 64M, max_file: 4G, sync_interval: always }}\n\
             accounts {{\n",
            folder.join("store").display()
        );
        for site in sites {
            configuration.push_str(&permissions::account(site, |user| {
                format!("\"{}\"", password(&secret, site, user))
            }));
        }
        let _ = writeln!(configuration, "}}");
        write_private(&folder.join("nats.conf"), configuration.as_bytes())?;
        let process = spawn(&tools.nats_server, folder)?;
        let (program, folder) = (tools.nats_server.clone(), folder.to_owned());
        let mut server = Self { process, program, folder, port, monitor, secret };
        server.wait().await?;
        Ok(server)
    }

    async fn wait(&mut self) -> Result<()> {
        let port = self.port;
        self.process
            .wait_until(READY_TIMEOUT, || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok())
            .await
            .context("nats-server did not start")
    }

    /// URL of the server.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Login and password of a user of a site.
    pub fn credentials(&self, site: &str, user: User) -> (String, String) {
        (user.login(site), password(&self.secret, site, user))
    }

    /// Messages that clients have published since the server's start.
    pub async fn messages(&self) -> Result<f64> {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", self.monitor)).await?;
        stream.write_all(b"GET /varz HTTP/1.0\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let body = answer.split_once("\r\n\r\n").context("nats-server gave no figures")?.1;
        let figures: serde_json::Value = serde_json::from_str(body)?;
        figures["in_msgs"].as_f64().context("nats-server does not count messages")
    }

    /// Process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// Ends the server.
    pub async fn stop(&mut self) {
        self.process.stop(Signal::SIGTERM).await;
    }

    /// Ends the server as a crash would.
    pub async fn kill(&mut self) {
        self.process.kill().await;
    }

    /// Starts the server again on its store and port.
    pub async fn restart(&mut self) -> Result<()> {
        self.process = spawn(&self.program, &self.folder)?;
        self.wait().await
    }

    /// Deletes all stored messages; only while the server is down.
    pub fn lose_everything(&self) -> Result<()> {
        std::fs::remove_dir_all(self.folder.join("store"))
            .context("the store of nats-server cannot be removed")
    }
}

fn spawn(program: &Path, folder: &Path) -> Result<ServiceProcess> {
    let mut command = Command::new(program);
    command.arg("-c").arg(folder.join("nats.conf"));
    ServiceProcess::spawn("nats-server", &mut command, &folder.join("nats.log"))
}

fn password(secret: &str, site: &str, user: User) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(format!("{secret}/{site}/{}", user.name()));
    hex::encode(&digest[..16])
}
