//! Writes elements in either encoding. Knows nothing about messages.

use super::Encoding;
use super::table::StringTable;
use super::xml::is_xml;
use crate::tag::Tag;

/// Writes one document.
#[derive(Debug)]
pub(crate) struct Encoder {
    out: Vec<u8>,
    encoding: Encoding,
    open: Vec<Tag>,
    page: u8,
    lossy: bool,
    table: Option<StringTable>,
}

/// A place in the document to which one can go back until an element that was open there ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    length: usize,
    table: usize,
    open: usize,
    page: u8,
}

/// WBXML 1.2: what most peers write, too.
const VERSION: u8 = 0x02;
/// UTF-8 by its MIBenum.
const CHARSET: u8 = 106;
/// SyncML 1.2 as a number of several bytes.
const PUBLIC_ID_SYNCML: [u8; 2] = [0xA4, 0x01];
/// What stands before the string table of a message: version, public identifier and charset.
const HEADER_BYTES: usize = 4;
/// Longest number that says how long something in a message is.
const NUMBER_BYTES_MAX: usize = 4;
/// The description of a tree has no number, only this name.
const FORMAL_ID_DDF: &[u8] = b"-//OMA//DTD-DM-DDF 1.2//EN\0";

impl Encoder {
    /// The start of a message. Only WBXML has string tables.
    pub(super) fn message(encoding: Encoding, string_table: bool) -> Self {
        let mut encoder = Self::fragment(encoding);
        match encoding {
            Encoding::Xml => encoder.out.extend_from_slice(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>"),
            Encoding::Wbxml => {
                encoder.out.push(VERSION);
                encoder.out.extend_from_slice(&PUBLIC_ID_SYNCML);
                encoder.out.push(CHARSET);
                if string_table {
                    encoder.table = Some(StringTable::default());
                } else {
                    encoder.out.push(0);
                }
            }
        }
        encoder
    }

    /// The start of a serialized tree. In XML it becomes part of a message and has no declaration.
    pub(super) fn tnds(encoding: Encoding) -> Self {
        let mut encoder = Self::fragment(encoding);
        if encoding == Encoding::Wbxml {
            encoder.out.extend_from_slice(&[VERSION, 0, 0, CHARSET]);
            encoder.number(FORMAL_ID_DDF.len());
            encoder.out.extend_from_slice(FORMAL_ID_DDF);
        }
        encoder
    }

    fn fragment(encoding: Encoding) -> Self {
        Self { out: Vec::new(), encoding, open: Vec::new(), page: 0, lossy: false, table: None }
    }

    pub(super) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Bytes written so far, or a few more.
    pub(super) fn len(&self) -> usize {
        self.out.len() + self.table().len() + NUMBER_BYTES_MAX
    }

    fn table(&self) -> &[u8] {
        self.table.as_ref().map_or(&[], StringTable::bytes)
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { length: self.out.len(), table: self.table().len(), open: self.open.len(), page: self.page }
    }

    pub(super) fn undo(&mut self, mark: Mark) {
        self.out.truncate(mark.length);
        self.open.truncate(mark.open);
        self.page = mark.page;
        if let Some(table) = &mut self.table {
            table.truncate(mark.table);
        }
    }

    /// Begins an element.
    pub(super) fn start(&mut self, tag: Tag) {
        self.tag(tag, true);
        self.open.push(tag);
    }

    /// Ends the innermost element.
    pub(super) fn end(&mut self) {
        let Some(tag) = self.open.pop() else { return };
        match self.encoding {
            Encoding::Xml => {
                self.out.extend_from_slice(b"</");
                self.out.extend_from_slice(tag.name().as_bytes());
                self.out.push(b'>');
            }
            Encoding::Wbxml => self.out.push(0x01),
        }
    }

    /// An element without content.
    pub(super) fn empty(&mut self, tag: Tag) {
        self.tag(tag, false);
    }

    /// An element with text.
    pub(super) fn leaf(&mut self, tag: Tag, text: &str) {
        let Some((offset, rest)) = self.table.as_mut().and_then(|table| table.split(text)) else {
            return self.data(tag, text.as_bytes());
        };
        self.start(tag);
        self.out.push(0x83);
        self.number(offset);
        if !rest.is_empty() {
            self.bytes(rest.as_bytes());
        }
        self.end();
    }

    /// An element with bytes.
    pub(super) fn data(&mut self, tag: Tag, bytes: &[u8]) {
        if bytes.is_empty() {
            return self.empty(tag);
        }
        self.start(tag);
        self.bytes(bytes);
        self.end();
    }

    /// Text or bytes of the innermost element.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        match self.encoding {
            Encoding::Xml => self.xml(bytes),
            Encoding::Wbxml if std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0) => {
                self.out.push(0x03);
                self.out.extend_from_slice(bytes);
                self.out.push(0);
            }
            Encoding::Wbxml => {
                self.out.push(0xC3);
                self.number(bytes.len());
                self.out.extend_from_slice(bytes);
            }
        }
    }

    /// The finished document, and whether something in it had to be replaced because XML cannot carry it.
    pub(super) fn finish(mut self) -> (Vec<u8>, bool) {
        while !self.open.is_empty() {
            self.end();
        }
        if let Some(table) = self.table.take() {
            let body = self.out.split_off(HEADER_BYTES);
            self.number(table.bytes().len());
            self.out.extend_from_slice(table.bytes());
            self.out.extend(body);
        }
        (self.out, self.lossy)
    }

    fn tag(&mut self, tag: Tag, content: bool) {
        match self.encoding {
            Encoding::Xml => {
                self.out.push(b'<');
                self.out.extend_from_slice(tag.name().as_bytes());
                if self.open.last().map(|parent| parent.page()) != Some(tag.page()) {
                    self.out.extend_from_slice(b" xmlns=\"");
                    self.out.extend_from_slice(tag.namespace().as_bytes());
                    self.out.push(b'"');
                }
                self.out.extend_from_slice(if content { b">" } else { b"/>" });
            }
            Encoding::Wbxml => {
                if self.page != tag.page() {
                    self.page = tag.page();
                    self.out.extend_from_slice(&[0x00, self.page]);
                }
                self.out.push(tag.token() | if content { 0x40 } else { 0 });
            }
        }
    }

    fn xml(&mut self, bytes: &[u8]) {
        for chunk in bytes.utf8_chunks() {
            let mut rest = chunk.valid();
            // Byte by byte, as most text has nothing special: the speed of the whole encoder is here.
            while let Some(at) = rest.bytes().position(may_be_special) {
                let (plain, special) = rest.split_at(at);
                self.out.extend_from_slice(plain.as_bytes());
                let character = special.chars().next().unwrap_or_default();
                let (character_bytes, behind) = special.as_bytes().split_at(character.len_utf8());
                match xml_escape(character) {
                    Some(escape) => self.out.extend_from_slice(escape.as_bytes()),
                    None if is_xml(character) => self.out.extend_from_slice(character_bytes),
                    None => self.replace(),
                }
                rest = special.get(special.len() - behind.len()..).unwrap_or_default();
            }
            self.out.extend_from_slice(rest.as_bytes());
            if !chunk.invalid().is_empty() {
                self.replace();
            }
        }
    }

    fn replace(&mut self) {
        self.lossy = true;
        self.out.extend_from_slice("\u{fffd}".as_bytes());
    }

    fn number(&mut self, number: usize) {
        let mut groups = [0_u8; 10];
        let mut rest = number;
        let mut used = 0;
        for (index, group) in groups.iter_mut().rev().enumerate() {
            let more = if index == 0 { 0 } else { 0x80 };
            *group = u8::try_from(rest & 0x7F).unwrap_or(0) | more;
            used = index + 1;
            rest >>= 7;
            if rest == 0 {
                break;
            }
        }
        self.out.extend(groups.iter().skip(groups.len() - used));
    }
}

/// How XML writes the characters that it cannot carry as they are. A reader turns a bare CR into LF.
pub(crate) fn xml_escape(character: char) -> Option<&'static str> {
    match character {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '\r' => Some("&#13;"),
        _ => None,
    }
}

/// Whether a character that begins with this byte may need an escape, or be one that XML forbids: those are control
/// characters, and two at the end of the three-byte range.
fn may_be_special(byte: u8) -> bool {
    matches!(byte, 0..0x20 | b'&' | b'<' | b'>' | 0xEF)
}

/// Whether XML can carry the bytes as text.
pub(crate) fn is_xml_text(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    !bytes.iter().any(|byte| may_be_special(*byte)) || text.chars().all(is_xml)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_groups_of_seven_bits() {
        let write = |number| {
            let mut encoder = Encoder::fragment(Encoding::Wbxml);
            encoder.number(number);
            encoder.finish().0
        };
        assert_eq!(write(0), [0]);
        assert_eq!(write(0x1201), PUBLIC_ID_SYNCML);
        assert_eq!(write(53336), [0x83, 0xA0, 0x58]);
        assert_eq!(write(usize::try_from(u32::MAX).unwrap()), [0x8F, 0xFF, 0xFF, 0xFF, 0x7F]);
    }
}
