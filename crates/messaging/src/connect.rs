//! Connecting to NATS, and request-reply in JSON with the trace context in headers.
use std::{future::Future, path::PathBuf, sync::Arc, time::Duration};

use async_nats::{Client, ConnectOptions, HeaderMap, Message};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use telemetry::context;
use tokio::sync::Semaphore;
use tracing::Instrument;

use crate::engine::Reply;

/// Longest payload our services send, in bytes: the server's limit less room for headers.
pub const MAX_PAYLOAD: usize = 1024 * 1024 - 16 * 1024;
/// Wait before another attempt to connect at start-up.
const CONNECT_RETRY: Duration = Duration::from_millis(200);
/// Longest pause between reconnects of a running service.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);
/// Commands the client may buffer while it reconnects.
const CLIENT_CAPACITY: usize = 8192;
/// Messages a subscription may buffer before the client drops further ones.
const SUBSCRIPTION_CAPACITY: usize = 16_384;

/// Where NATS is and who we are there.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NatsConfig {
    /// Server URLs.
    pub urls: Vec<String>,
    /// User name; none where the server asks for none.
    pub user: Option<String>,
    /// Password of the user.
    pub password: Option<String>,
    /// PEM file with the roots that server certificates are checked against.
    pub ca: Option<PathBuf>,
}

/// Why a request got no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Nobody serves the subject, no connection, or no answer in time. Worth another attempt.
    #[error("no answer on {subject}: {reason}")]
    Unavailable {
        /// Subject that was asked.
        subject: String,
        /// What the client saw.
        reason: String,
    },
    /// The request is larger than [`MAX_PAYLOAD`].
    #[error("request on {subject} has {size} bytes, at most {MAX_PAYLOAD} can be sent")]
    TooLarge {
        /// Subject that was asked.
        subject: String,
        /// Its size in bytes.
        size: usize,
    },
    /// Request or answer is not the JSON both sides agreed on.
    #[error("message on {subject} does not have the agreed form: {reason}")]
    Form {
        /// Subject that was asked.
        subject: String,
        /// What is wrong; never content.
        reason: String,
    },
    /// The other side understood and refused for good.
    #[error("{0}")]
    Invalid(String),
}

/// A connection that outlives outages of the server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Nats {
    client: Client,
}

impl Nats {
    /// Connects, trying for ever: a service may start before its NATS server. `name` shows up in the
    /// server's connection list and prefixes the inbox, which permissions are tied to.
    pub async fn connect(config: &NatsConfig, name: &str) -> Self {
        let mut told = false;
        loop {
            match Self::try_connect(config, name).await {
                Ok(nats) => return nats,
                Err(reason) if !told => {
                    told = true;
                    tracing::warn!(%reason, "NATS is not reachable yet, trying on");
                }
                Err(_) => {}
            }
            tokio::time::sleep(CONNECT_RETRY).await;
        }
    }

    /// Connects once.
    pub async fn try_connect(config: &NatsConfig, name: &str) -> Result<Self, String> {
        let mut options = ConnectOptions::new()
            .name(name)
            .custom_inbox_prefix(inbox_prefix(config.user.as_deref().unwrap_or(name)))
            .client_capacity(CLIENT_CAPACITY)
            .subscription_capacity(SUBSCRIPTION_CAPACITY)
            .reconnect_delay_callback(|attempts| {
                RECONNECT_PAUSE.min(Duration::from_millis(50 * attempts.min(100) as u64))
            });
        if let (Some(user), Some(password)) = (&config.user, &config.password) {
            options = options.user_and_password(user.clone(), password.clone());
        }
        if let Some(ca) = &config.ca {
            options = options.add_root_certificates(ca.clone()).require_tls(true);
        }
        let client = options.connect(config.urls.clone()).await.map_err(|error| error.to_string())?;
        Ok(Self { client })
    }

    /// The client beneath, for streams and subscriptions.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Sends a request as JSON and reads the answer as JSON.
    pub async fn request<Q: Serialize, A: DeserializeOwned>(
        &self,
        subject: &str,
        request: &Q,
        timeout: Duration,
    ) -> Result<A, RequestError> {
        let payload = serde_json::to_vec(request)
            .map_err(|error| RequestError::Form { subject: subject.to_owned(), reason: error.to_string() })?;
        if payload.len() > MAX_PAYLOAD {
            return Err(RequestError::TooLarge { subject: subject.to_owned(), size: payload.len() });
        }
        let unavailable = |reason: String| RequestError::Unavailable { subject: subject.to_owned(), reason };
        let mut headers = HeaderMap::new();
        context::inject(&mut headers);
        let sent = async_nats::client::Request::new()
            .payload(payload.into())
            .headers(headers)
            .timeout(Some(timeout));
        let answer = self
            .client
            .send_request(subject.to_owned(), sent)
            .await
            .map_err(|error| unavailable(error.to_string()))?;
        serde_json::from_slice(&answer.payload).map_err(|error| RequestError::Form {
            subject: subject.to_owned(),
            reason: format!("answer: {error}"),
        })
    }

    /// As [`Nats::request`], for services that answer with a [`Reply`].
    pub async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        subject: &str,
        request: &Q,
        timeout: Duration,
    ) -> Result<A, RequestError> {
        match self.request::<Q, Reply<A>>(subject, request, timeout).await? {
            Reply::Ok(answer) => Ok(answer),
            Reply::Invalid(reason) => Err(RequestError::Invalid(reason)),
            Reply::Unavailable(reason) => {
                Err(RequestError::Unavailable { subject: subject.to_owned(), reason })
            }
        }
    }

    /// Asks everybody on `subject`, and gathers what they answer within `wait`: nobody tells how many
    /// there are. Answers that are not of the agreed form are left out; the log says so.
    ///
    /// # Errors
    /// [`RequestError::Unavailable`] without a connection. That nobody answers is an answer.
    pub async fn ask_all<Q: Serialize, A: DeserializeOwned>(
        &self,
        subject: &str,
        request: &Q,
        wait: Duration,
    ) -> Result<Vec<A>, RequestError> {
        let payload = serde_json::to_vec(request)
            .map_err(|error| RequestError::Form { subject: subject.to_owned(), reason: error.to_string() })?;
        let unavailable = |reason: String| RequestError::Unavailable { subject: subject.to_owned(), reason };
        let inbox = self.client.new_inbox();
        let mut answers =
            self.client.subscribe(inbox.clone()).await.map_err(|error| unavailable(error.to_string()))?;
        self.client
            .publish_with_reply(subject.to_owned(), inbox, payload.into())
            .await
            .map_err(|error| unavailable(error.to_string()))?;
        let mut gathered = Vec::new();
        let gather = async {
            while let Some(answer) = answers.next().await {
                if answer.status == Some(async_nats::StatusCode::NO_RESPONDERS) {
                    break;
                }
                match serde_json::from_slice::<Reply<A>>(&answer.payload) {
                    Ok(Reply::Ok(answer)) => gathered.push(answer),
                    Ok(Reply::Invalid(reason) | Reply::Unavailable(reason)) => {
                        tracing::warn!(subject, reason, "an answer says that there is none");
                    }
                    Err(error) => tracing::warn!(subject, %error, "an answer does not have the agreed form"),
                }
            }
        };
        let _ = tokio::time::timeout(wait, gather).await;
        Ok(gathered)
    }

    /// Answers requests on `subject` as a member of `group`, at most `limit` at a time, until the
    /// returned task is dropped or aborted. A request that is not of the agreed form is answered
    /// with `invalid`.
    pub async fn serve<Q, A, H, F>(
        &self,
        subject: &str,
        group: &str,
        limit: usize,
        invalid: fn(String) -> A,
        handler: H,
    ) -> Result<tokio::task::JoinHandle<()>, RequestError>
    where
        Q: DeserializeOwned + Send + 'static,
        A: Serialize + Send + Sync + 'static,
        H: Fn(Q) -> F + Send + Sync + 'static,
        F: Future<Output = A> + Send + 'static,
    {
        let mut requests =
            self.client.queue_subscribe(subject.to_owned(), group.to_owned()).await.map_err(|error| {
                RequestError::Unavailable { subject: subject.to_owned(), reason: error.to_string() }
            })?;
        let (client, handler, name) = (self.client.clone(), Arc::new(handler), subject.to_owned());
        let places = Arc::new(Semaphore::new(limit));
        Ok(tokio::spawn(async move {
            while let Some(message) = requests.next().await {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                let (client, handler) = (client.clone(), Arc::clone(&handler));
                let span = tracing::info_span!("serve", otel.name = %name, otel.kind = "server");
                context::set_parent(&span, context::extract(message.headers.as_ref()).as_deref());
                tokio::spawn(
                    async move {
                        let answer = match serde_json::from_slice::<Q>(&message.payload) {
                            Ok(request) => handler(request).await,
                            Err(error) => invalid(format!("request: {error}")),
                        };
                        reply(&client, &message, &answer).await;
                        drop(place);
                    }
                    .instrument(span),
                );
            }
        }))
    }
}

async fn reply<A: Serialize>(client: &Client, message: &Message, answer: &A) {
    let Some(inbox) = message.reply.clone() else { return };
    let payload = match serde_json::to_vec(answer) {
        Ok(payload) if payload.len() <= MAX_PAYLOAD => payload,
        // The asker times out and tries again; the cause must not be silent.
        _ => {
            return tracing::error!(subject = %message.subject, "answer cannot be sent: not JSON or too large");
        }
    };
    if let Err(error) = client.publish(inbox, payload.into()).await {
        tracing::warn!(subject = %message.subject, %error, "answer was not sent");
    }
}

/// The inbox prefix of a user: answers to one user are not readable by another.
pub fn inbox_prefix(user: &str) -> String {
    format!("_INBOX.{}", crate::subject::token(user))
}
