//! `dsf vectors`: compares with outputs of original programs.
use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

/// Which vectors, and where they are.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Kind of the vectors.
    kind: Kind,
    /// Folder with the vectors.
    folder: PathBuf,
    /// Also name what passed.
    #[arg(long)]
    verbose: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Codec,
    Validation,
    Bpmn,
    Rbf,
    Clk,
    Hospital,
}

/// Runs a comparison. The last line is `N passed, N failed`.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    if !arguments.folder.is_dir() {
        bail!("{} is no folder", arguments.folder.display());
    }
    let mut report = |line: &str| {
        if arguments.verbose || !line.starts_with("ok") {
            println!("{line}");
        }
    };
    let (passed, failed) = match arguments.kind {
        Kind::Codec => fhir::vectors::run_codec(&arguments.folder, &mut report),
        Kind::Bpmn => bpmn::vectors::run(&arguments.folder, |scenario| report(&scenario.to_string()))?,
        Kind::Hospital => {
            let totals =
                hospital::vectors::run(&arguments.folder, &mut report).map_err(anyhow::Error::msg)?;
            if totals.unsupported > 0 {
                println!("{} under settings that are not offered", totals.unsupported);
            }
            (totals.passed, totals.failed)
        }
        Kind::Validation | Kind::Rbf | Kind::Clk => {
            bail!("{:?} vectors come with a later version", arguments.kind)
        }
    };
    println!("{passed} passed, {failed} failed");
    // Nothing compared is nothing proven.
    Ok(if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
