//! The early warning: what fails with tries left, and what waits longer than it usually does.
use std::collections::HashMap;

use messaging::operate::Warning;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{error::Error, instance::rfc3339, pace, stepper::Core};

/// Fewest ended runs of an activity before its usual time says anything.
const SAMPLES: i64 = 20;
/// Share of the runs that the usual time covers.
const SHARE: f64 = 0.95;
/// Waits shorter than this are never worth a warning.
const SHORTEST_MILLIS: i64 = 1000;
/// Most open instances that are looked at, oldest first.
const INSTANCES: i64 = 5000;
/// Most warnings of one answer.
const WARNINGS: usize = 500;

/// Lists warnings.
///
/// # Errors
/// When the database is away.
pub async fn warnings(core: &Core) -> Result<Vec<Warning>, Error> {
    let mut connection = core.pool.get().await?;
    let db = connection.transaction().await?;
    let mut warnings = Vec::new();
    let statement = db
        .prepare_cached(
            "select j.instance, i.process_key, i.version_tag, i.business_key, j.activity, j.attempts, j.due, j.created
             from job j join instance i on i.id = j.instance
             where j.state in ('ready', 'leased') and j.attempts > case j.state when 'leased' then 1 else 0 end
             order by j.attempts desc, j.created limit $1",
        )
        .await?;
    for row in db.query(&statement, &[&i64::try_from(WARNINGS).unwrap_or(i64::MAX)]).await? {
        let attempts: i32 = row.get(5);
        warnings.push(Warning {
            kind: "failing".to_owned(),
            instance: row.get::<_, Uuid>(0).to_string(),
            process_key: row.get(1),
            process_version: row.get(2),
            business_key: row.get(3),
            activity: row.get(4),
            since: rfc3339(row.get(7)),
            detail: format!("{attempts} attempts so far, the next one at {}", rfc3339(row.get(6))),
        });
    }
    let statement = db
        .prepare_cached(
            "select process_key, version_tag, activity, bucket, count from activity_time order by bucket",
        )
        .await?;
    let mut counts: HashMap<(String, String, String), Vec<(i16, i64)>> = HashMap::new();
    for row in db.query(&statement, &[]).await? {
        counts.entry((row.get(0), row.get(1), row.get(2))).or_default().push((row.get(3), row.get(4)));
    }
    let usual: HashMap<(String, String, String), i64> =
        counts.into_iter().filter_map(|(place, counts)| Some((place, percentile(&counts)?))).collect();
    let statement = db
        .prepare_cached(
            "select id, process_key, version_tag, business_key, definition, state, clock_timestamp()
             from instance where ended is null order by id limit $1",
        )
        .await?;
    let rows = db.query(&statement, &[&INSTANCES]).await?;
    let definitions = core.definitions.load(&db, rows.iter().map(|row| row.get(4))).await?;
    for row in &rows {
        let (key, tag): (String, String) = (row.get(1), row.get(2));
        let state =
            row.get::<_, Option<&str>>(5).and_then(|text| serde_json::from_str::<bpmn::State>(text).ok());
        let (Some(state), Some(definition)) = (state, definitions.get(row.get::<_, &str>(4))) else {
            continue;
        };
        let now: OffsetDateTime = row.get(6);
        let now = i64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
        for token in state.tokens(&definition.model) {
            let Some(usual) = usual.get(&(key.clone(), tag.clone(), token.activity.clone())) else {
                continue;
            };
            let waited = now - token.since;
            if waited <= (*usual).max(SHORTEST_MILLIS) || warnings.len() >= WARNINGS {
                continue;
            }
            let since = OffsetDateTime::from_unix_timestamp_nanos(i128::from(token.since) * 1_000_000);
            warnings.push(Warning {
                kind: "slow".to_owned(),
                instance: row.get::<_, Uuid>(0).to_string(),
                process_key: key.clone(),
                process_version: tag.clone(),
                business_key: row.get(3),
                activity: token.activity,
                since: since.map(rfc3339).unwrap_or_default(),
                detail: format!("waits for {} ms, 95 of 100 take no more than {usual} ms", waited),
            });
        }
    }
    Ok(warnings)
}

/// The time that the share of all runs does not exceed; none without enough of them.
fn percentile(counts: &[(i16, i64)]) -> Option<i64> {
    let total: i64 = counts.iter().map(|(_, count)| count).sum();
    if total < SAMPLES {
        return None;
    }
    let mut seen = 0;
    for (bucket, count) in counts {
        seen += count;
        if seen as f64 >= total as f64 * SHARE {
            return Some(pace::upper(*bucket));
        }
    }
    None
}
