//! Starts and ends the adapter.
use std::{collections::HashMap, future::Future, sync::Arc};

use adapter::{
    audit::{Audit, Parties},
    dumps,
    forward::forward,
    health,
    tls::SetupError,
};
use messaging::{
    connect::{Nats, RequestError},
    engine::Reply,
    recipient::{Opener, Recipient, SealError},
    subject::{self, MPI_GROUP},
};

use crate::{Backend, Config, serve::Service};

/// Why the adapter cannot run. Outages never end it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Files, addresses or names cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A recipient is not `name=key`.
    #[error("recipient {0}: {1} (DSF_MPI_RECIPIENTS is name=key, separated by commas)")]
    Recipient(String, SealError),
    /// The private key cannot be used.
    #[error("private key: {0}")]
    PrivateKey(SealError),
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
pub async fn run(config: Config, shutdown: impl Future) -> Result<(), Error> {
    dumps::forbid()?;
    let mut recipients = HashMap::new();
    for entry in &config.recipients {
        // Base64 ends with `=`: only the first one separates.
        let (name, key) = entry.split_once('=').unwrap_or((entry, ""));
        let key = Recipient::new(key).map_err(|error| Error::Recipient(name.to_owned(), error))?;
        recipients.insert(name.to_owned(), key);
    }
    let opener = config.private_key.as_deref().map(Opener::new).transpose().map_err(Error::PrivateKey)?;
    let parties = Parties {
        site: config.site.clone(),
        service: "mpi-adapter",
        server: "mpi",
        address: config.address.clone(),
        applications: config.applications(),
    };
    let audit = Audit::new(parties, config.audit.file.as_deref())?;
    let backlog = Arc::clone(audit.backlog());
    let carrier = forward("mpi-adapter", &config.audit, &config.tls(), &backlog)?;
    let mut shutdown = std::pin::pin!(shutdown);
    let servers = &config.nats;
    let (backend, nats) = tokio::select! {
        ready = async { (Backend::new(&config).await, Nats::connect(servers, "mpi-adapter").await) } => ready,
        _ = &mut shutdown => return Ok(()),
    };
    let service = Arc::new(Service {
        site: config.site.clone(),
        backend: backend?,
        recipients,
        opener,
        audit,
        concurrency: config.concurrency(),
    });
    let limit = config.requests.max(1);
    service.audit.started();
    let (find, matching, references, looked_at) =
        (Arc::clone(&service), Arc::clone(&service), Arc::clone(&service), service);
    let served = [
        health::serve(&nats, subject::MPI_HEALTH, "mpi-adapter", backlog, move || {
            vec![looked_at.backend.guard().health()]
        })
        .await?,
        nats.serve(subject::MPI_FIND, MPI_GROUP, limit, Reply::Invalid, move |request| {
            Arc::clone(&find).find(request)
        })
        .await?,
        nats.serve(subject::MPI_MATCH, MPI_GROUP, limit, Reply::Invalid, move |request| {
            Arc::clone(&matching).match_person(request)
        })
        .await?,
        nats.serve(subject::MPI_CROSS_REFERENCE, MPI_GROUP, limit, Reply::Invalid, move |request| {
            Arc::clone(&references).cross_reference(request)
        })
        .await?,
    ];
    if let Some(path) = &config.ready_file {
        std::fs::write(path, "ready\n").map_err(Error::ReadyFile)?;
    }
    tracing::info!("ready");
    shutdown.await;
    served.iter().chain(&carrier).for_each(tokio::task::JoinHandle::abort);
    Ok(())
}
