//! Audit records: one FHIR AuditEvent per transaction, as a line of a file.
//!
//! The record is on its way to the disk before the answer leaves. Records hold no identifier of a
//! person: a count, and a hash under a key that lives as long as the process.
use std::{
    cell::RefCell,
    fs::{File, OpenOptions},
    future::Future,
    io::Write,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use fhir_client::TransportKind;
use hospital::audit::{Activity, Event, Outcome, Party, Query, Transaction, activity};
use sha2::{Digest, Sha256};
use telemetry::metrics::{Counter, KeyValue, meter};
use time::{OffsetDateTime, macros::format_description};

use crate::{Trouble, forward::Backlog, tls::SetupError};

/// System of the hashes that stand for records.
const RECORDS: &str = "urn:dsf:audit:records";

tokio::task_local! {
    /// What the work that [`noting`] does has sent.
    static SENT: RefCell<Option<Query>>;
}

/// Does some work, and gives what it has sent last ([`note`]): the query of the record about it.
pub async fn noting<F: Future>(work: F) -> (F::Output, Option<Query>) {
    SENT.scope(RefCell::default(), async {
        let output = work.await;
        (output, SENT.with(RefCell::take))
    })
    .await
}

/// Notes what is sent, where somebody wants to know it. `*` stands in the place of what belongs to a
/// person.
pub fn note(query: impl FnOnce() -> Query) {
    let _ = SENT.try_with(|sent| *sent.borrow_mut() = Some(query()));
}

/// Who we are and whom we talk to.
#[derive(Debug, Clone)]
pub struct Parties {
    /// Site.
    pub site: String,
    /// Our service.
    pub service: &'static str,
    /// Kind of the other side, for example `mpi`.
    pub server: &'static str,
    /// Its address, without query and credentials.
    pub address: String,
    /// What HL7 v2 calls us and the other side: `application|facility`.
    pub applications: Option<(String, String)>,
}

/// What a transaction was about.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// Its kind.
    pub transaction: Transaction,
    /// Id of the request that it belongs to.
    pub request_id: &'a str,
    /// Records; only their number and a keyed hash are written.
    pub records: &'a [String],
    /// On whose behalf a decision is asked for.
    pub requester: Option<&'a str>,
    /// The query, from [`noting`].
    pub query: Option<Query>,
}

impl<'a> Asked<'a> {
    /// Without requester and query.
    pub fn new(transaction: Transaction, request_id: &'a str, records: &'a [String]) -> Self {
        Self { transaction, request_id, records, requester: None, query: None }
    }
}

/// Writes records.
pub struct Audit {
    parties: Parties,
    file: Option<Mutex<File>>,
    key: [u8; 32],
    process: String,
    lost: Counter<u64>,
    backlog: Arc<Backlog>,
    started: AtomicBool,
}

impl Audit {
    /// Opens the file; without one, records only become log lines.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn new(parties: Parties, file: Option<&Path>) -> Result<Self, SetupError> {
        let open = |path: &Path| {
            let file = OpenOptions::new().create(true).append(true).open(path);
            file.map_err(|error| SetupError(format!("audit file {}: {error}", path.display())))
        };
        Ok(Self {
            parties,
            file: file.map(open).transpose()?.map(Mutex::new),
            key: rand::random(),
            process: std::process::id().to_string(),
            lost: meter().u64_counter("dsf.hospital.audit.lost").build(),
            backlog: Arc::default(),
            started: AtomicBool::new(false),
        })
    }

    /// How the records are, shared with who carries them.
    pub fn backlog(&self) -> &Arc<Backlog> {
        &self.backlog
    }

    /// Records a transaction; `result` is one word for how it ended, or why there was no usable answer.
    pub fn record(&self, asked: Asked<'_>, result: Result<&str, &Trouble>) {
        let outcome = match result {
            Ok(_) => Outcome::Success,
            Err(Trouble::Failure(hospital::failure::Failure::Rejected(_))) => Outcome::Minor,
            Err(_) => Outcome::Serious,
        };
        let Asked { transaction, request_id, records, requester, query } = asked;
        let (ours, theirs) = self.parties.applications.clone().unzip();
        // All that belongs to one request shares its trace; without telemetry, its id.
        let trace = telemetry::context::current();
        let trace = trace.as_deref().and_then(|parent| parent.split('-').nth(1));
        let event = Event {
            transaction,
            recorded: now(),
            outcome,
            outcome_text: Some(result.map_or_else(|trouble| trouble.outcome().to_owned(), str::to_owned)),
            client: Party {
                name: self.parties.service.to_owned(),
                user: ours,
                address: self.parties.service.to_owned(),
            },
            process: Some(self.process.clone()),
            server: Party {
                name: self.parties.server.to_owned(),
                user: theirs,
                address: self.parties.address.clone(),
            },
            site: self.parties.site.clone(),
            patient: (!records.is_empty()).then(|| (RECORDS.to_owned(), self.hash(records))),
            requester: requester.map(str::to_owned),
            query,
            trace_id: trace.unwrap_or(request_id).to_owned(),
            request_id: trace.map(|_| request_id.to_owned()),
        };
        self.write(&event.resource(), || {
            let transaction = transaction.code;
            tracing::info!(target: "audit", transaction, outcome = outcome.code(), records = records.len());
        });
        if matches!(result, Err(Trouble::Transport(TransportKind::Tls))) {
            self.activity(Activity::NodeAuthentication);
        }
    }

    /// Records that the service takes requests; its end is recorded when this value is dropped.
    pub fn started(&self) {
        self.started.store(true, Ordering::Relaxed);
        self.activity(Activity::Start);
    }

    /// Records what happens to the service itself.
    fn activity(&self, what: Activity) {
        let parties = &self.parties;
        let node = (what == Activity::NodeAuthentication).then_some(parties.address.as_str());
        let resource = activity(what, parties.service, &self.process, &parties.site, node, &now());
        self.write(&resource, || tracing::info!(target: "audit", activity = ?what));
    }

    fn write(&self, resource: &serde_json::Value, log: impl FnOnce()) {
        let mut line = resource.to_string();
        line.push('\n');
        let written = match &self.file {
            Some(file) => {
                file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes()).is_ok()
            }
            None => {
                log();
                true
            }
        };
        if !written {
            self.backlog.lost();
            self.lost.add(1, &[KeyValue::new("backend", self.parties.server)]);
            tracing::error!("an audit record could not be written: check the disk of the audit file");
        }
    }

    /// Count and keyed hash of records.
    fn hash(&self, records: &[String]) -> String {
        let mut hash = Sha256::new();
        hash.update(self.key);
        for record in records {
            hash.update((record.len() as u64).to_be_bytes());
            hash.update(record.as_bytes());
        }
        format!("{}:{}", records.len(), hex::encode(&hash.finalize()[..16]))
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        if self.started.load(Ordering::Relaxed) {
            self.activity(Activity::Stop);
        }
    }
}

/// Now, as records write it.
fn now() -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::now_utc().format(format).unwrap_or_default()
}
