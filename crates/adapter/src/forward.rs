//! Carries audit records from their file to a FHIR audit repository (ITI-20, RESTful): the file is the
//! outbox, `<file>.sent` says how much of it has arrived.
//!
//! Each record arrives at least once, in order; transactions never wait for it. A record that the
//! repository refuses for good is told, counted and left in the file.
use std::{
    io::{BufRead, BufReader, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::Duration,
};

use http::Method;
use telemetry::metrics::{Counter, Gauge, meter};
use tokio::task::JoinHandle;

use crate::{
    http::{Call, Client, HttpSettings, Login},
    tls::{Connector, SetupError, TlsSettings},
};

/// How often the file is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// First pause after a failure; doubled up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Longest time to connect, and for one record.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(15);
/// Largest answer, which is not read.
const MAX_ANSWER: usize = 1024 * 1024;
/// Bytes that wait before the log says so.
const ALARM: u64 = 16 * 1024 * 1024;

/// Starts to carry records; `None` where there is no repository. The task ends when it is aborted.
///
/// # Errors
/// When the address or TLS files cannot be used, or there is a repository but no file.
pub fn forward(
    file: Option<&Path>,
    url: Option<&str>,
    tls: &TlsSettings,
) -> Result<Option<JoinHandle<()>>, SetupError> {
    let Some(url) = url else { return Ok(None) };
    let Some(file) = file else {
        return Err(SetupError(
            "AUDIT_URL needs AUDIT_FILE: records are kept until they have arrived".to_owned(),
        ));
    };
    Client::check_url(url)?;
    let settings = HttpSettings { answer_timeout: ANSWER, max_answer: MAX_ANSWER, login: Login::None };
    let client = Client::new(Connector::new(tls, CONNECT)?, settings);
    let mut sent = file.as_os_str().to_owned();
    sent.push(".sent");
    let carrier = Carrier {
        file: file.to_owned(),
        sent: sent.into(),
        url: format!("{}/AuditEvent", url.trim_end_matches('/')),
        client,
        backlog: meter().u64_gauge("dsf.hospital.audit.backlog").with_unit("By").build(),
        lost: meter().u64_counter("dsf.hospital.audit.refused").build(),
    };
    Ok(Some(tokio::spawn(carrier.run())))
}

struct Carrier {
    file: PathBuf,
    sent: PathBuf,
    url: String,
    client: Client,
    backlog: Gauge<u64>,
    lost: Counter<u64>,
}

impl Carrier {
    async fn run(self) {
        let text = std::fs::read_to_string(&self.sent).unwrap_or_default();
        let mut offset: u64 = text.trim().parse().unwrap_or(0);
        let (mut pause, mut told) = (PAUSE, false);
        loop {
            let size = std::fs::metadata(&self.file).map_or(0, |file| file.len());
            if size < offset {
                // Another file, after a rotation.
                offset = 0;
            }
            self.backlog.record(size - offset, &[]);
            match self.line(offset) {
                None => tokio::time::sleep(LOOK).await,
                Some(line) if self.post(&line).await => {
                    offset += line.len() as u64;
                    if let Err(error) = std::fs::write(&self.sent, format!("{offset}\n")) {
                        tracing::error!(%error, "it cannot be noted that an audit record has arrived");
                    }
                    (pause, told) = (PAUSE, false);
                }
                Some(_) => {
                    if size - offset > ALARM && !told {
                        told = true;
                        tracing::error!(bytes = size - offset, "audit records wait: is their repository up?");
                    }
                    tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.5))).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// The whole line at an offset, with its end.
    fn line(&self, offset: u64) -> Option<String> {
        let mut file = std::fs::File::open(&self.file).ok()?;
        file.seek(SeekFrom::Start(offset)).ok()?;
        let mut line = String::new();
        BufReader::new(file).read_line(&mut line).ok()?;
        line.ends_with('\n').then_some(line)
    }

    /// Whether the record need not be sent again.
    async fn post(&self, line: &str) -> bool {
        let call = Call {
            method: Method::POST,
            url: self.url.clone(),
            content_type: Some("application/fhir+json".to_owned()),
            accept: "application/fhir+json",
            body: line.trim_end().to_owned().into(),
            prefer: Some("return=minimal"),
        };
        match self.client.send(&call).await {
            Ok(answer) if (200..300).contains(&answer.status) => true,
            // What is wrong with the record stays wrong.
            Ok(answer) if matches!(answer.status, 400 | 413 | 415 | 422) => {
                tracing::error!(status = answer.status, "the audit repository refuses a record");
                self.lost.add(1, &[]);
                true
            }
            Ok(answer) => {
                tracing::warn!(status = answer.status, "the audit repository takes no records now");
                false
            }
            Err(error) => {
                tracing::warn!(%error, "the audit repository cannot be reached");
                false
            }
        }
    }
}
