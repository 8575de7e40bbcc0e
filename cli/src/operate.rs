//! What the operators' commands share: where, who and why, and one line per site of what came of it.
use std::time::Duration;

use anyhow::{Context, Result};
use messaging::{
    connect::Nats,
    operate::{Action, Operation},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::plugin::{self, Target};

/// Longest wait for an answer of the engine.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// Who does it, and why; recorded in the audit.
#[derive(Debug, clap::Args)]
pub struct Who {
    /// Who does it; recorded.
    #[arg(long, env = "DSF_OPERATOR")]
    actor: String,
    /// Why; recorded, and sent as error text where a process is ended. No personal data.
    #[arg(long, default_value = "")]
    reason: String,
}

impl Who {
    /// Name and reason.
    pub fn parts(&self) -> (String, String) {
        (self.actor.clone(), self.reason.clone())
    }
}

/// Asks every site that the target names.
///
/// # Errors
/// The first refusal, with the name of the site.
pub async fn ask<Q: Serialize, A: DeserializeOwned>(
    target: Target,
    subject: &str,
    request: &Q,
) -> Result<Vec<(String, A)>> {
    let mut answers = Vec::new();
    for (site, operator) in plugin::operators(target).await? {
        let answer = operator.ask(subject, request, TIMEOUT).await.with_context(|| site.clone())?;
        answers.push((site, answer));
    }
    Ok(answers)
}

/// Does something at every site that the target names.
///
/// # Errors
/// As [`ask`].
pub async fn act(target: Target, who: &Who, action: Action) -> Result<()> {
    let verb = action.verb();
    for (site, operator) in plugin::operators(target).await? {
        let operation =
            Operation { actor: who.actor.clone(), reason: who.reason.clone(), action: action.clone() };
        send(&operator, &operation).await.with_context(|| site.clone())?;
        println!("{site}: {verb} done");
    }
    Ok(())
}

async fn send(operator: &Nats, operation: &Operation) -> Result<()> {
    Ok(operator.ask::<_, ()>(operation.action.subject(), operation, TIMEOUT).await?)
}
