//! One CoAP message (RFC 7252, 3). The packet format is coap-lite's; the checks that it leaves out are here.

use std::fmt;

use coap_lite::{CoapOption, MessageClass, MessageType, Packet};

use crate::limits::{DATAGRAM_MAX, TOKEN_BYTES_MAX};

/// How a message is to be treated by the message layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Wants an acknowledgement.
    Confirmable,
    /// Wants none.
    NonConfirmable,
    /// Acknowledges, and may carry the response.
    Acknowledgement,
    /// Says that a message means nothing to its receiver.
    Reset,
}

/// A method or a response code: class and detail.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub u8);

#[allow(missing_docs)] // The names are those of the code registry of CoAP.
impl Code {
    pub const EMPTY: Self = Self(0);
    pub const GET: Self = Self(0x01);
    pub const POST: Self = Self(0x02);
    pub const PUT: Self = Self(0x03);
    pub const DELETE: Self = Self(0x04);
    pub const FETCH: Self = Self(0x05);
    pub const IPATCH: Self = Self(0x07);
    pub const CREATED: Self = Self(0x41);
    pub const DELETED: Self = Self(0x42);
    pub const CHANGED: Self = Self(0x44);
    pub const CONTENT: Self = Self(0x45);
    pub const CONTINUE: Self = Self(0x5f);
    pub const BAD_REQUEST: Self = Self(0x80);
    pub const UNAUTHORIZED: Self = Self(0x81);
    pub const BAD_OPTION: Self = Self(0x82);
    pub const NOT_FOUND: Self = Self(0x84);
    pub const METHOD_NOT_ALLOWED: Self = Self(0x85);
    pub const NOT_ACCEPTABLE: Self = Self(0x86);
    pub const INCOMPLETE: Self = Self(0x88);
    pub const PRECONDITION_FAILED: Self = Self(0x8c);
    pub const TOO_LARGE: Self = Self(0x8d);
    pub const UNSUPPORTED_FORMAT: Self = Self(0x8f);
    pub const INTERNAL_ERROR: Self = Self(0xa0);
}

impl Code {
    /// 0 for requests, 2 for success, 4 and 5 for errors.
    #[must_use]
    pub const fn class(self) -> u8 {
        self.0 >> 5
    }

    /// Whether it is a method.
    #[must_use]
    pub const fn is_request(self) -> bool {
        self.class() == 0 && self.0 != 0
    }

    /// Whether it is the code of a response.
    #[must_use]
    pub const fn is_response(self) -> bool {
        matches!(self.class(), 2 | 4 | 5)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.class(), self.0 & 0x1f)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Numbers of options (RFC 7252, 12.2; RFC 7641; RFC 7959).
#[allow(missing_docs)]
pub mod option {
    pub const URI_HOST: u16 = 3;
    pub const ETAG: u16 = 4;
    pub const OBSERVE: u16 = 6;
    pub const URI_PORT: u16 = 7;
    pub const LOCATION_PATH: u16 = 8;
    pub const URI_PATH: u16 = 11;
    pub const CONTENT_FORMAT: u16 = 12;
    pub const URI_QUERY: u16 = 15;
    pub const ACCEPT: u16 = 17;
    pub const BLOCK2: u16 = 23;
    pub const BLOCK1: u16 = 27;
    pub const SIZE2: u16 = 28;
    pub const SIZE1: u16 = 60;
}

/// A token: tells which request a response belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Token(Vec<u8>);

impl Token {
    /// A token of at most [`TOKEN_BYTES_MAX`] bytes; surplus bytes are left out.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.get(..TOKEN_BYTES_MAX).unwrap_or(bytes).to_vec())
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// How the message layer treats it.
    pub kind: Type,
    /// Method or response code.
    pub code: Code,
    /// Message id: finds acknowledgement and duplicates.
    pub id: u16,
    /// Token: finds the response.
    pub token: Token,
    /// Option numbers and values, in the order of the numbers.
    pub options: Vec<(u16, Vec<u8>)>,
    /// Body, or one block of it.
    pub payload: Vec<u8>,
}

/// Why bytes are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the datagram is not a CoAP message")]
pub struct Malformed {
    /// Id of a confirmable message whose head could be read: it is answered by a reset.
    pub reset: Option<u16>,
}

impl Message {
    /// A message without options; type, id and token are set by the message layer.
    #[must_use]
    pub fn new(code: Code) -> Self {
        Self {
            kind: Type::Confirmable,
            code,
            id: 0,
            token: Token::default(),
            options: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// An empty acknowledgement or reset.
    #[must_use]
    pub fn empty(kind: Type, id: u16) -> Self {
        Self { kind, id, ..Self::new(Code::EMPTY) }
    }

    /// Adds an option.
    pub fn add(&mut self, number: u16, value: impl Into<Vec<u8>>) {
        let at = self.options.partition_point(|(known, _)| *known <= number);
        self.options.insert(at, (number, value.into()));
    }

    /// Adds an option whose value is a number: as few bytes as possible (RFC 7252, 3.2).
    pub fn add_uint(&mut self, number: u16, value: u32) {
        let bytes = value.to_be_bytes();
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        self.add(number, bytes.get(zeros..).unwrap_or_default());
    }

    /// Gives an option that is there another number as its value; nothing happens when it is not there.
    pub fn replace_uint(&mut self, number: u16, value: u32) {
        if self.first(number).is_some() {
            self.options.retain(|(known, _)| *known != number);
            self.add_uint(number, value);
        }
    }

    /// The values of an option, in order.
    pub fn all(&self, number: u16) -> impl Iterator<Item = &[u8]> {
        self.options.iter().filter(move |(known, _)| *known == number).map(|(_, value)| value.as_slice())
    }

    /// The first value of an option.
    #[must_use]
    pub fn first(&self, number: u16) -> Option<&[u8]> {
        self.all(number).next()
    }

    /// The number in an option; none when there is no such option or when it is longer than four bytes.
    #[must_use]
    pub fn uint(&self, number: u16) -> Option<u32> {
        let value = self.first(number)?;
        (value.len() <= 4).then(|| value.iter().fold(0, |n, byte| (n << 8) | u32::from(*byte)))
    }

    /// Reads a datagram.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let Some((&[first, code, high, low], _)) = bytes.split_first_chunk::<4>() else {
            return Err(Malformed { reset: None });
        };
        let confirmable = first & 0x30 == 0;
        // Messages of another version are ignored without an answer (RFC 7252, 3).
        let version_1 = first >> 6 == 1;
        let malformed =
            Malformed { reset: (confirmable && version_1).then_some(u16::from_be_bytes([high, low])) };
        let code = Code(code);
        let known = code == Code::EMPTY || code.is_request() || code.is_response();
        let empty_is_empty = code != Code::EMPTY || bytes.len() == 4;
        if !version_1 || !known || !empty_is_empty || bytes.len() > DATAGRAM_MAX {
            return Err(malformed);
        }
        let packet = Packet::from_bytes(bytes).map_err(|_| malformed)?;
        if packet.payload.is_empty() && bytes.last() == Some(&0xff) {
            // A marker with nothing behind it is an error; coap-lite reads it as an empty payload.
            let without = packet.to_bytes_unlimited().map_err(|_| malformed)?;
            if without.len() != bytes.len() {
                return Err(malformed);
            }
        }
        Ok(Self::from_packet(packet))
    }

    fn from_packet(packet: Packet) -> Self {
        let options = packet.options().flat_map(|(number, values)| {
            let number = *number;
            values.iter().map(move |value| (number, value.clone()))
        });
        Self {
            kind: match packet.header.get_type() {
                MessageType::Confirmable => Type::Confirmable,
                MessageType::NonConfirmable => Type::NonConfirmable,
                MessageType::Acknowledgement => Type::Acknowledgement,
                MessageType::Reset => Type::Reset,
            },
            code: Code(packet.header.code.into()),
            id: packet.header.message_id,
            token: Token::new(packet.get_token()),
            options: options.collect(),
            payload: packet.payload,
        }
    }

    /// Writes a datagram.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut packet = Packet::new();
        packet.header.set_type(match self.kind {
            Type::Confirmable => MessageType::Confirmable,
            Type::NonConfirmable => MessageType::NonConfirmable,
            Type::Acknowledgement => MessageType::Acknowledgement,
            Type::Reset => MessageType::Reset,
        });
        packet.header.code = MessageClass::from(self.code.0);
        packet.header.message_id = self.id;
        packet.set_token(self.token.bytes().to_vec());
        for (number, value) in &self.options {
            packet.add_option(CoapOption::from(*number), value.clone());
        }
        packet.payload.clone_from(&self.payload);
        // Without a limit, the only error of coap-lite cannot happen; nothing is sent if it does.
        packet.to_bytes_unlimited().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_registration_of_a_known_client_is_read() {
        let mut bytes = vec![0x44, 0x02, 0x1e, 0xaf, 0xaf, 0x1e, 0x6f, 0x3a];
        bytes.extend(b"\xb2rd\x11\x28\x39lwm2m=1.1\x0aep=rustdev\x03b=U\x06lt=300\xff</3/0>");
        let message = Message::decode(&bytes).unwrap();
        assert_eq!((message.kind, message.code, message.id), (Type::Confirmable, Code::POST, 0x1eaf));
        assert_eq!(message.token.bytes(), [0xaf, 0x1e, 0x6f, 0x3a]);
        assert_eq!(message.first(option::URI_PATH), Some(&b"rd"[..]));
        assert_eq!(message.uint(option::CONTENT_FORMAT), Some(40));
        assert_eq!(message.all(option::URI_QUERY).count(), 4);
        assert_eq!(message.payload, b"</3/0>");
        assert_eq!(message.encode(), bytes);
    }

    #[test]
    fn the_format_of_messages_is_strict() {
        let good = [0x40, 0x01, 0x12, 0x34];
        assert!(Message::decode(&good).is_ok());
        let reset = Some(Malformed { reset: Some(0x1234) });
        let silent = Some(Malformed { reset: None });
        assert_eq!(Message::decode(&good[..3]).err(), silent);
        assert_eq!(Message::decode(&[0x00, 0x01, 0x12, 0x34]).err(), silent, "version 0");
        assert_eq!(Message::decode(&[0x50, 0x20, 0x12, 0x34]).err(), silent, "reserved class");
        assert_eq!(
            Message::decode(&[0x40, 0x00, 0x12, 0x34, 0x00]).err(),
            reset,
            "an empty message has 4 bytes"
        );
        assert_eq!(Message::decode(&[0x49, 0x01, 0x12, 0x34, 1, 2, 3, 4, 5, 6, 7, 8, 9]).err(), reset);
        assert_eq!(Message::decode(&[0x42, 0x01, 0x12, 0x34, 1]).err(), reset, "short token");
        assert_eq!(Message::decode(&[0x40, 0x01, 0x12, 0x34, 0xff]).err(), reset, "marker without payload");
        assert_eq!(Message::decode(&[0x40, 0x01, 0x12, 0x34, 0xf0]).err(), reset, "reserved delta");
        assert_eq!(Message::decode(&[0x40, 0x01, 0x12, 0x34, 0x13, 1]).err(), reset, "short option");
        let ends_in_ff = [0x40, 0x01, 0x12, 0x34, 0x41, 0xff];
        assert_eq!(Message::decode(&ends_in_ff).unwrap().first(option::ETAG), Some(&[0xff][..]));
        assert!(Message::decode(&[vec![0x40, 0x02, 0, 0, 0xff], vec![0; DATAGRAM_MAX]].concat()).is_err());
    }

    #[test]
    fn numbers_in_options_are_short() {
        let mut message = Message::new(Code::GET);
        message.add_uint(option::ACCEPT, 0);
        message.add_uint(option::OBSERVE, 11542);
        assert_eq!(message.first(option::ACCEPT), Some(&[][..]));
        assert_eq!(message.first(option::OBSERVE), Some(&[0x2d, 0x16][..]));
        message.add(option::CONTENT_FORMAT, [0]);
        assert_eq!(
            message.uint(option::CONTENT_FORMAT),
            Some(0),
            "one needless zero byte is seen in the wild"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn messages_come_back(
            kind in 0..4_usize, code in prop::sample::select(vec![1_u8, 2, 3, 4, 5, 7, 0x41, 0x45, 0x9d, 0xbe]),
            id: u16, token in prop::collection::vec(any::<u8>(), 0..=8),
            options in prop::collection::vec((any::<u16>(), prop::collection::vec(any::<u8>(), 0..300)), 0..4),
            payload in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let kinds = [Type::Confirmable, Type::NonConfirmable, Type::Acknowledgement, Type::Reset];
            let mut message =
                Message { kind: kinds[kind], id, token: Token::new(&token), payload, ..Message::new(Code(code)) };
            for (number, value) in options {
                message.add(number, value);
            }
            prop_assert_eq!(Message::decode(&message.encode()).unwrap(), message);
        }

        #[test]
        fn random_datagrams_do_no_harm(mut bytes in prop::collection::vec(any::<u8>(), 0..80), head: bool) {
            if head && !bytes.is_empty() {
                bytes[0] = 0x40 | (bytes[0] & 0x3f);
            }
            if let Ok(message) = Message::decode(&bytes) {
                prop_assert_eq!(message.encode(), bytes);
            }
        }
    }
}
