//! Pushing a layout or archive to a registry, signatures included.

use std::io::Read;

use bytes::Bytes;
use futures_util::stream;
use oci_client::errors::OciDistributionError;
use oci_client::{Reference, RegistryOperation};
use reqwest::header::HeaderValue;
use scomo_core::id::Digest;
use serde::Serialize;

use super::bundle::{Bundle, signature_entry};
use super::sign::Signed;
use super::write::new_index;
use crate::archive::Archive;
use crate::config::Config;
use crate::error::PackageError;
use crate::layout::{self, Layout};
use crate::oci::{self, Descriptor};
use crate::registry::{Net, reach};
use crate::repository::{Exact, Hashed, Repository};
use crate::signature::tag_of;
use crate::sources::Source;

/// Bytes of a blob that are sent in one request; held in memory.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// What was pushed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PushReport {
    /// Digest of the package.
    pub digest: String,
    /// `docker://…` with the digest: the pinned address of what was pushed.
    pub pinned: String,
    /// Blobs that were sent.
    pub sent: usize,
    /// Blobs that were there already.
    pub reused: usize,
    /// Whether signatures went along.
    pub signed: bool,
}

/// Pushes the package at `from` (`oci:` or `.scomo`) to `to` (`docker://host/repository:tag`). The tag is set last, so
/// that nobody sees half a package.
pub fn push(config: &Config, from: &str, to: &str) -> Result<PushReport, PackageError> {
    let (source, target) = (Source::parse(from)?, Source::parse(to)?);
    let (entries, name, path): (Vec<Descriptor>, _, _) = match &source {
        Source::Layout { path, name } => {
            (Layout::open(path, None)?.index().to_vec(), name.clone(), path.clone())
        }
        Source::Archive { path } => (Archive::open(path)?.index().to_vec(), None, path.clone()),
        Source::Registry { .. } | Source::Ostree { .. } => {
            let reason = "push takes an oci: layout or a .scomo archive; copy between registries with skopeo"
                .to_owned();
            return Err(PackageError::Source { url: oci::shorten(from), reason });
        }
    };
    let mut repository = crate::repository(config, &source, from)?;
    let entry = layout::find(&entries, name.as_deref(), &path)?.clone();
    let mut pusher = Pusher::open(config, &target)?;
    let mut bundle = Bundle::new(new_index(Vec::new()));
    bundle.add(repository.as_mut(), &entry)?;
    pusher.bundle(repository.as_mut(), &bundle, Some(&entry.digest))?;
    if let Some(signature) = signature_entry(&entries, &entry.digest) {
        let mut bundle = Bundle::new(new_index(Vec::new()));
        bundle.add(repository.as_mut(), signature)?;
        pusher.bundle(repository.as_mut(), &bundle, None)?;
        pusher.tag(&bundle, &tag_of(&entry.digest))?;
        pusher.report.signed = true;
    }
    // Last: a device that sees the tag finds the package whole and its signature beside it.
    pusher.tag(&bundle, &pusher.wanted_tag()?)?;
    pusher.report.digest = entry.digest.to_string();
    pusher.report.pinned = format!("{}@{}", target.place(), entry.digest);
    Ok(pusher.report)
}

/// Writes to one repository of a registry.
pub(crate) struct Pusher {
    net: Net,
    client: oci_client::Client,
    target: Source,
    report: PushReport,
}

impl Pusher {
    /// Logs in for pushing.
    pub(crate) fn open(config: &Config, target: &Source) -> Result<Self, PackageError> {
        let Source::Registry { host, repository, .. } = target else {
            let reason = "the target must be docker://host/repository[:tag]".to_owned();
            return Err(PackageError::Source { url: target.place(), reason });
        };
        let net = Net::new(config, host, repository)?;
        let client = net.credentials().oci_client()?;
        let pusher = Self { net, client, target: target.clone(), report: PushReport::default() };
        let (reference, auth) = (pusher.reference("latest"), pusher.net.credentials().auth());
        let login = pusher.client.auth(&reference, auth, RegistryOperation::Push);
        pusher.net.block_on(login).map_err(|e| refused(e, "the login"))?;
        Ok(pusher)
    }

    fn wanted_tag(&self) -> Result<String, PackageError> {
        match &self.target {
            Source::Registry { tag: Some(tag), digest: None, .. } => Ok(tag.clone()),
            _ => {
                let reason = "push to a tag, not to a digest".to_owned();
                Err(PackageError::Source { url: self.target.place(), reason })
            }
        }
    }

    fn reference(&self, tag: &str) -> Reference {
        Reference::with_tag(self.net.host().to_owned(), self.net.repository().to_owned(), tag.to_owned())
    }

    /// Sends everything of a bundle but the tag. `top` is sent by [`Self::tag`].
    fn bundle(
        &mut self,
        repository: &mut dyn Repository,
        bundle: &Bundle,
        top: Option<&Digest>,
    ) -> Result<(), PackageError> {
        for (digest, bytes) in bundle.configs() {
            self.blob(digest, bytes.len() as u64, || Ok(Box::new(std::io::Cursor::new(bytes.clone()))))?;
        }
        for (digest, size) in bundle.large() {
            self.blob(digest, size, || repository.blob(digest, size))?;
        }
        for (descriptor, bytes) in &bundle.manifests {
            if Some(&descriptor.digest) != top {
                self.manifest(bytes, &descriptor.media_type, descriptor.digest.as_str())?;
            }
        }
        Ok(())
    }

    /// Gives the outermost manifest of a bundle its tag.
    fn tag(&self, bundle: &Bundle, tag: &str) -> Result<(), PackageError> {
        match bundle.manifests.last() {
            Some((descriptor, bytes)) => self.manifest(bytes, &descriptor.media_type, tag),
            None => Ok(()),
        }
    }

    /// Sends a signature and moves its tag.
    pub(crate) fn push_signature(&mut self, signed: &Signed) -> Result<(), PackageError> {
        for bytes in &signed.blobs {
            let digest = oci::sha256(bytes);
            self.blob(&digest, bytes.len() as u64, || Ok(Box::new(std::io::Cursor::new(bytes.clone()))))?;
        }
        self.manifest(&signed.manifest, oci::MEDIA_MANIFEST, &tag_of(&signed.digest))
    }

    fn blob(
        &mut self,
        digest: &Digest,
        size: u64,
        open: impl FnOnce() -> Result<Box<dyn Read + Send>, PackageError>,
    ) -> Result<(), PackageError> {
        let what = format!("blob {digest}");
        let reference = self.reference("latest");
        let there = self.net.block_on(self.client.blob_exists(&reference, digest.as_str()));
        if there.map_err(|e| refused(e, &what))? {
            self.report.reused = self.report.reused.saturating_add(1);
            return Ok(());
        }
        let reader = Hashed::new(Exact::new(open()?, &what, size), digest.clone(), &what);
        let chunks = Chunks { reader: Some(reader) };
        let sending =
            self.client.push_blob_stream(&reference, stream::iter(chunks), digest.as_str(), Some(size));
        self.net.block_on(sending).map_err(|e| refused(e, &what))?;
        self.report.sent = self.report.sent.saturating_add(1);
        Ok(())
    }

    fn manifest(&self, bytes: &[u8], media_type: &str, name: &str) -> Result<(), PackageError> {
        let what = format!("manifest {name}");
        let header = HeaderValue::from_str(media_type)
            .map_err(|_| PackageError::format(&what, "its media type is no header value"))?;
        let reference = if name.starts_with("sha256:") {
            let (host, repository) = (self.net.host().to_owned(), self.net.repository().to_owned());
            Reference::with_digest(host, repository, name.to_owned())
        } else {
            self.reference(name)
        };
        let sending = self.client.push_manifest_raw(&reference, bytes.to_vec(), header);
        self.net.block_on(sending).map_err(|e| refused(e, &what))?;
        Ok(())
    }
}

/// A blob in pieces.
struct Chunks<R> {
    reader: Option<R>,
}

impl<R: Read> Iterator for Chunks<R> {
    type Item = Result<Bytes, OciDistributionError>;

    fn next(&mut self) -> Option<Self::Item> {
        let reader = self.reader.as_mut()?;
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        match reader.take(CHUNK_BYTES as u64).read_to_end(&mut chunk) {
            Ok(0) => None,
            Ok(_) => Some(Ok(chunk.into())),
            Err(error) => {
                self.reader = None;
                Some(Err(error.into()))
            }
        }
    }
}

fn refused(error: OciDistributionError, what: &str) -> PackageError {
    let status = |status: u16, text: &str| PackageError::Status {
        what: what.to_owned(),
        status,
        hint: format!(" ({})", oci::shorten(text)),
    };
    match error {
        OciDistributionError::UnauthorizedError { .. } => {
            status(401, "set username and password of the registry")
        }
        OciDistributionError::AuthenticationFailure(text) => status(401, &text),
        OciDistributionError::ServerError { code, message, .. } => status(code, &message),
        OciDistributionError::RegistryError { envelope, .. } => status(400, &envelope.to_string()),
        OciDistributionError::RequestError(error) if error.status().is_some() => {
            status(error.status().map_or(500, |s| s.as_u16()), "the registry's answer to an upload")
        }
        OciDistributionError::IoError(error) => crate::repository::from_io(error, what),
        other => reach(what, other),
    }
}
