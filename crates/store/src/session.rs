//! Who may change the store, what may be trusted, and how a change becomes durable.
//!
//! # The commit protocol
//!
//! 1. Take the lock; a second writer gets [`StoreError::Busy`].
//! 2. Write the mark `unfinished`, fsync it and its folder.
//! 3. Write objects, unsynced, under their final names, and new manifests to temporary names.
//! 4. One `syncfs` makes all of it durable.
//! 5. Rename the manifests of layers to their names, fsync their folder; then the same with that of the image. From
//!    here on it exists.
//! 6. Delete the mark.
//!
//! # What may be trusted
//!
//! A manifest under its final name is whole, and so is every object that it names: both were synced before the rename.
//! An object that no manifest names may be torn or empty, but only if some session did not get past its `syncfs`,
//! and then the mark is still there: it was durable before the first object was made and is deleted only after
//! the sync. So a session that finds the mark first deletes every object that no manifest names ([`Session::begin`]).
//! Without the mark every object is whole, and one that exists is reused without a look into it.
//!
//! This costs two small fsyncs for an import and a walk over the store after a crash. The alternatives cost more on
//! every import: a second name for every object and a second sync, or hashing whatever is reused.
//!
//! Deletion runs the other way: images go first, then layers, and their folders are synced before the first object
//! goes, so no power cut brings back a manifest without what it names.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::error::StoreError;
use super::limits::SMALL_FILE_BYTES_MAX;
use super::manifest::{self, Header, Kind, Reader};
use super::names::hex;
use super::object::{ObjectId, Objects, open_folder};
use super::tree::{Leaf, Node};

const LOCK: &str = "lock";
const MARK: &str = "unfinished";

/// Where things are in a store.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub root: PathBuf,
    pub rights: Rights,
}

/// What becomes of the permissions that an image gives its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// They are kept: only a container sees the files.
    Kept,
    /// Nobody may write, and there are no set-id bits and no capabilities: for trees that every process of the host
    /// can reach. Owners are kept.
    ReadOnly,
}

impl Layout {
    pub fn objects(&self) -> PathBuf {
        self.root.join("objects")
    }

    pub fn trees(&self) -> PathBuf {
        self.root.join("trees")
    }

    pub fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    pub fn temporaries(&self) -> PathBuf {
        self.root.join("tmp")
    }

    pub fn layer(&self, diff_id: &[u8; 32]) -> PathBuf {
        self.layers().join(hex(diff_id))
    }
}

/// The right to change a store; ends when it is dropped.
#[derive(Debug)]
pub(super) struct Session {
    pub layout: Layout,
    pub objects: Objects,
    /// Opened before the first write: a later `syncfs` on it reports errors of writing back from here on.
    root: OwnedFd,
    _lock: Lock,
    /// Manifests that wait for the commit: temporary name and final path.
    pending: Vec<(PathBuf, PathBuf)>,
}

/// The lock file, locked.
#[derive(Debug)]
struct Lock(OwnedFd);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing alone would leave it locked while a process that was forked meanwhile has not yet run its program.
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

/// How much a sweep deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Manifests of images and layers.
    pub manifests: u64,
    /// Objects.
    pub objects: u64,
    /// Bytes on disk that the objects took, as far as no checkout holds them any more.
    pub bytes: u64,
}

impl Session {
    /// Locks the store and brings it into a state in which every object can be trusted. The mark stays or is put in
    /// place: objects may be written.
    pub fn begin(layout: &Layout) -> Result<Self, StoreError> {
        let session = Self::lock(layout)?;
        session.clear_temporaries()?;
        let mark = layout.root.join(MARK);
        if session.is_marked()? {
            let swept = session.sweep(&session.mark_all()?)?;
            tracing::info!(?swept, "cleaned up after an unfinished import");
            return Ok(session);
        }
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&session.root, MARK, flags, Mode::RUSR | Mode::WUSR)
            .map_err(StoreError::io("create", &mark))?;
        rustix::fs::fsync(&file).map_err(StoreError::io("sync", &mark))?;
        rustix::fs::fsync(&session.root).map_err(StoreError::io("sync", &layout.root))?;
        Ok(session)
    }

    /// Locks the store, nothing else.
    pub fn lock(layout: &Layout) -> Result<Self, StoreError> {
        let root = open_folder(&layout.root)?;
        let path = layout.root.join(LOCK);
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let lock = rustix::fs::openat(&root, LOCK, flags, Mode::RUSR | Mode::WUSR)
            .map_err(StoreError::io("open", &path))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(StoreError::Busy(layout.root.clone())),
            Err(error) => return Err(StoreError::io("lock", &path)(error)),
        }
        let objects = Objects::open(layout.objects(), &layout.temporaries())?;
        Ok(Self { layout: layout.clone(), objects, root, _lock: Lock(lock), pending: Vec::new() })
    }

    pub fn is_marked(&self) -> Result<bool, StoreError> {
        match rustix::fs::statat(&self.root, MARK, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(StoreError::io("examine", &self.layout.root.join(MARK))(error)),
        }
    }

    /// Writes a manifest that appears as `path` with the next commit.
    pub fn prepare(&mut self, path: PathBuf, header: &Header, tree: Option<&Node>) -> Result<(), StoreError> {
        let temporary = self.layout.temporaries().join(format!("manifest-{}", self.pending.len()));
        let file = File::create(&temporary).map_err(StoreError::io("create", &temporary))?;
        manifest::write(file, &temporary, header, tree)?;
        self.pending.push((temporary, path));
        Ok(())
    }

    /// Learns which large objects there are, for the files that come in. Once is enough for a session.
    pub fn learn_large(&mut self) -> Result<(), StoreError> {
        if !self.objects.large.is_empty() {
            return Ok(());
        }
        for name in names(&self.layout.layers())? {
            let large = &mut self.objects.large;
            let reader = Reader::open(self.layout.layers().join(OsStr::from_bytes(&name)));
            let read = reader.and_then(|reader| reader.map(|reader| note_large(reader, large)).transpose());
            // What is learned only saves work, so a damaged manifest does no harm here.
            if let Err(error) = read {
                tracing::warn!(%error, "a manifest cannot be read");
            }
        }
        Ok(())
    }

    /// Makes all that was written durable, then lets the prepared manifests appear.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        self.sync()?;
        for folder in [self.layout.layers(), self.layout.trees()] {
            for (from, to) in self.pending.iter().filter(|(_, to)| to.starts_with(&folder)) {
                std::fs::rename(from, to).map_err(StoreError::io("rename", from))?;
            }
            sync_folder(&folder)?;
        }
        self.pending.clear();
        Ok(())
    }

    /// Makes all that was written durable.
    pub fn sync(&self) -> Result<(), StoreError> {
        rustix::fs::syncfs(&self.root).map_err(StoreError::io("sync", &self.layout.root))
    }

    /// Takes the mark away. Only after a sync that came after the last object.
    pub fn unmark(&self) -> Result<(), StoreError> {
        // Not synced: a mark that comes back after a power cut costs one needless sweep.
        match rustix::fs::unlinkat(&self.root, MARK, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(StoreError::io("delete", &self.layout.root.join(MARK))(error)),
        }
    }

    /// Deletes what an import left that failed. The mark stays, because nothing of this is synced.
    pub fn abandon(&mut self) {
        self.pending.clear();
        let cleaned =
            self.clear_temporaries().and_then(|()| self.mark_all()).and_then(|marked| self.sweep(&marked));
        if let Err(error) = cleaned {
            // The import's own error is the one to report; the next session cleans up.
            tracing::warn!(%error, "the leftovers of the failed import stay until the next one");
        }
    }

    pub fn clear_temporaries(&self) -> Result<(), StoreError> {
        let folder = self.layout.temporaries();
        for name in names(&folder)? {
            let path = folder.join(OsStr::from_bytes(&name));
            std::fs::remove_file(&path).map_err(StoreError::io("delete", &path))?;
        }
        Ok(())
    }

    /// The objects that any layer names. Damaged manifests are deleted: what they described is fetched again.
    pub fn mark_all(&self) -> Result<Marked, StoreError> {
        let mut marked = Marked::default();
        let damaged = self.layout.damaged(|layer| marked.add(layer).map(|()| true))?;
        if !damaged.is_empty() {
            self.forget(&damaged)?;
        }
        Ok(marked)
    }

    /// Deletes manifests, those of images first: an image is never without its layers.
    pub fn forget(&self, manifests: &BTreeSet<PathBuf>) -> Result<(), StoreError> {
        for folder in [self.layout.trees(), self.layout.layers()] {
            for path in manifests.iter().filter(|path| path.starts_with(&folder)) {
                std::fs::remove_file(path).map_err(StoreError::io("delete", path))?;
            }
            sync_folder(&folder)?;
        }
        Ok(())
    }

    /// Deletes every object that is not marked.
    pub fn sweep(&self, marked: &Marked) -> Result<Collected, StoreError> {
        let mut collected = Collected::default();
        for folder in names(self.objects.path())? {
            let path = self.objects.path().join(OsStr::from_bytes(&folder));
            for file in names(&path)? {
                let id = ObjectId::from_parts(&folder, &file);
                if id.is_some_and(|id| marked.contains(&id)) {
                    continue;
                }
                let file = path.join(OsStr::from_bytes(&file));
                collected.objects += 1;
                collected.bytes += freed(&file);
                std::fs::remove_file(&file).map_err(StoreError::io("delete", &file))?;
            }
        }
        Ok(collected)
    }

    /// Deletes all manifests but those of `keep` and their layers, then all objects that nobody needs any more.
    pub fn collect(&self, keep: &BTreeSet<Vec<u8>>) -> Result<Collected, StoreError> {
        self.clear_temporaries()?;
        let mut marked = Marked::default();
        let mut layers = BTreeSet::new();
        for name in keep {
            // Nothing is deleted when an image that is needed cannot be read: repair decides what to do about it.
            let header = self.layout.image(name)?;
            layers.extend(header.into_iter().flat_map(|header| header.layers));
        }
        for diff_id in &layers {
            marked.add(self.layout.open_layer(diff_id)?)?;
        }
        let layers = layers.iter().map(|diff_id| hex(diff_id).into_bytes()).collect();
        let mut doomed = BTreeSet::new();
        for (folder, keep) in [(self.layout.trees(), keep), (self.layout.layers(), &layers)] {
            let unneeded = names(&folder)?.into_iter().filter(|name| !keep.contains(name));
            doomed.extend(unneeded.map(|name| folder.join(OsStr::from_bytes(&name))));
        }
        self.forget(&doomed)?;
        let collected = Collected { manifests: doomed.len() as u64, ..self.sweep(&marked)? };
        if self.is_marked()? {
            // Objects that may be torn must be gone for good before the mark is.
            self.sync()?;
            self.unmark()?;
        }
        Ok(collected)
    }
}

/// Bytes that deleting a file frees: none while a checkout links to it.
fn freed(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::symlink_metadata(path).map_or(0, |meta| if meta.nlink() == 1 { meta.blocks() * 512 } else { 0 })
}

/// Objects that are needed. Half of each name is kept: it is enough to tell objects apart, and a collision would only
/// keep an object that could go.
#[derive(Debug, Default)]
pub(super) struct Marked(Vec<u128>);

impl Marked {
    /// Adds what a layer names.
    pub fn add(&mut self, layer: Reader) -> Result<(), StoreError> {
        layer.for_each(|record| {
            if let Kind::Leaf(Leaf::File { object, .. }) = record.kind {
                self.0.push(half(&object));
            }
            Ok(())
        })?;
        self.0.sort_unstable();
        self.0.dedup();
        Ok(())
    }

    pub fn contains(&self, id: &ObjectId) -> bool {
        self.0.binary_search(&half(id)).is_ok()
    }
}

fn half(id: &ObjectId) -> u128 {
    id.0.iter().take(16).fold(0, |n, byte| n << 8 | u128::from(*byte))
}

/// Adds the large objects of a layer.
fn note_large(layer: Reader, large: &mut BTreeMap<u64, Vec<ObjectId>>) -> Result<Header, StoreError> {
    layer.for_each(|record| {
        if let Kind::Leaf(Leaf::File { object, size }) = record.kind
            && size > SMALL_FILE_BYTES_MAX
        {
            let known = large.entry(size).or_default();
            if !known.contains(&object) {
                known.push(object);
            }
        }
        Ok(())
    })
}

/// Makes renames and deletions in a folder durable.
pub(super) fn sync_folder(path: &Path) -> Result<(), StoreError> {
    let folder = open_folder(path)?;
    rustix::fs::fsync(&folder).map_err(StoreError::io("sync", path))
}

/// Names in a folder, all at once: what is deleted while a folder is being read may make the reader miss others.
pub(super) fn names(folder: &Path) -> Result<Vec<Vec<u8>>, StoreError> {
    let names = std::fs::read_dir(folder).and_then(|entries| {
        entries.map(|entry| Ok(entry?.file_name().into_vec())).collect::<io::Result<Vec<_>>>()
    });
    names.map_err(StoreError::io("list", folder))
}
