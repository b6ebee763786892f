//! Images: layers that are put on one another whenever the tree is needed.
//!
//! The manifest of an image only lists its layers, so an update writes down what is new and nothing else. An image is
//! whole when all its layers are; an import puts them on one another before it gives the image its name, so it is
//! known that they fit.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use super::TreeId;
use super::error::StoreError;
use super::manifest::{Header, Reader};
use super::names::hex;
use super::session::{Layout, names};
use super::tree::Node;

impl Layout {
    /// What the manifest of an image says; `None` when there is none.
    pub fn image(&self, name: &[u8]) -> Result<Option<Header>, StoreError> {
        let reader = Reader::open(self.trees().join(OsStr::from_bytes(name)))?;
        reader.map(|reader| reader.for_each(|_| Ok(()))).transpose()
    }

    /// Opens the manifest of a layer that must be there.
    pub fn open_layer(&self, diff_id: &[u8; 32]) -> Result<Reader, StoreError> {
        let path = self.layer(diff_id);
        let missing = StoreError::Manifest { path: path.clone(), problem: "it is missing" };
        Reader::open(path)?.ok_or(missing)
    }

    /// Bytes of all files of an image, each once; `None` when it is not there. Every manifest is read to its end.
    pub fn size(&self, image: &TreeId) -> Result<Option<u64>, StoreError> {
        let Some(header) = self.image(image.as_str().as_bytes())? else { return Ok(None) };
        for diff_id in &header.layers {
            self.open_layer(diff_id)?.for_each(|_| Ok(()))?;
        }
        Ok(Some(header.size))
    }

    /// The tree of an image; `None` when it is not there.
    pub fn tree(&self, image: &TreeId) -> Result<Option<Node>, StoreError> {
        let Some(header) = self.image(image.as_str().as_bytes())? else { return Ok(None) };
        let mut root = Node::implicit();
        for diff_id in &header.layers {
            let (_, layer) = self.open_layer(diff_id)?.load()?;
            let problem = "it does not fit on the layers below it";
            root.apply(layer, &mut Vec::new())
                .map_err(|_| StoreError::Manifest { path: self.layer(diff_id), problem })?;
        }
        Ok(Some(root))
    }

    /// Manifests that are no good: of layers that are damaged or for which `is_whole` says no, and of images that are
    /// damaged or lack a good layer.
    pub fn damaged(
        &self,
        mut is_whole: impl FnMut(Reader) -> Result<bool, StoreError>,
    ) -> Result<BTreeSet<PathBuf>, StoreError> {
        let mut good = BTreeSet::new();
        let mut damaged = BTreeSet::new();
        for name in names(&self.layers())? {
            let path = self.layers().join(OsStr::from_bytes(&name));
            let whole = Reader::open(path.clone()).and_then(|reader| reader.map_or(Ok(true), &mut is_whole));
            if undamaged(whole)?.unwrap_or_default() {
                good.insert(name)
            } else {
                damaged.insert(path)
            };
        }
        let is_good = |diff_id: &[u8; 32]| good.contains(hex(diff_id).as_bytes());
        for name in names(&self.trees())? {
            let header = undamaged(self.image(&name))?.flatten();
            if header.is_none_or(|header| !header.layers.iter().all(is_good)) {
                damaged.insert(self.trees().join(OsStr::from_bytes(&name)));
            }
        }
        Ok(damaged)
    }
}

/// What was read; `None`, with a warning in the log, when a manifest is damaged.
pub(super) fn undamaged<T>(read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error @ StoreError::Manifest { .. }) => {
            tracing::warn!(%error, "a manifest cannot be used");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
