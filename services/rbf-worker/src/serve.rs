//! Questions over NATS: filters, pseudonyms, and what runs and steps need.
use std::sync::Arc;

use adapter::{
    Trouble,
    audit::{Asked, Audit},
};
use hospital::audit::table::OPEN_PSEUDONYMS;
use linkage::pseudonym::MedicId;
use messaging::{
    engine::Reply,
    linkage::{
        EncodeReply, EncodeRequest, Encoded, KEYS_CONTEXT, MAX_RECORDS, OpenReply, OpenRequest, OpenedId,
        PERSONS_CONTEXT, Persons, RecipientReply, StartRequest, Started,
    },
    recipient::Context,
};
use telemetry::metrics::{Counter, KeyValue};
use tokio::sync::Semaphore;

use crate::{
    encoders::Encoders,
    keys::Keys,
    persons::{self, Index, Person},
    runs::Runs,
};

/// Longest local id, in bytes.
const MAX_ID: usize = 255;
/// Most pseudonyms that are opened by one request.
const MAX_PSEUDONYMS: usize = 1000;

/// Answers questions.
pub(crate) struct Service {
    pub(crate) organization: String,
    pub(crate) public_key: String,
    pub(crate) index: Index,
    pub(crate) keys: Keys,
    pub(crate) encoders: Arc<Encoders>,
    pub(crate) runs: Arc<Runs>,
    pub(crate) audit: Audit,
    /// Places of those that encode, one per processor.
    pub(crate) places: Semaphore,
    pub(crate) encoded: Counter<u64>,
}

impl Service {
    pub(crate) fn recipient(&self) -> Reply<RecipientReply> {
        Reply::Ok(RecipientReply { public_key: self.public_key.clone(), site: self.index.site.clone() })
    }

    pub(crate) async fn encode(self: Arc<Self>, request: EncodeRequest) -> Reply<EncodeReply> {
        let keys = match self.open(&request.request_id, KEYS_CONTEXT, &request.keys) {
            Ok(keys) => keys,
            Err(reason) => return Reply::Invalid(reason),
        };
        match &request.persons {
            Persons::Ids(ids) if ids.len() > MAX_RECORDS => {
                Reply::Invalid(format!("{} ids, at most {MAX_RECORDS} fit into one request", ids.len()))
            }
            Persons::Ids(ids) => self.encode_ids(ids, &request.profile, &keys).await,
            Persons::Sealed(sealed) => {
                let context = Context {
                    site: &self.index.site,
                    request_id: &request.request_id,
                    profile: PERSONS_CONTEXT,
                };
                match persons::sealed(sealed, context, &self.keys.opener) {
                    Some(persons) if persons.len() <= MAX_RECORDS => {
                        self.encode_persons(persons, &request.profile, &keys).await
                    }
                    Some(_) => Reply::Invalid(format!("more than {MAX_RECORDS} persons in one request")),
                    None => Reply::Invalid("the persons cannot be opened or read".to_owned()),
                }
            }
        }
    }

    /// The filters of the persons with these ids, asked in pieces; in the order of ids.
    pub(crate) async fn encode_ids(&self, ids: &[String], profile: &str, keys: &[u8]) -> Reply<EncodeReply> {
        let usable = |id: &String| !id.is_empty() && id.len() <= MAX_ID && !id.chars().any(char::is_control);
        if let Some(at) = ids.iter().position(|id| !usable(id)) {
            return Reply::Invalid(format!(
                "id {at} is empty, longer than {MAX_ID} bytes or has control characters"
            ));
        }
        let mut all: Option<EncodeReply> = None;
        // Without an id there is still an answer: the header, and a check of profile and keys.
        let pieces = ids.chunks(MAX_RECORDS).chain(ids.is_empty().then_some(ids));
        for piece in pieces {
            let persons = if piece.is_empty() {
                Ok(Vec::new())
            } else {
                self.index.find(piece, profile, &self.keys.opener).await
            };
            let reply = match persons {
                Ok(persons) => self.encode_persons(persons, profile, keys).await,
                Err(Trouble::Failure(hospital::failure::Failure::Rejected(_))) => {
                    return Reply::Invalid("the mpi-adapter refuses the question: see our log".to_owned());
                }
                Err(trouble) => return Reply::Unavailable(format!("mpi-adapter: {trouble}")),
            };
            match (reply, &mut all) {
                (Reply::Ok(reply), Some(all)) => all.encoded.extend(reply.encoded),
                (Reply::Ok(reply), None) => all = Some(reply),
                (other, _) => return other,
            }
        }
        all.map_or_else(|| Reply::Invalid("nothing was asked".to_owned()), Reply::Ok)
    }

    async fn encode_persons(&self, persons: Vec<Person>, profile: &str, keys: &[u8]) -> Reply<EncodeReply> {
        // The semaphore is never closed.
        let Ok(_place) = self.places.acquire().await else {
            return Reply::Unavailable("the worker ends".to_owned());
        };
        let (encoders, name) = (Arc::clone(&self.encoders), profile.to_owned());
        let keys = zeroize::Zeroizing::new(keys.to_vec());
        let work = tokio::task::spawn_blocking(move || {
            encoders.with(&name, &keys, |filters| {
                let encode = |person: Person| match person {
                    Person::Known(person) => filters.encode(&person),
                    Person::Unknown(encoded) => encoded,
                };
                let encoded = persons.into_iter().map(encode).collect();
                EncodeReply { header: filters.header(), parts: filters.parts(), encoded }
            })
        });
        match work.await {
            Ok(Ok(reply)) => {
                self.count(profile, &reply.encoded);
                Reply::Ok(reply)
            }
            Ok(Err(error)) => Reply::Invalid(error.to_string()),
            Err(_) => Reply::Unavailable("encoding broke off".to_owned()),
        }
    }

    fn count(&self, profile: &str, encoded: &[Encoded]) {
        let mut outcomes = [("encoded", 0), ("not-found", 0), ("ambiguous", 0), ("failed", 0)];
        for one in encoded {
            let at = match one {
                Encoded::Filter(..) => 0,
                Encoded::NotFound => 1,
                Encoded::Ambiguous => 2,
                _ => 3,
            };
            outcomes[at].1 += 1;
        }
        for (outcome, count) in outcomes.into_iter().filter(|(_, count)| *count > 0) {
            let labels = [KeyValue::new("profile", profile.to_owned()), KeyValue::new("outcome", outcome)];
            self.encoded.add(count, &labels);
        }
    }

    pub(crate) fn start(&self, request: StartRequest) -> Reply<Started> {
        let keys = match &request.study {
            None => None,
            Some(study) => match self.keys.study(study) {
                Some(keys) => Some(keys),
                None => return Reply::Invalid(NO_STUDY_KEYS.to_owned()),
            },
        };
        self.runs.start(request, keys)
    }

    /// Opens pseudonyms. This is what pseudonyms are to prevent: it is audited.
    pub(crate) fn open_pseudonyms(&self, request: &OpenRequest) -> Reply<OpenReply> {
        if request.pseudonyms.len() > MAX_PSEUDONYMS {
            return Reply::Invalid(format!("at most {MAX_PSEUDONYMS} pseudonyms fit into one request"));
        }
        let Some(keys) = self.keys.study(&request.study) else {
            return Reply::Invalid(NO_STUDY_KEYS.to_owned());
        };
        let id = |id: MedicId| OpenedId { organization: id.organization, id: id.value };
        let ids = |ids: Vec<MedicId>| ids.into_iter().map(id).collect();
        let opened: Vec<Option<Vec<OpenedId>>> =
            request.pseudonyms.iter().map(|text| keys.open(text).ok().map(|(_, all)| ids(all))).collect();
        let outcome = if opened.iter().all(Option::is_some) { "opened" } else { "not-all-opened" };
        let asked = Asked::new(OPEN_PSEUDONYMS, &request.request_id, &request.pseudonyms);
        self.audit.record(asked, Ok(outcome));
        Reply::Ok(OpenReply { opened })
    }
}

const NO_STUDY_KEYS: &str = "this worker has no keys of studies: set DSF_RBF_STUDY_SECRETS_FILE";
