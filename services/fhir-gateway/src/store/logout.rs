//! Sessions that an OpenID provider or their person has ended.
use database::Error;

use super::Store;

/// How long an end is remembered: longer than any token is good for.
const KEPT: &str = "7 days";

impl Store {
    /// Ends sessions: `sid|<session>` or `sub|<subject>`.
    pub async fn log_out(&self, what: &str) -> Result<(), Error> {
        let connection = self.pool().get().await?;
        connection
            .execute(
                "INSERT INTO oidc_logout (what) VALUES ($1) ON CONFLICT (what) DO UPDATE SET at = now()",
                &[&what],
            )
            .await?;
        let old = format!("DELETE FROM oidc_logout WHERE at < now() - interval '{KEPT}'");
        connection.execute(&old, &[]).await?;
        Ok(())
    }

    /// Whether a session that began at `begun` (seconds since 1970) was ended.
    pub async fn logged_out(&self, sub: &str, sid: Option<&str>, begun: i64) -> Result<bool, Error> {
        let connection = self.pool().get().await?;
        let statement = connection
            .prepare_cached(
                "SELECT EXISTS (SELECT FROM oidc_logout WHERE what = 'sid|' || $1::text
                   OR (what = 'sub|' || $2::text AND at >= to_timestamp($3::bigint)))",
            )
            .await?;
        Ok(connection.query_one(&statement, &[&sid, &sub, &begun]).await?.get(0))
    }
}
