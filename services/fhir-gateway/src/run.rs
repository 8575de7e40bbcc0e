//! Starting, running and stopping the gateway.
use std::{future::Future, io, path::PathBuf, sync::Arc, time::Duration};

use database::{DatabaseConfig, Notification, Pool};
use messaging::connect::Nats;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use crate::{
    changes::{Changes, exchange_notices},
    config::Config,
    data::{self, Transfers},
    http::{Admission, Gateway, Metrics, routes},
    identity::{RoleConfig, RolesError, directory::DirectoryCache},
    initial,
    listener::{
        Listener, bind,
        tls::{Tls, TlsError},
    },
    relay,
    site::{Limits, Site},
    store::{self, MIGRATIONS, Store},
    websocket::{Sockets, dispatch},
};

/// Channels of the database that every replica listens on.
const CHANNELS: &[&str] = &[store::CHANGED];

/// How long the start waits for NATS. It goes on without.
const NATS_START_WAIT: Duration = Duration::from_millis(500);

/// Why the gateway does not start. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// TLS material.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Role configuration.
    #[error(transparent)]
    Roles(#[from] RolesError),
    /// A fault of the database that waiting does not mend.
    #[error("the database cannot be used: {0}")]
    Database(#[from] database::Error),
    /// The initial data were refused.
    #[error("the initial data cannot be loaded: {0}")]
    Initial(#[from] initial::Error),
    /// The address cannot be listened on.
    #[error("cannot listen on {address} ({reason})")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// The operating system's reason.
        reason: io::Error,
    },
    /// The ready file cannot be written.
    #[error("the ready file {path} cannot be written ({reason})")]
    ReadyFile {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        reason: io::Error,
    },
}

/// Runs a gateway until `shutdown`, then lets running requests end.
///
/// # Errors
/// See [`Error`]: only what keeps it from starting. Outages of PostgreSQL and NATS do not end it.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
    let mut shutdown = std::pin::pin!(shutdown);
    let (stop, stopping) = watch::channel(false);
    let running = tokio::select! {
        running = start(&config, stopping) => running?,
        // The database may never have come.
        () = &mut shutdown => return Ok(()),
    };
    shutdown.await;
    tracing::info!("stopping");
    let _ = stop.send(true);
    running.sockets.ended(config.stop_timeout.get()).await;
    let _ = running.listener.await;
    for task in running.background {
        task.abort();
    }
    Ok(())
}

struct Running {
    listener: JoinHandle<()>,
    sockets: Sockets,
    background: Vec<JoinHandle<()>>,
}

async fn start(config: &Config, stop: watch::Receiver<bool>) -> Result<Running, Error> {
    let tls = Arc::new(Tls::load(config.tls())?);
    let roles = config.roles_file.as_deref().map(RoleConfig::load).transpose()?.unwrap_or_default();
    let pool = Pool::new(&DatabaseConfig {
        url: config.database_url.clone(),
        password: config.database_password.clone(),
        ca: config.database_ca.clone(),
        max_connections: config.database_connections,
        allow_unsafe_durability: config.database_allow_unsafe,
        application: "fhir-gateway",
    })?;
    pool.prepare(MIGRATIONS).await?;

    let base_url = config.base_url();
    let directory = Arc::new(DirectoryCache::new(&config.organization, &base_url));
    let site = Arc::new(Site {
        base_url,
        organization: config.organization.clone(),
        page_count: config.page_count,
        limits: Limits { max_body: config.max_body, max_binary: config.max_binary, ..Limits::default() },
        transfers: Transfers::default(),
        store: Store::new(pool.clone()),
        roles,
        changes: Changes::new(Arc::clone(&directory)),
        directory,
    });
    let mut background = vec![tokio::spawn(follow_database(pool, Arc::clone(&site)))];
    initial::load(&site, config.init_bundle.as_deref()).await?;

    background.push(tokio::spawn(data::sweep(site.store.clone())));
    let sockets = Sockets::new(Arc::clone(&site), Arc::clone(&tls), stop.clone());
    background.push(tokio::spawn(dispatch(sockets.clone(), site.changes.signals(), stop.clone())));
    background.push(tokio::spawn(follow_nats(config.clone(), Arc::clone(&site), stop.clone())));
    background.push(tokio::spawn(follow_files(config.reload_interval.get(), Arc::clone(&tls))));

    site.changes.heard(NATS_START_WAIT).await;
    let gateway = Gateway {
        site,
        tls: Arc::clone(&tls),
        admission: Admission::new(
            config.max_requests,
            config.max_waiting_requests,
            config.wait_timeout.get(),
        ),
        body_timeout: config.body_timeout.get(),
        sockets: sockets.clone(),
        metrics: Metrics::default(),
    };
    let socket = bind(config.listen, config.reuse_port)
        .map_err(|reason| Error::Listen { address: config.listen, reason })?;
    let listener = Listener {
        tls,
        proxies: config.proxies.clone(),
        max_connections: config.max_connections,
        timeouts: config.timeouts(),
    };
    let listener = tokio::spawn(async move { listener.serve(socket, routes(gateway), stop).await });
    if let Some(path) = &config.ready_file {
        std::fs::write(path, "ready\n").map_err(|reason| Error::ReadyFile { path: path.clone(), reason })?;
    }
    tracing::info!(listen = %config.listen, "ready");
    Ok(Running { listener, sockets, background })
}

/// Renews the allow list when other replicas have written.
async fn follow_database(pool: Pool, site: Arc<Site>) {
    let mut notifications = database::listen(&pool, CHANNELS);
    while let Some(notification) = notifications.recv().await {
        match notification {
            Notification::Listening => site.directory.set_listening(true),
            Notification::Lost => site.directory.set_listening(false),
            Notification::Notified { payload, .. } => site.directory.invalidate(&payload),
        }
        // Ahead of the next request, and so that WebSockets of removed organizations end.
        if let Err(error) = site.directory.fresh(&site.store).await {
            tracing::debug!(%error, "the allow list cannot be read");
        }
    }
}

/// Connects to NATS, however long that takes, then relays events and exchanges notices.
async fn follow_nats(config: Config, site: Arc<Site>, stop: watch::Receiver<bool>) {
    let nats = Nats::connect(&config.nats(), "fhir-gateway").await;
    let relay = relay::run(
        site.store.clone(),
        site.changes.clone(),
        nats.clone(),
        config.nats_replicas,
        stop.clone(),
    );
    let notices = exchange_notices(site.changes.clone(), nats, stop);
    tokio::join!(relay, notices);
}

/// Takes over changed certificates, CAs and revocation lists: at SIGHUP and every `pause`.
async fn follow_files(pause: Duration, tls: Arc<Tls>) {
    let mut hangup = signal(SignalKind::hangup()).ok();
    let mut look = interval(pause);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let asked = async {
            match &mut hangup {
                Some(hangup) => drop(hangup.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = look.tick() => {}
            () = asked => {}
        }
        match tls.reload() {
            Ok(true) => tracing::info!("certificates or revocation lists were renewed"),
            Ok(false) => {}
            Err(error) => {
                tracing::error!(%error, "changed TLS files are not usable, the ones before stay in force")
            }
        }
    }
}
