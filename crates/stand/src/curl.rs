//! An independent HTTP client: curl with the certificate of a site.
use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::Identity;

/// Longest wait for an answer, in seconds.
const TIMEOUT_SECONDS: u32 = 60;

/// Calls an endpoint as the holder of a certificate.
#[derive(Debug, Clone)]
pub struct Curl {
    ca: PathBuf,
    identity: Option<(PathBuf, PathBuf)>,
}

/// What an endpoint answered.
#[derive(Debug, Clone)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Header lines as received, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Response {
    /// First value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// Body as JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("answer {} has no JSON body: {}", self.status, self.text()))
    }

    /// Body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Curl {
    /// A client that trusts `ca` and shows the certificate of `identity`, or none.
    pub fn new(ca: &Path, identity: Option<&Identity>) -> Self {
        let identity = identity.map(|identity| (identity.certificate.clone(), identity.key.clone()));
        Self { ca: ca.to_owned(), identity }
    }

    /// `GET`.
    pub async fn get(&self, url: &str) -> Result<Response> {
        self.send("GET", url, &[("Accept", "application/fhir+json")], None).await
    }

    /// `POST` of FHIR JSON.
    pub async fn post(&self, url: &str, body: &serde_json::Value) -> Result<Response> {
        let headers = [("Accept", "application/fhir+json"), ("Content-Type", "application/fhir+json")];
        self.send("POST", url, &headers, Some(body.to_string().as_bytes())).await
    }

    /// Any request. An error means that there was no HTTP answer; its text is curl's.
    pub async fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Response> {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--globoff", "--include", "--http1.1"]);
        command.args(["--max-time", &TIMEOUT_SECONDS.to_string(), "--cacert"]).arg(&self.ca);
        if let Some((certificate, key)) = &self.identity {
            command.arg("--cert").arg(certificate).arg("--key").arg(key);
        }
        match method {
            "HEAD" => command.arg("--head"),
            _ => command.args(["--request", method]),
        };
        for (name, value) in headers {
            command.arg("--header").arg(format!("{name}: {value}"));
        }
        // Kept until curl has read it.
        let mut file = None;
        if let Some(body) = body {
            let path = std::env::temp_dir().join(format!("dsf-curl-{}", uuid::Uuid::new_v4()));
            std::fs::File::create(&path)?.write_all(body)?;
            // Without `Expect`, so that an early refusal is the only answer.
            command.args(["--header", "Expect:", "--data-binary"]).arg(format!("@{}", path.display()));
            file = Some(path);
        }
        let output = command.arg(url).output().await.context("curl cannot be started")?;
        if let Some(path) = file {
            std::fs::remove_file(path)?;
        }
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        parse(&output.stdout)
    }
}

fn parse(bytes: &[u8]) -> Result<Response> {
    let mut rest = bytes;
    loop {
        let end =
            rest.windows(4).position(|window| window == b"\r\n\r\n").context("answer without header end")?;
        let (head, body) = (String::from_utf8_lossy(&rest[..end]).into_owned(), &rest[end + 4..]);
        let mut lines = head.split("\r\n");
        let status: u16 = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .and_then(|code| code.parse().ok())
            .context("answer without status line")?;
        if status < 200 {
            rest = body;
            continue;
        }
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        return Ok(Response { status, headers, body: body.to_vec() });
    }
}
