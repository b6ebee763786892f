//! Any bytes as an XML message: refused, or read, written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use scomo_syncml::{Encoding, decode, encode};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = decode(bytes, Encoding::Xml) {
        let written = encode(&message, Encoding::Xml).expect("what came as XML can be XML");
        // Blanks around names and an unknown command may change once, and then no more.
        let again = decode(&written, Encoding::Xml).expect("what is written can be read");
        let twice = encode(&again, Encoding::Xml).expect("what came as XML can be XML");
        assert_eq!(decode(&twice, Encoding::Xml).ok(), Some(again));
    }
});
