//! Figures for the start page.
use deadpool_postgres::GenericClient;

use super::{Session, buckets::COUNTS};

impl<C: GenericClient> Session<C> {
    /// Size of the database in bytes, and how many resources there are of each type.
    pub async fn figures(&self) -> Result<(i64, Vec<(String, i64)>), database::Error> {
        let size = self.rows("SELECT pg_database_size(current_database())", &[]).await?;
        let counts = format!(
            "SELECT b.type, sum(c.n)::bigint FROM bucket b JOIN {COUNTS} ON c.id = b.id \
             GROUP BY b.type HAVING sum(c.n) > 0 ORDER BY b.type"
        );
        let counts = self.rows(&counts, &[]).await?;
        let size = size.first().map_or(0, |row| row.get(0));
        Ok((size, counts.iter().map(|row| (row.get(0), row.get(1))).collect()))
    }
}
