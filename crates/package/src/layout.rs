//! OCI image layout folders, as `skopeo copy … oci:` and our builder write them.
//!
//! The folder may be on a USB stick of a stranger: names in it are never followed, only digests are, and what is
//! opened must be a regular file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use scomo_core::id::Digest;
use serde::Deserialize;

use crate::error::PackageError;
use crate::json;
use crate::oci::{self, ANNOTATION_REF, Descriptor, Index};
use crate::repository::{Exact, RawManifest, Repository, from_io, read_limited, verify};

/// The file that marks a layout.
pub(crate) const MARKER: &str = "oci-layout";
/// The list of what a layout holds.
pub(crate) const INDEX: &str = "index.json";

/// A layout folder and the name in it that the source gave.
#[derive(Debug)]
pub(crate) struct Layout {
    path: PathBuf,
    name: Option<String>,
    index: Option<Index>,
}

impl Layout {
    pub(crate) fn open(path: &Path, name: Option<&str>) -> Result<Self, PackageError> {
        let mut layout = Self { path: path.to_owned(), name: name.map(str::to_owned), index: None };
        let (file, _) = layout.file(Path::new(MARKER)).map_err(|error| match error {
            PackageError::Missing { what, .. } => {
                let hint = format!("; '{}' is not an OCI image layout", path.display());
                PackageError::Missing { what, hint }
            }
            other => other,
        })?;
        check_marker(&read_file(file, &path.join(MARKER))?)?;
        layout.index = Some(layout.read_index()?);
        Ok(layout)
    }

    /// What `index.json` says.
    pub(crate) fn index(&self) -> &[Descriptor] {
        self.index.as_ref().map(|i| i.manifests.as_slice()).unwrap_or_default()
    }

    fn read_index(&self) -> Result<Index, PackageError> {
        let (file, _) = self.file(Path::new(INDEX))?;
        oci::parse_index(&read_file(file, &self.path.join(INDEX))?)
    }

    /// Opens a regular file below the layout, and gives its size.
    fn file(&self, name: &Path) -> Result<(File, u64), PackageError> {
        let path = self.path.join(name);
        let read = |source| PackageError::Read { path: path.clone(), source };
        // O_NONBLOCK: opening a FIFO that somebody put there must not hang.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&path)
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                    PackageError::missing(path.display().to_string())
                }
                _ if error.raw_os_error() == Some(libc::ELOOP) => not_a_file(&path),
                _ => read(error),
            })?;
        let meta = file.metadata().map_err(read)?;
        if meta.is_file() { Ok((file, meta.len())) } else { Err(not_a_file(&path)) }
    }
}

impl Repository for Layout {
    fn root(&mut self) -> Result<RawManifest, PackageError> {
        let found = find(self.index(), self.name.as_deref(), &self.path)?.clone();
        self.manifest(&found.digest)
    }

    fn manifest(&mut self, digest: &Digest) -> Result<RawManifest, PackageError> {
        let name = blob_name(digest);
        let (file, _) = self.file(Path::new(&name))?;
        let bytes = verify(read_file(file, &self.path.join(&name))?, digest, "the manifest")?;
        Ok(RawManifest { bytes, digest: digest.clone() })
    }

    fn named(&mut self, name: &str) -> Result<Option<RawManifest>, PackageError> {
        let found = self.index().iter().find(|d| ref_of(d) == Some(name)).map(|d| d.digest.clone());
        found.map(|digest| self.manifest(&digest)).transpose()
    }

    fn blob(&mut self, digest: &Digest, size: u64) -> Result<Box<dyn Read + Send>, PackageError> {
        let (file, found) = self.file(Path::new(&blob_name(digest)))?;
        let what = format!("blob {digest}");
        if found != size {
            return Err(PackageError::Size { what, expected: size, found });
        }
        Ok(Box::new(Exact::new(file, what, size)))
    }

    fn default_name(&self) -> String {
        self.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

/// The path of a blob below a layout's root. A digest is hexadecimal, so no name from outside becomes a path.
pub(crate) fn blob_name(digest: &Digest) -> String {
    let hex = digest.as_str().strip_prefix("sha256:").unwrap_or_default();
    format!("blobs/sha256/{hex}")
}

/// Checks the text of `oci-layout`.
pub(crate) fn check_marker(bytes: &[u8]) -> Result<(), PackageError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Marker {
        image_layout_version: String,
    }
    let marker: Marker = json::parse(bytes, MARKER)?;
    if marker.image_layout_version != "1.0.0" {
        let reason = format!("layout version '{}' is not 1.0.0", oci::shorten(&marker.image_layout_version));
        return Err(PackageError::format(MARKER, reason));
    }
    Ok(())
}

/// The entry of a layout's index that a source means.
pub(crate) fn find<'a>(
    entries: &'a [Descriptor],
    name: Option<&str>,
    path: &Path,
) -> Result<&'a Descriptor, PackageError> {
    let shown = path.display();
    let named = || entries.iter().filter(|d| !ref_of(d).is_some_and(is_signature_name));
    let names = || {
        let names: Vec<&str> = named().filter_map(ref_of).take(20).collect();
        oci::shorten(&names.join(", "))
    };
    if let Some(name) = name {
        return named().find(|d| ref_of(d) == Some(name)).ok_or_else(|| PackageError::Missing {
            what: format!("ref '{name}' of {shown}"),
            hint: format!("; it holds: {}", names()),
        });
    }
    match (named().next(), named().nth(1)) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(PackageError::missing(format!("any image or package in {shown}"))),
        (Some(_), Some(_)) => Err(PackageError::Missing {
            what: format!("a single image or package in {shown}"),
            hint: format!("; add :ref to the source, one of: {}", names()),
        }),
    }
}

/// The name that an entry has in its layout.
pub(crate) fn ref_of(entry: &Descriptor) -> Option<&str> {
    entry.annotations.get(ANNOTATION_REF).map(String::as_str)
}

/// Whether a tag or ref is that of a cosign signature.
pub(crate) fn is_signature_name(name: &str) -> bool {
    let hex = name.strip_prefix("sha256-").and_then(|n| n.strip_suffix(".sig"));
    hex.is_some_and(|h| h.len() == 64 && h.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn read_file(mut file: File, path: &Path) -> Result<Vec<u8>, PackageError> {
    let what = path.display().to_string();
    read_limited(&mut file, &what).map_err(|e| from_io(e, &what))
}

fn not_a_file(path: &Path) -> PackageError {
    PackageError::format(path.display().to_string(), "a layout holds regular files only, no links or devices")
}
