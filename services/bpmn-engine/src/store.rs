//! The engine's connection types, and statements sent without waiting for one another.
use futures_util::future::try_join_all;
use tokio_postgres::types::ToSql;

use crate::error::Error;

/// A pooled connection.
pub type Connection = deadpool_postgres::Object;
/// A transaction on a pooled connection; dropped without commit it rolls back.
pub type Transaction<'a> = deadpool_postgres::Transaction<'a>;

/// One parameter of a statement.
pub type Parameter = Box<dyn ToSql + Sync + Send>;

/// Statements that are sent in order without waiting for each other's answers.
#[derive(Default)]
pub struct Pipeline {
    statements: Vec<(&'static str, Vec<Parameter>)>,
}

impl Pipeline {
    /// Adds a statement; returns its place.
    pub fn add(&mut self, sql: &'static str, parameters: Vec<Parameter>) -> usize {
        self.statements.push((sql, parameters));
        self.statements.len() - 1
    }

    /// Runs all statements; their row counts, in order.
    ///
    /// # Errors
    /// The first failure; the transaction is to be given up then.
    pub async fn run(self, db: &Transaction<'_>) -> Result<Vec<u64>, Error> {
        let mut prepared = Vec::with_capacity(self.statements.len());
        for (sql, _) in &self.statements {
            prepared.push(db.prepare_cached(sql).await?);
        }
        let parameters: Vec<Vec<&(dyn ToSql + Sync)>> = self
            .statements
            .iter()
            .map(|(_, parameters)| {
                parameters.iter().map(|parameter| &**parameter as &(dyn ToSql + Sync)).collect()
            })
            .collect();
        // Polled in order the first time, which is when each statement is put on the wire.
        let running = prepared.iter().zip(&parameters).map(|(sql, parameters)| db.execute(sql, parameters));
        Ok(try_join_all(running.collect::<Vec<_>>()).await?)
    }
}
