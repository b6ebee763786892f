//! PAX extended headers (POSIX.1-2024, pax, "pax Extended Header").
//!
//! The `tar` crate has a parser too, but it ends a value at the first line feed, and binary values such as file
//! capabilities may have one in them.

use super::error::{Refusal, printable};
use super::limits::{SPARSE_EXTENTS_MAX, XATTR_BYTES_MAX, XATTR_NAME_BYTES_MAX};
use super::object::{CAPABILITY, Xattrs, is_kept};

/// What a PAX header says about the next entry, as far as it matters here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pax {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    pub mtime: Option<i64>,
    /// Only those that belong to the content of an image.
    pub xattrs: Xattrs,
    pub sparse: PaxSparse,
}

/// `GNU.sparse.*`: three generations of the same thing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PaxSparse {
    /// 1: the map stands before the data.
    pub major: Option<u64>,
    pub minor: Option<u64>,
    pub name: Option<Vec<u8>>,
    /// Logical size: `realsize` or `size`.
    pub size: Option<u64>,
    /// Offsets and lengths of formats 0.0 and 0.1, one after the other.
    pub map: Option<Vec<u64>>,
}

impl PaxSparse {
    pub fn is_used(&self) -> bool {
        self.major.is_some() || self.size.is_some() || self.map.is_some()
    }
}

/// Parses the content of a PAX header.
pub(super) fn parse(mut data: &[u8]) -> Result<Pax, Refusal> {
    const BROKEN: Refusal = Refusal::Malformed("a PAX record makes no sense");
    let mut pax = Pax::default();
    while !data.is_empty() {
        let space = data.iter().position(|b| *b == b' ').ok_or(BROKEN)?;
        let length = usize::try_from(decimal(data.get(..space).unwrap_or_default())?).map_err(|_| BROKEN)?;
        let record = data.get(space + 1..length).ok_or(BROKEN)?;
        let record = record.strip_suffix(b"\n").ok_or(BROKEN)?;
        let equals = record.iter().position(|b| *b == b'=').ok_or(BROKEN)?;
        let (key, value) = record.split_at(equals);
        pax.set(key, value.get(1..).unwrap_or_default())?;
        data = data.get(length..).unwrap_or_default();
    }
    if pax.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > XATTR_BYTES_MAX {
        return Err(Refusal::Limit { what: "bytes of extended attributes", limit: XATTR_BYTES_MAX as u64 });
    }
    pax.xattrs.sort();
    Ok(pax)
}

impl Pax {
    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Refusal> {
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(decimal(value)?),
            b"uid" => self.uid = Some(decimal(value)?),
            b"gid" => self.gid = Some(decimal(value)?),
            b"mtime" => self.mtime = Some(seconds(value)?),
            b"GNU.sparse.major" => self.sparse.major = Some(decimal(value)?),
            b"GNU.sparse.minor" => self.sparse.minor = Some(decimal(value)?),
            b"GNU.sparse.name" => self.sparse.name = Some(value.to_vec()),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse.size = Some(decimal(value)?),
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => self.push_extent(decimal(value)?)?,
            b"GNU.sparse.map" => {
                self.sparse.map = Some(Vec::new());
                for number in value.split(|b| *b == b',').filter(|_| !value.is_empty()) {
                    self.push_extent(decimal(number)?)?;
                }
            }
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.set_xattr(name, value)?;
                }
            }
        }
        Ok(())
    }

    fn push_extent(&mut self, number: u64) -> Result<(), Refusal> {
        let map = self.sparse.map.get_or_insert_default();
        map.push(number);
        if map.len() > SPARSE_EXTENTS_MAX * 2 {
            return Err(Refusal::Limit {
                what: "extents of a sparse file",
                limit: SPARSE_EXTENTS_MAX as u64,
            });
        }
        Ok(())
    }

    fn set_xattr(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
        let refused = || Refusal::Xattr(printable(name));
        if name.starts_with(b"system.") {
            // An access control list narrows what the mode grants, so leaving it out would grant more.
            return Err(refused());
        }
        if !is_kept(name) {
            return Ok(());
        }
        if name.len() > XATTR_NAME_BYTES_MAX
            || name.contains(&0)
            || (name == CAPABILITY && !is_capability(value))
        {
            return Err(refused());
        }
        self.xattrs.retain(|(old, _)| old != name);
        self.xattrs.push((name.to_vec(), value.to_vec()));
        Ok(())
    }
}

/// Whether this is a capability set of revision 2. Revision 3 belongs to one user namespace, and the kernel shows it
/// in another form than it was written in.
fn is_capability(value: &[u8]) -> bool {
    value.len() == 20 && value.get(3) == Some(&2)
}

/// A number in decimal digits.
pub(super) fn decimal(digits: &[u8]) -> Result<u64, Refusal> {
    const BROKEN: Refusal = Refusal::Malformed("a number makes no sense");
    if digits.is_empty() {
        return Err(BROKEN);
    }
    digits.iter().try_fold(0_u64, |n, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0')).ok_or(BROKEN)?;
        n.checked_mul(10).and_then(|n| n.checked_add(digit)).ok_or(BROKEN)
    })
}

/// Whole seconds of a time that may be negative and may have a fraction.
fn seconds(value: &[u8]) -> Result<i64, Refusal> {
    let whole = value.split(|b| *b == b'.').next().unwrap_or_default();
    let (sign, digits) = whole.strip_prefix(b"-").map_or((1, whole), |digits| (-1, digits));
    let number = i64::try_from(decimal(digits)?).map_err(|_| Refusal::Malformed("a time makes no sense"))?;
    Ok(sign * number)
}
