//! Manifests: one for each known layer with its tree, one for each image with the list of its layers.
//!
//! Eight bytes (`scomotr` and the format number), then records, then a record of length 0 and the SHA-256 of
//! everything before it. A record is its length as `u32` in little endian and that many bytes of postcard. The first
//! record is the [`Header`]. A layer has [`Record`]s after it: the root, then everything below it, depth first, names
//! sorted. Reading holds one record; the digest is compared at the end, so a reader acts on nothing before that
//! except in a place that nobody sees.
//!
//! In format 1 an image had the records of its merged tree too. They are read and not used.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::StoreError;
use super::limits::{DEPTH_MAX, NAME_BYTES_MAX, RECORD_BYTES_MAX};
use super::object::Meta;
use super::tree::{Body, Directory, Leaf, Node};

/// Start of every manifest, before the format number.
const MAGIC: &[u8; 7] = b"scomotr";
/// The format that is written.
const FORMAT: u8 = 2;

/// What stands before the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// Diff ids of the layers that an image was made of, lowest first; only its own for a layer.
    pub layers: Vec<[u8; 32]>,
    /// Bytes of all files, each object counted once.
    pub size: u64,
}

/// One node of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The root has 0, what is in it 1.
    pub depth: u16,
    /// Name in its directory; empty for the root only.
    pub name: Box<[u8]>,
    pub meta: Meta,
    pub kind: Kind,
}

/// [`Body`] without what is below.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    Directory { explicit: bool, opaque: bool },
    Leaf(Leaf),
}

/// Writes a manifest to `file`, which is new; that of an image has no tree. Does not sync.
pub(super) fn write(file: File, path: &Path, header: &Header, tree: Option<&Node>) -> Result<(), StoreError> {
    let mut writer = Writer { out: BufWriter::new(file), hash: Sha256::new(), record: Vec::new() };
    let mut work = || {
        writer.put(&[MAGIC.as_slice(), &[FORMAT]].concat())?;
        writer.record(header)?;
        let mut put_node = |depth, name: &[u8], node: &Node| {
            let kind = match &node.body {
                Body::Directory(d) => Kind::Directory { explicit: d.explicit, opaque: d.opaque },
                Body::Leaf(leaf) => Kind::Leaf(leaf.clone()),
            };
            let depth = u16::try_from(depth).map_err(io::Error::other)?;
            writer.record(&Record { depth, name: name.into(), meta: node.meta.clone(), kind })
        };
        tree.map(|root| root.visit(&mut put_node)).transpose()?;
        writer.put(&0_u32.to_le_bytes())?;
        let digest = writer.hash.finalize_reset();
        writer.out.write_all(&digest)?;
        writer.out.flush()
    };
    work().map_err(StoreError::io::<io::Error>("write", path))
}

struct Writer {
    out: BufWriter<File>,
    hash: Sha256,
    record: Vec<u8>,
}

impl Writer {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.out.write_all(bytes)
    }

    fn record(&mut self, value: &impl Serialize) -> io::Result<()> {
        self.record.clear();
        self.record.extend_from_slice(&[0; 4]);
        let mut record =
            postcard::to_extend(value, std::mem::take(&mut self.record)).map_err(io::Error::other)?;
        let length = record.len() - 4;
        if length > RECORD_BYTES_MAX {
            return Err(io::Error::other("a record is longer than the limit"));
        }
        let length = u32::try_from(length).map_err(io::Error::other)?;
        for (to, from) in record.iter_mut().zip(length.to_le_bytes()) {
            *to = from;
        }
        self.put(&record)?;
        self.record = record;
        Ok(())
    }
}

/// Reads a manifest record by record.
#[derive(Debug)]
pub(super) struct Reader {
    path: PathBuf,
    input: BufReader<File>,
    hash: Sha256,
    buffer: Vec<u8>,
    header: Header,
    /// Depth at most allowed for the next record; `None` before the root.
    deepest: Option<u16>,
}

impl Reader {
    /// Opens a manifest; `None` when there is none.
    pub fn open(path: PathBuf) -> Result<Option<Self>, StoreError> {
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("open", &path)(error)),
        };
        let mut reader = Self {
            path,
            input: BufReader::new(file),
            hash: Sha256::new(),
            buffer: Vec::new(),
            header: Header { layers: Vec::new(), size: 0 },
            deepest: None,
        };
        reader.fill(MAGIC.len() + 1)?;
        match reader.buffer.split_last() {
            Some((&(1..=FORMAT), magic)) if magic == MAGIC => {}
            Some((&found, magic)) if magic == MAGIC => {
                return Err(StoreError::TooNew { path: reader.path, found, known: FORMAT });
            }
            _ => return Err(reader.damaged("it does not start as a manifest")),
        }
        if !reader.raw_record()? {
            return Err(reader.damaged("its header is missing"));
        }
        reader.header = reader.decode()?;
        Ok(Some(reader))
    }

    /// The next node; `None` at the end, when the digest was right.
    pub fn next(&mut self) -> Result<Option<Record>, StoreError> {
        if !self.raw_record()? {
            self.finish()?;
            return Ok(None);
        }
        let record: Record = self.decode()?;
        let fits = match self.deepest {
            None => {
                record.depth == 0 && record.name.is_empty() && matches!(record.kind, Kind::Directory { .. })
            }
            Some(deepest) => (1..=deepest).contains(&record.depth) && is_name(&record.name),
        };
        if !fits || usize::from(record.depth) > DEPTH_MAX {
            return Err(self.damaged("a node is out of place"));
        }
        self.deepest = Some(match record.kind {
            Kind::Directory { .. } => record.depth + 1,
            Kind::Leaf(_) => record.depth,
        });
        Ok(Some(record))
    }

    /// Reads everything into memory.
    pub fn load(mut self) -> Result<(Header, Node), StoreError> {
        let mut open: Vec<(Box<[u8]>, Node)> = Vec::new();
        while let Some(record) = self.next()? {
            while open.len() > usize::from(record.depth) {
                close(&mut open);
            }
            let body = match record.kind {
                Kind::Directory { explicit, opaque } => {
                    Body::Directory(Directory { explicit, opaque, ..Directory::default() })
                }
                Kind::Leaf(leaf) => Body::Leaf(leaf),
            };
            open.push((record.name, Node { meta: record.meta, body }));
        }
        while open.len() > 1 {
            close(&mut open);
        }
        let (_, root) = open.pop().ok_or_else(|| self.damaged("it holds no tree"))?;
        Ok((self.header, root))
    }

    /// Reads to the end, handing every node to `visit`.
    pub fn for_each(
        mut self,
        mut visit: impl FnMut(Record) -> Result<(), StoreError>,
    ) -> Result<Header, StoreError> {
        while let Some(record) = self.next()? {
            visit(record)?;
        }
        Ok(self.header)
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        let expected = self.hash.finalize_reset();
        self.fill(expected.len())?;
        if *self.buffer != *expected {
            return Err(self.damaged("its digest is wrong"));
        }
        match self.input.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(self.damaged("something follows its end")),
            Err(error) => Err(StoreError::io("read", &self.path)(error)),
        }
    }

    /// Reads a record into the buffer; false at the end mark.
    fn raw_record(&mut self) -> Result<bool, StoreError> {
        self.fill(4)?;
        let length = self.buffer.iter().rev().fold(0_usize, |n, byte| n << 8 | usize::from(*byte));
        if length > RECORD_BYTES_MAX {
            return Err(self.damaged("a record is too long"));
        }
        if length == 0 {
            return Ok(false);
        }
        self.fill(length)?;
        Ok(true)
    }

    fn fill(&mut self, length: usize) -> Result<(), StoreError> {
        self.buffer.resize(length, 0);
        match self.input.read_exact(&mut self.buffer) {
            Ok(()) => {
                self.hash.update(&self.buffer);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(self.damaged("it ends early")),
            Err(error) => Err(StoreError::io("read", &self.path)(error)),
        }
    }

    fn decode<T: for<'de> Deserialize<'de>>(&self) -> Result<T, StoreError> {
        match postcard::take_from_bytes(&self.buffer) {
            Ok((value, [])) => Ok(value),
            Ok(_) | Err(_) => Err(self.damaged("a record makes no sense")),
        }
    }

    fn damaged(&self, problem: &'static str) -> StoreError {
        StoreError::Manifest { path: self.path.clone(), problem }
    }
}

/// Moves the innermost open node into its parent.
fn close(open: &mut Vec<(Box<[u8]>, Node)>) {
    let Some((name, node)) = open.pop() else { return };
    if let Some((_, Node { body: Body::Directory(parent), .. })) = open.last_mut() {
        parent.children.insert(name, node);
    }
}

/// Whether a name can only name something in its own directory.
fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..")
        && name.len() <= NAME_BYTES_MAX
        && !name.iter().any(|b| matches!(b, 0 | b'/'))
}
