//! Large responses, kept until the server has fetched them block by block (RFC 7959, 2.4).
//!
//! A response is kept as it was when its first block went out: blocks of two states never mix.

use std::collections::VecDeque;

use super::block::{self, Block};
use super::message::{Code, Message, option};
use super::upload::Key;
use crate::limits::{EXCHANGE_LIFETIME, SNAPSHOT_BYTES_MAX, SNAPSHOTS_MAX};
use crate::time::Millis;

#[derive(Debug)]
struct Snapshot {
    key: Key,
    /// The response without its payload.
    head: Message,
    body: Vec<u8>,
    until: Millis,
}

/// The large responses of one peer.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    list: VecDeque<Snapshot>,
}

impl Snapshots {
    /// Cuts the first block off a response that is larger than a block, and keeps the rest. `wanted` is the block
    /// that the request names.
    pub(crate) fn first(
        &mut self,
        key: Key,
        mut response: Message,
        wanted: Option<Block>,
        exponent: u8,
        now: Millis,
    ) -> Message {
        let exponent = wanted.map_or(exponent, |block| block.exponent.min(exponent));
        if response.payload.len() <= block::size(exponent) {
            return response;
        }
        let body = std::mem::take(&mut response.payload);
        response.add(option::ETAG, fingerprint(&body).to_be_bytes());
        self.list.retain(|snapshot| snapshot.key != key && snapshot.until > now);
        self.list.push_back(Snapshot { key, head: response, body, until: now.plus(EXCHANGE_LIFETIME) });
        let bytes = |list: &VecDeque<Snapshot>| list.iter().map(|kept| kept.body.len()).sum::<usize>();
        while self.list.len() > 1
            && (self.list.len() > SNAPSHOTS_MAX || bytes(&self.list) > SNAPSHOT_BYTES_MAX)
        {
            self.list.pop_front();
        }
        let first = self.list.back().and_then(|snapshot| snapshot.block(0, exponent));
        first.unwrap_or_else(|| Message::new(Code::INTERNAL_ERROR))
    }

    /// A later block; none when the response is not kept any more, or does not reach so far.
    pub(crate) fn next(&self, key: &Key, wanted: Block, exponent: u8, now: Millis) -> Option<Message> {
        let snapshot = self.list.iter().find(|snapshot| snapshot.key == *key && snapshot.until > now)?;
        snapshot.block(usize::try_from(wanted.offset()).ok()?, wanted.exponent.min(exponent))
    }
}

impl Snapshot {
    fn block(&self, offset: usize, exponent: u8) -> Option<Message> {
        let rest = self.body.get(offset..).filter(|rest| !rest.is_empty())?;
        let piece = rest.get(..block::size(exponent)).unwrap_or(rest);
        let mut message = self.head.clone();
        Block::at(offset, piece.len() < rest.len(), exponent)?.put(&mut message, option::BLOCK2);
        if offset == 0 {
            message.add_uint(option::SIZE2, u32::try_from(self.body.len()).unwrap_or(u32::MAX));
        } else {
            // Only the first block is the response to an observation.
            message.options.retain(|(number, _)| *number != option::OBSERVE);
        }
        message.payload = piece.to_vec();
        Some(message)
    }
}

/// A fingerprint of bytes (FNV-1a). Tells two states apart; it protects nothing.
pub(crate) fn fingerprint(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> Key {
        (Code::GET, vec![(option::URI_PATH, vec![n])])
    }

    fn response(length: usize) -> Message {
        let mut message = Message::new(Code::CONTENT);
        message.payload = (0..length).map(|n| n.to_be_bytes()[7]).collect();
        message
    }

    #[test]
    fn blocks_together_are_the_response() {
        let mut snapshots = Snapshots::default();
        let whole = response(100);
        let wanted = Some(Block { number: 0, more: false, exponent: 1 });
        let first = snapshots.first(key(1), whole.clone(), wanted, 6, Millis(0));
        assert_eq!(first.uint(option::SIZE2), Some(100));
        let mut body = first.payload.clone();
        for number in 1.. {
            let block = Block { number, more: false, exponent: 1 };
            let Some(next) = snapshots.next(&key(1), block, 6, Millis(1)) else { break };
            assert_eq!(next.first(option::ETAG), first.first(option::ETAG));
            assert_eq!(Block::of(&next, option::BLOCK2).unwrap().unwrap().number, number);
            body.extend(next.payload);
        }
        assert_eq!(body, whole.payload);
        let block = Block { number: 1, more: false, exponent: 1 };
        assert!(snapshots.next(&key(1), block, 6, Millis(EXCHANGE_LIFETIME)).is_none(), "it is over");
        assert!(snapshots.next(&key(2), block, 6, Millis(1)).is_none(), "another path");
    }

    #[test]
    fn small_responses_are_not_kept_and_few_large_ones_are() {
        let mut snapshots = Snapshots::default();
        let small = snapshots.first(key(0), response(64), None, 2, Millis(0));
        assert_eq!((small.options.len(), snapshots.list.len()), (0, 0));
        for n in 0..20 {
            snapshots.first(key(n), response(600_000), None, 6, Millis(0));
            assert!(snapshots.list.iter().map(|s| s.body.len()).sum::<usize>() <= SNAPSHOT_BYTES_MAX);
        }
    }
}
