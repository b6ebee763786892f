//! Bodies that a server sends in blocks (RFC 7959, 2.5): which block comes next, which one is a repetition.
//!
//! What is done with the bytes is the caller's: `S` is where they go.

use super::block::Block;
use super::message::{Code, Message, option};
use crate::limits::{EXCHANGE_LIFETIME, UPLOAD_MAX, UPLOADS_MAX};
use crate::time::Millis;

/// Names what a request is about: blocks of one body have the same.
pub(crate) type Key = (Code, Vec<(u16, Vec<u8>)>);

/// The key of a request: method, path and query, and for what is fetched the format.
pub(crate) fn key(message: &Message) -> Key {
    let part = |number: u16| matches!(number, option::URI_PATH | option::URI_QUERY | option::ACCEPT);
    (message.code, message.options.iter().filter(|(number, _)| part(*number)).cloned().collect())
}

/// A block of a body, as far as its order is concerned.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) key: Key,
    pub(crate) format: Option<u32>,
    pub(crate) block: Block,
    /// Bytes in it.
    pub(crate) length: usize,
}

impl Part {
    /// Where it ends in the body.
    fn end(&self) -> u64 {
        self.block.offset().saturating_add(u64::try_from(self.length).unwrap_or(u64::MAX))
    }
}

/// A body that is not whole yet.
#[derive(Debug)]
pub(crate) struct Upload<S> {
    key: Key,
    format: Option<u32>,
    next: u64,
    /// Where the last block began.
    last: u64,
    until: Millis,
    /// Where the bytes go.
    pub(crate) sink: S,
}

/// What a block is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// The first of a new body: call [`Uploads::begin`].
    First,
    /// The next one of the body at this place.
    Next(usize),
    /// One that is here already.
    Repeated,
}

/// The bodies that one peer sends.
#[derive(Debug)]
pub(crate) struct Uploads<S> {
    list: Vec<Upload<S>>,
}

impl<S> Default for Uploads<S> {
    fn default() -> Self {
        Self { list: Vec::new() }
    }
}

impl<S> Uploads<S> {
    /// Sorts a block. An error ends the body that it belongs to; [`Self::take`] gives it.
    pub(crate) fn accept(&mut self, part: &Part, now: Millis) -> Result<Accepted, Code> {
        let Part { key, format, block, length } = part;
        let end = part.end();
        if *length > block.size() || (block.more && *length != block.size()) {
            return Err(Code::BAD_REQUEST);
        }
        if end > UPLOAD_MAX {
            return Err(Code::TOO_LARGE);
        }
        let found = self.list.iter_mut().enumerate().find(|(_, upload)| upload.key == *key);
        let Some((at, upload)) = found else {
            return if block.number == 0 { Ok(Accepted::First) } else { Err(Code::INCOMPLETE) };
        };
        if upload.next == end && upload.last == block.offset() && block.more {
            return Ok(Accepted::Repeated);
        }
        if block.number == 0 {
            return Ok(Accepted::First);
        }
        if upload.next != block.offset() || upload.format != *format {
            return Err(Code::INCOMPLETE);
        }
        upload.last = block.offset();
        upload.next = end;
        upload.until = now.plus(EXCHANGE_LIFETIME);
        Ok(Accepted::Next(at))
    }

    /// Whether there is room for another body.
    pub(crate) fn has_room(&self) -> bool {
        self.list.len() < UPLOADS_MAX
    }

    /// Keeps the body whose first block `part` is.
    pub(crate) fn begin(&mut self, part: Part, sink: S, now: Millis) {
        let next = part.end();
        let Part { key, format, .. } = part;
        self.list.push(Upload { key, format, next, last: 0, until: now.plus(EXCHANGE_LIFETIME), sink });
    }

    /// The body at a place that [`Self::accept`] gave.
    pub(crate) fn get(&mut self, at: usize) -> Option<&mut S> {
        self.list.get_mut(at).map(|upload| &mut upload.sink)
    }

    /// Takes out the body at a place that [`Self::accept`] gave.
    pub(crate) fn remove(&mut self, at: usize) -> Option<S> {
        (at < self.list.len()).then(|| self.list.swap_remove(at).sink)
    }

    /// Takes out the body with this key.
    pub(crate) fn take(&mut self, key: &Key) -> Option<S> {
        self.remove(self.list.iter().position(|upload| upload.key == *key)?)
    }

    /// Takes out the bodies whose next block did not come.
    pub(crate) fn expired(&mut self, now: Millis) -> Vec<S> {
        let mut gone = Vec::new();
        for upload in std::mem::take(&mut self.list) {
            if upload.until <= now {
                gone.push(upload.sink);
            } else {
                self.list.push(upload);
            }
        }
        gone
    }

    /// Whether there is a body for which `wanted` is true.
    pub(crate) fn any(&self, wanted: impl Fn(&S) -> bool) -> bool {
        self.list.iter().any(|upload| wanted(&upload.sink))
    }

    /// Forgets the bodies for which `gone` is true.
    pub(crate) fn forget(&mut self, gone: impl Fn(&S) -> bool) {
        self.list.retain(|upload| !gone(&upload.sink));
    }

    /// Takes out every body.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = S> {
        self.list.drain(..).map(|upload| upload.sink)
    }

    /// When the next body expires.
    pub(crate) fn deadline(&self) -> Option<Millis> {
        self.list.iter().map(|upload| upload.until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: u32, more: bool, length: usize) -> Part {
        let key = (Code::PUT, vec![(option::URI_PATH, b"9".to_vec())]);
        Part { key, format: Some(42), block: Block { number, more, exponent: 0 }, length }
    }

    fn begun() -> Uploads<u8> {
        let mut uploads = Uploads::default();
        assert_eq!(uploads.accept(&part(0, true, 16), Millis(0)), Ok(Accepted::First));
        uploads.begin(part(0, true, 16), 1, Millis(0));
        uploads
    }

    #[test]
    fn blocks_come_in_order_and_may_be_repeated() {
        let mut uploads = begun();
        for (number, more, length, expected) in [
            (0, true, 16, Accepted::Repeated),
            (1, true, 16, Accepted::Next(0)),
            (1, true, 16, Accepted::Repeated),
            (2, false, 3, Accepted::Next(0)),
        ] {
            assert_eq!(uploads.accept(&part(number, more, length), Millis(0)), Ok(expected), "{number}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (part, code) in [
            (part(2, true, 16), Code::INCOMPLETE),
            (part(1, true, 15), Code::BAD_REQUEST),
            (part(1, false, 17), Code::BAD_REQUEST),
            (Part { format: None, ..part(1, true, 16) }, Code::INCOMPLETE),
            (Part { key: (Code::POST, Vec::new()), ..part(1, true, 16) }, Code::INCOMPLETE),
        ] {
            assert_eq!(begun().accept(&part, Millis(0)), Err(code), "{part:?}");
        }
    }

    #[test]
    fn a_body_that_does_not_go_on_expires() {
        let mut uploads = begun();
        assert_eq!(uploads.deadline(), Some(Millis(EXCHANGE_LIFETIME)));
        assert!(uploads.expired(Millis(EXCHANGE_LIFETIME - 1)).is_empty());
        assert_eq!(uploads.expired(Millis(EXCHANGE_LIFETIME)), [1]);
        assert_eq!(uploads.deadline(), None);
    }
}
