//! Any bytes as a WBXML message: refused, or read, written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use scomo_syncml::{Encoding, decode, encode};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = decode(bytes, Encoding::Wbxml) {
        let written = encode(&message, Encoding::Wbxml).expect("WBXML carries everything");
        let again = decode(&written, Encoding::Wbxml).expect("what is written can be read");
        let twice = encode(&again, Encoding::Wbxml).expect("WBXML carries everything");
        assert_eq!(decode(&twice, Encoding::Wbxml).ok(), Some(again));
    }
});
