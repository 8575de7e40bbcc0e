//! A FHIR repository: one `POST AuditEvent` per record.
use std::sync::atomic::{AtomicBool, Ordering};

use http::Method;

use super::{ANSWER, CONNECT, Delivered};
use crate::{
    Trouble,
    http::{Call, Client, HttpAnswer, HttpSettings, Login},
    tls::{Connector, SetupError, TlsSettings},
};

/// Largest answer, which is not read.
const MAX_ANSWER: usize = 1024 * 1024;

/// A FHIR repository.
pub(super) struct Fhir {
    url: String,
    client: Client,
    /// The repository does not have the profiles that records claim, and refuses what it cannot check.
    without_profiles: AtomicBool,
}

impl Fhir {
    pub(super) fn new(url: &str, tls: &TlsSettings) -> Result<Self, SetupError> {
        Client::check_url(url)?;
        let settings = HttpSettings { answer_timeout: ANSWER, max_answer: MAX_ANSWER, login: Login::None };
        let client = Client::new(Connector::new(tls, CONNECT)?, settings);
        Ok(Self {
            url: format!("{}/AuditEvent", url.trim_end_matches('/')),
            client,
            without_profiles: AtomicBool::new(false),
        })
    }

    pub(super) async fn deliver(&self, records: &[String]) -> Delivered {
        let mut delivered = Delivered::default();
        for record in records {
            match self.post(record).await {
                Ok(answer) if (200..300).contains(&answer.status) => {}
                // What is wrong with the record stays wrong.
                Ok(answer) if matches!(answer.status, 400 | 413 | 415 | 422) => {
                    tracing::error!(status = answer.status, "the audit repository refuses a record");
                    delivered.refused += 1;
                }
                Ok(_) => {
                    delivered.failure = Some("refused-for-now");
                    return delivered;
                }
                Err(trouble) => {
                    delivered.failure = Some(trouble.outcome());
                    if let Trouble::Away { after, .. } = trouble {
                        delivered.after = after;
                    }
                    return delivered;
                }
            }
            delivered.done += 1;
        }
        delivered
    }

    /// Sends a record, and once more without its profile where that may be why it was refused.
    async fn post(&self, record: &str) -> Result<HttpAnswer, Trouble> {
        let plain = without_profile(record);
        if let Some(plain) = plain.as_ref().filter(|_| self.without_profiles.load(Ordering::Relaxed)) {
            return self.send(plain).await;
        }
        let answer = self.send(record).await?;
        let Some(plain) = plain.filter(|_| matches!(answer.status, 400 | 422)) else { return Ok(answer) };
        let again = self.send(&plain).await?;
        if (200..300).contains(&again.status) {
            tracing::warn!("the audit repository takes records only without the profiles that they claim");
            self.without_profiles.store(true, Ordering::Relaxed);
        }
        Ok(again)
    }

    async fn send(&self, record: &str) -> Result<HttpAnswer, Trouble> {
        let call = Call {
            method: Method::POST,
            url: self.url.clone(),
            content_type: Some("application/fhir+json".to_owned()),
            accept: "application/fhir+json",
            body: record.trim_end().to_owned().into(),
            prefer: Some("return=minimal"),
        };
        self.client.send(&call).await
    }
}

/// The record without the claim of a profile; `None` where it makes none.
fn without_profile(record: &str) -> Option<String> {
    let mut event: serde_json::Value = serde_json::from_str(record).ok()?;
    event.as_object_mut()?.remove("meta")?;
    Some(event.to_string())
}
