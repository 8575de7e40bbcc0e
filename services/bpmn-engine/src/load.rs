//! First half of a transaction: locks, and what the inputs need to know.
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use messaging::engine::DeliverRequest;
use messaging::job::Document;
use sha2::{Digest, Sha256};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    definitions::Definitions,
    error::Error,
    instance::{Instance, STATE_VERSION},
    message::{Message, MessageState},
    operate::not_paused,
    store::Transaction,
    unit::{Input, JobRow, Room, Traced, Unit},
};

/// Largest number of queued or held messages that one transaction takes up.
const MESSAGES_PER_UNIT: i64 = 128;

/// A key that messages and instances meet at.
type Key = (String, String, String);

const MESSAGE_COLUMNS: &str = "m.id, m.base_url, m.reference, m.process_key, m.version_tag, m.message_name, \
     m.business_key, m.correlation_key, m.requester, m.traceparent, m.state, m.expires, \
     m.add_business_key";

impl Unit<'_> {
    /// Locks and loads. Returns the message of each input that brought a new one, by input.
    pub(crate) async fn load(
        &mut self,
        db: &Transaction<'_>,
        definitions: &Definitions,
        inputs: &[Traced],
    ) -> Result<HashMap<usize, Uuid>, Error> {
        // Candidates are looked up without a lock first: keys must be locked before rows are.
        let candidates = self.candidates(db, inputs).await?;
        let mut keys: BTreeSet<Key> = inputs
            .iter()
            .filter_map(|(input, _)| match input {
                Input::Deliver(request) => request
                    .business_key
                    .clone()
                    .filter(|key| !key.is_empty())
                    .map(|key| (key, request.process_key.clone(), request.process_version.clone())),
                _ => None,
            })
            .collect();
        keys.extend(candidates.iter().map(|(_, key)| key.clone()));
        self.lock_keys(db, &keys).await?;
        let fresh = self.new_messages(db, inputs).await?;

        let found = self.instances_of_keys(db, &keys).await?;
        let mut instances: BTreeSet<Uuid> = found.iter().map(|(id, _)| *id).collect();
        let occupied: BTreeSet<&Key> = found.iter().map(|(_, key)| key).collect();
        let wanted: BTreeSet<(String, String)> = self
            .messages
            .values()
            .filter(|message| !message.process_key.is_empty())
            .map(|message| (message.process_key.clone(), message.version_tag.clone()))
            .chain(candidates.iter().map(|(_, (_, key, tag))| (key.clone(), tag.clone())))
            .collect();
        self.newest = definitions.newest(db, &wanted).await?;
        self.load_rooms(db, inputs, &occupied).await?;

        let (mut job_ids, timer_ids) = ids(inputs);
        let (jobs, of_operations) = self.load_operations(db, inputs).await?;
        job_ids.extend(jobs);
        instances.extend(of_operations);
        instances.extend(self.load_user_tasks(db, inputs).await?);
        instances.extend(owners(db, "select instance from job where id = any($1)", &job_ids).await?);
        instances.extend(owners(db, "select instance from timer where id = any($1)", &timer_ids).await?);
        self.load_instances(db, definitions, instances.into_iter().collect()).await?;
        self.load_jobs(db, &job_ids).await?;
        self.load_called(db, definitions).await?;
        self.load_timers(db, &timer_ids).await?;
        self.load_candidates(db, candidates.into_iter().map(|(id, _)| id).collect()).await?;
        Ok(fresh)
    }

    async fn candidates(&self, db: &Transaction<'_>, inputs: &[Traced]) -> Result<Vec<(Uuid, Key)>, Error> {
        let mut rows = Vec::new();
        let requesters: Vec<&str> = admissions(inputs).collect();
        if !requesters.is_empty() {
            let limit = i64::from(self.limits.admission_limit).min(MESSAGES_PER_UNIT);
            let statement = db
                .prepare_cached(
                    "select m.id, m.business_key, m.process_key, m.version_tag
                     from unnest($1::text[]) r (requester)
                     cross join lateral (
                         select * from message m where m.state = 'queued' and m.requester = r.requester
                         order by m.id limit $2) m",
                )
                .await?;
            rows.extend(db.query(&statement, &[&requesters, &limit]).await?);
        }
        if inputs.iter().any(|(input, _)| matches!(input, Input::Expire)) {
            let statement = db
                .prepare_cached(
                    "select id, business_key, process_key, version_tag from message
                     where state = 'held' and expires <= now() order by expires limit $1",
                )
                .await?;
            rows.extend(db.query(&statement, &[&MESSAGES_PER_UNIT]).await?);
        }
        Ok(rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2), row.get(3)))).collect())
    }

    async fn lock_keys(&mut self, db: &Transaction<'_>, keys: &BTreeSet<Key>) -> Result<(), Error> {
        let mut locks: Vec<i64> =
            keys.iter().map(|(business, key, tag)| lock_of(&["key", key, tag, business])).collect();
        locks.sort_unstable();
        if !locks.is_empty() {
            let statement =
                db.prepare_cached("select pg_advisory_xact_lock(k) from unnest($1::bigint[]) k").await?;
            db.query(&statement, &[&locks]).await?;
        }
        let statement = db.prepare_cached("select clock_timestamp()").await?;
        self.now = db.query_one(&statement, &[]).await?.get(0);
        Ok(())
    }

    async fn new_messages(
        &mut self,
        db: &Transaction<'_>,
        inputs: &[Traced],
    ) -> Result<HashMap<usize, Uuid>, Error> {
        let sources: Vec<(usize, &str, &str)> = inputs
            .iter()
            .enumerate()
            .filter_map(|(index, (input, _))| match input {
                Input::Deliver(request) => Some((index, &request.source)),
                Input::Refuse(request) => Some((index, &request.source)),
                Input::CompleteTask(request) => Some((index, &request.source)),
                _ => None,
            })
            .map(|(index, source)| (index, source.base_url.as_str(), source.reference.as_str()))
            .collect();
        if sources.is_empty() {
            return Ok(HashMap::new());
        }
        let bases: Vec<&str> = sources.iter().map(|(_, base, _)| *base).collect();
        let references: Vec<&str> = sources.iter().map(|(_, _, reference)| *reference).collect();
        let statement = db
            .prepare_cached(
                "select m.base_url, m.reference from message m
                 join unnest($1::text[], $2::text[]) w (b, r) on m.base_url = w.b and m.reference = w.r",
            )
            .await?;
        let rows = db.query(&statement, &[&bases, &references]).await?;
        let mut known: BTreeSet<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let mut fresh = HashMap::new();
        for (index, base, reference) in sources {
            if !known.insert((base.to_owned(), reference.to_owned())) {
                continue;
            }
            let (input, traceparent) = &inputs[index];
            let request = match input {
                Input::Deliver(request) => (**request).clone(),
                Input::Refuse(request) => DeliverRequest {
                    source: request.source.clone(),
                    process_key: String::new(),
                    process_version: String::new(),
                    message_name: String::new(),
                    business_key: None,
                    correlation_key: None,
                    requester: String::new(),
                    document: Document { media_type: String::new(), text: String::new() },
                },
                Input::CompleteTask(request) => DeliverRequest {
                    source: request.source.clone(),
                    process_key: String::new(),
                    process_version: String::new(),
                    message_name: String::new(),
                    business_key: request.business_key.clone(),
                    correlation_key: None,
                    requester: String::new(),
                    document: request.document.clone(),
                },
                _ => continue,
            };
            let message = Message::new(request, traceparent.clone());
            fresh.insert(index, message.id);
            self.messages.insert(message.id, message);
        }
        Ok(fresh)
    }

    async fn instances_of_keys(
        &self,
        db: &Transaction<'_>,
        keys: &BTreeSet<Key>,
    ) -> Result<Vec<(Uuid, Key)>, Error> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let business: Vec<&str> = keys.iter().map(|(business, _, _)| business.as_str()).collect();
        let statement = db
            .prepare_cached(
                "select id, business_key, process_key, version_tag from instance
                 where ended is null and business_key = any($1)
                 union all
                 select id, alternative_key, process_key, version_tag from instance
                 where ended is null and alternative_key = any($1)",
            )
            .await?;
        let rows = db.query(&statement, &[&business]).await?;
        let found = rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2), row.get(3))));
        Ok(found.filter(|(_, key)| keys.contains(key)).collect())
    }

    /// Admission counts of the requesters that start something now. Near the limit their count is
    /// taken under a lock, so that replicas do not fill the same room twice.
    async fn load_rooms(
        &mut self,
        db: &Transaction<'_>,
        inputs: &[Traced],
        occupied: &BTreeSet<&Key>,
    ) -> Result<(), Error> {
        let mut starts: HashMap<&str, u32> = HashMap::new();
        for message in self.messages.values() {
            let process = (message.process_key.clone(), message.version_tag.clone());
            let key = (message.business_key.clone(), process.0.clone(), process.1.clone());
            let starts_it = self
                .newest
                .get(&process)
                .is_some_and(|definition| definition.model.start_messages().contains(&message.name));
            if starts_it && !occupied.contains(&key) {
                *starts.entry(&message.requester).or_default() += 1;
            }
        }
        let mut locked: BTreeSet<String> = admissions(inputs).map(str::to_owned).collect();
        let mut rooms = HashMap::new();
        if !starts.is_empty() {
            rooms = rooms_of(db, &starts.keys().copied().collect::<Vec<_>>()).await?;
            for (requester, wanted) in &starts {
                let room: Room = rooms.get(*requester).copied().unwrap_or_default();
                if room.queued || (room.fresh + wanted) * 2 > self.limits.admission_limit {
                    locked.insert((*requester).to_owned());
                }
            }
        }
        if !locked.is_empty() {
            let mut locks: Vec<i64> = locked.iter().map(|name| lock_of(&["requester", name])).collect();
            locks.sort_unstable();
            let statement =
                db.prepare_cached("select pg_advisory_xact_lock(k) from unnest($1::bigint[]) k").await?;
            db.query(&statement, &[&locks]).await?;
            let names: Vec<&str> = locked.iter().map(String::as_str).collect();
            rooms.extend(rooms_of(db, &names).await?);
        }
        self.room = rooms;
        Ok(())
    }

    async fn load_instances(
        &mut self,
        db: &Transaction<'_>,
        definitions: &Definitions,
        ids: Vec<Uuid>,
    ) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let statement = db
            .prepare_cached(
                "select id, definition, business_key, alternative_key, requester, status, rev, state_version,
                        state, start_message, fresh_until, started, traceparent, parent
                 from instance where id = any($1) and ended is null order by id for update",
            )
            .await?;
        let rows = db.query(&statement, &[&ids]).await?;
        let compiled = definitions.load(db, rows.iter().map(|row| row.get(1))).await?;
        for row in rows {
            let id: Uuid = row.get(0);
            let unreadable = |reason: String| Error::Stored { what: "state", id: id.to_string(), reason };
            let definition = compiled
                .get(row.get::<_, &str>(1))
                .map(Arc::clone)
                .ok_or_else(|| unreadable("its definition is missing".to_owned()))?;
            let version: i16 = row.get(7);
            if version > STATE_VERSION {
                return Err(unreadable(format!(
                    "it has version {version}, this engine knows {STATE_VERSION}"
                )));
            }
            let text: Option<&str> = row.get(8);
            let state = serde_json::from_str(text.unwrap_or_default())
                .map_err(|error| unreadable(error.to_string()))?;
            let mut instance = Instance::stored(id, definition, state, row.get(11));
            instance.business_key = row.get(2);
            instance.alternative_key = row.get(3);
            instance.requester = row.get(4);
            instance.status = if row.get::<_, &str>(5) == "incident" { "incident" } else { "active" };
            instance.rev = row.get(6);
            instance.start_message = row.get(9);
            instance.fresh_until = row.get(10);
            instance.traceparent = row.get(12);
            instance.parent = row.get(13);
            self.instances.insert(id, instance);
        }
        Ok(())
    }

    async fn load_jobs(&mut self, db: &Transaction<'_>, ids: &[Uuid]) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let statement = db
            .prepare_cached(&format!(
                "select id, instance, activity, kind, stage, claim_kind, state, due, attempts, retry_cycle,
                        lease, payload, send, send_failure, first_attempt, lease_until, recipient, {}
                 from job where id = any($1) order by id for update",
                not_paused("job", "null")
            ))
            .await?;
        for row in db.query(&statement, &[&ids]).await? {
            let id: Uuid = row.get(0);
            let payload = serde_json::from_str(row.get(11)).map_err(|error| Error::Stored {
                what: "job",
                id: id.to_string(),
                reason: error.to_string(),
            })?;
            self.jobs.insert(
                id,
                JobRow {
                    id,
                    instance: row.get(1),
                    activity: row.get(2),
                    kind: row.get(3),
                    stage: row.get(4),
                    claim_kind: row.get(5),
                    state: row.get(6),
                    due: row.get(7),
                    attempts: row.get(8),
                    retry_cycle: row.get(9),
                    lease: row.get(10),
                    lease_until: row.get(15),
                    payload,
                    send: row.get(12),
                    send_failure: row.get(13),
                    first_attempt: row.get(14),
                    recipient: row.get(16),
                    runs: row.get(17),
                    done: false,
                    changed: false,
                },
            );
        }
        Ok(())
    }

    async fn load_timers(&mut self, db: &Transaction<'_>, ids: &[Uuid]) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let statement = db
            .prepare_cached("select id, instance, due from timer where id = any($1) order by id for update")
            .await?;
        for row in db.query(&statement, &[&ids]).await? {
            self.timers.insert(row.get(0), (row.get(1), row.get(2)));
        }
        Ok(())
    }

    async fn load_candidates(&mut self, db: &Transaction<'_>, ids: Vec<Uuid>) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        // A held message whose own start still queues gets more time.
        let statement = db
            .prepare_cached(&format!(
                "select {MESSAGE_COLUMNS},
                        m.state = 'held' and exists (
                            select from message q where q.state = 'queued' and q.business_key = m.business_key
                            and q.process_key = m.process_key and q.version_tag = m.version_tag)
                 from message m where m.id = any($1) and m.state in ('held', 'queued')
                 order by m.id for update"
            ))
            .await?;
        for row in db.query(&statement, &[&ids]).await? {
            let mut message = message(&row);
            if row.get::<_, bool>(13) {
                message.expires = Some(self.now + self.limits.hold);
                message.changed = true;
            }
            self.messages.insert(message.id, message);
        }
        Ok(())
    }

    /// Adds the held messages with one of these business keys.
    pub(crate) async fn load_held(&mut self, db: &Transaction<'_>, keys: &[String]) -> Result<(), Error> {
        let statement = db
            .prepare_cached(&format!(
                "select {MESSAGE_COLUMNS} from message m
                 where m.state = 'held' and m.business_key = any($1) order by m.id for update"
            ))
            .await?;
        for row in db.query(&statement, &[&keys]).await? {
            let message = message(&row);
            self.messages.entry(message.id).or_insert(message);
        }
        Ok(())
    }
}

fn message(row: &Row) -> Message {
    Message {
        id: row.get(0),
        source: messaging::job::Source { base_url: row.get(1), reference: row.get(2) },
        process_key: row.get(3),
        version_tag: row.get(4),
        name: row.get(5),
        business_key: row.get(6),
        correlation_key: row.get(7),
        requester: row.get(8),
        media_type: String::new(),
        body: String::new(),
        traceparent: row.get(9),
        state: if row.get::<_, &str>(10) == "queued" { MessageState::Queued } else { MessageState::Held },
        expires: row.get(11),
        instance: None,
        desired: None,
        outputs: Vec::new(),
        add_business_key: row.get(12),
        stored: true,
        changed: false,
    }
}

fn admissions(inputs: &[Traced]) -> impl Iterator<Item = &str> {
    inputs.iter().filter_map(|(input, _)| match input {
        Input::Admit(requester) => Some(requester.as_str()),
        _ => None,
    })
}

fn ids(inputs: &[Traced]) -> (Vec<Uuid>, Vec<Uuid>) {
    let mut jobs = Vec::new();
    let mut timers = Vec::new();
    for (input, _) in inputs {
        match input {
            Input::Result(id, _) | Input::Job(id) | Input::Silent(id) => jobs.push(*id),
            Input::Timer(id) => timers.push(*id),
            _ => {}
        }
    }
    (jobs, timers)
}

async fn owners(db: &Transaction<'_>, sql: &str, ids: &[Uuid]) -> Result<Vec<Uuid>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let statement = db.prepare_cached(sql).await?;
    Ok(db.query(&statement, &[&ids]).await?.iter().map(|row| row.get(0)).collect())
}

async fn rooms_of(db: &Transaction<'_>, requesters: &[&str]) -> Result<HashMap<String, Room>, Error> {
    let statement = db
        .prepare_cached(
            "select r.requester,
                    (select count(*) from instance i
                     where i.requester = r.requester and i.fresh_until > clock_timestamp()),
                    exists (select from message m where m.state = 'queued' and m.requester = r.requester)
             from unnest($1::text[]) r (requester)",
        )
        .await?;
    let rows = db.query(&statement, &[&requesters]).await?;
    Ok(rows
        .iter()
        .map(|row| {
            let fresh = u32::try_from(row.get::<_, i64>(1)).unwrap_or(u32::MAX / 4);
            (row.get(0), Room { fresh, queued: row.get(2) })
        })
        .collect())
}

/// Number of an advisory lock: the first eight bytes of a hash over the parts.
fn lock_of(parts: &[&str]) -> i64 {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    let mut first = [0; 8];
    first.copy_from_slice(&digest.finalize()[..8]);
    i64::from_be_bytes(first)
}
