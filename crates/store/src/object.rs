//! Objects: regular files named by the digest of their content and of the metadata that a hard link shares.
//!
//! The name covers mode, owner, group, extended attributes, size and content. It does not cover the modification
//! time, which is 0 on every object: a rebuilt image with the same content shares all its objects with the old one.
//! Nothing here syncs; [`super::session`] says when an object may be trusted.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::StoreError;
use super::limits::BUFFER_BYTES;
use super::names::hex;

/// Separates these digests from all others and from those of later formats.
const DOMAIN: &[u8] = b"scomo object 1\0";
/// Granularity at which zeros become holes: the block size of nearly every file system.
const HOLE_BYTES: usize = 4096;
/// Most objects that an incoming large file is compared with at its start.
const CANDIDATES_MAX: usize = 8;
/// Name of the temporary file for large objects. One is enough: one thread writes, under the lock.
const TEMPORARY: &str = "object";

/// Name of an object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectId(pub(super) [u8; 32]);

impl ObjectId {
    /// Path below `objects/`: two hexadecimal digits, a slash, the other 62.
    #[must_use]
    pub fn path(&self) -> String {
        let mut text = hex(&self.0);
        text.insert(2, '/');
        text
    }

    /// Reads what [`Self::path`] wrote.
    pub(super) fn from_parts(folder: &[u8], file: &[u8]) -> Option<Self> {
        if folder.len() != 2 || file.len() != 62 {
            return None;
        }
        let mut digits = folder.iter().chain(file).map(|b| match b {
            b'0'..=b'9' => Some(b - b'0'),
            b'a'..=b'f' => Some(b - b'a' + 10),
            _ => None,
        });
        let mut id = [0; 32];
        for byte in &mut id {
            *byte = digits.next()?? << 4 | digits.next()??;
        }
        Some(Self(id))
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Extended attributes, sorted by name, each name once.
pub(super) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// Metadata of one entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    /// Permission bits with set-user-id, set-group-id and sticky; no file type.
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    /// Seconds since the epoch. Kept for a later format that can show it; objects and checkouts have 0.
    pub mtime: i64,
    pub xattrs: Xattrs,
}

impl Meta {
    /// What a directory gets that no layer describes.
    pub fn implicit_directory() -> Self {
        Self { mode: 0o755, uid: 0, gid: 0, mtime: 0, xattrs: Vec::new() }
    }

    /// Sets everything but the time on an open file. Order matters: a change of owner clears the set-user-id bit and
    /// the capabilities.
    pub fn apply(&self, file: impl AsFd) -> Result<(), Errno> {
        rustix::fs::fchown(&file, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(self.mode.into()))?;
        for (name, value) in &self.xattrs {
            rustix::fs::fsetxattr(&file, name.as_slice(), value, XattrFlags::empty())?;
        }
        rustix::fs::futimens(&file, &EPOCH)
    }
}

/// Both times at the epoch.
pub(super) const EPOCH: Timestamps = Timestamps {
    last_access: Timespec { tv_sec: 0, tv_nsec: 0 },
    last_modification: Timespec { tv_sec: 0, tv_nsec: 0 },
};

/// The name of an object.
pub(super) fn name(meta: &Meta, size: u64, content: [u8; 32]) -> ObjectId {
    let mut hash = Sha256::new();
    hash.update(DOMAIN);
    hash.update(meta.mode.to_le_bytes());
    hash.update(meta.uid.to_le_bytes());
    hash.update(meta.gid.to_le_bytes());
    hash.update(size.to_le_bytes());
    hash.update(content);
    for (name, value) in &meta.xattrs {
        for part in [name, value] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    ObjectId(hash.finalize().into())
}

/// The folder of objects, open.
#[derive(Debug)]
pub(super) struct Objects {
    /// Large objects by size. A file of the same size is compared with them while it comes in, and is written only
    /// from the first difference on: a rebuilt image brings the same large files again and again.
    pub large: BTreeMap<u64, Vec<ObjectId>>,
    path: PathBuf,
    folder: OwnedFd,
    temporaries: OwnedFd,
}

/// An object and whether it was written just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Put {
    pub id: ObjectId,
    pub size: u64,
    pub new: bool,
}

/// What is wrong with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// It is not there.
    Missing,
    /// Content or metadata are not what the name says.
    Changed,
}

impl Objects {
    pub fn open(path: PathBuf, temporaries: &Path) -> Result<Self, StoreError> {
        let folder = open_folder(&path)?;
        Ok(Self { large: BTreeMap::new(), path, folder, temporaries: open_folder(temporaries)? })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Stores a file that is in memory.
    pub fn put(&self, meta: &Meta, data: &[u8]) -> Result<Put, StoreError> {
        let size = data.len() as u64;
        let id = name(meta, size, Sha256::digest(data).into());
        let path = id.path();
        let file = match self.create(&path) {
            Err(Errno::EXIST) => return Ok(Put { id, size, new: false }),
            result => result.map_err(StoreError::io("create", &self.path.join(&path)))?,
        };
        let written = write_all(&file, data, 0).and_then(|()| meta.apply(&file));
        if let Err(error) = written {
            // A leftover would be found by the next session anyway; this frees the space now.
            let _ = rustix::fs::unlinkat(&self.folder, &path, AtFlags::empty());
            return Err(StoreError::io("write", &self.path.join(&path))(error));
        }
        Ok(Put { id, size, new: true })
    }

    fn create(&self, path: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || rustix::fs::openat(&self.folder, path, flags, Mode::RUSR | Mode::WUSR);
        match open() {
            Err(Errno::NOENT) => {
                self.make_folder(path)?;
                open()
            }
            result => result,
        }
    }

    fn make_folder(&self, path: &str) -> Result<(), Errno> {
        let (folder, _) = path.split_once('/').unwrap_or((path, ""));
        match rustix::fs::mkdirat(&self.folder, folder, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Starts a file that is too large for memory and will have `size` bytes.
    pub fn start(&self, size: u64) -> Result<Large<'_>, StoreError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut same = Vec::new();
        for id in self.large.get(&size).into_iter().flatten().take(CANDIDATES_MAX) {
            match rustix::fs::openat(&self.folder, id.path(), flags, Mode::empty()) {
                Ok(file) => same.push(File::from(file)),
                Err(Errno::NOENT) => {}
                Err(error) => return Err(StoreError::io("open", &self.path.join(id.path()))(error)),
            }
        }
        Ok(Large { objects: self, same, copy: None, hash: Sha256::new(), size: 0, buffer: Vec::new() })
    }

    /// Compares an object with its name. `buffer` is scratch space.
    pub fn check(&self, id: &ObjectId, buffer: &mut Vec<u8>) -> Result<Option<Damage>, StoreError> {
        let path = id.path();
        let full = self.path.join(&path);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match rustix::fs::openat(&self.folder, &path, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(Some(Damage::Missing)),
            Err(Errno::LOOP) => return Ok(Some(Damage::Changed)),
            Err(error) => return Err(StoreError::io("open", &full)(error)),
        };
        let Some(meta) = read_meta(&file).map_err(StoreError::io("examine", &full))? else {
            return Ok(Some(Damage::Changed));
        };
        match digest(file, buffer) {
            Ok((size, content)) if name(&meta, size, content) == *id => Ok(None),
            Ok(_) => Ok(Some(Damage::Changed)),
            // A sector that cannot be read is damage of this object, not a reason to end the search.
            Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => Ok(Some(Damage::Changed)),
            Err(error) => Err(StoreError::io("read", &full)(error)),
        }
    }

    pub fn exists(&self, id: &ObjectId) -> Result<bool, StoreError> {
        let path = id.path();
        match rustix::fs::statat(&self.folder, &path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(StoreError::io("examine", &self.path.join(&path))(error)),
        }
    }

    pub fn remove(&self, id: &ObjectId) -> Result<(), StoreError> {
        let path = id.path();
        match rustix::fs::unlinkat(&self.folder, &path, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(StoreError::io("delete", &self.path.join(&path))(error)),
        }
    }
}

/// A large file that comes in. Nothing is written while it is the same as an object that is there.
#[derive(Debug)]
pub(super) struct Large<'a> {
    objects: &'a Objects,
    /// Objects that begin with all that came so far.
    same: Vec<File>,
    /// The temporary file, from the first difference on.
    copy: Option<OwnedFd>,
    hash: Sha256,
    size: u64,
    buffer: Vec<u8>,
}

impl Large<'_> {
    /// Appends. Blocks of zeros become holes where `data` lies on block boundaries.
    pub fn write(&mut self, data: &[u8]) -> Result<(), StoreError> {
        let context = StoreError::io::<io::Error>("write an object in", &self.objects.path);
        self.append(data).map_err(context)
    }

    fn append(&mut self, data: &[u8]) -> io::Result<()> {
        self.hash.update(data);
        let offset = self.size;
        self.size += data.len() as u64;
        let copy = match &self.copy {
            Some(copy) => copy,
            None => {
                self.buffer.resize(data.len(), 0);
                let buffer = &mut self.buffer;
                let is_same =
                    |file: &File| file.read_exact_at(buffer, offset).is_ok() && buffer.as_slice() == data;
                if let Some(position) = self.same.iter().position(is_same) {
                    // One is enough: objects of the same size with the same beginning are rare.
                    self.same.swap(0, position);
                    self.same.truncate(1);
                    return Ok(());
                }
                let copy = self.begin_copy(offset)?;
                self.copy.insert(copy)
            }
        };
        write_sparse(copy, data, offset)
    }

    /// Makes the temporary file, with the first `length` bytes of what was the same so far.
    fn begin_copy(&mut self, length: u64) -> io::Result<OwnedFd> {
        let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let copy = rustix::fs::openat(&self.objects.temporaries, TEMPORARY, flags, Mode::RUSR | Mode::WUSR)?;
        let mut done = 0;
        while let Some(file) = self.same.first().filter(|_| done < length) {
            let part = usize::try_from(length - done).unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES);
            self.buffer.resize(part, 0);
            file.read_exact_at(&mut self.buffer, done)?;
            write_sparse(&copy, &self.buffer, done)?;
            done += part as u64;
        }
        self.same.clear();
        Ok(copy)
    }

    /// Gives the object its name, or deletes the temporary file when the object is there already.
    pub fn finish(mut self, meta: &Meta) -> Result<Put, StoreError> {
        let id = name(meta, self.size, self.hash.finalize_reset().into());
        let path = id.path();
        let new = self.place(&path, meta).map_err(StoreError::io("store", &self.objects.path.join(&path)))?;
        Ok(Put { id, size: self.size, new })
    }

    fn place(&mut self, path: &str, meta: &Meta) -> io::Result<bool> {
        let objects = self.objects;
        if rustix::fs::accessat(&objects.folder, path, rustix::fs::Access::EXISTS, AtFlags::empty()).is_ok() {
            if self.copy.is_some() {
                rustix::fs::unlinkat(&objects.temporaries, TEMPORARY, AtFlags::empty())?;
            }
            return Ok(false);
        }
        let copy = match self.copy.take() {
            Some(copy) => copy,
            // The same content with other metadata.
            None => self.begin_copy(self.size)?,
        };
        rustix::fs::ftruncate(&copy, self.size)?;
        meta.apply(&copy)?;
        objects.make_folder(path)?;
        rustix::fs::renameat(&objects.temporaries, TEMPORARY, &objects.folder, path)?;
        Ok(true)
    }
}

/// Writes what is not zero.
fn write_sparse(file: &OwnedFd, data: &[u8], mut offset: u64) -> io::Result<()> {
    let mut rest = data;
    while !rest.is_empty() {
        let zero = is_zero(rest.get(..HOLE_BYTES).unwrap_or(rest));
        let run = rest.chunks(HOLE_BYTES).take_while(|block| is_zero(block) == zero).map(<[u8]>::len).sum();
        let (now, later) = rest.split_at(run);
        if !zero {
            write_all(file, now, offset)?;
        }
        offset += run as u64;
        rest = later;
    }
    Ok(())
}

fn is_zero(block: &[u8]) -> bool {
    block.iter().all(|byte| *byte == 0)
}

fn write_all(file: &OwnedFd, mut data: &[u8], mut offset: u64) -> Result<(), Errno> {
    while !data.is_empty() {
        match rustix::io::pwrite(file, data, offset) {
            Ok(written) => {
                offset += written as u64;
                data = data.get(written..).unwrap_or_default();
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn digest(mut file: File, buffer: &mut Vec<u8>) -> io::Result<(u64, [u8; 32])> {
    buffer.resize(BUFFER_BYTES, 0);
    let mut hash = Sha256::new();
    let mut size = 0;
    loop {
        match file.read(buffer) {
            Ok(0) => return Ok((size, hash.finalize().into())),
            Ok(n) => {
                hash.update(buffer.get(..n).unwrap_or_default());
                size += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Metadata of a regular file; `None` for any other kind.
fn read_meta(file: &File) -> Result<Option<Meta>, Errno> {
    let stat = rustix::fs::fstat(file)?;
    if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::RegularFile {
        return Ok(None);
    }
    let mode = u16::try_from(stat.st_mode & 0o7777).unwrap_or_default();
    let mut xattrs = Vec::new();
    let mut names = vec![0; rustix::fs::flistxattr_query(file)?];
    let length = rustix::fs::flistxattr(file, names.as_mut_slice())?;
    names.truncate(length);
    for name in names.split(|b| *b == 0).filter(|name| is_kept(name)) {
        let mut value = vec![0; rustix::fs::fgetxattr_query(file, name)?];
        let length = rustix::fs::fgetxattr(file, name, value.as_mut_slice())?;
        value.truncate(length);
        xattrs.push((name.to_vec(), value));
    }
    xattrs.sort();
    Ok(Some(Meta { mode, uid: stat.st_uid, gid: stat.st_gid, mtime: 0, xattrs }))
}

/// Whether an attribute belongs to the content of an image.
///
/// Labels (`security.selinux`, `security.ima`), `trusted.` and what overlayfs keeps for itself belong to the host: an
/// image that could set them could redirect or hide files of the overlay that is mounted over a checkout.
pub(super) fn is_kept(name: &[u8]) -> bool {
    name == CAPABILITY
        || (name.starts_with(b"user.") && name.len() > 5 && !name.starts_with(b"user.overlay."))
}

/// The attribute that holds file capabilities.
pub(super) const CAPABILITY: &[u8] = b"security.capability";

/// Opens a folder of the store.
pub(super) fn open_folder(path: &Path) -> Result<OwnedFd, StoreError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(StoreError::io("open", path))
}
