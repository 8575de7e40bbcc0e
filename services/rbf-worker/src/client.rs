//! How to ask an rbf-worker: seals keys, asks again after an outage, and carries runs and data sets to their
//! end even when the replica that keeps them dies.
use std::time::{Duration, Instant};

use linkage::bits::Bits;
use messaging::{
    bulk::{
        DataSetCommand, DataSetReply, DataSetRequest, DataSetStart, DataSetStarted, MAX_PIECE, Octets,
        RunLoaded, RunRecords,
    },
    connect::{Nats, RequestError},
    linkage::{
        EncodeReply, EncodeRequest, KEYS_CONTEXT, Persons, RecipientReply, RunCommand, RunGroup, RunReply,
        RunRequest, RunStatus, RunSummary, StartRequest, Started,
    },
    recipient::{Context, Recipient},
    subject,
};
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

/// Longest wait for one answer, after which the question is asked again: longer than two questions of the
/// worker to the mpi-adapter take, short enough not to wait for a replica that died.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// Pause before a question is repeated, and between questions about the state of a run.
const PAUSE: Duration = Duration::from_millis(100);

/// How often a run or data set is begun again after the replica that kept it was gone. What takes every
/// worker with it must not do so for ever.
const RESTARTS: u32 = 10;

/// Records of the sites of a run, in pieces.
pub trait Records: Sync {
    /// Filters and encrypted ids of a site from a place on: as many as fit into a message, at least one. A
    /// thousand of 3000 bits do.
    fn piece(&self, site: u32, from: u64) -> (Vec<Bits>, Vec<String>);
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
    /// The data set cannot be encrypted or decrypted. For a decryption the same text whatever the cause.
    #[error("data set: {0}")]
    DataSet(String),
    /// Keys cannot be sealed.
    #[error("keys cannot be sealed to the worker")]
    Seal,
    /// The worker answered something else than what was asked.
    #[error("the worker's answer is not one to the question")]
    Answer,
    /// [`Records`] has fewer records of the site than were announced.
    #[error("site {0} has fewer records than were announced")]
    Records(u32),
    /// The content has fewer bytes than were announced; so many are there.
    #[error("the content has {0} bytes, fewer than were announced")]
    Bytes(u64),
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
            match self.nats.ask(subject, request, self.wait()).await {
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
        let mut restarts = 0;
        loop {
            let run: Started = self.ask(subject::RBF_START, start).await?;
            let outcome = self.attempt(&run, start, records, &mut watch).await;
            if gone(&outcome) && restarts < RESTARTS {
                restarts += 1;
                continue;
            }
            // An error leaves it to the worker to forget the run.
            let _ = self.tell(&run, RunCommand::End).await;
            return outcome;
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
                if filters.is_empty() {
                    return Err(Error::Records(site));
                }
                let mut bytes = Zeroizing::new(Vec::new());
                filters.iter().for_each(|filter| filter.append_to(&mut bytes));
                let piece = RunRecords { run: run.run.clone(), site, from, filters: Octets(bytes), ids };
                from += filters.len() as u64;
                let loaded: RunLoaded = self.nats.ask_sealed(&run.records, &piece, self.wait()).await?;
                if !watch(&RunStatus::Loading(loaded.records.ok_or(Error::Answer)?)) {
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
        self.nats.ask(&run.subject, &request, self.wait()).await
    }

    /// Encrypts or decrypts a data set of the MII processes, of any size that the workers allow. `watch` sees
    /// every answer and says whether to go on. When the replica dies it begins again at another one.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn data_set(
        &self,
        start: &DataSetStart,
        content: &[u8],
        mut watch: impl FnMut(&DataSetReply) -> bool,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut restarts = 0;
        loop {
            let set: DataSetStarted = self.ask(subject::RBF_DATA_SET, start).await?;
            let outcome = self.through(&set, content, &mut watch).await;
            if gone(&outcome) && restarts < RESTARTS {
                restarts += 1;
                continue;
            }
            // An error leaves it to the worker to forget the data set.
            let _ = self.say(&set, DataSetCommand::End, &mut |_| true).await;
            return outcome;
        }
    }

    async fn through(
        &self,
        set: &DataSetStarted,
        content: &[u8],
        watch: &mut impl FnMut(&DataSetReply) -> bool,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut from = 0;
        let mut state = loop {
            let piece = content.get(from..).unwrap_or_default();
            let piece = piece.get(..MAX_PIECE).unwrap_or(piece);
            let put = DataSetCommand::Put { from: from as u64, content: piece.into() };
            let state = self.say(set, put, watch).await?;
            from += piece.len();
            // An empty one takes a piece, too. A data set that was there before, or is gone, wants no more.
            if from >= content.len() || !matches!(state, DataSetReply::Loading(_)) {
                break state;
            }
        };
        let bytes = loop {
            match state {
                DataSetReply::Done(bytes) => break usize::try_from(bytes).map_err(|_| Error::Answer)?,
                DataSetReply::Failed(reason) => return Err(Error::DataSet(reason)),
                DataSetReply::Working => tokio::time::sleep(PAUSE).await,
                DataSetReply::Loading(there) => return Err(Error::Bytes(there)),
                DataSetReply::Piece(_) | DataSetReply::Ended => return Err(Error::Answer),
            }
            state = self.say(set, DataSetCommand::Status, watch).await?;
        };
        // In one piece from the start: what grows leaves copies behind.
        let mut result = Zeroizing::new(Vec::with_capacity(bytes));
        while result.len() < bytes {
            let get = DataSetCommand::Get { from: result.len() as u64 };
            let DataSetReply::Piece(piece) = self.say(set, get, watch).await? else {
                return Err(Error::Answer);
            };
            if piece.0.is_empty() || piece.0.len() > bytes - result.len() {
                return Err(Error::Answer);
            }
            result.extend_from_slice(&piece.0);
        }
        Ok(result)
    }

    /// One try, as [`Client::tell`].
    async fn say(
        &self,
        set: &DataSetStarted,
        command: DataSetCommand,
        watch: &mut impl FnMut(&DataSetReply) -> bool,
    ) -> Result<DataSetReply, Error> {
        let request = DataSetRequest { set: set.set.clone(), command };
        let reply = self.nats.ask_sealed(&set.subject, &request, self.wait()).await?;
        if watch(&reply) { Ok(reply) } else { Err(Error::Cancelled) }
    }

    fn wait(&self) -> Duration {
        TIMEOUT.min(self.patience)
    }
}

/// Whether the replica is gone, or what it kept: worth another beginning.
fn gone<T>(outcome: &Result<T, Error>) -> bool {
    matches!(outcome, Err(Error::Request(RequestError::Unavailable { .. }) | Error::Answer))
}
