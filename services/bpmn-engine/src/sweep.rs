//! What time makes due: timers as soon as they are, and a slow round for everything that was lost,
//! so that nothing depends on a message between processes.
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use messaging::{engine::Reply, job::WRITE_BACK};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    error::Error,
    export,
    instance::ENGINE_KIND,
    operate::not_paused,
    stepper::Core,
    unit::{Answer, Input},
};

/// Most rows of one kind that one round takes up; the next round goes on.
const ROWS: i64 = 256;
/// Longest sleep of the timer loop; other replicas set timers that we do not hear of.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// Pause after a failure, so that an outage of the database is not met by a busy loop.
const OUTAGE_PAUSE: Duration = Duration::from_millis(500);

/// Fires timers when they are due, for ever.
pub async fn timers(core: Arc<Core>) {
    loop {
        let sleep = match due_timers(&core).await {
            Ok((ids, _)) if !ids.is_empty() => {
                run_all(&core, ids.into_iter().map(Input::Timer).collect()).await;
                continue;
            }
            Ok((_, next)) => next.unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP),
            Err(_) => OUTAGE_PAUSE,
        };
        tokio::select! {
            () = tokio::time::sleep(sleep) => {}
            () = core.timers.notified() => {}
        }
    }
}

/// Timers that are due, and how long until the next one is.
async fn due_timers(core: &Core) -> Result<(Vec<Uuid>, Option<Duration>), Error> {
    let db = core.pool.get().await?;
    let statement = db
        .prepare_cached(&format!(
            "select id, due, clock_timestamp() from timer t where {} order by due limit $1",
            not_paused("t", "null")
        ))
        .await?;
    let rows = db.query(&statement, &[&ROWS]).await?;
    let mut due = Vec::new();
    for row in &rows {
        let (at, now): (OffsetDateTime, OffsetDateTime) = (row.get(1), row.get(2));
        if at > now {
            // A millisecond more than exact: a timer must not be looked at just before it is due.
            let wait = Duration::try_from(at - now).unwrap_or(LONGEST_SLEEP) + Duration::from_millis(1);
            return Ok((due, Some(wait)));
        }
        due.push(row.get(0));
    }
    Ok((due, None))
}

/// Runs inputs and waits for all of them. False when one of them met an outage.
async fn run_all(core: &Core, inputs: Vec<Input>) -> bool {
    let answers = futures_util::future::join_all(inputs.into_iter().map(|input| core.ask(input))).await;
    let failed = |answer: &Reply<Answer>| !matches!(answer, Reply::Ok(_));
    let well = !answers.iter().any(failed);
    if !well {
        tokio::time::sleep(OUTAGE_PAUSE).await;
    }
    well
}

/// Sweeps for ever.
pub async fn sweep(core: Arc<Core>, pause: Duration) {
    let mut told = false;
    loop {
        match round(&core).await {
            Ok(()) => told = false,
            Err(error) if !told => {
                told = true;
                tracing::warn!(%error, "the sweep waits for the database");
            }
            Err(_) => {}
        }
        tokio::time::sleep(pause).await;
    }
}

async fn round(core: &Arc<Core>) -> Result<(), Error> {
    let mut inputs = Vec::new();
    let mut ready: BTreeMap<String, usize> = BTreeMap::new();
    let mut queued = HashSet::new();
    {
        let db = core.pool.get().await?;
        let statement = db
            .prepare_cached(
                "select id from job where state = 'leased' and lease_until < now() order by lease_until limit $1",
            )
            .await?;
        inputs.extend(db.query(&statement, &[&ROWS]).await?.iter().map(|row| Input::Silent(row.get(0))));
        let statement = db
            .prepare_cached(&format!(
                "select id from job j where state = 'ready' and claim_kind = $1 and due <= now() and {}
                 order by due limit $2",
                not_paused("j", "null")
            ))
            .await?;
        let rows = db.query(&statement, &[&ENGINE_KIND, &ROWS]).await?;
        inputs.extend(rows.iter().map(|row| Input::Job(row.get(0))));
        let statement = db
            .prepare_cached("select exists (select from message where state = 'held' and expires <= now())")
            .await?;
        if db.query_one(&statement, &[]).await?.get(0) {
            inputs.push(Input::Expire);
        }
        let statement = db
            .prepare_cached(
                "update message set work = 'ready', work_due = now(), lease = null, lease_until = null
                 where id in (select id from message where work = 'leased' and lease_until < now()
                              limit $1 for update skip locked)",
            )
            .await?;
        db.execute(&statement, &[&ROWS]).await?;
        let statement = db
            .prepare_cached(
                "select claim_kind, count(*) from
                     (select claim_kind from job where state = 'ready' and due <= now() and claim_kind <> $1
                      limit $2) r
                 group by claim_kind
                 union all
                 select $3, count(*) from
                     (select from message where work = 'ready' and work_due <= now() limit $2) w",
            )
            .await?;
        for row in db.query(&statement, &[&ENGINE_KIND, &ROWS, &WRITE_BACK]).await? {
            let count = usize::try_from(row.get::<_, i64>(1)).unwrap_or_default();
            if count > 0 {
                ready.insert(row.get(0), count);
            }
        }
        let statement =
            db.prepare_cached("select distinct requester from message where state = 'queued'").await?;
        queued.extend(db.query(&statement, &[]).await?.iter().map(|row| row.get::<_, String>(0)));
        core.pace.write(&db).await?;
    }
    {
        let mut db = core.pool.get().await?;
        export::forget(&mut db).await?;
    }
    core.hints.tell(&ready).await;
    core.set_queued(queued.clone());
    for requester in queued {
        core.admit(requester);
    }
    run_all(core, inputs).await;
    Ok(())
}
