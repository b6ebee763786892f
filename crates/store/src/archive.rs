//! Reading a tar archive entry by entry, from a stream, within limits.
//!
//! The header fields are read with the `tar` crate. Its iterator over entries is not used: it holds extended headers
//! of any size in memory, ends PAX values at a line feed and does not know sparse files in PAX. Where readers of
//! archives differ, this one does as the readers do that built images were tested with, or refuses.

use super::error::Refusal;
use super::limits::{EXTENSION_BYTES_MAX, SPARSE_EXTENTS_MAX};
use super::object::Meta;
use super::pax::{self, Pax, PaxSparse};
use super::stream::{Input, Stop};

const BLOCK_BYTES: usize = 512;

/// One entry of an archive.
#[derive(Debug)]
pub(super) struct Entry {
    /// As in the archive: not checked.
    pub path: Vec<u8>,
    pub meta: Meta,
    pub kind: EntryKind,
}

/// What an entry is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    /// With its logical size in bytes.
    File(u64),
    Directory,
    Symlink(Vec<u8>),
    /// The target as in the archive: not checked.
    Link(Vec<u8>),
    Fifo,
    Device {
        character: bool,
        major: u32,
        minor: u32,
    },
}

/// An archive that is being read.
pub(super) struct Archive<'i, 'a> {
    input: &'i mut Input<'a>,
    content: Content,
    /// Bytes after the content up to the next block.
    padding: u64,
    path: Vec<u8>,
}

/// What is left of the content of the current entry.
#[derive(Debug, Default)]
struct Content {
    /// Offset and length of what is stored, in order; the rest is zeros.
    extents: std::vec::IntoIter<(u64, u64)>,
    current: (u64, u64),
    position: u64,
    size: u64,
    stored: u64,
}

/// Extension headers that came before an entry.
#[derive(Debug, Default)]
struct Extensions {
    pax: Option<Pax>,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl<'i, 'a> Archive<'i, 'a> {
    pub fn new(input: &'i mut Input<'a>) -> Self {
        Self { input, content: Content::default(), padding: 0, path: Vec::new() }
    }

    /// Path of the entry that is being read, for messages.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// The next entry; what is left of the one before is skipped.
    pub fn next(&mut self) -> Result<Option<Entry>, Stop> {
        self.skip(self.content.stored)?;
        self.skip(self.padding)?;
        (self.content, self.padding) = (Content::default(), 0);
        let mut extensions = Extensions::default();
        while let Some(header) = self.header()? {
            let size = number(&header.as_old().size, header.entry_size())?;
            match kind(&header) {
                b'x' => {
                    let pax = pax::parse(&self.extension(size)?)?;
                    set_once(&mut extensions.pax, pax)?;
                }
                b'L' => set_once(&mut extensions.path, without_nul(self.extension(size)?))?,
                b'K' => set_once(&mut extensions.link, without_nul(self.extension(size)?))?,
                // Values for all following entries: no builder of images relies on them, no reader honours them.
                b'g' => self.skip(padded(size)?)?,
                _ => return self.entry(&header, extensions).map(Some),
            }
        }
        if extensions.pax.is_some() || extensions.path.is_some() || extensions.link.is_some() {
            return Err(Refusal::Malformed("it ends after an extended header").into());
        }
        Ok(None)
    }

    /// Reads content of the current entry; fills `out` unless the content ends.
    pub fn read(&mut self, out: &mut [u8]) -> Result<usize, Stop> {
        let mut filled = 0;
        while let Some(rest) = out.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let (length, stored) = self.content.advance(rest.len());
            let Some(part) = rest.get_mut(..length).filter(|part| !part.is_empty()) else { break };
            if !stored {
                part.fill(0);
            } else if self.input.read(part)? != length {
                return Err(Refusal::Malformed("it ends in the middle of a file").into());
            }
            filled += length;
        }
        Ok(filled)
    }

    fn header(&mut self) -> Result<Option<tar::Header>, Stop> {
        let mut header = tar::Header::new_old();
        match self.input.read(header.as_mut_bytes())? {
            0 => return Ok(None),
            BLOCK_BYTES => {}
            _ => return Err(Refusal::Malformed("it ends in the middle of a header").into()),
        }
        let bytes = header.as_bytes();
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        // The checksum counts its own eight bytes as spaces.
        let sum: u32 = bytes
            .iter()
            .enumerate()
            .map(|(i, b)| if (148..156).contains(&i) { 32 } else { u32::from(*b) })
            .sum();
        if header.cksum().ok() != Some(sum) {
            return Err(Refusal::Malformed("a header has a wrong checksum").into());
        }
        Ok(Some(header))
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, Stop> {
        let limit = Refusal::Limit { what: "bytes in an extended header", limit: EXTENSION_BYTES_MAX };
        let length = usize::try_from(size).ok().filter(|_| size <= EXTENSION_BYTES_MAX).ok_or(limit)?;
        let mut data = vec![0; length];
        if self.input.read(&mut data)? != length {
            return Err(Refusal::Malformed("it ends in the middle of an extended header").into());
        }
        self.skip(padded(size)? - size)?;
        Ok(data)
    }

    fn entry(&mut self, header: &tar::Header, extensions: Extensions) -> Result<Entry, Stop> {
        let mut pax = extensions.pax.unwrap_or_default();
        let path = extensions.path.or(pax.sparse.name.take()).or(pax.path.take());
        let path = path.unwrap_or_else(|| header.path_bytes().into_owned());
        self.path.clone_from(&path);
        let link = extensions.link.or(pax.link.take());
        let link =
            link.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned)).unwrap_or_default();
        let size = number(&header.as_old().size, header.entry_size())?;
        let stored = pax.size.unwrap_or(size);
        let meta = meta(header, &mut pax)?;
        let kind = match kind(header) {
            // The oldest format marks a directory by a slash at its end only.
            0 if path.ends_with(b"/") => EntryKind::Directory,
            0 | b'0' | b'7' | b'S' => EntryKind::File(self.file(header, pax.sparse, stored)?),
            b'1' => EntryKind::Link(link),
            b'2' => EntryKind::Symlink(link),
            kind @ (b'3' | b'4') => device(header, kind == b'3'),
            b'5' => EntryKind::Directory,
            b'6' => EntryKind::Fifo,
            other => return Err(Refusal::EntryType(char::from(other)).into()),
        };
        // Readers disagree whether content follows such a header, so one of them would see another archive.
        if stored != 0 && !matches!(kind, EntryKind::File(_)) {
            return Err(Refusal::UnexpectedContent.into());
        }
        Ok(Entry { path, meta, kind })
    }

    /// Prepares reading of a file's content; returns its logical size.
    fn file(&mut self, header: &tar::Header, sparse: PaxSparse, stored: u64) -> Result<u64, Stop> {
        self.padding = padded(stored)? - stored;
        let (extents, size, stored) = if header.entry_type().is_gnu_sparse() {
            let (extents, size) = self.old_sparse(header)?;
            (extents, size, stored)
        } else if sparse.is_used() {
            let size = sparse.size.ok_or(Refusal::Sparse)?;
            match (sparse.major.unwrap_or(0), sparse.map) {
                (0, Some(map)) => (pairs(&map)?, size, stored),
                (1, None) if sparse.minor.unwrap_or(0) == 0 => {
                    let (extents, used) = self.map_in_data()?;
                    (extents, size, stored.checked_sub(used).ok_or(Refusal::Sparse)?)
                }
                _ => return Err(Refusal::Sparse.into()),
            }
        } else {
            (vec![(0, stored)], stored, stored)
        };
        self.content = Content::new(extents, size, stored)?;
        Ok(size)
    }

    /// The map of a GNU sparse entry: four extents in the header, then blocks of 21 more.
    fn old_sparse(&mut self, header: &tar::Header) -> Result<(Vec<(u64, u64)>, u64), Stop> {
        let gnu = header.as_gnu().ok_or(Refusal::Sparse)?;
        let mut extents = Vec::new();
        add_old(&mut extents, &gnu.sparse)?;
        let mut more = gnu.is_extended();
        while more {
            let mut block = tar::GnuExtSparseHeader::new();
            if self.input.read(block.as_mut_bytes())? != BLOCK_BYTES {
                return Err(Refusal::Sparse.into());
            }
            add_old(&mut extents, block.sparse())?;
            more = block.is_extended();
        }
        Ok((extents, gnu.real_size().map_err(|_| Refusal::Sparse)?))
    }

    /// The map of PAX format 1.0: decimal lines in front of the data, padded to a block.
    fn map_in_data(&mut self) -> Result<(Vec<(u64, u64)>, u64), Stop> {
        let mut block = [0; BLOCK_BYTES];
        let mut used = 0;
        let mut numbers = Vec::new();
        let mut wanted = 1;
        let mut line = Vec::new();
        while numbers.len() < wanted {
            if self.input.read(&mut block)? != BLOCK_BYTES {
                return Err(Refusal::Sparse.into());
            }
            used += BLOCK_BYTES as u64;
            for byte in block {
                if numbers.len() == wanted {
                    break;
                }
                if byte != b'\n' {
                    // No number has more digits than this.
                    if line.len() == 20 {
                        return Err(Refusal::Sparse.into());
                    }
                    line.push(byte);
                    continue;
                }
                let number = pax::decimal(&line)?;
                line.clear();
                numbers.push(number);
                if numbers.len() == 1 {
                    let count = usize::try_from(number).ok().filter(|n| *n <= SPARSE_EXTENTS_MAX);
                    wanted = 1 + 2 * count.ok_or(extents_limit())?;
                }
            }
        }
        Ok((pairs(numbers.get(1..).unwrap_or_default())?, used))
    }

    fn skip(&mut self, mut bytes: u64) -> Result<(), Stop> {
        while bytes > 0 {
            let part = self.input.take(usize::try_from(bytes).unwrap_or(usize::MAX))?.len();
            if part == 0 {
                return Err(Refusal::Malformed("it ends in the middle of an entry").into());
            }
            bytes -= part as u64;
        }
        Ok(())
    }
}

impl Content {
    fn new(extents: Vec<(u64, u64)>, size: u64, stored: u64) -> Result<Self, Refusal> {
        let mut end = 0;
        let mut sum = 0_u64;
        for (offset, length) in &extents {
            if *offset < end {
                return Err(Refusal::Sparse);
            }
            end = offset.checked_add(*length).ok_or(Refusal::Sparse)?;
            sum += length;
        }
        if end > size || sum != stored {
            return Err(Refusal::Sparse);
        }
        let mut extents = extents.into_iter();
        let current = extents.next().unwrap_or((size, 0));
        Ok(Self { extents, current, position: 0, size, stored })
    }

    /// Goes on by at most `limit` bytes of the same kind; returns how many, and whether they are in the archive.
    fn advance(&mut self, limit: usize) -> (usize, bool) {
        while self.position == self.current.0 + self.current.1 && self.position < self.size {
            self.current = self.extents.next().unwrap_or((self.size, 0));
            if self.position < self.current.0 {
                break;
            }
        }
        let (start, length) = self.current;
        let stored = self.position >= start;
        let end = if stored { start + length } else { start };
        let part = usize::try_from(end - self.position).unwrap_or(usize::MAX).min(limit);
        self.position += part as u64;
        if stored {
            self.stored -= part as u64;
        }
        (part, stored)
    }
}

/// The type, with the zero byte of the oldest format told apart from `0`.
fn kind(header: &tar::Header) -> u8 {
    let [kind] = header.as_old().linkflag;
    kind
}

/// A numeric field as the `tar` crate parsed it; one that was left blank is 0.
fn number<T: From<u8>>(field: &[u8], parsed: std::io::Result<T>) -> Result<T, Refusal> {
    match parsed {
        Ok(number) => Ok(number),
        Err(_) if field.iter().all(|byte| matches!(byte, 0 | b' ')) => Ok(0.into()),
        Err(_) => Err(Refusal::Malformed("a number in a header makes no sense")),
    }
}

fn meta(header: &tar::Header, pax: &mut Pax) -> Result<Meta, Refusal> {
    let fields = header.as_old();
    // The largest id means "no change" to the kernel.
    let id = |n: u64| u32::try_from(n).ok().filter(|id| *id != u32::MAX).ok_or(Refusal::Owner);
    let mode = number(&fields.mode, header.mode())?;
    Ok(Meta {
        mode: u16::try_from(mode & 0o7777).unwrap_or_default(),
        uid: id(pax.uid.map_or_else(|| number(&fields.uid, header.uid()), Ok)?)?,
        gid: id(pax.gid.map_or_else(|| number(&fields.gid, header.gid()), Ok)?)?,
        // A time that cannot be read is no reason to refuse: nothing depends on it.
        mtime: pax.mtime.or_else(|| header.mtime().ok().and_then(|t| i64::try_from(t).ok())).unwrap_or(0),
        xattrs: std::mem::take(&mut pax.xattrs),
    })
}

fn device(header: &tar::Header, character: bool) -> EntryKind {
    // No node is ever made, so a number that makes no sense does no harm.
    let [major, minor] =
        [header.device_major(), header.device_minor()].map(|n| n.ok().flatten().unwrap_or(0));
    EntryKind::Device { character, major, minor }
}

fn add_old(extents: &mut Vec<(u64, u64)>, headers: &[tar::GnuSparseHeader]) -> Result<(), Refusal> {
    for header in headers.iter().filter(|header| !header.is_empty()) {
        let offset = header.offset().map_err(|_| Refusal::Sparse)?;
        extents.push((offset, header.length().map_err(|_| Refusal::Sparse)?));
    }
    if extents.len() > SPARSE_EXTENTS_MAX { Err(extents_limit()) } else { Ok(()) }
}

fn extents_limit() -> Refusal {
    Refusal::Limit { what: "extents of a sparse file", limit: SPARSE_EXTENTS_MAX as u64 }
}

fn pairs(numbers: &[u64]) -> Result<Vec<(u64, u64)>, Refusal> {
    let pairs = numbers.chunks(2).map(|pair| match pair {
        [offset, length] => Ok((*offset, *length)),
        _ => Err(Refusal::Sparse),
    });
    pairs.collect()
}

fn padded(size: u64) -> Result<u64, Refusal> {
    size.checked_next_multiple_of(BLOCK_BYTES as u64).ok_or(Refusal::Malformed("a size is too large"))
}

fn without_nul(mut text: Vec<u8>) -> Vec<u8> {
    if text.last() == Some(&0) {
        text.pop();
    }
    text
}

fn set_once<T>(slot: &mut Option<T>, value: T) -> Result<(), Refusal> {
    if slot.replace(value).is_some() {
        return Err(Refusal::Malformed("two extended headers of a kind stand before one entry"));
    }
    Ok(())
}
