//! The tables of a fact store, version 1. A released version is never changed: a new one gets a new number, a way to
//! convert the old, and a golden file of its own.

/// `SCOM` in ASCII: SQLite's mark of whose file it is.
pub(super) const APPLICATION_ID: i64 = 0x5343_4f4d;
/// The newest version that this program reads.
pub(super) const SCHEMA_VERSION: i64 = 1;

/// The statements, exactly as SQLite keeps them.
pub(super) const SCHEMA: [&str; 2] = [
    "CREATE TABLE fact (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, body TEXT NOT NULL, chain BLOB NOT NULL) STRICT",
    "CREATE TABLE head (one INTEGER PRIMARY KEY, base_seq INTEGER NOT NULL, base_chain BLOB NOT NULL, \
     last_seq INTEGER NOT NULL, last_chain BLOB NOT NULL) STRICT",
];

/// Statements that mark the file.
pub(super) fn identity() -> String {
    format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}")
}
