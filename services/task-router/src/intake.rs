//! Events of the own gateway become deliveries: read the Task, translate, hand to the engine, and
//! acknowledge the event only after the engine has committed.
//!
//! Two lanes with a window each, so that answers to running instances never queue behind starts.
use std::{sync::Arc, time::Duration};

use async_nats::jetstream::{AckKind, Message, consumer::PullConsumer};
use futures_util::StreamExt;
use http::StatusCode;
use messaging::{
    connect::{Nats, RequestError},
    engine::{Delivered, RefuseRequest},
    event::ResourceEvent,
    job::Source,
    seal::{self, SealError},
    streams,
    subject::{self, Lane},
};
use telemetry::context;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tracing::Instrument;

use crate::{
    backoff::Backoff,
    counters, form,
    gateway::{Gateway, GatewayError},
    recent::{self, Recent},
    translate::{Translated, translate},
};

/// Longest wait for the engine's commit. Shorter than the stream's acknowledgement wait.
const DELIVER_TIMEOUT: Duration = Duration::from_secs(8);
/// When an event comes again after an outage of our own parts.
const LATER: Duration = Duration::from_secs(1);
/// When an event of a newer writer comes again: a rolling upgrade takes minutes.
const MUCH_LATER: Duration = Duration::from_secs(60);
/// First pause before a consumer is asked for again; doubled up to the next constant.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause before a consumer is asked for again.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Life of one pull request at the server.
const PULL_EXPIRES: Duration = Duration::from_secs(10);
/// Sign of life of an open pull request; two missed ones mean that the request is lost.
const PULL_HEARTBEAT: Duration = Duration::from_secs(2);
/// How long deliveries in work may still take at shutdown.
const DRAIN: Duration = Duration::from_secs(5);

/// What deliveries need.
#[derive(Clone)]
pub(crate) struct Intake {
    pub(crate) nats: Nats,
    pub(crate) gateway: Gateway,
    pub(crate) recent: Arc<Recent>,
}

/// What to do with the event, or with the Task of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Committed, or nothing to do.
    Settled,
    /// A part of ours is away.
    Later,
    /// It can never be delivered.
    Hopeless,
}

/// Which resources are taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Requested Tasks.
    Task,
    /// Completed QuestionnaireResponses.
    QuestionnaireResponse,
}

impl Kind {
    /// Resource type and the status it is taken in with.
    pub(crate) fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Task => ("Task", "requested"),
            Self::QuestionnaireResponse => ("QuestionnaireResponse", "completed"),
        }
    }
}

impl Intake {
    /// Hands a completed QuestionnaireResponse to the engine; `text` is its JSON.
    async fn complete(&self, response: &fhir::Resource, text: String, source: Source) -> Fate {
        let Some(request) = form::completion(response, text, source) else {
            counters::delivered("no-user-task");
            return Fate::Settled;
        };
        match self.nats.ask::<_, Delivered>(subject::COMPLETE_TASK, &request, DELIVER_TIMEOUT).await {
            Ok(_) => {
                counters::delivered("user-task");
                Fate::Settled
            }
            Err(error @ (RequestError::Invalid(_) | RequestError::TooLarge { .. })) => {
                tracing::error!(response = %request.source.reference, %error, "the engine does not take the answer");
                counters::delivered("hopeless");
                Fate::Hopeless
            }
            Err(_) => {
                counters::delivered("unavailable");
                Fate::Later
            }
        }
    }

    /// Reads a Task or QuestionnaireResponse and delivers it.
    pub(crate) async fn fetch_and_deliver(&self, kind: Kind, id: &str) -> Fate {
        let reference = format!("{}/{id}", kind.names().0);
        let answer = match self.gateway.get(&reference).await {
            Ok(answer) => answer,
            Err(GatewayError::Refused(StatusCode::NOT_FOUND | StatusCode::GONE)) => {
                counters::delivered("gone");
                return Fate::Settled;
            }
            Err(error) => {
                // A refusal too is worth another try: certificates and allow lists get repaired.
                tracing::debug!(%error, "the Task cannot be read now");
                counters::delivered("unreadable");
                return Fate::Later;
            }
        };
        let source = self.source(reference);
        match (answer.resource(), String::from_utf8(answer.body.into())) {
            (Ok(resource), Ok(text)) if kind == Kind::QuestionnaireResponse => {
                self.complete(&resource, text, source).await
            }
            (Ok(resource), Ok(text)) => self.deliver(&resource, text, source).await,
            _ => self.refuse(source, "Task cannot be read as FHIR JSON".to_owned()).await,
        }
    }

    /// The source of a Task of the own endpoint.
    pub(crate) fn source(&self, reference: String) -> Source {
        Source { base_url: self.gateway.base_url().to_owned(), reference }
    }

    /// Delivers a Task that was read; `text` is its JSON.
    pub(crate) async fn deliver(&self, task: &fhir::Resource, text: String, source: Source) -> Fate {
        if task.resource_type() == "QuestionnaireResponse" {
            return self.complete(task, text, source).await;
        }
        let small = text.len() <= recent::MAX_BYTES;
        let request = match translate(task, text, source.clone()) {
            Translated::Deliver(request) => {
                if small {
                    self.recent.keep(&source.reference, task.clone());
                }
                request
            }
            Translated::Refuse(reason) => return self.refuse(source, reason).await,
            Translated::Nothing => {
                counters::delivered("not-requested");
                return Fate::Settled;
            }
        };
        match self.nats.ask::<_, Delivered>(subject::DELIVER, &request, DELIVER_TIMEOUT).await {
            Ok(Delivered::Accepted) => {
                counters::delivered("accepted");
                Fate::Settled
            }
            Ok(Delivered::Duplicate) => {
                counters::delivered("duplicate");
                Fate::Settled
            }
            Err(RequestError::Invalid(reason)) => self.refuse(source, reason).await,
            Err(RequestError::TooLarge { size, .. }) => {
                self.refuse(source, format!("Task is too large for a process: {size} bytes")).await
            }
            Err(error) => {
                tracing::debug!(%error, "the engine does not take the Task now");
                counters::delivered("unavailable");
                Fate::Later
            }
        }
    }

    /// Has the engine fail a Task that nobody can work on.
    async fn refuse(&self, source: Source, reason: String) -> Fate {
        tracing::warn!(task = %source.reference, %reason, "a Task cannot be delivered and is failed");
        let request = RefuseRequest { source, reason };
        match self.nats.ask::<_, Delivered>(subject::REFUSE, &request, DELIVER_TIMEOUT).await {
            Ok(_) => {
                counters::delivered("refused");
                Fate::Settled
            }
            Err(error @ (RequestError::Invalid(_) | RequestError::TooLarge { .. })) => {
                tracing::error!(task = %request.source.reference, %error, "the engine does not fail the Task");
                counters::delivered("hopeless");
                Fate::Hopeless
            }
            Err(_) => {
                counters::delivered("unavailable");
                Fate::Later
            }
        }
    }

    /// Works on one lane until `stopping`, then lets begun deliveries end.
    pub(crate) async fn follow(
        self,
        kind: Kind,
        lane: Lane,
        window: usize,
        mut stopping: watch::Receiver<bool>,
    ) {
        let mut work = JoinSet::new();
        tokio::select! {
            () = self.read(kind, lane, window, &mut work) => {}
            _ = stopping.wait_for(|stop| *stop) => {}
        }
        let drained = async { while work.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(DRAIN, drained).await;
    }

    async fn read(&self, kind: Kind, lane: Lane, window: usize, work: &mut JoinSet<()>) {
        let places = Arc::new(Semaphore::new(window.max(1)));
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut told = false;
        loop {
            let (resource_type, status) = kind.names();
            match streams::event_consumer(self.nats.client(), resource_type, status, lane).await {
                Ok(consumer) => {
                    if told {
                        tracing::info!(lane = lane.as_str(), "events are read again");
                        told = false;
                    }
                    backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
                    self.pull(&consumer, window, &places, work).await;
                }
                // The gateway creates the stream; it may not have started yet.
                Err(error) if !told => {
                    told = true;
                    tracing::warn!(lane = lane.as_str(), %error, "events cannot be read yet, trying on");
                }
                Err(_) => {}
            }
            backoff.wait().await;
        }
    }

    /// Reads events until the consumer fails.
    async fn pull(
        &self,
        consumer: &PullConsumer,
        window: usize,
        places: &Arc<Semaphore>,
        work: &mut JoinSet<()>,
    ) {
        let events = consumer
            .stream()
            .max_messages_per_batch(window.max(1))
            .expires(PULL_EXPIRES)
            .heartbeat(PULL_HEARTBEAT)
            .messages()
            .await;
        let mut events = match events {
            Ok(events) => events,
            Err(error) => return tracing::debug!(%error, "pull request failed"),
        };
        loop {
            // First a place, then an event: what nobody has time for stays at the server.
            let Ok(place) = Arc::clone(places).acquire_owned().await else { return };
            let event = match events.next().await {
                Some(Ok(event)) => event,
                Some(Err(error)) => return tracing::debug!(%error, "reading events failed"),
                None => return,
            };
            while work.try_join_next().is_some() {}
            let intake = self.clone();
            let span = tracing::info_span!("intake", otel.kind = "consumer");
            context::set_parent(&span, context::extract(event.headers.as_ref()).as_deref());
            work.spawn(
                async move {
                    intake.event(&event).await;
                    drop(place);
                }
                .instrument(span),
            );
        }
    }

    async fn event(&self, message: &Message) {
        let answer = match seal::open::<ResourceEvent>(&message.payload) {
            Ok(event) => {
                let kinds = [Kind::Task, Kind::QuestionnaireResponse];
                let kind = kinds.into_iter().find(|kind| kind.names().0 == event.resource_type);
                match kind.filter(|_| !event.deleted) {
                    None => AckKind::Ack,
                    Some(kind) => match self.fetch_and_deliver(kind, &event.id).await {
                        Fate::Settled => AckKind::Ack,
                        Fate::Later => AckKind::Nak(Some(LATER)),
                        Fate::Hopeless => AckKind::Term,
                    },
                }
            }
            Err(error @ SealError::UnknownVersion { .. }) => {
                tracing::warn!(%error, "an event of a newer gateway is left for a newer router");
                counters::delivered("newer");
                AckKind::Nak(Some(MUCH_LATER))
            }
            Err(error) => {
                tracing::error!(%error, subject = %message.subject, "an event cannot be read and is dropped");
                counters::delivered("broken");
                AckKind::Term
            }
        };
        // An answer that is lost costs a delivery the engine's inbox recognises.
        if let Err(error) = message.ack_with(answer).await {
            tracing::debug!(%error, "event was not acknowledged");
        }
    }
}
