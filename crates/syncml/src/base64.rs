//! Base64 as servers send it: with line breaks and blanks, with or without padding, cut into pieces anywhere.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const TOLERANT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Text for bytes.
#[must_use]
pub(crate) fn encode(bytes: &[u8]) -> String {
    TOLERANT.encode(bytes)
}

/// Bytes for text, or `None` when it is no base64.
#[must_use]
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut stream = Stream::default();
    let mut bytes = stream.push(text)?;
    bytes.extend(stream.finish()?);
    Some(bytes)
}

/// Decodes a text that comes in pieces. Holds at most three characters back.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    held: Vec<u8>,
}

impl Stream {
    /// What the piece adds.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Option<Vec<u8>> {
        let mut text = std::mem::take(&mut self.held);
        text.extend(piece.iter().filter(|byte| !byte.is_ascii_whitespace()));
        let whole = text.len() - text.len() % 4;
        // The end must not be decoded before it is known to be the end: padding may follow.
        let keep = if whole == text.len() { whole.saturating_sub(4) } else { whole };
        self.held = text.split_off(keep);
        // Padding ends a text; each piece taken for itself would not notice.
        if text.contains(&b'=') {
            return None;
        }
        TOLERANT.decode(text).ok()
    }

    /// What was held back.
    pub(crate) fn finish(self) -> Option<Vec<u8>> {
        TOLERANT.decode(self.held).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_the_same_as_the_whole() {
        for length in 0..20_u8 {
            let bytes: Vec<u8> = (0..length).collect();
            let text = encode(&bytes);
            assert_eq!(decode(text.as_bytes()), Some(bytes.clone()));
            for size in 1..7 {
                let mut stream = Stream::default();
                let mut joined = Vec::new();
                for piece in text.as_bytes().chunks(size) {
                    joined.extend(stream.push(piece).unwrap());
                }
                joined.extend(stream.finish().unwrap());
                assert_eq!(joined, bytes, "pieces of {size}");
            }
        }
    }

    #[test]
    fn blanks_and_missing_padding_are_tolerated_and_rubbish_is_not() {
        assert_eq!(decode(b" TWFu\r\n TQ "), Some(b"ManM".to_vec()));
        assert_eq!(decode(b"TWFuT!=="), None);
        assert_eq!(decode(b"TQ==TWFu"), None);
        assert_eq!(decode(b"TWFuT"), None);
    }
}
