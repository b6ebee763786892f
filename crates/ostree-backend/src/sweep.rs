//! Leftovers of killed pulls in a repository, which libostree keeps for a day or for ever.

use std::fs::{self, File};
use std::path::Path;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use ostree::gio;

use crate::error::OsError;

/// Prefix of the folders of transactions that are open, or were when their process died.
const TRANSACTION: &str = "staging-";
const LOCK: &str = "-lock";
/// Suffix of the files that mark commits of which something is missing.
const PARTIAL: &str = ".commitpartial";

/// Deletes what pulls that were killed left in the repository at `path`. Transactions that another process has open
/// are left alone.
pub(crate) fn unfinished_pulls(path: &Path, repo: &ostree::Repo) -> Result<(), OsError> {
    let tmp = path.join("tmp");
    for name in names(&tmp)?.iter().filter(|name| name.starts_with(TRANSACTION) && !name.ends_with(LOCK)) {
        let lock = tmp.join(format!("{name}{LOCK}"));
        let Some(_held) = hold(&lock)? else { continue };
        let dir = tmp.join(name);
        fs::remove_dir_all(&dir).map_err(OsError::file("delete", &dir))?;
        fs::remove_file(&lock).map_err(OsError::file("delete", &lock))?;
    }
    let state = path.join("state");
    for name in names(&state)? {
        let Some(commit) = name.strip_suffix(PARTIAL) else { continue };
        let there = repo
            .has_object(ostree::ObjectType::Commit, commit, gio::Cancellable::NONE)
            .map_err(OsError::libostree(format!("look for {commit}")))?;
        if !there {
            let file = state.join(&name);
            fs::remove_file(&file).map_err(OsError::file("delete", &file))?;
        }
    }
    Ok(())
}

fn names(dir: &Path) -> Result<Vec<String>, OsError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(OsError::file("read the folder", dir)(e)),
    };
    Ok(entries.filter_map(Result::ok).filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

/// Takes the lock of a transaction as libostree does; `None`: somebody has it.
fn hold(path: &Path) -> Result<Option<File>, OsError> {
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(OsError::file("open", path))?;
    let kind = |kind: libc::c_int| libc::c_short::try_from(kind).unwrap_or_default();
    let lock = libc::flock {
        l_type: kind(libc::F_WRLCK),
        l_whence: kind(libc::SEEK_SET),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    match fcntl(&file, FcntlArg::F_OFD_SETLK(&lock)) {
        Ok(_) => Ok(Some(file)),
        Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EACCES) => Ok(None),
        Err(e) => Err(OsError::file("lock", path)(e.into())),
    }
}
