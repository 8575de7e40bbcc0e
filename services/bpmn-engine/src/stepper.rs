//! Batches inputs into transactions. Each stepper runs one transaction at a time; what arrives
//! meanwhile makes up the next batch, so that commits are shared under load and nobody waits without.
use std::{
    collections::{BTreeMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use database::Pool;
use futures_util::FutureExt;
use messaging::{engine::Reply, job::WRITE_BACK};
use tokio::sync::{Notify, mpsc, oneshot};
use uuid::Uuid;

use crate::{
    definitions::Definitions,
    error::Error,
    fuse::{self, Fuse, Place},
    hints::Hints,
    metrics::Metrics,
    pace::Pace,
    settings::Limits,
    unit::{self, After, Answer, Input, Traced},
};

/// Most inputs of one transaction: bounds how long its locks are held.
const BATCH: usize = 64;
/// Most starts of one transaction, so that answers to running instances get through.
const STARTS_PER_BATCH: usize = 16;
/// Inputs that wait for a stepper; more wait at their senders.
const QUEUE: usize = 1024;
/// How often a batch is repeated when another transaction was in its way.
const CONFLICTS: u32 = 8;
/// See [`fuse`]; only a process that is about to die waits for it.
const ANSWERS_LEAVE: Duration = Duration::from_millis(50);

/// An input on its way, with where to answer.
struct Queued {
    input: Input,
    traceparent: Option<String>,
    answer: Option<oneshot::Sender<Reply<Answer>>>,
}

#[derive(Clone)]
struct Lanes {
    /// May belong to a running instance.
    keyed: mpsc::Sender<Queued>,
    /// Cannot.
    new: mpsc::Sender<Queued>,
}

/// Everything the parts of a running engine share.
pub struct Core {
    /// Database.
    pub pool: Pool,
    /// Compiled models.
    pub definitions: Definitions,
    /// Settings of transactions.
    pub limits: Limits,
    /// Where ready jobs are told.
    pub hints: Hints,
    /// What is counted.
    pub metrics: Metrics,
    /// How long activities take.
    pub pace: Pace,
    /// Where a test lets this process die.
    pub fuse: Fuse,
    /// Woken when a timer was set.
    pub timers: Notify,
    lanes: Vec<Lanes>,
    next: AtomicUsize,
    admission: Mutex<Admission>,
    /// Messages whose write-back is told of later, unless a final status comes first.
    deferred: Mutex<HashSet<Uuid>>,
}

/// Requesters with queued starts, as far as this replica knows.
#[derive(Default)]
struct Admission {
    queued: HashSet<String>,
    running: HashSet<String>,
}

impl Core {
    /// Starts the steppers. They end when the last clone of the core is gone.
    pub fn start(
        pool: Pool,
        limits: Limits,
        hints: Hints,
        fuse: Fuse,
        steppers: usize,
    ) -> (Arc<Self>, Vec<tokio::task::JoinHandle<()>>) {
        let mut lanes = Vec::new();
        let mut receivers = Vec::new();
        for _ in 0..steppers.max(1) {
            let (keyed, keyed_inputs) = mpsc::channel(QUEUE);
            let (new, new_inputs) = mpsc::channel(QUEUE);
            lanes.push(Lanes { keyed, new });
            receivers.push((keyed_inputs, new_inputs));
        }
        let core = Arc::new(Self {
            pool,
            definitions: Definitions::default(),
            limits,
            hints,
            metrics: Metrics::new(),
            pace: Pace::default(),
            fuse,
            timers: Notify::new(),
            lanes,
            next: AtomicUsize::new(0),
            admission: Mutex::default(),
            deferred: Mutex::default(),
        });
        let tasks = receivers
            .into_iter()
            .map(|(keyed, new)| tokio::spawn(step_loop(Arc::clone(&core), keyed, new)))
            .collect();
        (core, tasks)
    }

    /// Gives an input to a stepper and waits for its answer.
    pub async fn ask(&self, input: Input) -> Reply<Answer> {
        let (sender, receiver) = oneshot::channel();
        self.put(input, Some(sender)).await;
        receiver.await.unwrap_or_else(|_| Reply::Unavailable("the engine is stopping".to_owned()))
    }

    /// Gives an input to a stepper.
    pub async fn tell(&self, input: Input) {
        self.put(input, None).await;
    }

    async fn put(&self, input: Input, answer: Option<oneshot::Sender<Reply<Answer>>>) {
        let lanes = &self.lanes[self.place(&input)];
        let lane = match &input {
            Input::Deliver(request) if request.business_key.is_none() => &lanes.new,
            Input::Admit(_) | Input::Expire => &lanes.new,
            _ => &lanes.keyed,
        };
        let queued = Queued { input, traceparent: telemetry::context::current(), answer };
        // A closed lane drops the answer channel, which the asker sees.
        let _ = lane.send(queued).await;
    }

    /// One key goes to one stepper, which saves waiting for its lock.
    fn place(&self, input: &Input) -> usize {
        let hash = match input {
            Input::Deliver(request) => request.business_key.as_ref().map(|key| {
                let mut hasher = DefaultHasher::new();
                (key, &request.process_key).hash(&mut hasher);
                usize::try_from(hasher.finish() % 1_000_003).unwrap_or_default()
            }),
            _ => None,
        };
        hash.unwrap_or_else(|| self.next.fetch_add(1, Ordering::Relaxed)) % self.lanes.len()
    }

    fn admission(&self) -> MutexGuard<'_, Admission> {
        self.admission.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers who has queued starts; the sweep knows.
    pub fn set_queued(&self, requesters: HashSet<String>) {
        self.admission().queued = requesters;
    }

    /// Starts an admission for a requester unless one is on its way.
    pub fn admit(self: &Arc<Self>, requester: String) {
        {
            let mut admission = self.admission();
            if !admission.queued.contains(&requester) || !admission.running.insert(requester.clone()) {
                return;
            }
        }
        let core = Arc::clone(self);
        tokio::spawn(async move {
            let _ = core.ask(Input::Admit(requester.clone())).await;
            core.admission().running.remove(&requester);
        });
    }

    /// What follows a committed transaction.
    pub(crate) async fn after(self: &Arc<Self>, after: After) {
        self.metrics.instances(after.started, after.ended);
        self.pace.count(after.durations);
        self.hints.tell(&after.ready).await;
        self.defer(after.deferred, &after.settled);
        if after.earliest.is_some() {
            self.timers.notify_one();
        }
        if !after.due_jobs.is_empty() {
            self.run_own_jobs(after.due_jobs);
        }
        self.admission().queued.extend(after.queued);
        for requester in after.freed {
            self.admit(requester);
        }
    }

    fn deferred(&self) -> MutexGuard<'_, HashSet<Uuid>> {
        self.deferred.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of write-backs when they are due, but not of those that a final status overtook: they were
    /// told of with that. What is lost here with the process, the sweep finds.
    fn defer(self: &Arc<Self>, deferred: Vec<Uuid>, settled: &[Uuid]) {
        {
            let mut waiting = self.deferred();
            waiting.extend(&deferred);
            for id in settled {
                waiting.remove(id);
            }
        }
        if deferred.is_empty() {
            return;
        }
        let core = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(core.limits.coalesce).await;
            let due = {
                let mut waiting = core.deferred();
                deferred.iter().filter(|id| waiting.remove(id)).count()
            };
            if due > 0 {
                core.hints.tell(&BTreeMap::from([(WRITE_BACK.to_owned(), due)])).await;
            }
        });
    }

    /// Runs work of our own without waiting for it.
    pub fn run_own_jobs(self: &Arc<Self>, jobs: Vec<Uuid>) {
        let core = Arc::clone(self);
        // Not inline: a stepper must never wait for room in its own queue.
        tokio::spawn(async move {
            for job in jobs {
                core.tell(Input::Job(job)).await;
            }
        });
    }
}

async fn step_loop(core: Arc<Core>, mut keyed: mpsc::Receiver<Queued>, mut new: mpsc::Receiver<Queued>) {
    loop {
        let first = tokio::select! {
            biased;
            first = keyed.recv() => first,
            first = new.recv() => first,
        };
        let Some(first) = first else { return };
        let mut batch = vec![first];
        while batch.len() < BATCH - STARTS_PER_BATCH {
            let Ok(next) = keyed.try_recv() else { break };
            batch.push(next);
        }
        for _ in 0..STARTS_PER_BATCH {
            let Ok(next) = new.try_recv() else { break };
            batch.push(next);
        }
        let (answers, after) = process(&core, &batch).await;
        let burns = |queued: &Queued| core.fuse.burns_at(queued.input.point(), Place::AfterAnswer);
        let dies = batch.iter().any(burns);
        for (queued, answer) in batch.into_iter().zip(answers) {
            if let Some(sender) = queued.answer {
                let _ = sender.send(answer);
            }
        }
        if dies {
            // Time for the answers to get onto the wire; a lost one would be the place before.
            tokio::time::sleep(ANSWERS_LEAVE).await;
            core.hints.flush().await;
            fuse::die();
        }
        for after in after {
            core.after(after).await;
        }
    }
}

/// Runs a batch, in parts where one input spoils it for the others.
async fn process(core: &Core, batch: &[Queued]) -> (Vec<Reply<Answer>>, Vec<After>) {
    let inputs: Vec<Traced> =
        batch.iter().map(|queued| (queued.input.clone(), queued.traceparent.clone())).collect();
    let whole = transact(core, &inputs).await;
    match whole {
        Ok((answers, after)) => (answers.into_iter().map(Reply::Ok).collect(), vec![after]),
        Err(error) if error.is_local() && inputs.len() > 1 => {
            let (mut answers, mut afters) = (Vec::new(), Vec::new());
            for input in inputs {
                match transact(core, &[input]).await {
                    Ok((mut answer, after)) => {
                        answers.push(Reply::Ok(answer.pop().unwrap_or(Answer::Nothing)));
                        afters.push(after);
                    }
                    Err(error) => answers.push(refusal(&error)),
                }
            }
            (answers, afters)
        }
        Err(error) => (inputs.iter().map(|_| refusal(&error)).collect(), Vec::new()),
    }
}

fn refusal(error: &Error) -> Reply<Answer> {
    match error {
        Error::Data(reason) => Reply::Invalid(format!("cannot be stored: {reason}")),
        other => Reply::Unavailable(other.to_string()),
    }
}

async fn transact(core: &Core, inputs: &[Traced]) -> Result<(Vec<Answer>, After), Error> {
    let mut conflicts = 0;
    loop {
        let attempt = async {
            let mut connection = core.pool.get().await?;
            unit::run(&mut connection, &core.definitions, &core.limits, &core.fuse, inputs).await
        };
        // A defect in one model must not end the stepper for all others.
        let result = AssertUnwindSafe(attempt).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!("a transaction panicked; its inputs are tried one by one");
            Err(Error::Stored {
                what: "input",
                id: String::new(),
                reason: "it made the engine panic".to_owned(),
            })
        });
        match result {
            Ok(done) => {
                core.metrics.transaction(inputs.len());
                return Ok(done);
            }
            Err(error) if error.is_conflict() && conflicts < CONFLICTS => {
                conflicts += 1;
                tokio::time::sleep(Duration::from_millis(u64::from(conflicts) * 2)).await;
            }
            Err(error) => {
                tracing::warn!(%error, inputs = inputs.len(), "a transaction was given up");
                return Err(error);
            }
        }
    }
}
