//! Second half of a transaction: everything that changed, in one pipeline of multi-row statements.
use std::collections::{BTreeSet, HashSet};

use bpmn::retry;
use messaging::job::{Outcome, WRITE_BACK};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    error::Error,
    instance::{Instance, NewJob, STATE_VERSION},
    message::Message,
    store::{Parameter, Pipeline, Transaction},
    unit::Unit,
};

/// Collects one column of a multi-row statement.
macro_rules! column {
    ($rows:expr, $row:ident => $value:expr) => {
        Box::new($rows.iter().map(|$row| $value).collect::<Vec<_>>()) as Parameter
    };
}

impl Unit<'_> {
    /// Writes. Returns the write-back results that were taken.
    pub(crate) async fn write(
        &mut self,
        db: &Transaction<'_>,
        relaxed: bool,
    ) -> Result<HashSet<Uuid>, Error> {
        let mut pipeline = Pipeline::default();
        if relaxed {
            pipeline.add("set local synchronous_commit = off", Vec::new());
        }
        self.lock_messages(&mut pipeline);
        self.delete_rows(&mut pipeline);
        self.insert_instances(&mut pipeline);
        let update = self.update_instances(&mut pipeline);
        self.write_messages(&mut pipeline)?;
        self.write_jobs(&mut pipeline)?;
        self.write_events(&mut pipeline);
        self.settle_tasks(&mut pipeline);
        self.write_incidents(&mut pipeline);
        let counts = pipeline.run(db).await?;
        if let Some((index, expected)) = update
            && counts.get(index) != Some(&expected)
        {
            return Err(Error::Conflict);
        }
        self.finish_write_backs(db).await
    }

    /// Rows of messages are locked in order before several statements touch them.
    fn lock_messages(&self, pipeline: &mut Pipeline) {
        let touched: BTreeSet<Uuid> = self
            .outputs
            .iter()
            .map(|output| output.instance)
            .chain(self.outputs.iter().filter_map(|output| output.message))
            .chain(self.failed.iter().map(|(instance, _)| *instance))
            .chain(self.instances.values().filter(|i| !i.completed.is_empty()).map(|i| i.id))
            .collect();
        let written: Vec<Uuid> = self.written.iter().map(|(id, _)| *id).collect();
        if touched.is_empty() && written.is_empty() {
            return;
        }
        let touched: Vec<Uuid> = touched.into_iter().collect();
        pipeline.add(
            "select id from message where instance = any($1) or id = any($2) order by id for update",
            vec![Box::new(touched), Box::new(written)],
        );
    }

    fn delete_rows(&mut self, pipeline: &mut Pipeline) {
        let (mut jobs, mut timers, mut signals, mut ended) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut tasks = Vec::new();
        timers.append(&mut self.gone_timers);
        for instance in self.instances.values_mut().filter(|instance| instance.rev > 0) {
            if !instance.is_open() && instance.changed {
                ended.push(instance.id);
                continue;
            }
            jobs.append(&mut instance.gone_jobs);
            timers.append(&mut instance.gone_timers);
            signals.append(&mut instance.gone_signals);
            tasks.append(&mut instance.gone_tasks);
        }
        jobs.extend(self.jobs.values().filter(|job| job.done).map(|job| job.id));
        self.settled.extend(jobs.iter().copied());
        for (sql, ids) in [
            ("delete from job where id = any($1)", jobs),
            ("delete from timer where id = any($1)", timers),
            ("delete from subscription where id = any($1)", signals),
            ("delete from user_task where id = any($1)", tasks),
        ] {
            if !ids.is_empty() {
                pipeline.add(sql, vec![Box::new(ids)]);
            }
        }
        if !ended.is_empty() {
            for sql in [
                "delete from job where instance = any($1)",
                "delete from timer where instance = any($1)",
                "delete from subscription where instance = any($1)",
                "delete from user_task where instance = any($1)",
            ] {
                pipeline.add(sql, vec![Box::new(ended.clone())]);
            }
        }
    }

    fn insert_instances(&self, pipeline: &mut Pipeline) {
        let rows: Vec<&Instance> = self.instances.values().filter(|instance| instance.rev == 0).collect();
        if rows.is_empty() {
            return;
        }
        pipeline.add(
            "insert into instance (id, process_key, version_tag, definition, business_key, alternative_key,
                 requester, status, rev, state_version, state, start_message, fresh_until, started, ended,
                 traceparent, parent, kept_until)
             select u.id, u.k, u.t, u.d, u.bk, u.ak, u.r, u.s, 1, $15, u.st, u.sm, u.f, u.b, u.e, u.tp, u.p, u.ku
             from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                 $8::text[], $9::text[], $10::uuid[], $11::timestamptz[], $12::timestamptz[],
                 $13::timestamptz[], $14::text[], $16::uuid[], $17::timestamptz[])
                 u (id, k, t, d, bk, ak, r, s, st, sm, f, b, e, tp, p, ku)",
            vec![
                column!(rows, i => i.id),
                column!(rows, i => i.definition.key.clone()),
                column!(rows, i => i.definition.tag.clone()),
                column!(rows, i => i.definition.hash.clone()),
                column!(rows, i => i.business_key.clone()),
                column!(rows, i => i.alternative_key.clone()),
                column!(rows, i => i.requester.clone()),
                column!(rows, i => i.status),
                column!(rows, i => state_text(i)),
                column!(rows, i => i.start_message),
                column!(rows, i => i.fresh_until),
                column!(rows, i => i.started),
                column!(rows, i => i.ended),
                column!(rows, i => i.traceparent.clone()),
                Box::new(STATE_VERSION),
                column!(rows, i => i.parent),
                column!(rows, i => kept_until(i)),
            ],
        );
    }

    /// Returns the place of the statement in the pipeline and how many rows it must change.
    fn update_instances(&self, pipeline: &mut Pipeline) -> Option<(usize, u64)> {
        let rows: Vec<&Instance> =
            self.instances.values().filter(|instance| instance.rev > 0 && instance.changed).collect();
        if rows.is_empty() {
            return None;
        }
        let place = pipeline.add(
            "update instance i set alternative_key = u.ak, status = u.s, rev = u.rev + 1, state_version = $8,
                 state = u.st, fresh_until = u.f, ended = u.e, kept_until = u.ku
             from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::timestamptz[],
                 $7::timestamptz[], $9::timestamptz[]) u (id, ak, s, rev, st, f, e, ku)
             where i.id = u.id and i.rev = u.rev",
            vec![
                column!(rows, i => i.id),
                column!(rows, i => i.alternative_key.clone()),
                column!(rows, i => i.status),
                column!(rows, i => i.rev),
                column!(rows, i => state_text(i)),
                column!(rows, i => i.fresh_until),
                column!(rows, i => i.ended),
                Box::new(STATE_VERSION),
                column!(rows, i => kept_until(i)),
            ],
        );
        Some((place, rows.len() as u64))
    }

    fn write_messages(&mut self, pipeline: &mut Pipeline) -> Result<(), Error> {
        let now = self.now;
        let new: Vec<&Message> = self.messages.values().filter(|message| !message.stored).collect();
        let old: Vec<&Message> =
            self.messages.values().filter(|message| message.stored && message.changed).collect();
        // `in-progress` waits a little for what may follow it.
        let (coalesce, later) = (self.limits.coalesce, now + self.limits.coalesce);
        let waits = |message: &Message| message.desired == Some("in-progress") && !coalesce.is_zero();
        let due = |message: &Message| if waits(message) { later } else { now };
        let wanted = || new.iter().chain(&old).filter(|message| message.desired.is_some());
        self.after.deferred.extend(wanted().filter(|message| waits(message)).map(|message| message.id));
        let to_write = wanted().filter(|message| !waits(message)).count();
        if to_write > 0 {
            *self.after.ready.entry(WRITE_BACK.to_owned()).or_default() += to_write;
        }
        if !new.is_empty() {
            pipeline.add(
                "insert into message (id, base_url, reference, process_key, version_tag, message_name,
                     business_key, correlation_key, requester, media_type, body, received, traceparent, state,
                     expires, instance, desired, outputs, add_business_key, work, work_due)
                 select u.id, u.b, u.r, u.k, u.t, u.n, u.bk, u.ck, u.rq, u.m, u.body, $19, u.tp, u.s, u.e,
                     u.i, u.d, case when u.o is null then '{}'::text[] else array[u.o] end, u.ab,
                     case when u.d is not null then 'ready' end, u.wd
                 from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                     $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[],
                     $14::timestamptz[], $15::uuid[], $16::text[], $17::text[], $18::text[],
                     $20::timestamptz[])
                     u (id, b, r, k, t, n, bk, ck, rq, m, body, tp, s, e, i, d, o, ab, wd)",
                vec![
                    column!(new, m => m.id),
                    column!(new, m => m.source.base_url.clone()),
                    column!(new, m => m.source.reference.clone()),
                    column!(new, m => m.process_key.clone()),
                    column!(new, m => m.version_tag.clone()),
                    column!(new, m => m.name.clone()),
                    column!(new, m => m.business_key.clone()),
                    column!(new, m => m.correlation_key.clone()),
                    column!(new, m => m.requester.clone()),
                    column!(new, m => m.media_type.clone()),
                    column!(new, m => m.body.clone()),
                    column!(new, m => m.traceparent.clone()),
                    column!(new, m => m.state.as_str()),
                    column!(new, m => m.expires),
                    column!(new, m => m.instance),
                    column!(new, m => m.desired),
                    column!(new, m => m.outputs.first().cloned()),
                    column!(new, m => m.add_business_key.clone()),
                    Box::new(now),
                    column!(new, m => due(m)),
                ],
            );
        }
        if !old.is_empty() {
            pipeline.add(
                "update message m set state = u.s, expires = u.e, instance = u.i, desired = u.d,
                     outputs = case when u.o is null then m.outputs else m.outputs || u.o end,
                     work = case when u.d is not null then 'ready' end, work_due = u.wd
                 from unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::uuid[], $5::text[], $6::text[],
                     $7::timestamptz[]) u (id, s, e, i, d, o, wd)
                 where m.id = u.id",
                vec![
                    column!(old, m => m.id),
                    column!(old, m => m.state.as_str()),
                    column!(old, m => m.expires),
                    column!(old, m => m.instance),
                    column!(old, m => m.desired),
                    column!(old, m => m.outputs.first().cloned()),
                    column!(old, m => due(m)),
                ],
            );
        }
        Ok(())
    }

    fn write_jobs(&mut self, pipeline: &mut Pipeline) -> Result<(), Error> {
        let now = self.now;
        let mut new: Vec<(Uuid, Uuid, Option<Uuid>, NewJob, &'static str)> = Vec::new();
        for instance in self.instances.values_mut().filter(|instance| instance.is_open()) {
            let stuck: Vec<Uuid> = self.incidents.iter().filter_map(|incident| incident.job).collect();
            for (id, job) in std::mem::take(&mut instance.new_jobs) {
                let state = if stuck.contains(&id) { "incident" } else { "ready" };
                new.push((id, instance.id, instance.start_message, job, state));
            }
        }
        for (instance, id, job) in self.extra_jobs.drain(..) {
            new.push((id, instance, None, job, "ready"));
        }
        for (id, _, _, job, state) in &new {
            if *state == "ready" && job.due <= now {
                if job.stage == "engine" {
                    self.after.due_jobs.push(*id);
                } else {
                    *self.after.ready.entry(job.kind.clone()).or_default() += 1;
                }
            }
        }
        if !new.is_empty() {
            let mut payloads = Vec::with_capacity(new.len());
            for (_, _, _, job, _) in &new {
                let payload = serde_json::to_string(&job.payload);
                payloads.push(payload.map_err(|error| Error::Data(error.to_string()))?);
            }
            pipeline.add(
                "insert into job (id, instance, activity, kind, claim_kind, stage, state, due, attempts,
                     retry_cycle, payload, start_message, latest_message, traceparent)
                 select u.id, u.i, u.a, u.k, u.k, u.g, u.s, u.d, u.n, u.c, u.p, u.sm, u.lm, u.tp
                 from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[],
                     $7::timestamptz[], $8::int[], $9::text[], $10::text[], $11::uuid[], $12::uuid[],
                     $13::text[]) u (id, i, a, k, g, s, d, n, c, p, sm, lm, tp)",
                vec![
                    column!(new, j => j.0),
                    column!(new, j => j.1),
                    column!(new, j => j.3.activity.clone()),
                    column!(new, j => j.3.kind.clone()),
                    column!(new, j => j.3.stage),
                    column!(new, j => j.4),
                    column!(new, j => j.3.due),
                    column!(new, j => i32::try_from(j.3.attempts).unwrap_or(i32::MAX)),
                    column!(new, j => j.3.retry_cycle.clone()),
                    Box::new(payloads),
                    column!(new, j => j.2),
                    column!(new, j => j.3.latest_message),
                    column!(new, j => j.3.traceparent.clone()),
                ],
            );
        }
        let changed: Vec<_> = self.jobs.values().filter(|job| job.changed && !job.done).collect();
        if !changed.is_empty() {
            pipeline.add(
                "update job j set stage = u.g, claim_kind = u.k, state = u.s, due = u.d, attempts = u.n,
                     lease = u.l, lease_until = null, send = u.o, send_failure = u.f, first_attempt = u.fa,
                     recipient = u.r
                 from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::int[],
                     $7::text[], $8::text[], $9::text[], $10::timestamptz[], $11::text[])
                     u (id, g, k, s, d, n, l, o, f, fa, r)
                 where j.id = u.id",
                vec![
                    column!(changed, j => j.id),
                    column!(changed, j => j.stage.clone()),
                    column!(changed, j => j.claim_kind.clone()),
                    column!(changed, j => j.state.clone()),
                    column!(changed, j => j.due),
                    column!(changed, j => j.attempts),
                    column!(changed, j => j.lease.clone()),
                    column!(changed, j => j.send.clone()),
                    column!(changed, j => j.send_failure.clone()),
                    column!(changed, j => j.first_attempt),
                    column!(changed, j => j.recipient.clone()),
                ],
            );
        }
        Ok(())
    }

    /// Timers, signal subscriptions and history.
    fn write_events(&mut self, pipeline: &mut Pipeline) {
        let mut timers: Vec<(Uuid, Uuid, String, OffsetDateTime)> = Vec::new();
        let mut signals: Vec<(Uuid, Uuid, String)> = Vec::new();
        let mut history: Vec<(Uuid, i64, String)> = Vec::new();
        let mut tasks: Vec<(Uuid, Uuid, crate::instance::NewTask)> = Vec::new();
        for instance in self.instances.values_mut() {
            for (id, (activity, due)) in std::mem::take(&mut instance.new_timers) {
                timers.push((id, instance.id, activity, due));
            }
            for (id, name) in std::mem::take(&mut instance.new_signals) {
                signals.push((id, instance.id, name));
            }
            for (id, task) in std::mem::take(&mut instance.new_tasks) {
                tasks.push((id, instance.id, task));
            }
            if !instance.history.is_empty() {
                let entries = serde_json::to_string(&instance.history).unwrap_or_default();
                history.push((instance.id, instance.rev + 1, entries));
            }
        }
        self.after.earliest = timers.iter().map(|(_, _, _, due)| *due).min();
        if !timers.is_empty() {
            pipeline.add(
                "insert into timer (id, instance, activity, due)
                 select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[])",
                vec![
                    column!(timers, t => t.0),
                    column!(timers, t => t.1),
                    column!(timers, t => t.2.clone()),
                    column!(timers, t => t.3),
                ],
            );
        }
        if !self.later_timers.is_empty() {
            let later = &self.later_timers;
            pipeline.add(
                "update timer t set due = u.d from unnest($1::uuid[], $2::timestamptz[]) u (id, d)
                 where t.id = u.id",
                vec![column!(later, t => t.0), column!(later, t => t.1)],
            );
        }
        if !signals.is_empty() {
            pipeline.add(
                "insert into subscription (id, instance, kind, name)
                 select u.id, u.i, 'signal', u.n from unnest($1::uuid[], $2::uuid[], $3::text[]) u (id, i, n)",
                vec![
                    column!(signals, s => s.0),
                    column!(signals, s => s.1),
                    column!(signals, s => s.2.clone()),
                ],
            );
        }
        if !tasks.is_empty() {
            pipeline.add(
                "insert into user_task (id, instance, activity, name, form_key)
                 select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[])",
                vec![
                    column!(tasks, t => t.0),
                    column!(tasks, t => t.1),
                    column!(tasks, t => t.2.activity.clone()),
                    column!(tasks, t => t.2.name.clone()),
                    column!(tasks, t => t.2.form_key.clone()),
                ],
            );
        }
        if !self.forms.is_empty() {
            let forms = &self.forms;
            pipeline.add(
                "update user_task t set base_url = u.b, reference = u.r
                 from unnest($1::uuid[], $2::text[], $3::text[]) u (id, b, r) where t.id = u.id",
                vec![
                    column!(forms, f => f.0),
                    column!(forms, f => f.1.base_url.clone()),
                    column!(forms, f => f.1.reference.clone()),
                ],
            );
        }
        if !history.is_empty() {
            pipeline.add(
                "insert into history (instance, rev, at, entries)
                 select u.i, u.r, $4, u.e from unnest($1::uuid[], $2::bigint[], $3::text[]) u (i, r, e)",
                vec![
                    column!(history, h => h.0),
                    column!(history, h => h.1),
                    column!(history, h => h.2.clone()),
                    Box::new(self.now),
                ],
            );
        }
    }

    /// Outputs and final status of Tasks. A Task that reached a final status keeps it (contract 1.3).
    fn settle_tasks(&mut self, pipeline: &mut Pipeline) {
        if !self.outputs.is_empty() {
            let outputs = &self.outputs;
            pipeline.add(
                "update message m set outputs = m.outputs || n.added
                 from (select u.i, u.b, u.r, u.m, array_agg(u.o order by u.place) added
                       from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::uuid[]) with ordinality
                           u (i, b, r, o, m, place)
                       group by u.i, u.b, u.r, u.m) n
                 where (m.id = n.m or n.m is null and m.instance = n.i and m.base_url = n.b and m.reference = n.r)
                   and m.desired = 'in-progress'",
                vec![
                    column!(outputs, o => o.instance),
                    column!(outputs, o => o.base_url.clone()),
                    column!(outputs, o => o.reference.clone()),
                    column!(outputs, o => o.output.clone()),
                    column!(outputs, o => o.message),
                ],
            );
        }
        let mut settled = 0;
        let completed: Vec<Uuid> = self
            .instances
            .values_mut()
            .flat_map(|instance| std::mem::take(&mut instance.completed))
            .collect();
        settled += completed.len();
        self.after.settled.extend(&completed);
        // A reject comes first: what fails is not completed by an end event of the same transaction.
        if !self.failed.is_empty() {
            let failed = &self.failed;
            settled += failed.len();
            pipeline.add(
                "update message m set desired = 'failed', outputs = m.outputs || u.o, work_attempts = 0,
                     work = case when m.work = 'leased' then m.work else 'ready' end, work_due = $3
                 from unnest($1::uuid[], $2::text[]) u (i, o)
                 where m.instance = u.i and m.desired = 'in-progress'",
                vec![column!(failed, f => f.0), column!(failed, f => f.1.clone()), Box::new(self.now)],
            );
        }
        if !completed.is_empty() {
            pipeline.add(
                "update message set desired = 'completed', work_attempts = 0,
                     work = case when work = 'leased' then work else 'ready' end, work_due = $2
                 where id = any($1) and desired = 'in-progress'",
                vec![Box::new(completed), Box::new(self.now)],
            );
        }
        if settled > 0 {
            *self.after.ready.entry(WRITE_BACK.to_owned()).or_default() += settled;
        }
    }

    fn write_incidents(&mut self, pipeline: &mut Pipeline) {
        self.resolve_incidents(pipeline);
        for incident in &self.incidents {
            tracing::warn!(
                instance = incident.instance.map(tracing::field::display),
                class = incident.class,
                activity = incident.activity.as_deref(),
                "incident: an operator has to look at this instance"
            );
        }
        let rows = &self.incidents;
        if !rows.is_empty() {
            pipeline.add(
                "insert into incident (id, instance, job, message, class, activity, reason, created, token)
             select u.id, u.i, u.j, u.m, u.c, u.a, u.r, $8, u.t
             from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[],
                 $9::uuid[]) u (id, i, j, m, c, a, r, t)",
                vec![
                    column!(rows, _i => Uuid::now_v7()),
                    column!(rows, i => i.instance),
                    column!(rows, i => i.job),
                    column!(rows, i => i.message),
                    column!(rows, i => i.class),
                    column!(rows, i => i.activity.clone()),
                    column!(rows, i => i.reason.clone()),
                    Box::new(self.now),
                    column!(rows, i => i.token),
                ],
            );
        }
        // An instance without open incidents is active again.
        let settled: Vec<Uuid> = self
            .instances
            .values()
            .filter(|instance| instance.changed && instance.is_open() && instance.status == "incident")
            .map(|instance| instance.id)
            .collect();
        if !settled.is_empty() {
            pipeline.add(
                "update instance i set status = 'active' where id = any($1) and not exists (
                     select from incident o where o.instance = i.id and o.resolved is null)",
                vec![Box::new(settled)],
            );
        }
        if !self.audit.is_empty() {
            let rows = &self.audit;
            pipeline.add(
                "insert into audit (id, at, actor, action, object, reason)
                 select u.id, $6, u.a, u.v, u.o, u.r
                 from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[]) u (id, a, v, o, r)",
                vec![
                    column!(rows, _a => Uuid::now_v7()),
                    column!(rows, a => a[0].clone()),
                    column!(rows, a => a[1].clone()),
                    column!(rows, a => a[2].clone()),
                    column!(rows, a => a[3].clone()),
                    Box::new(self.now),
                ],
            );
        }
    }

    /// Incidents are over when an operator says so, when what failed is gone, and with their instance.
    fn resolve_incidents(&mut self, pipeline: &mut Pipeline) {
        let ended: Vec<Uuid> =
            self.instances.values().filter(|i| i.changed && !i.is_open()).map(|i| i.id).collect();
        let had = |i: &&Instance| i.rev > 0 && i.status == "incident" || !i.is_open();
        let any = self.instances.values().any(|i| had(&i));
        if any || !self.resolved.is_empty() {
            pipeline.add(
                "update incident set resolved = $4 where resolved is null
                 and (id = any($1) or job = any($2) or token = any($2) or instance = any($3))",
                vec![
                    Box::new(std::mem::take(&mut self.resolved)),
                    Box::new(std::mem::take(&mut self.settled)),
                    Box::new(ended),
                    Box::new(self.now),
                ],
            );
        }
        if !self.rewrites.is_empty() {
            *self.after.ready.entry(WRITE_BACK.to_owned()).or_default() += self.rewrites.len();
            pipeline.add(
                "update message set work = 'ready', work_attempts = 0, work_due = $2
                 where id = any($1) and work = 'incident'",
                vec![Box::new(std::mem::take(&mut self.rewrites)), Box::new(self.now)],
            );
        }
    }

    /// Results of write-backs: the rows are locked by now and show this transaction's own changes.
    async fn finish_write_backs(&mut self, db: &Transaction<'_>) -> Result<HashSet<Uuid>, Error> {
        let mut taken = HashSet::new();
        for (id, result) in std::mem::take(&mut self.written) {
            let reason = match &result.outcome {
                Outcome::Written { status, version } => {
                    let statement = db
                        .prepare_cached(
                            "update message set written = $3, written_version = $4, lease = null,
                                 lease_until = null, work_attempts = 0, work_due = $5,
                                 work = case when desired = $3 or $3 in ('completed', 'failed') then null
                                        else 'ready' end
                             where id = $1 and work = 'leased' and lease = $2
                             returning work is not null, desired = $3",
                        )
                        .await?;
                    let version = i64::try_from(*version).unwrap_or(i64::MAX);
                    let row =
                        db.query_opt(&statement, &[&id, &result.lease, status, &version, &self.now]).await?;
                    let Some(row) = row else { continue };
                    taken.insert(id);
                    if row.get::<_, bool>(0) {
                        *self.after.ready.entry(WRITE_BACK.to_owned()).or_default() += 1;
                        None
                    } else if row.get::<_, bool>(1) {
                        None
                    } else {
                        Some(format!("the Task is {status} already"))
                    }
                }
                Outcome::Fault { reason, unavailable } => {
                    let statement = db
                        .prepare_cached(
                            "select work_attempts from message where id = $1 and work = 'leased' and lease = $2",
                        )
                        .await?;
                    let Some(row) = db.query_opt(&statement, &[&id, &result.lease]).await? else { continue };
                    taken.insert(id);
                    let attempts: i32 = row.get(0);
                    let (attempts, pause) = if *unavailable {
                        ((attempts - 1).max(0), Some(retry::UNAVAILABLE_PAUSE))
                    } else {
                        (attempts, retry::pause(None, u32::try_from(attempts).unwrap_or(1)))
                    };
                    let statement = db
                        .prepare_cached(
                            "update message set work = $2, work_due = $3, work_attempts = $4, lease = null,
                                 lease_until = null where id = $1",
                        )
                        .await?;
                    let work = if pause.is_some() { "ready" } else { "incident" };
                    let due = self.now + pause.unwrap_or_default();
                    db.execute(&statement, &[&id, &work, &due, &attempts]).await?;
                    pause.is_none().then(|| reason.clone())
                }
                Outcome::Reject { reason, .. } => {
                    let statement = db
                        .prepare_cached(
                            "update message set work = 'incident', lease = null, lease_until = null
                             where id = $1 and work = 'leased' and lease = $2",
                        )
                        .await?;
                    if db.execute(&statement, &[&id, &result.lease]).await? == 0 {
                        continue;
                    }
                    taken.insert(id);
                    Some(reason.clone())
                }
                // No other outcome fits a write-back; the lease runs out and it is done again.
                _ => continue,
            };
            if let Some(reason) = reason {
                let statement = db
                    .prepare_cached(
                        "insert into incident (id, instance, message, class, reason)
                         select $2, m.instance, m.id, 'write-back', $3 from message m where m.id = $1",
                    )
                    .await?;
                db.execute(&statement, &[&id, &Uuid::now_v7(), &reason]).await?;
                tracing::warn!("incident: the status of a Task could not be written");
            }
        }
        Ok(taken)
    }
}

/// When what is kept of an ended instance may go.
fn kept_until(instance: &Instance) -> Option<OffsetDateTime> {
    let ended = instance.ended?;
    ended.checked_add(instance.definition.history.try_into().unwrap_or(time::Duration::MAX))
}

/// The stored state; nothing is kept of an instance that has ended.
fn state_text(instance: &Instance) -> Option<String> {
    if instance.is_open() { serde_json::to_string(&instance.state).ok() } else { None }
}
