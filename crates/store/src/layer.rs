//! Unpacking one layer: archive entries become objects and a tree.
//!
//! The rules are those of the OCI image specification (layer.md): whiteouts and opaque directories act on lower
//! layers only, wherever they stand in the archive; a directory that no entry describes exists all the same.

use super::archive::{Archive, Entry, EntryKind};
use super::error::{Refusal, StoreError, printable};
use super::limits::{
    BUFFER_BYTES, DEVICES_MAX, ENTRIES_MAX, SMALL_FILE_BYTES_MAX, SYMLINK_BYTES_MAX, UNPACKED_BYTES_MAX,
};
use super::object::{CAPABILITY, Meta, Objects, Put};
use super::session::Rights;
use super::stream::{Input, Stop, unpacked_limit};
use super::tree::{Body, Directory, Leaf, Node, split};

/// What is left of a mode when nobody may write.
const READ_ONLY_MODE: u16 = 0o555;

/// What the layers of one image may still use up.
#[derive(Debug)]
pub(super) struct Budget {
    /// Bytes of archives.
    pub archive: u64,
    /// Bytes of files: more than the archives have when files are sparse.
    pub files: u64,
    pub entries: u64,
    pub devices: u64,
}

impl Budget {
    pub fn new() -> Self {
        Self {
            archive: UNPACKED_BYTES_MAX,
            files: UNPACKED_BYTES_MAX,
            entries: ENTRIES_MAX,
            devices: DEVICES_MAX,
        }
    }

    /// Takes what a layer has whose tree is known already.
    pub fn take_tree(&mut self, tree: &Node) -> Result<(), Refusal> {
        tree.visit(&mut |_, _, node| {
            self.take_entry()?;
            match &node.body {
                Body::Leaf(Leaf::File { size, .. }) => self.take_file(*size),
                Body::Leaf(Leaf::Device { .. }) => self.take_device(),
                Body::Leaf(_) | Body::Directory(_) => Ok(()),
            }
        })
    }

    fn take_entry(&mut self) -> Result<(), Refusal> {
        let limit = Refusal::Limit { what: "entries in one image", limit: ENTRIES_MAX };
        self.entries = self.entries.checked_sub(1).ok_or(limit)?;
        Ok(())
    }

    fn take_device(&mut self) -> Result<(), Refusal> {
        let limit = Refusal::Limit { what: "device nodes in one image", limit: DEVICES_MAX };
        self.devices = self.devices.checked_sub(1).ok_or(limit)?;
        Ok(())
    }

    fn take_file(&mut self, size: u64) -> Result<(), Refusal> {
        self.files = self.files.checked_sub(size).ok_or_else(unpacked_limit)?;
        Ok(())
    }
}

/// What an import did with objects, in bytes of content.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub new: u64,
    pub reused: u64,
}

impl Tally {
    fn count(&mut self, put: Put) {
        if put.new {
            self.new += put.size;
        } else {
            self.reused += put.size;
        }
    }
}

/// Unpacks an archive into objects; returns the tree. The caller then lets the input compare the digests.
pub(super) fn unpack(
    input: &mut Input<'_>,
    objects: &Objects,
    rights: Rights,
    budget: &mut Budget,
    tally: &mut Tally,
) -> Result<Node, StoreError> {
    let layer = input.layer().digest.clone();
    let mut archive = Archive::new(input);
    let mut unpacker =
        Unpacker { root: Node::implicit(), objects, rights, budget, tally, scratch: Vec::new() };
    loop {
        let step = match archive.next() {
            Ok(Some(entry)) => unpacker.add(entry, &mut archive),
            Ok(None) => return Ok(unpacker.root),
            Err(stop) => Err(stop),
        };
        step.map_err(|stop| stop.named(&layer, archive.path()))?;
    }
}

impl Stop {
    /// The store's error, with the entry at which it happened.
    pub fn named(self, layer: &scomo_core::id::Digest, entry: &[u8]) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Refused(source) => {
                StoreError::Refused { layer: layer.clone(), entry: printable(entry), source }
            }
        }
    }
}

struct Unpacker<'a> {
    root: Node,
    objects: &'a Objects,
    rights: Rights,
    budget: &'a mut Budget,
    tally: &'a mut Tally,
    scratch: Vec<u8>,
}

impl Unpacker<'_> {
    fn add(&mut self, mut entry: Entry, archive: &mut Archive<'_, '_>) -> Result<(), Stop> {
        self.budget.take_entry()?;
        let path = split(&entry.path)?;
        match whiteout(&path)? {
            Whiteout::None => {}
            Whiteout::Ignored => return Ok(()),
            Whiteout::Opaque(directory) => return Ok(self.root.make_opaque(directory)?),
            Whiteout::Hides(hidden) => return Ok(self.root.white_out(&hidden)?),
        }
        let keeps_xattrs = matches!(entry.kind, EntryKind::File(_) | EntryKind::Directory);
        let is_file = matches!(entry.kind, EntryKind::File(_));
        // The kernel takes user attributes on files and directories only, capabilities on files only.
        let keeps_capabilities = is_file && self.rights == Rights::Kept;
        entry.meta.xattrs.retain(|(name, _)| keeps_xattrs && (keeps_capabilities || name != CAPABILITY));
        if self.rights == Rights::ReadOnly {
            entry.meta.mode &= READ_ONLY_MODE;
        }
        let leaf = match entry.kind {
            EntryKind::Directory => {
                let directory = Directory { explicit: true, ..Directory::default() };
                self.root.place(&path, Node { meta: entry.meta, body: Body::Directory(directory) })?;
                return Ok(());
            }
            EntryKind::Link(target) => return Ok(self.link(&path, target, entry.meta)?),
            EntryKind::File(size) => {
                self.budget.take_file(size)?;
                let put = self.store(&entry.meta, size, archive)?;
                self.tally.count(put);
                Leaf::File { object: put.id, size }
            }
            EntryKind::Symlink(target) => {
                if target.is_empty() || target.len() > SYMLINK_BYTES_MAX || target.contains(&0) {
                    return Err(Refusal::SymlinkTarget.into());
                }
                Leaf::Symlink(target.into())
            }
            EntryKind::Fifo => Leaf::Fifo,
            EntryKind::Device { character, major, minor } => {
                self.budget.take_device()?;
                Leaf::Device { character, major, minor }
            }
        };
        Ok(self.root.place(&path, Node::leaf(entry.meta, leaf))?)
    }

    fn store(&mut self, meta: &Meta, size: u64, archive: &mut Archive<'_, '_>) -> Result<Put, Stop> {
        if size <= SMALL_FILE_BYTES_MAX {
            self.scratch.resize(usize::try_from(size).unwrap_or_default(), 0);
            archive.read(&mut self.scratch)?;
            return Ok(self.objects.put(meta, &self.scratch)?);
        }
        let mut large = self.objects.start(size)?;
        self.scratch.resize(BUFFER_BYTES, 0);
        loop {
            let filled = archive.read(&mut self.scratch)?;
            let part = self.scratch.get(..filled).unwrap_or_default();
            if part.is_empty() {
                return Ok(large.finish(meta)?);
            }
            large.write(part)?;
        }
    }

    /// A hard link to a file of this layer becomes the same file under another name; any other is looked up when the
    /// layer is put on top of the lower ones.
    fn link(&mut self, path: &[&[u8]], target: Vec<u8>, meta: Meta) -> Result<(), Refusal> {
        let refused = |_| Refusal::LinkTarget(printable(&target));
        let names = split(&target).map_err(refused)?;
        let node = match self.root.link_target(&names).map_err(refused)? {
            Some(node) => node,
            None => Node::leaf(meta, Leaf::Link(target.into())),
        };
        self.root.place(path, node)
    }
}

enum Whiteout<'p> {
    None,
    /// Bookkeeping of a file system that once made layers.
    Ignored,
    /// Hides what lower layers have in the directory.
    Opaque(&'p [&'p [u8]]),
    /// Hides the path.
    Hides(Vec<&'p [u8]>),
}

fn whiteout<'p>(path: &'p [&'p [u8]]) -> Result<Whiteout<'p>, Refusal> {
    const PREFIX: &[u8] = b".wh.";
    let Some((name, parents)) = path.split_last() else { return Ok(Whiteout::None) };
    if path.iter().any(|name| name.starts_with(b".wh..wh.") && *name != b".wh..wh..opq") {
        return Ok(Whiteout::Ignored);
    }
    if parents.iter().any(|name| name.starts_with(PREFIX)) {
        return Err(Refusal::Whiteout);
    }
    match name.strip_prefix(PREFIX) {
        None => Ok(Whiteout::None),
        Some(b".wh..opq") => Ok(Whiteout::Opaque(parents)),
        Some(b"" | b"." | b"..") => Err(Refusal::Whiteout),
        Some(hidden) => Ok(Whiteout::Hides(parents.iter().copied().chain([hidden]).collect())),
    }
}
