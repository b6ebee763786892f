//! Seeded mutations of good messages: a decoder may refuse or accept, but never panic, hang or swell; and what it
//! accepts it can write and read again. A session may do what a server asks, but it ends and leaves nothing open.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use scomo_syncml::message::{Request, Verb};
use scomo_syncml::{Answer, Encoding, Input, decode, decode_tnds, encode, encode_tnds};

use crate::samples::{MESSAGES, tree};
use crate::world::{Reply, World, add, alert, delete, exec, get, replace};

/// The same mutations in every run: what fails, fails again.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(20_261_121), ..ProptestConfig::default() }
}

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
    #![proptest_config(cases(2000))]

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

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn a_server_that_talks_rubbish_does_no_harm(
        binary in any::<bool>(),
        rounds in proptest::collection::vec(
            proptest::collection::vec((0..4_u8, any::<u16>(), any::<u8>()), 0..3), 1..4),
    ) {
        let encoding = if binary { Encoding::Wbxml } else { Encoding::Xml };
        let mut world = World::unchecked(encoding);
        for changes in rounds {
            if world.done.is_some() {
                break;
            }
            let mut body = world.encode(&Reply { requests: everything(), last: false, ..world.reply() });
            world.message += 1;
            mutate(&mut body, &changes);
            world.input(Input::Message { body: &body, hmac: None });
            while world.done.is_none() && !world.session.is_waiting() {
                world.answer(Answer::Yes);
            }
        }
        if world.done.is_none() {
            world.input(Input::Lost);
        }
        prop_assert!(!world.tree.in_transaction());
        prop_assert!(!world.tree.has_open_object());
    }
}

/// Commands that reach every part of a session.
fn everything() -> Vec<Request> {
    let mut piece = replace("./A/B", "piece");
    piece.items[0].more = true;
    piece.meta.size = Some(9);
    let group = |verb, inner| Request { inner, ..Request::new(verb) };
    vec![
        group(Verb::Atomic, vec![add("./A/N", "1"), alert(1101, &["", "Sure?"]), delete("./A/N")]),
        group(Verb::Sequence, vec![get("./A?list=StructData"), exec("./A/B", "x"), get("./A?list=TNDS")]),
        piece,
    ]
}
