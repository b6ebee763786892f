//! Which release is which commit: one small file for each release, `<state_dir>/os/releases/<hex>.json`.
//!
//! Nothing here can be rebuilt from the sysroot: a commit may belong to several releases. A file that cannot be read
//! is an error, never an absent release.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use scomo_core::id::ReleaseId;
use scomo_core::spec::Release;
use serde::{Deserialize, Serialize};

use crate::error::OsError;

/// Largest state file in bytes: a release with every text at its limit is far below.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
const SUFFIX: &str = ".json";

/// What is known of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Always 1; a newer one is not understood.
    pub version: u32,
    /// The release.
    pub release: Release,
    /// Its commit.
    pub commit: String,
    /// Rises with every switch to a release; zero: it was never switched to. When several releases are one and the
    /// same commit, the one that was switched to last is the one that runs.
    pub chosen: u64,
    /// It was on the device before this crate; see the module `adopt`.
    #[serde(default)]
    pub adopted: bool,
}

impl Record {
    /// Of a release that was never switched to.
    #[must_use]
    pub fn new(release: &Release, commit: &str) -> Self {
        Self { version: 1, release: release.clone(), commit: commit.to_owned(), chosen: 0, adopted: false }
    }
}

/// The folder of the records.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// The store below the folder of this backend.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.join("releases") }
    }

    fn path(&self, id: &ReleaseId) -> PathBuf {
        self.dir.join(format!("{}{SUFFIX}", hex(id)))
    }

    /// The record of a release, if there is one.
    pub fn get(&self, id: &ReleaseId) -> Result<Option<Record>, OsError> {
        read(&self.path(id))
    }

    /// Every record, in the order of their names.
    pub fn all(&self) -> Result<Vec<Record>, OsError> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(OsError::file("read the folder", &self.dir)(e)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let entry = entry.map_err(OsError::file("read the folder", &self.dir))?;
            if entry.file_name().to_string_lossy().ends_with(SUFFIX) {
                paths.push(entry.path());
            }
        }
        paths.sort();
        paths.iter().filter_map(|path| read(path).transpose()).collect()
    }

    /// Writes a record; durable when it returns.
    pub fn put(&self, record: &Record) -> Result<(), OsError> {
        let path = self.path(&record.release.id);
        let text =
            serde_json::to_vec(record).map_err(|source| OsError::Damaged { path: path.clone(), source })?;
        write(&path, &text)
    }

    /// Deletes the record of a release; durable when it returns.
    pub fn delete(&self, id: &ReleaseId) -> Result<(), OsError> {
        let path = self.path(id);
        match fs::remove_file(&path) {
            Ok(()) => sync_dir(&self.dir),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            Err(e) => Err(OsError::file("delete", path)(e)),
        }
    }

    /// Deletes what killed writes left.
    pub fn sweep(&self) -> Result<(), OsError> {
        let Ok(entries) = fs::read_dir(&self.dir) else { return Ok(()) };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            if path.extension().is_some_and(|extension| extension == "new") {
                fs::remove_file(&path).map_err(OsError::file("delete", &path))?;
            }
        }
        Ok(())
    }

    /// The release that runs when this commit is booted: of those that were switched to, the last one.
    pub fn release_of(&self, commit: &str) -> Result<Option<ReleaseId>, OsError> {
        let candidates = self.all()?.into_iter().filter(|r| r.commit == commit && r.chosen > 0);
        Ok(candidates.max_by_key(|record| record.chosen).map(|record| record.release.id))
    }

    /// Remembers that the release was switched to, after all others.
    pub fn choose(&self, id: &ReleaseId) -> Result<(), OsError> {
        let all = self.all()?;
        let last = all.iter().map(|record| record.chosen).max().unwrap_or(0);
        let record = all.into_iter().find(|record| record.release.id == *id);
        let mut record = record.ok_or_else(|| not_fetched(id))?;
        if record.chosen == 0 || record.chosen < last {
            record.chosen = last.saturating_add(1);
            self.put(&record)?;
        }
        Ok(())
    }
}

/// The digest of a release without its prefix: the name of its file and its ref.
pub(crate) fn hex(id: &ReleaseId) -> &str {
    id.as_str().strip_prefix("sha256:").unwrap_or(id.as_str())
}

/// The error for a release that was never fetched.
pub(crate) fn not_fetched(id: &ReleaseId) -> OsError {
    OsError::NotFound(format!("the release {id} is not on the device; fetch it first"))
}

fn read(path: &Path) -> Result<Option<Record>, OsError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(OsError::file("read", path)(e)),
    };
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut text).map_err(OsError::file("read", path))?;
    let damaged = |source| OsError::Damaged { path: path.to_owned(), source };
    let record: Record = serde_json::from_slice(&text).map_err(damaged)?;
    let named = path.file_stem().is_some_and(|stem| *stem == *hex(&record.release.id));
    if record.version != 1 || !named {
        let why = "it has another version or name than it should";
        return Err(damaged(<serde_json::Error as serde::de::Error>::custom(why)));
    }
    Ok(Some(record))
}

/// Replaces a file: afterwards it is the old one or the new one, whole, and the new one when this returns.
pub(crate) fn write(path: &Path, text: &[u8]) -> Result<(), OsError> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    if !dir.exists() {
        fs::create_dir_all(dir).map_err(OsError::file("create", dir))?;
        dir.parent().map_or(Ok(()), sync_dir)?;
    }
    let new = path.with_extension("new");
    let mut file = File::create(&new).map_err(OsError::file("create", &new))?;
    file.write_all(text).and_then(|()| file.sync_all()).map_err(OsError::file("write", &new))?;
    fs::rename(&new, path).map_err(OsError::file("replace", path))?;
    sync_dir(dir)
}

pub(crate) fn sync_dir(dir: &Path) -> Result<(), OsError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(OsError::file("sync", dir))
}
