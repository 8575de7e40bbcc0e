//! `dsf vectors`: compares with outputs of original programs.
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

/// How far above a folder of vectors the plugins may be.
const PLUGIN_LEVELS: usize = 4;

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
        Kind::Rbf => linkage::vectors::run_rbf(&arguments.folder, &mut report),
        Kind::Clk => linkage::vectors::run_clk(&arguments.folder, &mut report),
        Kind::Validation => {
            let plugins = plugins(&arguments.folder);
            // A folder without definitions is judged by the built-in ones.
            let own = !arguments.folder.join("definitions").is_dir();
            let own = own.then(fhir::framework::validator);
            fhir::vectors::run_validation(&arguments.folder, plugins.as_deref(), own.as_ref(), &mut report)
        }
        Kind::Hospital => {
            let totals =
                hospital::vectors::run(&arguments.folder, &mut report).map_err(anyhow::Error::msg)?;
            if totals.unsupported > 0 {
                println!("{} under settings that are not offered", totals.unsupported);
            }
            (totals.passed, totals.failed)
        }
    };
    println!("{passed} passed, {failed} failed");
    // Nothing compared is nothing proven.
    Ok(if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The folder of process plugins whose profiles the validation vectors claim: that of `DSF_SHARED`, or one
/// beside the folder of the vectors.
fn plugins(vectors: &Path) -> Option<PathBuf> {
    let shared = std::env::var_os("DSF_SHARED").map(|shared| PathBuf::from(shared).join("plugins"));
    let vectors = vectors.canonicalize().ok()?;
    let beside = vectors.ancestors().take(PLUGIN_LEVELS).map(|folder| folder.join("plugins"));
    shared.into_iter().chain(beside).find(|folder| folder.is_dir())
}
