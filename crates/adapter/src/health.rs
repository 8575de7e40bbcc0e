//! Answers an operator's question how this replica is. It asks no other system: it tells what is known.
use std::sync::Arc;

use messaging::{
    connect::{Nats, RequestError},
    engine::Reply,
    health::{BackendHealth, Health},
};
use tokio::task::JoinHandle;

use crate::forward::{Backlog, here};

/// Questions answered at the same time.
const QUESTIONS: usize = 4;

/// Answers on `subject` until the task is aborted. Every replica answers: breakers and backlogs are its
/// own.
///
/// # Errors
/// [`RequestError`] when the subject cannot be subscribed to.
pub async fn serve(
    nats: &Nats,
    subject: &str,
    service: &'static str,
    backlog: Arc<Backlog>,
    backends: impl Fn() -> Vec<BackendHealth> + Send + Sync + 'static,
) -> Result<JoinHandle<()>, RequestError> {
    let replica = format!("{}/{}", here(), std::process::id());
    // A group of one: no other replica takes the question away.
    let group = format!("{service}-{}", uuid::Uuid::new_v4().simple());
    let answer = move |_: serde_json::Value| {
        let health = Health {
            service: service.to_owned(),
            replica: replica.clone(),
            backends: backends(),
            audit: backlog.health(),
        };
        async move { Reply::Ok(health) }
    };
    nats.serve(subject, &group, QUESTIONS, Reply::Invalid, answer).await
}
