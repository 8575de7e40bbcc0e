//! Starts and ends the worker.
use std::{future::Future, num::NonZeroUsize, sync::Arc, time::Duration};

use adapter::{
    audit::{Audit, Parties},
    dumps,
    forward::forward,
    guard::Guard,
    health,
    tls::{SetupError, TlsSettings},
};
use messaging::{
    connect::{Nats, RequestError},
    engine::Reply,
    recipient::{Recipient, SealError},
    subject::{self, RBF_GROUP},
};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::{
    Config,
    encoders::Encoders,
    keys::Keys,
    persons::Index,
    runs::{Bounds, Runs},
    serve::Service,
};

/// How often unused keys and runs are looked for.
const SWEEP: Duration = Duration::from_secs(5);

/// Why the worker cannot run. Outages never end it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Files, keys or names cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The public key is none, or not that of the private key.
    #[error("public key: {0}")]
    PublicKey(SealError),
    /// Questions cannot be subscribed to.
    #[error(transparent)]
    Serve(#[from] RequestError),
    /// The ready file cannot be written.
    #[error("ready file cannot be written: {0}")]
    ReadyFile(#[source] std::io::Error),
}

/// Runs until `shutdown` is ready.
///
/// # Errors
/// See [`Error`]; all at start.
pub async fn run(mut config: Config, shutdown: impl Future) -> Result<(), Error> {
    dumps::forbid()?;
    let keys = Keys::take(&mut config)?;
    check_pair(&config, &keys).map_err(Error::PublicKey)?;
    let encoders = Arc::new(Encoders::new(&config.clk_schemas)?);
    let parties = Parties {
        site: config.site.clone(),
        service: "rbf-worker",
        server: "pseudonyms",
        address: String::new(),
        applications: None,
    };
    let audit = Audit::new(parties, config.audit.file.as_deref())?;
    let backlog = Arc::clone(audit.backlog());
    // There is no other system whose TLS files could be taken.
    let carrier = forward("rbf-worker", &config.audit, &TlsSettings::default(), &backlog)?;
    let threads = config.threads.and_then(NonZeroUsize::new);
    let threads = threads.or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
    let mut shutdown = std::pin::pin!(shutdown);
    let nats = tokio::select! {
        nats = Nats::connect(&config.nats, "rbf-worker") => nats,
        _ = &mut shutdown => return Ok(()),
    };
    let replica = Uuid::new_v4().simple().to_string();
    let bounds =
        Bounds { memory: config.memory, runs: config.runs.max(1), idle: config.run_idle.get(), threads };
    let runs = Arc::new(Runs::new(&replica, bounds));
    let service = Arc::new(Service {
        organization: config.organization.clone(),
        public_key: config.public_key.clone(),
        index: Index {
            nats: nats.clone(),
            guard: Guard::new("mpi-adapter", config.limits()),
            site: config.site.clone(),
            recipient: config.recipient.clone(),
            timeout: config.mpi_timeout.get(),
        },
        keys,
        encoders: Arc::clone(&encoders),
        runs: Arc::clone(&runs),
        audit,
        places: Semaphore::new(threads.get()),
        encoded: telemetry::metrics::meter().u64_counter("dsf.linkage.encoded").build(),
    });
    service.audit.started();
    let served = subscribe(&nats, &service, config.requests.max(1)).await?;
    let looked_at = Arc::clone(&service);
    let looked = health::serve(&nats, subject::RBF_HEALTH, "rbf-worker", backlog, move || {
        vec![looked_at.index.guard.health()]
    })
    .await?;
    let sweeper = tokio::spawn({
        let runs = Arc::clone(&runs);
        async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                encoders.sweep();
                runs.sweep();
            }
        }
    });
    if let Some(path) = &config.ready_file {
        std::fs::write(path, "ready\n").map_err(Error::ReadyFile)?;
    }
    tracing::info!("ready");
    shutdown.await;
    served.iter().chain([&sweeper, &looked]).chain(&carrier).for_each(tokio::task::JoinHandle::abort);
    runs.stop();
    Ok(())
}

async fn subscribe(
    nats: &Nats,
    service: &Arc<Service>,
    limit: usize,
) -> Result<Vec<tokio::task::JoinHandle<()>>, RequestError> {
    let own = || Arc::clone(service);
    let (recipient, encode, start, command, open, result, data) =
        (own(), own(), own(), own(), own(), own(), own());
    Ok(vec![
        nats.serve(subject::RBF_RECIPIENT, RBF_GROUP, limit, Reply::Invalid, move |_: serde_json::Value| {
            let service = Arc::clone(&recipient);
            async move { service.recipient() }
        })
        .await?,
        nats.serve(subject::RBF_ENCODE, RBF_GROUP, limit, Reply::Invalid, move |request| {
            Arc::clone(&encode).encode(request)
        })
        .await?,
        nats.serve(subject::RBF_START, RBF_GROUP, limit, Reply::Invalid, move |request| {
            let service = Arc::clone(&start);
            async move { service.start(request) }
        })
        .await?,
        nats.serve(service.runs.subject(), RBF_GROUP, limit, Reply::Invalid, move |request| {
            let service = Arc::clone(&command);
            async move { service.runs.command(request) }
        })
        .await?,
        nats.serve(subject::RBF_OPEN, RBF_GROUP, limit, Reply::Invalid, move |request| {
            let service = Arc::clone(&open);
            async move { service.open_pseudonyms(&request) }
        })
        .await?,
        nats.serve(subject::RBF_RESULT_SET, RBF_GROUP, limit, Reply::Invalid, move |request| {
            let service = Arc::clone(&result);
            async move { service.result_set(request).await }
        })
        .await?,
        nats.serve(subject::RBF_DATA_SET, RBF_GROUP, limit, Reply::Invalid, move |request| {
            let service = Arc::clone(&data);
            async move {
                let work = tokio::task::spawn_blocking(move || service.data_set(&request));
                work.await.unwrap_or_else(|_| Reply::Unavailable("the data set's turn broke off".to_owned()))
            }
        })
        .await?,
    ])
}

/// A pair that does not fit would refuse every request later.
fn check_pair(config: &Config, keys: &Keys) -> Result<(), SealError> {
    let context = messaging::recipient::Context { site: &config.site, request_id: "start", profile: "check" };
    let sealed = Recipient::new(&config.public_key)?.seal(context, b"check")?;
    keys.opener.open(context, &sealed).map(|_| ())
}
