//! JetStream streams and consumers: names, settings, provisioning.
use std::time::Duration;

use async_nats::jetstream::{
    self,
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
    stream::{Config, DiscardPolicy, RetentionPolicy, StorageType},
};

use crate::subject::{self, Lane};

/// The stream of gateway events.
pub const EVENTS: &str = "EVENTS";
/// Window in which a repeated publish of one outbox row is recognised by the server.
pub const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// Events kept at most. The outbox waits when the stream is full (`discard: new`).
pub const MAX_EVENTS: i64 = 1_000_000;
/// How long the server waits for an acknowledgement before it delivers an event again. The events of a
/// router that died wait this long, as its jobs do (`worker::LEASE`).
pub const ACK_WAIT: Duration = Duration::from_secs(10);
/// Events of one lane that may be out for acknowledgement.
pub const MAX_ACK_PENDING: i64 = 10_000;

/// The server refused a stream or consumer.
#[derive(Debug, thiserror::Error)]
#[error("{what} cannot be provisioned: {reason}")]
pub struct StreamError {
    /// Stream or consumer name.
    pub what: String,
    /// The server's reason.
    pub reason: String,
}

fn failed(what: &str) -> impl Fn(async_nats::Error) -> StreamError + '_ {
    move |error| StreamError { what: what.to_owned(), reason: error.to_string() }
}

/// Creates the EVENTS stream or brings it to the current settings.
pub async fn provision_events(client: &async_nats::Client, replicas: usize) -> Result<(), StreamError> {
    let context = jetstream::new(client.clone());
    let config = Config {
        name: EVENTS.to_owned(),
        subjects: vec![subject::EVENTS.to_owned()],
        retention: RetentionPolicy::WorkQueue,
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        max_messages: MAX_EVENTS,
        duplicate_window: DUPLICATE_WINDOW,
        num_replicas: replicas,
        ..Config::default()
    };
    context.create_or_update_stream(config).await.map_err(|error| failed(EVENTS)(error.into()))?;
    Ok(())
}

/// Durable name of the consumer of one resource type, status and lane.
pub fn consumer_name(resource_type: &str, status: &str, lane: Lane) -> String {
    format!("router-{resource_type}-{status}-{}", lane.as_str())
}

/// Creates or finds the router's durable consumer of one lane.
pub async fn event_consumer(
    client: &async_nats::Client,
    resource_type: &str,
    status: &str,
    lane: Lane,
) -> Result<PullConsumer, StreamError> {
    let name = consumer_name(resource_type, status, lane);
    let stream = jetstream::new(client.clone())
        .get_stream(EVENTS)
        .await
        .map_err(|error| failed(EVENTS)(error.into()))?;
    let config = pull::Config {
        durable_name: Some(name.clone()),
        filter_subject: subject::event_filter(resource_type, status, lane),
        ack_policy: AckPolicy::Explicit,
        deliver_policy: DeliverPolicy::All,
        ack_wait: ACK_WAIT,
        max_ack_pending: MAX_ACK_PENDING,
        max_deliver: -1,
        ..pull::Config::default()
    };
    stream.get_or_create_consumer(&name, config).await.map_err(|error| failed(&name)(error.into()))
}
