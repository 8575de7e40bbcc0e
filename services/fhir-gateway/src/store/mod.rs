//! Resources in PostgreSQL: versions, search index, read rights, unique keys and the outbox.
//!
//! Invariants: knows no HTTP and decides nothing about rights; a version, its index values, its keys
//! and its events are written by one statement, so that none is ever without the others; so is the change of how
//! many resources its bucket holds, and counts are exact in every statement. Whatever the server
//! believes about its tables, a statement that names an id begins there: `(type = $2) IS TRUE` keeps the planner
//! from indexes that begin with the type.
mod buckets;
mod capabilities;
mod data;
mod figures;
mod history;
mod index;
mod logout;
mod outbox;
mod read;
mod retention;
mod search;
mod statistics;
mod write;

use std::sync::atomic::{AtomicBool, Ordering};

use database::{Migration, Pool};
use deadpool_postgres::GenericClient;
use fhir::search::IndexValue;
use uuid::Uuid;

pub use buckets::add_up;
pub use capabilities::Profile;
pub use data::{CHUNK, DataRef};
pub use history::Past;
pub use outbox::{OutboxRow, relay_batch};
pub use retention::Outdated;
pub use search::{AccessFilter, Page};
pub use statistics::keep_fresh;
pub use write::Erased;

/// Steps of the schema.
pub const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "resources", sql: include_str!("../../migrations/1-resources.sql") },
    Migration { version: 2, name: "binary data", sql: include_str!("../../migrations/2-binary-data.sql") },
    Migration { version: 3, name: "audit", sql: include_str!("../../migrations/3-audit.sql") },
    Migration { version: 4, name: "oidc", sql: include_str!("../../migrations/4-oidc.sql") },
    Migration {
        version: 5,
        name: "search in the index",
        sql: include_str!("../../migrations/5-search-in-the-index.sql"),
    },
    Migration {
        version: 6,
        name: "current version by id",
        sql: include_str!("../../migrations/6-current-by-id.sql"),
    },
    Migration { version: 7, name: "buckets", sql: include_str!("../../migrations/7-buckets.sql") },
];

/// Channel on which writers of [`WATCHED`] types and of definitions notify; the payload is the type.
pub const CHANGED: &str = "dsf_changed";
/// Types that caches of all replicas are built from.
pub const WATCHED: [&str; 7] = [
    "ActivityDefinition",
    "CodeSystem",
    "Endpoint",
    "NamingSystem",
    "Organization",
    "OrganizationAffiliation",
    "Subscription",
];

/// Key of the advisory lock that replicas queue at to load initial data; any constant of our own.
const INITIAL_DATA_LOCK: i64 = 0x4453_465f_696e_6974;

/// A stored version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Logical id.
    pub id: Uuid,
    /// Version, from 1.
    pub version: u64,
    /// Milliseconds since 1970.
    pub last_updated: i64,
    /// When the resource was deleted, on its last version.
    pub deleted: Option<i64>,
    /// Whether this is the last version.
    pub current: bool,
    /// Compact FHIR JSON.
    pub content: Vec<u8>,
    /// Read tags of this version; those of the security context for a Binary that has one.
    pub read_tags: Vec<String>,
    /// Data of a Binary that are not in its content.
    pub data: Option<DataRef>,
}

/// A version to write.
#[derive(Debug, Clone)]
pub struct NewVersion {
    /// Type name.
    pub resource_type: &'static str,
    /// Logical id.
    pub id: Uuid,
    /// 1 creates; `n` replaces version `n - 1`, which must be current and not deleted.
    pub version: u64,
    /// Milliseconds since 1970.
    pub last_updated: i64,
    /// Compact FHIR JSON with id and meta, references cleaned.
    pub content: Vec<u8>,
    /// Index values, from the form with resolved references.
    pub index: Vec<IndexValue>,
    /// Read tags.
    pub read_tags: Vec<String>,
    /// Id and, where given, version of a Binary's security context.
    pub context: Option<(Uuid, Option<u64>)>,
    /// Data of a Binary that were written before and are not in its content.
    pub data: Option<DataRef>,
    /// Keys that must be free and are taken.
    pub keys_added: Vec<String>,
    /// Keys that become free.
    pub keys_removed: Vec<String>,
    /// Events to publish after the commit.
    pub events: Vec<NewEvent>,
}

/// An event to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// NATS subject.
    pub subject: String,
    /// Sealed event.
    pub payload: Vec<u8>,
    /// Trace parent of the request that caused it.
    pub traceparent: Option<String>,
}

/// Why a version was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// One of the unique keys is taken.
    #[error("a resource with the same unique key exists")]
    Duplicate,
    /// The version to replace is not the current one any more, or the resource is deleted.
    #[error("the resource has changed meanwhile")]
    Changed,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] database::Error),
}

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
}

impl Store {
    /// A store over a pool whose schema is up to date ([`MIGRATIONS`]).
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// The pool beneath.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// A session outside of a transaction: every write commits by itself.
    pub async fn session(&self) -> Result<Session<database::Connection>, database::Error> {
        Ok(Session::of(self.pool.get().await?))
    }
}

impl Session<database::Transaction<'_>> {
    /// Waits until no other replica loads initial data; none does until this transaction ends.
    pub async fn load_alone(&self) -> Result<(), database::Error> {
        self.client.execute("SELECT pg_advisory_xact_lock($1)", &[&INITIAL_DATA_LOCK]).await?;
        Ok(())
    }
}

/// Reads and writes, inside or outside of a transaction.
pub struct Session<C> {
    client: C,
    /// A definition was written or deleted: profiles may say something else from now on.
    definitions: AtomicBool,
}

impl Session<database::Connection> {
    /// Begins a transaction; it is rolled back unless it is committed.
    pub async fn begin(&mut self) -> Result<Session<database::Transaction<'_>>, database::Error> {
        Ok(Session::of(self.client.transaction().await?))
    }
}

impl Session<database::Transaction<'_>> {
    /// Commits.
    pub async fn commit(self) -> Result<(), database::Error> {
        Ok(self.client.commit().await?)
    }
}

impl<C> Session<C> {
    fn of(client: C) -> Self {
        Self { client, definitions: AtomicBool::new(false) }
    }

    /// Whether this session has written or deleted a definition.
    pub fn has_written_definitions(&self) -> bool {
        self.definitions.load(Ordering::Relaxed)
    }

    /// A resource of this type is written or deleted by this session.
    fn writes(&self, resource_type: &str) {
        if fhir::validation::DEFINITION_TYPES.contains(&resource_type) {
            self.definitions.store(true, Ordering::Relaxed);
        }
    }
}

impl<C: GenericClient> Session<C> {
    async fn rows(
        &self,
        statement: &str,
        parameters: &[&(dyn database::tokio_postgres::types::ToSql + Sync)],
    ) -> Result<Vec<database::tokio_postgres::Row>, database::Error> {
        let statement = self.client.prepare_cached(statement).await?;
        Ok(self.client.query(&statement, parameters).await?)
    }
}
