//! An EHRbase that runs beside the tests: `tests/peers/ehrbase`, started by `make test-peers`.
use anyhow::Result;
use serde::Deserialize;
use tokio_postgres::NoTls;

/// File that says where it is, set by `make test-peers`.
const EHRBASE: &str = "DSF_PEER_EHRBASE";

/// A running EHRbase, empty but for what tests put into it.
#[derive(Debug, Clone, Deserialize)]
pub struct Ehrbase {
    /// Base URL of its openEHR API.
    pub address: String,
    /// User for HTTP Basic, who may read and write.
    pub user: String,
    /// Password of the user.
    pub password: String,
    /// Connection URL of its database.
    pub database: String,
}

impl Ehrbase {
    /// The one that the environment names; says in a line that it was left out where there is none.
    pub fn running() -> Option<Self> {
        let Some(file) = std::env::var_os(EHRBASE) else {
            eprintln!("left out: {EHRBASE} names no running tests/peers/ehrbase, see make test-peers");
            return None;
        };
        let read = std::fs::read(file).ok().and_then(|text| serde_json::from_slice(&text).ok());
        if read.is_none() {
            eprintln!("left out: the file of {EHRBASE} says not where it is");
        }
        read
    }

    /// A connection to its database.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn database(&self) -> Result<tokio_postgres::Client> {
        let (client, connection) = tokio_postgres::connect(&self.database, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}
