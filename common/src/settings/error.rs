//! Why a configuration was refused.

use std::path::{Path, PathBuf};

/// Why the configuration was refused. Never shows a value.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error(
        "read configuration {path:?} (name it with -c FILE or $MYSQL2GP_CONFIG; without either, my.cfg in the working directory is read)"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML.
    #[error("configuration {path:?}, line {line}: not valid TOML (values go in double quotes)")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line number from 1.
        line: usize,
    },
    /// Unknown or wrong keys, all of them.
    #[error("configuration {path:?}: {}", problems.join("; "))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// One sentence each.
        problems: Vec<String>,
    },
}

/// A [`SettingsError`] that does not know its file yet.
pub(super) enum ParseError {
    Syntax { line: usize },
    Keys(Vec<String>),
}

impl ParseError {
    pub(super) fn in_file(self, path: &Path) -> SettingsError {
        match self {
            Self::Syntax { line } => SettingsError::Syntax {
                path: path.into(),
                line,
            },
            Self::Keys(problems) => SettingsError::Invalid {
                path: path.into(),
                problems,
            },
        }
    }
}
