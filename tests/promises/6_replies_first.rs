//! Promise 6: replies never starve behind new starts.
use anyhow::Result;
use end_to_end::{Peer, ping_status, settled, stand, start_ping};

/// Starts of the burst.
const STARTS: usize = 2000;
/// Connections they come over.
const AT_ONCE: usize = 64;

#[tokio::test(flavor = "multi_thread")]
async fn no_reply_is_missed_in_a_burst_of_starts() -> Result<()> {
    let stand = stand(2, 1).await?;
    let site = &stand.sites[0];
    Peer::new(&stand, site)?.create_many(&start_ping(site), STARTS, AT_ONCE).await?;
    let tasks = settled(&stand, site).await?;
    assert_eq!(tasks.len(), 2 * STARTS, "every start and every reply is one Task");
    // A ping waits twenty seconds for its reply, much less than the burst takes.
    let results = tasks.iter().filter(|task| task["output"].is_array());
    let missed: Vec<_> = results.filter(|task| ping_status(task) != Some("pong-received")).collect();
    assert!(missed.is_empty(), "{} of {STARTS} replies were missed, first: {:#}", missed.len(), missed[0]);
    assert!(tasks.iter().all(|task| task["status"] == "completed"), "a reply came too late");
    Ok(())
}
