//! Data sets of the MII processes: they come in pieces, are encrypted or decrypted where they lie, and are
//! read in pieces. Like runs they live in the memory of this replica, within the same budget.
use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use linkage::data_set::{AFTER, OVERHEAD, OwnKey, Parties, RecipientKey};
use messaging::{
    bulk::{DataSetCommand, DataSetReply, DataSetRequest, DataSetStart, DataSetStarted, MAX_PIECE},
    engine::Reply,
    linkage::DataSetAction,
    subject,
};
use rand::{TryRngCore, rngs::OsRng};
use tokio::sync::Semaphore;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::memory::{Memory, Reserved};

/// Bytes that a data set takes beside its content: names, and a bound on how many small ones there are.
const ENTRY: u64 = 64 * 1024;
/// Encryptions and decryptions at the same time; each takes a processor for a moment.
const AT_ONCE: usize = 2;

/// All data sets of this replica.
pub(crate) struct DataSets {
    memory: Memory,
    /// Most bytes of a content.
    limit: u64,
    idle: Duration,
    subject: String,
    all: Mutex<HashMap<String, Set>>,
    turn: Semaphore,
}

struct Set {
    start: DataSetStart,
    way: Way,
    stage: Stage,
    touched: Instant,
}

/// What happens to a data set, with its key.
#[derive(Clone)]
enum Way {
    Encrypt(Arc<RecipientKey>),
    Decrypt(Arc<OwnKey>),
}

enum Stage {
    Loading(Held),
    Working,
    Done(Held, Range<usize>),
    Failed(String),
}

/// Bytes and their share of the memory.
struct Held {
    /// Never grows beyond its first capacity: what grows leaves copies behind.
    message: Zeroizing<Vec<u8>>,
    /// Bytes before the content.
    before: usize,
    _reserved: Reserved,
}

impl Way {
    /// Bytes before the content as it comes.
    fn before(&self) -> usize {
        match self {
            Self::Encrypt(key) => key.before(),
            Self::Decrypt(_) => 0,
        }
    }
}

impl DataSets {
    pub(crate) fn new(replica: &str, memory: Memory, limit: u64, idle: Duration) -> Self {
        Self {
            memory,
            limit,
            idle,
            subject: subject::rbf_data_set(replica),
            all: Mutex::default(),
            turn: Semaphore::new(AT_ONCE),
        }
    }

    /// The subject of this replica's data sets.
    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Set>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a data set. A request that is repeated gives the same one. `own` is the key that decrypts.
    pub(crate) fn start(&self, start: DataSetStart, own: Option<Arc<OwnKey>>) -> Reply<DataSetStarted> {
        let way = match way(&start.action, own) {
            Ok(way) => way,
            Err(reason) => return Reply::Invalid(reason),
        };
        let most = match way {
            Way::Encrypt(_) => self.limit,
            // Whatever could be encrypted can be decrypted.
            Way::Decrypt(_) => self.limit.saturating_add(OVERHEAD as u64),
        };
        if start.bytes > most {
            return Reply::Invalid(format!(
                "the data set has {} bytes, DSF_RBF_DATA_SET allows {}: raise it, or send it in parts",
                start.bytes, self.limit
            ));
        }
        let size = start.bytes.saturating_add((way.before() + AFTER) as u64);
        let needed = size.saturating_add(ENTRY);
        if needed > self.memory.limit() {
            return Reply::Invalid(format!(
                "the data set needs {needed} bytes, DSF_RBF_MEMORY allows {}: raise it",
                self.memory.limit()
            ));
        }
        let mut all = self.lock();
        if let Some((set, known)) = all.iter().find(|(_, set)| set.start.request_id == start.request_id) {
            return if known.start == start {
                Reply::Ok(DataSetStarted { set: set.clone(), subject: self.subject.clone() })
            } else {
                Reply::Invalid("another data set has this request's id: take a new one".to_owned())
            };
        }
        let Some(reserved) = self.memory.reserve(needed) else {
            return Reply::Unavailable(
                "other runs and data sets take the memory of this worker; try again later".to_owned(),
            );
        };
        let mut message = Zeroizing::new(Vec::new());
        if message.try_reserve_exact(usize::try_from(size).unwrap_or(usize::MAX)).is_err() {
            return Reply::Unavailable("this machine has no memory left; try again later".to_owned());
        }
        let before = way.before();
        message.resize(before, 0);
        // Whoever knows the id may read the result.
        let set = Uuid::new_v4().simple().to_string();
        let stage = Stage::Loading(Held { message, before, _reserved: reserved });
        all.insert(set.clone(), Set { start, way, stage, touched: Instant::now() });
        Reply::Ok(DataSetStarted { set, subject: self.subject.clone() })
    }

    /// Does what a message to a data set says.
    pub(crate) fn command(self: &Arc<Self>, request: DataSetRequest) -> Reply<DataSetReply> {
        let mut all = self.lock();
        let Some(set) = all.get_mut(&request.set) else {
            return Reply::Ok(DataSetReply::Ended);
        };
        set.touched = Instant::now();
        match request.command {
            DataSetCommand::Put { from, content } => match set.put(from, &content.0) {
                Err(reason) => return Reply::Invalid(reason),
                Ok(None) => {}
                Ok(Some(held)) => self.launch(request.set, held, set),
            },
            DataSetCommand::Status => {}
            DataSetCommand::Get { from } => {
                return match set.piece(from) {
                    Some(piece) => Reply::Ok(DataSetReply::Piece(piece.into())),
                    None => Reply::Invalid("the data set has nothing there: ask for its state".to_owned()),
                };
            }
            DataSetCommand::End => {
                wipe(all.remove(&request.set));
                return Reply::Ok(DataSetReply::Ended);
            }
        }
        Reply::Ok(set.reply())
    }

    /// Encrypts or decrypts on a thread of its own.
    fn launch(self: &Arc<Self>, id: String, held: Held, set: &Set) {
        let (sets, start, way) = (Arc::clone(self), set.start.clone(), set.way.clone());
        tokio::spawn(async move {
            // The semaphore is never closed.
            let Ok(_turn) = sets.turn.acquire().await else { return };
            let work = tokio::task::spawn_blocking(move || work(held, &start, &way));
            let stage = work.await.unwrap_or_else(|_| Stage::Failed("the work broke off".to_owned()));
            // An ended data set is not there any more.
            if let Some(set) = sets.lock().get_mut(&id) {
                set.stage = stage;
                set.touched = Instant::now();
            }
        });
    }

    /// Forgets data sets that nobody asks about.
    pub(crate) fn sweep(&self) {
        let old = |set: &mut Set| set.touched.elapsed() >= self.idle;
        let forgotten: Vec<Set> = self.lock().extract_if(|_, set| old(set)).map(|(_, set)| set).collect();
        if !forgotten.is_empty() {
            tracing::warn!(count = forgotten.len(), "data sets were forgotten: nobody asked about them");
            wipe(forgotten);
        }
    }
}

/// Wiping some hundred megabytes takes a moment, and nobody waits for it.
fn wipe(sets: impl Send + 'static) {
    tokio::task::spawn_blocking(move || drop(sets));
}

fn way(action: &DataSetAction, own: Option<Arc<OwnKey>>) -> Result<Way, String> {
    match action {
        DataSetAction::Encrypt { public_key, hash } => {
            let (Ok(der), Ok(hash)) = (STANDARD.decode(public_key), hex::decode(hash)) else {
                return Err("the key must be Base64 and its hash hexadecimal".to_owned());
            };
            let key = RecipientKey::from_published(&der, &hash).map_err(|error| error.to_string())?;
            Ok(Way::Encrypt(Arc::new(key)))
        }
        DataSetAction::Decrypt => match own {
            Some(key) => Ok(Way::Decrypt(key)),
            None => Err("this worker has no key for data sets: set DSF_RBF_DATA_SET_KEY".to_owned()),
        },
    }
}

fn work(mut held: Held, start: &DataSetStart, way: &Way) -> Stage {
    let parties = Parties { sender: &start.sender, recipient: &start.recipient };
    let mut random = OsRng.unwrap_err();
    let result = match way {
        Way::Encrypt(key) => key
            .encrypt_in_place(&parties, &mut held.message, &mut random)
            .map(|()| 0..held.message.len())
            .map_err(|error| error.to_string()),
        Way::Decrypt(key) => {
            key.decrypt_in_place(&parties, &mut held.message, &mut random).map_err(|error| error.to_string())
        }
    };
    match result {
        Ok(range) => Stage::Done(held, range),
        Err(reason) => Stage::Failed(reason),
    }
}

impl Set {
    /// Adds a piece; the answer is what to work on, once all is there.
    fn put(&mut self, from: u64, content: &[u8]) -> Result<Option<Held>, String> {
        let bytes = self.start.bytes;
        let to = from.saturating_add(content.len() as u64);
        if to > bytes {
            return Err(format!("the data set was announced with {bytes} bytes"));
        }
        if content.len() > MAX_PIECE {
            return Err(format!("a piece has at most {MAX_PIECE} bytes"));
        }
        // A piece that comes again after the last one.
        let Stage::Loading(held) = &mut self.stage else { return Ok(None) };
        let there = held.content();
        if from > there {
            return Err(format!("{there} bytes of the data set are there: pieces come in order"));
        }
        let skip = usize::try_from(there - from).unwrap_or(usize::MAX);
        held.message.extend_from_slice(content.get(skip..).unwrap_or_default());
        if held.content() < bytes {
            return Ok(None);
        }
        match std::mem::replace(&mut self.stage, Stage::Working) {
            Stage::Loading(held) => Ok(Some(held)),
            _ => Ok(None),
        }
    }

    fn piece(&self, from: u64) -> Option<&[u8]> {
        let Stage::Done(held, range) = &self.stage else { return None };
        let result = held.message.get(range.clone())?;
        let rest = result.get(usize::try_from(from).ok()?..)?;
        Some(rest.get(..MAX_PIECE).unwrap_or(rest))
    }

    fn reply(&self) -> DataSetReply {
        match &self.stage {
            Stage::Loading(held) => DataSetReply::Loading(held.content()),
            Stage::Working => DataSetReply::Working,
            Stage::Done(_, range) => DataSetReply::Done(range.len() as u64),
            Stage::Failed(reason) => DataSetReply::Failed(reason.clone()),
        }
    }
}

impl Held {
    /// Bytes of the content that are there.
    fn content(&self) -> u64 {
        (self.message.len() - self.before) as u64
    }
}
