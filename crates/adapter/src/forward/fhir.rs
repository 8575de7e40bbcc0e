//! A FHIR repository: one `POST AuditEvent` per record.
use http::Method;

use super::{ANSWER, CONNECT, Delivered};
use crate::{
    Trouble,
    http::{Call, Client, HttpSettings, Login},
    tls::{Connector, SetupError, TlsSettings},
};

/// Largest answer, which is not read.
const MAX_ANSWER: usize = 1024 * 1024;

/// A FHIR repository.
pub(super) struct Fhir {
    url: String,
    client: Client,
}

impl Fhir {
    pub(super) fn new(url: &str, tls: &TlsSettings) -> Result<Self, SetupError> {
        Client::check_url(url)?;
        let settings = HttpSettings { answer_timeout: ANSWER, max_answer: MAX_ANSWER, login: Login::None };
        let client = Client::new(Connector::new(tls, CONNECT)?, settings);
        Ok(Self { url: format!("{}/AuditEvent", url.trim_end_matches('/')), client })
    }

    pub(super) async fn deliver(&self, records: &[String]) -> Delivered {
        let mut delivered = Delivered::default();
        for record in records {
            let call = Call {
                method: Method::POST,
                url: self.url.clone(),
                content_type: Some("application/fhir+json".to_owned()),
                accept: "application/fhir+json",
                body: record.trim_end().to_owned().into(),
                prefer: Some("return=minimal"),
            };
            match self.client.send(&call).await {
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
}
