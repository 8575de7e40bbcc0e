//! Questions over NATS: bounded, sealed answers, an audit record per person.
use std::{collections::HashMap, sync::Arc};

use adapter::{
    Trouble,
    audit::{Asked, Audit, noting},
};
use futures_util::{StreamExt, stream};
use hospital::{
    failure::{Failure, Told},
    person::{Domain, Identifier, Person},
};
use messaging::{
    engine::Reply,
    hospital::{
        CrossReferenceReply, CrossReferenceRequest, CrossReferences, Demographics, FindReply, FindRequest,
        Found, Idat, MATCH_CONTEXT, MAX_PERSONS, MatchRequest,
    },
    recipient::{Context, Opener, Recipient},
};
use zeroize::Zeroizing;

use crate::{Backend, Lookup};

/// Longest identifier, in bytes.
const MAX_ID: usize = 255;

/// Answers questions.
pub(crate) struct Service {
    pub(crate) site: String,
    pub(crate) backend: Backend,
    pub(crate) recipients: HashMap<String, Recipient>,
    pub(crate) opener: Option<Opener>,
    pub(crate) audit: Audit,
    /// Questions of one request that are asked at the same time.
    pub(crate) concurrency: usize,
}

impl Service {
    pub(crate) async fn find(self: Arc<Self>, request: FindRequest) -> Reply<FindReply> {
        let recipient = match self.recipient(&request.recipient, &request.ids) {
            Ok(recipient) => recipient,
            Err(reason) => return Reply::Invalid(reason),
        };
        let [transaction, ..] = self.backend.transactions();
        let context =
            Context { site: &self.site, request_id: &request.request_id, profile: &request.profile };
        let (service, request_id) = (&*self, &request.request_id);
        let found = stream::iter(request.ids.clone())
            .map(|id| async move {
                let (looked, query) = noting(service.backend.find(&id)).await;
                let ids = std::slice::from_ref(&id);
                service.record(Asked { query, ..Asked::new(transaction, request_id, ids) }, &looked);
                service.answer(looked, recipient, context)
            })
            .buffered(self.concurrency.max(1))
            .collect()
            .await;
        Reply::Ok(FindReply { found })
    }

    pub(crate) async fn match_person(self: Arc<Self>, request: MatchRequest) -> Reply<Found> {
        let recipient = match self.recipient(&request.recipient, &[]) {
            Ok(recipient) => recipient,
            Err(reason) => return Reply::Invalid(reason),
        };
        let Some(opener) = &self.opener else {
            return Reply::Invalid(
                "this adapter has no private key: set DSF_MPI_PRIVATE_KEY_FILE".to_owned(),
            );
        };
        let context =
            Context { site: &self.site, request_id: &request.request_id, profile: &request.profile };
        let inbound = Context { profile: MATCH_CONTEXT, ..context };
        let known = opener.open(inbound, &request.person).ok();
        let known = known.and_then(|text| serde_json::from_slice::<Demographics>(&text).ok());
        let Some(known) = known.filter(|known| *known != Demographics::default()) else {
            return Reply::Invalid("the person cannot be opened or read".to_owned());
        };
        let [_, transaction, _] = self.backend.transactions();
        let (looked, query) = noting(self.backend.match_person(&known)).await;
        self.record(Asked { query, ..Asked::new(transaction, &request.request_id, &[]) }, &looked);
        Reply::Ok(self.answer(looked, recipient, context))
    }

    pub(crate) async fn cross_reference(
        self: Arc<Self>,
        request: CrossReferenceRequest,
    ) -> Reply<CrossReferenceReply> {
        if let Err(reason) = check_ids(&request.ids) {
            return Reply::Invalid(reason);
        }
        let targets: Vec<Domain> = request.targets.iter().map(domain).collect();
        let [.., transaction] = self.backend.transactions();
        let (service, request_id, targets) = (&*self, &request.request_id, &targets);
        let found = stream::iter(request.ids.clone())
            .map(|id| async move {
                let (result, query) = noting(service.backend.cross_reference(&id, targets)).await;
                let outcome =
                    result.as_ref().map(|found| if found.is_empty() { "not-found" } else { "found" });
                let ids = std::slice::from_ref(&id);
                service.audit.record(Asked { query, ..Asked::new(transaction, request_id, ids) }, outcome);
                references(result)
            })
            .buffered(self.concurrency.max(1))
            .collect()
            .await;
        Reply::Ok(CrossReferenceReply { found })
    }

    fn recipient(&self, name: &str, ids: &[String]) -> Result<&Recipient, String> {
        check_ids(ids)?;
        self.recipients.get(name).ok_or_else(|| "the recipient is not configured here".to_owned())
    }

    fn record(&self, asked: Asked<'_>, looked: &Result<Lookup, Trouble>) {
        let outcome = looked.as_ref().map(|lookup| match lookup {
            Lookup::Person(_) => "found",
            Lookup::NotFound => "not-found",
            Lookup::Ambiguous => "ambiguous",
        });
        self.audit.record(asked, outcome);
    }

    fn answer(&self, looked: Result<Lookup, Trouble>, recipient: &Recipient, context: Context<'_>) -> Found {
        match looked {
            Ok(Lookup::NotFound) => Found::NotFound,
            Ok(Lookup::Ambiguous) => Found::Ambiguous,
            Ok(Lookup::Person(person)) => {
                let text = serde_json::to_vec(&idat(&person)).map(Zeroizing::new);
                match text.ok().and_then(|text| recipient.seal(context, &text).ok()) {
                    Some(sealed) => Found::Person(sealed),
                    None => Found::Unusable("the person could not be sealed".to_owned()),
                }
            }
            Err(Trouble::Failure(Failure::Rejected(told))) => Found::Rejected(class(&told)),
            Err(trouble) if trouble.is_outage() => Found::Unavailable(trouble.outcome().to_owned()),
            Err(trouble) => Found::Unusable(trouble.outcome().to_owned()),
        }
    }
}

fn check_ids(ids: &[String]) -> Result<(), String> {
    if ids.len() > MAX_PERSONS {
        return Err(format!("{} identifiers, at most {MAX_PERSONS} fit into one request", ids.len()));
    }
    let usable = |id: &String| !id.is_empty() && id.len() <= MAX_ID && !id.chars().any(char::is_control);
    match ids.iter().position(|id| !usable(id)) {
        Some(at) => {
            Err(format!("identifier {at} is empty, longer than {MAX_ID} bytes or has control characters"))
        }
        None => Ok(()),
    }
}

fn class(told: &Told) -> String {
    told.class.map_or("refused", |class| class.as_str()).to_owned()
}

fn references(result: Result<Vec<Identifier>, Trouble>) -> CrossReferences {
    match result {
        Ok(found) if found.is_empty() => CrossReferences::NotFound,
        Ok(found) => {
            let pair = |found: Identifier| {
                let Domain { namespace, universal_id, system, .. } = found.domain;
                (messaging::hospital::Domain { namespace, universal_id, system }, found.value)
            };
            CrossReferences::Identifiers(found.into_iter().map(pair).collect())
        }
        Err(Trouble::Failure(Failure::Rejected(told))) => CrossReferences::Rejected(class(&told)),
        Err(trouble) if trouble.is_outage() => CrossReferences::Unavailable(trouble.outcome().to_owned()),
        Err(trouble) => CrossReferences::Unusable(trouble.outcome().to_owned()),
    }
}

fn domain(domain: &messaging::hospital::Domain) -> Domain {
    Domain {
        namespace: domain.namespace.clone(),
        universal_id: domain.universal_id.clone(),
        universal_id_type: None,
        system: domain.system.clone(),
    }
}

fn idat(person: &Person) -> Idat {
    Idat {
        medic_id: person.medic_id.clone(),
        last: person.last.clone(),
        first: person.first.clone(),
        birth: person.birth.clone(),
        sex: person.sex.map(|sex| sex.letter().to_owned()),
        street: person.street.clone(),
        zip: person.zip.clone(),
        city: person.city.clone(),
        country: person.country.clone(),
        insurance: person.insurance.clone(),
    }
}
