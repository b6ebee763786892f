//! From bytes to a message and back, in both encodings. Text and binary share everything but their events.

mod cursor;
mod emit;
mod encoder;
mod parse;
mod table;
mod tnds;
mod wbxml;
mod xml;

pub(crate) use emit::MessageWriter;
pub use tnds::{decode_tnds, encode_tnds};

use crate::error::SyncmlError;
use crate::limits::MESSAGE_BYTES_MAX;
use crate::message::Message;
use cursor::{Cursor, Source};
pub(crate) use encoder::{is_xml_text, xml_escape};

/// How messages are written. One session keeps to one encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Text.
    Xml,
    /// Binary, for less than half of the bytes.
    Wbxml,
}

impl Encoding {
    /// The value of `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Xml => "application/vnd.syncml.dm+xml",
            Self::Wbxml => "application/vnd.syncml.dm+wbxml",
        }
    }

    /// The encoding that a `Content-Type` says; parameters are ignored.
    #[must_use]
    pub fn of_content_type(value: &str) -> Option<Self> {
        let mime = value.split(';').next().unwrap_or_default().trim();
        [Self::Xml, Self::Wbxml]
            .into_iter()
            .find(|encoding| mime.eq_ignore_ascii_case(encoding.content_type()))
    }

    /// The type of a serialized tree inside a message of this encoding.
    #[must_use]
    pub fn tnds_type(self) -> &'static str {
        match self {
            Self::Xml => "application/vnd.syncml.dmtnds+xml",
            Self::Wbxml => "application/vnd.syncml.dmtnds+wbxml",
        }
    }
}

/// Reads a message.
pub fn decode(bytes: &[u8], encoding: Encoding) -> Result<Message, SyncmlError> {
    let mut source = source(bytes, encoding)?;
    parse::message(&mut Cursor::new(source.as_mut(), bytes.len()))
}

/// Writes a message. Only binary data in XML can fail.
pub fn encode(message: &Message, encoding: Encoding) -> Result<Vec<u8>, SyncmlError> {
    let mut writer = MessageWriter::new(encoding, false, &message.header);
    for command in &message.commands {
        writer.push(command);
    }
    writer.finish(message.last)
}

fn source<'de>(bytes: &'de [u8], encoding: Encoding) -> Result<Box<dyn Source<'de> + 'de>, SyncmlError> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(SyncmlError::Limit { what: "bytes", max: MESSAGE_BYTES_MAX });
    }
    Ok(match encoding {
        Encoding::Xml => Box::new(xml::Xml::new(bytes)?),
        Encoding::Wbxml => Box::new(wbxml::Wbxml::new(bytes)?),
    })
}
