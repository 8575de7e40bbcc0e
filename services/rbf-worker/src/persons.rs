//! Persons from the mpi-adapter, opened, and wiped after their use.
use std::time::Duration;

use adapter::{TransportKind, Trouble, guard::Guard};
use linkage::idat::{BirthDate, Idat, Text};
use messaging::{
    connect::{Nats, RequestError},
    hospital::{FindReply, FindRequest, Found},
    recipient::{Context, Opener, Sealed},
    subject,
};
use serde::Deserialize;
use uuid::Uuid;

/// A person as sealed by the mpi-adapter: the fields of [`messaging::hospital::Idat`] in memory that is
/// wiped.
#[derive(Deserialize)]
pub(crate) struct Answer {
    pub(crate) last: Option<Text>,
    pub(crate) first: Option<Text>,
    pub(crate) birth: Option<Text>,
    pub(crate) sex: Option<Text>,
    pub(crate) street: Option<Text>,
    pub(crate) zip: Option<Text>,
    pub(crate) city: Option<Text>,
    pub(crate) country: Option<Text>,
    pub(crate) insurance: Option<Text>,
}

impl From<Answer> for Idat {
    fn from(answer: Answer) -> Idat {
        Idat {
            first_name: answer.first,
            last_name: answer.last,
            birth_name: None,
            birthday: answer.birth.and_then(|text| BirthDate::parse(text.expose())),
            sex: answer.sex,
            street: answer.street,
            zip_code: answer.zip,
            city: answer.city,
            country: answer.country,
            insurance_number: answer.insurance,
        }
    }
}

/// What became of one id.
pub(crate) enum Person {
    Known(Box<Idat>),
    Unknown(messaging::linkage::Encoded),
}

/// Asks the mpi-adapter.
pub(crate) struct Index {
    pub(crate) nats: Nats,
    pub(crate) guard: Guard,
    pub(crate) site: String,
    pub(crate) recipient: String,
    pub(crate) timeout: Duration,
}

impl Index {
    /// The persons with these ids, in their order. An error where nothing is known about any of them.
    pub(crate) async fn find(
        &self,
        ids: &[String],
        profile: &str,
        opener: &Opener,
    ) -> Result<Vec<Person>, Trouble> {
        // A fresh id for each question: an answer to an earlier one does not open.
        let request = FindRequest {
            request_id: Uuid::now_v7().to_string(),
            recipient: self.recipient.clone(),
            profile: profile.to_owned(),
            ids: ids.to_vec(),
        };
        let once =
            || async { self.nats.ask(subject::MPI_FIND, &request, self.timeout).await.map_err(trouble) };
        let reply: FindReply = self.guard.query("mpi.find", once).await?;
        if reply.found.len() != ids.len() {
            return Err(hospital::failure::Reason::Malformed("number of answers").into());
        }
        let context = Context { site: &self.site, request_id: &request.request_id, profile };
        Ok(reply.found.into_iter().map(|found| person(found, context, opener)).collect())
    }
}

fn person(found: Found, context: Context<'_>, opener: &Opener) -> Person {
    use messaging::linkage::Encoded;
    Person::Unknown(match found {
        Found::Person(sealed) => match open::<Answer>(&sealed, context, opener) {
            Some(answer) => return Person::Known(Box::new(answer.into())),
            None => {
                Encoded::Unusable("the person cannot be opened: is our key that of the adapter?".to_owned())
            }
        },
        Found::NotFound => Encoded::NotFound,
        Found::Ambiguous => Encoded::Ambiguous,
        Found::Rejected(class) => Encoded::Rejected(class),
        Found::Unavailable(reason) => Encoded::Unavailable(reason),
        Found::Unusable(reason) => Encoded::Unusable(reason),
    })
}

/// Persons that a worker has sealed to us.
pub(crate) fn sealed(sealed: &Sealed, context: Context<'_>, opener: &Opener) -> Option<Vec<Person>> {
    let answers = open::<Vec<Answer>>(sealed, context, opener)?;
    Some(answers.into_iter().map(|answer| Person::Known(Box::new(answer.into()))).collect())
}

fn open<T: serde::de::DeserializeOwned>(sealed: &Sealed, context: Context<'_>, opener: &Opener) -> Option<T> {
    serde_json::from_slice(&opener.open(context, sealed).ok()?).ok()
}

fn trouble(error: RequestError) -> Trouble {
    match error {
        RequestError::Unavailable { .. } => Trouble::Transport(TransportKind::Timeout),
        RequestError::TooLarge { .. } => Trouble::Transport(TransportKind::TooLarge),
        RequestError::Form { .. } => hospital::failure::Reason::Malformed("answer of the mpi-adapter").into(),
        // The reason is that of our own adapter, about our own request: recipient, number, form of ids.
        RequestError::Invalid(reason) => {
            tracing::warn!(reason, "the mpi-adapter refuses the question");
            Trouble::Failure(hospital::failure::Failure::Rejected(Box::default()))
        }
    }
}
