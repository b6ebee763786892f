//! Delivery Packages: sources, verification, reading, building.
//!
//! [`resolve`] turns a source into verified, pinned [`Content`]; [`open`] gives the bytes that a pinned release needs.
//! The two are apart because they happen at different times in different processes: a fetch needs no signature, as
//! the digests it asks for were pinned by a verified resolve.
//!
//! Everything blocks. A registry is read on a private event loop, so nothing here may be called from inside another one.
//!
//! Not here: unpacking of layers, the content store, OSTree. Nothing in this crate runs or installs anything.

mod archive;
#[cfg(feature = "builder")]
pub mod builder;
mod config;
mod content;
mod error;
mod json;
mod keys;
mod layout;
pub mod oci;
mod policy;
mod registry;
mod repository;
pub mod signature;
pub mod sources;

use std::io::Read;

use scomo_core::id::{Digest, PackageId};
use scomo_core::spec::Content;

pub use config::{Config, KeyConfig, Policy, RegistryConfig, SignaturePolicy, Timeouts};
pub use content::parse_manifest;
pub use error::{PackageError, io_kind};
use oci::Platform;
pub use oci::{Compression, Image, Layer};
use repository::Repository;
use sources::Source;

/// Finds the package, verifies its signature as the policy for its source asks, and reads its manifest.
///
/// `package` is the name that the caller has for it; the manifest's own id is in [`Content::info`].
pub fn resolve(config: &Config, package: &PackageId, source: &str) -> Result<Content, PackageError> {
    let parsed = Source::parse(source)?;
    let mut repository = repository(config, &parsed, source)?;
    let root = repository.root()?;
    let verified = policy::verify(config, &parsed, repository.as_mut(), root)?;
    let content = content::read(repository.as_mut(), &verified, &parsed, source)?;
    tracing::info!(%package, source, digest = %content.digest, signed_by = %content.signed_by, "package resolved");
    Ok(content)
}

/// Opens the source for reading payloads by digest.
pub fn open(config: &Config, source: &str) -> Result<Box<dyn PayloadSource>, PackageError> {
    let parsed = Source::parse(source)?;
    Ok(Box::new(Payloads { repository: repository(config, &parsed, source)? }))
}

/// Gives the payloads of one source.
pub trait PayloadSource: Send {
    /// Manifest and config of an image, verified against `digest` and limited in size.
    fn image(&mut self, digest: &Digest) -> Result<Image, PackageError>;

    /// The compressed bytes of a layer, as a stream that owns what it needs.
    ///
    /// The caller hashes them and compares with [`Layer::digest`]: nothing is verified before the last byte is read.
    /// The stream gives exactly [`Layer::size`] bytes or an error; [`io_kind`] says what kind of failure it is.
    fn layer(&mut self, layer: &Layer) -> Result<Box<dyn Read + Send>, PackageError>;
}

struct Payloads {
    repository: Box<dyn Repository>,
}

impl PayloadSource for Payloads {
    fn image(&mut self, digest: &Digest) -> Result<Image, PackageError> {
        content::read_image(self.repository.as_mut(), digest, &Platform::this())
    }

    fn layer(&mut self, layer: &Layer) -> Result<Box<dyn Read + Send>, PackageError> {
        self.repository.blob(&layer.digest, layer.size)
    }
}

fn repository(config: &Config, parsed: &Source, source: &str) -> Result<Box<dyn Repository>, PackageError> {
    match parsed {
        Source::Layout { path, name } => Ok(Box::new(layout::Layout::open(path, name.as_deref())?)),
        Source::Registry { host, repository, tag, digest } => {
            Ok(Box::new(registry::Registry::open(config, host, repository, tag.as_deref(), digest.as_ref())?))
        }
        Source::Archive { path } => Ok(Box::new(archive::Archive::open(path)?)),
        Source::Ostree { .. } => Err(PackageError::NotOurs(oci::shorten(source))),
    }
}
