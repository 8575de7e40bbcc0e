//! `dsf audit`: checks and exports the audit trail of a FHIR endpoint.
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use audit::{Event, Fault, Key, Verifier, export, table};
use clap::{Args, Subcommand};
use database::{DatabaseConfig, Pool};

/// Rows read at once.
const PAGE: i64 = 5000;
/// Faults that are printed one by one.
const PRINTED: usize = 100;

/// Commands over the audit trail.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Checks the hash chain; names every place where it is not what was written.
    Verify {
        #[command(flatten)]
        source: Source,
        /// The gateway's audit key file.
        #[arg(long)]
        key_file: Option<PathBuf>,
        /// Row and hash that were noted elsewhere, `<row>:<hash>`; may be repeated.
        #[arg(long = "anchor", value_parser = anchor)]
        anchors: Vec<(i64, String)>,
    },
    /// Prints the events as FHIR AuditEvents, one per line (application/fhir+ndjson).
    Export {
        #[command(flatten)]
        source: Source,
        /// Base URL of the endpoint, for references.
        #[arg(long)]
        base_url: Option<String>,
        /// Only rows behind this one.
        #[arg(long, default_value_t = 0)]
        after: i64,
    },
}

/// Which endpoint.
#[derive(Debug, Args)]
pub struct Source {
    /// URL of the gateway's database.
    #[arg(long, env = "DSF_GATEWAY_DATABASE_URL", hide_env_values = true, conflicts_with = "dir")]
    database_url: Option<String>,
    /// PEM file with the roots of the database's certificate.
    #[arg(long)]
    database_ca: Option<PathBuf>,
    /// Folder of a stand instead; key and base URL are then known.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Site of the stand.
    #[arg(long, default_value = "site-a")]
    site: String,
}

struct Opened {
    pool: Pool,
    key_file: Option<PathBuf>,
    base_url: Option<String>,
}

impl Source {
    fn open(&self) -> Result<Opened> {
        let (url, key_file, base_url) = match (&self.database_url, &self.dir) {
            (_, Some(dir)) => {
                let description = stand::read_description(dir)?;
                let site = description
                    .sites
                    .into_iter()
                    .find(|site| site.name == self.site)
                    .with_context(|| format!("the stand has no site {}", self.site))?;
                let folder =
                    if dir.is_dir() { dir.as_path() } else { dir.parent().unwrap_or(Path::new(".")) };
                let key = folder.join(&site.name).join("audit.key");
                (site.database.fhir, Some(key), Some(site.base_url))
            }
            (Some(url), None) => (url.clone(), None, None),
            (None, None) => bail!("name the database with --database-url, or a stand with --dir"),
        };
        let pool = Pool::new(&DatabaseConfig {
            url,
            password: None,
            ca: self.database_ca.clone(),
            max_connections: 1,
            allow_unsafe_durability: true,
            application: "dsf-audit",
            plans: database::Plans::ByValues,
        })?;
        Ok(Opened { pool, key_file, base_url })
    }
}

fn anchor(text: &str) -> Result<(i64, String), String> {
    let parts = text.split_once(':').and_then(|(seq, hash)| Some((seq.parse().ok()?, hash.to_lowercase())));
    parts.ok_or_else(|| "expected <row>:<hash>".to_owned())
}

/// Runs a command. `verify` fails when there is any fault.
pub async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Verify { source, key_file, anchors } => {
            let opened = source.open()?;
            let key = match key_file.or(opened.key_file) {
                Some(path) => {
                    let bytes = std::fs::read(&path)
                        .with_context(|| format!("key file {} cannot be read", path.display()))?;
                    Key::new(&bytes)?
                }
                None => Key::None,
            };
            verify(&opened.pool, &key, &anchors).await
        }
        Command::Export { source, base_url, after } => {
            let opened = source.open()?;
            let base = base_url.or(opened.base_url).context("--base-url is needed for references")?;
            export(&opened.pool, &base, after).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn verify(pool: &Pool, key: &Key, anchors: &[(i64, String)]) -> Result<ExitCode> {
    let head = table::head(pool).await?;
    let mut verifier = Verifier::new(key, head.first, head.before);
    let (mut after, mut noted) = (i64::MIN, Vec::new());
    let mut met = std::collections::BTreeSet::new();
    'pages: loop {
        let rows = table::page(pool, after, PAGE).await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            // What came while we read belongs to the next check; a head that was set back does not.
            if row.seq > head.last && table::head(pool).await?.last > head.last {
                break 'pages;
            }
            verifier.row(row.seq, &row.event, &row.hash);
            after = row.seq;
            for (seq, hash) in anchors.iter().filter(|(seq, _)| *seq == row.seq) {
                met.insert(*seq);
                if *hash != hex(&row.hash) {
                    noted.push(Fault::Anchor { seq: *seq });
                }
            }
        }
    }
    let rows = verifier.rows;
    let mut faults = verifier.end(head.last, &head.hash);
    faults.extend(noted);
    faults.extend(
        anchors
            .iter()
            .filter(|(seq, _)| *seq >= head.first && !met.contains(seq))
            .map(|(seq, _)| Fault::Anchor { seq: *seq }),
    );
    for fault in faults.iter().take(PRINTED) {
        println!("{fault}");
    }
    if faults.is_empty() {
        println!("{rows} rows hold; last row {}, hash {}", head.last, hex(&head.hash));
        return Ok(ExitCode::SUCCESS);
    }
    println!("{rows} rows, {} faults", faults.len());
    Ok(ExitCode::FAILURE)
}

async fn export(pool: &Pool, base_url: &str, mut after: i64) -> Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    loop {
        let rows = table::page(pool, after, PAGE).await?;
        let Some(last) = rows.last() else { break };
        after = last.seq;
        for row in &rows {
            let event = Event::parse(&row.event)
                .with_context(|| format!("row {} is no event: see `dsf audit verify`", row.seq))?;
            writeln!(out, "{}", export::audit_event(row.seq, &event, base_url))?;
        }
    }
    Ok(out.flush()?)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
