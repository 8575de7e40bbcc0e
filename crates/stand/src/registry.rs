//! Finds running stands, so that tools need not be told where one is.
use std::path::{Path, PathBuf};

use anyhow::Result;
use nix::{
    sys::signal::kill,
    unistd::{Pid, Uid},
};

/// One file per running stand, named by the process that runs it, holding the stand's folder.
fn folder() -> PathBuf {
    std::env::temp_dir().join(format!("dsf-stands-{}", Uid::effective()))
}

/// Removes the entry of a stand when dropped.
#[derive(Debug)]
pub(crate) struct Registration(PathBuf);

impl Drop for Registration {
    fn drop(&mut self) {
        // Somebody may have cleaned the folder already.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Enters a stand.
pub(crate) fn register(stand: &Path) -> Result<Registration> {
    std::fs::create_dir_all(folder())?;
    let entry = folder().join(format!("{}-{}", std::process::id(), hex::encode(rand::random::<[u8; 4]>())));
    std::fs::write(&entry, stand.as_os_str().as_encoded_bytes())?;
    Ok(Registration(entry))
}

/// Folders of stands whose process runs, of this user. Entries of dead processes are removed.
pub fn running_stands() -> Vec<PathBuf> {
    let mut stands = Vec::new();
    for entry in std::fs::read_dir(folder()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let alive = name
            .split('-')
            .next()
            .and_then(|pid| pid.parse().ok())
            .is_some_and(|pid| kill(Pid::from_raw(pid), None).is_ok());
        match std::fs::read_to_string(entry.path()) {
            Ok(stand) if alive => stands.push(PathBuf::from(stand)),
            _ => {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
    stands.sort();
    stands.dedup();
    stands
}
