//! Definitions that start by themselves: timer start events, exactly one start for each due time however
//! many replicas there are, because start and next due time are one transaction under the row's lock.
use std::sync::Arc;

use bpmn::StartTrigger;
use time::OffsetDateTime;

use crate::{
    definitions::Compiled, error::Error, fuse::Place, stepper::Core, store::Transaction, unit::Incident,
    unit::Unit,
};

/// Most starts of one transaction.
const STARTS: i64 = 16;

/// Condition for rows `s` of `start_timer` that may fire: their definition is active and nothing is paused.
pub const RUNS: &str = "exists (select from definition d where d.hash = s.definition and d.state = 'active')
    and not exists (select from pause p where p.scope = 'engine'
        or p.scope = 'process' and p.name = s.process_key || '|' || s.version_tag)";

/// Takes over the timers of a definition that is the newest of its key and tag from now on. Those of the
/// same content go on as they are.
///
/// # Errors
/// When the database is away.
pub async fn deployed(db: &Transaction<'_>, definition: &Compiled) -> Result<(), Error> {
    let statement = db
        .prepare_cached(
            "delete from start_timer where process_key = $1 and version_tag = $2 and definition <> $3",
        )
        .await?;
    db.execute(&statement, &[&definition.key, &definition.tag, &definition.hash]).await?;
    let timers = definition.model.start_events().into_iter();
    for event in timers.filter(|event| matches!(event.trigger, StartTrigger::Timer(_))) {
        let statement = db.prepare_cached("select clock_timestamp()").await?;
        let now: OffsetDateTime = db.query_one(&statement, &[]).await?.get(0);
        let due = definition.model.start_due(&event.id, millis(now), None).and_then(instant);
        let statement = db
            .prepare_cached(
                "insert into start_timer (process_key, version_tag, event, definition, deployed, due)
                 values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
            )
            .await?;
        let (key, tag) = (&definition.key, &definition.tag);
        db.execute(&statement, &[key, tag, &event.id, &definition.hash, &now, &due]).await?;
    }
    Ok(())
}

/// Starts what is due. A definition that cannot be started becomes an incident and waits for its next time.
///
/// # Errors
/// When the database is away; nothing has started then.
pub async fn fire(core: &Arc<Core>) -> Result<(), Error> {
    let mut connection = core.pool.get().await?;
    let db = connection.transaction().await?;
    let statement = db
        .prepare_cached(&format!(
            "select process_key, version_tag, event, definition, deployed, clock_timestamp()
             from start_timer s where due <= clock_timestamp() and {RUNS}
             order by due limit $1 for update of s skip locked"
        ))
        .await?;
    let rows = db.query(&statement, &[&STARTS]).await?;
    let Some(first) = rows.first() else { return Ok(()) };
    let mut unit = Unit::new(&core.limits);
    unit.now = first.get(5);
    let known = core.definitions.load(&db, rows.iter().map(|row| row.get::<_, String>(3))).await?;
    for row in &rows {
        let (key, tag, event, hash): (String, String, String, String) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        let Some(definition) = known.get(&hash) else { continue };
        let (deployed, now) = (millis(row.get(4)), millis(unit.now));
        let due = definition.model.start_due(&event, deployed, Some(now)).and_then(instant);
        if let Err(error) = unit.start_at_event(Arc::clone(definition), event.clone(), Default::default()) {
            unit.incidents.push(Incident {
                instance: None,
                job: None,
                message: None,
                token: None,
                class: "step",
                activity: Some(event.clone()),
                reason: format!("{key}|{tag} could not be started by its timer: {error}"),
            });
        }
        let statement = db
            .prepare_cached(
                "update start_timer set due = $4 where process_key = $1 and version_tag = $2 and event = $3",
            )
            .await?;
        db.execute(&statement, &[&key, &tag, &event, &due]).await?;
    }
    unit.signals(&db, &core.definitions).await?;
    unit.write(&db, false).await?;
    let after = std::mem::take(&mut unit.after);
    core.fuse.pass("start-timer", Place::BeforeCommit);
    db.commit().await?;
    core.fuse.pass("start-timer", Place::AfterCommit);
    core.after(after).await;
    Ok(())
}

fn millis(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or_default()
}

/// `None` beyond the years that PostgreSQL and RFC 3339 share: never.
fn instant(millis: i64) -> Option<OffsetDateTime> {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok()?;
    (at.year() <= 9999).then_some(at)
}
