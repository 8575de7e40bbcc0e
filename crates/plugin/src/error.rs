//! Why a plugin cannot be loaded or uploaded.
use std::path::PathBuf;

/// Why a plugin cannot be used. Each is one line.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no such folder.
    #[error("{} is no folder: name the folder of a plugin", .0.display())]
    Folder(PathBuf),
    /// Neither `plugin.toml` nor the folder name nor the caller says name and version.
    #[error("{} does not say name and version: add plugin.toml or name the folder <name>-<version>", .0.display())]
    Unnamed(PathBuf),
    /// A version that is none.
    #[error("'{0}' is no plugin version: expected four numbers (generation 0.9: three), for example 1.0.1.0")]
    Version(String),
    /// A date that is none.
    #[error("'{0}' is no date: expected yyyy-MM-dd")]
    Date(String),
    /// Something is wrong with one file.
    #[error("{file}: {reason}")]
    File {
        /// Path below the plugin folder.
        file: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A folder or file cannot be read.
    #[error("{} cannot be read: {reason}", path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// The operating system's reason.
        reason: String,
    },
    /// The site did not take a resource.
    #[error("the site did not accept the resources: {0}")]
    Upload(String),
}

impl LoadError {
    /// Something is wrong with one file; the reason is folded to one line.
    pub(crate) fn file(file: &str, reason: impl AsRef<str>) -> Self {
        let reason = reason.as_ref().split_whitespace().collect::<Vec<_>>().join(" ");
        Self::File { file: file.to_owned(), reason }
    }
}
