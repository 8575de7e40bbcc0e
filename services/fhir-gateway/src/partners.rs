//! Whether resources exist at other sites: HEAD requests with the site's own certificate (fhir-endpoint
//! contract 5.3), before the transaction that depends on them.
//!
//! Invariants: only addresses of stored active Endpoints are ever asked; a slow or broken partner costs
//! no database connection and, after a few failures, no waiting either.
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use fhir_client::{Bounds, Client, Headers};
use futures_util::{StreamExt, stream};
use http::{Method, StatusCode};

/// Requests at the same time to one partner.
pub const PER_PARTNER: usize = 8;
/// Most different references to other sites in one request; a bundle counts as one.
pub const MAX_REFERENCES: usize = 100;
/// Failures in a row after which a partner is not asked for [`PAUSE`].
const FAILURES: u32 = 5;
/// How long a partner that keeps failing is left alone.
const PAUSE: Duration = Duration::from_secs(30);
/// A HEAD has no body; what a broken server sends nevertheless is not read.
const MAX_ANSWER: usize = 64 * 1024;

/// A reference to a resource of another site.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct External {
    /// Address of the partner's Endpoint.
    pub base: String,
    /// `Type/id[/_history/version]`
    pub resource: String,
}

/// What a partner says of a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existence {
    /// It is there.
    Found,
    /// It is not.
    NotFound,
    /// The partner did not say: away, busy, not allowed. Callers are not told which.
    Unknown,
}

/// Asks other sites.
pub struct Partners {
    client: Option<Client>,
    timeout: Duration,
    circuits: Mutex<HashMap<String, Circuit>>,
}

#[derive(Default)]
struct Circuit {
    failures: u32,
    open_until: Option<Instant>,
}

impl Partners {
    /// With a client that has the site's certificate; without one nothing is checked.
    pub fn new(client: Option<Client>, timeout: Duration) -> Self {
        Self { client, timeout, circuits: Mutex::default() }
    }

    /// Whether references to other sites are checked.
    pub fn checks(&self) -> bool {
        self.client.is_some()
    }

    /// Asks for all references, a bounded number at a time. The answers are in the order of the questions.
    pub async fn exist(&self, references: Vec<External>) -> Vec<(External, Existence)> {
        stream::iter(references)
            .map(|reference| async move {
                let existence = self.exists(&reference).await;
                (reference, existence)
            })
            .buffered(PER_PARTNER)
            .collect()
            .await
    }

    async fn exists(&self, reference: &External) -> Existence {
        let Some(client) = &self.client else { return Existence::Found };
        if self.is_open(&reference.base) {
            return Existence::Unknown;
        }
        let url = format!("{}/{}", reference.base, reference.resource);
        let bounds = Bounds { timeout: self.timeout, max_answer: MAX_ANSWER };
        let answer = client.request_within(Method::HEAD, &url, None, &Headers::default(), bounds).await;
        let (existence, works) = match &answer {
            Ok(answer) if answer.status == StatusCode::OK => (Existence::Found, true),
            Ok(answer) if answer.status == StatusCode::NOT_FOUND => (Existence::NotFound, true),
            // An answer, if not the one that is wanted; a broken server is as good as none.
            Ok(answer) => (Existence::Unknown, !answer.status.is_server_error()),
            Err(_) => (Existence::Unknown, false),
        };
        if existence == Existence::Unknown {
            let reason = match &answer {
                Ok(answer) => answer.status.to_string(),
                Err(error) => error.to_string(),
            };
            tracing::warn!(partner = reference.base, reason, "a reference cannot be checked there");
        }
        self.record(&reference.base, works);
        existence
    }

    fn is_open(&self, base: &str) -> bool {
        let circuits = self.circuits.lock().unwrap_or_else(PoisonError::into_inner);
        circuits.get(base).and_then(|circuit| circuit.open_until).is_some_and(|until| Instant::now() < until)
    }

    /// After a pause the next failure opens the circuit again at once; a success closes it.
    fn record(&self, base: &str, works: bool) {
        let mut circuits = self.circuits.lock().unwrap_or_else(PoisonError::into_inner);
        if works {
            circuits.remove(base);
            return;
        }
        let circuit = circuits.entry(base.to_owned()).or_default();
        circuit.failures += 1;
        if circuit.failures >= FAILURES {
            circuit.open_until = Some(Instant::now() + PAUSE);
        }
    }
}
