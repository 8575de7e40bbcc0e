//! Handing out jobs: leases with random tokens, inputs as the manifest declares them.
use std::collections::{BTreeMap, BTreeSet, HashMap};

use bpmn::State;
use messaging::{
    connect::MAX_PAYLOAD,
    job::{
        Acknowledgement, ClaimReply, ClaimRequest, Document, FormOrder, Heartbeat, Job, ReceivedMessage,
        SEND, SendOrder, Source, Variable, WRITE_BACK, WriteBackOrder,
    },
};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    error::Error,
    fuse::Place,
    instance::{ENGINE_KIND, Payload},
    operate::not_paused,
    results::StoredSend,
    stepper::Core,
    store::{Connection, Transaction},
};

/// Most jobs of one claim.
const JOBS_PER_CLAIM: u32 = 64;
/// Shortest and longest lease, in milliseconds.
const LEASE_MILLIS: std::ops::RangeInclusive<u64> = 100..=3_600_000;
/// Room for everything in a claim reply that is not a job.
const REPLY_FRAME: usize = 1024;
/// Marks the id of a write-back, whose row is the message and not a job.
const WRITE_BACK_ID: &str = "write-back/";

/// What a job id names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobId {
    /// A row of `job`.
    Job(Uuid),
    /// A row of `message`.
    WriteBack(Uuid),
}

impl JobId {
    /// Reads an id that we gave out; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix(WRITE_BACK_ID) {
            Some(id) => id.parse().ok().map(Self::WriteBack),
            None => text.parse().ok().map(Self::Job),
        }
    }
}

/// Hands out ready jobs.
///
/// # Errors
/// When the database is away; nothing is leased then.
pub async fn claim(core: &Core, request: &ClaimRequest) -> Result<ClaimReply, Error> {
    let mut connection = core.pool.get().await?;
    let max = request.max.min(JOBS_PER_CLAIM);
    let lease = Lease {
        worker: request.worker.chars().take(200).collect(),
        millis: i64::try_from(request.lease_millis.clamp(*LEASE_MILLIS.start(), *LEASE_MILLIS.end()))
            .unwrap_or(i64::MAX),
    };
    let kinds: Vec<&str> = request
        .types
        .iter()
        .map(String::as_str)
        .filter(|kind| *kind != WRITE_BACK && *kind != ENGINE_KIND)
        .collect();
    let mut jobs = Vec::new();
    if !kinds.is_empty() && max > 0 {
        jobs = claim_jobs(core, &mut connection, &kinds, max, &lease).await?;
    }
    let left = max.saturating_sub(u32::try_from(jobs.len()).unwrap_or(max));
    if request.types.iter().any(|kind| kind == WRITE_BACK) && left > 0 {
        let size = jobs.iter().map(size_of).sum::<usize>();
        jobs.extend(claim_write_backs(core, &mut connection, left, &lease, size).await?);
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for job in &jobs {
        *counts.entry(&job.kind).or_default() += 1;
    }
    for (kind, count) in counts {
        core.metrics.claimed(kind, count);
    }
    Ok(ClaimReply { jobs })
}

struct Lease {
    worker: String,
    millis: i64,
}

fn tokens(count: usize) -> Vec<String> {
    (0..count).map(|_| format!("{:032x}", rand::random::<u128>())).collect()
}

async fn claim_jobs(
    core: &Core,
    connection: &mut Connection,
    kinds: &[&str],
    max: u32,
    lease: &Lease,
) -> Result<Vec<Job>, Error> {
    let db = connection.transaction().await?;
    let statement = db
        .prepare_cached(&format!(
            "select id from job j where state = 'ready' and claim_kind = any($1) and due <= now() and {}
             order by due limit $2 for update of j skip locked",
            not_paused("j", "j.recipient")
        ))
        .await?;
    let ids: Vec<Uuid> =
        db.query(&statement, &[&kinds, &i64::from(max)]).await?.iter().map(|row| row.get(0)).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let statement = db
        .prepare_cached(
            "update job j set state = 'leased', lease = u.lease, worker = $3, attempts = attempts + 1,
                 lease_until = now() + $4 * interval '1 millisecond',
                 first_attempt = coalesce(first_attempt, now())
             from unnest($1::uuid[], $2::text[]) u (id, lease)
             where j.id = u.id
             returning j.id, j.instance, j.activity, j.kind, j.claim_kind, j.stage, j.lease, j.attempts,
                 j.payload, j.send, j.send_failure, j.start_message, j.latest_message, j.traceparent,
                 extract(epoch from now() - j.first_attempt)::float8",
        )
        .await?;
    let millis = lease.millis as f64;
    let mut rows = db.query(&statement, &[&ids, &tokens(ids.len()), &lease.worker, &millis]).await?;
    // Ids are made in order of time: oldest first.
    rows.sort_by_key(|row| row.get::<_, Uuid>(0));
    let durable = rows.iter().any(|row| row.get::<_, &str>(4) == SEND);
    let context = Known::load(core, &db, &rows).await?;
    let (mut jobs, mut back, mut stuck) = (Vec::new(), Vec::new(), Vec::new());
    let mut size = REPLY_FRAME;
    for row in &rows {
        let id: Uuid = row.get(0);
        match context.job(row) {
            Ok(job) => {
                let more = size_of(&job);
                if more + REPLY_FRAME > MAX_PAYLOAD {
                    stuck.push((
                        id,
                        row.get(1),
                        row.get(2),
                        "its inputs are too large for a message".to_owned(),
                    ));
                } else if size + more > MAX_PAYLOAD {
                    back.push(id);
                } else {
                    size += more;
                    jobs.push(job);
                }
            }
            Err(reason) => stuck.push((id, row.get(1), row.get(2), reason)),
        }
    }
    if !back.is_empty() {
        let statement = db
            .prepare_cached(
                "update job set state = 'ready', lease = null, lease_until = null, attempts = attempts - 1
                 where id = any($1)",
            )
            .await?;
        db.execute(&statement, &[&back]).await?;
    }
    for (id, instance, activity, reason) in stuck {
        stop(&db, id, instance, activity, &reason).await?;
    }
    if !durable {
        db.batch_execute("set local synchronous_commit = off").await?;
    }
    core.fuse.pass("claim", Place::BeforeCommit);
    db.commit().await?;
    core.fuse.pass("claim", Place::AfterCommit);
    Ok(jobs)
}

async fn stop(
    db: &Transaction<'_>,
    id: Uuid,
    instance: Uuid,
    activity: String,
    reason: &str,
) -> Result<(), Error> {
    let statement = db
        .prepare_cached("update job set state = 'incident', lease = null, lease_until = null where id = $1")
        .await?;
    db.execute(&statement, &[&id]).await?;
    let statement = db
        .prepare_cached(
            "insert into incident (id, instance, job, class, activity, reason) values ($1, $2, $3, 'job', $4, $5)",
        )
        .await?;
    db.execute(&statement, &[&Uuid::now_v7(), &instance, &id, &activity, &reason]).await?;
    Ok(())
}

fn size_of(job: &Job) -> usize {
    serde_json::to_vec(job).map_or(usize::MAX / 2, |bytes| bytes.len() + 1)
}

/// What the jobs of one claim refer to.
struct Known {
    instances: HashMap<Uuid, KnownInstance>,
    messages: HashMap<Uuid, ReceivedMessage>,
}

struct KnownInstance {
    key: String,
    tag: String,
    business_key: String,
    state: Option<State>,
    definition: Option<std::sync::Arc<crate::definitions::Compiled>>,
}

impl Known {
    async fn load(core: &Core, db: &Transaction<'_>, rows: &[Row]) -> Result<Self, Error> {
        // A send needs no variables, so its instance's state is not read.
        let ids = |stage: Option<&str>| -> Vec<Uuid> {
            let chosen = rows.iter().filter(|row| stage.is_none_or(|stage| row.get::<_, &str>(5) == stage));
            chosen.map(|row| row.get(1)).collect::<BTreeSet<Uuid>>().into_iter().collect()
        };
        let statement = db
            .prepare_cached(
                "select id, process_key, version_tag, business_key, definition,
                        case when id = any($2) then state end
                 from instance where id = any($1)",
            )
            .await?;
        let found = db.query(&statement, &[&ids(None), &ids(Some("handler"))]).await?;
        let definitions = core
            .definitions
            .load(
                db,
                found.iter().filter(|row| row.get::<_, Option<&str>>(5).is_some()).map(|row| row.get(4)),
            )
            .await?;
        let instances = found
            .iter()
            .map(|row| {
                let known = KnownInstance {
                    key: row.get(1),
                    tag: row.get(2),
                    business_key: row.get(3),
                    definition: definitions.get(row.get::<_, &str>(4)).cloned(),
                    state: row.get::<_, Option<&str>>(5).and_then(|text| serde_json::from_str(text).ok()),
                };
                (row.get(0), known)
            })
            .collect();
        let messages: BTreeSet<Uuid> = rows
            .iter()
            .filter(|row| row.get::<_, &str>(5) == "handler")
            .flat_map(|row| [row.get::<_, Option<Uuid>>(11), row.get(12)])
            .flatten()
            .collect();
        let statement = db
            .prepare_cached(
                "select id, base_url, reference, media_type, body from message where id = any($1)",
            )
            .await?;
        let messages = db.query(&statement, &[&messages.into_iter().collect::<Vec<_>>()]).await?;
        let messages = messages
            .iter()
            .map(|row| {
                let source = Source { base_url: row.get(1), reference: row.get(2) };
                let document = Document { media_type: row.get(3), text: row.get(4) };
                (row.get(0), ReceivedMessage { source, document })
            })
            .collect();
        Ok(Self { instances, messages })
    }

    fn job(&self, row: &Row) -> Result<Job, String> {
        let id: Uuid = row.get(0);
        let instance_id: Uuid = row.get(1);
        let instance = self.instances.get(&instance_id).ok_or("its instance is missing")?;
        let stage: &str = row.get(5);
        let traceparent: Option<String> = row.get(13);
        let mut job = Job {
            id: id.to_string(),
            kind: row.get(4),
            lease: row.get::<_, Option<String>>(6).unwrap_or_default(),
            attempt: u32::try_from(row.get::<_, i32>(7)).unwrap_or(1),
            instance: instance_id.to_string(),
            process_key: instance.key.clone(),
            process_version: instance.tag.clone(),
            business_key: instance.business_key.clone(),
            activity: row.get(2),
            fields: BTreeMap::new(),
            variables: BTreeMap::new(),
            start_message: None,
            latest_message: None,
            send_failure: None,
            send: None,
            write_back: None,
            form: None,
            traceparent: traceparent.clone(),
        };
        if stage == "send" {
            let stored: StoredSend = serde_json::from_str(row.get::<_, Option<&str>>(9).unwrap_or_default())
                .map_err(|error| format!("its send order cannot be read: {error}"))?;
            let age = (row.get::<_, f64>(14) * 1000.0).max(0.0);
            job.send = Some(SendOrder {
                send_id: stored.send_id,
                authored_on: stored.authored_on,
                business_key: stored.business_key,
                request: stored.request,
                age_millis: age as u64,
                traceparent,
            });
            return Ok(job);
        }
        let payload: Payload = serde_json::from_str(row.get(8))
            .map_err(|error| format!("its content cannot be read: {error}"))?;
        if let Payload::Form { form_key, fields } = payload {
            let business_key = job.business_key.clone();
            job.form = Some(FormOrder { user_task: job.id.clone(), form_key, business_key, fields });
            return Ok(job);
        }
        let Payload::Handler { implementation, fields, .. } = payload else {
            return Err("it is not for a worker".to_owned());
        };
        let (Some(state), Some(definition)) = (&instance.state, &instance.definition) else {
            return Err("the state of its instance cannot be read".to_owned());
        };
        job.fields = fields;
        let inputs = definition.jobs.get(&implementation).and_then(|mapping| mapping.inputs.as_ref());
        for (name, value) in state.visible_variables(id).ok_or("its instance no longer waits for it")? {
            if inputs.is_none_or(|inputs| inputs.contains(&name)) {
                job.variables
                    .insert(name, Variable { kind: value.kind().to_owned(), value: value.to_json() });
            }
        }
        let (start, latest): (Option<Uuid>, Option<Uuid>) = (row.get(11), row.get(12));
        job.start_message = start.and_then(|id| self.messages.get(&id)).cloned();
        job.latest_message =
            latest.filter(|id| Some(*id) != start).and_then(|id| self.messages.get(&id)).cloned();
        job.send_failure =
            row.get::<_, Option<&str>>(10).and_then(|failure| serde_json::from_str(failure).ok());
        Ok(job)
    }
}

async fn claim_write_backs(
    core: &Core,
    connection: &mut Connection,
    max: u32,
    lease: &Lease,
    mut size: usize,
) -> Result<Vec<Job>, Error> {
    let db = connection.transaction().await?;
    let statement = db
        .prepare_cached(
            "select id from message where work = 'ready' and work_due <= now()
               and not exists (select from pause where scope = 'engine')
             order by work_due limit $1 for update skip locked",
        )
        .await?;
    let ids: Vec<Uuid> =
        db.query(&statement, &[&i64::from(max)]).await?.iter().map(|row| row.get(0)).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let statement = db
        .prepare_cached(
            "update message m set work = 'leased', lease = u.lease, worker = $3,
                 work_attempts = work_attempts + 1, lease_until = now() + $4 * interval '1 millisecond'
             from unnest($1::uuid[], $2::text[]) u (id, lease)
             where m.id = u.id
             returning m.id, m.base_url, m.reference, m.process_key, m.version_tag, m.business_key,
                 m.instance, m.desired, m.outputs, m.add_business_key, m.lease, m.work_attempts, m.traceparent",
        )
        .await?;
    let millis = lease.millis as f64;
    let rows = db.query(&statement, &[&ids, &tokens(ids.len()), &lease.worker, &millis]).await?;
    let (mut jobs, mut back) = (Vec::new(), Vec::new());
    for row in rows {
        let id: Uuid = row.get(0);
        let outputs: Vec<String> = row.get(8);
        let job = Job {
            id: format!("{WRITE_BACK_ID}{id}"),
            kind: WRITE_BACK.to_owned(),
            lease: row.get::<_, Option<String>>(10).unwrap_or_default(),
            attempt: u32::try_from(row.get::<_, i32>(11)).unwrap_or(1),
            instance: row.get::<_, Option<Uuid>>(6).map(|id| id.to_string()).unwrap_or_default(),
            process_key: row.get(3),
            process_version: row.get(4),
            business_key: row.get(5),
            activity: String::new(),
            fields: BTreeMap::new(),
            variables: BTreeMap::new(),
            start_message: None,
            latest_message: None,
            send_failure: None,
            send: None,
            form: None,
            write_back: Some(WriteBackOrder {
                source: Source { base_url: row.get(1), reference: row.get(2) },
                status: row.get::<_, Option<String>>(7).unwrap_or_default(),
                outputs: outputs.iter().filter_map(|output| serde_json::from_str(output).ok()).collect(),
                business_key: row.get(9),
            }),
            traceparent: row.get(12),
        };
        let more = size_of(&job);
        if jobs.is_empty() || size + more <= MAX_PAYLOAD {
            size += more;
            jobs.push(job);
        } else {
            back.push(id);
        }
    }
    if !back.is_empty() {
        let statement = db
            .prepare_cached(
                "update message set work = 'ready', lease = null, lease_until = null,
                     work_attempts = work_attempts - 1 where id = any($1)",
            )
            .await?;
        db.execute(&statement, &[&back]).await?;
    }
    db.batch_execute("set local synchronous_commit = off").await?;
    core.fuse.pass("claim-write-back", Place::BeforeCommit);
    db.commit().await?;
    core.fuse.pass("claim-write-back", Place::AfterCommit);
    Ok(jobs)
}

/// Prolongs a lease.
///
/// # Errors
/// When the database is away.
pub async fn heartbeat(core: &Core, request: &Heartbeat) -> Result<Acknowledgement, Error> {
    let (sql, id) = match JobId::parse(&request.id) {
        Some(JobId::Job(id)) => (
            "update job set lease_until = now() + $3 * interval '1 millisecond'
             where id = $1 and state = 'leased' and lease = $2",
            id,
        ),
        Some(JobId::WriteBack(id)) => (
            "update message set lease_until = now() + $3 * interval '1 millisecond'
             where id = $1 and work = 'leased' and lease = $2",
            id,
        ),
        None => return Ok(Acknowledgement::Stale),
    };
    let mut connection = core.pool.get().await?;
    let db = connection.transaction().await?;
    db.batch_execute("set local synchronous_commit = off").await?;
    let statement = db.prepare_cached(sql).await?;
    let millis = request.lease_millis.clamp(*LEASE_MILLIS.start(), *LEASE_MILLIS.end()) as f64;
    let changed = db.execute(&statement, &[&id, &request.lease, &millis]).await?;
    db.commit().await?;
    Ok(if changed == 1 { Acknowledgement::Accepted } else { Acknowledgement::Stale })
}
