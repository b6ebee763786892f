//! The fact store: an append-only table in SQLite.
//!
//! What it promises: an append that returned is on the disk; one that failed left nothing; a store that was changed by
//! anything else is refused, never read as another history, and never started anew. Each row carries the digest of
//! all rows before it, and one more row says which is the last, so a missing end is noticed as well.
//!
//! It knows nothing of what a fact is: JSON in, JSON out. One process holds a store at a time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};
use scomo_core::id::Millis;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

mod error;
mod schema;
#[cfg(test)]
mod tests;

pub use error::StoreError;
use error::failed;
use schema::{APPLICATION_ID, SCHEMA, SCHEMA_VERSION};

/// Rows after which a checkpoint should replace them: replaying that many takes well under a second on a small
/// device, and a life of updates writes some tens for each.
pub const ROWS_MAX: u64 = 10_000;
/// SQLite's page cache in KiB. All rows are read once, in order: a cache buys nothing.
const CACHE_KIB: i64 = 256;
/// How many milliseconds a dying process may still hold the store: a daemon that was killed inside a sync.
const BUSY_WAIT_MS: u32 = 5_000;

type Chain = [u8; 32];

/// An open fact store, held by this process alone.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    head: Head,
}

/// Between which two links the rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    base_seq: u64,
    base_chain: Chain,
    last_seq: u64,
    last_chain: Chain,
}

impl Store {
    /// Opens the store at `path`, checks all of it and hands every fact to `each`, oldest first, with its number.
    /// A file that does not exist is created; a file that is not whole is an error. `each` may refuse a fact.
    pub fn open<F: DeserializeOwned>(
        path: &Path,
        each: &mut dyn FnMut(u64, F) -> Result<(), String>,
    ) -> Result<Self, StoreError> {
        if !exists(path)? {
            create(path)?;
        }
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | base_flags())
            .map_err(failed("open the store"))?;
        // Nothing is written into a file before all of it was found whole, not even what SQLite keeps beside it.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .map_err(failed("open the store"))?;
        if db.is_readonly("main").map_err(failed("open the store"))? {
            return Err(StoreError::ReadOnly);
        }
        hold(&db)?;
        prepare(&db)?;
        let head = read(&db, each)?;
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
            .map_err(failed("open the store"))?;
        set_durable(&db)?;
        Ok(Self { db, head })
    }

    /// Reads as much as is whole of a store that [`Store::open`] refuses, without changing anything. Returns why it
    /// ended before the end, if it did.
    pub fn salvage<F: DeserializeOwned>(
        path: &Path,
        each: &mut dyn FnMut(u64, F) -> Result<(), String>,
    ) -> Result<(), StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | base_flags();
        let plain = Connection::open_with_flags(path, flags).map_err(failed("open the store"))?;
        // A WAL database cannot be read in the usual way where nothing can be written.
        let needs_writing = plain.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).is_err();
        let db = if needs_writing {
            drop(plain);
            let uri = format!("file:{}?immutable=1", uri_escape(path));
            Connection::open_with_flags(uri, flags).map_err(failed("open the store"))?
        } else {
            plain
        };
        prepare(&db)?;
        read(&db, each).map(|_| ())
    }

    /// Appends facts: all of them, durably, or none. `at` is the time of the device's clock.
    pub fn append<F: Serialize>(&mut self, at: Millis, facts: &[F]) -> Result<(), StoreError> {
        self.change(at, facts, false)
    }

    /// Whether there are so many rows that a checkpoint should replace them.
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.head.last_seq.saturating_sub(self.head.base_seq) > ROWS_MAX
    }

    /// Number of the newest fact.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.head.last_seq
    }

    /// Replaces every row by `checkpoint`, a fact that stands for all of them, in one transaction.
    pub fn compact<F: Serialize>(&mut self, at: Millis, checkpoint: &F) -> Result<(), StoreError> {
        self.change(at, std::slice::from_ref(checkpoint), true)
    }

    fn change<F: Serialize>(&mut self, at: Millis, facts: &[F], replace: bool) -> Result<(), StoreError> {
        let committed = self.commit(at, facts, replace);
        // Committed facts move into the main file, where the chain guards them. Of a commit that failed nothing may
        // stay in the log beside it, where a later recovery could find it. Neither can fail what is decided above.
        if let Err(error) = self.empty_wal() {
            tracing::warn!("the log beside the fact store could not be emptied: {error}");
        }
        self.head = committed?;
        Ok(())
    }

    /// One transaction; the head after it.
    fn commit<F: Serialize>(&mut self, at: Millis, facts: &[F], replace: bool) -> Result<Head, StoreError> {
        let mut head = self.head;
        let writing = || failed("write facts");
        let transaction =
            self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(writing())?;
        if replace {
            transaction.execute("DELETE FROM fact", []).map_err(writing())?;
            (head.base_seq, head.base_chain) = (head.last_seq, head.last_chain);
        }
        {
            let mut insert = transaction
                .prepare("INSERT INTO fact (seq, at, body, chain) VALUES (?1, ?2, ?3, ?4)")
                .map_err(writing())?;
            for fact in facts {
                let body = serde_json::to_string(fact).map_err(StoreError::Encode)?;
                head.last_seq =
                    head.last_seq.checked_add(1).ok_or(StoreError::Corrupt("no numbers left".into()))?;
                head.last_chain = link(&head.last_chain, head.last_seq, at.0, &body);
                let (seq, at) = (number(head.last_seq)?, number(at.0)?);
                insert.execute(params![seq, at, body, head.last_chain]).map_err(writing())?;
            }
        }
        write_head(&transaction, &head)?;
        transaction.commit().map_err(writing())?;
        Ok(head)
    }

    fn empty_wal(&self) -> Result<(), rusqlite::Error> {
        self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }
}

/// Whether there is a store. A log without its database is a damaged store, not a missing one.
fn exists(path: &Path) -> Result<bool, StoreError> {
    let there = |path: &Path| path.try_exists().map_err(|e| StoreError::file("look for", path, e));
    if there(path)? {
        return Ok(true);
    }
    let wal = beside(path, "-wal");
    if there(&wal)? {
        let what = format!("{} is missing, but its log {} is there", path.display(), wal.display());
        return Err(StoreError::Corrupt(what));
    }
    Ok(false)
}

/// Creates a store under another name first: a file of the right name is always whole.
fn create(path: &Path) -> Result<(), StoreError> {
    let new = beside(path, ".new");
    for old in [new.clone(), beside(&new, "-wal"), beside(&new, "-shm"), beside(&new, "-journal")] {
        match fs::remove_file(&old) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::file("remove", &old, e));
            }
            Ok(()) | Err(_) => {}
        }
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | base_flags();
    let db = Connection::open_with_flags(&new, flags).map_err(failed("create the store"))?;
    hold(&db)?;
    prepare(&db)?;
    set_durable(&db)?;
    let creating = || failed("create the store");
    db.execute_batch(&format!("BEGIN IMMEDIATE; {}; {};", SCHEMA.join(";"), schema::identity()))
        .map_err(creating())?;
    let start: Chain = Sha256::digest(b"scomo facts").into();
    write_head(&db, &Head { base_seq: 0, base_chain: start, last_seq: 0, last_chain: start })?;
    db.execute_batch("COMMIT").map_err(creating())?;
    db.close().map_err(|(_, e)| creating()(e))?;
    sync(&new)?;
    fs::rename(&new, path).map_err(|e| StoreError::file("rename", &new, e))?;
    sync(path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

fn sync(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|e| StoreError::file("sync", path, e))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn base_flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE
}

fn uri_escape(path: &Path) -> String {
    path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}

/// Settings that write nothing.
fn prepare(db: &Connection) -> Result<(), StoreError> {
    let settings = format!(
        "PRAGMA cache_size = -{CACHE_KIB}; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;
         PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;"
    );
    db.execute_batch(&settings).map_err(failed("open the store"))
}

/// From the first access on this connection alone holds the database; that also needs no shared memory file. It must
/// come before every other setting: some of them are such an access.
fn hold(db: &Connection) -> Result<(), StoreError> {
    // By statement: the crate's own call needs SQLite 3.44, and Debian 12 has 3.40.
    db.execute_batch(&format!("PRAGMA busy_timeout = {BUSY_WAIT_MS}; PRAGMA locking_mode = EXCLUSIVE"))
        .map_err(failed("open the store"))
}

fn set_durable(db: &Connection) -> Result<(), StoreError> {
    let opening = || failed("open the store");
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(opening())?;
    if mode != "wal" {
        return Err(StoreError::Corrupt(format!(
            "the journal mode cannot be changed from '{mode}' to 'wal'"
        )));
    }
    db.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;").map_err(opening())
}

/// Checks all of the database, and hands the facts over. Writes nothing.
fn read<F: DeserializeOwned>(
    db: &Connection,
    each: &mut dyn FnMut(u64, F) -> Result<(), String>,
) -> Result<Head, StoreError> {
    check_identity(db)?;
    let head = read_head(db)?;
    let reading = || failed("read facts");
    let mut rows = db.prepare("SELECT seq, at, body, chain FROM fact ORDER BY seq").map_err(reading())?;
    let mut rows = rows.query([]).map_err(reading())?;
    let (mut seq, mut chain) = (head.base_seq, head.base_chain);
    while let Some(row) = rows.next().map_err(reading())? {
        let number = |n: usize| row.get::<_, i64>(n).map_err(reading());
        let body = row.get_ref(2).map_err(reading())?;
        let body = body.as_str().map_err(|_| StoreError::Corrupt("a fact is not text".into()))?;
        seq = seq.saturating_add(1);
        if u64::try_from(number(0)?) != Ok(seq) {
            return Err(StoreError::Corrupt(format!("fact {seq} is missing")));
        }
        let at =
            u64::try_from(number(1)?).map_err(|_| StoreError::Corrupt(format!("fact {seq} has no time")))?;
        chain = link(&chain, seq, at, body);
        if row.get::<_, Vec<u8>>(3).map_err(reading())? != chain {
            return Err(StoreError::Corrupt(format!("fact {seq} was changed")));
        }
        let fact = serde_json::from_str(body).map_err(|source| StoreError::Unknown { seq, source })?;
        each(seq, fact).map_err(|why| StoreError::Illegal { seq, why })?;
    }
    if (seq, chain) != (head.last_seq, head.last_chain) {
        return Err(StoreError::Corrupt(format!("there are {} facts, but {seq} were found", head.last_seq)));
    }
    // Last, so that what can be read was handed over.
    let verdict: String =
        db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed("check the store"))?;
    if verdict == "ok" { Ok(head) } else { Err(StoreError::Corrupt(verdict)) }
}

fn check_identity(db: &Connection) -> Result<(), StoreError> {
    let pragma = |name: &str| {
        db.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0))
            .map_err(failed("read the store"))
    };
    if pragma("application_id")? != APPLICATION_ID {
        return Err(StoreError::Corrupt("it is not a fact store of scomo".into()));
    }
    let version = pragma("user_version")?;
    if version > SCHEMA_VERSION {
        return Err(StoreError::TooNew { found: version, known: SCHEMA_VERSION });
    }
    let reading = || failed("read the store");
    let mut tables = db.prepare("SELECT sql FROM sqlite_schema ORDER BY rowid").map_err(reading())?;
    let tables: Vec<String> =
        tables.query_map([], |row| row.get(0)).and_then(Iterator::collect).map_err(reading())?;
    if version != SCHEMA_VERSION || tables != SCHEMA {
        return Err(StoreError::Corrupt("its tables are not those of a fact store".into()));
    }
    Ok(())
}

fn read_head(db: &Connection) -> Result<Head, StoreError> {
    let corrupt = |_| StoreError::Corrupt("its head is damaged".into());
    let row = db.query_row(
        "SELECT base_seq, base_chain, last_seq, last_chain FROM head WHERE one = 1",
        [],
        |row| {
            let (a, b): (i64, i64) = (row.get(0)?, row.get(2)?);
            let (c, d): (Vec<u8>, Vec<u8>) = (row.get(1)?, row.get(3)?);
            Ok((a, b, c, d))
        },
    );
    let (base_seq, last_seq, base_chain, last_chain) = row.map_err(failed("read the store"))?;
    Ok(Head {
        base_seq: u64::try_from(base_seq).map_err(|_| corrupt(()))?,
        base_chain: base_chain.try_into().map_err(|_| corrupt(()))?,
        last_seq: u64::try_from(last_seq).map_err(|_| corrupt(()))?,
        last_chain: last_chain.try_into().map_err(|_| corrupt(()))?,
    })
}

fn write_head(db: &Connection, head: &Head) -> Result<(), StoreError> {
    let values = params![number(head.base_seq)?, head.base_chain, number(head.last_seq)?, head.last_chain];
    db.execute("INSERT OR REPLACE INTO head VALUES (1, ?1, ?2, ?3, ?4)", values)
        .map(|_| ())
        .map_err(failed("write facts"))
}

fn number(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::Corrupt(format!("the number {value} does not fit")))
}

fn link(before: &Chain, seq: u64, at: u64, body: &str) -> Chain {
    let hash = Sha256::new_with_prefix(before).chain_update(seq.to_le_bytes()).chain_update(at.to_le_bytes());
    hash.chain_update(body).finalize().into()
}
