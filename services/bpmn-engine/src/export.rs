//! Everything that is known of one instance, as JSON; and the end of what is kept.
use messaging::operate::InstanceExport;
use serde_json::{Value as Json, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    error::Error,
    instance::rfc3339,
    stepper::Core,
    store::{Connection, Transaction},
};

/// Most instances that one round of the retention deletes.
const INSTANCES: i64 = 256;
/// Name of the form of an export.
const FORM: &str = "dsf-instance-export/1";

/// Exports an instance; `None` where there is none with this id. Values of variables are part of it
/// only where they are asked for.
///
/// # Errors
/// When the database is away.
pub async fn export(core: &Core, id: Uuid, with_variables: bool) -> Result<Option<InstanceExport>, Error> {
    let mut connection = core.pool.get().await?;
    let db = connection.transaction().await?;
    let statement = db
        .prepare_cached(
            "select i.process_key, i.version_tag, i.definition, i.business_key, i.alternative_key, i.requester,
                    i.status, i.rev, i.started, i.ended, i.kept_until, i.parent, i.state, i.state_version,
                    d.plugin, d.plugin_version
             from instance i left join definition d on d.hash = i.definition where i.id = $1",
        )
        .await?;
    let Some(row) = db.query_opt(&statement, &[&id]).await? else { return Ok(None) };
    let hash: String = row.get(2);
    let definitions = core.definitions.load(&db, [hash.clone()]).await?;
    let state: Option<bpmn::State> =
        row.get::<_, Option<&str>>(12).and_then(|text| serde_json::from_str(text).ok());
    let (mut tokens, mut variables) = (Vec::new(), Vec::new());
    if let (Some(state), Some(definition)) = (&state, definitions.get(&hash)) {
        tokens = state.tokens(&definition.model);
        for (scope, values) in state.scoped_variables(&definition.model) {
            for (name, value) in values {
                let mut shown = json!({"scope": scope, "name": name, "type": value.kind()});
                if with_variables {
                    shown["value"] = value.to_json();
                }
                variables.push(shown);
            }
        }
    }
    let time = |index: usize| row.get::<_, Option<OffsetDateTime>>(index).map(rfc3339);
    let instance = json!({
        "id": id,
        "processKey": row.get::<_, String>(0),
        "processVersion": row.get::<_, String>(1),
        "definition": hash,
        "plugin": row.get::<_, Option<String>>(14),
        "pluginVersion": row.get::<_, Option<String>>(15),
        "businessKey": row.get::<_, String>(3),
        "alternativeBusinessKey": row.get::<_, Option<String>>(4),
        "requester": row.get::<_, String>(5),
        "status": row.get::<_, String>(6),
        "revision": row.get::<_, i64>(7),
        "started": time(8),
        "ended": time(9),
        "keptUntil": time(10),
        "parent": row.get::<_, Option<Uuid>>(11),
        "stateVersion": row.get::<_, i16>(13),
    });
    Ok(Some(InstanceExport {
        form: FORM.to_owned(),
        instance,
        tokens: serde_json::to_value(tokens).unwrap_or_default(),
        variables: Json::Array(variables),
        jobs: rows(&db, JOBS, id).await?,
        timers: rows(&db, TIMERS, id).await?,
        user_tasks: rows(&db, USER_TASKS, id).await?,
        messages: rows(&db, MESSAGES, id).await?,
        incidents: rows(&db, INCIDENTS, id).await?,
        operations: rows(&db, OPERATIONS, id).await?,
        children: rows(&db, CHILDREN, id).await?,
        history: history(&db, id).await?,
    }))
}

const JOBS: &str =
    "select json_build_object('id', id, 'activity', activity, 'type', claim_kind, 'state', state,
    'due', due, 'attempts', attempts, 'worker', worker)::text from job where instance = $1 order by id";
const TIMERS: &str = "select json_build_object('id', id, 'activity', activity, 'due', due)::text
    from timer where instance = $1 order by due";
const USER_TASKS: &str = "select json_build_object('id', id, 'activity', activity, 'name', name,
    'formKey', form_key, 'reference', reference, 'created', created)::text
    from user_task where instance = $1 order by id";
const MESSAGES: &str =
    "select json_build_object('source', base_url || '/' || reference, 'name', message_name,
    'correlationKey', correlation_key, 'requester', requester, 'received', received, 'desired', desired,
    'written', written)::text from message where instance = $1 order by id";
const INCIDENTS: &str =
    "select json_build_object('id', id, 'class', class, 'activity', activity, 'reason', reason,
    'created', created, 'resolved', resolved)::text from incident where instance = $1 order by id";
const OPERATIONS: &str =
    "select json_build_object('at', at, 'actor', actor, 'action', action, 'reason', reason)::text
    from audit where object = $1::uuid::text order by id";
const CHILDREN: &str = "select json_build_object('id', id, 'processKey', process_key, 'status', status)::text
    from instance where parent = $1 order by id";

async fn rows(db: &Transaction<'_>, sql: &str, id: Uuid) -> Result<Json, Error> {
    let statement = db.prepare_cached(sql).await?;
    let rows = db.query(&statement, &[&id]).await?;
    Ok(rows.iter().filter_map(|row| serde_json::from_str::<Json>(row.get(0)).ok()).collect())
}

async fn history(db: &Transaction<'_>, id: Uuid) -> Result<Json, Error> {
    let statement = db.prepare_cached("select entries from history where instance = $1 order by rev").await?;
    let rows = db.query(&statement, &[&id]).await?;
    let entries = rows.iter().filter_map(|row| serde_json::from_str::<Vec<Json>>(row.get(0)).ok());
    Ok(entries.flatten().collect())
}

/// Deletes ended instances whose time is over, with their history and messages. What is still to be
/// written to a Task is kept until it is.
///
/// # Errors
/// When the database is away.
pub async fn forget(connection: &mut Connection) -> Result<u64, Error> {
    let db = connection.transaction().await?;
    let statement = db
        .prepare_cached(
            "select id from instance i where kept_until < now() and ended is not null
               and not exists (select from message m where m.instance = i.id and m.work is not null)
             order by kept_until limit $1 for update skip locked",
        )
        .await?;
    let ids: Vec<Uuid> = db.query(&statement, &[&INSTANCES]).await?.iter().map(|row| row.get(0)).collect();
    if ids.is_empty() {
        return Ok(0);
    }
    for sql in [
        "delete from history where instance = any($1)",
        "delete from incident where instance = any($1)",
        // The row stays as inbox: its Task must not take effect again. What it said goes.
        "update message set body = '', outputs = '{}' where instance = any($1)",
        "delete from instance where id = any($1)",
    ] {
        let statement = db.prepare_cached(sql).await?;
        db.execute(&statement, &[&ids]).await?;
    }
    db.commit().await?;
    Ok(ids.len() as u64)
}
