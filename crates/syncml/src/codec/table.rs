//! The string table of a WBXML document that is being written: the parts of URIs that come again and again.
//!
//! Only the part up to the last slash is kept, and only when it is met for the second time: nothing else repeats
//! enough in messages to be worth its place.

use std::collections::HashMap;

/// Shortest part that is worth its place: a reference takes up to four bytes, and ends the string before it.
const PART_BYTES_MIN: usize = 8;

/// The table.
#[derive(Debug, Default)]
pub(super) struct StringTable {
    bytes: Vec<u8>,
    /// The parts that were met, and where those that were met twice are.
    parts: HashMap<String, Option<usize>>,
}

impl StringTable {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Splits a text into the offset of its first part and the rest, where the table has that part.
    pub(super) fn split<'t>(&mut self, text: &'t str) -> Option<(usize, &'t str)> {
        let end = text.rfind('/')? + 1;
        let (part, rest) = text.split_at_checked(end)?;
        if part.len() < PART_BYTES_MIN || part.contains('\0') {
            return None;
        }
        match self.parts.get_mut(part) {
            Some(Some(offset)) => Some((*offset, rest)),
            Some(place) => {
                let offset = self.bytes.len();
                self.bytes.extend_from_slice(part.as_bytes());
                self.bytes.push(0);
                *place = Some(offset);
                Some((offset, rest))
            }
            None => {
                self.parts.insert(part.to_owned(), None);
                None
            }
        }
    }

    /// Forgets what was added since the table had this length.
    pub(super) fn truncate(&mut self, length: usize) {
        if length < self.bytes.len() {
            self.bytes.truncate(length);
            self.parts.values_mut().for_each(|place| *place = place.filter(|offset| *offset < length));
        }
    }
}
