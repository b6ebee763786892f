//! An opaque value that arrives in pieces and is never whole in memory: what a format wraps around it is taken off
//! on the way.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minicbor::Decoder;
use minicbor::data::Type;

use super::{Format, FormatError, tlv};
use crate::path::Path;

/// Longest header that TLV or CBOR put before a value, in bytes.
const HEADER_MAX: usize = 9;

/// Unwraps one value.
#[derive(Debug)]
pub(crate) struct Unwrap {
    format: Format,
    /// The resource that is written.
    path: Path,
    /// Bytes that wait for more: an unfinished header, or an unfinished group of Base64.
    held: Vec<u8>,
    /// Bytes of the value still to come, when the format says how many there are.
    remaining: Option<u64>,
    /// No more Base64 may follow its padding.
    ended: bool,
}

impl Unwrap {
    /// For a value of the resource `path`. Formats that cannot be taken off piece by piece are refused.
    pub(crate) fn new(format: Format, path: Path) -> Result<Self, FormatError> {
        match format {
            Format::Opaque | Format::Text | Format::Cbor | Format::Tlv => {
                Ok(Self { format, path, held: Vec::new(), remaining: None, ended: false })
            }
            _ => Err(FormatError::Unfit { format, path }),
        }
    }

    /// The part of the value that is in `piece`.
    pub(crate) fn piece(&mut self, piece: &[u8]) -> Result<Vec<u8>, FormatError> {
        match self.format {
            Format::Text => self.base64(piece),
            Format::Tlv | Format::Cbor => self.counted(piece),
            _ => Ok(piece.to_vec()),
        }
    }

    /// Whether the value is whole.
    pub(crate) fn finish(&self) -> Result<(), FormatError> {
        let whole = match self.format {
            Format::Text => self.held.is_empty(),
            Format::Tlv | Format::Cbor => self.remaining == Some(0),
            _ => true,
        };
        if whole { Ok(()) } else { Err(FormatError::Malformed("the value ends too early")) }
    }

    fn base64(&mut self, piece: &[u8]) -> Result<Vec<u8>, FormatError> {
        let invalid = FormatError::Malformed("the value is not Base64");
        if self.ended && !piece.is_empty() {
            return Err(invalid);
        }
        self.held.extend_from_slice(piece);
        let groups = self.held.len() & !3;
        let rest = self.held.split_off(groups);
        let whole = std::mem::replace(&mut self.held, rest);
        self.ended = whole.ends_with(b"=");
        STANDARD.decode(&whole).map_err(|_| invalid)
    }

    fn counted(&mut self, piece: &[u8]) -> Result<Vec<u8>, FormatError> {
        let mut value = piece.to_vec();
        if self.remaining.is_none() {
            self.held.extend_from_slice(piece);
            let Some((header, length)) = self.header()? else {
                return if self.held.len() > HEADER_MAX {
                    Err(FormatError::Malformed("the value has no header"))
                } else {
                    Ok(Vec::new())
                };
            };
            value = self.held.split_off(header.min(self.held.len()));
            self.held = Vec::new();
            self.remaining = Some(length);
        }
        let rest = self.remaining.unwrap_or_default();
        let came = u64::try_from(value.len()).unwrap_or(u64::MAX);
        self.remaining =
            Some(rest.checked_sub(came).ok_or(FormatError::Malformed("bytes follow the value"))?);
        Ok(value)
    }

    /// Length of the header and of the value behind it.
    fn header(&self) -> Result<Option<(usize, u64)>, FormatError> {
        if self.format == Format::Tlv {
            let id = self.path.resource_id().unwrap_or_default();
            let header = tlv::resource_header(&self.held, id)?;
            return Ok(header.and_then(|(header, length)| Some((header, u64::try_from(length).ok()?))));
        }
        let decoder = Decoder::new(&self.held);
        match decoder.datatype() {
            Ok(Type::Bytes) => {}
            Ok(_) => return Err(FormatError::Malformed("the value is not a byte string of known length")),
            Err(_) => return Ok(None),
        }
        // The length of a byte string is written as that of an array is, behind another major type.
        let mut as_array = self.held.clone();
        if let Some(first) = as_array.first_mut() {
            *first = (*first & 0x1f) | 0x80;
        }
        let mut lengths = Decoder::new(&as_array);
        Ok(lengths.array().ok().flatten().map(|length| (lengths.position(), length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::encode;
    use crate::value::{Entry, Value};

    const PATH: Path = Path::resource(9, 0, 2);

    fn through(format: Format, payload: &[u8], piece: usize) -> Result<Vec<u8>, FormatError> {
        let mut unwrap = Unwrap::new(format, PATH)?;
        let mut value = Vec::new();
        for piece in payload.chunks(piece) {
            value.extend(unwrap.piece(piece)?);
        }
        unwrap.finish()?;
        Ok(value)
    }

    #[test]
    fn every_format_gives_the_value_whatever_the_pieces() {
        for length in [0, 1, 7, 8, 255, 256, 70_000] {
            let bytes: Vec<u8> = (0..length).map(|n: u32| u8::try_from(n % 251).unwrap()).collect();
            for format in [Format::Opaque, Format::Text, Format::Cbor, Format::Tlv] {
                let entry = Entry::new(PATH, Value::Opaque(bytes.clone()));
                let payload = encode(format, PATH, &[entry]).unwrap();
                for piece in [1, 3, 16, 1024] {
                    assert_eq!(
                        through(format, &payload, piece).unwrap(),
                        bytes,
                        "{format:?} {length} {piece}"
                    );
                }
                if format != Format::Opaque && length > 1 {
                    assert!(through(format, &payload[..payload.len() - 1], 16).is_err(), "{format:?}");
                    let more = [payload, vec![b'A'; 4]].concat();
                    // Padding ends a text; without padding more text is more value.
                    if format != Format::Text || length % 3 != 0 {
                        assert!(through(format, &more, 16).is_err(), "{format:?} {length}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_not_the_value_is_refused() {
        assert!(through(Format::Text, b"====", 2).is_err());
        assert!(through(Format::Cbor, &[0x5f, 0x41, 0, 0xff], 4).is_err());
        assert!(through(Format::Tlv, &[0xc1, 3, 0], 3).is_err(), "another resource");
        assert!(Unwrap::new(Format::SenmlCbor, PATH).is_err());
    }
}
