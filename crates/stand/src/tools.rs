//! Finds PostgreSQL and nats-server on the machine. Installing them is `scripts/setup`'s task.
use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

/// Oldest nats-server with what the streams need (`sync_interval: always`, message TTLs).
pub const NATS_MINIMUM: (u32, u32) = (2, 12);
/// Oldest PostgreSQL that is tested.
pub const POSTGRES_MINIMUM: u32 = 15;

/// Where the servers are.
#[derive(Debug, Clone)]
pub struct Tools {
    /// Folder with `initdb` and `postgres`.
    pub postgres: PathBuf,
    /// The nats-server program.
    pub nats_server: PathBuf,
}

impl Tools {
    /// Looks in `PGBIN` and `NATS_SERVER`, then in the project's `.tools`, then on the machine.
    pub fn find() -> Result<Self> {
        Ok(Self { postgres: find_postgres()?, nats_server: find_nats()? })
    }
}

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn find_postgres() -> Result<PathBuf> {
    let mut places: Vec<PathBuf> = std::env::var_os("PGBIN").map(PathBuf::from).into_iter().collect();
    places.push(project().join(".tools/postgresql/bin"));
    for parent in ["/usr/lib/postgresql", "/usr/local/pgsql", "/opt/postgresql"] {
        let mut versions: Vec<PathBuf> = std::fs::read_dir(parent)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path().join("bin"))
            .collect();
        versions.sort();
        places.extend(versions.into_iter().rev());
    }
    places.extend(on_path("postgres").and_then(|program| program.parent().map(Path::to_owned)));
    for place in places {
        let (postgres, initdb) = (place.join("postgres"), place.join("initdb"));
        if postgres.is_file()
            && initdb.is_file()
            && version(&postgres).is_some_and(|v| v.0 >= POSTGRES_MINIMUM)
        {
            return Ok(place);
        }
    }
    bail!(
        "PostgreSQL {POSTGRES_MINIMUM} or newer was not found: run scripts/setup, or name its bin folder in PGBIN"
    )
}

fn find_nats() -> Result<PathBuf> {
    let mut places: Vec<PathBuf> = std::env::var_os("NATS_SERVER").map(PathBuf::from).into_iter().collect();
    places.push(project().join(".tools/bin/nats-server"));
    places.extend(on_path("nats-server"));
    for place in places {
        if place.is_file() && version(&place).is_some_and(|v| v >= NATS_MINIMUM) {
            return Ok(place);
        }
    }
    let (major, minor) = NATS_MINIMUM;
    bail!("nats-server {major}.{minor} or newer was not found: run scripts/setup, or name it in NATS_SERVER")
}

fn on_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// Major and minor version that `program --version` prints.
fn version(program: &Path) -> Option<(u32, u32)> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let digits = text.split_whitespace().find_map(|word| {
        let word = word.trim_start_matches('v');
        word.starts_with(|c: char| c.is_ascii_digit()).then(|| word.to_owned())
    })?;
    let mut numbers = digits.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok());
    Some((numbers.next()?, numbers.next().unwrap_or(0)))
}
