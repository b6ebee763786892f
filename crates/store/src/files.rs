//! Small files that a backend keeps beside its store: written whole or not at all, read with a limit.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use scomo_core::failure::FailureKind;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest file of our own that is read. An image config has at most 4 MiB, a release a few KiB of texts.
pub const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// A failed operation on such a file or its folder.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file does not hold what was written there.
    #[error("{} is damaged; remove the component and install it again", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
}

impl FileError {
    /// The kind that the state machine decides on.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Io { source, .. } if is_full(source) => FailureKind::NoSpace,
            Self::Io { .. } | Self::Damaged { .. } => FailureKind::Broken,
        }
    }
}

/// Adds what was tried, and on what, to a failed system call.
pub trait Context<T> {
    /// `action` is a verb.
    fn context(self, action: &'static str, path: &Path) -> Result<T, FileError>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, FileError> {
        self.map_err(|e| FileError::Io { action, path: path.to_owned(), source: e.into() })
    }
}

/// How much it takes for a file to count as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It survives a power cut.
    Durable,
    /// It is gone after a reboot anyway.
    Volatile,
}

/// Replaces `path`: readers see the old content or the new one.
pub fn write(path: &Path, content: &[u8], durability: Durability) -> Result<(), FileError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // One name for each process: a worker that was killed leaves at most one, which is overwritten or collected.
    let temporary = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(content)?;
            if durability == Durability::Durable { file.sync_all() } else { Ok(()) }
        })
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.context("write", path)?;
    match path.parent() {
        Some(folder) if durability == Durability::Durable => sync_folder(folder),
        _ => Ok(()),
    }
}

/// [`write()`] of a value as JSON.
pub fn write_json(path: &Path, value: &impl Serialize, durability: Durability) -> Result<(), FileError> {
    let damaged = |source| FileError::Damaged { path: path.to_owned(), source };
    write(path, &serde_json::to_vec_pretty(value).map_err(damaged)?, durability)
}

/// Makes renames and new names in a folder durable.
pub fn sync_folder(folder: &Path) -> Result<(), FileError> {
    File::open(folder).and_then(|folder| folder.sync_all()).context("sync", folder)
}

/// The content of a file of at most [`FILE_BYTES_MAX`]; `None`: it is not there.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    let mut content = Vec::new();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(error).context("open", path),
    };
    let length = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content).context("read", path)?;
    if u64::try_from(length).is_ok_and(|length| length > FILE_BYTES_MAX) {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge)).context("read", path);
    }
    Ok(Some(content))
}

/// A value from a JSON file of our own; `None`: it is not there.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FileError> {
    let damaged = |source| FileError::Damaged { path: path.to_owned(), source };
    read(path)?.map(|content| serde_json::from_slice(&content).map_err(damaged)).transpose()
}

/// Creates a folder for root only, with its parents.
pub fn create_private(folder: &Path) -> Result<(), FileError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).context("create", folder)
}

/// Removes a folder with all in it; it need not be there. Symbolic links are removed, not followed.
pub fn remove_tree(folder: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(folder) {
        Err(error) if !is_missing(&error) => Err(error).context("remove", folder),
        _ => Ok(()),
    }
}

/// Removes a file; it need not be there.
pub fn remove_file(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if !is_missing(&error) => Err(error).context("remove", path),
        _ => Ok(()),
    }
}

/// Removes every folder in `folder` that is not in `keep`, and hidden leftovers in those that are. Each is renamed
/// before it is emptied: after a power cut half a folder must not look like a whole one.
pub fn retain(folder: &Path, keep: &BTreeSet<&str>) -> Result<(), FileError> {
    let mut doomed = Vec::new();
    for name in names_in(folder)? {
        if keep.contains(name.as_str()) {
            remove_hidden(&folder.join(name))?;
            continue;
        }
        let (from, to) =
            (folder.join(&name), folder.join(format!(".gone-{}", name.trim_start_matches(".gone-"))));
        if from != to {
            remove_tree(&to)?;
            fs::rename(&from, &to).context("remove", &from)?;
        }
        doomed.push(to);
    }
    if !doomed.is_empty() {
        sync_folder(folder)?;
    }
    doomed.iter().try_for_each(|path| remove_tree(path))
}

/// What a killed writer left.
fn remove_hidden(folder: &Path) -> Result<(), FileError> {
    for name in names_in(folder)?.into_iter().filter(|name| name.starts_with('.')) {
        let path = folder.join(name);
        if path.is_dir() { remove_tree(&path)? } else { remove_file(&path)? }
    }
    Ok(())
}

/// The names in a folder that are UTF-8, as all of ours are; none when it is not there.
pub fn names_in(folder: &Path) -> Result<Vec<String>, FileError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if is_missing(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error).context("list", folder),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.context("list", folder)?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// Whether a call failed for lack of space.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("x.json");
        assert_eq!(read_json::<Vec<u8>>(&path).expect("missing"), None);
        write_json(&path, &[1, 2], Durability::Durable).expect("write");
        write_json(&path, &[3], Durability::Volatile).expect("write again");
        assert_eq!(read_json::<Vec<u8>>(&path).expect("read"), Some(vec![3]));
        assert_eq!(names_in(folder.path()).expect("list"), ["x.json"]);
        fs::write(&path, "{").expect("damage");
        assert!(matches!(read_json::<Vec<u8>>(&path), Err(FileError::Damaged { .. })));
    }

    #[test]
    fn what_is_not_kept_goes_and_so_do_leftovers() {
        let folder = tempfile::tempdir().expect("folder");
        for path in ["old/a", "new/b", "new/.b.partial/c", ".gone-older/d"] {
            fs::create_dir_all(folder.path().join(path)).expect("a folder");
        }
        fs::write(folder.path().join("new/.b.123"), "").expect("a leftover");
        retain(folder.path(), &BTreeSet::from(["new"])).expect("retain");
        assert_eq!(names_in(folder.path()).expect("list"), ["new"]);
        assert_eq!(names_in(&folder.path().join("new")).expect("list"), ["b"]);
        retain(&folder.path().join("nothing"), &BTreeSet::new()).expect("nothing to do");
    }

    #[test]
    fn what_is_too_long_is_not_read() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("x");
        File::create(&path).and_then(|f| f.set_len(FILE_BYTES_MAX + 1)).expect("a long file");
        assert!(matches!(read(&path), Err(FileError::Io { .. })));
    }
}
