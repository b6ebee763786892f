//! What the tests share: archives byte by byte, images, a store in a temporary folder, a listing of a checkout.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{Cursor, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use scomo_core::id::Digest;
use sha2::{Digest as _, Sha256};
use tar::EntryType;

use crate::session::Layout;
use crate::{BoxError, Compression, Imported, Layer, Rights, Store, StoreError, TreeId};

/// Prints the line that the test wrapper counts, and says whether to return.
pub fn lacks_root(test: &str) -> bool {
    let lacks = !rustix::process::geteuid().is_root();
    if lacks {
        eprintln!("SKIPPED: needs root: {test}");
    }
    lacks
}

/// Builds a tar archive; every method appends.
#[derive(Debug, Default, Clone)]
pub struct Tar {
    pub bytes: Vec<u8>,
}

impl Tar {
    pub fn new() -> Self {
        Self::default()
    }

    /// A header as `change` makes it from a usual one, and its content.
    pub fn raw(mut self, path: &[u8], data: &[u8], change: impl FnOnce(&mut tar::Header)) -> Self {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_700_000_000);
        header.set_size(data.len() as u64);
        header.as_old_mut().name[..path.len()].copy_from_slice(path);
        change(&mut header);
        header.set_cksum();
        self.bytes.extend_from_slice(header.as_bytes());
        self.data(data)
    }

    pub fn data(mut self, data: &[u8]) -> Self {
        self.bytes.extend_from_slice(data);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    pub fn file(self, path: &str, data: &str) -> Self {
        self.raw(path.as_bytes(), data.as_bytes(), |_| {})
    }

    pub fn kind(self, path: &str, kind: u8, link: &str) -> Self {
        self.raw(path.as_bytes(), b"", |header| {
            header.set_entry_type(EntryType::new(kind));
            header.set_mode(0o755);
            header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        })
    }

    pub fn dir(self, path: &str) -> Self {
        self.kind(path, b'5', "")
    }

    pub fn link(self, path: &str, target: &str) -> Self {
        self.kind(path, b'1', target)
    }

    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.kind(path, b'2', target)
    }

    /// A PAX header for the next entry.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest;
            while length != rest + length.to_string().len() {
                length = rest + length.to_string().len();
            }
            data.extend_from_slice(format!("{length} {key}=").as_bytes());
            data.extend_from_slice(value);
            data.push(b'\n');
        }
        self.raw(b"pax", &data, |header| header.set_entry_type(EntryType::XHeader))
    }

    /// GNU long name (`L`) or long link (`K`) for the next entry.
    pub fn long(self, kind: u8, text: &[u8]) -> Self {
        let mut data = text.to_vec();
        data.push(0);
        self.raw(b"././@LongLink", &data, |header| header.set_entry_type(EntryType::new(kind)))
    }

    /// The archive with its end mark.
    pub fn end(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&[0; 1024]);
        self.bytes
    }
}

pub fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(data: &[u8]) -> Vec<u8> {
    ::zstd::stream::encode_all(data, 3).unwrap()
}

pub fn digest(data: &[u8]) -> Digest {
    Digest::from_sha256(Sha256::digest(data).into())
}

/// Layers with their compressed bytes.
#[derive(Debug, Clone, Default)]
pub struct Image {
    pub layers: Vec<Layer>,
    pub blobs: Vec<Vec<u8>>,
}

impl Image {
    pub fn of(tars: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut image = Self::default();
        for tar in tars {
            image.push(&tar, Compression::None);
        }
        image
    }

    pub fn push(&mut self, tar: &[u8], compression: Compression) {
        let blob = match compression {
            Compression::None => tar.to_vec(),
            Compression::Gzip => gzip(tar),
            Compression::Zstd => zstd(tar),
        };
        self.push_blob(tar, blob, compression);
    }

    /// A layer whose blob is not what the compressor made.
    pub fn push_blob(&mut self, tar: &[u8], blob: Vec<u8>, compression: Compression) {
        let (digest, diff_id) = (digest(&blob), digest(tar));
        self.layers.push(Layer { digest, size: blob.len() as u64, compression, diff_id });
        self.blobs.push(blob);
    }

    /// A name that depends on the layers.
    pub fn id(&self) -> TreeId {
        let text: String = self.layers.iter().map(|layer| layer.diff_id.to_string()).collect();
        TreeId::from(&digest(text.as_bytes()))
    }
}

/// A store in a folder that goes away.
#[derive(Debug)]
pub struct Fixture {
    pub folder: tempfile::TempDir,
    pub store: Store,
    /// Indexes of layers that the last import opened.
    pub opened: RefCell<Vec<usize>>,
}

impl Fixture {
    pub fn new() -> Self {
        Self::with(Rights::Kept)
    }

    pub fn with(rights: Rights) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_with(&folder.path().join("store"), rights).unwrap();
        Self { folder, store, opened: RefCell::default() }
    }

    pub fn layout(&self) -> Layout {
        self.store.layout.clone()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn import(&self, image: &Image) -> Result<Imported, StoreError> {
        self.import_with(image, &mut |index| Ok(Box::new(Cursor::new(image.blobs[index].clone()))), &|| false)
    }

    pub fn import_with(
        &self,
        image: &Image,
        open: &mut dyn FnMut(usize) -> Result<Box<dyn Read + Send>, BoxError>,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Imported, StoreError> {
        self.opened.borrow_mut().clear();
        let mut open = |index| {
            self.opened.borrow_mut().push(index);
            open(index)
        };
        self.store.import(&image.layers, &mut open, &image.id(), &mut |_| {}, cancelled)
    }

    /// Imports, checks out and lists.
    pub fn list(&self, image: &Image) -> Vec<String> {
        self.import(image).unwrap();
        let dest = self.path(image.id().as_str());
        self.store.checkout(&image.id(), &dest).unwrap();
        list(&dest)
    }

    /// Asserts that nothing of a failed import can be seen, and that collecting frees everything.
    pub fn assert_nothing_left(&self, image: &Image) {
        assert!(!self.store.has(&image.id()).unwrap());
        self.store.collect(&BTreeSet::new()).unwrap();
        for folder in ["store/objects", "store/trees", "store/layers", "store/tmp"] {
            let left: Vec<_> = files_below(&self.path(folder));
            assert!(left.is_empty(), "{folder}: {left:?}");
        }
        assert!(!self.path("store/unfinished").exists());
    }

    pub fn objects(&self) -> Vec<PathBuf> {
        files_below(&self.path("store/objects"))
    }
}

pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// One line for every file: type, mode, owner unless root, path, what it holds.
pub fn list(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    list_below(root, root, &mut lines);
    lines.sort();
    lines
}

fn list_below(root: &Path, folder: &Path, lines: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        let kind = meta.file_type();
        let mode = meta.mode() & 0o7777;
        let owner = match (meta.uid(), meta.gid()) {
            (0, 0) => String::new(),
            (uid, gid) => format!("{uid}:{gid} "),
        };
        let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().escape_ascii();
        lines.push(if kind.is_dir() {
            format!("{name}/ {owner}{mode:o}")
        } else if kind.is_symlink() {
            format!("{name} {owner}-> {}", std::fs::read_link(&path).unwrap().display())
        } else if kind.is_fifo() {
            format!("{name} {owner}fifo {mode:o}")
        } else {
            assert!(kind.is_file(), "{path:?}");
            let data = std::fs::read(&path).unwrap();
            let data =
                if data.len() > 40 { digest(&data).to_string() } else { data.escape_ascii().to_string() };
            format!("{name} {owner}{mode:o} '{data}'")
        });
        if kind.is_dir() {
            list_below(root, &path, lines);
        }
    }
}
