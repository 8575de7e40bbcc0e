//! The autostart process: a ping to the own site's ping process in an interval.
use messaging::job::{Job, Outcome, SendRequest};
use serde_json::json;
use uuid::Uuid;

use super::{CODES, TARGET_ENDPOINTS, message};
use crate::{
    endpoint::Endpoints,
    outcome::{Failure, done, object, text},
    target,
    task::ReceivedTask,
};

/// Time between two pings where the start Task names none.
const INTERVAL: &str = "PT24H";
/// Input with the time between two pings.
const TIMER_INTERVAL: &str = "timer-interval";

/// Sets the receiver, which is the site itself, and the interval.
pub(super) async fn configure(endpoints: &Endpoints, job: &Job) -> Result<Outcome, Failure> {
    let start = ReceivedTask::start(job)?;
    let interval = start.input(CODES, TIMER_INTERVAL, "valueString")?.unwrap_or(INTERVAL).to_owned();
    let own = target::own(&endpoints.site().await?);
    Ok(done([("timerInterval", text(&interval)), ("target", object(json!(own)))]))
}

/// Sends `startPing`. Every ping is an instance of its own, so each has a business key of its own.
pub(super) fn send(job: &Job) -> Result<Outcome, Failure> {
    let start = ReceivedTask::start(job)?;
    let inputs = start
        .input(CODES, TARGET_ENDPOINTS, "valueString")?
        .map(|query| message::input(TARGET_ENDPOINTS, "valueString", json!(query)));
    let request = message::request(job, target::of(job)?, inputs.into_iter().collect())?;
    let business_key = Some(Uuid::new_v4().to_string());
    Ok(Outcome::Send(Box::new(SendRequest { business_key, ..request })))
}
