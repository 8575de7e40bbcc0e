//! Deployed models: stored once by content, compiled once per process.
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, RwLock},
};

use bpmn::{CompileOptions, Inline, InlineAssignment, Severity, StartTrigger};
use messaging::engine::{DeployReply, DeployRequest, JobMapping};
use sha2::{Digest, Sha256};

use crate::{
    error::Error,
    fuse::{Fuse, Place},
    start_timers,
    store::{Connection, Transaction},
};

/// A compiled definition with the mapping of its classes and topics to jobs.
#[derive(Debug)]
pub struct Compiled {
    /// Content hash, SHA-256 in hex.
    pub hash: String,
    /// Process key.
    pub key: String,
    /// Version tag.
    pub tag: String,
    /// The model.
    pub model: bpmn::Definition,
    /// How long an ended instance is kept (`camunda:historyTimeToLive`).
    pub history: std::time::Duration,
    /// From `plugin.toml`, by class or topic.
    pub jobs: BTreeMap<String, JobMapping>,
}

impl Compiled {
    /// Compiles a model.
    ///
    /// # Errors
    /// One line with everything that is wrong in it.
    pub fn new(xml: &str, jobs: BTreeMap<String, JobMapping>) -> Result<Self, String> {
        let model = bpmn::parse(xml).map_err(|error| error.to_string())?;
        let findings: Vec<String> = bpmn::lint(&model)
            .into_iter()
            .filter(|finding| finding.severity == Severity::Error)
            .map(|f| format!("line {}: {}: {} ({}; {})", f.line, f.element, f.message, f.rule, f.remedy))
            .collect();
        if !findings.is_empty() {
            return Err(findings.join("; "));
        }
        let inline = jobs.iter().filter_map(|(class, mapping)| {
            let assignments = mapping.inline.as_ref()?.iter().map(|(name, value)| InlineAssignment {
                name: name.clone(),
                value: value.clone(),
                local: false,
            });
            Some((class.clone(), Inline { assignments: assignments.collect() }))
        });
        let options = CompileOptions {
            inline: inline.collect(),
            hooks: jobs.keys().cloned().collect(),
            ..CompileOptions::default()
        };
        let compiled = bpmn::compile(&model, &options).map_err(|errors| errors.to_string())?;
        let Some(tag) = compiled.version_tag().map(str::to_owned) else {
            return Err("the process has no camunda:versionTag: set it to #{version}".to_owned());
        };
        let history = compiled.history_time_to_live().and_then(time_to_live).unwrap_or(HISTORY);
        Ok(Self {
            history,
            hash: hash(xml, &jobs),
            key: compiled.key().to_owned(),
            tag,
            model: compiled,
            jobs,
        })
    }

    /// The job type of a class or topic.
    pub fn job_type<'a>(&'a self, implementation: &'a str) -> &'a str {
        self.jobs.get(implementation).and_then(|mapping| mapping.job.as_deref()).unwrap_or(implementation)
    }

    /// Id of the start event for a signal, where the model has one.
    pub fn signal_start(&self, name: &str) -> Option<String> {
        let starts =
            |trigger: &StartTrigger| matches!(trigger, StartTrigger::Signal(signal) if signal == name);
        self.model.start_events().into_iter().find(|start| starts(&start.trigger)).map(|start| start.id)
    }
}

/// How long an ended instance is kept whose model says nothing (contract 5.3).
const HISTORY: std::time::Duration = std::time::Duration::from_secs(30 * 24 * 3600);

/// A duration such as `P30D`, or a number of days.
fn time_to_live(text: &str) -> Option<std::time::Duration> {
    if let Ok(days) = text.trim().parse::<u32>() {
        return Some(std::time::Duration::from_secs(u64::from(days) * 24 * 3600));
    }
    let millis = bpmn::iso8601::duration(text).ok()?.as_millis();
    u64::try_from(millis).ok().map(std::time::Duration::from_millis)
}

fn hash(xml: &str, jobs: &BTreeMap<String, JobMapping>) -> String {
    let mut digest = Sha256::new();
    digest.update(xml.as_bytes());
    digest.update([0]);
    digest.update(serde_json::to_vec(jobs).unwrap_or_default());
    hex::encode(digest.finalize())
}

/// The definitions this replica has compiled.
#[derive(Debug, Default)]
pub struct Definitions {
    compiled: RwLock<HashMap<String, Arc<Compiled>>>,
}

impl Definitions {
    fn cached(&self, hash: &str) -> Option<Arc<Compiled>> {
        // A poisoned lock means a panic elsewhere while the map was consistent: go on.
        self.compiled.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(hash).cloned()
    }

    fn keep(&self, compiled: Arc<Compiled>) {
        let mut map = self.compiled.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        map.insert(compiled.hash.clone(), compiled);
    }

    /// The definitions with these hashes; compiles those not seen before.
    ///
    /// # Errors
    /// When the database is away or a stored model no longer compiles.
    pub async fn load(
        &self,
        db: &Transaction<'_>,
        hashes: impl IntoIterator<Item = String>,
    ) -> Result<HashMap<String, Arc<Compiled>>, Error> {
        let mut found = HashMap::new();
        let mut missing = Vec::new();
        for hash in hashes.into_iter().collect::<BTreeSet<_>>() {
            match self.cached(&hash) {
                Some(compiled) => {
                    found.insert(hash, compiled);
                }
                None => missing.push(hash),
            }
        }
        if !missing.is_empty() {
            let statement =
                db.prepare_cached("select hash, xml, jobs from definition where hash = any($1)").await?;
            for row in db.query(&statement, &[&missing]).await? {
                let (hash, xml, jobs): (String, String, String) = (row.get(0), row.get(1), row.get(2));
                let unreadable =
                    |reason: String| Error::Stored { what: "definition", id: hash.clone(), reason };
                let jobs = serde_json::from_str(&jobs).map_err(|error| unreadable(error.to_string()))?;
                let mut compiled = Compiled::new(&xml, jobs).map_err(unreadable)?;
                compiled.hash.clone_from(&hash);
                let compiled = Arc::new(compiled);
                self.keep(Arc::clone(&compiled));
                found.insert(hash, compiled);
            }
        }
        Ok(found)
    }

    /// The newest active definition of each key and tag asked for.
    ///
    /// # Errors
    /// As [`Definitions::load`].
    pub async fn newest(
        &self,
        db: &Transaction<'_>,
        wanted: &BTreeSet<(String, String)>,
    ) -> Result<HashMap<(String, String), Arc<Compiled>>, Error> {
        if wanted.is_empty() {
            return Ok(HashMap::new());
        }
        let (keys, tags): (Vec<&str>, Vec<&str>) =
            wanted.iter().map(|(key, tag)| (key.as_str(), tag.as_str())).unzip();
        let statement = db
            .prepare_cached(
                "select distinct on (d.process_key, d.version_tag) d.process_key, d.version_tag, d.hash
                 from definition d
                 join unnest($1::text[], $2::text[]) w (k, t) on d.process_key = w.k and d.version_tag = w.t
                 where d.state = 'active'
                 order by d.process_key, d.version_tag, d.seq desc",
            )
            .await?;
        let rows = db.query(&statement, &[&keys, &tags]).await?;
        self.by_key(db, rows).await
    }

    /// The newest active definition of every key and tag.
    ///
    /// # Errors
    /// As [`Definitions::load`].
    pub async fn all_newest(&self, db: &Transaction<'_>) -> Result<Vec<Arc<Compiled>>, Error> {
        let statement = db
            .prepare_cached(
                "select distinct on (process_key, version_tag) process_key, version_tag, hash
                 from definition where state = 'active' order by process_key, version_tag, seq desc",
            )
            .await?;
        let rows = db.query(&statement, &[]).await?;
        Ok(self.by_key(db, rows).await?.into_values().collect())
    }

    async fn by_key(
        &self,
        db: &Transaction<'_>,
        rows: Vec<tokio_postgres::Row>,
    ) -> Result<HashMap<(String, String), Arc<Compiled>>, Error> {
        let hashes: Vec<((String, String), String)> =
            rows.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect();
        let compiled = self.load(db, hashes.iter().map(|(_, hash)| hash.clone())).await?;
        Ok(hashes
            .into_iter()
            .filter_map(|(key, hash)| Some((key, Arc::clone(compiled.get(&hash)?))))
            .collect())
    }

    /// Stores the models of a plugin. All or none: the first that does not compile refuses the plugin.
    /// The same content is one row; deploying it again makes it the newest again.
    ///
    /// # Errors
    /// The inner result says what is wrong with a model; the outer error is an outage.
    pub async fn deploy(
        &self,
        db: &mut Connection,
        request: DeployRequest,
        fuse: &Fuse,
    ) -> Result<Result<DeployReply, String>, Error> {
        let mut compiled = Vec::new();
        for (file, xml) in &request.models {
            match Compiled::new(xml, request.jobs.clone()) {
                Ok(definition) => compiled.push((Arc::new(definition), xml)),
                Err(reason) => return Ok(Err(format!("{file}: {reason}"))),
            }
        }
        let jobs = serde_json::to_string(&request.jobs).unwrap_or_default();
        let db = db.transaction().await?;
        let statement = db
            .prepare_cached(
                "insert into definition
                     (hash, process_key, version_tag, plugin, plugin_version, xml, jobs)
                 values ($1, $2, $3, $4, $5, $6, $7)
                 on conflict (hash) do update
                     set state = 'active', plugin = excluded.plugin,
                         plugin_version = excluded.plugin_version, seq = default",
            )
            .await?;
        for (definition, xml) in &compiled {
            db.execute(
                &statement,
                &[
                    &definition.hash,
                    &definition.key,
                    &definition.tag,
                    &request.plugin,
                    &request.version,
                    xml,
                    &jobs,
                ],
            )
            .await?;
        }
        for (definition, _) in &compiled {
            start_timers::deployed(&db, definition).await?;
        }
        fuse.pass("deploy", Place::BeforeCommit);
        db.commit().await?;
        fuse.pass("deploy", Place::AfterCommit);
        let definitions = compiled.into_iter().map(|(definition, _)| {
            self.keep(Arc::clone(&definition));
            messaging::engine::Definition {
                key: definition.key.clone(),
                version: definition.tag.clone(),
                hash: definition.hash.clone(),
                start_messages: definition.model.start_messages(),
            }
        });
        Ok(Ok(DeployReply { definitions: definitions.collect() }))
    }
}
