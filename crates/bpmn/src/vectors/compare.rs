//! What is seen after a step against what was recorded (`vectors/bpmn/README.md`, "How to compare").
use serde_json::{Value as Json, json};

use super::site::{Failure, Instance, RETRIES, Site};
use crate::effect::SubscriptionKind;

/// Compares one step.
pub(super) fn step(site: &mut Site, error: Option<Failure>, recorded: &Json) -> Result<(), String> {
    let wanted = recorded.get("error").and_then(Json::as_str);
    if error != wanted {
        return Err(format!("error {error:?}, recorded {wanted:?}"));
    }
    if recorded["clock"].as_i64() != Some(site.clock / 1000) {
        return Err(format!("clock {}, recorded {}", site.clock / 1000, recorded["clock"]));
    }
    events(site, &recorded["events"])?;
    let none = Vec::new();
    let instances = recorded["instances"].as_array().unwrap_or(&none);
    if instances.len() != site.instances.len() {
        return Err(format!("{} instances, recorded {}", site.instances.len(), instances.len()));
    }
    for (index, recorded) in instances.iter().enumerate() {
        instance(&site.instances[index], recorded, site.clock)
            .map_err(|problem| format!("instance {index}: {problem}"))?;
    }
    Ok(())
}

/// Events as a multiset, and in each (instance, scope, activity) start before end.
fn events(site: &Site, recorded: &Json) -> Result<(), String> {
    let mut seen = Vec::new();
    for (index, instance) in site.instances.iter().enumerate() {
        for [what, activity, kind, scope] in &instance.events {
            seen.push(json!([index, what, activity, kind, scope]));
        }
    }
    let none = Vec::new();
    let recorded = recorded.as_array().unwrap_or(&none);
    multiset("events", seen, recorded)?;
    for (index, instance) in site.instances.iter().enumerate() {
        for [what, activity, _, scope] in &instance.events {
            let of = |event: &Json, name: &str| {
                event[0] == index && event[2] == **activity && event[4] == **scope && event[1] == name
            };
            let first_start =
                instance.events.iter().position(|e| e[0] == "start" && e[1] == *activity && e[3] == *scope);
            let last_end =
                instance.events.iter().rposition(|e| e[0] != "start" && e[1] == *activity && e[3] == *scope);
            let starts_first =
                recorded.iter().position(|e| of(e, "start")) < recorded.iter().rposition(|e| of(e, "end"));
            if what == "start" && starts_first && first_start > last_end {
                return Err(format!("{activity} ends before it starts"));
            }
        }
    }
    Ok(())
}

fn instance(instance: &Instance, recorded: &Json, clock: i64) -> Result<(), String> {
    let key = instance.state.business_key();
    if recorded.get("businessKey").and_then(Json::as_str) != key {
        return Err(format!("business key {key:?}, recorded {}", recorded["businessKey"]));
    }
    if recorded["status"] != instance.status() {
        return Err(format!("status {}, recorded {}", instance.status(), recorded["status"]));
    }
    let none = Vec::new();
    let list = |name: &str| recorded[name].as_array().unwrap_or(&none);
    multiset("active", instance.active().into_iter().map(Json::from).collect(), list("active"))?;
    let externals = instance.externals.values().map(|job| {
        let mut shown = json!({"activity": job.activity, "topic": job.topic});
        if let Some(retries) = job.retries {
            shown["retries"] = retries.into();
        }
        if let Some(until) = job.locked_until.filter(|until| *until > clock) {
            shown["lockedUntil"] = (until / 1000).into();
        }
        shown
    });
    multiset("externalTasks", externals.collect(), &without(list("externalTasks"), "error"))?;
    let tasks = instance.user_tasks.values().map(|activity| json!({"activity": activity}));
    multiset("userTasks", tasks.collect(), list("userTasks"))?;
    let subscriptions = instance.subscriptions.values().map(|subscription| match subscription.kind {
        SubscriptionKind::Message => {
            json!({"type": "message", "event": subscription.name, "activity": subscription.activity})
        }
        SubscriptionKind::Signal => {
            json!({"type": "signal", "event": subscription.name, "activity": subscription.activity})
        }
        SubscriptionKind::Conditional => json!({"type": "conditional", "activity": subscription.activity}),
    });
    let wanted: Vec<Json> =
        list("subscriptions").iter().filter(|s| s["type"] != "compensate").cloned().collect();
    multiset("subscriptions", subscriptions.collect(), &wanted)?;
    timers(instance, list("timers"))?;
    let asyncs = instance.jobs.values().filter(|job| job.kind != "timer");
    let asyncs =
        asyncs.map(|job| json!({"activity": job.activity, "kind": job.kind, "retries": job.retries}));
    multiset("asyncJobs", asyncs.collect(), &without(list("asyncJobs"), "due"))?;
    let failed = instance.jobs.values().filter(|job| job.retries == 0);
    let failed = failed.map(|job| json!({"type": "failedJob", "activity": job.activity}));
    let lost = instance.externals.values().filter(|job| job.retries == Some(0));
    let lost = lost.map(|job| json!({"type": "failedExternalTask", "activity": job.activity}));
    multiset("incidents", failed.chain(lost).collect(), list("incidents"))?;
    let variables =
        instance.variables().into_iter().map(|(scope, values)| json!({"scope": scope, "values": values}));
    multiset("variables", variables.collect(), list("variables"))
}

/// Timers are due within one second of the recorded time.
fn timers(instance: &Instance, recorded: &[Json]) -> Result<(), String> {
    let mut open: Vec<_> = instance.jobs.values().filter(|job| job.kind == "timer").collect();
    for wanted in recorded {
        let retries = wanted.get("retries").and_then(Json::as_i64).unwrap_or(RETRIES);
        let due = wanted["due"].as_i64().unwrap_or_default();
        let fits = open.iter().position(|job| {
            wanted["activity"] == job.activity
                && job.retries == retries
                && (job.due.unwrap_or_default() / 1000 - due).abs() <= 1
        });
        match fits {
            Some(at) => open.remove(at),
            None => return Err(format!("no timer like {wanted}")),
        };
    }
    match open.first() {
        None => Ok(()),
        Some(job) => Err(format!("unrecorded timer of {}", job.activity)),
    }
}

fn without(list: &[Json], key: &str) -> Vec<Json> {
    let mut list = list.to_vec();
    for entry in list.iter_mut().filter_map(Json::as_object_mut) {
        entry.remove(key);
    }
    list
}

fn multiset(what: &str, mut seen: Vec<Json>, recorded: &[Json]) -> Result<(), String> {
    let mut missing = Vec::new();
    for wanted in recorded {
        match seen.iter().position(|entry| equal(entry, wanted)) {
            Some(at) => {
                seen.swap_remove(at);
            }
            None => missing.push(wanted),
        }
    }
    if seen.is_empty() && missing.is_empty() {
        return Ok(());
    }
    let show = |list: Vec<String>| list.join(" ");
    let extra = show(seen.iter().map(Json::to_string).collect());
    let missing = show(missing.into_iter().map(Json::to_string).collect());
    Err(format!("{what}: not recorded: [{extra}], missing: [{missing}]"))
}

/// Numbers compare by value, except that a recorded decimal wants a decimal.
fn equal(seen: &Json, recorded: &Json) -> bool {
    match (seen, recorded) {
        (Json::Number(seen), Json::Number(recorded)) => seen.as_f64() == recorded.as_f64(),
        (Json::Array(seen), Json::Array(recorded)) => {
            seen.len() == recorded.len() && seen.iter().zip(recorded).all(|(a, b)| equal(a, b))
        }
        (Json::Object(seen), Json::Object(recorded)) => {
            seen.len() == recorded.len()
                && seen.iter().all(|(key, value)| recorded.get(key).is_some_and(|other| equal(value, other)))
        }
        _ => seen == recorded,
    }
}
