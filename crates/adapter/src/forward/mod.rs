//! Carries audit records from their file to an audit repository: FHIR (ITI-20, RESTful) or classic ATNA
//! (syslog). The file is the outbox, `<file>.sent` says how much of it has arrived.
//!
//! Each record arrives at least once, in order; transactions never wait for it. A record that the
//! repository refuses for good is told, counted and left in the file.
mod fhir;
mod syslog;

use std::{
    io::{BufRead, BufReader, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use messaging::health::{AuditHealth, LastFailure};
use telemetry::metrics::{Counter, Gauge, KeyValue, meter};
use tokio::task::JoinHandle;

pub(crate) use self::syslog::here;
use self::{fhir::Fhir, syslog::Syslog};
use crate::{
    settings::AuditSettings,
    tls::{SetupError, TlsSettings},
};

/// How often the file is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// First pause after a failure; doubled up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Longest time to connect, and for one delivery.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(15);
/// Bytes that wait before the log says so.
const ALARM: u64 = 16 * 1024 * 1024;
/// How long records wait before the log says so.
const ALARM_AGE: Duration = Duration::from_secs(10 * 60);
/// Most bytes of one delivery, unless one record has more.
const MAX_DELIVERY: usize = 1024 * 1024;

/// How the records of a replica are; shared by those who write, carry and report.
#[derive(Debug, Default)]
pub struct Backlog {
    target: OnceLock<&'static str>,
    waiting: AtomicU64,
    lost: AtomicU64,
    refused: AtomicU64,
    failing: Mutex<Option<(&'static str, Instant)>>,
}

impl Backlog {
    /// For an operator.
    pub fn health(&self) -> AuditHealth {
        let failing = *self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        AuditHealth {
            target: self.target.get().map(|target| (*target).to_owned()),
            waiting_bytes: self.waiting.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            failing: failing.map(|(kind, since)| LastFailure {
                kind: kind.to_owned(),
                age_ms: u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
            }),
        }
    }

    pub(crate) fn lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes why records do not arrive, or that they do; since when they do not.
    fn failing(&self, why: Option<&'static str>) -> Duration {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        *failing = why.map(|kind| (kind, failing.map_or_else(Instant::now, |(_, since)| since)));
        failing.map_or(Duration::ZERO, |(_, since)| since.elapsed())
    }
}

/// What became of some records.
#[derive(Debug, Default, PartialEq, Eq)]
struct Delivered {
    /// How many of them, from the first, need not be sent again.
    done: usize,
    /// How many of those the repository, or the form, refuses for good.
    refused: usize,
    /// Why not all are done.
    failure: Option<&'static str>,
    /// When the repository wants to be asked again.
    after: Option<Duration>,
}

/// Where records go.
enum Sink {
    Fhir(Fhir),
    Syslog(Syslog),
}

impl Sink {
    /// What the scheme of the address says.
    fn new(
        service: &'static str,
        settings: &AuditSettings,
        url: &str,
        tls: &TlsSettings,
    ) -> Result<Self, SetupError> {
        Ok(match url.split_once("://") {
            Some((scheme, _)) if scheme.starts_with("syslog") => {
                Self::Syslog(Syslog::new(service, url, settings.schema(), tls)?)
            }
            _ => Self::Fhir(Fhir::new(url, tls)?),
        })
    }

    fn target(&self) -> &'static str {
        match self {
            Self::Fhir(_) => "fhir",
            Self::Syslog(syslog) => syslog.target(),
        }
    }

    /// Most records of one delivery.
    fn most(&self) -> usize {
        match self {
            Self::Fhir(_) => 1,
            Self::Syslog(syslog) => syslog.most(),
        }
    }

    async fn deliver(&self, records: &[String]) -> Delivered {
        match self {
            Self::Fhir(fhir) => fhir.deliver(records).await,
            Self::Syslog(syslog) => syslog.deliver(records).await,
        }
    }
}

/// Starts to carry records; `None` where there is no repository. `other` is TLS to the system which the
/// adapter asks. The task ends when it is aborted.
///
/// # Errors
/// When the address or TLS files cannot be used, or there is a repository but no file.
pub fn forward(
    service: &'static str,
    settings: &AuditSettings,
    other: &TlsSettings,
    backlog: &Arc<Backlog>,
) -> Result<Option<JoinHandle<()>>, SetupError> {
    let Some(url) = &settings.url else { return Ok(None) };
    let Some(file) = &settings.file else {
        return Err(SetupError(
            "AUDIT_URL needs AUDIT_FILE: records are kept until they have arrived".to_owned(),
        ));
    };
    let sink = Sink::new(service, settings, url, &settings.tls(other))
        .map_err(|SetupError(reason)| SetupError(format!("audit repository: {reason}")))?;
    let _ = backlog.target.set(sink.target());
    let mut sent = file.as_os_str().to_owned();
    sent.push(".sent");
    let carrier = Carrier {
        file: file.clone(),
        sent: sent.into(),
        sink,
        backlog: Arc::clone(backlog),
        waiting: meter().u64_gauge("dsf.hospital.audit.backlog").with_unit("By").build(),
        delivered: meter().u64_counter("dsf.hospital.audit.delivered").build(),
        refused: meter().u64_counter("dsf.hospital.audit.refused").build(),
    };
    Ok(Some(tokio::spawn(carrier.run())))
}

struct Carrier {
    file: PathBuf,
    sent: PathBuf,
    sink: Sink,
    backlog: Arc<Backlog>,
    waiting: Gauge<u64>,
    delivered: Counter<u64>,
    refused: Counter<u64>,
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
            self.note_waiting(size - offset);
            let records = records(&self.file, offset, self.sink.most());
            if records.is_empty() {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            let delivered = self.sink.deliver(&records).await;
            if delivered.done > 0 {
                offset += records.iter().take(delivered.done).map(|line| line.len() as u64).sum::<u64>();
                self.note_sent(offset, &delivered);
                self.note_waiting(size.saturating_sub(offset));
            }
            let failing = self.backlog.failing(delivered.failure);
            let Some(reason) = delivered.failure else {
                (pause, told) = (PAUSE, false);
                continue;
            };
            tracing::warn!(reason, "the audit repository takes no records now");
            let waiting = size.saturating_sub(offset);
            if (waiting > ALARM || failing > ALARM_AGE) && !told {
                told = true;
                tracing::error!(
                    bytes = waiting,
                    seconds = failing.as_secs(),
                    "audit records wait: is their repository up?"
                );
            }
            let wait = pause.mul_f64(rand::random_range(0.5..1.5));
            tokio::time::sleep(wait.max(delivered.after.unwrap_or_default().min(LONGEST_PAUSE))).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn note_waiting(&self, bytes: u64) {
        self.waiting.record(bytes, &[]);
        self.backlog.waiting.store(bytes, Ordering::Relaxed);
    }

    fn note_sent(&self, offset: u64, delivered: &Delivered) {
        if let Err(error) = std::fs::write(&self.sent, format!("{offset}\n")) {
            tracing::error!(%error, "it cannot be noted that audit records have arrived");
        }
        let target = [KeyValue::new("target", self.sink.target())];
        self.delivered.add((delivered.done - delivered.refused) as u64, &target);
        if delivered.refused > 0 {
            self.refused.add(delivered.refused as u64, &target);
            self.backlog.refused.fetch_add(delivered.refused as u64, Ordering::Relaxed);
        }
    }
}

/// Whole lines from an offset on, with their ends.
fn records(path: &Path, offset: u64, most: usize) -> Vec<String> {
    let (mut lines, mut bytes) = (Vec::new(), 0);
    let Ok(mut file) = std::fs::File::open(path) else { return lines };
    if file.seek(SeekFrom::Start(offset)).is_err() {
        return lines;
    }
    let mut reader = BufReader::new(file);
    while lines.len() < most && bytes < MAX_DELIVERY {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(_) if line.ends_with('\n') => {
                bytes += line.len();
                lines.push(line);
            }
            _ => break,
        }
    }
    lines
}
