//! Connection pools from typed settings.
use std::{path::PathBuf, sync::Arc, time::Duration};

use deadpool_postgres::{Manager, ManagerConfig, Object, RecyclingMethod, Runtime, Timeouts};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{Error, Kind, Migration, migrate};

/// Longest wait for a free connection of the pool.
const WAIT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for a new connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest run of one statement on the server.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest pause inside an open transaction before the server ends it.
const IDLE_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause between attempts to reach the database at start-up.
const START_RETRY: Duration = Duration::from_millis(200);

/// Where a database is and how many connections a service may hold.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// `postgres://user@host:port/database`, also `host=… user=…`.
    pub url: String,
    /// Password; replaces one in the URL.
    pub password: Option<String>,
    /// Roots that the server's certificate is checked against; plain connections where absent.
    pub ca: Option<PathBuf>,
    /// Most connections of the pool.
    pub max_connections: usize,
    /// Accept a server that may lose committed transactions (`fsync` or `synchronous_commit` off).
    pub allow_unsafe_durability: bool,
    /// Name in the server's list of connections.
    pub application: &'static str,
    /// When the server plans statements.
    pub plans: Plans,
}

/// When the server plans a prepared statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plans {
    /// For its values, where the server thinks it pays: for searches whose values decide what is selective.
    ByValues,
    /// Once: for fixed statements that find everything by an index. Planning is half of what such a statement
    /// costs. Sequential scans are switched off with it, because a plan made for an empty table stays.
    Once,
}

/// A pool of connections. Cheap to clone.
#[derive(Clone)]
pub struct Pool {
    pool: deadpool_postgres::Pool,
    pub(crate) config: Config,
    pub(crate) tls: Option<MakeRustlsConnect>,
    allow_unsafe_durability: bool,
}

impl Pool {
    /// Builds a pool; connects on first use.
    pub fn new(settings: &DatabaseConfig) -> Result<Self, Error> {
        let unusable = |reason: String| Error::new(Kind::Other, reason);
        let mut config: Config =
            settings.url.parse().map_err(|_| unusable("the database URL is not valid".to_owned()))?;
        if let Some(password) = &settings.password {
            config.password(password);
        }
        config.application_name(settings.application);
        config.connect_timeout(CONNECT_TIMEOUT);
        config.keepalives_idle(Duration::from_secs(30));
        let plans = match settings.plans {
            Plans::ByValues => "",
            Plans::Once => " -c plan_cache_mode=force_generic_plan -c enable_seqscan=off",
        };
        // No statement of ours lives long enough to earn what compiling it costs (hundreds of milliseconds,
        // again and again, once a table holds a million rows).
        config.options(format!(
            "-c jit=off -c statement_timeout={} -c idle_in_transaction_session_timeout={} -c timezone=UTC{plans}",
            STATEMENT_TIMEOUT.as_millis(),
            IDLE_TRANSACTION_TIMEOUT.as_millis()
        ));
        let tls = settings.ca.as_ref().map(|ca| connector(ca)).transpose().map_err(unusable)?;
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = match &tls {
            Some(tls) => Manager::from_config(config.clone(), tls.clone(), recycling),
            None => Manager::from_config(config.clone(), NoTls, recycling),
        };
        let pool = deadpool_postgres::Pool::builder(manager)
            .max_size(settings.max_connections)
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts {
                wait: Some(WAIT_TIMEOUT),
                create: Some(CONNECT_TIMEOUT),
                recycle: Some(CONNECT_TIMEOUT),
            })
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        Ok(Self { pool, config, tls, allow_unsafe_durability: settings.allow_unsafe_durability })
    }

    /// A connection; an error of kind `Unavailable` when there is none in time.
    pub async fn get(&self) -> Result<Object, Error> {
        Ok(self.pool.get().await?)
    }

    /// Waits for the database, checks its durability and brings its schema up to date. Several
    /// replicas may do so at once. Errors that waiting cannot mend are returned.
    pub async fn prepare(&self, migrations: &[Migration]) -> Result<(), Error> {
        let mut told = false;
        loop {
            let result = async {
                self.check_durability().await?;
                migrate::run(self, migrations).await
            }
            .await;
            match result {
                Err(error) if error.is_transient() => {
                    if !told {
                        tracing::warn!(%error, "database is not available yet, trying on");
                        told = true;
                    }
                    tokio::time::sleep(START_RETRY).await;
                }
                other => return other.map(drop),
            }
        }
    }

    async fn check_durability(&self) -> Result<(), Error> {
        let connection = self.get().await?;
        let row = connection
            .query_one("SELECT current_setting('fsync'), current_setting('synchronous_commit')", &[])
            .await?;
        let (fsync, commit): (&str, &str) = (row.get(0), row.get(1));
        if fsync == "on" && commit != "off" {
            return Ok(());
        }
        let text = format!(
            "the server may lose committed work (fsync={fsync}, synchronous_commit={commit}): \
             switch both on, or set allow_unsafe_durability for tests"
        );
        if self.allow_unsafe_durability {
            tracing::warn!("{text}");
            return Ok(());
        }
        Err(Error::new(Kind::Other, text))
    }

    /// Connections in use and open, for metrics.
    pub fn usage(&self) -> (usize, usize) {
        let status = self.pool.status();
        (status.size.saturating_sub(status.available), status.size)
    }
}

fn connector(ca: &std::path::Path) -> Result<MakeRustlsConnect, String> {
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(ca).map_err(|error| format!("{}: {error}", ca.display()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| format!("{}: {error}", ca.display()))?;
        roots.add(certificate).map_err(|error| format!("{}: {error}", ca.display()))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
