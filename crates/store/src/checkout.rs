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
use super::object::{EPOCH, Meta, ObjectId, open_folder};
use super::session::{Layout, sync_folder};
use super::tree::{Body, Leaf, Node};

/// Makes `dest` from the layers of `image`.
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
    let tree = layout.tree(image)?.ok_or_else(|| StoreError::NotImported(image.clone()))?;
    let temporary = temporary(dest);
    remove(&temporary)?;
    let result = build(layout, image, &tree, &temporary).and_then(|folder| {
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

fn build(layout: &Layout, image: &TreeId, tree: &Node, place: &Path) -> Result<OwnedFd, StoreError> {
    let build = Build { objects: open_folder(&layout.objects())?, image, place };
    rustix::fs::mkdir(place, Mode::RWXU).map_err(StoreError::io("create", place))?;
    let folder = open_folder(place)?;
    build.fill(&folder, tree)?;
    Ok(folder)
}

struct Build<'a> {
    objects: OwnedFd,
    image: &'a TreeId,
    place: &'a Path,
}

impl Build<'_> {
    /// Makes what is in a directory. Its metadata is set when it is complete, so that none of it, such as a
    /// set-group-id bit, acts on what is made in it.
    fn fill(&self, folder: &OwnedFd, node: &Node) -> Result<(), StoreError> {
        let Body::Directory(directory) = &node.body else { return Ok(()) };
        for (name, child) in &directory.children {
            match &child.body {
                Body::Directory(_) => {
                    let below = make_directory(folder, name)
                        .map_err(StoreError::io("create a directory in", self.place))?;
                    self.fill(&below, child)?;
                }
                Body::Leaf(leaf) => make_leaf(&self.objects, folder, name, &child.meta, leaf)
                    .map_err(|error| self.explain(error, name))?,
            }
        }
        node.meta.apply(folder).map_err(StoreError::io("set the metadata of a directory in", self.place))
    }

    fn explain(&self, error: Errno, name: &[u8]) -> StoreError {
        if error == Errno::NOENT {
            return StoreError::MissingObject { image: self.image.clone(), entry: printable(name) };
        }
        StoreError::io("create a file in", self.place)(error)
    }
}

fn make_directory(parent: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    rustix::fs::mkdirat(parent, name, Mode::RWXU)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

fn make_leaf(
    objects: &OwnedFd,
    parent: &OwnedFd,
    name: &[u8],
    meta: &Meta,
    leaf: &Leaf,
) -> Result<(), Errno> {
    match leaf {
        Leaf::File { object, .. } => {
            match rustix::fs::linkat(objects, object.path(), parent, name, AtFlags::empty()) {
                // One file can have 65,000 names on ext4, and every empty file with the same mode is the same object.
                Err(Errno::MLINK) => copy(objects, object, parent, name, meta),
                result => result,
            }
        }
        Leaf::Symlink(target) => {
            rustix::fs::symlinkat(target.as_ref(), parent, name)?;
            own(parent, name, meta)
        }
        Leaf::Fifo => {
            rustix::fs::mknodat(parent, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
            own(parent, name, meta)?;
            rustix::fs::chmodat(parent, name, Mode::from_raw_mode(meta.mode.into()), AtFlags::empty())
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
