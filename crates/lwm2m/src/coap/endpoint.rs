//! The message layer towards one peer (RFC 7252, 4): retransmission, acknowledgements, duplicates, tokens.
//!
//! It is both client and server: our requests and notifications go out, the peer's requests come in, on one
//! association. One confirmable message is on its way at a time; others wait for their turn.

use std::collections::VecDeque;

use super::block::Block;
use super::message::{Code, Message, Token, Type, option};
use super::recent::Recent;
use crate::limits::{
    ACK_DELAY, ACK_JITTER, ACK_TIMEOUT, BLOCK_EXPONENT_MAX, DATAGRAM_MAX, EXCHANGE_LIFETIME, EXCHANGES_MAX,
    NON_LIFETIME, NOTIFIED_MAX, QUEUE_MAX, RETRANSMIT_MAX, TOKEN_BYTES,
};
use crate::time::{Millis, Random, earlier};

/// Names a request of the peer until it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ExchangeId(u64);

/// What happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// The peer asks; answer with [`Endpoint::respond`].
    Request(ExchangeId, Message),
    /// The peer answered the request with the message's token.
    Response(Message),
    /// The peer did not answer the request with this token, or said that it means nothing to it.
    Lost(Token),
    /// The peer did not acknowledge the first of these confirmable notifications; the others waited behind it, and
    /// must not overtake it.
    Undelivered(Vec<Message>),
    /// A notification with this token means nothing to the peer.
    Rejected(Token),
}

#[derive(Debug)]
struct Confirmable {
    message: Message,
    /// Retransmissions done, present timeout, and when it ends; none while the message waits for its turn.
    flight: Option<(u32, u64, Millis)>,
}

#[derive(Debug)]
struct Exchange {
    id: ExchangeId,
    message_id: u16,
    token: Token,
    /// When an acknowledgement without the answer is due; none when it was sent, or none is wanted.
    acknowledge: Option<Millis>,
    confirmable: bool,
}

/// The message layer towards one peer.
#[derive(Debug)]
pub(crate) struct Endpoint {
    random: Random,
    next_id: u16,
    next_exchange: u64,
    queue: VecDeque<Confirmable>,
    /// Requests of ours and when they are given up.
    waiting: Vec<(Token, Millis)>,
    exchanges: Vec<Exchange>,
    /// Ids and tokens of non-confirmable notifications.
    notified: VecDeque<(u16, Token)>,
    recent: Recent,
    outbox: VecDeque<Vec<u8>>,
}

impl Endpoint {
    /// `random` decides message ids, tokens and jitter; seed it differently after each start.
    pub(crate) fn new(mut random: Random) -> Self {
        let [high, low, ..] = random.next().to_be_bytes();
        Self {
            random,
            next_id: u16::from_be_bytes([high, low]),
            next_exchange: 0,
            queue: VecDeque::new(),
            waiting: Vec::new(),
            exchanges: Vec::new(),
            notified: VecDeque::new(),
            recent: Recent::default(),
            outbox: VecDeque::new(),
        }
    }

    fn message_id(&mut self) -> u16 {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        id
    }

    /// The next datagram to send.
    pub(crate) fn transmit(&mut self) -> Option<Vec<u8>> {
        self.outbox.pop_front()
    }

    /// When [`Self::tick`] has something to do next.
    pub(crate) fn deadline(&self) -> Option<Millis> {
        let flight = self.queue.front().and_then(|front| front.flight).map(|(_, _, due)| due);
        let acknowledge = self.exchanges.iter().filter_map(|exchange| exchange.acknowledge).min();
        let waiting = self.waiting.iter().map(|(_, until)| *until).min();
        earlier(earlier(flight, acknowledge), waiting)
    }

    /// Whether a message of ours waits for the peer, or a request of the peer for us.
    pub(crate) fn is_busy(&self) -> bool {
        !self.queue.is_empty() || !self.waiting.is_empty() || !self.exchanges.is_empty()
    }

    /// Whether another confirmable message may wait for its turn.
    pub(crate) fn has_room(&self) -> bool {
        self.queue.len() < QUEUE_MAX
    }

    /// Sends a request and gives its token; none when too many messages wait already.
    pub(crate) fn request(&mut self, mut message: Message, now: Millis) -> Option<Token> {
        let token = Token::new(self.random.next().to_be_bytes().get(..TOKEN_BYTES).unwrap_or_default());
        message.token = token.clone();
        if !self.confirm(message, now) {
            return None;
        }
        self.waiting.push((token.clone(), now.plus(EXCHANGE_LIFETIME)));
        Some(token)
    }

    /// Sends a notification; its token is that of the observation. Gives whether there was room for it.
    pub(crate) fn notify(&mut self, mut message: Message, confirmable: bool, now: Millis) -> bool {
        if confirmable {
            return self.confirm(message, now);
        }
        message.kind = Type::NonConfirmable;
        message.id = self.message_id();
        if self.notified.len() >= NOTIFIED_MAX {
            self.notified.pop_front();
        }
        self.notified.push_back((message.id, message.token.clone()));
        self.outbox.push_back(message.encode());
        true
    }

    /// Answers a request. An exchange that is not known any more is left alone.
    pub(crate) fn respond(&mut self, exchange: ExchangeId, mut message: Message, now: Millis) {
        let Some(at) = self.exchanges.iter().position(|known| known.id == exchange) else { return };
        let exchange = self.exchanges.swap_remove(at);
        message.token = exchange.token;
        match (exchange.confirmable, exchange.acknowledge) {
            (true, Some(_)) => {
                message.kind = Type::Acknowledgement;
                message.id = exchange.message_id;
                let bytes = message.encode();
                self.recent.answer(exchange.message_id, &bytes);
                self.outbox.push_back(bytes);
            }
            // It was acknowledged before: a separate response.
            (true, None) => drop(self.confirm(message, now)),
            (false, _) => {
                message.kind = Type::NonConfirmable;
                message.id = self.message_id();
                self.outbox.push_back(message.encode());
            }
        }
    }

    /// Leaves a request without an answer.
    pub(crate) fn ignore(&mut self, exchange: ExchangeId) {
        self.exchanges.retain(|known| known.id != exchange);
    }

    fn confirm(&mut self, mut message: Message, now: Millis) -> bool {
        if !self.has_room() {
            return false;
        }
        message.kind = Type::Confirmable;
        message.id = self.message_id();
        self.queue.push_back(Confirmable { message, flight: None });
        self.launch(now);
        true
    }

    /// Sends the first message of the queue, if it waits for its turn.
    fn launch(&mut self, now: Millis) {
        let Some(front) = self.queue.front_mut() else { return };
        if front.flight.is_none() {
            let timeout = ACK_TIMEOUT.saturating_add(self.random.up_to(ACK_JITTER));
            front.flight = Some((0, timeout, now.plus(timeout)));
            self.outbox.push_back(front.message.encode());
        }
    }

    /// Does what is due, and gives what failed.
    pub(crate) fn tick(&mut self, now: Millis) -> Vec<Event> {
        let mut events = Vec::new();
        for at in 0..self.exchanges.len() {
            let Some(exchange) = self.exchanges.get_mut(at) else { continue };
            if exchange.acknowledge.is_some_and(|due| due <= now) {
                exchange.acknowledge = None;
                let id = exchange.message_id;
                self.acknowledge(id);
            }
        }
        if let Some(front) = self.queue.front_mut()
            && let Some((count, timeout, due)) = front.flight
            && due <= now
        {
            if count < RETRANSMIT_MAX {
                let timeout = timeout.saturating_mul(2);
                front.flight = Some((count.saturating_add(1), timeout, now.plus(timeout)));
                self.outbox.push_back(front.message.encode());
            } else {
                let message = self.queue.pop_front().map(|front| front.message);
                events.extend(message.and_then(|message| self.failed(message)));
                self.launch(now);
            }
        }
        let mut given_up = Vec::new();
        self.waiting.retain(|(token, until)| {
            let over = *until <= now;
            if over {
                given_up.push(Event::Lost(token.clone()));
            }
            !over
        });
        events.extend(given_up);
        events
    }

    /// What it means that a confirmable message could not be delivered.
    fn failed(&mut self, message: Message) -> Option<Event> {
        if message.code.is_request() {
            return self.stop_waiting(&message.token).then_some(Event::Lost(message.token));
        }
        // A separate response that is lost concerns nobody.
        if !is_notification(&message) {
            return None;
        }
        let (behind, kept) =
            std::mem::take(&mut self.queue).into_iter().partition(|c| is_notification(&c.message));
        self.queue = kept;
        let behind: VecDeque<Confirmable> = behind;
        let all = std::iter::once(message).chain(behind.into_iter().map(|waiting| waiting.message));
        Some(Event::Undelivered(all.collect()))
    }

    fn stop_waiting(&mut self, token: &Token) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|(known, _)| known != token);
        self.waiting.len() < before
    }

    /// Acknowledges without an answer, and does so again for a duplicate.
    fn acknowledge(&mut self, id: u16) {
        let bytes = Message::empty(Type::Acknowledgement, id).encode();
        self.recent.answer(id, &bytes);
        self.outbox.push_back(bytes);
    }

    /// Takes a datagram.
    pub(crate) fn receive(&mut self, bytes: &[u8], now: Millis) -> Option<Event> {
        if bytes.len() > DATAGRAM_MAX {
            self.too_large(bytes);
            return None;
        }
        let message = match Message::decode(bytes) {
            Ok(message) => message,
            Err(malformed) => {
                let reset = malformed.reset?;
                self.outbox.push_back(Message::empty(Type::Reset, reset).encode());
                return None;
            }
        };
        match message.kind {
            Type::Acknowledgement => self.acknowledged(message, now),
            Type::Reset => self.reset(message.id, now),
            Type::Confirmable if message.code == Code::EMPTY => {
                // A ping: the reset says that we are here.
                self.outbox.push_back(Message::empty(Type::Reset, message.id).encode());
                None
            }
            Type::NonConfirmable if message.code == Code::EMPTY => None,
            Type::Confirmable | Type::NonConfirmable => self.incoming(message, now),
        }
    }

    /// Answers a request that is larger than a message should be: it must come in blocks (RFC 7959, 2.9.3).
    fn too_large(&mut self, bytes: &[u8]) {
        let token = bytes.first().map_or(0, |first| usize::from(first & 15));
        let head = bytes.get(..token.saturating_add(4)).unwrap_or_default();
        let Ok(head) = Message::decode(head) else { return };
        if !head.code.is_request() || head.kind != Type::Confirmable {
            return;
        }
        let mut answer = Message::new(Code::TOO_LARGE);
        answer.kind = Type::Acknowledgement;
        answer.id = head.id;
        answer.token = head.token;
        Block { number: 0, more: false, exponent: BLOCK_EXPONENT_MAX }.put(&mut answer, option::BLOCK1);
        self.outbox.push_back(answer.encode());
    }

    fn in_flight(&self, id: u16) -> bool {
        self.queue.front().is_some_and(|front| front.flight.is_some() && front.message.id == id)
    }

    fn acknowledged(&mut self, message: Message, now: Millis) -> Option<Event> {
        if message.code.is_request() || !self.in_flight(message.id) {
            return None;
        }
        // A piggybacked response must also have the token: ids are easy to guess.
        let response = message.code != Code::EMPTY;
        if response && self.queue.front().is_some_and(|front| front.message.token != message.token) {
            return None;
        }
        self.queue.pop_front();
        self.launch(now);
        (response && self.stop_waiting(&message.token)).then_some(Event::Response(message))
    }

    fn reset(&mut self, id: u16, now: Millis) -> Option<Event> {
        if let Some(at) = self.notified.iter().position(|(known, _)| *known == id) {
            return self.notified.remove(at).map(|(_, token)| Event::Rejected(token));
        }
        if !self.in_flight(id) {
            return None;
        }
        let message = self.queue.pop_front()?.message;
        self.launch(now);
        if is_notification(&message) { Some(Event::Rejected(message.token)) } else { self.failed(message) }
    }

    fn incoming(&mut self, message: Message, now: Millis) -> Option<Event> {
        let confirmable = message.kind == Type::Confirmable;
        if let Some(answer) = self.recent.find(message.id, now) {
            // What is not answered yet is not acknowledged twice either: its answer is on the way.
            if let (true, Some(answer)) = (confirmable, answer.map(<[u8]>::to_vec)) {
                self.outbox.push_back(answer);
            }
            return None;
        }
        let lifetime = if confirmable { EXCHANGE_LIFETIME } else { NON_LIFETIME };
        if message.code.is_response() {
            return self.separate(message, now.plus(lifetime), now);
        }
        if self.exchanges.len() >= EXCHANGES_MAX {
            return None;
        }
        let repeatable = !matches!(message.code, Code::POST | Code::DELETE | Code::IPATCH);
        self.recent.add(message.id, now.plus(lifetime), repeatable, now);
        let id = ExchangeId(self.next_exchange);
        self.next_exchange = self.next_exchange.wrapping_add(1);
        self.exchanges.push(Exchange {
            id,
            message_id: message.id,
            token: message.token.clone(),
            acknowledge: confirmable.then_some(now.plus(ACK_DELAY)),
            confirmable,
        });
        Some(Event::Request(id, message))
    }

    /// A response in a message of its own.
    fn separate(&mut self, message: Message, until: Millis, now: Millis) -> Option<Event> {
        let confirmable = message.kind == Type::Confirmable;
        if !self.stop_waiting(&message.token) {
            if confirmable {
                self.outbox.push_back(Message::empty(Type::Reset, message.id).encode());
            }
            return None;
        }
        if confirmable {
            self.recent.add(message.id, until, true, now);
            self.acknowledge(message.id);
        }
        // The response also acknowledges the request, should its acknowledgement be lost.
        if self.queue.front().is_some_and(|front| front.message.token == message.token) {
            self.queue.pop_front();
            self.launch(now);
        }
        Some(Event::Response(message))
    }
}

/// Whether a message of ours is the notification of an observation.
fn is_notification(message: &Message) -> bool {
    message.code.is_response() && message.first(option::OBSERVE).is_some()
}
