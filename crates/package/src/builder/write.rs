//! Writing layouts and archives.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use scomo_core::id::Digest;
use tempfile::NamedTempFile;

use super::bundle::Bundle;
use crate::error::PackageError;
use crate::layout::{INDEX, MARKER, blob_name};
use crate::oci::{self, Index, MEDIA_INDEX};
use crate::repository::{Exact, Hashed, Repository, from_io};

const MARKER_TEXT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// A layout folder that is being written.
pub(crate) struct LayoutWriter {
    root: PathBuf,
}

impl LayoutWriter {
    /// Begins a layout in a folder that exists, empty or already a layout.
    pub(crate) fn create(root: &Path) -> Result<Self, PackageError> {
        let blobs = root.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(failed(&blobs))?;
        let writer = Self { root: root.to_owned() };
        writer.replace(MARKER, MARKER_TEXT)?;
        Ok(writer)
    }

    /// A new file on the same file system, to be handed to [`Self::adopt`].
    pub(crate) fn scratch(&self) -> Result<NamedTempFile, PackageError> {
        NamedTempFile::new_in(&self.root).map_err(failed(&self.root))
    }

    /// Makes a finished file the blob of its digest.
    pub(crate) fn adopt(&self, file: NamedTempFile, digest: &Digest) -> Result<(), PackageError> {
        self.persist(file, &blob_name(digest))
    }

    /// Stores a small blob.
    pub(crate) fn put(&self, bytes: &[u8]) -> Result<Digest, PackageError> {
        let digest = oci::sha256(bytes);
        self.replace(&blob_name(&digest), bytes)?;
        Ok(digest)
    }

    /// Stores a blob from a reader, verified.
    pub(crate) fn copy(&self, reader: impl Read, digest: &Digest) -> Result<(), PackageError> {
        if self.root.join(blob_name(digest)).exists() {
            return Ok(());
        }
        let what = format!("blob {digest}");
        let mut file = self.scratch()?;
        let mut hashed = Hashed::new(reader, digest.clone(), &what);
        copy_all(&mut hashed, &mut file, &what, &self.root)?;
        self.adopt(file, digest)
    }

    /// Replaces `index.json`, which makes everything else visible.
    pub(crate) fn set_index(&self, index: &Index) -> Result<(), PackageError> {
        self.replace(INDEX, &to_json(index)?)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), PackageError> {
        let mut file = self.scratch()?;
        file.write_all(bytes).map_err(failed(&self.root))?;
        self.persist(file, name)
    }

    fn persist(&self, file: NamedTempFile, name: &str) -> Result<(), PackageError> {
        let path = self.root.join(name);
        finish(file, &path)
    }
}

/// Writes a bundle as a `.scomo` archive. `zstd`: compress the whole; pays only for uncompressed layers.
pub(crate) fn write_archive(
    repository: &mut dyn Repository,
    bundle: &Bundle,
    path: &Path,
    zstd: bool,
) -> Result<(), PackageError> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = NamedTempFile::new_in(folder).map_err(failed(folder))?;
    if zstd {
        let level = 9;
        let mut encoder =
            zstd::stream::write::Encoder::new(io::BufWriter::new(&file), level).map_err(failed(path))?;
        encoder.include_checksum(true).map_err(failed(path))?;
        write_tar(repository, bundle, &mut encoder, path)?;
        encoder.finish().and_then(|mut buffer| buffer.flush()).map_err(failed(path))?;
    } else {
        let mut buffer = io::BufWriter::new(&file);
        write_tar(repository, bundle, &mut buffer, path)?;
        buffer.flush().map_err(failed(path))?;
    }
    finish(file, path)
}

/// The order is part of the format: what resolving reads comes first, so that it can be read from the head of a
/// stream.
fn write_tar(
    repository: &mut dyn Repository,
    bundle: &Bundle,
    out: &mut dyn Write,
    path: &Path,
) -> Result<(), PackageError> {
    let mut tar = tar::Builder::new(out);
    let mut append = |name: &str, size: u64, reader: &mut dyn Read| {
        let mut header = tar::Header::new_ustar();
        header.set_size(size);
        header.set_mode(0o644);
        header.set_entry_type(tar::EntryType::Regular);
        tar.append_data(&mut header, name, reader).map_err(|error| match error.downcast::<PackageError>() {
            Ok(inner) => inner,
            Err(source) => PackageError::Write { path: path.to_owned(), source },
        })
    };
    append(MARKER, MARKER_TEXT.len() as u64, &mut &MARKER_TEXT[..])?;
    let index = to_json(&bundle.index)?;
    append(INDEX, index.len() as u64, &mut index.as_slice())?;
    for (digest, bytes) in bundle.small() {
        append(&blob_name(digest), bytes.len() as u64, &mut &bytes[..])?;
    }
    for (digest, size) in bundle.large() {
        let what = format!("blob {digest}");
        let reader = repository.blob(digest, size)?;
        let mut reader = Hashed::new(Exact::new(reader, &what, size), digest.clone(), &what);
        append(&blob_name(digest), size, &mut reader)?;
        // The tar writer stops at the size; one more read makes the digest be compared.
        reader.read(&mut [0]).map_err(|e| from_io(e, &what))?;
    }
    tar.finish().map_err(failed(path))
}

/// Copies a bundle into a layout.
pub(crate) fn write_layout(
    repository: &mut dyn Repository,
    bundle: &Bundle,
    writer: &LayoutWriter,
) -> Result<(), PackageError> {
    for (_, bytes) in bundle.small() {
        writer.put(bytes)?;
    }
    for (digest, size) in bundle.large() {
        writer.copy(repository.blob(digest, size)?, digest)?;
    }
    Ok(())
}

/// The JSON text of a structure of ours.
pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, PackageError> {
    serde_json::to_vec(value).map_err(|source| PackageError::Json { what: "the output".to_owned(), source })
}

/// An index for `index.json` or a package.
pub(crate) fn new_index(manifests: Vec<oci::Descriptor>) -> Index {
    Index {
        schema_version: 2,
        media_type: Some(MEDIA_INDEX.to_owned()),
        artifact_type: None,
        manifests,
        annotations: std::collections::BTreeMap::new(),
    }
}

/// Makes a temporary file durable and gives it its name.
fn finish(file: NamedTempFile, path: &Path) -> Result<(), PackageError> {
    let mode = fs::Permissions::from_mode(0o644);
    file.as_file().set_permissions(mode).and_then(|()| file.as_file().sync_all()).map_err(failed(path))?;
    file.persist(path).map_err(|e| failed(path)(e.error))?;
    Ok(())
}

fn copy_all(
    reader: &mut dyn Read,
    file: &mut NamedTempFile,
    what: &str,
    folder: &Path,
) -> Result<(), PackageError> {
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let n = reader.read(&mut buffer).map_err(|e| from_io(e, what))?;
        if n == 0 {
            return file.rewind().map_err(failed(folder));
        }
        file.write_all(buffer.get(..n).unwrap_or_default()).map_err(failed(folder))?;
    }
}

/// Turns an I/O error into one that names the file.
pub(crate) fn failed(path: &Path) -> impl Fn(io::Error) -> PackageError + use<> {
    let path = path.to_owned();
    move |source| PackageError::Write { path: path.clone(), source }
}

/// Syncs a folder, so that the names in it survive a power cut.
pub(crate) fn sync_dir(path: &Path) -> Result<(), PackageError> {
    File::open(path).and_then(|d| d.sync_all()).map_err(failed(path))
}
