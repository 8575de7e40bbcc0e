//! What one ping costs: writing transactions, HTTP requests, events and NATS messages of both sites,
//! less what the idle sites would have done in the same time.
use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use stand::{Collector, Options, Stand};

use super::{client::Client, complete_ping, start_ping};

/// Pings the counts are taken over, one after the other.
const PINGS: u32 = 30;
/// How long the idle sites are watched.
const IDLE: Duration = Duration::from_secs(4);
/// How often services report, in milliseconds.
const REPORTS: u64 = 250;
/// How long the last effects of a ping and the reports of them are waited for.
const SETTLE: Duration = Duration::from_millis(1500);

/// What was counted, per ping.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    /// Transactions that wrote something.
    pub commits: f64,
    /// Times that PostgreSQL waited for its log to be on disk. Claims of work do not wait: what a crash
    /// loses of them comes back by its lease.
    pub syncs: f64,
    /// Events acknowledged by the stream.
    pub events: f64,
    /// Messages that clients published to NATS: events, requests, answers, hints, acknowledgements.
    pub messages: f64,
    /// FHIR requests that the services made, also the one that creates the start Task.
    pub requests: f64,
}

/// Everything since the start.
struct Reading {
    at: Instant,
    values: [f64; 5],
}

/// Counts on a stand of its own, whose services report their figures.
pub async fn counts(folder: &Path) -> Result<Counts> {
    let collector = Collector::start().await?;
    let mut environment = collector.environment(REPORTS);
    // No traces: only the figures count.
    environment.push(("OTEL_TRACES_SAMPLER_ARG".to_owned(), "0".to_owned()));
    let options =
        Options { sites: 2, replicas: 1, folder: folder.join("counts"), processes: true, environment };
    let stand = Stand::start(&options, &|_| {}).await?;
    let result = count(&stand, &collector).await;
    stand.stop().await;
    result
}

async fn count(stand: &Stand, collector: &Collector) -> Result<Counts> {
    let site = &stand.sites[0];
    let client = Client::new(&stand.authority.certificate, &site.identity, &site.base_url)?;
    let ping = start_ping(&site.organization);
    complete_ping(&client, &ping).await?;
    tokio::time::sleep(SETTLE).await;
    let first = read(stand, collector).await?;
    tokio::time::sleep(IDLE).await;
    let before = read(stand, collector).await?;
    let mut looks = 0;
    for _ in 0..PINGS {
        looks += complete_ping(&client, &ping).await?;
    }
    tokio::time::sleep(SETTLE).await;
    let after = read(stand, collector).await?;
    let idle = before.at.duration_since(first.at).as_secs_f64();
    let busy = after.at.duration_since(before.at).as_secs_f64();
    let mut per_ping = [0.0; 5];
    for (index, value) in per_ping.iter_mut().enumerate() {
        let of_idle = (before.values[index] - first.values[index]) / idle * busy;
        *value = (after.values[index] - before.values[index] - of_idle) / f64::from(PINGS);
    }
    let [commits, syncs, events, messages, requests] = per_ping;
    // Looking whether a ping has ended is no part of it.
    let requests = requests - f64::from(looks) / f64::from(PINGS);
    Ok(Counts { commits, syncs, events, messages, requests })
}

async fn read(stand: &Stand, collector: &Collector) -> Result<Reading> {
    let database = stand.postgres.client("postgres").await?;
    // Only a transaction that writes gets a number.
    let row = database
        .query_one("select pg_snapshot_xmax(pg_current_snapshot())::text::float8", &[])
        .await
        .context("transaction numbers")?;
    // Kept by versions 14 to 17.
    let syncs = match database.query_one("select wal_sync::float8 from pg_stat_wal", &[]).await {
        Ok(row) => row.get(0),
        Err(_) => f64::NAN,
    };
    let figures = collector.figures()?;
    let sum = |wanted: &str| -> f64 {
        figures.iter().filter(|((_, name), _)| name == wanted).map(|(_, value)| value).sum()
    };
    Ok(Reading {
        at: Instant::now(),
        values: [
            row.get(0),
            syncs,
            sum("dsf.gateway.relay.events"),
            stand.nats.messages().await?,
            sum("dsf.gateway.requests"),
        ],
    })
}
