//! Reads WBXML into events: versions 1.0 to 1.3, string table and opaque data.
//!
//! Only what SyncML uses: attributes, literal tags, extensions and processing instructions are refused.

use std::borrow::Cow;

use super::cursor::{Event, Name, Source};
use super::xml::is_xml;
use crate::error::SyncmlError;
use crate::limits::DEPTH_MAX;
use crate::tag::Tag;

const SWITCH_PAGE: u8 = 0x00;
const END: u8 = 0x01;
const ENTITY: u8 = 0x02;
const STR_I: u8 = 0x03;
const STR_T: u8 = 0x83;
const OPAQUE: u8 = 0xC3;
const HAS_CONTENT: u8 = 0x40;
const HAS_ATTRIBUTES: u8 = 0x80;
/// Tokens below this have a global meaning, with any of the two high bits set, too.
const FIRST_TAG: u8 = 0x05;

/// Newest version: 1.3.
const VERSION_MAX: u8 = 0x03;
/// UTF-8 and ASCII by their MIBenum, and "unknown", which is taken for UTF-8.
const CHARSETS: [u32; 3] = [106, 3, 0];
/// The public identifier stands in the string table.
const PUBLIC_ID_STRING: u32 = 0;
/// "Unknown", then SyncML 1.0, 1.1 and 1.2. The older two are read so that their version can be refused by a status.
const PUBLIC_IDS: [u32; 4] = [0x01, 0x0FD1, 0x0FD3, 0x1201];
/// Beginnings of formal public identifiers: SyncML of any version, and the description of a tree.
const FORMAL_IDS: [&str; 2] = ["-//SYNCML//DTD SyncML 1.", "-//OMA//DTD-DM-DDF 1.2"];

pub(super) struct Wbxml<'de> {
    bytes: Bytes<'de>,
    table: &'de [u8],
    /// The code page is not tied to nesting: it stays until it is switched.
    page: u8,
    depth: usize,
    /// The last Start was an empty element, whose End has no byte.
    empty: bool,
    begun: bool,
}

impl<'de> Wbxml<'de> {
    pub(super) fn new(document: &'de [u8]) -> Result<Self, SyncmlError> {
        let mut bytes = Bytes { document, at: 0 };
        if bytes.byte()? > VERSION_MAX {
            return Err(bytes.refuse("unknown version"));
        }
        let public_id = bytes.number()?;
        let index = if public_id == PUBLIC_ID_STRING { Some(bytes.number()?) } else { None };
        let charset = bytes.number()?;
        if !CHARSETS.contains(&charset) {
            return Err(bytes.refuse("a character set other than UTF-8"));
        }
        let length = bytes.number()?;
        let table = bytes.take(length)?;
        let known = match index {
            None => PUBLIC_IDS.contains(&public_id),
            Some(index) => {
                let formal = string_at(table, index).ok_or(bytes.refuse("a string outside of the table"))?;
                FORMAL_IDS.iter().any(|id| formal.starts_with(id.as_bytes()))
            }
        };
        if !known {
            return Err(bytes.refuse("unknown public identifier"));
        }
        Ok(Self { bytes, table, page: 0, depth: 0, empty: false, begun: false })
    }

    fn tag(&mut self, byte: u8) -> Result<Event<'de>, SyncmlError> {
        if self.depth >= DEPTH_MAX {
            return Err(SyncmlError::Limit { what: "nested elements", max: DEPTH_MAX });
        }
        if byte & HAS_ATTRIBUTES != 0 {
            return Err(self.bytes.refuse("attributes"));
        }
        let tag = Tag::new(self.page, byte & !HAS_CONTENT).ok_or(self.bytes.refuse("unknown tag"))?;
        self.empty = byte & HAS_CONTENT == 0;
        self.begun = true;
        self.depth += 1;
        Ok(Event::Start(Name::Known(tag)))
    }

    fn content(&mut self, byte: u8) -> Result<Event<'de>, SyncmlError> {
        if self.depth == 0 {
            return Err(self.bytes.refuse("text outside of the root element"));
        }
        match byte {
            ENTITY => {
                let number = self.bytes.number()?;
                let character = char::from_u32(number).filter(|c| is_xml(*c));
                let character = character.ok_or(self.bytes.refuse("an entity that is no character"))?;
                Ok(Event::Text(Cow::Owned(character.to_string())))
            }
            STR_I => {
                let string = self.bytes.string()?;
                self.text(string)
            }
            STR_T => {
                let index = self.bytes.number()?;
                let string = string_at(self.table, index);
                self.text(string.ok_or(self.bytes.refuse("a string outside of the table"))?)
            }
            _ => {
                let length = self.bytes.number()?;
                self.bytes.take(length).map(Event::Opaque)
            }
        }
    }

    fn text(&self, bytes: &'de [u8]) -> Result<Event<'de>, SyncmlError> {
        let text = std::str::from_utf8(bytes).map_err(|_| self.bytes.refuse("a string that is not UTF-8"))?;
        Ok(Event::Text(Cow::Borrowed(text)))
    }

    fn end(&mut self) -> Result<Event<'de>, SyncmlError> {
        self.depth = self.depth.checked_sub(1).ok_or(self.bytes.refuse("an end without a start"))?;
        Ok(Event::End)
    }
}

impl<'de> Source<'de> for Wbxml<'de> {
    fn next(&mut self) -> Result<Option<Event<'de>>, SyncmlError> {
        if std::mem::take(&mut self.empty) {
            return self.end().map(Some);
        }
        loop {
            let over = self.begun && self.depth == 0;
            if over && self.bytes.is_empty() {
                return Ok(None);
            }
            if over {
                return Err(self.bytes.refuse("something behind the root element"));
            }
            match self.bytes.byte()? {
                SWITCH_PAGE => self.page = self.bytes.byte()?,
                END => return self.end().map(Some),
                byte @ (ENTITY | STR_I | STR_T | OPAQUE) => return self.content(byte).map(Some),
                byte if byte & !(HAS_CONTENT | HAS_ATTRIBUTES) < FIRST_TAG => {
                    return Err(self.bytes.refuse("a token that SyncML does not use"));
                }
                byte => return self.tag(byte).map(Some),
            }
        }
    }
}

/// The string at an offset of the table. The last one may lack its zero.
fn string_at(table: &[u8], index: u32) -> Option<&[u8]> {
    let rest = table.get(usize::try_from(index).ok()?..)?;
    rest.split(|byte| *byte == 0).next()
}

/// Takes a document apart from its start.
struct Bytes<'de> {
    document: &'de [u8],
    at: usize,
}

impl<'de> Bytes<'de> {
    fn is_empty(&self) -> bool {
        self.at >= self.document.len()
    }

    fn refuse(&self, reason: &'static str) -> SyncmlError {
        SyncmlError::Wbxml { at: self.at, reason }
    }

    fn byte(&mut self) -> Result<u8, SyncmlError> {
        let byte = self.document.get(self.at).copied().ok_or(SyncmlError::Truncated)?;
        self.at += 1;
        Ok(byte)
    }

    /// A number in groups of seven bits.
    fn number(&mut self) -> Result<u32, SyncmlError> {
        let mut number: u32 = 0;
        loop {
            let byte = self.byte()?;
            let shifted = number.checked_mul(128).ok_or(self.refuse("a number above 32 bits"))?;
            number = shifted | u32::from(byte & 0x7F);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
            // Five groups hold 32 bits; zeros in front could go on for ever.
            if number == 0 {
                return Err(self.refuse("a number with zeros in front"));
            }
        }
    }

    fn take(&mut self, length: u32) -> Result<&'de [u8], SyncmlError> {
        let end = usize::try_from(length).ok().and_then(|length| self.at.checked_add(length));
        let taken = end.and_then(|end| self.document.get(self.at..end)).ok_or(SyncmlError::Truncated)?;
        self.at += taken.len();
        Ok(taken)
    }

    /// Bytes up to the next zero, which is eaten.
    fn string(&mut self) -> Result<&'de [u8], SyncmlError> {
        let rest = self.document.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == 0).ok_or(SyncmlError::Truncated)?;
        self.at += end + 1;
        Ok(rest.get(..end).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_groups_of_seven_bits() {
        let read =
            |bytes: &[u8]| Bytes { document: bytes, at: 0 }.number().map_err(|error| error.to_string());
        let refused = |bytes: &[u8]| read(bytes).unwrap_err();
        assert_eq!(read(&[0xA4, 0x01]), Ok(0x1201));
        assert_eq!(read(&[0x6A]), Ok(106));
        assert_eq!(read(&[0x83, 0xA0, 0x58]), Ok(53336));
        assert_eq!(read(&[0x8F, 0xFF, 0xFF, 0xFF, 0x7F]), Ok(u32::MAX));
        assert!(refused(&[0x80, 0x01]).contains("zeros in front"));
        assert!(refused(&[0x90, 0x80, 0x80, 0x80, 0x00]).contains("above 32 bits"));
        assert!(refused(&[0x90]).contains("in the middle"));
    }
}
