//! Starts and ends the parts of the router.
use std::{future::Future, path::Path, sync::Arc};

use fhir_client::{Client, SetupError};
use messaging::{
    connect::{Nats, RequestError},
    egress::EgressReply,
    engine::Reply,
    job,
    subject::{self, Lane, ROUTER_GROUP},
};
use tokio::{sync::watch, task::JoinSet};
use worker::{SubscribeError, Worker, WorkerConfig};

use crate::{
    Config,
    directory::Directory,
    egress::Egress,
    form::Forms,
    gateway::Gateway,
    intake::{Intake, Kind},
    recent::Recent,
    send::Sender,
    sweep,
    write_back::WriteBack,
};

/// QuestionnaireResponses made at a time; people answer them, so they are few.
const FORMS: usize = 4;

/// Why the router cannot run. Outages never end it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Certificate, key or roots cannot be used.
    #[error(transparent)]
    Identity(#[from] SetupError),
    /// The base URL is not one.
    #[error("base URL {0} is not an https URL: set DSF_ROUTER_BASE_URL as in the own Endpoint resource")]
    BaseUrl(String),
    /// Requests of workers cannot be subscribed to.
    #[error(transparent)]
    Serve(#[from] RequestError),
    /// Jobs cannot be subscribed to.
    #[error(transparent)]
    Jobs(#[from] SubscribeError),
    /// The ready file cannot be written.
    #[error("ready file cannot be written: {0}")]
    ReadyFile(#[source] std::io::Error),
    /// A part ended on its own.
    #[error("a part of the router ended unexpectedly")]
    Ended,
}

/// Runs until `shutdown` is ready; then begun work ends and nothing new begins.
///
/// # Errors
/// See [`Error`]; all at start.
pub async fn run(config: Config, shutdown: impl Future) -> Result<(), Error> {
    let is_https = config.base_url.starts_with("https://") && config.base_url.parse::<http::Uri>().is_ok();
    if !is_https {
        return Err(Error::BaseUrl(config.base_url));
    }
    let client = Client::new(&config.client())?;
    let mut shutdown = std::pin::pin!(shutdown);
    let servers = config.nats();
    let nats = tokio::select! {
        nats = Nats::connect(&servers, "task-router") => nats,
        _ = &mut shutdown => return Ok(()),
    };

    let gateway = Gateway::new(client.clone(), &config.base_url);
    let directory = Arc::new(Directory::new(gateway.clone(), config.directory_age.get()));
    let egress = Arc::new(Egress {
        client: client.clone(),
        gateway: gateway.clone(),
        directory: Arc::clone(&directory),
    });
    let served = serve(&nats, &config, egress).await?;

    let (stop, stopping) = watch::channel(false);
    let mut workers = JoinSet::new();
    let mut ready = JoinSet::new();
    let forms = Forms { gateway: gateway.clone(), directory: Arc::clone(&directory) };
    let sender = Sender { client, directory, give_up: config.send_give_up.get() };
    let recent = Arc::new(Recent::default());
    let write_back = WriteBack { gateway: gateway.clone(), recent: Arc::clone(&recent) };
    for worker in [
        send_worker(&nats, &config, Arc::new(sender)),
        write_back_worker(&nats, &config, Arc::new(write_back)),
        form_worker(&nats, &config, Arc::new(forms)),
    ] {
        let (tell, told) = tokio::sync::oneshot::channel();
        ready.spawn(told);
        let mut stopping = stopping.clone();
        workers.spawn(async move {
            let stopped = async move {
                let _ = stopping.wait_for(|stop| *stop).await;
            };
            let tell = || {
                let _ = tell.send(());
            };
            worker.run_and_tell(stopped, tell).await
        });
    }
    let intake = Intake { nats, gateway, recent };
    let mut readers = JoinSet::new();
    for kind in [Kind::Task, Kind::QuestionnaireResponse] {
        for lane in [Lane::Keyed, Lane::New] {
            readers.spawn(intake.clone().follow(kind, lane, config.window, stopping.clone()));
        }
    }
    readers.spawn(sweep::run(intake, config.sweep.get(), stopping));

    let started = async {
        while ready.join_next().await.is_some() {}
        config.ready_file.as_deref().map_or(Ok(()), write_ready)?;
        tracing::info!(endpoint = %config.base_url, "ready");
        std::future::pending::<Result<(), Error>>().await
    };
    let ended = tokio::select! {
        _ = &mut shutdown => Ok(()),
        failed = started => failed,
        ended = workers.join_next() => match ended {
            Some(Ok(Err(error))) => Err(Error::Jobs(error)),
            _ => Err(Error::Ended),
        },
        _ = readers.join_next() => Err(Error::Ended),
    };
    tracing::info!("stopping");
    let _ = stop.send(true);
    for task in served {
        task.abort();
    }
    while readers.join_next().await.is_some() {}
    while workers.join_next().await.is_some() {}
    ended
}

async fn serve(
    nats: &Nats,
    config: &Config,
    egress: Arc<Egress>,
) -> Result<[tokio::task::JoinHandle<()>; 2], Error> {
    let limit = config.egress_requests.max(1);
    let requests = Arc::clone(&egress);
    let requests = nats
        .serve(subject::EGRESS, ROUTER_GROUP, limit, EgressReply::Refused, move |request| {
            let egress = Arc::clone(&requests);
            async move { egress.answer(request).await }
        })
        .await?;
    let site = nats
        .serve(subject::ROUTER_SITE, ROUTER_GROUP, limit, Reply::Invalid, move |_: serde_json::Value| {
            let egress = Arc::clone(&egress);
            async move { egress.site().await }
        })
        .await?;
    Ok([requests, site])
}

fn send_worker(nats: &Nats, config: &Config, sender: Arc<Sender>) -> Worker {
    let settings = settings("task-router-send", config.sends, config);
    Worker::new(nats.clone(), settings).handle(&[job::SEND], move |job| {
        let sender = Arc::clone(&sender);
        async move { sender.handle(job).await }
    })
}

fn write_back_worker(nats: &Nats, config: &Config, write_back: Arc<WriteBack>) -> Worker {
    let settings = settings("task-router-write-back", config.write_backs, config);
    Worker::new(nats.clone(), settings).handle(&[job::WRITE_BACK], move |job| {
        let write_back = Arc::clone(&write_back);
        async move { write_back.handle(job).await }
    })
}

fn form_worker(nats: &Nats, config: &Config, forms: Arc<Forms>) -> Worker {
    let settings = settings("task-router-forms", FORMS, config);
    Worker::new(nats.clone(), settings).handle(&[job::FORM], move |job| {
        let forms = Arc::clone(&forms);
        async move { forms.handle(job).await }
    })
}

fn settings(name: &str, concurrency: usize, config: &Config) -> WorkerConfig {
    WorkerConfig {
        concurrency,
        lease: config.lease.get(),
        poll: config.poll.get(),
        ..WorkerConfig::new(name)
    }
}

fn write_ready(path: &Path) -> Result<(), Error> {
    std::fs::write(path, "ready\n").map_err(Error::ReadyFile)
}
