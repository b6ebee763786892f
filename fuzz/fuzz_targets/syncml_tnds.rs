//! Any bytes as a serialized tree, and as a notification.

#![no_main]

use libfuzzer_sys::fuzz_target;
use scomo_syncml::{Encoding, Notification, decode_tnds, encode_tnds};

fuzz_target!(|bytes: &[u8]| {
    let _ = Notification::parse(bytes);
    if let Ok(tree) = decode_tnds(bytes) {
        let written = encode_tnds(&tree, Encoding::Wbxml);
        assert!(decode_tnds(&written).is_ok());
    }
});
