//! Messages as a server writes and reads them, with coap-lite alone: the second opinion on our own code.

use coap_lite::{CoapOption, MessageClass, MessageType, Packet};

pub const GET: u8 = 1;
pub const POST: u8 = 2;
pub const PUT: u8 = 3;
pub const DELETE: u8 = 4;
pub const FETCH: u8 = 5;
pub const IPATCH: u8 = 7;

pub const TEXT: u16 = 0;
pub const LINK: u16 = 40;
pub const OPAQUE: u16 = 42;
pub const SENML_JSON: u16 = 110;
pub const SENML_CBOR: u16 = 112;
pub const TLV: u16 = 11542;

/// Builds messages in one line.
pub trait Build: Sized {
    fn option(self, number: u16, value: &[u8]) -> Self;
    fn uint(self, number: u16, value: u32) -> Self;
    fn path(self, path: &str) -> Self;
    fn query(self, query: &str) -> Self;
    fn format(self, format: u16) -> Self;
    fn accept(self, format: u16) -> Self;
    fn observe(self, value: u32) -> Self;
    fn block1(self, number: u32, more: bool, exponent: u32) -> Self;
    fn block2(self, number: u32, more: bool, exponent: u32) -> Self;
    fn body(self, body: impl AsRef<[u8]>) -> Self;
    fn token(self, token: &[u8]) -> Self;
    fn id(self, id: u16) -> Self;
    fn non(self) -> Self;
}

/// A confirmable message.
pub fn message(code: u8) -> Packet {
    let mut packet = Packet::new();
    packet.header.code = MessageClass::from(code);
    packet
}

/// An acknowledgement with a response to `request`.
pub fn reply(request: &Packet, code: u8) -> Packet {
    let mut packet = message(code);
    packet.header.set_type(MessageType::Acknowledgement);
    packet.header.message_id = request.header.message_id;
    packet.set_token(request.get_token().to_vec());
    packet
}

/// An acknowledgement without a response, or a reset.
pub fn empty(kind: MessageType, id: u16) -> Packet {
    let mut packet = message(0);
    packet.header.set_type(kind);
    packet.header.message_id = id;
    packet
}

impl Build for Packet {
    fn option(mut self, number: u16, value: &[u8]) -> Self {
        self.add_option(CoapOption::from(number), value.to_vec());
        self
    }

    fn uint(self, number: u16, value: u32) -> Self {
        let bytes: Vec<u8> = value.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
        self.option(number, &bytes)
    }

    fn path(self, path: &str) -> Self {
        path.split('/').filter(|part| !part.is_empty()).fold(self, |m, part| m.option(11, part.as_bytes()))
    }

    fn query(self, query: &str) -> Self {
        self.option(15, query.as_bytes())
    }

    fn format(self, format: u16) -> Self {
        self.uint(12, u32::from(format))
    }

    fn accept(self, format: u16) -> Self {
        self.uint(17, u32::from(format))
    }

    fn observe(self, value: u32) -> Self {
        self.uint(6, value)
    }

    fn block1(self, number: u32, more: bool, exponent: u32) -> Self {
        self.uint(27, number << 4 | u32::from(more) << 3 | exponent)
    }

    fn block2(self, number: u32, more: bool, exponent: u32) -> Self {
        self.uint(23, number << 4 | u32::from(more) << 3 | exponent)
    }

    fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.payload = body.as_ref().to_vec();
        self
    }

    fn token(mut self, token: &[u8]) -> Self {
        self.set_token(token.to_vec());
        self
    }

    fn id(mut self, id: u16) -> Self {
        self.header.message_id = id;
        self
    }

    fn non(mut self) -> Self {
        self.header.set_type(MessageType::NonConfirmable);
        self
    }
}

/// Looks into messages in one line.
pub trait Look {
    /// As `2.05`.
    fn code(&self) -> String;
    fn texts(&self, number: u16) -> Vec<String>;
    fn number(&self, number: u16) -> Option<u32>;
    /// Number, more and exponent.
    fn block(&self, number: u16) -> Option<(u32, bool, u32)>;
    fn text(&self) -> String;
}

impl Look for Packet {
    fn code(&self) -> String {
        self.header.get_code()
    }

    fn texts(&self, number: u16) -> Vec<String> {
        let values = self.get_option(CoapOption::from(number)).into_iter().flatten();
        values.map(|value| String::from_utf8(value.clone()).unwrap()).collect()
    }

    fn number(&self, number: u16) -> Option<u32> {
        let value = self.get_first_option(CoapOption::from(number))?;
        Some(value.iter().fold(0, |n, byte| n << 8 | u32::from(*byte)))
    }

    fn block(&self, number: u16) -> Option<(u32, bool, u32)> {
        let value = self.number(number)?;
        Some((value >> 4, value & 8 != 0, value & 7))
    }

    fn text(&self) -> String {
        String::from_utf8(self.payload.clone()).unwrap()
    }
}
