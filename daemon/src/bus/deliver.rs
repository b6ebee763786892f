//! Delivery: a package that a client hands over as a file is copied into the spool, durably, before it is known.
//!
//! Nothing here looks into the package: it is verified by a worker when it is installed.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use scomo_dbus::{Error, path::escape};

/// What a spooled package's name ends with; the workers recognise an archive by it.
const SUFFIX: &str = ".scomo";
/// What the name of a copy under way ends with.
const PARTIAL: &str = ".partial";
/// Bytes of the PkgID that a file name repeats, for people; uniqueness comes from the time.
const NAME_BYTES_MAX: usize = 100;

/// The folder of delivered packages.
#[derive(Debug, Clone)]
pub struct Spool {
    folder: PathBuf,
    bytes_max: u64,
}

impl Spool {
    /// The spool in `state_dir`; it is made when it is not there. Copies that a crash interrupted are deleted.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn open(state_dir: &Path, bytes_max: u64) -> io::Result<Self> {
        let folder = state_dir.join("spool");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().ends_with(PARTIAL) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self { folder, bytes_max })
    }

    /// Copies a package and returns its source. Blocks. When it returns `Ok` the copy survives a power cut.
    ///
    /// # Errors
    /// Says what is wrong with the file, or that the disk is full. Nothing is left behind.
    pub fn take(&self, pkg_id: &str, data: OwnedFd) -> Result<String, Error> {
        let data = File::from(data);
        let meta =
            data.metadata().map_err(|e| Error::InvalidArgument(format!("cannot look at the file: {e}")))?;
        if !meta.is_file() {
            // A pipe could stall for ever and its length is not known before it is read.
            return Err(Error::InvalidArgument(
                "'data' must be a regular file or a memfd, not a pipe".to_owned(),
            ));
        }
        if meta.len() > self.bytes_max {
            return Err(self.too_long());
        }
        let stem: String = escape(pkg_id).chars().take(NAME_BYTES_MAX).collect();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let last = self.folder.join(format!("{stem}-{since}{SUFFIX}"));
        let partial = self.folder.join(format!("{stem}-{since}{PARTIAL}"));
        let copied = self.copy(data, &partial).and_then(|()| self.publish(&partial, &last));
        if copied.is_err() {
            let _ = fs::remove_file(&partial);
        }
        copied?;
        let path =
            last.to_str().ok_or_else(|| Error::Failed("the state folder's path is not UTF-8".to_owned()))?;
        Ok(format!("file:{path}"))
    }

    fn too_long(&self) -> Error {
        let limit = self.bytes_max;
        Error::TooLong(format!(
            "the package is longer than {limit} bytes ('deliver_bytes_max' in the configuration)"
        ))
    }

    fn copy(&self, data: File, partial: &Path) -> Result<(), Error> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(partial)
            .map_err(|e| failed("make a file in the spool", &e))?;
        // The file may grow while it is read: one byte more than allowed tells.
        let mut limited = data.take(self.bytes_max.saturating_add(1));
        let bytes = io::copy(&mut limited, &mut file).map_err(|e| failed("copy the package", &e))?;
        if bytes > self.bytes_max {
            return Err(self.too_long());
        }
        if bytes == 0 {
            return Err(Error::InvalidArgument(
                "the file is empty, or was read to its end already".to_owned(),
            ));
        }
        file.flush().and_then(|()| file.sync_all()).map_err(|e| failed("store the package", &e))
    }

    fn publish(&self, partial: &Path, last: &Path) -> Result<(), Error> {
        let renamed = fs::rename(partial, last).and_then(|()| File::open(&self.folder)?.sync_all());
        renamed.map_err(|e| failed("store the package", &e))
    }

    /// Deletes a package that was taken but is not wanted after all.
    pub fn drop(&self, source: &str) {
        let path = source.strip_prefix("file:").map(Path::new);
        if let Some(path) = path.filter(|path| path.parent() == Some(&self.folder))
            && let Err(error) = fs::remove_file(path)
        {
            tracing::warn!("cannot delete the spooled package {}: {error}", path.display());
        }
    }

    /// Deletes every package whose source is not in `wanted`. Blocks.
    pub fn sweep(&self, wanted: &BTreeSet<String>) {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) => {
                tracing::warn!("cannot read the spool {}: {error}", self.folder.display());
                return;
            }
        };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            let source = path.to_str().map(|path| format!("file:{path}"));
            if source.is_some_and(|source| source.ends_with(SUFFIX) && !wanted.contains(&source)) {
                tracing::info!("deleting the package {}, which nothing refers to", path.display());
                if let Err(error) = fs::remove_file(&path) {
                    tracing::warn!("cannot delete {}: {error}", path.display());
                }
            }
        }
    }
}

fn failed(what: &str, error: &io::Error) -> Error {
    if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        return Error::NoSpace(format!("cannot {what}: the disk is full; 'scomoctl gc' may help"));
    }
    Error::Failed(format!("cannot {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Seek as _;

    fn spool(bytes_max: u64) -> (tempfile::TempDir, Spool) {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), bytes_max).unwrap();
        (folder, spool)
    }

    fn data(bytes: &[u8]) -> OwnedFd {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        file.into()
    }

    fn files(spool: &Spool) -> usize {
        fs::read_dir(&spool.folder).unwrap().count()
    }

    #[test]
    fn a_package_is_copied_whole_under_a_name_of_its_own() {
        let (_folder, spool) = spool(100);
        let id = format!("../{}", "é".repeat(120));
        let source = spool.take(&id, data(b"package")).unwrap();
        let path = source.strip_prefix("file:").unwrap();
        assert_eq!(Path::new(path).parent(), Some(spool.folder.as_path()));
        assert_eq!(fs::read(path).unwrap(), b"package");
        assert_ne!(spool.take(&id, data(b"package")).unwrap(), source);
    }

    #[test]
    fn what_cannot_be_taken_leaves_nothing_behind() {
        let (_folder, spool) = spool(4);
        let (pipe, _writer) = nix::unistd::pipe().unwrap();
        assert!(matches!(spool.take("p", data(b"12345")), Err(Error::TooLong(_))));
        assert!(matches!(spool.take("p", data(b"")), Err(Error::InvalidArgument(_))));
        assert!(matches!(spool.take("p", pipe), Err(Error::InvalidArgument(_))));
        let null = File::open("/dev/null").unwrap();
        assert!(matches!(spool.take("p", null.into()), Err(Error::InvalidArgument(_))));
        assert_eq!(files(&spool), 0);
    }

    #[test]
    fn interrupted_copies_and_unwanted_packages_go() {
        let (folder, spool) = spool(100);
        let kept = spool.take("kept", data(b"1")).unwrap();
        spool.take("unwanted", data(b"2")).unwrap();
        fs::write(spool.folder.join("x.partial"), "half").unwrap();
        let spool = Spool::open(folder.path(), 100).unwrap();
        assert_eq!(files(&spool), 2);
        spool.sweep(&BTreeSet::from([kept.clone()]));
        assert_eq!(files(&spool), 1);
        spool.drop("file:/etc/passwd.scomo");
        spool.drop(&kept);
        assert_eq!(files(&spool), 0);
    }
}
