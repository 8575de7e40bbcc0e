//! Starting, running and stopping the gateway.
use std::{future::Future, io, path::PathBuf, sync::Arc, time::Duration};

use database::{DatabaseConfig, Notification, Pool};
use messaging::connect::Nats;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use crate::{
    audit::{self, Audit},
    changes::{Changes, exchange_notices},
    config::{Config, Switch},
    data::{self, Transfers},
    http::{Admission, Gateway, Metrics, routes},
    identity::{RoleConfig, RolesError, certificate, directory::DirectoryCache},
    initial,
    interactions::CapabilitiesCache,
    listener::{
        Listener, bind,
        tls::{Tls, TlsError},
    },
    oidc::{self, Oidc},
    partners::{PER_PARTNER, Partners},
    relay,
    report::report,
    retention::{self, Retention, RetentionError},
    site::{Limits, Site},
    store::{self, MIGRATIONS, Store},
    validation::Definitions,
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
    /// References to other sites cannot be checked.
    #[error(
        "references to other sites cannot be checked without client_certificate, client_key and server_ca: \
         set all three, or reference_checks = \"off\""
    )]
    NoClientCertificate,
    /// The client certificate, its key or the roots.
    #[error("reference checks: {0}")]
    Client(#[from] fhir_client::SetupError),
    /// The client certificate, for its thumbprint.
    #[error("client_certificate {path} cannot be read ({reason}): it must be a PEM file with a certificate")]
    ClientCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The thumbprint of the configuration.
    #[error(
        "organization_thumbprint is not 128 hexadecimal digits: it is the SHA-512 of the DER certificate"
    )]
    Thumbprint,
    /// The retention file.
    #[error(transparent)]
    Retention(#[from] RetentionError),
    /// OpenID Connect.
    #[error(transparent)]
    Oidc(#[from] oidc::SettingsError),
    /// The file all replicas share cannot be read.
    #[error("the ticket key file {path} cannot be read ({reason})")]
    TicketKey {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        reason: io::Error,
    },
    /// The key of the audit chain.
    #[error(transparent)]
    Audit(#[from] audit::KeyError),
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
    running.audit.close();
    let _ = running.audit_writer.await;
    Ok(())
}

struct Running {
    listener: JoinHandle<()>,
    sockets: Sockets,
    background: Vec<JoinHandle<()>>,
    audit: Audit,
    audit_writer: JoinHandle<()>,
}

async fn start(config: &Config, stop: watch::Receiver<bool>) -> Result<Running, Error> {
    let tls = Arc::new(Tls::load(config.tls())?);
    let roles = config.roles_file.as_deref().map(RoleConfig::load).transpose()?.unwrap_or_default();
    let partners = partners(config)?;
    let retention = config.retention_file.as_deref().map(Retention::load).transpose()?;
    let oidc = config.oidc()?.map(|settings| open_oidc(config, settings)).transpose()?.map(Arc::new);
    let pool = Pool::new(&DatabaseConfig {
        url: config.database_url.clone(),
        password: config.database_password.clone(),
        ca: config.database_ca.clone(),
        max_connections: config.database_connections,
        allow_unsafe_durability: config.database_allow_unsafe,
        application: "fhir-gateway",
        plans: database::Plans::ByValues,
    })?;
    pool.prepare(MIGRATIONS).await?;

    let base_url = config.base_url();
    let directory = Arc::new(DirectoryCache::new(&config.organization, &base_url));
    let definitions = Arc::new(Definitions::default());
    let (audit, writer) = Audit::new(audit::key(config.audit_key_file.as_deref())?);
    let audit_writer = tokio::spawn(writer.run(pool.clone()));
    let site = Arc::new(Site {
        audit: audit.clone(),
        base_url,
        organization: config.organization.clone(),
        page_count: config.page_count,
        limits: Limits { max_body: config.max_body, max_binary: config.max_binary, ..Limits::default() },
        transfers: Transfers::default(),
        store: Store::new(pool.clone()),
        roles,
        changes: Changes::new(Arc::clone(&directory), Arc::clone(&definitions)),
        directory,
        definitions,
        partners,
        capabilities: CapabilitiesCache::default(),
    });
    let mut background = vec![tokio::spawn(follow_database(pool, Arc::clone(&site)))];
    initial::load(&site, config.init_bundle.as_deref(), thumbprint(config)?.as_deref()).await?;

    background.push(tokio::spawn(data::sweep(site.store.clone())));
    let sockets = Sockets::new(Arc::clone(&site), Arc::clone(&tls), stop.clone());
    background.push(tokio::spawn(dispatch(sockets.clone(), site.changes.signals(), stop.clone())));
    background.push(tokio::spawn(follow_nats(config.clone(), Arc::clone(&site), stop.clone())));
    if let Some(retention) = retention {
        background.push(tokio::spawn(retention::run(Arc::clone(&site), retention)));
    }
    background.push(tokio::spawn(report(site.store.clone())));
    background.push(tokio::spawn(store::keep_fresh(site.store.clone())));
    background.push(tokio::spawn(store::add_up(site.store.clone())));
    background.push(tokio::spawn(follow_files(config.reload_interval.get(), Arc::clone(&tls))));

    site.changes.heard(NATS_START_WAIT).await;
    let gateway = Gateway {
        site,
        tls: Arc::clone(&tls),
        oidc,
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
    Ok(Running { listener, sockets, background, audit, audit_writer })
}

fn open_oidc(config: &Config, settings: oidc::Settings) -> Result<Oidc, Error> {
    let secret = match &config.ticket_key_file {
        Some(path) => {
            std::fs::read(path).map_err(|reason| Error::TicketKey { path: path.clone(), reason })?
        }
        // Sessions are then those of this replica.
        None => rand::random::<[u8; 32]>().to_vec(),
    };
    Ok(Oidc::new(settings, &config.base_url(), &secret)?)
}

/// The client for reference checks.
fn partners(config: &Config) -> Result<Partners, Error> {
    if config.reference_checks == Switch::Off {
        return Ok(Partners::new(None, Duration::ZERO));
    }
    let (Some(certificate), Some(key), Some(roots)) =
        (&config.client_certificate, &config.client_key, &config.server_ca)
    else {
        return Err(Error::NoClientCertificate);
    };
    let timeout = config.reference_timeout.get();
    let client = fhir_client::Client::new(&fhir_client::ClientConfig {
        connect_timeout: config.reference_connect_timeout.get(),
        answer_timeout: timeout,
        per_host: PER_PARTNER,
        ..fhir_client::ClientConfig::new(certificate.clone(), key.clone(), roots.clone())
    })?;
    Ok(Partners::new(Some(client), timeout))
}

/// Thumbprint of the site's client certificate: as configured, else of the certificate that is.
fn thumbprint(config: &Config) -> Result<Option<String>, Error> {
    if let Some(thumbprint) = &config.organization_thumbprint {
        let thumbprint = thumbprint.to_ascii_lowercase();
        let valid = thumbprint.len() == 128 && thumbprint.bytes().all(|byte| byte.is_ascii_hexdigit());
        return if valid { Ok(Some(thumbprint)) } else { Err(Error::Thumbprint) };
    }
    let Some(path) = &config.client_certificate else { return Ok(None) };
    let leaf = CertificateDer::from_pem_file(path)
        .map_err(|reason| Error::ClientCertificate { path: path.clone(), reason: reason.to_string() })?;
    Ok(Some(certificate::thumbprint(&leaf)))
}

/// Renews the allow list and the definitions when other replicas have written.
async fn follow_database(pool: Pool, site: Arc<Site>) {
    let mut notifications = database::listen(&pool, CHANNELS);
    while let Some(notification) = notifications.recv().await {
        match notification {
            Notification::Listening => {
                site.directory.freshness().set_listening(true);
                site.definitions.freshness().set_listening(true);
            }
            Notification::Lost => {
                site.directory.freshness().set_listening(false);
                site.definitions.freshness().set_listening(false);
            }
            Notification::Notified { payload, .. } => {
                site.directory.freshness().invalidate(&payload);
                site.definitions.freshness().invalidate(&payload);
            }
        }
        // Ahead of the next request, and so that WebSockets of removed organizations end.
        if let Err(error) = site.directory.fresh(&site.store).await {
            tracing::debug!(%error, "the allow list cannot be read");
        }
        if let Err(error) = site.definitions.renew(&site.store).await {
            tracing::debug!(%error, "the definitions cannot be read");
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
