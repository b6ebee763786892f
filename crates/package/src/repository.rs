//! What every source looks like from above: manifests and blobs by digest, and a few names.
//!
//! An implementation finds bytes; it need not be honest. Everything that leaves this module through
//! [`Repository::manifest`] or [`read_small`] has been compared with its digest.

use std::io::{self, Read};

use scomo_core::id::Digest;
#[cfg(feature = "builder")]
use sha2::{Digest as _, Sha256};

use crate::error::PackageError;
use crate::oci::{self, Descriptor, MANIFEST_BYTES_MAX};

/// A manifest or index, byte for byte, and its digest computed from them.
#[derive(Debug, Clone)]
pub(crate) struct RawManifest {
    pub bytes: Vec<u8>,
    pub digest: Digest,
}

/// A source of manifests and blobs.
pub(crate) trait Repository: Send {
    /// The manifest or index that the source names.
    fn root(&mut self) -> Result<RawManifest, PackageError>;
    /// The manifest with this digest, verified.
    fn manifest(&mut self, digest: &Digest) -> Result<RawManifest, PackageError>;
    /// The manifest that carries this tag or ref; None: there is none.
    fn named(&mut self, name: &str) -> Result<Option<RawManifest>, PackageError>;
    /// The bytes of a blob. Not verified; the reader gives exactly `size` bytes or an error.
    fn blob(&mut self, digest: &Digest, size: u64) -> Result<Box<dyn Read + Send>, PackageError>;
    /// A name for what the source holds, where no label says better.
    fn default_name(&self) -> String;
}

/// Reads a small blob whole and compares size and digest.
pub(crate) fn read_small(
    repository: &mut dyn Repository,
    descriptor: &Descriptor,
    what: &str,
) -> Result<Vec<u8>, PackageError> {
    if descriptor.size > MANIFEST_BYTES_MAX {
        return Err(PackageError::TooLarge { what: what.to_owned(), limit: MANIFEST_BYTES_MAX });
    }
    let mut reader = repository.blob(&descriptor.digest, descriptor.size)?;
    let bytes = read_limited(&mut reader, what).map_err(|e| from_io(e, what))?;
    verify(bytes, &descriptor.digest, what)
}

/// `bytes`, if they have the digest.
pub(crate) fn verify(bytes: Vec<u8>, expected: &Digest, what: &str) -> Result<Vec<u8>, PackageError> {
    let found = oci::sha256(&bytes);
    if found == *expected {
        return Ok(bytes);
    }
    Err(PackageError::Digest { what: what.to_owned(), expected: expected.clone(), found })
}

/// Reads at most [`MANIFEST_BYTES_MAX`] bytes; more is an error.
pub(crate) fn read_limited(reader: &mut dyn Read, what: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MANIFEST_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MANIFEST_BYTES_MAX {
        return Err(PackageError::TooLarge { what: what.to_owned(), limit: MANIFEST_BYTES_MAX }.into());
    }
    Ok(bytes)
}

/// The [`PackageError`] inside an I/O error, or one around it.
pub(crate) fn from_io(error: io::Error, what: &str) -> PackageError {
    match error.downcast::<PackageError>() {
        Ok(inner) => inner,
        Err(source) => PackageError::Read { path: what.into(), source },
    }
}

/// Gives exactly the promised number of bytes, or an error that says how many came.
pub(crate) struct Exact<R> {
    inner: R,
    what: String,
    expected: u64,
    done: u64,
}

impl<R: Read> Exact<R> {
    pub(crate) fn new(inner: R, what: impl Into<String>, expected: u64) -> Self {
        Self { inner, what: what.into(), expected, done: 0 }
    }

    fn wrong(&self) -> io::Error {
        PackageError::Size { what: self.what.clone(), expected: self.expected, found: self.done }.into()
    }
}

impl<R: Read> Read for Exact<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let n = self.inner.read(buffer)?;
        self.done = self.done.saturating_add(n as u64);
        if self.done > self.expected || (n == 0 && self.done < self.expected) {
            return Err(self.wrong());
        }
        Ok(n)
    }
}

/// Hashes what passes through and compares at the end: for whoever copies a blob without looking at it.
#[cfg(feature = "builder")]
pub(crate) struct Hashed<R> {
    inner: R,
    hash: Option<Sha256>,
    expected: Digest,
    what: String,
}

#[cfg(feature = "builder")]
impl<R: Read> Hashed<R> {
    pub(crate) fn new(inner: R, expected: Digest, what: impl Into<String>) -> Self {
        Self { inner, hash: Some(Sha256::new()), expected, what: what.into() }
    }
}

#[cfg(feature = "builder")]
impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let n = self.inner.read(buffer)?;
        if let Some(hash) = self.hash.as_mut() {
            hash.update(buffer.get(..n).unwrap_or_default());
        }
        if n == 0
            && let Some(hash) = self.hash.take()
        {
            let found = oci::finish(hash);
            if found != self.expected {
                let (what, expected) = (self.what.clone(), self.expected.clone());
                return Err(PackageError::Digest { what, expected, found }.into());
            }
        }
        Ok(n)
    }
}
