//! Schema versions: applied once, in order, by whichever replica comes first.
use crate::{Error, Kind, Pool};

/// One step of a schema. A published step never changes; a change is a further step.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Number, from 1 without gaps.
    pub version: i32,
    /// Short name.
    pub name: &'static str,
    /// Statements.
    pub sql: &'static str,
}

/// Key of the advisory lock that replicas queue at; any constant of our own.
const LOCK: i64 = 0x4453_465f_6d69_6772;

/// Applies what is missing, in one transaction. Returns how many steps were applied.
pub(crate) async fn run(pool: &Pool, migrations: &[Migration]) -> Result<usize, Error> {
    let mut connection = pool.get().await?;
    let transaction = connection.transaction().await?;
    // A step may rewrite a large table, and other replicas wait for the one that does.
    transaction.batch_execute("SET LOCAL statement_timeout = 0").await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    transaction
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS schema_version (
               version integer PRIMARY KEY, name text NOT NULL, checksum bigint NOT NULL,
               applied timestamptz NOT NULL DEFAULT now())",
        )
        .await?;
    let applied =
        transaction.query("SELECT version, checksum FROM schema_version ORDER BY version", &[]).await?;
    for row in &applied {
        let (version, known): (i32, i64) = (row.get(0), row.get(1));
        match migrations.iter().find(|migration| migration.version == version) {
            Some(migration) if checksum(migration.sql) != known => {
                let text = format!("schema step {version} differs from the one that was applied");
                return Err(Error::new(Kind::Other, text));
            }
            // A newer release was here. Whether this one can work with its schema is in the changelog.
            _ => {}
        }
    }
    let mut count = 0;
    for migration in migrations.iter().skip(applied.len()) {
        transaction.batch_execute(migration.sql).await?;
        transaction
            .execute(
                "INSERT INTO schema_version (version, name, checksum) VALUES ($1, $2, $3)",
                &[&migration.version, &migration.name, &checksum(migration.sql)],
            )
            .await?;
        count += 1;
    }
    transaction.commit().await?;
    Ok(count)
}

/// FNV-1a over the text: guards against edited steps, not against attackers.
fn checksum(text: &str) -> i64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    i64::from_ne_bytes(hash.to_ne_bytes())
}
