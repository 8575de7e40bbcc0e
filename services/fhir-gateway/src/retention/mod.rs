//! Retention: resources whose work is done are removed for good after a time.
//!
//! A TOML file says which:
//!
//! ```toml
//! every = "1h"                       # how often is looked
//! dry-run = true                     # only count and log
//! audit-after = "3650d"              # audit rows older than this go, too
//! [[rule]]
//! type = "Task"
//! status = ["completed", "failed"]   # final ones only
//! after = "90d"                      # since the last change
//! [[rule]]
//! type = "Task"
//! deleted = true                     # marked as deleted, whatever the status
//! after = "7d"
//! ```
//!
//! One replica at a time does it, and each removal is an event of the audit trail, stored with the deed.
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time,
};

use audit::{Event, Who};
use config::Duration;
use fhir::datetime;
use messaging::event::ResourceEvent;
use serde::Deserialize;
use telemetry::metrics::{Counter, KeyValue, meter};
use uuid::Uuid;

use crate::{site::Site, store::Outdated};

/// Types that rules may name, with the statuses in which nothing happens any more. Allow list and
/// process definitions are not among them: they do not age.
const TYPES: [(&str, &[&str]); 8] = [
    ("Binary", &[]),
    ("Bundle", &[]),
    ("DocumentReference", &["superseded", "entered-in-error"]),
    ("Group", &[]),
    ("MeasureReport", &["complete", "error"]),
    ("Provenance", &[]),
    ("QuestionnaireResponse", &["completed", "amended", "stopped", "entered-in-error"]),
    ("Task", &["completed", "failed", "rejected", "cancelled", "entered-in-error"]),
];
/// Resources that one transaction removes.
const BATCH: i64 = 100;
/// Audit rows that one transaction removes.
const AUDIT_BATCH: i64 = 10_000;

/// Why a retention file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("retention file {path} is not usable: {reason}")]
pub struct RetentionError {
    path: PathBuf,
    reason: String,
}

/// What is removed when.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Retention {
    #[serde(default = "every")]
    every: Duration,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    audit_after: Option<Duration>,
    #[serde(default)]
    rule: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(rename = "type")]
    resource_type: String,
    #[serde(default)]
    status: Vec<String>,
    #[serde(default)]
    deleted: bool,
    after: Duration,
}

fn every() -> Duration {
    Duration::secs(60 * 60)
}

impl Retention {
    /// Reads a file.
    ///
    /// # Errors
    /// [`RetentionError`], also for unknown keys and for statuses in which work may go on.
    pub fn load(path: &Path) -> Result<Self, RetentionError> {
        let failed = |reason: String| RetentionError {
            path: path.to_owned(),
            reason: reason.split_whitespace().collect::<Vec<_>>().join(" "),
        };
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        let retention: Self = toml::from_str(&text).map_err(|error| failed(error.to_string()))?;
        if retention.every.get().is_zero() {
            return Err(failed("every must not be zero".to_owned()));
        }
        for rule in &retention.rule {
            rule.check().map_err(failed)?;
        }
        Ok(retention)
    }
}

impl Rule {
    fn known(&self) -> Option<(&'static str, &'static [&'static str])> {
        TYPES.into_iter().find(|(name, _)| *name == self.resource_type)
    }

    fn check(&self) -> Result<(), String> {
        let (ty, known) = (&self.resource_type, self.known());
        let Some((_, statuses)) = known else {
            let names: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
            return Err(format!("there is no retention for type {ty}: use one of {}", names.join(", ")));
        };
        if self.deleted && !self.status.is_empty() {
            return Err(format!("a rule for {ty} has either status or deleted"));
        }
        if !self.deleted && self.status.is_empty() && !statuses.is_empty() {
            return Err(format!("a rule for {ty} needs status, some of {}", statuses.join(", ")));
        }
        match self.status.iter().find(|status| !statuses.contains(&status.as_str())) {
            Some(status) => {
                Err(format!("{status} is no final status of {ty}: use some of {}", statuses.join(", ")))
            }
            None => Ok(()),
        }
    }

    /// The rule in words, for log and audit.
    fn words(&self) -> String {
        let what = match (self.deleted, self.status.as_slice()) {
            (true, _) => "deleted".to_owned(),
            (false, []) => "any".to_owned(),
            (false, status) => status.join(", "),
        };
        format!("retention: {} ({what}) after {} s", self.resource_type, self.after.get().as_secs())
    }
}

/// What [`run`] counts.
struct Instruments {
    removed: Counter<u64>,
    audit: Counter<u64>,
}

/// Removes what its time is over for, for ever.
pub async fn run(site: Arc<Site>, retention: Retention) {
    let meter = meter();
    let instruments = Instruments {
        removed: meter
            .u64_counter("dsf.gateway.retention.removed")
            .with_description("Resources removed for good by retention rules; dry runs count what would be")
            .build(),
        audit: meter
            .u64_counter("dsf.gateway.retention.audit.removed")
            .with_description("Audit rows removed by age")
            .build(),
    };
    loop {
        for rule in &retention.rule {
            if let Err(error) = apply(&site, rule, retention.dry_run, &instruments).await {
                tracing::warn!(%error, rule = rule.words(), "a retention rule was not applied, it is tried again");
            }
        }
        if let Some(after) = retention.audit_after
            && let Err(error) = prune(&site, after, retention.dry_run, &instruments).await
        {
            tracing::warn!(%error, "old audit rows were not removed, it is tried again");
        }
        tokio::time::sleep(retention.every.get()).await;
    }
}

fn cutoff(after: Duration) -> i64 {
    let millis = i64::try_from(after.get().as_millis()).unwrap_or(i64::MAX);
    datetime::now_millis().saturating_sub(millis)
}

async fn apply(
    site: &Arc<Site>,
    rule: &Rule,
    dry_run: bool,
    instruments: &Instruments,
) -> Result<(), database::Error> {
    let Some((ty, _)) = rule.known() else { return Ok(()) };
    let attributes = [KeyValue::new("type", ty), KeyValue::new("dry_run", dry_run)];
    let outdated = Outdated { status: &rule.status, deleted: rule.deleted, before: cutoff(rule.after) };
    let mut total = 0;
    if dry_run {
        total = site.store.session().await?.count_outdated(ty, &outdated).await?;
        if total > 0 {
            let reason = format!("{} (dry run: {total} would go)", rule.words());
            site.audit.record(Event { allowed: false, ..event(site, ty, None, reason) });
        }
    } else {
        loop {
            let mut session = site.store.session().await?;
            let transaction = session.begin().await?;
            // Another replica is at it.
            if !transaction.retain_alone().await? {
                break;
            }
            let found = transaction.outdated(ty, &outdated, BATCH).await?;
            let mut events = Vec::new();
            for (id, version) in &found {
                let event = event(site, ty, Some((*id, *version)), rule.words());
                transaction.audit(&event.json()).await?;
                if !rule.deleted {
                    transaction.delete(ty, *id, datetime::now_millis()).await?;
                }
                transaction.erase(ty, *id).await?;
                events.push(ResourceEvent {
                    resource_type: ty.to_owned(),
                    id: id.to_string(),
                    version: *version,
                    status: None,
                    deleted: true,
                });
            }
            transaction.commit().await?;
            site.changes.committed(events);
            total += found.len() as u64;
            if (found.len() as i64) < BATCH {
                break;
            }
        }
    }
    if total > 0 {
        instruments.removed.add(total, &attributes);
        tracing::info!(rule = rule.words(), total, dry_run, "retention");
    }
    Ok(())
}

fn event(site: &Site, ty: &'static str, about: Option<(Uuid, u64)>, reason: String) -> Event {
    Event {
        at: datetime::now_millis(),
        who: Who { kind: "retention".into(), id: Some(site.organization.clone()) },
        interaction: "permanent delete".into(),
        resource_type: Some(ty.into()),
        id: about.map(|(id, _)| id.to_string()),
        version: about.map(|(_, version)| version),
        allowed: true,
        reason: reason.into(),
    }
}

async fn prune(
    site: &Arc<Site>,
    after: Duration,
    dry_run: bool,
    instruments: &Instruments,
) -> Result<(), database::Error> {
    if dry_run {
        return Ok(());
    }
    let before = cutoff(after);
    loop {
        let gone = audit::table::prune(site.store.pool(), before, AUDIT_BATCH).await?;
        if gone > 0 {
            instruments.audit.add(gone, &[]);
            tracing::info!(gone, "old audit rows were removed");
        }
        if gone < AUDIT_BATCH as u64 {
            return Ok(());
        }
        // Others may append meanwhile.
        tokio::time::sleep(time::Duration::from_millis(10)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_final_work_of_known_types_may_be_removed() {
        let table = [
            ("type = 'Task'\nstatus = ['completed', 'failed']\nafter = '90d'", None),
            ("type = 'Binary'\nafter = 'P30D'", None),
            ("type = 'Task'\ndeleted = true\nafter = '7d'", None),
            ("type = 'Task'\nafter = '90d'", Some("needs status")),
            ("type = 'Task'\nstatus = ['in-progress']\nafter = '90d'", Some("no final status")),
            (
                "type = 'Task'\nstatus = ['completed']\ndeleted = true\nafter = '90d'",
                Some("either status or deleted"),
            ),
            ("type = 'Organization'\nafter = '90d'", Some("no retention for type Organization")),
            ("type = 'Task'\nstatus = ['completed']", Some("missing field `after`")),
            ("type = 'Task'\nstatus = ['completed']\nafter = 'soon'", Some("expected a duration")),
            ("type = 'Task'\nstatus = ['completed']\nafter = '1d'\nage = 1", Some("unknown field `age`")),
        ];
        let path = std::env::temp_dir().join(format!("retention-{}", uuid::Uuid::new_v4()));
        for (rule, expected) in table {
            std::fs::write(&path, format!("[[rule]]\n{rule}\n")).unwrap();
            let result = Retention::load(&path).map_err(|error| error.to_string());
            match expected {
                None => assert!(result.is_ok(), "{rule}: {result:?}"),
                Some(part) => {
                    assert!(result.as_ref().is_err_and(|text| text.contains(part)), "{rule}: {result:?}")
                }
            }
        }
        std::fs::write(&path, "evry = '1h'\n").unwrap();
        assert!(Retention::load(&path).is_err(), "unknown keys are errors");
        std::fs::remove_file(path).unwrap();
    }
}
