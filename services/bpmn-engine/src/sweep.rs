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
    start_timers,
    stepper::Core,
    store::Connection,
    unit::{Answer, Input},
};

/// Most rows of one kind that one round takes up; the next round goes on.
const ROWS: i64 = 256;
/// Longest sleep of the timer loop. It is woken when a timer is set here, and by the sweep before one is
/// due that another replica set.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// Pause after a failure, so that an outage of the database is not met by a busy loop.
const OUTAGE_PAUSE: Duration = Duration::from_millis(500);

/// Fires timers when they are due, for ever.
pub async fn timers(core: Arc<Core>) {
    loop {
        let sleep = match due_timers(&core).await {
            Ok(due) if due.starts || !due.ids.is_empty() => {
                if due.starts && start_timers::fire(&core).await.is_err() {
                    tokio::time::sleep(OUTAGE_PAUSE).await;
                }
                run_all(&core, due.ids.into_iter().map(Input::Timer).collect()).await;
                continue;
            }
            Ok(due) => due.next.unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP),
            Err(_) => OUTAGE_PAUSE,
        };
        tokio::select! {
            () = tokio::time::sleep(sleep) => {}
            () = core.timers.notified() => {}
        }
    }
}

/// What the timer loop has to do.
#[derive(Default)]
struct Due {
    /// Timers that are due.
    ids: Vec<Uuid>,
    /// A definition starts by itself.
    starts: bool,
    /// How long until the next one is due.
    next: Option<Duration>,
}

async fn due_timers(core: &Core) -> Result<Due, Error> {
    let db = core.pool.get().await?;
    let statement = db
        .prepare_cached(&format!(
            "select id, due, clock_timestamp() from (
                 (select id, due from timer t where {} order by due limit $1)
                 union all
                 (select null, due from start_timer s where due is not null and {} order by due limit 1)) n
             order by due",
            not_paused("t", "null"),
            start_timers::RUNS
        ))
        .await?;
    let rows = db.query(&statement, &[&ROWS]).await?;
    let mut due = Due::default();
    for row in &rows {
        let (at, now): (OffsetDateTime, OffsetDateTime) = (row.get(1), row.get(2));
        if at > now {
            // A millisecond more than exact: a timer must not be looked at just before it is due.
            let wait = Duration::try_from(at - now).unwrap_or(LONGEST_SLEEP) + Duration::from_millis(1);
            due.next = Some(wait);
            return Ok(due);
        }
        match row.get::<_, Option<Uuid>>(0) {
            Some(id) => due.ids.push(id),
            None => due.starts = true,
        }
    }
    Ok(due)
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
        match round(&core, pause).await {
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

/// Everything the sweep looks for, in one statement that only reads: an idle replica costs one round trip.
/// A row is what was found, an id, a text and a count.
fn findings() -> String {
    format!(
        "(select 'silent', id, null, 0::bigint from job
          where state = 'leased' and lease_until < now() order by lease_until limit $1)
         union all
         (select 'own', id, null, 0 from job j
          where state = 'ready' and claim_kind = '{ENGINE_KIND}' and due <= now() and {} order by due limit $1)
         union all
         select 'ready', null, claim_kind, count(*) from
             (select claim_kind from job
              where state = 'ready' and due <= now() and claim_kind <> '{ENGINE_KIND}' limit $1) r
         group by claim_kind
         union all
         select 'ready', null, '{WRITE_BACK}', count(*) from
             (select from message where work = 'ready' and work_due <= now() limit $1) w having count(*) > 0
         union all
         select distinct 'queued', null::uuid, requester, 0::bigint from message where state = 'queued'
         union all
         select 'held', null, null, 0
         where exists (select from message where state = 'held' and expires <= now())
         union all
         select 'write-back', null, null, 0
         where exists (select from message where work = 'leased' and lease_until < now())
         union all
         select 'timer', null, null, 0
         where exists (select from timer where due <= now() + $2 * interval '1 millisecond')
            or exists (select from start_timer where due <= now() + $2 * interval '1 millisecond')
         union all
         select 'old', null, null, 0
         where exists (select from instance where kept_until < now() and ended is not null)",
        not_paused("j", "null")
    )
}

async fn round(core: &Arc<Core>, pause: Duration) -> Result<(), Error> {
    let mut inputs = Vec::new();
    let mut ready: BTreeMap<String, usize> = BTreeMap::new();
    let mut queued = HashSet::new();
    {
        let mut db = core.pool.get().await?;
        let statement = db.prepare_cached(&findings()).await?;
        // A timer that another replica set is heard of a round before it is due.
        let ahead = (pause + pause).as_secs_f64() * 1000.0;
        for row in db.query(&statement, &[&ROWS, &ahead]).await? {
            let id = || row.get::<_, Uuid>(1);
            match row.get(0) {
                "silent" => inputs.push(Input::Silent(id())),
                "own" => inputs.push(Input::Job(id())),
                "ready" => {
                    ready.insert(row.get(2), usize::try_from(row.get::<_, i64>(3)).unwrap_or_default());
                }
                "queued" => {
                    queued.insert(row.get::<_, String>(2));
                }
                "held" => inputs.push(Input::Expire),
                "write-back" => hand_out_again(&db).await?,
                "timer" => core.timers.notify_one(),
                "old" => {
                    export::forget(&mut db).await?;
                }
                _ => {}
            }
        }
        core.pace.write(&db).await?;
    }
    core.hints.tell(&ready).await;
    core.set_queued(queued.clone());
    for requester in queued {
        core.admit(requester);
    }
    run_all(core, inputs).await;
    Ok(())
}

/// Write-backs whose lease is over; the next round tells of them.
async fn hand_out_again(db: &Connection) -> Result<(), Error> {
    let statement = db
        .prepare_cached(
            "update message set work = 'ready', work_due = now(), lease = null, lease_until = null
             where id in (select id from message where work = 'leased' and lease_until < now()
                          limit $1 for update skip locked)",
        )
        .await?;
    db.execute(&statement, &[&ROWS]).await?;
    Ok(())
}
