//! Ids as names of files, units and containers.

use sha2::{Digest as _, Sha256};

/// Longest escaped name. With prefixes and suffixes it stays below the 255 bytes of file and unit names, and a path
/// of the control groups stays readable.
const NAME_BYTES_MAX: usize = 100;
/// What is kept of an id whose escaped form is too long; its hash follows.
const HEAD_BYTES: usize = 32;

/// A name for files, systemd units and containers. Different ids give different names.
///
/// ASCII letters, digits, `-` and inner dots stay; every other byte becomes `_` and two hexadecimal digits. Of a long
/// id the beginning is kept, then `_h` and its SHA-256: `h` is no hexadecimal digit, so this is no escaped byte.
#[must_use]
pub fn escape(id: &str) -> String {
    let mut name = String::new();
    for (index, byte) in id.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || (index > 0 && matches!(byte, b'.' | b'-'));
        if plain {
            name.push(char::from(byte));
        } else {
            push_hex(&mut name, byte);
        }
    }
    if name.len() <= NAME_BYTES_MAX {
        return name;
    }
    name.truncate(HEAD_BYTES);
    name.push_str("_h");
    name.push_str(&hex(&Sha256::digest(id.as_bytes())));
    name
}

/// The hexadecimal digits of a `sha256:…` id: a name for files.
#[must_use]
pub fn digits(id: &str) -> &str {
    id.strip_prefix("sha256:").unwrap_or(id)
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn push_hex(name: &mut String, byte: u8) {
    name.push('_');
    name.push_str(&hex(&[byte]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe() {
        assert_eq!(escape("web-1.2"), "web-1.2");
        assert_eq!(escape("../etc"), "_2e._2fetc");
        assert_eq!(escape("-x"), "_2dx");
        assert_eq!(escape("a_b c@d"), "a_5fb_20c_40d");
        assert_eq!(escape("ä"), "_c3_a4");
    }

    #[test]
    fn long_names_stay_short_and_different() {
        let long = |end: &str| escape(&format!("{}{end}", "/".repeat(250)));
        assert_ne!(long("a"), long("b"));
        assert!(long("a").len() <= NAME_BYTES_MAX, "{}", long("a"));
        // What the hashed form looks like is itself escaped when it is an id.
        assert_ne!(escape(&long("a")), long("a"));
    }

    proptest::proptest! {
        #[test]
        fn different_ids_have_different_names(a in "[a_\\-./ ]{1,6}", b in "[a_\\-./ ]{1,6}") {
            proptest::prop_assert_eq!(a == b, escape(&a) == escape(&b));
        }
    }
}
