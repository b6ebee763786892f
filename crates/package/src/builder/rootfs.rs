//! An image of one layer from a folder, for whoever has no image builder at hand.
//!
//! The tar is reproducible: names in byte order, one time stamp, no owners unless asked for, no host names. Hard links
//! within the folder stay links; extended attributes that matter in an image are kept.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use scomo_core::id::Digest;
use sha2::{Digest as _, Sha256};

use super::write::{LayoutWriter, failed};
use crate::error::PackageError;
use crate::oci::{self, Compression, Descriptor};

/// Deepest folder that is followed.
const DEPTH_MAX: usize = 128;
/// Within the window that devices accept, and hardly larger than the slowest level.
const ZSTD_LEVEL: i32 = 15;

/// How a folder becomes a layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RootfsOptions {
    pub compression: Compression,
    pub keep_owners: bool,
    pub epoch_s: u64,
}

/// A layer that was written.
#[derive(Debug, Clone)]
pub(crate) struct NewLayer {
    pub descriptor: Descriptor,
    pub diff_id: Digest,
}

/// Writes the folder as a layer into the layout.
pub(crate) fn layer(
    writer: &LayoutWriter,
    folder: &Path,
    options: RootfsOptions,
) -> Result<NewLayer, PackageError> {
    let read = |source| PackageError::Read { path: folder.to_owned(), source };
    if !fs::metadata(folder).map_err(read)?.is_dir() {
        return Err(PackageError::Recipe(format!("rootfs {} is not a folder", folder.display())));
    }
    let file = writer.scratch()?;
    let (media_type, diff_id, packed) = {
        let packed = Counted::new(BufWriter::new(&file));
        compress(packed, folder, options)?
    };
    let descriptor = Descriptor {
        media_type: media_type.to_owned(),
        digest: packed.0,
        size: packed.1,
        artifact_type: None,
        platform: None,
        annotations: BTreeMap::new(),
    };
    writer.adopt(file, &descriptor.digest)?;
    Ok(NewLayer { descriptor, diff_id })
}

fn compress<W: Write>(
    packed: Counted<W>,
    folder: &Path,
    options: RootfsOptions,
) -> Result<(&'static str, Digest, (Digest, u64)), PackageError> {
    let write = failed(folder);
    match options.compression {
        Compression::None => {
            let mut tar = Counted::new(packed);
            write_tar(&mut tar, folder, options)?;
            let (diff_id, _, packed) = tar.finish();
            Ok(("application/vnd.oci.image.layer.v1.tar", diff_id, packed.flushed().map_err(write)?))
        }
        Compression::Gzip => {
            // No time and no name in the gzip header, so equal input gives equal output.
            let encoder = flate2::GzBuilder::new().write(packed, flate2::Compression::best());
            let mut tar = Counted::new(encoder);
            write_tar(&mut tar, folder, options)?;
            let (diff_id, _, encoder) = tar.finish();
            let packed = encoder.finish().map_err(&write)?.flushed().map_err(&write)?;
            Ok(("application/vnd.oci.image.layer.v1.tar+gzip", diff_id, packed))
        }
        Compression::Zstd => {
            let mut encoder = zstd::stream::write::Encoder::new(packed, ZSTD_LEVEL).map_err(&write)?;
            encoder.window_log(crate::archive::ZSTD_WINDOW_LOG_MAX).map_err(&write)?;
            encoder.include_checksum(true).map_err(&write)?;
            let mut tar = Counted::new(encoder);
            write_tar(&mut tar, folder, options)?;
            let (diff_id, _, encoder) = tar.finish();
            let packed = encoder.finish().map_err(&write)?.flushed().map_err(&write)?;
            Ok(("application/vnd.oci.image.layer.v1.tar+zstd", diff_id, packed))
        }
    }
}

fn write_tar(out: &mut dyn Write, folder: &Path, options: RootfsOptions) -> Result<(), PackageError> {
    let mut walk =
        Walk { tar: tar::Builder::new(out), options, links: BTreeMap::new(), root: folder.to_owned() };
    walk.folder(Path::new(""), 0)?;
    walk.tar.finish().map_err(failed(folder))
}

struct Walk<'a> {
    tar: tar::Builder<&'a mut dyn Write>,
    options: RootfsOptions,
    /// First path of each file that has several names.
    links: BTreeMap<(u64, u64), PathBuf>,
    root: PathBuf,
}

impl Walk<'_> {
    fn folder(&mut self, below: &Path, depth: usize) -> Result<(), PackageError> {
        let path = self.root.join(below);
        let read = |source| PackageError::Read { path: path.clone(), source };
        if depth > DEPTH_MAX {
            return Err(PackageError::Recipe(format!(
                "{} lies deeper than {DEPTH_MAX} folders",
                path.display()
            )));
        }
        let names = fs::read_dir(&path).map_err(read)?.map(|e| e.map(|e| e.file_name()));
        let mut names = names.collect::<io::Result<Vec<_>>>().map_err(read)?;
        names.sort();
        for name in names {
            let below = below.join(&name);
            let path = self.root.join(&below);
            let read = |source| PackageError::Read { path: path.clone(), source };
            let meta = fs::symlink_metadata(&path).map_err(read)?;
            self.entry(&below, &path, &meta)?;
            if meta.is_dir() {
                self.folder(&below, depth.saturating_add(1))?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, below: &Path, path: &Path, meta: &Metadata) -> Result<(), PackageError> {
        let kind = meta.file_type();
        if kind.is_socket() || kind.is_fifo() || kind.is_block_device() || kind.is_char_device() {
            let reason =
                format!("{} is a device, FIFO or socket; leave it out of the rootfs", path.display());
            return Err(PackageError::Recipe(reason));
        }
        let write = failed(path);
        let read = |source| PackageError::Read { path: path.to_owned(), source };
        let mut header = self.header(meta);
        if meta.is_file() && meta.nlink() > 1 {
            let key = (meta.dev(), meta.ino());
            if let Some(first) = self.links.get(&key).cloned() {
                header.set_entry_type(tar::EntryType::Link);
                header.set_size(0);
                return self.tar.append_link(&mut header, below, &first).map_err(write);
            }
            self.links.insert(key, below.to_owned());
        }
        if kind.is_symlink() {
            let target = fs::read_link(path).map_err(read)?;
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            return self.tar.append_link(&mut header, below, &target).map_err(write);
        }
        self.attributes(path)?;
        if meta.is_dir() {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_size(0);
            let mut name = below.as_os_str().to_owned();
            name.push("/");
            return self.tar.append_data(&mut header, Path::new(&name), io::empty()).map_err(write);
        }
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(meta.len());
        let file = fs::File::open(path).map_err(read)?;
        self.tar.append_data(&mut header, below, SameSize { file, left: meta.len() }).map_err(write)
    }

    fn header(&self, meta: &Metadata) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_mode(meta.mode() & 0o7777);
        header.set_mtime(self.options.epoch_s);
        let (uid, gid) = if self.options.keep_owners { (meta.uid(), meta.gid()) } else { (0, 0) };
        header.set_uid(u64::from(uid));
        header.set_gid(u64::from(gid));
        header
    }

    /// File capabilities and user attributes; SELinux labels belong to the machine that built, not to the image.
    fn attributes(&mut self, path: &Path) -> Result<(), PackageError> {
        let read = |source| PackageError::Read { path: path.to_owned(), source };
        let names = match xattr::list(path) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(()),
            Err(error) => return Err(read(error)),
        };
        let wanted = |name: &OsStr| name == "security.capability" || name.as_bytes().starts_with(b"user.");
        let mut names: Vec<_> = names.filter(|name| wanted(name)).collect();
        names.sort();
        let mut records = Vec::new();
        for name in names {
            if let (Some(value), Some(name)) = (xattr::get(path, &name).map_err(read)?, name.to_str()) {
                records.push((format!("SCHILY.xattr.{name}"), value));
            }
        }
        if records.is_empty() {
            return Ok(());
        }
        let records = records.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
        self.tar.append_pax_extensions(records).map_err(failed(path))
    }
}

/// A file that changed its length while it was read would shift everything behind it in the tar.
struct SameSize {
    file: fs::File,
    left: u64,
}

impl io::Read for SameSize {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        match self.left.checked_sub(n as u64) {
            Some(left) if n > 0 || left == 0 || buffer.is_empty() => {
                self.left = left;
                Ok(n)
            }
            _ => Err(io::Error::other("the file changed while it was read")),
        }
    }
}

/// Counts and hashes what passes.
struct Counted<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Counted<W> {
    fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }

    fn finish(self) -> (Digest, u64, W) {
        (oci::finish(self.hash), self.bytes, self.inner)
    }

    fn flushed(mut self) -> io::Result<(Digest, u64)> {
        self.inner.flush()?;
        Ok((oci::finish(self.hash), self.bytes))
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(buffer)?;
        self.hash.update(buffer.get(..n).unwrap_or_default());
        self.bytes = self.bytes.saturating_add(n as u64);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
