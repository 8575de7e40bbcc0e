//! The steps of a scenario (`vectors/bpmn/README.md`, "scenario.json").
use std::sync::Arc;

use serde_json::Value as Json;
use uuid::Uuid;

use super::site::{ENGINE_ERROR, Failure, Site};
use crate::effect::SubscriptionKind;
use crate::{Command, Definition, StartAt, StartTrigger, Value, Variables};

/// Plays one step; gives the error as the recorded runs name it.
pub(super) fn play(site: &mut Site, scenario: &Json, action: &Json, start: bool) -> Option<Failure> {
    for instance in &mut site.instances {
        instance.events.clear();
    }
    let before = site.clone();
    let result = if start { start_instance(site, scenario, action) } else { perform(site, scenario, action) };
    match result {
        Ok(()) => None,
        Err(failure) => {
            *site = before;
            Some(failure)
        }
    }
}

fn perform(site: &mut Site, scenario: &Json, action: &Json) -> Result<(), Failure> {
    let variables = || variables(action.get("variables"));
    let index = usize::try_from(action["instance"].as_u64().unwrap_or(0)).unwrap_or(usize::MAX);
    match text(action, "do").unwrap_or_default() {
        "start" => start_instance(site, scenario, action),
        "complete" => {
            let local_variables = self::variables(action.get("localVariables"));
            let all = action["all"] == Json::Bool(true);
            let jobs = externals(site, action)?;
            for (instance, job) in jobs.into_iter().take(if all { usize::MAX } else { 1 }) {
                let (variables, local_variables) = (variables(), local_variables.clone());
                site.command(instance, Command::JobDone { job, variables, local_variables })?;
            }
            Ok(())
        }
        "bpmnError" => {
            let (instance, job) = externals(site, action)?.first().copied().ok_or("no-such-task")?;
            let code = text(action, "code").unwrap_or_default().to_owned();
            let message = text(action, "message").map(str::to_owned);
            site.command(instance, Command::JobBpmnError { job, code, message, variables: variables() })
        }
        "fail" => {
            let (instance, job) = externals(site, action)?.first().copied().ok_or("no-such-task")?;
            let timeout = text(action, "retryTimeout").and_then(|text| crate::iso8601::duration(text).ok());
            let clock = site.clock;
            if let Some(external) = site.instances[instance].externals.get_mut(&job) {
                external.retries = action["retries"].as_i64();
                external.locked_until = timeout.map(|timeout| clock + timeout.as_millis());
                external.error = text(action, "message").map(str::to_owned);
            }
            Ok(())
        }
        "setExternalRetries" => {
            let (instance, job) = matching(site, action).first().copied().ok_or("no-such-task")?;
            if let Some(external) = site.instances[instance].externals.get_mut(&job) {
                external.retries = action["retries"].as_i64();
            }
            Ok(())
        }
        "message" => correlate(site, action),
        "signal" => site.signal(text(action, "name").unwrap_or_default(), &variables()),
        "advance" => {
            let by = text(action, "by").and_then(|text| crate::iso8601::duration(text).ok());
            site.clock += by.ok_or(ENGINE_ERROR)?.as_millis() + 1;
            run_jobs(site, action);
            Ok(())
        }
        "runJobs" => {
            run_jobs(site, action);
            Ok(())
        }
        "setJobRetries" => {
            let retries = action["retries"].as_i64().unwrap_or_default();
            let activity = text(action, "activity");
            for job in site.instances.iter_mut().flat_map(|instance| instance.jobs.values_mut()) {
                if activity.is_none_or(|activity| job.activity == activity) {
                    job.retries = retries;
                }
            }
            Ok(())
        }
        "completeTask" => {
            let mut found = None;
            for (index, instance) in site.instances.iter().enumerate() {
                for (id, activity) in &instance.user_tasks {
                    let fits = text(action, "activity").is_none_or(|wanted| wanted == activity)
                        && action["instance"].as_u64().is_none_or(|wanted| wanted == index as u64)
                        && instance.sees(*id, action.get("where"));
                    if fits && found.is_none_or(|(_, oldest)| *id < oldest) {
                        found = Some((index, *id));
                    }
                }
            }
            let (instance, task) = found.ok_or("no-such-task")?;
            site.command(instance, Command::UserTaskCompleted { task, variables: variables(), source: None })
        }
        "setVariables" => site.command(index, Command::SetVariables { variables: variables() }),
        "cancel" => site.command(index, Command::Cancel { reason: "cancelled".to_owned() }),
        _ => Err("unknown step"),
    }
}

fn start_instance(site: &mut Site, scenario: &Json, action: &Json) -> Result<(), Failure> {
    let key = text(action, "businessKey").map(str::to_owned);
    let variables = variables(action.get("variables"));
    if let Some(message) = text(action, "message") {
        let candidates = site.started_by(message);
        return match candidates.as_slice() {
            [definition] => {
                site.start(Arc::clone(definition), StartAt::Message(message.to_owned()), key, variables)
            }
            [] => Err("correlation-none"),
            _ => Err("correlation-ambiguous"),
        };
    }
    let process = text(action, "process").or(text(scenario, "process")).unwrap_or_default();
    let definition = site.definition(process).ok_or(ENGINE_ERROR)?;
    let at = none_start(&definition);
    site.start(definition, at, key, variables)
}

/// A start by key uses the none start event, else the only start event there is.
fn none_start(definition: &Definition) -> StartAt {
    match definition.start_events().as_slice() {
        [only] if only.trigger != StartTrigger::None => StartAt::Event(only.id.clone()),
        _ => StartAt::None,
    }
}

/// External jobs that fit the selector, oldest first, whether they can be taken or not.
fn matching(site: &Site, action: &Json) -> Vec<(usize, Uuid)> {
    let mut found = Vec::new();
    for (index, instance) in site.instances.iter().enumerate() {
        for (id, job) in &instance.externals {
            let fits = text(action, "topic").is_none_or(|topic| topic == job.topic)
                && text(action, "activity").is_none_or(|activity| activity == job.activity)
                && action["instance"].as_u64().is_none_or(|wanted| wanted == index as u64)
                && instance.sees(*id, action.get("where"));
            if fits {
                found.push((*id, index));
            }
        }
    }
    found.sort_unstable();
    found.into_iter().map(|(id, index)| (index, id)).collect()
}

/// Those that can be taken.
fn externals(site: &Site, action: &Json) -> Result<Vec<(usize, Uuid)>, Failure> {
    let all = matching(site, action);
    if all.is_empty() {
        return Err("no-such-task");
    }
    let available = |(index, id): &(usize, Uuid)| {
        let job = &site.instances[*index].externals[id];
        job.retries != Some(0) && job.locked_until.is_none_or(|until| until <= site.clock)
    };
    let available: Vec<(usize, Uuid)> = all.into_iter().filter(available).collect();
    if available.is_empty() { Err("task-not-available") } else { Ok(available) }
}

fn correlate(site: &mut Site, action: &Json) -> Result<(), Failure> {
    let name = text(action, "name").unwrap_or_default();
    let key = text(action, "businessKey");
    let mut waiting = Vec::new();
    for (index, instance) in site.instances.iter().enumerate() {
        for (id, subscription) in &instance.subscriptions {
            let fits = subscription.kind == SubscriptionKind::Message
                && subscription.name == name
                && action["instance"].as_u64().is_none_or(|wanted| wanted == index as u64)
                && key.is_none_or(|key| instance.state.business_key() == Some(key))
                && instance.has_anywhere(action.get("correlationKeys"))
                && instance.has_local(*id, action.get("localCorrelationKeys"));
            if fits {
                waiting.push((index, *id));
            }
        }
    }
    let all = action["all"] == Json::Bool(true);
    if waiting.len() > 1 && !all {
        return Err("correlation-ambiguous");
    }
    let started = if waiting.is_empty() || all { site.started_by(name) } else { Vec::new() };
    if waiting.is_empty() && !all {
        return match started.as_slice() {
            [definition] => {
                let at = StartAt::Message(name.to_owned());
                site.start(
                    Arc::clone(definition),
                    at,
                    key.map(str::to_owned),
                    variables(action.get("variables")),
                )
            }
            [] => Err("correlation-none"),
            _ => Err("correlation-ambiguous"),
        };
    }
    for (index, subscription) in waiting {
        if site.instances[index].subscriptions.contains_key(&subscription) {
            let variables = variables(action.get("variables"));
            site.command(index, Command::Message { subscription, variables, source: None })?;
        }
    }
    for definition in started {
        let at = StartAt::Message(name.to_owned());
        site.start(definition, at, key.map(str::to_owned), variables(action.get("variables")))?;
    }
    Ok(())
}

fn run_jobs(site: &mut Site, action: &Json) {
    let passes = action["passes"].as_u64().unwrap_or(u64::MAX);
    let mut pass = 0;
    while pass < passes {
        let due = site.due_jobs();
        if due.is_empty() {
            return;
        }
        for (index, id) in due {
            site.run_job(index, id);
        }
        pass += 1;
    }
}

fn text<'a>(json: &'a Json, key: &str) -> Option<&'a str> {
    json.get(key).and_then(Json::as_str)
}

fn variables(json: Option<&Json>) -> Variables {
    let entries = json.and_then(Json::as_object).into_iter().flatten();
    entries.map(|(name, value)| (name.clone(), Value::from_json(value.clone()))).collect()
}
