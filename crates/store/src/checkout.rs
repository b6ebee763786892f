//! Checkouts: a directory tree whose files are hard links to objects.
//!
//! A checkout is built beside its place and renamed when it is complete and durable, so whatever stands at the place
//! is complete. Every step names one file in an open directory and follows no symbolic link, so nothing in the tree
//! or put there by somebody else can lead it elsewhere. Nobody may ever write to a checkout: its files are the
//! objects. Device nodes are left out: a container gets its devices from the runtime, and a node in a file tree would
//! open the host's device to whoever can read the tree.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::TreeId;
use super::error::{StoreError, printable};
use super::manifest::{Kind, Reader, Record};
use super::object::{EPOCH, Meta, ObjectId, open_folder};
use super::session::{Layout, sync_folder};
use super::tree::Leaf;

/// Makes `dest` from the manifest of `image`.
pub(super) fn checkout(layout: &Layout, image: &TreeId, dest: &Path) -> Result<(), StoreError> {
    let invalid = || StoreError::io::<Errno>("check out to", dest)(Errno::INVAL);
    let parent = dest.parent().filter(|_| dest.file_name().is_some()).ok_or_else(invalid)?;
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    match std::fs::symlink_metadata(dest) {
        // Complete, as it has its name; the rename may not have been synced.
        Ok(meta) if meta.is_dir() => return sync_folder(parent),
        Ok(_) => return Err(StoreError::io::<Errno>("check out to", dest)(Errno::EXIST)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(StoreError::io("examine", dest)(error)),
    }
    let reader = Reader::open(layout.trees().join(image.as_str()))?;
    let reader = reader.ok_or_else(|| StoreError::NotImported(image.clone()))?;
    let temporary = temporary(dest);
    remove(&temporary)?;
    let result = build(layout, image, reader, &temporary).and_then(|folder| {
        // One sync for all links: without it a power cut could leave the name with half of them.
        rustix::fs::syncfs(&folder).map_err(StoreError::io("sync", &temporary))?;
        std::fs::rename(&temporary, dest).map_err(StoreError::io("rename", &temporary))?;
        sync_folder(parent)
    });
    if result.is_err() {
        // The error at hand is the one to report; the next checkout to this place removes what is left.
        let _ = remove(&temporary);
    }
    result
}

/// Where the checkout to `dest` is built: `.NAME.partial` beside it.
pub(super) fn temporary(dest: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(dest.file_name().unwrap_or_default());
    name.push(".partial");
    dest.with_file_name(name)
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::io("delete", path)(error))
        }
        _ => Ok(()),
    }
}

/// A directory that is being filled. Its metadata is set when it is complete, so that none of it, such as a
/// set-group-id bit, acts on what is made in it.
struct Open {
    folder: OwnedFd,
    meta: Meta,
}

fn build(layout: &Layout, image: &TreeId, mut reader: Reader, place: &Path) -> Result<OwnedFd, StoreError> {
    let objects = open_folder(&layout.objects())?;
    let mut open: Vec<Open> = Vec::new();
    while let Some(record) = reader.next()? {
        while open.len() > usize::from(record.depth) {
            close(&mut open, place)?;
        }
        match (&record.kind, open.last()) {
            (Kind::Directory { .. }, None) => {
                rustix::fs::mkdir(place, Mode::RWXU).map_err(StoreError::io("create", place))?;
                open.push(Open { folder: open_folder(place)?, meta: record.meta });
            }
            (Kind::Directory { .. }, Some(parent)) => {
                let folder = make_directory(&parent.folder, &record.name)
                    .map_err(StoreError::io("create a directory in", place))?;
                open.push(Open { folder, meta: record.meta });
            }
            (Kind::Leaf(leaf), Some(parent)) => {
                let made = make_leaf(&objects, &parent.folder, &record, leaf);
                made.map_err(|error| explain(error, image, &record, place))?;
            }
            // The reader gives the root first, and the root is a directory.
            (Kind::Leaf(_), None) => {}
        }
    }
    while open.len() > 1 {
        close(&mut open, place)?;
    }
    let missing = || StoreError::Manifest { path: place.to_path_buf(), problem: "it holds no tree" };
    let root = open.pop().ok_or_else(missing)?;
    root.meta.apply(&root.folder).map_err(StoreError::io("set the metadata of", place))?;
    Ok(root.folder)
}

fn explain(error: Errno, image: &TreeId, record: &Record, place: &Path) -> StoreError {
    if error == Errno::NOENT {
        return StoreError::MissingObject { image: image.clone(), entry: printable(&record.name) };
    }
    StoreError::io("create a file in", place)(error)
}

fn close(open: &mut Vec<Open>, place: &Path) -> Result<(), StoreError> {
    match open.pop() {
        Some(done) => {
            done.meta.apply(&done.folder).map_err(StoreError::io("set the metadata of a directory in", place))
        }
        None => Ok(()),
    }
}

fn make_directory(parent: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    rustix::fs::mkdirat(parent, name, Mode::RWXU)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

fn make_leaf(objects: &OwnedFd, parent: &OwnedFd, record: &Record, leaf: &Leaf) -> Result<(), Errno> {
    let name: &[u8] = &record.name;
    match leaf {
        Leaf::File { object, .. } => {
            match rustix::fs::linkat(objects, object.path(), parent, name, AtFlags::empty()) {
                // One file can have 65,000 names on ext4, and every empty file with the same mode is the same object.
                Err(Errno::MLINK) => copy(objects, object, parent, name, &record.meta),
                result => result,
            }
        }
        Leaf::Symlink(target) => {
            rustix::fs::symlinkat(target.as_ref(), parent, name)?;
            own(parent, name, &record.meta)
        }
        Leaf::Fifo => {
            rustix::fs::mknodat(parent, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
            own(parent, name, &record.meta)?;
            rustix::fs::chmodat(parent, name, Mode::from_raw_mode(record.meta.mode.into()), AtFlags::empty())
        }
        Leaf::Device { .. } | Leaf::Link(_) | Leaf::Whiteout => Ok(()),
    }
}

fn own(parent: &OwnedFd, name: &[u8], meta: &Meta) -> Result<(), Errno> {
    let (user, group) = (Uid::from_raw(meta.uid), Gid::from_raw(meta.gid));
    rustix::fs::chownat(parent, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
    rustix::fs::utimensat(parent, name, &EPOCH, AtFlags::SYMLINK_NOFOLLOW)
}

fn copy(objects: &OwnedFd, id: &ObjectId, parent: &OwnedFd, name: &[u8], meta: &Meta) -> Result<(), Errno> {
    let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let from = rustix::fs::openat(objects, id.path(), read, Mode::empty())?;
    let write = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let to = rustix::fs::openat(parent, name, write, Mode::RUSR | Mode::WUSR)?;
    let mut to_file = std::fs::File::from(to);
    let copied = std::io::copy(&mut std::fs::File::from(from), &mut to_file);
    copied.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    meta.apply(to_file.as_fd())
}
