//! Audit records: one FHIR AuditEvent per transaction, as a line of a file.
//!
//! The record is on its way to the disk before the answer leaves. Records hold no identifier of a
//! person: a count, and a hash under a key that lives as long as the process.
use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use fhir_client::TransportKind;
use hospital::audit::{Activity, Event, Outcome, activity};
use sha2::{Digest, Sha256};
use telemetry::metrics::{Counter, KeyValue, meter};
use time::{OffsetDateTime, macros::format_description};

use crate::{Trouble, tls::SetupError};

/// System of the hashes that stand for records.
const RECORDS: &str = "urn:dsf:audit:records";

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
}

/// Writes records.
pub struct Audit {
    parties: Parties,
    file: Option<Mutex<File>>,
    key: [u8; 32],
    lost: Counter<u64>,
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
            lost: meter().u64_counter("dsf.hospital.audit.lost").build(),
            started: AtomicBool::new(false),
        })
    }

    /// Records a transaction about some records.
    pub fn record(
        &self,
        transaction: &'static str,
        profile: Option<&'static str>,
        request_id: &str,
        records: &[String],
        result: Result<&str, &Trouble>,
    ) {
        let outcome = match result {
            Ok(_) => Outcome::Success,
            Err(Trouble::Failure(hospital::failure::Failure::Rejected(_))) => Outcome::Minor,
            Err(_) => Outcome::Serious,
        };
        let event = Event {
            transaction,
            profile,
            interaction: "search",
            recorded: now(),
            outcome,
            outcome_text: Some(result.map_or_else(|trouble| trouble.outcome().to_owned(), str::to_owned)),
            client: (self.parties.service.to_owned(), self.parties.service.to_owned()),
            server: (self.parties.server.to_owned(), self.parties.address.clone()),
            site: self.parties.site.clone(),
            patient: Some((RECORDS.to_owned(), self.hash(records))),
            query: None,
            request_id: request_id.to_owned(),
        };
        self.write(&event.resource(), || {
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
        let resource = activity(what, self.parties.service, &self.parties.site, &now());
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
