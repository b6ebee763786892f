//! Registration, updates, de-registration; several servers; queue mode.

use coap_lite::MessageType;
use scomo_lwm2m_proto::path::Path;
use scomo_lwm2m_proto::{Config, Event, Input, Peer, Version};

use crate::tree::{Tree, int, text, yes};
use crate::wire::{Build, DELETE, Look, POST, PUT, TEXT, empty, message, reply};
use crate::world::World;

#[test]
fn a_registration_says_who_and_what_we_are() {
    let mut world = World::new(Tree::new().server(1));
    world.input(Input::Tick);
    let register = world.take_one(1);
    assert_eq!((register.code().as_str(), register.texts(11)), ("0.02", vec!["rd".to_owned()]));
    assert_eq!(register.number(12), Some(40));
    assert_eq!(register.texts(15), ["lwm2m=1.1", "ep=test", "lt=300"]);
    assert_eq!(register.text(), "</>;rt=\"oma.lwm2m\";ct=112,</1>;ver=1.1,</1/1>,</3/0>,</9/0>");
    assert_eq!(register.get_token().len(), 8);
    world.receive(1, &reply(&register, 0x41).option(8, b"rd/1"));
    assert_eq!(world.events(), [Event::Registered { server: 1, version: Version::V1_1 }]);
    world.pass(207_000);
    let update = world.take_one(1);
    assert_eq!(update.texts(11), ["rd/1"], "the location is echoed as it came, slash and all");
    assert!(update.texts(15).is_empty() && update.payload.is_empty());
    world.receive(1, &reply(&update, 0x44));
    assert_eq!(world.events(), [Event::Updated { server: 1 }]);
}

#[test]
fn an_object_without_instances_is_listed_alone() {
    let mut tree = Tree::new().server(1);
    tree.instances.remove(&Path::instance(9, 0));
    let mut world = World::new(tree);
    world.input(Input::Tick);
    assert!(world.take_one(1).text().ends_with("</3/0>,</9>"));
}

#[test]
fn a_server_of_1_0_is_spoken_to_in_its_version() {
    // The second code is that of a server which is older than the first one.
    [0x8c, 0x80].into_iter().for_each(falls_back);
}

fn falls_back(code: u8) {
    let mut tree = Tree::new().server(1).with(Path::resource(1, 1, 7), text("UQ"));
    tree.newer = true;
    let mut world = World::new(tree);
    world.input(Input::Tick);
    let first = world.take_one(1);
    assert!(first.text().ends_with("</9/0>,</19>;ver=1.1"));
    assert_eq!(first.texts(15), ["lwm2m=1.1", "ep=test", "lt=300", "Q"]);
    world.receive(1, &reply(&first, code));
    let second = world.accept_registration(1);
    assert_eq!(second.texts(15), ["lwm2m=1.0", "ep=test", "lt=300", "b=UQ"]);
    assert_eq!(second.text(), "</1/1>,</3/0>,</9/0>,</19>;ver=\"1.1\"");
    assert_eq!(world.events(), [Event::Registered { server: 1, version: Version::V1_0 }]);
    let read = world.ask(message(1).path("/9"));
    assert_eq!(read.number(12), Some(11542), "instances are TLV in 1.0");
}

#[test]
fn a_refused_registration_is_tried_again_later_and_later() {
    let mut world = World::new(Tree::new().server(1));
    world.input(Input::Tick);
    for _ in 0..5 {
        let register = world.take_one(1);
        world.receive(1, &reply(&register, 0x83));
        let next = world.client.deadline().unwrap();
        world.pass(next.0 - world.now);
    }
    let waits: Vec<u64> = world.connects.windows(2).map(|two| (two[1].1 - two[0].1) / 1000).collect();
    for (wait, expected) in waits.iter().zip([60, 120, 240, 480, 86_400]) {
        assert!((expected..=expected + expected / 10).contains(wait), "{waits:?}");
    }
    let failed = Event::RegistrationFailed { server: 1, code: Some("4.03".to_owned()) };
    assert_eq!(world.events(), vec![failed; 5]);
}

#[test]
fn a_silent_server_is_tried_again() {
    let mut world = World::new(Tree::new().server(1));
    world.input(Input::Tick);
    world.pass(100_000);
    assert_eq!(world.take(1).len(), 5, "one transmission and four repetitions");
    assert_eq!(world.events(), [Event::RegistrationFailed { server: 1, code: None }]);
    world.pass(70_000);
    world.take(1);
    world.input(Input::NetworkChanged);
    world.accept_registration(1);
    assert!(matches!(world.events()[..], [.., Event::Registered { .. }]), "a network ends the waiting");
}

#[test]
fn the_server_is_told_what_changes() {
    let mut world = World::registered();
    let created = world.ask(message(POST).path("/9"));
    assert_eq!((created.code().as_str(), created.texts(8)), ("2.01", vec!["9".to_owned(), "1".to_owned()]));
    let update = world.take_one(1);
    assert_eq!(update.texts(11), ["rd", "5a3f"]);
    assert_eq!(update.number(12), Some(40));
    assert!(update.text().ends_with("</9/0>,</9/1>"));
    // A second change while the first update is on its way is told after it.
    world.tree.instances.remove(&Path::instance(9, 0));
    world.input(Input::Changed(Path::object(9)));
    assert!(world.take(1).is_empty());
    world.receive(1, &reply(&update, 0x44));
    let update = world.take_one(1);
    assert!(update.text().ends_with("</3/0>,</9/1>"));
    world.receive(1, &reply(&update, 0x44));

    let changed = world.ask(message(PUT).path("/1/1/1").format(TEXT).body("60"));
    assert_eq!(changed.code(), "2.04");
    let update = world.take_one(1);
    assert_eq!((update.texts(15), update.payload.len()), (vec!["lt=60".to_owned()], 0));
    world.receive(1, &reply(&update, 0x44));
    world.pass(30_000);
    assert_eq!(world.take(1).len(), 1, "with the new lifetime: after half of it");
}

#[test]
fn an_update_that_the_server_does_not_know_is_followed_by_a_registration() {
    let mut world = World::registered();
    assert_eq!(world.ask(message(POST).path("/1/1/8")).code(), "2.04");
    let update = world.take_one(1);
    world.receive(1, &reply(&update, 0x84));
    let register = world.take_one(1);
    assert_eq!(register.texts(11), ["rd"]);
}

#[test]
fn a_lost_update_is_repeated_over_a_new_association() {
    let mut world = World::registered();
    world.ask(message(POST).path("/1/1/8"));
    while world.connects.len() < 2 {
        world.pass(1_000);
    }
    let sent = world.take(1);
    assert_eq!(sent.len(), 6, "five transmissions, and the second update");
    let last = sent.last().unwrap();
    assert_eq!(last.texts(11), ["rd", "5a3f"]);
    world.receive(1, &reply(last, 0x44));
    assert!(matches!(world.events()[..], [.., Event::Updated { server: 1 }]));
}

#[test]
fn a_new_association_means_a_new_registration() {
    let mut world = World::registered();
    world.connect = Some(false);
    world.input(Input::NetworkChanged);
    assert_eq!(world.take_one(1).texts(11), ["rd"]);
}

#[test]
fn the_registration_outlives_a_network_that_is_away() {
    let mut world = World::registered();
    world.connect = None;
    world.input(Input::Disconnected { peer: Peer(1) });
    world.pass(200_000);
    assert!(world.take(1).is_empty() && world.connects.len() >= 3);
    world.connect = Some(true);
    world.input(Input::NetworkChanged);
    assert_eq!(world.take_one(1).texts(11), ["rd", "5a3f"], "an update, not a registration");
}

#[test]
fn the_end_is_told_to_every_server() {
    let mut world = World::new(Tree::new().server(1).server(2));
    world.input(Input::Tick);
    world.accept_registration(1);
    world.accept_registration(2);
    world.events();
    world.input(Input::Stop);
    let leave = world.take_one(1);
    assert_eq!((leave.code().as_str(), leave.texts(11)), ("0.04", vec!["rd".to_owned(), "5a3f".to_owned()]));
    world.receive(1, &reply(&leave, 0x42));
    assert_eq!(world.events(), [Event::Deregistered { server: 1 }]);
    // Server 2 does not answer.
    world.pass(10_000);
    assert_eq!(world.events(), [Event::Deregistered { server: 2 }, Event::Stopped]);
    assert_eq!(world.closed, [1, 2]);
    world.pass(1_000_000);
    assert_eq!(world.connects.len(), 2, "it stays stopped");
}

#[test]
fn a_server_may_want_us_away_for_a_while() {
    let tree = Tree::new().server(1).with(Path::resource(1, 1, 5), int(600));
    let mut world = World::registered_with(tree, Config::new("test"));
    assert_eq!(world.ask(message(POST).path("/1/1/4")).code(), "2.04");
    let leave = world.take_one(1);
    assert_eq!(leave.code(), "0.04", "it is answered first");
    world.receive(1, &reply(&leave, 0x42));
    world.pass(599_000);
    assert!(world.take(1).is_empty());
    world.pass(1_000);
    world.accept_registration(1);
}

#[test]
fn servers_come_in_the_order_of_their_priority() {
    let tree = Tree::new()
        .server(1)
        .server(2)
        .server(3)
        .with(Path::resource(1, 1, 13), int(2))
        .with(Path::resource(1, 2, 13), int(1))
        .with(Path::resource(1, 3, 14), int(7));
    let mut world = World::new(tree);
    world.input(Input::Tick);
    assert_eq!(world.connects, [(2, 1000)]);
    world.accept_registration(2);
    assert_eq!(world.connects[1..], [(1, 1000)], "it has waited for the one before it");
    world.pass(7_000);
    assert_eq!(world.connects[2..], [(3, 8000)], "the one without an order waits for nobody but its delay");
}

#[test]
fn a_failing_server_blocks_those_behind_it_only_if_it_should() {
    for (block, expected) in [(false, 2), (true, 1)] {
        let tree = Tree::new()
            .server(1)
            .server(2)
            .with(Path::resource(1, 1, 13), int(1))
            .with(Path::resource(1, 1, 15), yes(block))
            .with(Path::resource(1, 1, 17), int(1))
            .with(Path::resource(1, 2, 13), int(2));
        let mut world = World::new(tree);
        world.input(Input::Tick);
        let register = world.take_one(1);
        world.receive(1, &reply(&register, 0x83));
        assert_eq!(world.connects.len(), expected);
    }
}

#[test]
fn a_client_in_queue_mode_sleeps_and_says_when_it_wakes() {
    let config = Config { queue_mode: true, ..Config::new("test") };
    let mut world = World::registered_with(Tree::new().server(1), config);
    let observed = world.ask(message(1).path("/3/0/9").observe(0).token(&[7]));
    assert_eq!(observed.code(), "2.05");
    world.events();
    world.pass(92_999);
    assert!(world.events().is_empty());
    world.pass(1);
    assert_eq!(world.events(), [Event::Asleep { server: 1 }]);
    world.change(Path::resource(3, 0, 9), int(50));
    let update = world.take_one(1);
    assert_eq!(update.texts(11), ["rd", "5a3f"], "first it says that it is awake");
    world.receive(1, &reply(&update, 0x44));
    let stored = world.take_one(1);
    assert_eq!(stored.text(), "50");
    world.receive(1, &empty(MessageType::Acknowledgement, stored.header.message_id));
    world.pass(93_000);
    assert_eq!(world.events(), [Event::Updated { server: 1 }, Event::Asleep { server: 1 }]);
}

#[test]
fn without_accounts_nothing_happens() {
    let mut world = World::new(Tree::new());
    world.input(Input::Tick);
    assert_eq!(world.events(), [Event::NoServers]);
    assert_eq!(world.client.deadline(), None);
    let broken = Tree::new().server(1).with(Path::resource(0, 1, 2), int(0));
    let mut world = World::new(broken);
    world.input(Input::Tick);
    assert_eq!(world.events(), [Event::NoServers], "PSK over coap:// is no account");
}

#[test]
fn a_configuration_is_checked() {
    for bad in [
        Config::new(""),
        Config::new("x".repeat(253)),
        Config::new("a\nb"),
        Config { block_exponent: 7, ..Config::new("x") },
        Config { newest: Version::V1_0, oldest: Version::V1_1, ..Config::new("x") },
    ] {
        assert!(scomo_lwm2m_proto::Client::new(bad, 0).is_err());
    }
}

#[test]
fn values_are_sent_without_being_asked_for() {
    let path = [Path::resource(9, 0, 7), Path::resource(9, 0, 9)];
    let mut world = World::registered();
    let send = |world: &mut World, server| {
        let now = scomo_lwm2m_proto::time::Millis(world.now);
        let sent = world.client.send(now, server, &path, &mut world.tree);
        world.drain();
        sent
    };
    assert!(send(&mut world, 1).is_err(), "without the resource sending is muted");
    world.ask(message(PUT).path("/1/1/23").format(TEXT).body("0"));
    assert!(send(&mut world, 2).is_err(), "nobody knows server 2");
    let id = send(&mut world, 1).unwrap();
    let sent = world.take_one(1);
    assert_eq!((sent.texts(11), sent.number(12)), (vec!["dp".to_owned()], Some(112)));
    let entries = scomo_lwm2m_proto::format::decode(
        scomo_lwm2m_proto::format::Format::SenmlCbor,
        Path::ROOT,
        &sent.payload,
        &[&crate::tree::PACKAGE],
    );
    assert_eq!(entries.unwrap().entries.len(), 2);
    world.receive(1, &reply(&sent, 0x44));
    assert!(world.events().contains(&Event::Sent { id, delivered: true }));
    let id = send(&mut world, 1).unwrap();
    let sent = world.take_one(1);
    world.receive(1, &reply(&sent, 0x84));
    assert!(world.events().contains(&Event::Sent { id, delivered: false }));
}

#[test]
fn nothing_is_served_before_the_registration() {
    let mut world = World::new(Tree::new().server(1));
    world.connect = None;
    world.input(Input::Tick);
    world.receive(1, &message(DELETE).path("/9/0").id(1));
    world.receive(7, &message(DELETE).path("/9/0").id(1));
    assert!(world.sent.is_empty() && world.tree.instances.contains_key(&Path::instance(9, 0)));
}
