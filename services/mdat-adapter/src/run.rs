//! Starts and ends the adapter, and answers questions over NATS.
use std::{future::Future, sync::Arc};

use adapter::{
    Trouble,
    audit::{Audit, Parties},
    forward::forward,
    tls::SetupError,
};
use hospital::failure::Failure;
use messaging::{
    connect::{Nats, RequestError},
    engine::Reply,
    hospital::{CountReply, DataRequest},
    subject::{self, MDAT_GROUP},
};

use crate::{Config, Repository, Wrong};

/// Why the adapter cannot run. Outages never end it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Files, addresses or names cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Questions cannot be subscribed to.
    #[error(transparent)]
    Serve(#[from] RequestError),
    /// The ready file cannot be written.
    #[error("ready file cannot be written: {0}")]
    ReadyFile(#[source] std::io::Error),
}

struct Service {
    repository: Repository,
    audit: Audit,
}

impl Service {
    fn reply<T>(&self, request_id: &str, result: Result<T, Wrong>) -> Reply<T> {
        let outcome = match &result {
            Ok(_) => Ok("answered"),
            Err(Wrong::Trouble(trouble)) => Err(trouble),
            Err(_) => Ok("not-sent"),
        };
        self.audit.record(self.repository.transaction(), None, request_id, &[], outcome);
        match result {
            Ok(answer) => Reply::Ok(answer),
            Err(Wrong::Trouble(trouble)) => match &trouble {
                Trouble::Failure(Failure::Rejected(told)) => {
                    let class = told.class.map_or("refused", |class| class.as_str());
                    Reply::Invalid(format!("the repository refused the query ({class})"))
                }
                _ => Reply::Unavailable(format!(
                    "the repository gave no usable answer ({})",
                    trouble.outcome()
                )),
            },
            Err(wrong) => Reply::Invalid(wrong.to_string()),
        }
    }
}

/// Runs until `shutdown` is ready.
///
/// # Errors
/// See [`Error`]; all at start.
pub async fn run(config: Config, shutdown: impl Future) -> Result<(), Error> {
    let repository = Repository::new(&config)?;
    let parties = Parties {
        site: config.site.clone(),
        service: "mdat-adapter",
        server: "repository",
        address: config.address.clone(),
    };
    let audit = Audit::new(parties, config.audit_file.as_deref())?;
    let carrier = forward(config.audit_file.as_deref(), config.audit_url.as_deref(), &config.tls())?;
    let service = Arc::new(Service { repository, audit });
    let mut shutdown = std::pin::pin!(shutdown);
    let servers = config.nats();
    let nats = tokio::select! {
        nats = Nats::connect(&servers, "mdat-adapter") => nats,
        _ = &mut shutdown => return Ok(()),
    };
    let limit = config.requests.max(1);
    service.audit.started();
    let (counts, ids, rows) = (Arc::clone(&service), Arc::clone(&service), service);
    let served = [
        nats.serve(subject::MDAT_COUNT, MDAT_GROUP, limit, Reply::Invalid, move |request: DataRequest| {
            let service = Arc::clone(&counts);
            async move {
                let count = service.repository.count(&request).await.map(|count| CountReply { count });
                service.reply(&request.request_id, count)
            }
        })
        .await?,
        nats.serve(subject::MDAT_IDS, MDAT_GROUP, limit, Reply::Invalid, move |request: DataRequest| {
            let service = Arc::clone(&ids);
            async move { service.reply(&request.request_id, service.repository.ids(&request).await) }
        })
        .await?,
        nats.serve(subject::MDAT_ROWS, MDAT_GROUP, limit, Reply::Invalid, move |request: DataRequest| {
            let service = Arc::clone(&rows);
            async move { service.reply(&request.request_id, service.repository.rows(&request).await) }
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
