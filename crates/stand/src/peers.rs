//! Systems of a hospital that others wrote: `tests/peers/hospital`, started by `make test-peers`.
use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::Identity;

/// File with the ports of the program, set by `make test-peers`.
const HOSPITAL: &str = "DSF_PEER_HOSPITAL";
/// Longest wait for an answer: a JVM compiles and reads definitions at the first request.
const ANSWER: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct Ports {
    mllp: u16,
    http: u16,
}

/// A running hospital.
#[derive(Debug, Clone)]
pub struct Hospital {
    /// Address of the PDQ endpoint (ITI-21).
    pub demographics: String,
    /// Address of the PIX endpoint (ITI-9).
    pub references: String,
    /// URL of what speaks HTTP, without a last slash.
    pub http: String,
}

impl Hospital {
    /// The one that the environment names; says in a line that it was left out where there is none.
    pub fn running() -> Option<Self> {
        let Some(file) = std::env::var_os(HOSPITAL) else {
            eprintln!("left out: {HOSPITAL} names no running tests/peers/hospital, see make test-peers");
            return None;
        };
        let ports = std::fs::read(file).ok().and_then(|text| serde_json::from_slice::<Ports>(&text).ok());
        let Some(Ports { mllp, http }) = ports else {
            eprintln!("left out: the file of {HOSPITAL} names no ports");
            return None;
        };
        let at = |port: u16| format!("127.0.0.1:{port}");
        Some(Self { demographics: at(mllp), references: at(mllp + 1), http: format!("http://{}", at(http)) })
    }

    /// How many resources of a type its FHIR server holds.
    ///
    /// # Errors
    /// When it gives no usable answer.
    pub async fn stored(&self, kind: &str) -> Result<u64> {
        let head = format!("GET /fhir/{kind}?_summary=count HTTP/1.0\r\naccept: application/fhir+json");
        let text = self.answer(&head, "").await?;
        let total = text.split_once("\"total\":").context("a total")?.1.trim_start();
        let digits: String = total.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().context("a number")
    }

    /// Starts another PDQ endpoint, which takes TLS clients of `authority` alone; its address.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn with_tls(&self, authority: &Path, own: &Identity) -> Result<String> {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let body = format!(
            "authority={}&certificate={}&key={}",
            path(authority),
            path(&own.certificate),
            path(&own.key)
        );
        let port = self.post("/mllp-tls", "application/x-www-form-urlencoded", &body).await?;
        let port: u16 = port.trim().parse().context("a port")?;
        Ok(format!("localhost:{port}"))
    }

    /// Posts to a path of it; the body of the answer.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post(&self, path: &str, content_type: &str, body: &str) -> Result<String> {
        self.answer(&format!("POST {path} HTTP/1.0\r\ncontent-type: {content_type}"), body).await
    }

    /// The body of an answer; HTTP 1.0 has no pieces.
    async fn answer(&self, head: &str, body: &str) -> Result<String> {
        let address = self.http.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("{head}\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        timeout(ANSWER, stream.read_to_end(&mut answer)).await.context("in time")??;
        let text = String::from_utf8(answer).context("UTF-8")?;
        Ok(text.split_once("\r\n\r\n").context("a body")?.1.to_owned())
    }
}
