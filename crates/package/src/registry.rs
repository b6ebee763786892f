//! Repositories of OCI registries (distribution specification 1.1), read through blocking calls.
//!
//! Authentication and pushing are `oci-client`'s. Reading is done here, on the HTTP client that `oci-client` itself
//! uses, because a device must not trust a registry with its memory: every answer that is held has a size limit, and
//! a connection that began encrypted stays encrypted through redirects. See `docs/adr` for the comparison.

mod auth;
mod blob;
mod limit;
mod net;

use std::io::Read;
use std::sync::Arc;

use scomo_core::id::Digest;

use crate::config::Config;
use crate::error::PackageError;
use crate::repository::{Exact, RawManifest, Repository, verify};
pub(crate) use net::Net;
#[cfg(feature = "builder")]
pub(crate) use net::reach;

/// A repository and the manifest in it that the source names.
pub(crate) struct Registry {
    net: Arc<Net>,
    wanted: String,
    pinned: Option<Digest>,
    name: String,
}

impl Registry {
    /// Prepares a client; nothing is sent yet.
    pub(crate) fn open(
        config: &Config,
        host: &str,
        repository: &str,
        tag: Option<&str>,
        digest: Option<&Digest>,
    ) -> Result<Self, PackageError> {
        let wanted = digest.map(Digest::as_str).or(tag).unwrap_or("latest").to_owned();
        let name = repository.rsplit('/').next().unwrap_or_default().to_owned();
        let net = Arc::new(Net::new(config, host, repository)?);
        Ok(Self { net, wanted, pinned: digest.cloned(), name })
    }

    fn fetch(&self, reference: &str) -> Result<RawManifest, PackageError> {
        let what = format!("manifest {}:{reference}", self.net.place());
        let bytes = self.net.manifest(reference, &what)?;
        let digest = crate::oci::sha256(&bytes);
        Ok(RawManifest { bytes, digest })
    }
}

impl Repository for Registry {
    fn root(&mut self) -> Result<RawManifest, PackageError> {
        match self.pinned.clone() {
            Some(digest) => self.manifest(&digest),
            None => self.fetch(&self.wanted),
        }
    }

    fn manifest(&mut self, digest: &Digest) -> Result<RawManifest, PackageError> {
        let raw = self.fetch(digest.as_str())?;
        let bytes = verify(raw.bytes, digest, "the manifest")?;
        Ok(RawManifest { bytes, digest: digest.clone() })
    }

    fn named(&mut self, name: &str) -> Result<Option<RawManifest>, PackageError> {
        match self.fetch(name) {
            Ok(raw) => Ok(Some(raw)),
            Err(PackageError::Status { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn blob(&mut self, digest: &Digest, size: u64) -> Result<Box<dyn Read + Send>, PackageError> {
        let reader = blob::BlobReader::open(Arc::clone(&self.net), digest, size)?;
        Ok(Box::new(Exact::new(reader, format!("blob {digest}"), size)))
    }

    fn default_name(&self) -> String {
        self.name.clone()
    }
}
