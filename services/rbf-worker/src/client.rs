//! How to ask an rbf-worker: seals keys, asks again after an outage, and carries a run to its end even
//! when the replica that keeps it dies.
use std::time::{Duration, Instant};

use messaging::{
    connect::{Nats, RequestError},
    linkage::{
        EncodeReply, EncodeRequest, KEYS_CONTEXT, Persons, RecipientReply, RunCommand, RunGroup, RunReply,
        RunRequest, RunStatus, RunSummary, StartRequest, Started,
    },
    recipient::{Context, Recipient},
    subject,
};
use serde::{Serialize, de::DeserializeOwned};

/// Longest wait for one answer, after which the question is asked again: longer than two questions of the
/// worker to the mpi-adapter take, short enough not to wait for a replica that died.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// Pause before a question is repeated, and between questions about the state of a run.
const PAUSE: Duration = Duration::from_millis(100);

/// Records of the sites of a run, in pieces.
pub trait Records: Sync {
    /// Filters and encrypted ids of a site from a place on: as many as fit into a message, at least one.
    fn piece(&self, site: u32, from: u64) -> (Vec<String>, Vec<String>);
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No worker answered in time, or it refused.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The matching failed.
    #[error("matching: {0}")]
    Matching(String),
    /// Keys cannot be sealed.
    #[error("keys cannot be sealed to the worker")]
    Seal,
    /// The worker answered something else than what was asked.
    #[error("the worker's answer is not one to the question")]
    Answer,
    /// Somebody cancelled.
    #[error("the run was cancelled")]
    Cancelled,
}

/// Asks the workers of a site.
#[derive(Clone)]
pub struct Client {
    nats: Nats,
    /// How long to try in all while nobody answers.
    patience: Duration,
}

impl Client {
    /// Over a connection that may ask `rbf.*`. `patience` is how long to try while nobody answers.
    #[must_use]
    pub fn new(nats: Nats, patience: Duration) -> Self {
        Self { nats, patience }
    }

    /// Asks again while nobody answers.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        subject: &str,
        request: &Q,
    ) -> Result<A, RequestError> {
        let started = Instant::now();
        loop {
            match self.nats.ask(subject, request, TIMEOUT.min(self.patience)).await {
                Err(RequestError::Unavailable { .. }) if started.elapsed() < self.patience => {
                    tokio::time::sleep(PAUSE).await;
                }
                other => return other,
            }
        }
    }

    /// The filters of persons, with keys sealed for this request.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn encode(
        &self,
        request_id: &str,
        profile: &str,
        keys: &[u8],
        ids: Vec<String>,
    ) -> Result<EncodeReply, Error> {
        let to: RecipientReply = self.ask(subject::RBF_RECIPIENT, &()).await?;
        let context = Context { site: &to.site, request_id, profile: KEYS_CONTEXT };
        let sealed = Recipient::new(&to.public_key).and_then(|recipient| recipient.seal(context, keys));
        let request = EncodeRequest {
            request_id: request_id.to_owned(),
            profile: profile.to_owned(),
            keys: sealed.map_err(|_| Error::Seal)?,
            persons: Persons::Ids(ids),
        };
        Ok(self.ask(subject::RBF_ENCODE, &request).await?)
    }

    /// Carries a run to its end. `watch` sees every state and answers whether to go on. When the replica
    /// dies the run begins again at another one.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn link(
        &self,
        start: &StartRequest,
        records: &impl Records,
        mut watch: impl FnMut(&RunStatus) -> bool,
    ) -> Result<(RunSummary, Vec<RunGroup>), Error> {
        let began = Instant::now();
        loop {
            let run: Started = self.ask(subject::RBF_START, start).await?;
            match self.attempt(&run, start, records, &mut watch).await {
                Err(Error::Request(RequestError::Unavailable { .. }) | Error::Answer)
                    if began.elapsed() < self.patience => {}
                other => {
                    // An error leaves it to the worker to forget the run.
                    let _ = self.tell(&run, RunCommand::End).await;
                    return other;
                }
            }
        }
    }

    async fn attempt(
        &self,
        run: &Started,
        start: &StartRequest,
        records: &impl Records,
        watch: &mut impl FnMut(&RunStatus) -> bool,
    ) -> Result<(RunSummary, Vec<RunGroup>), Error> {
        for (site, of) in (0..).zip(&start.sites) {
            let mut from = 0;
            while from < of.records {
                let (filters, ids) = records.piece(site, from);
                from += filters.len().max(1) as u64;
                let first = from - filters.len() as u64;
                let status = self.state(run, RunCommand::Add { site, from: first, filters, ids }).await?;
                if !watch(&status) {
                    return Err(Error::Cancelled);
                }
            }
        }
        let mut status = self.state(run, RunCommand::Match).await?;
        let summary = loop {
            if !watch(&status) {
                return Err(Error::Cancelled);
            }
            match status {
                RunStatus::Done(summary) => break summary,
                RunStatus::Failed(reason) => return Err(Error::Matching(reason)),
                RunStatus::Ended => return Err(Error::Answer),
                RunStatus::Loading(_) | RunStatus::Matching(..) => tokio::time::sleep(PAUSE).await,
            }
            status = self.state(run, RunCommand::Status).await?;
        };
        let (mut groups, mut offset) = (Vec::new(), Some(0));
        while let Some(from) = offset {
            let RunReply::Groups(page) = self.tell(run, RunCommand::Groups { offset: from }).await? else {
                return Err(Error::Answer);
            };
            groups.extend(page.groups);
            offset = page.next;
        }
        Ok((summary, groups))
    }

    async fn state(&self, run: &Started, command: RunCommand) -> Result<RunStatus, Error> {
        match self.tell(run, command).await? {
            RunReply::Status(RunStatus::Ended) | RunReply::Groups(_) => Err(Error::Answer),
            RunReply::Status(status) => Ok(status),
        }
    }

    /// One try: nobody there means that the replica is gone.
    async fn tell(&self, run: &Started, command: RunCommand) -> Result<RunReply, RequestError> {
        let request = RunRequest { run: run.run.clone(), command };
        self.nats.ask(&run.subject, &request, TIMEOUT.min(self.patience)).await
    }
}
