//! The content store: images as trees of files, every distinct file once.
//!
//! It streams verified OCI layers into files and trees, checks them out and collects garbage. It is no backend and
//! knows no containers.
//!
//! Below its root a store has
//! - `objects/xx/…`: regular files, named by the digest of content and metadata (`object`);
//! - `layers/DIFF-ID` and `trees/IMAGE`: manifests (`manifest`) that say which files a layer has, and which layers an
//!   image (`image`);
//! - `tmp/`, `lock`, `unfinished`: what a writer needs (`session`, which also says what survives a power cut and why).
//!
//! An [`Store::import`] streams layers from compressed bytes to objects (`stream`, `archive`, `layer`); no layer
//! is ever in memory or, compressed, on disk. An image exists from the moment when its manifest has its name, which
//! is after every digest was compared and everything was synced. A [`Store::checkout`] is a directory of hard links.
//!
//! [`Store::fetch`] does the same with the source of a package, progress and a look at the free space. What a backend
//! needs beside its store is here too: small durable files ([`files`]) and names for them ([`names`]).
//!
//! Not here: where layers come from, signatures, mounting. The store does not know which images are needed either:
//! [`Store::collect`] is told.

mod archive;
mod checkout;
mod error;
mod fetch;
pub mod files;
mod image;
mod import;
mod layer;
pub mod limits;
mod manifest;
pub mod names;
mod object;
mod pax;
mod session;
mod stream;
#[cfg(test)]
mod tests;
mod tree;
mod verify;

use std::collections::BTreeSet;
use std::fmt;
use std::io::Read;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use scomo_core::id::Digest;
pub use scomo_package::{Compression, Layer};

pub use error::{BoxError, Refusal, StoreError};
pub use fetch::Watch;
pub use import::{ImportProgress, Imported};
pub use object::{Damage, ObjectId};
pub use session::{Collected, Rights};
pub use verify::Report;

use session::{Layout, Session, sync_folder};

/// Name of an image in the store: 64 lower-case hexadecimal digits, so that it is safe as a file name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeId(String);

/// Why a text is no [`TreeId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of an image in the store is 64 lower-case hexadecimal digits")]
pub struct InvalidTreeId;

impl TreeId {
    /// Checks and wraps a name.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidTreeId> {
        let name = name.into();
        let good = name.len() == 64 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if good { Ok(Self(name)) } else { Err(InvalidTreeId) }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&Digest> for TreeId {
    fn from(digest: &Digest) -> Self {
        let text = digest.as_str();
        Self(text.strip_prefix("sha256:").unwrap_or(text).to_owned())
    }
}

impl fmt::Display for TreeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A content store on disk. Cheap to open; holds no lock between calls.
///
/// [`Self::import`], [`Self::collect`], [`Self::verify`] and [`Self::repair`] exclude each other across processes and
/// return [`StoreError::Busy`] at once instead of waiting. [`Self::has`] and [`Self::checkout`] work beside them.
#[derive(Debug)]
pub struct Store {
    layout: Layout,
}

impl Store {
    /// Opens the store in the folder `root`; makes it if it is not there.
    ///
    /// The folder is for root only: its files have the owners and the set-user-id bits of the images.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        Self::open_with(root, Rights::Kept)
    }

    /// [`Self::open`] for a store that keeps other rights; always the same for one and the same store.
    pub fn open_with(root: &Path, rights: Rights) -> Result<Self, StoreError> {
        let layout = Layout { root: root.to_path_buf(), rights };
        let folders =
            [layout.root.clone(), layout.objects(), layout.layers(), layout.trees(), layout.temporaries()];
        if folders.iter().all(|folder| folder.is_dir()) {
            return Ok(Self { layout });
        }
        for folder in &folders {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(StoreError::io("create", folder))?;
        }
        sync_folder(root)?;
        if let Some(parent) = root.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_folder(parent)?;
        }
        Ok(Self { layout })
    }

    /// Brings an image in: `layers`, lowest first, become the tree `image`.
    ///
    /// `open` gives the compressed bytes of the layer with an index; it is only called for layers that are not known
    /// yet. `Ok` means durable. An image that is there already is success, and nothing is read. After an error no
    /// part of the image can be seen; layers that were finished may stay for the next attempt.
    pub fn import(
        &self,
        layers: &[Layer],
        open: &mut dyn FnMut(usize) -> Result<Box<dyn Read + Send>, BoxError>,
        image: &TreeId,
        progress: &mut dyn FnMut(ImportProgress),
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Imported, StoreError> {
        if let Some(size) = self.size(image)? {
            return Ok(Imported { size, bytes_new: 0, bytes_reused: size });
        }
        let mut session = Session::begin(&self.layout)?;
        let hooks = import::Hooks { open, progress, cancelled };
        import::import(&mut session, layers, image, hooks, import::CHECKPOINT)
    }

    /// Whether an image is there, whole and durable.
    ///
    /// A damaged manifest counts as absent, with a warning in the log: importing the image again replaces it.
    pub fn has(&self, image: &TreeId) -> Result<bool, StoreError> {
        Ok(self.size(image)?.is_some())
    }

    /// Bytes of all files of an image, each content once; `None` when it is not there.
    pub fn size(&self, image: &TreeId) -> Result<Option<u64>, StoreError> {
        let size = image::undamaged(self.layout.size(image))?.flatten();
        if size.is_some() {
            // Whoever renamed the manifest may have been killed before this.
            sync_folder(&self.layout.trees())?;
        }
        Ok(size)
    }

    /// Makes the directory `dest`, a tree of hard links to the files of an image. `Ok` means durable.
    ///
    /// `dest` must be on the same mount as the store, and only root may be able to reach it unless the store is one of
    /// [`Rights::ReadOnly`]. A `dest` that is there
    /// already is success. Nobody may ever write to it, so it is only to be mounted read-only. Device nodes are left out.
    ///
    /// Whoever deletes a checkout renames it first and syncs the rename: half a tree under the name of a whole one
    /// would be taken for it. A checkout that was killed leaves `.NAME.partial` beside `dest`; the next one to the same
    /// place removes it.
    pub fn checkout(&self, image: &TreeId, dest: &Path) -> Result<(), StoreError> {
        checkout::checkout(&self.layout, image, dest)
    }

    /// Deletes every image that is not in `keep`, and all layers, files and leftovers that no kept image needs.
    ///
    /// Ids in `keep` that are not in the store are ignored. Nothing is deleted when a kept image cannot be read.
    pub fn collect(&self, keep: &BTreeSet<TreeId>) -> Result<Collected, StoreError> {
        let keep = keep.iter().map(|id| id.as_str().as_bytes().to_vec()).collect();
        Session::lock(&self.layout)?.collect(&keep)
    }

    /// Hashes everything again and says what is damaged. Changes nothing.
    pub fn verify(&self, cancelled: &dyn Fn() -> bool) -> Result<Report, StoreError> {
        verify::verify(&Session::lock(&self.layout)?, cancelled)
    }

    /// Does what [`Self::verify`] does and deletes what is damaged, so that the images in the report are no longer
    /// there and can be imported again. Checkouts of them must be made anew then, as they share the damaged files.
    pub fn repair(&self, cancelled: &dyn Fn() -> bool) -> Result<Report, StoreError> {
        let session = Session::lock(&self.layout)?;
        let report = verify::verify(&session, cancelled)?;
        verify::discard(&session, &report)?;
        Ok(report)
    }
}
