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
    pub(crate) fn accept(&mut self, message: &Message, block: Block, now: Millis) -> Result<Accepted, Code> {
        let length = message.payload.len();
        let end = block.offset().saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        if length > block.size() || (block.more && length != block.size()) {
            return Err(Code::BAD_REQUEST);
        }
        if end > UPLOAD_MAX {
            return Err(Code::TOO_LARGE);
        }
        let key = key(message);
        let Some(at) = self.list.iter().position(|upload| upload.key == key) else {
            return if block.number == 0 { Ok(Accepted::First) } else { Err(Code::INCOMPLETE) };
        };
        let Some(upload) = self.list.get_mut(at) else { return Err(Code::INCOMPLETE) };
        if upload.next == end && upload.last == block.offset() && block.more {
            return Ok(Accepted::Repeated);
        }
        if block.number == 0 {
            return Ok(Accepted::First);
        }
        if upload.next != block.offset() || upload.format != message.uint(option::CONTENT_FORMAT) {
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

    /// Keeps the body whose first block `message` is.
    pub(crate) fn begin(&mut self, message: &Message, sink: S, now: Millis) {
        self.list.push(Upload {
            key: key(message),
            format: message.uint(option::CONTENT_FORMAT),
            next: u64::try_from(message.payload.len()).unwrap_or_default(),
            last: 0,
            until: now.plus(EXCHANGE_LIFETIME),
            sink,
        });
    }

    /// The body at a place that [`Self::accept`] gave.
    pub(crate) fn get(&mut self, at: usize) -> Option<&mut S> {
        self.list.get_mut(at).map(|upload| &mut upload.sink)
    }

    /// Takes out the body at a place that [`Self::accept`] gave.
    pub(crate) fn remove(&mut self, at: usize) -> Option<S> {
        (at < self.list.len()).then(|| self.list.swap_remove(at).sink)
    }

    /// Takes out the body that a request belongs to.
    pub(crate) fn take(&mut self, message: &Message) -> Option<S> {
        let key = key(message);
        self.remove(self.list.iter().position(|upload| upload.key == key)?)
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

    fn message(number: u32, more: bool, length: usize) -> (Message, Block) {
        let mut message = Message::new(Code::PUT);
        message.add(option::URI_PATH, "9");
        message.add_uint(option::CONTENT_FORMAT, 42);
        message.payload = vec![0; length];
        (message, Block { number, more, exponent: 0 })
    }

    fn begun() -> Uploads<u8> {
        let mut uploads = Uploads::default();
        let (first, block) = message(0, true, 16);
        assert_eq!(uploads.accept(&first, block, Millis(0)), Ok(Accepted::First));
        uploads.begin(&first, 1, Millis(0));
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
            let (message, block) = message(number, more, length);
            assert_eq!(uploads.accept(&message, block, Millis(0)), Ok(expected), "{number}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (number, more, length, code) in [
            (2, true, 16, Code::INCOMPLETE),
            (1, true, 15, Code::BAD_REQUEST),
            (1, false, 17, Code::BAD_REQUEST),
        ] {
            let (message, block) = message(number, more, length);
            assert_eq!(begun().accept(&message, block, Millis(0)), Err(code));
        }
        let (mut other, block) = message(1, true, 16);
        other.options.retain(|(number, _)| *number != option::CONTENT_FORMAT);
        assert_eq!(begun().accept(&other, block, Millis(0)), Err(Code::INCOMPLETE), "another format");
        let (mut elsewhere, block) = message(1, true, 16);
        elsewhere.add(option::URI_PATH, "1");
        assert_eq!(begun().accept(&elsewhere, block, Millis(0)), Err(Code::INCOMPLETE), "another path");
        let far = Block { number: super::super::block::NUMBER_MAX, more: false, exponent: 6 };
        let mut end = message(0, false, 1024).0;
        end.payload = vec![0; 1024];
        assert_eq!(begun().accept(&end, far, Millis(0)), Err(Code::INCOMPLETE));
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
