//! A PostgreSQL server of its own for one test of the store.
use std::path::PathBuf;

use database::{DatabaseConfig, Migration, Pool};
use stand::{Postgres, Tools};

/// A running cluster; ends with this value.
pub struct Cluster {
    server: Postgres,
    folder: PathBuf,
}

impl Cluster {
    /// Starts a cluster.
    pub async fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("store-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&folder).unwrap();
        let server = Postgres::start(&Tools::find().unwrap(), &folder.join("postgres")).await.unwrap();
        Self { server, folder }
    }

    /// A pool with its schema prepared.
    pub async fn pool(&self, migrations: &[Migration]) -> Pool {
        self.pool_of(16, migrations).await
    }

    /// A pool of at most so many connections, with its schema prepared.
    pub async fn pool_of(&self, max_connections: usize, migrations: &[Migration]) -> Pool {
        let pool = Pool::new(&DatabaseConfig {
            url: self.server.url("postgres"),
            password: None,
            ca: None,
            max_connections,
            allow_unsafe_durability: false,
            application: "store-test",
            plans: database::Plans::ByValues,
        })
        .unwrap();
        pool.prepare(migrations).await.unwrap();
        pool
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
