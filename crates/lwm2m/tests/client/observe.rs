//! Observations: what is told, when, how, and when no more.

use coap_lite::MessageType;
use scomo_lwm2m_proto::path::Path;
use scomo_lwm2m_proto::{Config, Input, Peer};

use crate::tree::{Tree, int, text, yes};
use crate::wire::{Build, DELETE, FETCH, GET, Look, POST, PUT, SENML_JSON, TLV, empty, message, reply};
use crate::world::World;

const BATTERY: Path = Path::resource(3, 0, 9);
const STATE: Path = Path::resource(9, 0, 7);

fn observing(path: &str) -> World {
    let mut world = World::registered();
    let answer = world.ask(message(GET).path(path).observe(0).token(&[7]));
    assert_eq!(answer.code(), "2.05");
    assert!(answer.number(6).is_some(), "the answer is the first notification");
    world
}

fn notified(world: &mut World) -> Vec<String> {
    let all = world.take(1);
    for packet in &all {
        assert_eq!((packet.code().as_str(), packet.get_token()), ("2.05", &[7][..]));
        if packet.header.get_type() == MessageType::Confirmable {
            world.receive(1, &empty(MessageType::Acknowledgement, packet.header.message_id));
        }
    }
    let mut texts: Vec<String> = all.iter().map(Look::text).collect();
    if !texts.is_empty() {
        texts.extend(notified(world));
    }
    texts
}

#[test]
fn a_change_is_told_once() {
    let mut world = observing("/3/0/9");
    world.change(BATTERY, int(50));
    let first = world.take_one(1);
    assert_eq!((first.header.get_type(), first.text().as_str()), (MessageType::NonConfirmable, "50"));
    world.change(BATTERY, int(50));
    world.input(Input::Changed(Path::ROOT));
    assert!(world.take(1).is_empty(), "nothing is different");
    world.change(BATTERY, int(49));
    let second = world.take_one(1);
    assert!(second.number(6) > first.number(6), "{second:?}");
    assert_ne!(second.header.message_id, first.header.message_id);
    world.change(Path::resource(3, 0, 15), text("CET"));
    assert!(world.take(1).is_empty(), "another resource");
}

#[test]
fn every_state_is_told_and_none_is_lost() {
    let mut world = observing("/9/0/7");
    for state in 1..=4 {
        world.change(STATE, int(state));
    }
    assert_eq!(world.sent[&1].len(), 1, "one confirmable message at a time");
    assert_eq!(world.sent[&1][0].header.get_type(), MessageType::Confirmable);
    assert_eq!(notified(&mut world), ["1", "2", "3", "4"]);
}

#[test]
fn what_servers_do_is_told_to_the_others() {
    let mut world = World::new(Tree::new().server(1).server(2));
    world.input(Input::Tick);
    world.accept_registration(1);
    world.accept_registration(2);
    assert_eq!(world.ask(message(GET).path("/3/0/15").observe(0).token(&[7])).code(), "2.05");
    let write = message(PUT).path("/3/0/15").format(0).body("CET");
    assert_eq!(world.ask_from(2, write).code(), "2.04");
    assert_eq!(notified(&mut world), ["CET"]);
}

#[test]
fn periods_bound_how_often_one_is_told() {
    let mut world = observing("/3/0/9");
    assert_eq!(world.ask(message(PUT).path("/3").query("pmin=10")).code(), "2.04");
    assert_eq!(world.ask(message(PUT).path("/3/0/9").query("pmax=60")).code(), "2.04");
    world.change(BATTERY, int(50));
    world.pass(3_000);
    world.change(BATTERY, int(49));
    assert!(world.take(1).is_empty());
    world.pass(7_000);
    assert_eq!(notified(&mut world), ["49"], "the latest value, when the period is over");
    world.change(BATTERY, int(48));
    world.change(BATTERY, int(49));
    world.pass(50_000);
    assert!(world.take(1).is_empty(), "it is as it was");
    world.pass(10_000);
    assert_eq!(notified(&mut world), ["49"], "nothing new is told as well, now and then");
}

#[test]
fn the_server_object_has_the_default_periods() {
    let tree =
        Tree::new().server(1).with(Path::resource(1, 1, 2), int(5)).with(Path::resource(1, 1, 3), int(20));
    let mut world = World::registered_with(tree, Config::new("test"));
    world.ask(message(GET).path("/3/0/9").observe(0).token(&[7]));
    world.change(BATTERY, int(50));
    world.pass(4_999);
    assert!(world.take(1).is_empty());
    world.pass(1);
    assert_eq!(notified(&mut world), ["50"]);
    world.pass(20_000);
    assert_eq!(notified(&mut world), ["50"]);
}

#[test]
fn conditions_choose_what_is_told() {
    let mut world = observing("/3/0/9");
    let attributes = message(PUT).path("/3/0/9").query("lt=20").query("gt=90").query("st=30");
    assert_eq!(world.ask(attributes).code(), "2.04");
    let mut told = Vec::new();
    for value in [79, 70, 51, 50, 45, 19, 18, 25, 60, 95] {
        world.change(BATTERY, int(value));
        told.extend(notified(&mut world));
    }
    assert_eq!(told, ["50", "19", "25", "60", "95"]);
}

#[test]
fn an_observation_ends_in_many_ways() {
    let end: [fn(&mut World); 3] = [
        |world| {
            let answer = world.ask(message(GET).path("/3/0/9").observe(1).token(&[7]));
            assert_eq!((answer.code().as_str(), answer.number(6)), ("2.05", None));
        },
        |world| {
            world.change(BATTERY, int(1));
            let id = world.take_one(1).header.message_id;
            world.receive(1, &empty(MessageType::Reset, id));
        },
        |world| {
            // A new registration: the server begins anew.
            world.ask(message(POST).path("/1/1/8"));
            let update = world.take_one(1);
            world.receive(1, &reply(&update, 0x84));
            world.accept_registration(1);
        },
    ];
    for end in end {
        let mut world = observing("/3/0/9");
        end(&mut world);
        world.change(BATTERY, int(50));
        assert!(world.take(1).is_empty());
    }
}

#[test]
fn a_reset_of_a_confirmable_notification_ends_it_too() {
    let mut world = observing("/9/0/7");
    world.change(STATE, int(1));
    let id = world.take_one(1).header.message_id;
    world.receive(1, &empty(MessageType::Reset, id));
    world.change(STATE, int(2));
    assert!(world.take(1).is_empty());
}

#[test]
fn the_same_target_is_observed_once() {
    let mut world = observing("/3/0/9");
    world.ask(message(GET).path("/3/0/9").observe(0).token(&[8]));
    world.change(BATTERY, int(50));
    assert_eq!(world.take_one(1).get_token(), [8]);
}

#[test]
fn what_is_gone_is_told_as_the_end() {
    let mut world = observing("/9/0/7");
    assert_eq!(world.ask(message(PUT).path("/9/0/7").query("pmin=50")).code(), "2.04");
    assert_eq!(world.ask(message(DELETE).path("/9/0")).code(), "2.02");
    let update = world.take_one(1);
    world.receive(1, &reply(&update, 0x44));
    let end = world.take_one(1);
    assert_eq!((end.code().as_str(), end.number(6), end.get_token()), ("4.04", None, &[7][..]));
    world.tree.instances.insert(Path::instance(9, 0), [(7, int(0)), (8, yes(true))].into());
    world.change(STATE, int(3));
    assert!(!world.take(1).iter().any(|packet| packet.code() == "2.05"));
}

#[test]
fn what_cannot_be_read_cannot_be_observed() {
    let mut world = World::registered();
    for path in ["/9/0/4", "/9/0/2"] {
        let answer = world.ask(message(GET).path(path).observe(0).token(&[7]));
        assert_eq!((answer.code().as_str(), answer.number(6)), ("4.05", None));
    }
    let discover = world.ask(message(GET).path("/9").accept(40).observe(0).token(&[7]));
    assert_eq!((discover.code().as_str(), discover.number(6)), ("2.05", None));
}

#[test]
fn notifications_have_the_format_of_the_first_answer() {
    let mut world = World::registered();
    world.ask(message(GET).path("/3/0/9").accept(TLV).observe(0).token(&[7]));
    world.change(BATTERY, int(50));
    let told = world.take_one(1);
    assert_eq!((told.number(12), told.payload), (Some(u32::from(TLV)), b"\xc1\x09\x32".to_vec()));
}

#[test]
fn composites_are_observed_together() {
    let mut world = World::registered();
    let body = br#"[{"n":"/3/0/9"},{"n":"/9/0/7"}]"#;
    let request = || message(FETCH).format(SENML_JSON).body(body).token(&[7]);
    assert!(world.ask(request().observe(0)).number(6).is_some());
    world.change(BATTERY, int(50));
    assert_eq!(notified(&mut world), [r#"[{"n":"/3/0/9","v":50},{"n":"/9/0/7","v":0}]"#]);
    world.change(STATE, int(1));
    assert_eq!(notified(&mut world).len(), 1);
    assert_eq!(world.ask(request().observe(1)).number(6), None);
    world.change(STATE, int(2));
    assert!(world.take(1).is_empty());
}

#[test]
fn what_happens_while_the_server_is_away_is_told_later() {
    for (storing, expected) in [(true, vec!["1", "2", "3"]), (false, vec!["3"])] {
        let tree = Tree::new().server(1).with(Path::resource(1, 1, 6), yes(storing));
        let mut world = World::registered_with(tree, Config::new("test"));
        world.ask(message(GET).path("/9/0/7").observe(0).token(&[7]));
        world.connect = None;
        world.input(Input::Disconnected { peer: Peer(1) });
        for state in 1..=3 {
            world.change(STATE, int(state));
        }
        assert!(world.take(1).is_empty());
        world.connect = Some(true);
        world.input(Input::NetworkChanged);
        let update = world.take_one(1);
        world.receive(1, &reply(&update, 0x44));
        assert_eq!(notified(&mut world), expected);
    }
}

#[test]
fn a_server_may_observe_before_its_registration_has_an_answer() {
    let mut world = World::new(Tree::new().server(1));
    world.input(Input::Tick);
    let register = world.take_one(1);
    assert!(world.ask(message(GET).path("/9/0/7").observe(0).token(&[7])).number(6).is_some());
    world.change(STATE, int(1));
    world.change(STATE, int(2));
    assert!(world.take(1).is_empty(), "one confirmable message at a time");
    world.receive(1, &reply(&register, 0x41).option(8, b"rd"));
    assert_eq!(notified(&mut world), ["1", "2"]);
}

#[test]
fn a_notification_that_does_not_arrive_is_kept_until_the_server_is_back() {
    let mut world = observing("/9/0/7");
    world.change(STATE, int(1));
    world.change(STATE, int(2));
    let told = world.take_one(1);
    assert_eq!(told.text(), "1");
    world.pass(93_000);
    let sent = world.take(1);
    let update = sent.last().unwrap();
    assert_eq!(update.texts(11), ["rd", "5a3f"], "is the server still there?");
    assert!(!sent.iter().any(|packet| packet.payload == b"2"), "nothing overtakes it");
    world.receive(1, &reply(update, 0x44));
    assert_eq!(notified(&mut world), ["1", "2"]);
}

#[test]
fn observations_are_limited() {
    let mut world = World::registered();
    let mut observed = 0;
    for id in 0..200 {
        world.tree.instances.insert(Path::instance(9, id), [(7, int(0))].into());
        let path = format!("/9/{id}/7");
        let answer = world.ask(message(GET).path(&path).observe(0).token(&id.to_be_bytes()));
        observed += usize::from(answer.number(6).is_some());
    }
    assert_eq!(observed, scomo_lwm2m_proto::limits::OBSERVATIONS_MAX);
}

#[test]
fn a_confirmable_notification_shows_daily_that_the_server_is_there() {
    let tree = Tree::new().server(1).with(Path::resource(1, 1, 1), int(0));
    let mut world = World::registered_with(tree, Config::new("test"));
    world.ask(message(GET).path("/3/0/9").observe(0).token(&[7]));
    assert_eq!(world.ask(message(PUT).path("/3/0/9").query("pmax=43200")).code(), "2.04");
    let kinds = [(); 4].map(|()| {
        world.pass(43_200_000);
        let told = world.take_one(1);
        world.receive(1, &empty(MessageType::Acknowledgement, told.header.message_id));
        told.header.get_type()
    });
    use MessageType::{Confirmable, NonConfirmable};
    assert_eq!(kinds, [NonConfirmable, Confirmable, NonConfirmable, Confirmable]);
}
