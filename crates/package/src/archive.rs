//! `.scomo` archives: an OCI layout in one tar file, optionally compressed with zstd. Nothing is unpacked.
//!
//! The tar is read from front to back as far as it takes to find what is asked for, and where each entry lies is
//! remembered. Our builder writes `index.json`, manifests and configs before layers, so that resolving reads the head
//! only; any other order works too. In a compressed archive, going back means decompressing from the start again.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use scomo_core::id::Digest;

use crate::error::PackageError;
use crate::layout::{self, INDEX, MARKER, blob_name, ref_of};
use crate::oci::{self, Descriptor, Index};
use crate::repository::{Exact, RawManifest, Repository, from_io, read_limited, verify};

/// Most entries of an archive: every blob of the largest package, with room for folders and other headers.
pub const ENTRIES_MAX: usize = 32 * 1024;
/// Most bytes of an archive once decompressed: bounds the work that a small bomb can cause.
pub const ARCHIVE_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;
/// Largest zstd window as a power of two, 8 MiB: it is memory. Every level up to 19 stays within it.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 23;
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const BLOCK: u64 = 512;

/// An archive, and where things lie in it as far as it was looked at.
pub(crate) struct Archive {
    path: PathBuf,
    tar: Tar,
    entries: BTreeMap<String, Place>,
    count: usize,
    next: u64,
    complete: bool,
    truncated: bool,
    index: Option<Index>,
}

#[derive(Clone, Copy)]
struct Place {
    offset: u64,
    size: u64,
}

impl Archive {
    pub(crate) fn open(path: &Path) -> Result<Self, PackageError> {
        let tar = Tar::open(path)?;
        let (entries, path) = (BTreeMap::new(), path.to_owned());
        let mut archive =
            Self { path, tar, entries, count: 0, next: 0, complete: false, truncated: false, index: None };
        let marker = archive.read(MARKER).map_err(|error| match error {
            PackageError::Missing { what, .. } => {
                let hint = "; it is not a .scomo archive, which is a tar of an OCI image layout".to_owned();
                PackageError::Missing { what, hint }
            }
            other => other,
        })?;
        layout::check_marker(&marker)?;
        archive.index = Some(oci::parse_index(&archive.read(INDEX)?)?);
        Ok(archive)
    }

    /// What `index.json` says.
    pub(crate) fn index(&self) -> &[Descriptor] {
        self.index.as_ref().map(|i| i.manifests.as_slice()).unwrap_or_default()
    }

    /// Whether the archive as a whole is compressed.
    #[cfg(feature = "builder")]
    pub(crate) fn is_compressed(&self) -> bool {
        matches!(self.tar, Tar::Zstd { .. })
    }

    fn read(&mut self, name: &str) -> Result<Vec<u8>, PackageError> {
        let what = format!("{name} in {}", self.path.display());
        let place = self.find(name)?.ok_or_else(|| PackageError::missing(&what))?;
        let mut reader = Exact::new(self.reader(place)?, &what, place.size);
        read_limited(&mut reader, &what).map_err(|e| from_io(e, &what))
    }

    fn reader(&self, place: Place) -> Result<Box<dyn Read + Send>, PackageError> {
        let reader = self.tar.at(place.offset).map_err(|e| from_io(e, &self.path.display().to_string()))?;
        Ok(Box::new(reader.take(place.size)))
    }

    /// Where an entry lies; scans on until it is found. The first entry of a name counts.
    fn find(&mut self, name: &str) -> Result<Option<Place>, PackageError> {
        while !self.entries.contains_key(name) && !self.complete {
            self.scan_one()?;
        }
        match self.entries.get(name) {
            None if self.truncated => {
                let what = self.path.display().to_string();
                Err(PackageError::Size {
                    what,
                    expected: self.next.saturating_add(2 * BLOCK),
                    found: self.next,
                })
            }
            place => Ok(place.copied()),
        }
    }

    fn scan_one(&mut self) -> Result<(), PackageError> {
        let what = self.path.display().to_string();
        let broken = |reason: &str| PackageError::format(what.clone(), reason);
        let mut header = tar::Header::new_old();
        let mut reader = self.tar.at(self.next).map_err(|e| from_io(e, &what))?;
        match reader.read_exact(header.as_mut_bytes()) {
            Ok(()) => {}
            // A tar that ends without its two empty blocks may be a download that broke off, or a tool's habit: it
            // is damaged only when something turns out to be missing.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.complete = true;
                self.truncated = true;
                return Ok(());
            }
            Err(error) => return Err(from_io(error, &what)),
        }
        drop(reader);
        if header.as_bytes().iter().all(|b| *b == 0) {
            self.complete = true;
            return Ok(());
        }
        check_sum(&header).map_err(broken)?;
        let size = header.entry_size().map_err(|_| broken("an entry of the tar has no valid size"))?;
        let offset = self.next.saturating_add(BLOCK);
        let padded = size.checked_next_multiple_of(BLOCK).and_then(|s| s.checked_add(offset));
        match padded {
            Some(next) if next <= ARCHIVE_BYTES_MAX => self.next = next,
            _ => return Err(PackageError::TooLarge { what, limit: ARCHIVE_BYTES_MAX }),
        }
        self.count = self.count.saturating_add(1);
        if self.count > ENTRIES_MAX {
            return Err(broken(&format!("the tar has more than {ENTRIES_MAX} entries")));
        }
        // Folders and extended headers are passed over, links and devices mean nothing here. A name is only ever
        // compared with the names that a layout has; what it leads to is checked by digest.
        if header.entry_type().is_file() {
            let name = String::from_utf8_lossy(&header.path_bytes()).into_owned();
            let name = name.strip_prefix("./").unwrap_or(&name);
            if name == MARKER || name == INDEX || name.starts_with("blobs/sha256/") {
                self.entries.entry(name.to_owned()).or_insert(Place { offset, size });
            }
        }
        Ok(())
    }
}

impl Repository for Archive {
    fn root(&mut self) -> Result<RawManifest, PackageError> {
        let found = layout::find(self.index(), None, &self.path)?.clone();
        self.manifest(&found.digest)
    }

    fn manifest(&mut self, digest: &Digest) -> Result<RawManifest, PackageError> {
        let bytes = verify(self.read(&blob_name(digest))?, digest, "the manifest")?;
        Ok(RawManifest { bytes, digest: digest.clone() })
    }

    fn named(&mut self, name: &str) -> Result<Option<RawManifest>, PackageError> {
        let found = self.index().iter().find(|d| ref_of(d) == Some(name)).map(|d| d.digest.clone());
        found.map(|digest| self.manifest(&digest)).transpose()
    }

    fn blob(&mut self, digest: &Digest, size: u64) -> Result<Box<dyn Read + Send>, PackageError> {
        let what = format!("blob {digest}");
        let place = self.find(&blob_name(digest))?;
        let place =
            place.ok_or_else(|| PackageError::missing(format!("{what} in {}", self.path.display())))?;
        if place.size != size {
            return Err(PackageError::Size { what, expected: size, found: place.size });
        }
        Ok(Box::new(Exact::new(self.reader(place)?, what, size)))
    }

    fn default_name(&self) -> String {
        self.path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

fn check_sum(header: &tar::Header) -> Result<(), &'static str> {
    let written = header.cksum().map_err(|_| "it is not a tar file, or damaged")?;
    let bytes = header.as_bytes().iter().enumerate();
    // The sum is made with its own eight bytes read as spaces.
    let sum: u32 = bytes.map(|(n, b)| if (148..156).contains(&n) { 32 } else { u32::from(*b) }).sum();
    if sum == written {
        Ok(())
    } else {
        Err("it is not a tar file, or damaged: a header has a wrong checksum")
    }
}

/// The uncompressed tar, readable from any offset.
enum Tar {
    Plain(Arc<File>),
    Zstd { file: Arc<File>, idle: Arc<Mutex<Option<Stream>>> },
}

impl Tar {
    fn open(path: &Path) -> Result<Self, PackageError> {
        let read = |source| PackageError::Read { path: path.to_owned(), source };
        // O_NONBLOCK: opening a FIFO must not hang. Links are followed: who gave the path may have made it one.
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
        let file = file.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => PackageError::missing(path.display().to_string()),
            _ => read(error),
        })?;
        if !file.metadata().map_err(read)?.is_file() {
            return Err(PackageError::format(
                path.display().to_string(),
                "a .scomo archive is a regular file",
            ));
        }
        let mut magic = [0; 4];
        let compressed = match file.read_exact_at(&mut magic, 0) {
            Ok(()) => magic == ZSTD_MAGIC,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(error) => return Err(read(error)),
        };
        let file = Arc::new(file);
        Ok(if compressed { Self::Zstd { file, idle: Arc::default() } } else { Self::Plain(file) })
    }

    /// A reader of the tar from `offset` on.
    fn at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        match self {
            Self::Plain(file) => Ok(Box::new(At { file: Arc::clone(file), offset })),
            Self::Zstd { file, idle } => {
                let waiting = idle.lock().unwrap_or_else(PoisonError::into_inner).take();
                let mut stream = match waiting.filter(|s| s.position <= offset) {
                    Some(stream) => stream,
                    None => Stream::start(file)?,
                };
                stream.skip_to(offset)?;
                Ok(Box::new(Lent { stream: Some(stream), idle: Arc::clone(idle) }))
            }
        }
    }
}

/// Reads a file from an offset without moving the file's own.
struct At {
    file: Arc<File>,
    offset: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(buffer, self.offset)?;
        self.offset = self.offset.saturating_add(n as u64);
        Ok(n)
    }
}

/// A decompressor somewhere in the archive.
struct Stream {
    decoder: zstd::stream::read::Decoder<'static, io::BufReader<At>>,
    position: u64,
}

impl Stream {
    fn start(file: &Arc<File>) -> io::Result<Self> {
        let mut decoder = zstd::stream::read::Decoder::new(At { file: Arc::clone(file), offset: 0 })?;
        decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
        Ok(Self { decoder, position: 0 })
    }

    fn skip_to(&mut self, offset: u64) -> io::Result<()> {
        let missing = offset.saturating_sub(self.position);
        let skipped = io::copy(&mut self.take(missing), &mut io::sink())?;
        // The end may lie before the offset: then the next read finds it, as it does in a plain file.
        debug_assert!(skipped <= missing);
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.decoder.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => error,
            _ => io::Error::new(io::ErrorKind::InvalidData, error),
        })?;
        self.position = self.position.saturating_add(n as u64);
        Ok(n)
    }
}

/// A decompressor on loan: it goes back for the next entry, which usually lies behind this one.
struct Lent {
    stream: Option<Stream>,
    idle: Arc<Mutex<Option<Stream>>>,
}

impl Read for Lent {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.stream.as_mut() {
            Some(stream) => stream.read(buffer),
            None => Ok(0),
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = self.stream.take();
    }
}
