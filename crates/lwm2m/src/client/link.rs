//! The association with one server: the message layer and every transfer on it.

use std::collections::VecDeque;

use super::context::Effect;
use super::upload::Sink;
use crate::coap::block::Block;
use crate::coap::call::{Call, Step};
use crate::coap::endpoint::{Endpoint, Event, ExchangeId};
use crate::coap::message::{Code, Message, Token, option};
use crate::coap::snapshot::Snapshots;
use crate::coap::upload::{Key, Uploads};
use crate::limits::DIAGNOSTIC_BYTES_MAX;
use crate::objects::{CallId, Objects, UploadId};
use crate::time::{Millis, Random, earlier};

use super::{Output, Peer, SendId};

/// Why we made a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Register,
    Update,
    Deregister,
    BootstrapRequest,
    BootstrapPack,
    Send(SendId),
}

/// A request of the server that the objects have not answered yet.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) call: CallId,
    pub(crate) exchange: ExchangeId,
    /// The block that the answer acknowledges.
    pub(crate) block1: Option<Block>,
    pub(crate) then: Then,
}

/// What follows when the objects have done it.
#[derive(Debug)]
pub(crate) enum Then {
    /// This is the answer.
    Answer(Message, Vec<Effect>),
    /// A piece of an upload is stored; the last one is followed by closing it.
    Stored { upload: UploadId, path: crate::path::Path, more: bool },
    /// An upload is closed.
    Closed { upload: UploadId, path: crate::path::Path },
}

/// What a datagram, or the passing of time, means to the layers above.
#[derive(Debug)]
pub(crate) enum Happened {
    /// The server asks.
    Request(ExchangeId, Message),
    /// A request of ours is over: with its whole response, or without one.
    Over(Purpose, Option<Message>),
    /// These notifications did not arrive, or wait behind one that did not.
    Undelivered(Vec<Message>),
    /// The server does not know this observation.
    Rejected(Token),
}

/// The association with one server.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) peer: Peer,
    pub(crate) endpoint: Endpoint,
    calls: Vec<(Token, Call, Purpose)>,
    pub(crate) uploads: Uploads<Sink>,
    pub(crate) snapshots: Snapshots,
    pub(crate) jobs: Vec<Job>,
}

impl Link {
    pub(crate) fn new(peer: Peer, random: Random) -> Self {
        Self {
            peer,
            endpoint: Endpoint::new(random),
            calls: Vec::new(),
            uploads: Uploads::default(),
            snapshots: Snapshots::default(),
            jobs: Vec::new(),
        }
    }

    /// Begins anew: what was on its way on the old association does not come any more.
    pub(crate) fn reset(&mut self, random: Random, objects: &mut dyn Objects) {
        for sink in self.uploads.drain() {
            sink.abort(objects);
        }
        for job in &self.jobs {
            if let Then::Stored { upload, more: false, .. } | Then::Closed { upload, .. } = job.then {
                objects.abort(upload);
            }
        }
        *self = Self::new(self.peer, random);
    }

    /// Makes a request; its end comes as [`Happened::Over`]. Gives whether there was room for it.
    pub(crate) fn call(
        &mut self,
        template: Message,
        body: Vec<u8>,
        exponent: u8,
        purpose: Purpose,
        now: Millis,
    ) -> bool {
        let (call, first) = Call::new(template, body, exponent);
        match self.endpoint.request(first, now) {
            Some(token) => self.calls.push((token, call, purpose)),
            None => return false,
        }
        true
    }

    /// Whether a request of this purpose is on its way.
    pub(crate) fn calls(&self, purpose: Purpose) -> bool {
        self.calls.iter().any(|(_, _, known)| *known == purpose)
    }

    /// Takes a datagram.
    pub(crate) fn receive(&mut self, bytes: &[u8], now: Millis) -> Option<Happened> {
        let event = self.endpoint.receive(bytes, now)?;
        self.translate(event, now)
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: Millis, objects: &mut dyn Objects) -> Vec<Happened> {
        for sink in self.uploads.expired(now) {
            sink.abort(objects);
        }
        let events = self.endpoint.tick(now);
        events.into_iter().filter_map(|event| self.translate(event, now)).collect()
    }

    pub(crate) fn deadline(&self) -> Option<Millis> {
        earlier(self.endpoint.deadline(), self.uploads.deadline())
    }

    /// Hands datagrams to the caller.
    pub(crate) fn flush(&mut self, outputs: &mut VecDeque<Output>) {
        while let Some(bytes) = self.endpoint.transmit() {
            outputs.push_back(Output::Datagram { peer: self.peer, bytes });
        }
    }

    fn translate(&mut self, event: Event, now: Millis) -> Option<Happened> {
        match event {
            Event::Request(exchange, message) => Some(Happened::Request(exchange, message)),
            Event::Response(message) => self.response(message, now),
            Event::Lost(token) => {
                let (_, purpose) = self.take_call(&token)?;
                Some(Happened::Over(purpose, None))
            }
            Event::Undelivered(messages) => Some(Happened::Undelivered(messages)),
            Event::Rejected(token) => Some(Happened::Rejected(token)),
        }
    }

    fn take_call(&mut self, token: &Token) -> Option<(Call, Purpose)> {
        let at = self.calls.iter().position(|(known, _, _)| known == token)?;
        let (_, call, purpose) = self.calls.swap_remove(at);
        Some((call, purpose))
    }

    fn response(&mut self, message: Message, now: Millis) -> Option<Happened> {
        let (mut call, purpose) = self.take_call(&message.token)?;
        match call.answered(message) {
            Step::Send(next) => match self.endpoint.request(next, now) {
                Some(token) => {
                    self.calls.push((token, call, purpose));
                    None
                }
                None => Some(Happened::Over(purpose, None)),
            },
            Step::Done(response) => Some(Happened::Over(purpose, Some(response))),
            Step::Failed => Some(Happened::Over(purpose, None)),
        }
    }

    /// Answers a request, in blocks if the answer is large.
    pub(crate) fn respond(
        &mut self,
        exchange: ExchangeId,
        mut response: Message,
        acknowledged: Option<Block>,
        transfer: Option<(Key, Option<Block>, u8)>,
        now: Millis,
    ) {
        if let Some((key, wanted, exponent)) = transfer {
            response = self.snapshots.first(key, response, wanted, exponent, now);
        }
        if let Some(block) = acknowledged {
            block.put(&mut response, option::BLOCK1);
        }
        self.endpoint.respond(exchange, response, now);
    }

    /// Answers a request with an error.
    pub(crate) fn refuse(&mut self, exchange: ExchangeId, code: Code, block: Option<Block>, now: Millis) {
        let mut response = Message::new(code);
        if let Some(text) = diagnostic(code) {
            response.payload = text.bytes().take(DIAGNOSTIC_BYTES_MAX).collect();
        }
        self.respond(exchange, response, block, None, now);
    }
}

/// A text for the people who read the logs of a server.
const fn diagnostic(code: Code) -> Option<&'static str> {
    match code {
        Code::BAD_OPTION => Some("an option is not understood"),
        Code::INCOMPLETE => Some("blocks are missing; begin again"),
        Code::TOO_LARGE => Some("the body is too large"),
        _ => None,
    }
}
