//! The message layer: repetitions, duplicates, resets, and messages that belong to nothing.

use coap_lite::MessageType;
use scomo_lwm2m_proto::path::Path;
use scomo_lwm2m_proto::time::Millis;
use scomo_lwm2m_proto::{Client, Config, Input, Output};

use crate::tree::{Tree, int};
use crate::wire::{Build, DELETE, GET, Look, POST, PUT, TEXT, empty, message, reply};
use crate::world::World;

#[test]
fn repetitions_wait_twice_as_long_each_time() {
    let mut world = World::new(Tree::new().server(1));
    world.input(Input::Tick);
    let mut times = vec![world.now];
    let first = world.take_one(1);
    while times.len() < 5 {
        let next = world.client.deadline().unwrap();
        world.pass(next.0 - world.now);
        times.push(world.now);
        assert_eq!(world.take_one(1), first, "the same bytes");
    }
    let waits: Vec<u64> = times.windows(2).map(|two| two[1] - two[0]).collect();
    assert!((2_000..=3_000).contains(&waits[0]), "{waits:?}");
    assert_eq!(waits[1..], [waits[0] * 2, waits[0] * 4, waits[0] * 8]);
}

#[test]
fn an_empty_acknowledgement_stops_the_repetitions_and_the_answer_may_take_its_time() {
    let mut world = World::new(Tree::new().server(1));
    world.input(Input::Tick);
    let register = world.take_one(1);
    world.receive(1, &empty(MessageType::Acknowledgement, register.header.message_id));
    world.pass(200_000);
    assert!(world.take(1).is_empty());
    let late = message(0x41).token(register.get_token()).id(77).option(8, b"rd").option(8, b"1");
    world.receive(1, &late);
    let acknowledgement = world.take_one(1);
    assert_eq!((acknowledgement.code().as_str(), acknowledgement.header.message_id), ("0.00", 77));
    assert_eq!(world.events().len(), 1);
    world.receive(1, &late);
    assert_eq!(world.take_one(1), acknowledgement, "a duplicate of the answer is acknowledged, not reset");
}

#[test]
fn an_answer_that_never_comes_is_given_up() {
    let mut world = World::new(Tree::new().server(1));
    world.input(Input::Tick);
    let register = world.take_one(1);
    world.receive(1, &empty(MessageType::Acknowledgement, register.header.message_id));
    world.pass(246_999);
    assert!(world.events().is_empty());
    world.pass(1);
    assert_eq!(world.events().len(), 1);
}

#[test]
fn an_answer_may_overtake_its_acknowledgement() {
    let mut world = World::new(Tree::new().server(1));
    world.input(Input::Tick);
    let register = world.take_one(1);
    let answer = message(0x41).token(register.get_token()).id(77).option(8, b"1").non();
    world.receive(1, &answer);
    assert_eq!(world.events().len(), 1);
    world.pass(50_000);
    assert!(world.take(1).is_empty(), "it is not repeated any more");
}

#[test]
fn a_reset_ends_a_request() {
    let mut world = World::new(Tree::new().server(1));
    world.input(Input::Tick);
    let register = world.take_one(1);
    world.receive(1, &empty(MessageType::Reset, register.header.message_id));
    assert_eq!(world.events().len(), 1);
    assert!(world.take(1).is_empty());
}

#[test]
fn answers_that_are_not_ours_are_refused() {
    let mut world = World::new(Tree::new().server(1));
    world.input(Input::Tick);
    let register = world.take_one(1);
    let mut forged = reply(&register, 0x41).option(8, b"forged");
    forged.set_token(b"12345678".to_vec());
    world.receive(1, &forged);
    let mut forged = reply(&register, 0x41).option(8, b"forged");
    forged.header.message_id ^= 1;
    world.receive(1, &forged);
    assert!(world.events().is_empty() && world.take(1).is_empty());
    world.receive(1, &message(0x45).token(b"12345678").id(5));
    assert_eq!(world.take_one(1).header.get_type(), MessageType::Reset);
    world.receive(1, &message(0x45).token(b"12345678").id(6).non());
    assert!(world.take(1).is_empty() && world.events().is_empty());
    world.receive(1, &reply(&register, 0x41).option(8, b"1"));
    assert_eq!(world.events().len(), 1);
}

#[test]
fn a_duplicate_is_answered_alike_and_not_carried_out_again() {
    let mut world = World::registered();
    for request in [message(POST).path("/9/0/4"), message(POST).path("/9"), message(DELETE).path("/9/0")] {
        let id = world.fresh();
        let request = request.id(id).token(b"t");
        world.receive(1, &request);
        let before = world.tree.instances.clone();
        let first = world.take(1)[0].clone();
        assert!(first.code().starts_with("2."));
        world.pass(1_000);
        world.take(1);
        world.receive(1, &request);
        let again = world.take(1);
        assert!(again.contains(&first));
        assert_eq!((world.tree.executed.len(), &world.tree.instances), (1, &before));
    }
    // After its lifetime an id may be used anew.
    world.pass(247_000);
    world.take(1);
    world.receive(1, &message(POST).path("/3/0/4").id(1));
    assert_eq!(world.tree.executed.len(), 2);
}

#[test]
fn a_request_without_confirmation_has_an_answer_without_one() {
    let mut world = World::registered();
    let request = message(GET).path("/3/0/9").non().id(9).token(b"x");
    world.receive(1, &request);
    let answer = world.take_one(1);
    assert_eq!((answer.header.get_type(), answer.text().as_str()), (MessageType::NonConfirmable, "80"));
    assert_eq!(answer.get_token(), b"x");
    world.receive(1, &request);
    assert!(world.take(1).is_empty(), "a duplicate is dropped");
    world.receive(1, &message(GET).path("/3/0/9").option(1, b"x").non().id(10));
    assert!(world.take(1).is_empty(), "what is not understood is dropped");
}

#[test]
fn pings_and_nonsense_are_reset_or_dropped() {
    let mut world = World::registered();
    world.receive(1, &empty(MessageType::Confirmable, 99));
    assert_eq!(world.take_one(1), empty(MessageType::Reset, 99));
    world.receive_bytes(1, &[0x40, 0x01, 0x00, 0x63, 0xff]);
    assert_eq!(world.take_one(1), empty(MessageType::Reset, 99));
    for silent in [
        &[0x50, 0x01, 0x00, 0x63, 0xff][..],
        &[0x60, 0x01, 0x00, 0x63],
        &[0x70, 0x00, 0x00, 0x63],
        &[0x80, 0x01, 0x00, 0x63],
        &[0x40],
        &[],
    ] {
        world.receive_bytes(1, silent);
        assert!(world.take(1).is_empty(), "{silent:?}");
    }
}

#[test]
fn one_confirmable_message_is_on_its_way_and_requests_are_served_meanwhile() {
    let mut world = World::registered();
    world.ask(message(GET).path("/9/0/7").observe(0).token(&[7]));
    for state in 1..=3 {
        world.change(Path::resource(9, 0, 7), int(state));
    }
    assert_eq!(world.ask(message(PUT).path("/3/0/15").format(TEXT).body("CET")).code(), "2.04");
    let told = world.take_one(1);
    assert_eq!(told.text(), "1");
    world.receive(1, &empty(MessageType::Acknowledgement, told.header.message_id));
    assert_eq!(world.take_one(1).text(), "2");
}

#[test]
fn requests_that_wait_are_limited() {
    let mut world = World::registered();
    world.tree.later = true;
    for id in 0..100 {
        world.receive(1, &message(POST).path("/9/0/4").id(1000 + id));
    }
    assert_eq!(world.tree.executed.len(), scomo_lwm2m_proto::limits::EXCHANGES_MAX);
    let call = world.tree.calls.remove(0);
    world.input(Input::Completed { call, result: Ok(()) });
    world.receive(1, &message(POST).path("/9/0/4").id(1099));
    assert_eq!(
        world.tree.executed.len(),
        scomo_lwm2m_proto::limits::EXCHANGES_MAX + 1,
        "a repetition has its turn"
    );
}

#[test]
fn another_seed_means_other_ids_tokens_and_times() {
    let first = |seed| {
        let mut client = Client::new(Config::new("test"), seed).unwrap();
        let mut tree = Tree::new().server(1);
        client.handle(Millis(0), Input::Tick, &mut tree);
        while let Some(output) = client.output() {
            if let Output::Connect { peer, .. } = output {
                client.handle(Millis(0), Input::Connected { peer, resumed: true }, &mut tree);
            } else if let Output::Datagram { bytes, .. } = output {
                return (bytes[..12].to_vec(), client.deadline());
            }
        }
        panic!("nothing was sent");
    };
    assert_eq!(first(1), first(1), "the same seed means the same");
    let (one, two) = (first(1), first(2));
    assert!(one.0[2..4] != two.0[2..4] && one.0[4..] != two.0[4..] && one.1 != two.1);
}
