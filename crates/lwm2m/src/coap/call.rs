//! A request of ours with a body of any size: sent in blocks where it is large, its response collected from blocks.

use super::block::{self, Block};
use super::message::{Code, Message, option};
use crate::limits::BODY_MAX;

/// What to do next.
#[derive(Debug)]
pub(crate) enum Step {
    /// Send this request.
    Send(Message),
    /// This is the response, with its whole payload.
    Done(Message),
    /// The peer breaks the rules of block-wise transfers.
    Failed,
}

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Call {
    /// Method and options, without blocks.
    template: Message,
    body: Vec<u8>,
    /// Where the block on its way begins.
    offset: usize,
    exponent: u8,
    restarted: bool,
    response: Vec<u8>,
    etag: Option<Vec<u8>>,
}

impl Call {
    /// A request with the method and options of `template`, and the first message of it.
    pub(crate) fn new(template: Message, body: Vec<u8>, exponent: u8) -> (Self, Message) {
        let call =
            Self { template, body, offset: 0, exponent, restarted: false, response: Vec::new(), etag: None };
        let message = call.block();
        (call, message)
    }

    /// The message for the block at the present offset.
    fn block(&self) -> Message {
        let mut message = self.template.clone();
        let size = block::size(self.exponent);
        let rest = self.body.get(self.offset..).unwrap_or_default();
        let piece = rest.get(..size).unwrap_or(rest);
        message.payload = piece.to_vec();
        if self.body.len() > size || self.offset > 0 {
            let more = piece.len() < rest.len();
            if let Some(block) = Block::at(self.offset, more, self.exponent) {
                block.put(&mut message, option::BLOCK1);
            }
            if self.offset == 0 {
                message.add_uint(option::SIZE1, u32::try_from(self.body.len()).unwrap_or(u32::MAX));
            }
        }
        message
    }

    /// Takes a response.
    pub(crate) fn answered(&mut self, response: Message) -> Step {
        let Ok(block1) = Block::of(&response, option::BLOCK1) else { return Step::Failed };
        let smaller = block1.map(|block| block.exponent).filter(|exponent| *exponent < self.exponent);
        match response.code {
            Code::CONTINUE => {
                let next = self.offset.saturating_add(block::size(self.exponent));
                if block1.is_none() || next >= self.body.len() {
                    return Step::Failed;
                }
                self.offset = next;
                self.exponent = smaller.unwrap_or(self.exponent);
                Step::Send(self.block())
            }
            Code::TOO_LARGE if smaller.is_some() && !self.body.is_empty() => {
                self.exponent = smaller.unwrap_or(self.exponent);
                self.offset = 0;
                Step::Send(self.block())
            }
            Code::INCOMPLETE if !self.restarted && self.offset > 0 => {
                self.restarted = true;
                self.offset = 0;
                Step::Send(self.block())
            }
            _ => self.collect(response),
        }
    }

    /// Adds a block of the response to those that are here, and asks for the next one.
    fn collect(&mut self, mut response: Message) -> Step {
        let Ok(block) = Block::of(&response, option::BLOCK2) else { return Step::Failed };
        let Some(block) = block else { return Step::Done(response) };
        let etag = response.first(option::ETAG).map(<[u8]>::to_vec);
        let here = u64::try_from(self.response.len()).unwrap_or(u64::MAX);
        let other = !self.response.is_empty() && etag != self.etag;
        let short = block.more && response.payload.len() != block.size();
        let length = self.response.len().saturating_add(response.payload.len());
        if block.offset() != here || other || short || length > BODY_MAX {
            return Step::Failed;
        }
        self.etag = etag;
        self.response.append(&mut response.payload);
        if !block.more {
            response.payload = std::mem::take(&mut self.response);
            return Step::Done(response);
        }
        let mut next = self.template.clone();
        match Block::at(self.response.len(), false, block.exponent) {
            Some(block) => block.put(&mut next, option::BLOCK2),
            None => return Step::Failed,
        }
        Step::Send(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(code: Code, number: u16, block: (u32, bool, u8), payload: &[u8]) -> Message {
        let mut message = Message::new(code);
        Block { number: block.0, more: block.1, exponent: block.2 }.put(&mut message, number);
        message.payload = payload.to_vec();
        message
    }

    fn sent(step: Step) -> (Block, Vec<u8>) {
        let Step::Send(message) = step else { panic!("{step:?}") };
        let block =
            Block::of(&message, option::BLOCK1).unwrap().or(Block::of(&message, option::BLOCK2).unwrap());
        (block.unwrap(), message.payload)
    }

    #[test]
    fn a_small_body_goes_in_one_message() {
        let (_, message) = Call::new(Message::new(Code::POST), vec![1; 1024], 6);
        assert!(message.options.is_empty());
        assert_eq!(message.payload.len(), 1024);
    }

    #[test]
    fn the_peer_may_ask_for_smaller_blocks() {
        let body: Vec<u8> = (0..2100_u32).map(|n| n.to_be_bytes()[3]).collect();
        let (mut call, first) = Call::new(Message::new(Code::POST), body.clone(), 6);
        assert_eq!(first.uint(option::SIZE1), Some(2100));
        let (block, payload) = sent(call.answered(reply(Code::CONTINUE, option::BLOCK1, (0, true, 2), b"")));
        assert_eq!(
            (block.number, block.more, block.exponent),
            (16, true, 2),
            "it continues at the same offset"
        );
        assert_eq!(payload, body[1024..1088]);
        let mut blocks = 1;
        loop {
            let (block, _) = sent(call.answered(reply(Code::CONTINUE, option::BLOCK1, (0, true, 6), b"")));
            assert_eq!(block.exponent, 2, "it does not grow again");
            blocks += 1;
            if !block.more {
                break;
            }
        }
        assert_eq!(blocks, (2100 - 1024_usize).div_ceil(64));
        assert!(matches!(
            call.answered(reply(Code::CONTINUE, option::BLOCK1, (0, true, 2), b"")),
            Step::Failed
        ));
        assert!(matches!(call.answered(Message::new(Code::CREATED)), Step::Done(_)));
    }

    #[test]
    fn a_body_that_is_too_large_is_sent_again_in_smaller_blocks() {
        let (mut call, _) = Call::new(Message::new(Code::POST), vec![0; 500], 6);
        let (block, payload) =
            sent(call.answered(reply(Code::TOO_LARGE, option::BLOCK1, (0, false, 3), b"")));
        assert_eq!((block.number, block.more, payload.len()), (0, true, 128));
        sent(call.answered(reply(Code::CONTINUE, option::BLOCK1, (0, true, 3), b"")));
        let (block, _) = sent(call.answered(Message::new(Code::INCOMPLETE)));
        assert_eq!(block.number, 0, "one new beginning");
        sent(call.answered(reply(Code::CONTINUE, option::BLOCK1, (0, true, 3), b"")));
        assert!(matches!(call.answered(Message::new(Code::INCOMPLETE)), Step::Done(_)), "not two");
    }

    #[test]
    fn a_large_response_is_fetched_block_by_block() {
        let (mut call, _) = Call::new(Message::new(Code::GET), Vec::new(), 6);
        let (block, _) = sent(call.answered(reply(Code::CONTENT, option::BLOCK2, (0, true, 0), &[1; 16])));
        assert_eq!((block.number, block.exponent), (1, 0));
        let Step::Done(whole) = call.answered(reply(Code::CONTENT, option::BLOCK2, (1, false, 0), &[2; 3]))
        else {
            panic!("not done");
        };
        assert_eq!(whole.payload.len(), 19);
    }

    #[test]
    fn blocks_that_do_not_fit_together_are_refused() {
        let gap = || {
            let (mut call, _) = Call::new(Message::new(Code::GET), Vec::new(), 6);
            sent(call.answered(reply(Code::CONTENT, option::BLOCK2, (0, true, 0), &[1; 16])));
            call
        };
        assert!(matches!(
            gap().answered(reply(Code::CONTENT, option::BLOCK2, (2, false, 0), &[2; 3])),
            Step::Failed
        ));
        assert!(matches!(
            gap().answered(reply(Code::CONTENT, option::BLOCK2, (1, true, 0), &[2; 3])),
            Step::Failed
        ));
        let mut changed = reply(Code::CONTENT, option::BLOCK2, (1, false, 0), &[2; 3]);
        changed.add(option::ETAG, [9]);
        assert!(matches!(gap().answered(changed), Step::Failed));
        let (mut endless, _) = Call::new(Message::new(Code::GET), Vec::new(), 6);
        let mut number = 0;
        while let Step::Send(_) =
            endless.answered(reply(Code::CONTENT, option::BLOCK2, (number, true, 6), &[0; 1024]))
        {
            number += 1;
        }
        assert_eq!(number, 64, "it ends at the limit");
    }
}
