//! Starts and ends the adapter.
use std::{future::Future, sync::Arc};

use adapter::{
    audit::{Audit, Parties},
    forward::forward,
    health,
    tls::SetupError,
};
use futures_util::StreamExt;
use messaging::{
    connect::{Nats, RequestError},
    engine::Reply,
    hospital::Revoked,
    subject::{self, PDP_GROUP},
};

use crate::{Backend, Cache, Config, Service, config::MAX_CACHE_LIFE};

/// Why the adapter cannot run. Outages never end it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Files, addresses or names cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Decisions would be used for too long.
    #[error("DSF_PDP_CACHE_LIFE must be at most {} s: a withdrawal must take effect", MAX_CACHE_LIFE.get().as_secs())]
    CacheLife,
    /// Questions cannot be subscribed to.
    #[error(transparent)]
    Serve(#[from] RequestError),
    /// Notices of revocations cannot be subscribed to.
    #[error("revocations cannot be subscribed to: {0}")]
    Revocations(String),
    /// The ready file cannot be written.
    #[error("ready file cannot be written: {0}")]
    ReadyFile(#[source] std::io::Error),
}

/// Runs until `shutdown` is ready.
///
/// # Errors
/// See [`Error`]; all at start.
pub async fn run(config: Config, shutdown: impl Future) -> Result<(), Error> {
    if config.cache_life.get() > MAX_CACHE_LIFE.get() {
        return Err(Error::CacheLife);
    }
    let backend = Backend::new(&config)?;
    let parties = Parties {
        site: config.site.clone(),
        service: "pdp-adapter",
        server: "pdp",
        address: config.address.clone(),
        applications: None,
    };
    let audit = Audit::new(parties, config.audit.file.as_deref())?;
    let backlog = Arc::clone(audit.backlog());
    let carrier = forward("pdp-adapter", &config.audit, &config.tls(), &backlog)?;
    let service = Arc::new(Service::new(backend, Cache::new(config.cache_life.get()), audit));
    let mut shutdown = std::pin::pin!(shutdown);
    let nats = tokio::select! {
        nats = Nats::connect(&config.nats, "pdp-adapter") => nats,
        _ = &mut shutdown => return Ok(()),
    };
    // Before the first question: no decision may be kept that a revocation cannot reach.
    let revocations = nats.client().subscribe(subject::PDP_REVOKED).await;
    let mut revocations = revocations.map_err(|error| Error::Revocations(error.to_string()))?;
    service.started();
    let (asked, told, looked_at) = (Arc::clone(&service), Arc::clone(&service), service);
    let looked =
        health::serve(&nats, subject::PDP_HEALTH, "pdp-adapter", backlog, move || vec![looked_at.health()])
            .await?;
    let served = nats
        .serve(subject::PDP_DECIDE, PDP_GROUP, config.requests.max(1), Reply::Invalid, move |request| {
            Arc::clone(&asked).decide(request)
        })
        .await?;
    let revoked = tokio::spawn(async move {
        while let Some(message) = revocations.next().await {
            // What cannot be read drops everything.
            let notice: Revoked = serde_json::from_slice(&message.payload).unwrap_or_default();
            told.cache.revoke(&notice.records);
        }
    });
    if let Some(path) = &config.ready_file {
        std::fs::write(path, "ready\n").map_err(Error::ReadyFile)?;
    }
    tracing::info!("ready");
    shutdown.await;
    [served, revoked, looked].iter().chain(&carrier).for_each(tokio::task::JoinHandle::abort);
    Ok(())
}
