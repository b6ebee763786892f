//! Seeded mutations of good messages: a decoder may refuse or accept, but never panic, hang or swell; and what it
//! accepts it can write and read again.

use proptest::prelude::*;
use scomo_syncml::{Encoding, decode, decode_tnds, encode, encode_tnds};

use crate::samples::{MESSAGES, tree};

/// Changes, doubles or drops parts of `bytes`, as `changes` say.
fn mutate(bytes: &mut Vec<u8>, changes: &[(u8, u16, u8)]) {
    for (kind, place, value) in changes {
        let at = usize::from(*place) % bytes.len().max(1);
        let end = (at + usize::from(*value)).min(bytes.len());
        match kind % 4 {
            _ if bytes.is_empty() => {}
            0 => bytes[at] = *value,
            1 => bytes[at] ^= 1 << (value % 8),
            2 => drop(bytes.drain(at..end)),
            _ => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn changed_messages_do_no_harm(
        sample in 0..MESSAGES.len(),
        binary in any::<bool>(),
        changes in proptest::collection::vec((0..4_u8, any::<u16>(), any::<u8>()), 1..6),
    ) {
        let encoding = if binary { Encoding::Wbxml } else { Encoding::Xml };
        let message = decode(MESSAGES[sample].as_bytes(), Encoding::Xml).unwrap();
        let mut bytes = encode(&message, encoding).unwrap();
        mutate(&mut bytes, &changes);
        if let Ok(message) = decode(&bytes, encoding) {
            let again = encode(&message, Encoding::Wbxml).unwrap();
            prop_assert!(decode(&again, Encoding::Wbxml).is_ok());
        }
    }

    #[test]
    fn changed_trees_do_no_harm(
        binary in any::<bool>(),
        changes in proptest::collection::vec((0..4_u8, any::<u16>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = encode_tnds(&tree(), if binary { Encoding::Wbxml } else { Encoding::Xml });
        mutate(&mut bytes, &changes);
        if let Ok(tree) = decode_tnds(&bytes) {
            prop_assert!(decode_tnds(&encode_tnds(&tree, Encoding::Wbxml)).is_ok());
        }
    }
}
