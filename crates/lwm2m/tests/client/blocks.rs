//! Bodies in blocks, in both directions: streamed, collected, cut, repeated, given up.

use coap_lite::Packet;
use scomo_lwm2m_proto::path::Path;
use scomo_lwm2m_proto::value::Value;
use scomo_lwm2m_proto::{Config, Input, Refusal};

use crate::tree::{Tree, int, text};
use crate::wire::{Build, GET, LINK, Look, OPAQUE, POST, PUT, SENML_JSON, TEXT, TLV, empty, message, reply};
use crate::world::World;

const PACKAGE: Path = Path::resource(9, 0, 2);

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|n| u8::try_from((n * 7 + n / 256) % 251).unwrap()).collect()
}

/// Block `number` of a package of which `all` are the bytes.
fn block(all: &[u8], number: usize, exponent: u32) -> Packet {
    let size = 16 << exponent;
    let piece = &all[number * size..all.len().min((number + 1) * size)];
    let more = (number + 1) * size < all.len();
    let request = message(PUT).path("/9/0/2").format(OPAQUE);
    request.block1(u32::try_from(number).unwrap(), more, exponent).body(piece)
}

#[test]
fn a_package_arrives_in_pieces_and_whole() {
    let mut world = World::registered();
    let all = bytes(100_000);
    for number in 0..98 {
        let answer = world.ask(block(&all, number, 6));
        let more = number < 97;
        assert_eq!(answer.code(), if more { "2.31" } else { "2.04" });
        assert_eq!(answer.block(27), Some((u32::try_from(number).unwrap(), more, 6)));
        assert_eq!(world.tree.instances[&Path::instance(9, 0)][&7], int(if more { 1 } else { 2 }));
        assert_eq!(world.tree.uploaded.len(), usize::from(!more));
    }
    assert_eq!(world.tree.uploaded, [(PACKAGE, all)]);
    assert_eq!((world.tree.largest_chunk, world.tree.opened, world.tree.aborted), (1024, 1, 0));
}

#[test]
fn a_package_in_one_message_is_streamed_too() {
    let mut world = World::registered();
    let write = |format, body: &[u8]| message(PUT).path("/9/0/2").format(format).body(body);
    assert_eq!(world.ask(write(OPAQUE, b"small")).code(), "2.04");
    assert_eq!(world.ask(write(TLV, b"\xc5\x02small")).code(), "2.04");
    assert_eq!(world.ask(write(TEXT, b"c21hbGw=")).code(), "2.04");
    assert_eq!(world.ask(write(TEXT, b"c21hbGw")).code(), "4.00");
    let senml = br#"[{"n":"/9/0/2","vd":"c21hbGw"}]"#;
    assert_eq!(world.ask(write(SENML_JSON, senml)).code(), "2.04", "as a value, from memory");
    assert_eq!(world.tree.instances[&Path::instance(9, 0)][&2], Value::Opaque(b"small".to_vec()).into());
    assert_eq!(world.tree.uploaded, vec![(PACKAGE, b"small".to_vec()); 3]);
    assert_eq!((world.tree.opened, world.tree.aborted), (4, 1));
}

#[test]
fn smaller_blocks_are_agreed_on_at_the_first_one() {
    let config = Config { block_exponent: 2, ..Config::new("test") };
    let mut world = World::registered_with(Tree::new().server(1), config);
    let all = bytes(1500);
    let first = world.ask(block(&all, 0, 6));
    assert_eq!(first.block(27), Some((0, true, 2)), "smaller, please");
    for number in 16..24 {
        assert_eq!(world.ask(block(&all, number, 2)).code(), if number < 23 { "2.31" } else { "2.04" });
    }
    assert_eq!(world.tree.uploaded, [(PACKAGE, all)]);
}

#[test]
fn repeated_blocks_are_taken_once_and_missing_ones_end_it() {
    let mut world = World::registered();
    let all = bytes(5000);
    for number in [0, 0, 1, 1, 1, 2] {
        assert_eq!(world.ask(block(&all, number, 6)).code(), "2.31");
    }
    assert_eq!(world.ask(block(&all, 4, 6)).code(), "4.08");
    assert_eq!((world.tree.opened, world.tree.aborted), (1, 1));
    assert_eq!(world.ask(block(&all, 3, 6)).code(), "4.08", "it is forgotten");
    for number in 0..5 {
        world.ask(block(&all, number, 6));
    }
    assert_eq!(world.tree.uploaded, [(PACKAGE, all.clone())]);
    world.ask(block(&all, 0, 6));
    world.ask(block(&all, 1, 6));
    world.ask(block(&all, 0, 6));
    assert_eq!((world.tree.opened, world.tree.aborted), (4, 2), "the first block begins anew");
}

#[test]
fn a_block_has_the_size_that_it_says() {
    let mut world = World::registered();
    let all = bytes(5000);
    let mut short = block(&all, 0, 6);
    short.payload.pop();
    assert_eq!(world.ask(short).code(), "4.00");
    assert_eq!(world.tree.opened, 0);
    world.ask(block(&all, 0, 6));
    let mut long = block(&all, 1, 6);
    long.payload.push(0);
    assert_eq!(world.ask(long).code(), "4.00");
    assert_eq!(world.tree.aborted, 1);
}

#[test]
fn a_package_that_stops_coming_is_given_up() {
    let mut world = World::registered();
    let all = bytes(5000);
    world.ask(block(&all, 0, 6));
    world.pass(100_000);
    world.ask(block(&all, 1, 6));
    world.pass(246_999);
    assert_eq!(world.tree.aborted, 0);
    world.pass(1);
    assert_eq!(world.tree.aborted, 1);
    assert_eq!(world.tree.instances[&Path::instance(9, 0)][&7], int(0));
}

#[test]
fn the_end_of_an_association_is_the_end_of_its_packages() {
    let mut world = World::registered();
    world.ask(block(&bytes(5000), 0, 6));
    world.connect = Some(false);
    world.input(Input::NetworkChanged);
    assert_eq!(world.tree.aborted, 1);
}

#[test]
fn two_packages_come_at_the_same_time_and_not_too_many() {
    let mut world = World::registered();
    let (one, two) = (bytes(3000), bytes(2500));
    world.tree.instances.insert(Path::instance(9, 1), [(7, int(0))].into());
    let other = |number| {
        let mut packet = block(&two, number, 6);
        packet.clear_option(coap_lite::CoapOption::UriPath);
        packet.path("/9/1/2")
    };
    for number in 0..3 {
        world.ask(block(&one, number, 6));
        world.ask(other(number));
    }
    assert_eq!(world.tree.uploaded, [(PACKAGE, one.clone()), (Path::resource(9, 1, 2), two)]);
    for id in 0..6 {
        world.tree.instances.insert(Path::instance(9, id), [(7, int(0))].into());
        let mut packet = block(&one, 0, 6);
        packet.clear_option(coap_lite::CoapOption::UriPath);
        let code = world.ask(packet.path(&format!("/9/{id}/2"))).code();
        assert_eq!(code, if id < 4 { "2.31" } else { "5.00" });
    }
}

#[test]
fn a_package_that_is_refused_is_not_opened_or_is_aborted() {
    let mut world = World::registered();
    let all = bytes(5000);
    world.tree.refuse = Some(Refusal::NotAllowed);
    assert_eq!(world.ask(block(&all, 0, 6)).code(), "4.05");
    assert_eq!((world.tree.opened, world.tree.aborted), (0, 0));
    world.tree.refuse = None;
    world.ask(block(&all, 0, 6));
    world.tree.refuse = Some(Refusal::TooLarge);
    assert_eq!(world.ask(block(&all, 1, 6)).code(), "4.13");
    assert_eq!((world.tree.opened, world.tree.aborted), (1, 1));
}

#[test]
fn slow_storage_slows_the_server_down() {
    let mut world = World::registered();
    world.tree.later = true;
    let all = bytes(2000);
    for number in 0..2_u16 {
        let id = 900 + number;
        world.receive(1, &block(&all, usize::from(number), 6).id(id));
        assert!(world.take(1).is_empty());
        let call = world.tree.calls.remove(0);
        world.input(Input::Completed { call, result: Ok(()) });
        if number == 0 {
            assert_eq!(world.take_one(1).code(), "2.31");
        }
    }
    assert!(world.take(1).is_empty(), "closing takes its time as well");
    world.pass(1_000);
    assert_eq!(world.take_one(1).code(), "0.00");
    let call = world.tree.calls.remove(0);
    world.input(Input::Completed { call, result: Ok(()) });
    let answer = world.take_one(1);
    assert_eq!((answer.code().as_str(), answer.block(27)), ("2.04", Some((1, false, 6))));
    assert_eq!(world.tree.uploaded, [(PACKAGE, all)]);
}

#[test]
fn slow_storage_that_fails_is_told() {
    // Registered for ever, so that no update comes in between.
    let tree = Tree::new().server(1).with(Path::resource(1, 1, 1), int(0));
    let mut world = World::registered_with(tree, Config::new("test"));
    world.tree.later = true;
    world.receive(1, &block(&bytes(5000), 0, 6).id(900));
    let call = world.tree.calls.remove(0);
    world.input(Input::Completed { call, result: Err(Refusal::Failed) });
    assert_eq!(world.take_one(1).code(), "5.00");
    assert_eq!(world.tree.aborted, 1);
    assert_eq!(world.ask(block(&bytes(5000), 1, 6)).code(), "4.08");
    // A block before the last one is stored breaks the order.
    world.receive(1, &block(&bytes(5000), 0, 6).id(901));
    assert_eq!(world.ask(block(&bytes(5000), 1, 6)).code(), "4.08");
    assert_eq!(world.tree.aborted, 2);
    // Nothing that the objects say about it later matters.
    for (result, code) in [(Ok(()), "4.08"), (Err(Refusal::TooLarge), "4.13")] {
        let call = world.tree.calls.remove(0);
        world.input(Input::Completed { call, result });
        assert_eq!(world.take_one(1).code(), code);
        assert_eq!(world.tree.aborted, 2);
        world.receive(1, &block(&bytes(5000), 0, 6).id(if code == "4.08" { 902 } else { 903 }));
        world.pass(247_000);
        world.take(1);
        world.tree.aborted = 2;
    }
}

#[test]
fn other_bodies_are_collected_up_to_a_limit() {
    let mut world = World::registered();
    let value = "x".repeat(3000);
    let write = |number: usize, all: &str| {
        let piece = &all.as_bytes()[number * 1024..all.len().min((number + 1) * 1024)];
        let request = message(PUT).path("/3/0/15").format(TEXT);
        request.block1(u32::try_from(number).unwrap(), (number + 1) * 1024 < all.len(), 6).body(piece)
    };
    for number in 0..3 {
        let code = world.ask(write(number, &value)).code();
        assert_eq!(code, if number < 2 { "2.31" } else { "2.04" });
    }
    assert_eq!(world.tree.instances[&Path::instance(3, 0)][&15], text(&value));
    let huge = "x".repeat(70_000);
    let codes: Vec<String> = (0..65).map(|number| world.ask(write(number, &huge)).code()).collect();
    assert_eq!((codes[63].as_str(), codes[64].as_str()), ("2.31", "4.13"));
    let announced = write(0, &huge).uint(60, 70_000);
    assert_eq!(world.ask(announced).code(), "4.13", "and at once when the size is said");
}

#[test]
fn large_answers_are_fetched_block_by_block() {
    let mut world = World::registered();
    for id in 0..300 {
        world.tree.instances.insert(Path::instance(9, id), [(0, text("name")), (7, int(0))].into());
    }
    let request = || message(GET).path("/9").accept(LINK);
    let first = world.ask(request());
    assert_eq!((first.code().as_str(), first.block(23)), ("2.05", Some((0, true, 6))));
    let (size, etag) = (first.number(28).unwrap(), first.texts_or_bytes(4));
    let mut all = first.payload;
    // The tree changes meanwhile; the answer does not.
    world.tree.instances.remove(&Path::instance(9, 299));
    for number in 1.. {
        let next = world.ask(request().block2(number, false, 6));
        assert_eq!(next.texts_or_bytes(4), etag);
        all.extend(&next.payload);
        let (found, more, _) = next.block(23).unwrap();
        assert_eq!(found, number);
        if !more {
            break;
        }
    }
    assert_eq!(all.len(), usize::try_from(size).unwrap());
    assert!(String::from_utf8(all).unwrap().ends_with("</9/299/7>"));
    assert_eq!(world.ask(request().block2(999, false, 6)).code(), "4.00");
    let small = world.ask(request().block2(0, false, 1));
    assert_eq!((small.block(23), small.payload.len()), (Some((0, true, 1)), 32));
    let second = world.ask(request().block2(1, false, 1));
    assert_eq!((second.block(23), second.payload.len()), (Some((1, true, 1)), 32));
}

trait Bytes {
    fn texts_or_bytes(&self, number: u16) -> Vec<Vec<u8>>;
}

impl Bytes for Packet {
    fn texts_or_bytes(&self, number: u16) -> Vec<Vec<u8>> {
        self.get_option(coap_lite::CoapOption::from(number)).into_iter().flatten().cloned().collect()
    }
}

#[test]
fn a_large_notification_is_fetched_without_observing() {
    let mut world = World::registered();
    let request = || message(GET).path("/3/0").accept(SENML_JSON);
    world.ask(request().observe(0).token(&[7]));
    world.change(Path::resource(3, 0, 15), text(&"x".repeat(2000)));
    let first = world.take_one(1);
    assert!(first.number(6).is_some() && first.block(23) == Some((0, true, 6)));
    let second = world.ask(request().block2(1, false, 6));
    let third = world.ask(request().block2(2, false, 6));
    assert_eq!((second.number(6), third.block(23)), (None, Some((2, false, 6))));
    let all = [first.payload, second.payload, third.payload].concat();
    assert!(String::from_utf8(all).unwrap().contains(&"x".repeat(2000)));
}

#[test]
fn a_large_registration_goes_in_blocks() {
    let mut tree = Tree::new().server(1);
    for id in 0..400 {
        tree.instances.insert(Path::instance(9, id), [(7, int(0))].into());
    }
    let mut world = World::new(tree);
    world.input(Input::Tick);
    let mut all = Vec::new();
    let mut exponent = 6;
    loop {
        let request = world.take_one(1);
        assert_eq!((request.texts(11), request.texts(15).len()), (vec!["rd".to_owned()], 3));
        all.extend(&request.payload);
        let (number, more, size) = request.block(27).unwrap();
        assert!(size <= exponent);
        if !more {
            world.receive(
                1,
                &reply(&request, 0x41).option(8, b"rd").option(8, b"1").block1(number, false, size),
            );
            break;
        }
        // The server wants smaller blocks, and answers the second one late.
        exponent = 4;
        if number == 4 {
            world.receive(1, &empty(coap_lite::MessageType::Acknowledgement, request.header.message_id));
            let late = message(0x5f).token(request.get_token()).id(4000).block1(number, true, exponent);
            world.receive(1, &late);
            let mut sent = world.take(1);
            assert_eq!(sent.remove(0).code(), "0.00", "what comes late is acknowledged");
            world.sent.insert(1, sent);
        } else {
            world.receive(1, &reply(&request, 0x5f).block1(number, true, exponent));
        }
    }
    let text = String::from_utf8(all).unwrap();
    assert!(text.ends_with("</9/399>") && text.matches(',').count() == 403);
    assert_eq!(world.ask(message(POST).path("/1/1/8")).code(), "2.04");
}

#[test]
fn what_is_too_large_for_one_message_must_come_in_blocks() {
    let mut world = World::registered();
    let huge = message(PUT).path("/9/0/2").format(OPAQUE).body(vec![0; 1600]);
    let answer = world.ask(huge.clone());
    assert_eq!((answer.code().as_str(), answer.block(27)), ("4.13", Some((0, false, 6))));
    world.receive(1, &huge.non());
    world.receive(1, &message(0x45).body(vec![0; 1600]));
    world.receive_bytes(1, &[0xff; 1600]);
    assert!(world.take(1).is_empty());
    assert_eq!(world.tree.opened, 0);
}
