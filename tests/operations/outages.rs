//! Outages of any part leave no Task behind: everything accepted before, meanwhile and afterwards ends.
use std::time::Duration;

use anyhow::{Context, Result};
use end_to_end::{Peer, TestStand, settled, stand, start_ping};
use stand::{Service, environment::SERVICES};

/// How long an outage takes in seconds, where `DSF_OUTAGE_SECONDS` does not say: longer than every
/// time-out that an outage can run into (leases, acknowledgement wait and `send.give-up` are ten
/// seconds, held messages ten, answers of the engine eight). `DSF_OUTAGE_SECONDS=60` plays full minutes.
const OUTAGE_SECONDS: u64 = 13;
/// Pings before, during and after each outage.
const PINGS: usize = 4;

/// What is away.
#[derive(Debug, Clone, Copy)]
enum Part {
    Service(Service),
    Nats,
    Postgres,
}

impl Part {
    async fn take_away(self, stand: &mut TestStand) -> Result<()> {
        match self {
            Self::Service(service) => {
                for site in &mut stand.sites {
                    site.kill(service, 0).await?;
                }
            }
            Self::Nats => stand.nats.kill().await,
            Self::Postgres => stand.postgres.kill().await,
        }
        Ok(())
    }

    async fn bring_back(self, stand: &mut TestStand) -> Result<()> {
        match self {
            Self::Service(service) => {
                for site in &mut stand.sites {
                    site.restart(service, 0).await?;
                }
            }
            Self::Nats => stand.nats.restart().await?,
            Self::Postgres => stand.postgres.restart().await?,
        }
        Ok(())
    }

    /// True while the endpoint can create Tasks without it.
    fn endpoint_runs(self) -> bool {
        !matches!(self, Self::Service(Service::Gateway) | Self::Postgres)
    }
}

fn outage() -> Result<Duration> {
    let seconds = match std::env::var("DSF_OUTAGE_SECONDS") {
        Ok(text) => text.parse().context("DSF_OUTAGE_SECONDS is a number of seconds")?,
        Err(_) => OUTAGE_SECONDS,
    };
    Ok(Duration::from_secs(seconds))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_any_part_leaves_no_task_behind() -> Result<()> {
    let outage = outage()?;
    let mut stand = stand(2, 1).await?;
    let mut created = 0;
    let parts = SERVICES.map(Part::Service).into_iter().chain([Part::Nats, Part::Postgres]);
    for part in parts {
        let peer = Peer::new(&stand, &stand.sites[0])?;
        let start = start_ping(&stand.sites[0]);
        created += peer.create_many(&start, PINGS, PINGS).await?.len();
        part.take_away(&mut stand).await?;
        if part.endpoint_runs() {
            created += peer.create_many(&start, PINGS, PINGS).await?.len();
        }
        tokio::time::sleep(outage).await;
        part.bring_back(&mut stand).await?;
        created += peer.create_many(&start, PINGS, PINGS).await?.len();
        peer.all_ended().await.with_context(|| format!("after an outage of {part:?}"))?;
        let other = Peer::new(&stand, &stand.sites[1])?;
        other.all_ended().await.with_context(|| format!("at the partner, after an outage of {part:?}"))?;
    }
    let tasks = settled(&stand, &stand.sites[0]).await?;
    settled(&stand, &stand.sites[1]).await?;
    let starts = tasks.iter().filter(|task| {
        task["instantiatesCanonical"] == start_ping(&stand.sites[0])["instantiatesCanonical"]
            && task["requester"]["identifier"]["value"] == stand.sites[0].organization.as_str()
    });
    let completed = starts.filter(|task| task["status"] == "completed").count();
    assert_eq!(completed, created, "every ping was completed, with whatever result");
    Ok(())
}
