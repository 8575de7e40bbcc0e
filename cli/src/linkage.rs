//! `dsf linkage`: keys and secrets of a site's record linkage.
use std::{
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::Subcommand;
use messaging::recipient;

/// Commands over keys.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Writes `rbf_private_key`, `rbf_organization_secret` and `rbf_study_secrets`, readable by their owner
    /// only, and prints the public key. Nothing that exists is replaced: with a lost secret, pseudonyms
    /// and encrypted ids cannot be opened any more.
    Key {
        /// Folder for the files.
        #[arg(long, default_value = "secrets")]
        dir: PathBuf,
    },
}

/// Runs a command.
pub fn run(command: Command) -> Result<ExitCode> {
    let Command::Key { dir } = command;
    std::fs::create_dir_all(&dir).with_context(|| format!("{} cannot be created", dir.display()))?;
    let (public, private) = recipient::generate()?;
    // Two random keys; the public halves are not needed.
    let (organization, study) = (recipient::generate()?.1, recipient::generate()?.1);
    write(&dir.join("rbf_private_key"), &private)?;
    write(&dir.join("rbf_organization_secret"), &organization)?;
    write(&dir.join("rbf_study_secrets"), &format!("first={}", *study))?;
    println!("DSF_RBF_PUBLIC_KEY={public}");
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, text: &str) -> Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("{} cannot be written; what exists is not replaced", path.display()))?;
    writeln!(file, "{text}").with_context(|| format!("{} cannot be written", path.display()))
}
