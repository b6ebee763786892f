//! Why the fact store cannot be used. None of these is ever answered by starting with an empty store.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why the fact store cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full. Nothing was written.
    #[error("the disk is full; free some space")]
    Full,
    /// Another process holds it.
    #[error("another process holds the fact store; is another scomod running?")]
    Locked,
    /// It, or its file system, is read-only.
    #[error("the fact store can only be read; make its file system writable")]
    ReadOnly,
    /// It is damaged.
    #[error(
        "the fact store is damaged: {0}; restore it from a backup, or move it away to start with nothing known"
    )]
    Corrupt(String),
    /// A newer program wrote it.
    #[error(
        "the fact store has format {found}, this scomod reads up to {known}; install the newer scomod again"
    )]
    TooNew {
        /// Its format.
        found: i64,
        /// The newest known one.
        known: i64,
    },
    /// A whole row holds something that this program does not understand.
    #[error("fact {seq} is not understood; install the scomod that wrote it")]
    Unknown {
        /// Its number.
        seq: u64,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A fact cannot follow on those before it.
    #[error("fact {seq} is not possible: {why}")]
    Illegal {
        /// Its number.
        seq: u64,
        /// Why.
        why: String,
    },
    /// A fact cannot be written as JSON.
    #[error("a fact cannot be written")]
    Encode(#[source] serde_json::Error),
    /// SQLite failed for another reason.
    #[error("cannot {what}")]
    Sqlite {
        /// What it was to do.
        what: &'static str,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A file operation failed.
    #[error("cannot {what} {path}")]
    File {
        /// What was to be done.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl StoreError {
    pub(super) fn file(what: &'static str, path: &Path, source: std::io::Error) -> Self {
        match source.kind() {
            std::io::ErrorKind::StorageFull => Self::Full,
            std::io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            _ => Self::File { what, path: path.to_owned(), source },
        }
    }
}

/// Sorts a SQLite error into what it means.
pub(super) fn failed(what: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    move |source| match source.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked,
        Some(ErrorCode::ReadOnly) => StoreError::ReadOnly,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt(source.to_string()),
        _ => match source {
            rusqlite::Error::QueryReturnedNoRows
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::Utf8Error(..) => StoreError::Corrupt(source.to_string()),
            source => StoreError::Sqlite { what, source },
        },
    }
}
