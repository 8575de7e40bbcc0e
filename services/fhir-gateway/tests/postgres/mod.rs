//! A private PostgreSQL cluster in a temporary folder, reached over its socket, for one test.
use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use database::{DatabaseConfig, Migration, Pool};

/// Longest wait for the server's start on a busy machine.
const START: Duration = Duration::from_secs(30);
/// Account that runs the server where there is none for it and we are root.
const NOBODY: u32 = 65534;

/// A running cluster; ends with this value.
pub struct Cluster {
    server: Child,
    folder: PathBuf,
}

impl Cluster {
    /// Starts a cluster. `durable` switches `fsync` on, for measurements.
    pub fn start(durable: bool) -> Self {
        let binaries = binaries();
        // A short path: the socket's path may have 107 bytes at most.
        let folder = std::env::temp_dir().join(format!("pg-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&folder).unwrap();
        let account = account();
        if let Some((user, group)) = account {
            std::os::unix::fs::chown(&folder, Some(user), Some(group)).unwrap();
        }
        let program = |name: &str| {
            let mut command = Command::new(binaries.join(name));
            command.current_dir(&folder).stdout(Stdio::null()).stderr(Stdio::null());
            if let Some((user, group)) = account {
                command.uid(user).gid(group);
            }
            command
        };
        let data = folder.join("data");
        let created = program("initdb")
            .arg("-D")
            .arg(&data)
            .args(["-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--no-locale"])
            .status()
            .unwrap();
        assert!(created.success(), "initdb failed");
        let mut server = program("postgres");
        server.arg("-D").arg(&data).arg("-k").arg(&folder).args(["-c", "listen_addresses="]);
        if !durable {
            server.args(["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]);
        }
        Self { server: server.spawn().unwrap(), folder }
    }

    /// A pool with its schema prepared, waiting until the server takes connections.
    pub async fn pool(&self, migrations: &[Migration]) -> Pool {
        let pool = Pool::new(&DatabaseConfig {
            url: format!("host={} user=postgres dbname=postgres", self.folder.display()),
            password: None,
            ca: None,
            max_connections: 16,
            allow_unsafe_durability: true,
            application: "store-test",
            plans: database::Plans::ByValues,
        })
        .unwrap();
        let started = Instant::now();
        tokio::time::timeout(START, pool.prepare(migrations))
            .await
            .unwrap_or_else(|_| panic!("PostgreSQL did not start within {:?}", started.elapsed()))
            .unwrap();
        pool
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Immediate shutdown: the data is thrown away, but the server still frees its shared memory.
        let stopped = Command::new("kill").args(["-QUIT", &self.server.id().to_string()]).status();
        if !stopped.is_ok_and(|status| status.success()) {
            let _ = self.server.kill();
        }
        let _ = self.server.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Where the server's programs are: `PGBIN`, `pg_config`, or Debian's folders, newest first.
fn binaries() -> PathBuf {
    if let Ok(folder) = std::env::var("PGBIN") {
        return folder.into();
    }
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        if folder.join("postgres").exists() {
            return folder;
        }
    }
    let mut found: Vec<PathBuf> = std::fs::read_dir(Path::new("/usr/lib/postgresql"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|folder| folder.join("postgres").exists())
        .collect();
    found.sort();
    found.pop().expect("PostgreSQL is needed: set PGBIN to the folder of initdb and postgres")
}

/// PostgreSQL refuses to run as root: the account to use instead.
fn account() -> Option<(u32, u32)> {
    let id = |arguments: &[&str]| -> Option<u32> {
        let output = Command::new("id").args(arguments).output().ok()?;
        String::from_utf8_lossy(&output.stdout).trim().parse().ok()
    };
    (id(&["-u"]) == Some(0))
        .then(|| (id(&["-u", "postgres"]).unwrap_or(NOBODY), id(&["-g", "postgres"]).unwrap_or(NOBODY)))
}
