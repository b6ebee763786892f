//! Everything that a package or image consists of, found by walking from its top manifest.

use std::collections::BTreeMap;

use scomo_core::id::Digest;

use crate::error::PackageError;
use crate::layout::{is_signature_name, ref_of};
use crate::oci::{self, Descriptor, Index, LAYER_BYTES_MAX};
use crate::repository::{Repository, read_small};
use crate::signature::tag_of;

/// The content of a layout or archive, or of one package in it.
#[derive(Debug, Clone)]
pub(crate) struct Bundle {
    /// What `index.json` says.
    pub index: Index,
    /// Manifests in an order in which each comes after those it refers to.
    pub manifests: Vec<(Descriptor, Vec<u8>)>,
    /// Configs: small, and needed before any layer.
    configs: Vec<(Descriptor, Vec<u8>)>,
    layers: Vec<Descriptor>,
    seen: BTreeMap<Digest, ()>,
}

impl Bundle {
    pub(crate) fn new(index: Index) -> Self {
        Self { index, manifests: Vec::new(), configs: Vec::new(), layers: Vec::new(), seen: BTreeMap::new() }
    }

    /// Walks everything that the index refers to.
    pub(crate) fn collect(repository: &mut dyn Repository, index: Index) -> Result<Self, PackageError> {
        let mut bundle = Self::new(index);
        for entry in bundle.index.manifests.clone() {
            bundle.add(repository, &entry)?;
        }
        Ok(bundle)
    }

    /// Adds a manifest and all below it.
    pub(crate) fn add(
        &mut self,
        repository: &mut dyn Repository,
        entry: &Descriptor,
    ) -> Result<(), PackageError> {
        self.add_below(repository, entry, 0)
    }

    fn add_below(
        &mut self,
        repository: &mut dyn Repository,
        entry: &Descriptor,
        depth: u32,
    ) -> Result<(), PackageError> {
        // A package is an index of manifests; an index in an index exists for images of several platforms.
        const DEPTH_MAX: u32 = 3;
        if depth > DEPTH_MAX {
            return Err(PackageError::format("the image index", "indexes are nested too deeply"));
        }
        if self.seen.insert(entry.digest.clone(), ()).is_some() {
            return Ok(());
        }
        let raw = repository.manifest(&entry.digest)?;
        let media_type = if oci::looks_like_index(&raw.bytes)? {
            let index = oci::parse_index(&raw.bytes)?;
            for below in &index.manifests {
                self.add_below(repository, below, depth.saturating_add(1))?;
            }
            index.media_type.unwrap_or_else(|| oci::MEDIA_INDEX.to_owned())
        } else {
            let manifest = oci::parse_image_manifest(&raw.bytes)?;
            self.add_blobs(repository, &manifest)?;
            manifest.media_type.unwrap_or_else(|| oci::MEDIA_MANIFEST.to_owned())
        };
        let mut descriptor = Descriptor::new(&media_type, &raw.bytes);
        descriptor.annotations = entry.annotations.clone();
        self.manifests.push((descriptor, raw.bytes));
        Ok(())
    }

    fn add_blobs(
        &mut self,
        repository: &mut dyn Repository,
        manifest: &oci::Manifest,
    ) -> Result<(), PackageError> {
        if self.seen.insert(manifest.config.digest.clone(), ()).is_none() {
            let bytes = read_small(repository, &manifest.config, "a config")?;
            self.configs.push((manifest.config.clone(), bytes));
        }
        for layer in &manifest.layers {
            if layer.size > LAYER_BYTES_MAX {
                let what = format!("layer {}", layer.digest);
                return Err(PackageError::TooLarge { what, limit: LAYER_BYTES_MAX });
            }
            if self.seen.insert(layer.digest.clone(), ()).is_none() {
                self.layers.push(layer.clone());
            }
        }
        Ok(())
    }

    /// Manifests, outermost first, then configs: what resolving reads.
    pub(crate) fn small(&self) -> impl Iterator<Item = (&Digest, &Vec<u8>)> {
        let manifests = self.manifests.iter().rev();
        manifests.chain(self.configs.iter()).map(|(descriptor, bytes)| (&descriptor.digest, bytes))
    }

    /// Configs with their bytes.
    pub(crate) fn configs(&self) -> impl Iterator<Item = (&Digest, &Vec<u8>)> {
        self.configs.iter().map(|(descriptor, bytes)| (&descriptor.digest, bytes))
    }

    /// Layers: digest and size, lowest first within each image.
    pub(crate) fn large(&self) -> impl Iterator<Item = (&Digest, u64)> {
        self.layers.iter().map(|layer| (&layer.digest, layer.size))
    }
}

/// The entry that holds the signatures of `digest`, if there is one.
pub(crate) fn signature_entry<'a>(entries: &'a [Descriptor], digest: &Digest) -> Option<&'a Descriptor> {
    let name = tag_of(digest);
    entries.iter().find(|entry| ref_of(entry) == Some(name.as_str()))
}

/// The entries that are packages or images, not signatures.
pub(crate) fn subjects(entries: &[Descriptor]) -> impl Iterator<Item = &Descriptor> {
    entries.iter().filter(|entry| !ref_of(entry).is_some_and(is_signature_name))
}
