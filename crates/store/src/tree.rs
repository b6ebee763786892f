//! Trees of files in memory: what one layer says, and what an image is after its layers were put on one another.
//!
//! No path of an archive ever reaches a file system from here: a tree is data. A path walks through directories of
//! the tree only; a symbolic link in the way is an error and is never followed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::{Refusal, printable};
use super::limits::{DEPTH_MAX, NAME_BYTES_MAX, PATH_BYTES_MAX};
use super::object::{Meta, ObjectId};

/// One file of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub meta: Meta,
    pub body: Body,
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    Directory(Directory),
    Leaf(Leaf),
}

/// A directory and all that is below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Directory {
    pub children: BTreeMap<Box<[u8]>, Node>,
    /// A layer described it; if not, it exists for its children only and has no metadata of its own.
    pub explicit: bool,
    /// In a layer: hides what lower layers have in it.
    pub opaque: bool,
}

/// Everything that has nothing below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Leaf {
    File {
        object: ObjectId,
        size: u64,
    },
    Symlink(Box<[u8]>),
    Fifo,
    /// Known, so that a layer can replace or delete it; no checkout ever makes one.
    Device {
        character: bool,
        major: u32,
        minor: u32,
    },
    /// In a layer: a hard link to a file of a lower layer.
    Link(Box<[u8]>),
    /// In a layer: deletes what lower layers have here.
    Whiteout,
}

/// Is told depth, name and node.
type Visit<'v, E> = &'v mut dyn FnMut(usize, &[u8], &Node) -> Result<(), E>;

impl Node {
    /// A directory that no layer described.
    pub fn implicit() -> Self {
        Self { meta: Meta::implicit_directory(), body: Body::Directory(Directory::default()) }
    }

    pub fn leaf(meta: Meta, leaf: Leaf) -> Self {
        Self { meta, body: Body::Leaf(leaf) }
    }

    fn directory_mut(&mut self) -> Result<&mut Directory, Refusal> {
        match &mut self.body {
            Body::Directory(directory) => Ok(directory),
            Body::Leaf(_) => Err(Refusal::ThroughNonDirectory),
        }
    }

    /// The directory at `path`; what is missing on the way is made.
    fn walk(&mut self, path: &[&[u8]]) -> Result<&mut Directory, Refusal> {
        let mut directory = self.directory_mut()?;
        for name in path {
            let child = directory.children.entry((*name).into()).or_insert_with(Self::implicit);
            if child.body == Body::Leaf(Leaf::Whiteout) {
                *child = Self::implicit();
                child.directory_mut()?.opaque = true;
            }
            directory = child.directory_mut()?;
        }
        Ok(directory)
    }

    /// Puts one entry of a layer into the layer's tree. A later entry replaces an earlier one of the same name; a
    /// directory that comes again only changes its metadata.
    pub fn place(&mut self, path: &[&[u8]], node: Self) -> Result<(), Refusal> {
        let Some((name, parents)) = path.split_last() else {
            let Body::Directory(_) = node.body else { return Err(Refusal::Root) };
            self.meta = node.meta;
            self.directory_mut()?.explicit = true;
            return Ok(());
        };
        let children = &mut self.walk(parents)?.children;
        let Some(old) = children.get_mut(*name) else {
            children.insert((*name).into(), node);
            return Ok(());
        };
        match (&mut old.body, node.body) {
            (Body::Directory(old_directory), Body::Directory(_)) => {
                old.meta = node.meta;
                old_directory.explicit = true;
            }
            (Body::Leaf(_), Body::Directory(mut directory)) => {
                // The file or whiteout that was here hid what lower layers have; the directory must do so too.
                directory.opaque = true;
                *old = Self { meta: node.meta, body: Body::Directory(directory) };
            }
            (_, body) => *old = Self { meta: node.meta, body },
        }
        Ok(())
    }

    /// Deletes `path` of the lower layers. What this layer itself has there stays, wherever it stands in the archive.
    pub fn white_out(&mut self, path: &[&[u8]]) -> Result<(), Refusal> {
        let (name, parents) = path.split_last().ok_or(Refusal::Root)?;
        let children = &mut self.walk(parents)?.children;
        match children.get_mut(*name).map(|node| &mut node.body) {
            None => {
                let whiteout = Self::leaf(Meta::implicit_directory(), Leaf::Whiteout);
                children.insert((*name).into(), whiteout);
            }
            Some(Body::Directory(directory)) => directory.opaque = true,
            Some(Body::Leaf(_)) => {}
        }
        Ok(())
    }

    /// Hides what lower layers have in the directory `path`.
    pub fn make_opaque(&mut self, path: &[&[u8]]) -> Result<(), Refusal> {
        self.walk(path)?.opaque = true;
        Ok(())
    }

    /// A copy of what a hard link to `path` is, or `None` when this tree has nothing there.
    pub fn link_target(&self, path: &[&[u8]]) -> Result<Option<Self>, Refusal> {
        let mut node = self;
        for name in path {
            let directory = match &node.body {
                Body::Directory(directory) => directory,
                Body::Leaf(Leaf::Whiteout) => return Ok(None),
                Body::Leaf(_) => return Err(Refusal::ThroughNonDirectory),
            };
            match directory.children.get(*name) {
                Some(child) => node = child,
                None => return Ok(None),
            }
        }
        match &node.body {
            Body::Leaf(Leaf::Whiteout) => Ok(None),
            Body::Leaf(_) => Ok(Some(node.clone())),
            Body::Directory(_) => Err(Refusal::LinkTarget(printable(&path.join(&b'/')))),
        }
    }

    /// Puts `layer` on top of this image.
    ///
    /// Hard links to lower layers are resolved against the image as it was before. On an error, `at` is the path.
    pub fn apply(&mut self, mut layer: Self, at: &mut Vec<u8>) -> Result<(), Refusal> {
        resolve(&mut layer, self, at)?;
        overlay(self, layer)
    }

    /// Calls `visit` for every node below and including this one, parents first.
    pub fn visit<E>(&self, visit: Visit<'_, E>) -> Result<(), E> {
        self.visit_from(0, b"", visit)
    }

    fn visit_from<E>(&self, depth: usize, name: &[u8], visit: Visit<'_, E>) -> Result<(), E> {
        visit(depth, name, self)?;
        if let Body::Directory(directory) = &self.body {
            for (name, child) in &directory.children {
                child.visit_from(depth + 1, name, visit)?;
            }
        }
        Ok(())
    }
}

fn resolve(node: &mut Node, image: &Node, at: &mut Vec<u8>) -> Result<(), Refusal> {
    match &mut node.body {
        Body::Directory(directory) => {
            for (name, child) in &mut directory.children {
                let length = at.len();
                at.push(b'/');
                at.extend_from_slice(name);
                resolve(child, image, at)?;
                at.truncate(length);
            }
        }
        Body::Leaf(Leaf::Link(target)) => {
            let refused = || Refusal::LinkTarget(printable(target));
            let found = split(target).and_then(|target| image.link_target(&target));
            *node = found.ok().flatten().ok_or_else(refused)?;
        }
        Body::Leaf(_) => {}
    }
    Ok(())
}

fn overlay(lower: &mut Node, upper: Node) -> Result<(), Refusal> {
    let Body::Directory(upper_directory) = upper.body else { return Err(Refusal::Root) };
    let lower_directory = lower.directory_mut()?;
    if upper_directory.opaque {
        lower_directory.children.clear();
    }
    lower_directory.explicit |= upper_directory.explicit;
    for (name, node) in upper_directory.children {
        match (&node.body, lower_directory.children.get_mut(&name)) {
            (Body::Leaf(Leaf::Whiteout), _) => {
                lower_directory.children.remove(&name);
            }
            (Body::Directory(_), Some(below)) if matches!(below.body, Body::Directory(_)) => {
                overlay(below, node)?
            }
            (Body::Directory(_), _) => {
                let mut fresh = Node::implicit();
                overlay(&mut fresh, node)?;
                lower_directory.children.insert(name, fresh);
            }
            (Body::Leaf(_), _) => {
                lower_directory.children.insert(name, node);
            }
        }
    }
    if upper_directory.explicit {
        lower.meta = upper.meta;
    }
    Ok(())
}

/// Splits a path of an archive into names, checked. The root gives none.
pub(super) fn split(path: &[u8]) -> Result<Vec<&[u8]>, Refusal> {
    if path.first() == Some(&b'/') {
        return Err(Refusal::Absolute);
    }
    if path.is_empty() || path.contains(&0) {
        return Err(Refusal::Name);
    }
    if path.len() > PATH_BYTES_MAX {
        return Err(Refusal::Limit { what: "bytes in a path", limit: PATH_BYTES_MAX as u64 });
    }
    let mut names = Vec::new();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => return Err(Refusal::Parent),
            _ if name.len() > NAME_BYTES_MAX => {
                return Err(Refusal::Limit { what: "bytes in a file name", limit: NAME_BYTES_MAX as u64 });
            }
            _ => names.push(name),
        }
    }
    if names.len() > DEPTH_MAX {
        return Err(Refusal::Limit { what: "levels of directories", limit: DEPTH_MAX as u64 });
    }
    Ok(names)
}
