//! Files of our own: written whole or not at all, read with a limit.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Context, Error};

/// Longest file of our own that is read. An image config has at most 4 MiB, a release a few KiB of texts.
pub(crate) const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// How much it takes for a file to count as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// It survives a power cut.
    Durable,
    /// It is gone after a reboot anyway.
    Volatile,
}

/// Replaces `path`: readers see the old content or the new one.
pub(crate) fn write(path: &Path, content: &[u8], durability: Durability) -> Result<(), Error> {
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

/// [`write`] of a value as JSON.
pub(crate) fn write_json(path: &Path, value: &impl Serialize, durability: Durability) -> Result<(), Error> {
    let damaged = |source| Error::Damaged { path: path.to_owned(), source };
    write(path, &serde_json::to_vec_pretty(value).map_err(damaged)?, durability)
}

/// Makes renames and new names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|folder| folder.sync_all()).context("sync", folder)
}

/// The content of a file of at most [`FILE_BYTES_MAX`]; `None`: it is not there.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
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
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let damaged = |source| Error::Damaged { path: path.to_owned(), source };
    read(path)?.map(|content| serde_json::from_slice(&content).map_err(damaged)).transpose()
}

/// Creates a folder for root only, with its parents.
pub(crate) fn create_private(folder: &Path) -> Result<(), Error> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).context("create", folder)
}

/// Removes a folder with all in it; it need not be there. Symbolic links are removed, not followed.
pub(crate) fn remove_tree(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if !is_missing(&error) => Err(error).context("remove", folder),
        _ => Ok(()),
    }
}

/// Removes a file; it need not be there.
pub(crate) fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if !is_missing(&error) => Err(error).context("remove", path),
        _ => Ok(()),
    }
}

/// Removes what was a mount point in another mount namespace or life: an empty file or folder.
pub(crate) fn remove_mount_point(path: &Path) -> Result<(), Error> {
    while nix::mount::umount2(path, nix::mount::MntFlags::MNT_DETACH).is_ok() {}
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir(path).context("remove", path),
        Ok(_) => fs::remove_file(path).context("remove", path),
        Err(_) => Ok(()),
    }
}

/// The names in a folder that are UTF-8, as all of ours are; none when it is not there.
pub(crate) fn names_in(folder: &Path) -> Result<Vec<String>, Error> {
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
        assert!(matches!(read_json::<Vec<u8>>(&path), Err(Error::Damaged { .. })));
    }

    #[test]
    fn what_is_too_long_is_not_read() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("x");
        File::create(&path).and_then(|f| f.set_len(FILE_BYTES_MAX + 1)).expect("a long file");
        assert!(matches!(read(&path), Err(Error::Io { .. })));
    }
}
