//! What an earlier version left behind goes on under this one: stored Tasks, and instances that wait.
//!
//! `upgrade/<version>/{fhir,engine}.sql` are dumps of a site's two databases as that version left them when it
//! was stopped in the middle of work; what was recorded before a version had its last migration is its `-rc`. A
//! release records its own:
//! `DSF_RECORD=0.2.0 cargo test -p end-to-end --test upgrade`.
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use end_to_end::{Peer, TestStand, engine_rows, ping_status, settled, stand, start_ping, wait_for};
use serde_json::Value;
use stand::{
    Service, Site, Tools,
    postgres::{engine_database, fhir_database},
};

/// Pings that have ended before a dump.
const ENDED: usize = 3;

fn recordings() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("operations/upgrade")
}

/// What a dump has in place of the base URLs, whose ports differ from run to run: pairs of placeholder and URL,
/// in text and in the hexadecimal form of stored resources.
fn placeholders(stand: &TestStand) -> Vec<(String, String)> {
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let of = |site: &Site| {
        [
            (format!("{{{{base URL of {}}}}}", site.name), site.base_url.clone()),
            (format!("{{{{hexadecimal base URL of {}}}}}", site.name), hex(&site.base_url)),
        ]
    };
    stand.sites.iter().flat_map(of).collect()
}

/// The databases of a site with the names of their dumps.
fn databases(site: &str) -> [(String, &'static str); 2] {
    [(fhir_database(site), "fhir.sql"), (engine_database(site), "engine.sql")]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_earlier_versions_stored_goes_on() -> Result<()> {
    if let Some(version) = std::env::var_os("DSF_RECORD") {
        record(&recordings().join(version)).await?;
    }
    let mut versions: Vec<PathBuf> =
        std::fs::read_dir(recordings())?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    versions.sort();
    assert!(!versions.is_empty(), "every release leaves a recording");
    for version in versions {
        goes_on(&version).await.with_context(|| format!("stored by {}", version.display()))?;
    }
    Ok(())
}

/// Leaves behind: pings that have ended, one that waits for its reply, and one that nobody has looked at.
async fn record(folder: &Path) -> Result<()> {
    let mut stand = stand(2, 1).await?;
    let peer = Peer::new(&stand, &stand.sites[0])?;
    let ping = start_ping(&stand.sites[0]);
    peer.create_many(&ping, ENDED, 1).await?;
    settled(&stand, &stand.sites[0]).await?;
    stand.sites[1].kill(Service::Router, 0).await?;
    peer.create(&ping).await?;
    wait_for("the message to be sent and nothing to do but wait", || async {
        let rows = engine_rows(&stand, &stand.sites[0]).await?;
        Ok((rows.open == 1 && rows.jobs == 0 && rows.unwritten == 0).then_some(()))
    })
    .await?;
    stand.sites[0].kill(Service::Router, 0).await?;
    peer.create(&ping).await?;
    stand.sites[0].stop().await;
    std::fs::create_dir_all(folder)?;
    let pg_dump = Tools::find()?.postgres.join("pg_dump");
    for (database, file) in databases(&stand.sites[0].name) {
        let output = std::process::Command::new(&pg_dump)
            .args(["--no-owner", "--no-privileges", "--inserts", "--rows-per-insert=100"])
            .arg(stand.postgres.url(&database))
            .output()?;
        if !output.status.success() {
            bail!("pg_dump: {}", String::from_utf8_lossy(&output.stderr));
        }
        let mut text = String::from_utf8(output.stdout)?;
        for (placeholder, url) in placeholders(&stand) {
            text = text.replace(&url, &placeholder);
        }
        // Commands of psql and comments mean nothing to the server.
        let lines = text.lines().filter(|line| !line.starts_with(['\\', '-']) && !line.is_empty());
        std::fs::write(folder.join(file), lines.collect::<Vec<_>>().join("\n") + "\n")?;
    }
    Ok(())
}

async fn goes_on(recording: &Path) -> Result<()> {
    let mut stand = stand(2, 1).await?;
    stand.sites[0].stop().await;
    for (database, file) in databases(&stand.sites[0].name) {
        let mut dump = std::fs::read_to_string(recording.join(file))?;
        for (placeholder, url) in placeholders(&stand) {
            dump = dump.replace(&placeholder, &url);
        }
        stand.postgres.execute("postgres", &format!("DROP DATABASE {database} WITH (FORCE)")).await?;
        stand.postgres.execute("postgres", &format!("CREATE DATABASE {database}")).await?;
        stand.postgres.client(&database).await?.batch_execute(&dump).await.context("the dump is restored")?;
    }
    stand.sites[0].start(1).await?;

    assert_eq!(ping_results(&stand).await?, expected(0), "what ended has its results, what waited ends");
    // The site works on, with what it had deployed.
    Peer::new(&stand, &stand.sites[0])?.create(&start_ping(&stand.sites[0])).await?;
    assert_eq!(ping_results(&stand).await?, expected(1), "new work goes on");
    Ok(())
}

/// Status of each ping: the partner of the one that waited never got it; the one that nobody had looked at, and
/// `new` ones, are answered.
fn expected(new: usize) -> Vec<String> {
    let mut expected = vec!["pong-received".to_owned(); ENDED + 1 + new];
    expected.insert(0, "pong-missing".to_owned());
    expected
}

/// The sorted results of all pings, once everything has ended.
async fn ping_results(stand: &TestStand) -> Result<Vec<String>> {
    let tasks = settled(stand, &stand.sites[0]).await?;
    let starts = tasks.iter().filter(|task| is_start(task));
    let mut results: Vec<String> =
        starts.map(|task| ping_status(task).unwrap_or("no result").to_owned()).collect();
    results.sort();
    Ok(results)
}

fn is_start(task: &Value) -> bool {
    task["instantiatesCanonical"].as_str().is_some_and(|process| process.contains("/ping|"))
        && task["input"][0]["valueString"] == "startPing"
}
