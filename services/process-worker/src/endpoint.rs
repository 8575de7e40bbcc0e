//! FHIR requests at the own endpoint and at partners, made by the router's egress.
use std::time::Duration;

use fhir::{Format, Resource, bundle};
use messaging::{
    connect::{Nats, RequestError},
    egress::{EgressReply, EgressRequest, Receiver, Site},
    subject,
};

use crate::outcome::Failure;

/// Longest wait for the answer to a write: the router's own time-outs are shorter.
const ANSWER: Duration = Duration::from_secs(90);
/// How long the answer to a read at the own endpoint is waited for, each time it is asked for. A router that
/// dies takes the requests it has with it; a process that waits for a reply has no time for the longest wait.
const OWN_READ: [Duration; 4] =
    [Duration::from_secs(3), Duration::from_secs(9), Duration::from_secs(26), Duration::from_secs(52)];
/// The same at a partner, who may be slow.
const PARTNER_READ: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(60)];
/// The same for the name of the own site, which a router knows.
const SITE: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(3), Duration::from_secs(5)];
/// Pages of one search at most: far more than an allow list has, and an end if pages go in circles.
const MAX_PAGES: usize = 1_000;

/// Asks once for each wait, until there is an answer. Only for what may be asked twice.
async fn repeated<A, F>(waits: &[Duration], ask: impl Fn(Duration) -> F) -> Result<A, RequestError>
where
    F: Future<Output = Result<A, RequestError>>,
{
    let (last, others) = waits.split_last().unwrap_or((&ANSWER, &[]));
    for wait in others {
        match ask(*wait).await {
            Err(RequestError::Unavailable { .. }) => {}
            answered => return answered,
        }
    }
    ask(*last).await
}

/// The endpoints a handler can reach. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Endpoints {
    nats: Nats,
}

/// A successful answer.
pub(crate) struct Answer {
    /// `Location` header.
    pub(crate) location: Option<String>,
    /// Body as text.
    pub(crate) body: String,
}

impl Answer {
    /// The body as a resource.
    pub(crate) fn resource(&self) -> Result<Resource, Failure> {
        fhir::parse(self.body.as_bytes(), Format::Json)
            .map_err(|error| Failure::Fault(format!("an endpoint's answer cannot be read: {error}")))
    }
}

impl Endpoints {
    pub(crate) fn new(nats: Nats) -> Self {
        Self { nats }
    }

    /// Who this site is.
    pub(crate) async fn site(&self) -> Result<Site, Failure> {
        repeated(&SITE, |wait| self.nats.ask(subject::ROUTER_SITE, &(), wait)).await.map_err(internal)
    }

    /// All resources, matches and includes, that a strict search at the own endpoint finds, over all
    /// pages. `query` is `Type?parameters`.
    pub(crate) async fn search(&self, query: &str) -> Result<Vec<Resource>, Failure> {
        let mut found = Vec::new();
        let mut path = query.to_owned();
        for _ in 0..MAX_PAGES {
            let page = self.read(Receiver::Own, &path).await?.resource()?;
            found.extend(bundle::entries(&page).filter_map(|entry| entry.resource()?.resource()));
            match bundle::link(&page, "next").and_then(below_base) {
                Some(next) => path = next.to_owned(),
                None => return Ok(found),
            }
        }
        Err(Failure::Reject(format!("the search has more than {MAX_PAGES} pages: narrow it")))
    }

    /// Reads or searches.
    pub(crate) async fn read(&self, to: Receiver, path: &str) -> Result<Answer, Failure> {
        self.request(to, "GET", path, "handling=strict", None).await
    }

    /// Writes at the own endpoint.
    pub(crate) async fn write(&self, method: &str, path: &str, body: &Resource) -> Result<Answer, Failure> {
        let body = String::from_utf8_lossy(&fhir::to_json(body)).into_owned();
        self.request(Receiver::Own, method, path, "return=minimal", Some(body)).await
    }

    async fn request(
        &self,
        to: Receiver,
        method: &str,
        path: &str,
        prefer: &str,
        body: Option<String>,
    ) -> Result<Answer, Failure> {
        let own = to == Receiver::Own;
        let name = if own { "the own endpoint" } else { "the partner's endpoint" };
        let request = EgressRequest {
            to,
            method: method.to_owned(),
            path: path.to_owned(),
            prefer: Some(prefer.to_owned()),
            if_none_exist: None,
            if_match: None,
            body,
        };
        let waits: &[Duration] = match (method, own) {
            ("GET", true) => &OWN_READ,
            ("GET", false) => &PARTNER_READ,
            _ => &[ANSWER],
        };
        let answer = repeated(waits, |wait| self.nats.request(subject::EGRESS, &request, wait)).await;
        match answer.map_err(internal)? {
            EgressReply::Answer { status: 200..=299, location, body, .. } => Ok(Answer { location, body }),
            EgressReply::Answer { status: status @ (429 | 500..=599), .. } if own => {
                Err(Failure::Unavailable(format!("{name} answered {status}")))
            }
            EgressReply::Answer { status, .. } => Err(Failure::Reject(format!("{name} answered {status}"))),
            EgressReply::Unreachable(reason) if own => Err(Failure::Unavailable(format!("{name}: {reason}"))),
            EgressReply::Unreachable(reason) => Err(Failure::Reject(format!("{name}: {reason}"))),
            EgressReply::Refused(reason) => Err(Failure::Reject(format!("{name}: {reason}"))),
        }
    }
}

/// What follows the base URL in the link of a page: from its resource type on.
fn below_base(link: &str) -> Option<&str> {
    let route = link.split('?').next().unwrap_or_default();
    let start = route.trim_end_matches('/').rfind('/').map_or(0, |slash| slash + 1);
    link.get(start..).filter(|path| !path.is_empty())
}

/// A request that got no answer of a service of the own site.
fn internal(error: RequestError) -> Failure {
    match error {
        RequestError::Unavailable { .. } => Failure::Unavailable(error.to_string()),
        RequestError::TooLarge { .. } => Failure::Reject(error.to_string()),
        RequestError::Form { .. } | RequestError::Invalid(_) => Failure::Fault(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[tokio::test]
    async fn what_nobody_answers_is_asked_again() {
        let silent = || RequestError::Unavailable { subject: "s".to_owned(), reason: "silent".to_owned() };
        let asked = RefCell::new(Vec::new());
        let ask = |answers_at: usize| {
            let asked = &asked;
            asked.borrow_mut().clear();
            move |wait| {
                asked.borrow_mut().push(wait);
                let answer = if asked.borrow().len() == answers_at { Ok(()) } else { Err(silent()) };
                std::future::ready(answer)
            }
        };
        assert!(repeated(&SITE, ask(2)).await.is_ok());
        assert_eq!(asked.borrow()[..], SITE[..2]);
        assert!(repeated(&SITE, ask(9)).await.is_err());
        assert_eq!(asked.borrow()[..], SITE, "each wait once, then it is an error");
    }

    #[test]
    fn links_of_pages_become_paths() {
        for (link, path) in [
            ("https://a.test/fhir/Endpoint?_page=2&a=b/c", Some("Endpoint?_page=2&a=b/c")),
            ("Endpoint?_page=2", Some("Endpoint?_page=2")),
            ("", None),
        ] {
            assert_eq!(super::below_base(link), path, "{link}");
        }
    }
}
