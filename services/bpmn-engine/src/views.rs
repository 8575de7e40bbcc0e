//! What operators, demo and tests see of instances and of the engine.
use std::{fmt::Write, sync::Arc};

use messaging::{
    engine::{EngineStatus, HistoryEntry, InstanceQuery, InstanceView},
    operate::{IncidentQuery, IncidentView},
};
use time::OffsetDateTime;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::{error::Error, instance::rfc3339, stepper::Core};

/// Most instances of one answer.
const INSTANCES: u32 = 500;
/// Instances of an answer for which no limit was given.
const DEFAULT_INSTANCES: u32 = 50;
/// Statuses of instances that have not ended; an index finds them.
const OPEN: [&str; 2] = ["active", "incident"];
/// History of an answer stops after this many bytes, so that the answer fits into a message.
const HISTORY_BYTES: usize = 600 * 1024;

/// Lists instances, newest first.
///
/// # Errors
/// When the database is away.
pub async fn instances(core: &Core, query: &InstanceQuery) -> Result<Vec<InstanceView>, Error> {
    let limit = if query.limit == 0 { DEFAULT_INSTANCES } else { query.limit.min(INSTANCES) };
    let mut connection = core.pool.get().await?;
    let db = connection.transaction().await?;
    let limit = i64::from(limit);
    // Only what is asked for stands in the statement: with a million instances a plan that holds for every
    // combination would read them all.
    let mut conditions = String::from("true");
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&limit];
    if let Some(key) = &query.business_key {
        parameters.push(key);
        let _ = write!(conditions, " and business_key = ${}", parameters.len());
    }
    if let Some(status) = &query.status {
        parameters.push(status);
        let _ = write!(conditions, " and status = ${}", parameters.len());
        if OPEN.contains(&status.as_str()) {
            conditions.push_str(" and ended is null");
        }
    }
    let statement = db
        .prepare_cached(&format!(
            "select id, process_key, version_tag, business_key, status, started, ended, definition, state, parent
             from instance where {conditions} order by id desc limit $1"
        ))
        .await?;
    let rows = db.query(&statement, &parameters).await?;
    let definitions = core.definitions.load(&db, rows.iter().map(|row| row.get(7))).await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.get(0)).collect();
    let statement = db
        .prepare_cached(
            "select instance, entries from history where instance = any($1) order by instance, rev",
        )
        .await?;
    let mut room = HISTORY_BYTES;
    let mut history: std::collections::HashMap<Uuid, Vec<HistoryEntry>> = std::collections::HashMap::new();
    for row in db.query(&statement, &[&ids]).await? {
        let text: &str = row.get(1);
        let Some(left) = room.checked_sub(text.len()) else { break };
        room = left;
        history
            .entry(row.get(0))
            .or_default()
            .extend(serde_json::from_str::<Vec<HistoryEntry>>(text).unwrap_or_default());
    }
    Ok(rows
        .iter()
        .map(|row| {
            let id: Uuid = row.get(0);
            let state: Option<bpmn::State> =
                row.get::<_, Option<&str>>(8).and_then(|text| serde_json::from_str(text).ok());
            let waiting = match (&state, definitions.get(row.get::<_, &str>(7))) {
                (Some(state), Some(definition)) => state.waiting(&definition.model),
                _ => Vec::new(),
            };
            InstanceView {
                id: id.to_string(),
                process_key: row.get(1),
                process_version: row.get(2),
                business_key: row.get(3),
                status: row.get(4),
                started: rfc3339(row.get(5)),
                ended: row.get::<_, Option<OffsetDateTime>>(6).map(rfc3339),
                parent: row.get::<_, Option<Uuid>>(9).map(|id| id.to_string()),
                waiting,
                history: history.remove(&id).unwrap_or_default(),
            }
        })
        .collect())
}

/// Lists incidents, oldest first.
///
/// # Errors
/// When the database is away; when an id is none.
pub async fn incidents(core: &Core, query: &IncidentQuery) -> Result<Vec<IncidentView>, Error> {
    let limit = if query.limit == 0 { INSTANCES } else { query.limit.min(INSTANCES) };
    let instance = query.instance.as_deref().map(str::parse::<Uuid>).transpose();
    let instance = instance.map_err(|_| Error::Data("the instance is no id".to_owned()))?;
    let db = core.pool.get().await?;
    let statement = db
        .prepare_cached(
            "select o.id, o.instance, i.process_key, i.version_tag, i.business_key, o.class, o.activity,
                    coalesce(o.token, o.job), o.reason, o.created, o.resolved
             from incident o left join instance i on i.id = o.instance
             where ($1::uuid is null or o.instance = $1) and ($2::text is null or i.process_key = $2)
               and ($3::text is null or i.version_tag = $3) and ($4::text is null or o.class = $4)
               and ($5::text is null or o.activity = $5) and ($6::text is null or strpos(o.reason, $6) > 0)
               and ($7 or o.resolved is null)
             order by o.created, o.id limit $8",
        )
        .await?;
    let rows = db
        .query(
            &statement,
            &[
                &instance,
                &query.process_key,
                &query.process_version,
                &query.class,
                &query.activity,
                &query.reason,
                &query.resolved,
                &i64::from(limit),
            ],
        )
        .await?;
    let id = |id: Option<Uuid>| id.map(|id| id.to_string());
    Ok(rows
        .iter()
        .map(|row| IncidentView {
            id: row.get::<_, Uuid>(0).to_string(),
            instance: id(row.get(1)),
            process_key: row.get(2),
            process_version: row.get(3),
            business_key: row.get(4),
            class: row.get(5),
            activity: row.get(6),
            token: id(row.get(7)),
            reason: row.get(8),
            created: rfc3339(row.get(9)),
            resolved: row.get::<_, Option<OffsetDateTime>>(10).map(rfc3339),
        })
        .collect())
}

/// Numbers for readiness and dashboards.
///
/// # Errors
/// When the database is away.
pub async fn status(core: &Core) -> Result<EngineStatus, Error> {
    let db = core.pool.get().await?;
    let statement = db
        .prepare_cached(
            "select (select count(*) from instance where ended is null),
                    (select count(*) from job where state = 'ready')
                        + (select count(*) from message where work = 'ready'),
                    (select count(*) from job where state = 'leased')
                        + (select count(*) from message where work = 'leased'),
                    (select count(*) from message where state = 'queued'),
                    (select count(*) from message where state = 'held'),
                    (select count(*) from incident where resolved is null)",
        )
        .await?;
    let row = db.query_one(&statement, &[]).await?;
    let number = |index: usize| u64::try_from(row.get::<_, i64>(index)).unwrap_or_default();
    Ok(EngineStatus {
        active_instances: number(0),
        ready_jobs: number(1),
        leased_jobs: number(2),
        queued_starts: number(3),
        held_messages: number(4),
        incidents: number(5),
    })
}

/// Reports the numbers of [`status`] as metrics, for ever.
pub async fn report(core: Arc<Core>) {
    loop {
        // During an outage there is nothing to report; others tell of the outage.
        if let Ok(status) = status(&core).await {
            core.metrics.state(&status);
        }
        tokio::time::sleep(telemetry::METRIC_INTERVAL).await;
    }
}
