//! Bootstrap: from the factory, asked for, in a pack; what it may write, and that it is all or nothing.

use scomo_lwm2m_proto::path::Path;
use scomo_lwm2m_proto::{Config, Event, Input, Version};

use crate::tree::{Tree, int, text, yes};
use crate::wire::{Build, DELETE, GET, LINK, Look, OPAQUE, POST, PUT, SENML_JSON, TEXT, TLV, message, reply};
use crate::world::World;

/// A client in the middle of a bootstrap, without a regular server.
fn bootstrapping() -> World {
    bootstrapping_with(Tree::new().bootstrap_server(), Config::new("test"))
}

fn bootstrapping_with(tree: Tree, config: Config) -> World {
    let mut world = World::with(tree, config);
    world.input(Input::Tick);
    assert!(world.connects.is_empty(), "it holds off");
    world.pass(5_000);
    let request = world.take_one(0);
    assert_eq!((request.code().as_str(), request.texts(11)), ("0.02", vec!["bs".to_owned()]));
    assert!(request.payload.is_empty());
    world.receive(0, &reply(&request, 0x44));
    world
}

/// What a bootstrap server writes for server 7.
fn write_account(world: &mut World) {
    let security = br#"[{"bn":"/0/","n":"3/0","vs":"coap://new.example"},{"n":"3/1","vb":false},
        {"n":"3/2","v":3},{"n":"3/10","v":7}]"#;
    assert_eq!(world.ask_from(0, message(PUT).path("/0").format(SENML_JSON).body(security)).code(), "2.04");
    let server = b"\xc1\x00\x07\xc2\x01\x01\x2c\xc1\x06\x01\xc1\x07\x55";
    assert_eq!(world.ask_from(0, message(PUT).path("/1/4").format(TLV).body(server)).code(), "2.04");
}

fn finish() -> coap_lite::Packet {
    message(POST).path("/bs")
}

#[test]
fn a_device_without_servers_asks_for_them() {
    let mut world = World::new(Tree::new().bootstrap_server());
    world.input(Input::Tick);
    world.pass(5_000);
    let request = world.take_one(0);
    assert_eq!(request.texts(15), ["ep=test", "pct=112"]);
    let config = Config { newest: Version::V1_0, ..Config::new("test") };
    let mut old = World::with(Tree::new().bootstrap_server(), config);
    old.input(Input::Tick);
    old.pass(5_000);
    assert_eq!(old.take_one(0).texts(15), ["ep=test"]);
}

#[test]
fn what_is_written_counts_after_finish() {
    let mut world = bootstrapping();
    write_account(&mut world);
    assert!(world.connects.len() == 1 && world.events().is_empty());
    assert_eq!(world.ask_from(0, finish()).code(), "2.04");
    assert_eq!(world.events(), [Event::Bootstrapped]);
    let register = world.accept_registration(3);
    assert_eq!(register.texts(15), ["lwm2m=1.1", "ep=test", "lt=300"]);
    assert_eq!(world.events(), [Event::Registered { server: 7, version: Version::V1_1 }]);
    assert_eq!(world.ask_from(0, finish()).code(), "2.04", "the server may have missed our answer");
    assert_eq!(world.ask_from(0, message(DELETE).path("/0/3")).code(), "4.01", "but it is over");
    world.pass(247_000);
    assert_eq!(world.closed, [0]);
}

#[test]
fn the_first_answer_may_come_after_the_first_write() {
    let mut world = World::new(Tree::new().bootstrap_server());
    world.input(Input::Tick);
    world.pass(5_000);
    let request = world.take_one(0);
    write_account(&mut world);
    world.receive(0, &reply(&request, 0x44));
    assert_eq!(world.ask_from(0, finish()).code(), "2.04");
}

#[test]
fn a_configuration_that_cannot_be_used_is_not_accepted() {
    let spoil: [fn(&mut Tree); 7] = [
        |tree| drop(tree.instances.remove(&Path::instance(1, 4))),
        |tree| drop(tree.instances.remove(&Path::instance(0, 3))),
        |tree| tree.set(Path::resource(0, 3, 0), text("coaps://new.example")),
        |tree| tree.set(Path::resource(0, 3, 2), int(0)),
        |tree| tree.set(Path::resource(0, 3, 10), int(0)),
        |tree| tree.set(Path::resource(0, 3, 0), text(&format!("coap://{}", "x".repeat(300)))),
        |tree| tree.refuse_commit = true,
    ];
    for (number, spoil) in spoil.into_iter().enumerate() {
        let mut world = bootstrapping();
        write_account(&mut world);
        spoil(&mut world.tree);
        assert_eq!(world.ask_from(0, finish()).code(), "4.06", "{number}");
        assert!(world.events().is_empty());
    }
}

#[test]
fn two_accounts_for_one_server_are_not_accepted() {
    let mut world = bootstrapping();
    write_account(&mut world);
    let twin = world.tree.instances[&Path::instance(0, 3)].clone();
    world.tree.instances.insert(Path::instance(0, 9), twin);
    assert_eq!(world.ask_from(0, finish()).code(), "4.06");
    world.tree.instances.remove(&Path::instance(0, 9));
    assert_eq!(world.ask_from(0, finish()).code(), "2.04", "the server may mend it");
}

#[test]
fn a_bootstrap_that_ends_in_the_middle_changes_nothing() {
    let mut world = bootstrapping();
    let before = world.tree.instances.clone();
    write_account(&mut world);
    assert_eq!(world.ask_from(0, message(DELETE).path("/9/0")).code(), "2.02");
    world.pass(246_999);
    assert!(world.events().is_empty() && world.tree.instances != before);
    world.pass(1);
    assert_eq!(world.events(), [Event::BootstrapFailed { code: None }]);
    assert_eq!(world.tree.instances, before);
    world.pass(22_000);
    assert_eq!(world.take_one(0).texts(11), ["bs"], "it is tried again");
}

#[test]
fn a_refused_bootstrap_is_tried_again_later_and_later() {
    let mut world = World::new(Tree::new().bootstrap_server());
    world.input(Input::Tick);
    for _ in 0..12 {
        let next = world.client.deadline().unwrap();
        world.pass(next.0 - world.now);
        let request = world.take_one(0);
        world.receive(0, &reply(&request, 0x80));
    }
    let refused = Event::BootstrapFailed { code: Some("4.00".to_owned()) };
    assert_eq!(world.events(), vec![refused; 12]);
    let waits: Vec<u64> = world.connects.windows(2).map(|two| two[1].1 - two[0].1).collect();
    assert!(waits[0] >= 20_000 && waits[1] >= 40_000 && waits[10] >= 3_600_000, "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= 3_960_000), "an hour at most, and some jitter");
}

#[test]
fn a_bootstrap_server_may_write_everything_and_read_little() {
    let plain = message;
    for (request, code) in [
        (plain(PUT).path("/9/0/7").format(TEXT).body("3"), "2.04"),
        (plain(PUT).path("/9/0").format(TLV).body(b"\xc1\x07\x03\xc1\x63\x01"), "2.04"),
        (plain(PUT).path("/9/3").format(TLV).body(b"\xc1\x07"), "4.00"),
        (plain(PUT).path("/77").format(TLV).body(b""), "4.04"),
        (plain(PUT).path("/9/0/99").format(TEXT).body("3"), "4.04"),
        (plain(PUT).path("/9/0/7").format(TEXT).body("x"), "4.00"),
        (plain(PUT).path("/9").format(TLV).body(b"\xc1\x07\x03"), "4.00"),
        (plain(PUT).path("/9/0/17/1").format(TEXT).body("1:1"), "4.05"),
        (plain(PUT).path("/").format(TLV).body(b"x"), "4.05"),
        (plain(PUT).path("/0").format(TLV).body(b"\x08\x05\x03\xc1\x01\x01"), "4.00"),
        (plain(POST).path("/"), "4.05"),
        (plain(POST).path("/9"), "4.05"),
        (plain(POST).path("/9/0/4"), "4.05"),
        (plain(GET).path("/1").accept(TLV), "2.05"),
        (plain(GET).path("/1/9").accept(TLV), "4.04"),
        (plain(GET).path("/0/0").accept(TLV), "4.05"),
        (plain(GET).path("/1/1/0"), "4.05"),
        (plain(GET).path("/77").accept(LINK), "4.04"),
        (plain(DELETE).path("/0/0"), "4.00"),
        (plain(DELETE).path("/3"), "4.00"),
        (plain(DELETE).path("/3/0"), "4.00"),
        (plain(DELETE).path("/9/0/7"), "4.00"),
        (plain(DELETE).path("/9/8"), "2.02"),
        (plain(DELETE).path("/77"), "2.02"),
        (plain(DELETE).path("/9"), "2.02"),
        (plain(PUT).path("/9/0/2").format(OPAQUE).body("x"), "2.04"),
    ] {
        let mut world = bootstrapping();
        let what = format!("{} {:?}", request.header.get_code(), request.texts(11));
        assert_eq!(world.ask_from(0, request).code(), code, "{what}");
        assert_eq!(world.tree.opened, 0, "nothing is streamed");
    }
}

#[test]
fn deleting_everything_leaves_what_is_needed_to_go_on() {
    let mut world = bootstrapping_with(Tree::new().bootstrap_server(), Config::new("test"));
    write_account(&mut world);
    assert_eq!(world.ask_from(0, message(DELETE).path("/")).code(), "2.02");
    let left: Vec<_> = world.tree.instances.keys().copied().collect();
    assert_eq!(left, [Path::instance(0, 0), Path::instance(3, 0)]);
}

#[test]
fn discover_shows_instances_and_servers() {
    let mut world = bootstrapping();
    write_account(&mut world);
    let list = world.ask_from(0, message(GET).path("/").accept(LINK)).text();
    assert_eq!(
        list,
        "</>;lwm2m=1.1,</0/0>;uri=\"coap://bootstrap.example\",</0/3>;ssid=7;uri=\"coap://new.example\",\
         </1>;ver=1.1,</1/4>;ssid=7,</3/0>,</9/0>"
    );
    let one = world.ask_from(0, message(GET).path("/1").accept(LINK)).text();
    assert_eq!(one, "</1>;ver=1.1,</1/4>;ssid=7");
    let config = Config { newest: Version::V1_0, ..Config::new("test") };
    let mut old = bootstrapping_with(Tree::new().bootstrap_server(), config);
    write_account(&mut old);
    let list = old.ask_from(0, message(GET).path("/").accept(LINK)).text();
    assert_eq!(list, "lwm2m=\"1.0\",</0/0>,</0/3>;ssid=7,</1/4>;ssid=7,</3/0>,</9/0>");
}

#[test]
fn a_pack_brings_everything_at_once() {
    let config = Config { bootstrap_pack: true, ..Config::new("test") };
    let mut world = World::with(Tree::new().bootstrap_server(), config.clone());
    world.input(Input::Tick);
    world.pass(5_000);
    let request = world.take_one(0);
    assert_eq!((request.code().as_str(), request.texts(11)), ("0.01", vec!["bspack".to_owned()]));
    assert_eq!(request.number(17), Some(112));
    let pack = br#"[{"n":"/0/3/0","vs":"coap://new.example"},{"n":"/0/3/1","vb":false},{"n":"/0/3/2","v":3},
        {"n":"/0/3/10","v":7},{"n":"/1/4/0","v":7},{"n":"/1/4/1","v":300},{"n":"/1/4/6","vb":true},
        {"n":"/1/4/7","vs":"U"}]"#;
    world.receive(0, &reply(&request, 0x45).format(SENML_JSON).body(pack));
    assert_eq!(world.events(), [Event::Bootstrapped]);
    assert_eq!(world.take_one(3).texts(11), ["rd"]);

    let mut world = World::with(Tree::new().bootstrap_server(), config);
    world.input(Input::Tick);
    world.pass(5_000);
    let request = world.take_one(0);
    let before = world.tree.instances.clone();
    let spoiled = br#"[{"n":"/0/3/0","vs":"coap://new.example"}]"#;
    world.receive(0, &reply(&request, 0x45).format(SENML_JSON).body(spoiled));
    assert_eq!(world.events(), [Event::BootstrapFailed { code: None }]);
    assert_eq!(world.tree.instances, before);
    world.pass(22_000);
    let request = world.take_one(0);
    world.receive(0, &reply(&request, 0x84));
    assert_eq!(world.take_one(0).texts(11), ["bs"], "a server without packs is asked for steps");
}

#[test]
fn a_server_may_send_us_to_the_bootstrap_server() {
    let mut world = World::registered_with(Tree::new().server(1).bootstrap_server(), Config::new("test"));
    assert_eq!(world.ask(message(POST).path("/1/1/9")).code(), "2.04");
    assert_eq!(world.closed, [1]);
    world.pass(5_000);
    let request = world.take_one(0);
    world.receive(0, &reply(&request, 0x80));
    assert_eq!(world.take_one(1).texts(11), ["rd"], "it failed: back to what there was");
}

#[test]
fn a_device_that_nobody_registers_asks_for_other_servers() {
    for bootstrap in [true, false] {
        let tree = Tree::new()
            .server(1)
            .bootstrap_server()
            .with(Path::resource(1, 1, 16), yes(bootstrap))
            .with(Path::resource(1, 1, 17), int(1));
        let mut world = World::new(tree);
        world.input(Input::Tick);
        let register = world.take_one(1);
        world.receive(1, &reply(&register, 0x83));
        world.pass(5_000);
        assert_eq!(world.take(0).len(), usize::from(bootstrap));
    }
}

#[test]
fn the_account_of_the_bootstrap_server_may_be_for_one_time_only() {
    let tree = Tree::new().bootstrap_server().with(Path::resource(0, 0, 12), int(60));
    let mut world = bootstrapping_with(tree, Config::new("test"));
    write_account(&mut world);
    world.ask_from(0, finish());
    world.pass(59_999);
    assert!(world.tree.instances.contains_key(&Path::instance(0, 0)));
    world.pass(1);
    assert!(!world.tree.instances.contains_key(&Path::instance(0, 0)));
}

#[test]
fn the_end_of_the_client_rolls_a_bootstrap_back() {
    let mut world = bootstrapping();
    let before = world.tree.instances.clone();
    write_account(&mut world);
    world.input(Input::Stop);
    assert_eq!(world.tree.instances, before);
    assert_eq!(world.events(), [Event::Stopped]);
}
