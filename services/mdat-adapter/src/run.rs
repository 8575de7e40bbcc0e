//! Starts and ends the adapter, and answers questions over NATS.
use std::{future::Future, sync::Arc};

use adapter::{
    TransportKind, Trouble,
    audit::{Asked, Audit, Parties, noting},
    forward::forward,
    health,
    tls::SetupError,
};
use hospital::{
    audit::Query,
    failure::{Failure, Reason},
};
use messaging::{
    connect::{Nats, RequestError},
    engine::Reply,
    hospital::{CountReply, DataRequest},
    subject::{self, MDAT_GROUP},
};

use telemetry::metrics::{Counter, KeyValue, meter};

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
    truncated: Counter<u64>,
}

impl Service {
    /// The answer to a request, recorded with the query that was sent.
    fn reply<T>(
        &self,
        request: &DataRequest,
        (result, query): (Result<T, Wrong>, Option<Query>),
    ) -> Reply<T> {
        if let Some(cause) = result.as_ref().err().and_then(truncation) {
            self.truncated.add(1, &[KeyValue::new("cause", cause)]);
        }
        let outcome = match &result {
            Ok(_) => Ok("answered"),
            Err(Wrong::Trouble(trouble)) => Err(trouble),
            Err(_) => Ok("not-sent"),
        };
        let records = request.consented.as_deref().unwrap_or_default();
        let asked = Asked::new(self.repository.transaction(), &request.request_id, records);
        self.audit.record(Asked { query, ..asked }, outcome);
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

/// Why a result would not have been whole, where that is why there is none.
fn truncation(wrong: &Wrong) -> Option<&'static str> {
    match wrong {
        Wrong::PageTooLarge => Some("page"),
        Wrong::Trouble(Trouble::Transport(TransportKind::TooLarge)) => Some("answer"),
        Wrong::Trouble(Trouble::Failure(Failure::Protocol(reason))) => match reason {
            Reason::TooLarge(_) => Some("answer"),
            Reason::ContinuationLoop => Some("pages"),
            Reason::Malformed("search with outcome") => Some("outcome"),
            _ => None,
        },
        _ => None,
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
        applications: None,
    };
    let audit = Audit::new(parties, config.audit.file.as_deref())?;
    let backlog = Arc::clone(audit.backlog());
    let carrier = forward("mdat-adapter", &config.audit, &config.tls(), &backlog)?;
    let service = Arc::new(Service {
        repository,
        audit,
        truncated: meter().u64_counter("dsf.hospital.truncated").build(),
    });
    let mut shutdown = std::pin::pin!(shutdown);
    let nats = tokio::select! {
        nats = Nats::connect(&config.nats, "mdat-adapter") => nats,
        _ = &mut shutdown => return Ok(()),
    };
    let limit = config.requests.max(1);
    service.audit.started();
    let (counts, ids, rows, looked_at) =
        (Arc::clone(&service), Arc::clone(&service), Arc::clone(&service), service);
    let served = [
        health::serve(&nats, subject::MDAT_HEALTH, "mdat-adapter", backlog, move || {
            vec![looked_at.repository.guard().health()]
        })
        .await?,
        nats.serve(subject::MDAT_COUNT, MDAT_GROUP, limit, Reply::Invalid, move |request: DataRequest| {
            let service = Arc::clone(&counts);
            async move {
                let (count, query) = noting(service.repository.count(&request)).await;
                service.reply(&request, (count.map(|count| CountReply { count }), query))
            }
        })
        .await?,
        nats.serve(subject::MDAT_IDS, MDAT_GROUP, limit, Reply::Invalid, move |request: DataRequest| {
            let service = Arc::clone(&ids);
            async move { service.reply(&request, noting(service.repository.ids(&request)).await) }
        })
        .await?,
        nats.serve(subject::MDAT_ROWS, MDAT_GROUP, limit, Reply::Invalid, move |request: DataRequest| {
            let service = Arc::clone(&rows);
            async move { service.reply(&request, noting(service.repository.rows(&request)).await) }
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
