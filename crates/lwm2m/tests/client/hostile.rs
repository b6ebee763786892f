//! Datagrams made to harm: nothing crashes, nothing grows, and an honest server is served as before.

use scomo_lwm2m_proto::limits::SNAPSHOTS_MAX;
use scomo_lwm2m_proto::path::Path;
use scomo_lwm2m_proto::{Config, Input, Peer};

use crate::tree::{Tree, int, text};
use crate::wire::{
    Build, DELETE, FETCH, GET, IPATCH, LINK, Look, OPAQUE, POST, PUT, SENML_CBOR, SENML_JSON, TEXT, TLV,
    message, reply,
};
use crate::world::World;

/// xorshift64*, so that a failing seed fails again.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % end
    }
}

/// Datagrams of every kind that a server sends.
fn honest() -> Vec<Vec<u8>> {
    let senml = br#"[{"bn":"/9/0/","n":"8","vb":true},{"n":"13","vlo":"1:0"}]"#;
    [
        message(GET).path("/9/0/7").observe(0),
        message(GET).path("/9").accept(LINK).block2(0, false, 0),
        message(GET).path("/9").accept(SENML_CBOR).block2(1, false, 0),
        message(GET).path("/3/0/11/0").accept(TLV),
        message(PUT).path("/9/0/2").format(OPAQUE).block1(0, true, 0).body([1; 16]),
        message(PUT).path("/9/0/2").format(OPAQUE).block1(1, false, 0).body([2; 9]),
        message(PUT).path("/9/0/2").format(TEXT).body("c21hbGw="),
        message(PUT).path("/9/0/2").format(TLV).body(b"\xc5\x02small"),
        message(PUT).path("/9/0/2").format(60).body(b"\x45small"),
        message(PUT).path("/9/0/7").query("pmin=1").query("gt=2.5"),
        message(POST).path("/9/0").format(TLV).body(b"\xc1\x08\x01\x80\x11"),
        message(POST).path("/9/0").format(SENML_JSON).body(senml),
        message(POST).path("/9").format(TLV).body(b"\x08\x05\x03\xc1\x08\x01"),
        message(POST).path("/9/0/4").body("0='a',1"),
        message(DELETE).path("/9/1"),
        message(FETCH).format(SENML_JSON).observe(0).body(r#"[{"n":"/9/0/7"},{"n":"/3"}]"#),
        message(IPATCH).format(SENML_CBOR).body(b"\x81\xa2\x00\x66/9/0/8\x04\xf5"),
        message(0x45).option(8, b"rd").block2(0, true, 2).body([0; 64]),
        message(0x5f).block1(0, true, 3),
        message(POST).path("/bs"),
        message(PUT).path("/0").format(TLV).body(b"\x08\x05\x03\xc1\x01\x01"),
        message(DELETE).path("/"),
    ]
    .into_iter()
    .map(|packet| packet.token(b"tok").to_bytes_unlimited().unwrap())
    .collect()
}

fn mutate(chance: &mut Chance, bytes: &mut Vec<u8>) {
    for _ in 0..chance.below(4) {
        let at = chance.below(bytes.len().max(1));
        match chance.below(4) {
            0 if at < bytes.len() => bytes[at] = u8::try_from(chance.below(256)).unwrap(),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 => bytes.insert(at.min(bytes.len()), u8::try_from(chance.below(256)).unwrap()),
            _ => bytes.truncate(at + 4),
        }
    }
}

/// Sends mutated datagrams to one peer, with calls that are answered late, or never.
fn storm(world: &mut World, peer: u16, seed: u64, count: usize) {
    let mut chance = Chance(seed);
    let honest = honest();
    for number in 0..count {
        let mut bytes = honest[chance.below(honest.len())].clone();
        if chance.below(8) > 0 {
            // A message of its own most of the time.
            bytes[2..4].copy_from_slice(&u16::try_from(number % 60_000).unwrap().to_be_bytes());
        }
        mutate(&mut chance, &mut bytes);
        world.tree.later = chance.below(5) == 0;
        world.receive_bytes(peer, &bytes);
        let answered: usize = world.take(peer).iter().map(|p| p.to_bytes_unlimited().unwrap().len()).sum();
        assert!(answered <= 16 * 1280, "one datagram does not become many: {answered}");
        for packet in world.take(2) {
            let created = packet.texts(11) == ["rd"];
            world.receive(2, &reply(&packet, if created { 0x41 } else { 0x44 }).option(8, b"rd"));
        }
        if chance.below(3) == 0 && !world.tree.calls.is_empty() {
            let call = world.tree.calls.remove(0);
            world.input(Input::Completed { call, result: Ok(()) });
        }
        world.pass(u64::try_from(chance.below(300)).unwrap());
        if chance.below(50) == 0 {
            world
                .tree
                .instances
                .entry(Path::instance(9, 0))
                .or_default()
                .insert(7, int(i64::try_from(number).unwrap()));
            world.input(Input::Changed(Path::resource(9, 0, 7)));
        }
    }
    world.tree.later = false;
}

#[test]
fn an_honest_server_is_served_after_a_storm() {
    for seed in 1..=8 {
        let config = Config { legacy_formats: true, ..Config::new("test") };
        let mut world = World::registered_with(Tree::new().server(1).server(2), config);
        world.accept_registration(2);
        storm(&mut world, 1, seed, 2_000);
        let read = world.ask_from(2, message(GET).path("/3/0/16").accept(TEXT));
        assert_eq!((read.code().as_str(), read.text().as_str()), ("2.05", "U"));
    }
}

#[test]
fn a_storm_during_a_bootstrap_leaves_a_device_that_goes_on() {
    for seed in 1..=4 {
        let mut world = World::new(Tree::new().bootstrap_server());
        world.input(Input::Tick);
        world.pass(5_000);
        storm(&mut world, 0, seed, 2_000);
        assert!(world.client.deadline().is_some());
    }
}

#[test]
fn random_bytes_are_nothing() {
    let mut world = World::registered();
    let before = world.tree.instances.clone();
    let mut chance = Chance(77);
    for _ in 0..5_000 {
        let length = chance.below(100);
        let mut bytes: Vec<u8> = (0..length).map(|_| u8::try_from(chance.below(256)).unwrap()).collect();
        if let Some(first) = bytes.first_mut() {
            *first = 0x40 | (*first & 0x3f);
        }
        world.receive_bytes(1, &bytes);
    }
    assert_eq!(world.tree.instances, before);
}

#[test]
fn inputs_that_make_no_sense_are_ignored() {
    let mut world = World::registered();
    let before = world.client.deadline();
    for peer in [0, 1, 9] {
        world.input(Input::Connected { peer: Peer(peer), resumed: true });
    }
    world.input(Input::Disconnected { peer: Peer(9) });
    world.input(Input::Datagram { peer: Peer(9), bytes: b"\x40\x04\x00\x01\xb1\x39" });
    world.input(Input::Changed(Path::resource(77, 0, 0)));
    assert!(world.sent.is_empty() && world.events().len() == 1);
    assert_eq!(world.client.deadline(), before);
}

#[test]
fn large_answers_are_not_kept_without_end() {
    let mut world = World::registered();
    world.tree.set(Path::resource(3, 0, 15), text(&"x".repeat(3000)));
    // The same answer under many names: only the latest are kept.
    let request = |name: usize| message(GET).path("/3/0").accept(SENML_JSON).query(&format!("q{name}"));
    for name in 0..50 {
        assert!(world.ask(request(name)).block(23).is_some());
    }
    let kept = (0..50).filter(|name| world.ask(request(*name).block2(1, false, 6)).code() == "2.05").count();
    assert_eq!(kept, SNAPSHOTS_MAX);
}

#[test]
fn a_flood_of_blocks_does_not_hide_an_execute() {
    let mut world = World::registered();
    let execute = message(POST).path("/9/0/4").id(40_000).token(b"x");
    world.receive(1, &execute);
    let all = vec![7; 2_000 * 16];
    for number in 0..2_000_u32 {
        let request = message(PUT).path("/9/0/2").format(OPAQUE).block1(number, true, 0).body(&all[..16]);
        assert_eq!(world.ask(request).code(), "2.31");
    }
    world.receive(1, &execute);
    assert_eq!(world.tree.executed.len(), 1, "the duplicate is still known");
}
