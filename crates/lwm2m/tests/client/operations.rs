//! Each operation, and each way in which it is refused.

use coap_lite::Packet;
use scomo_lwm2m_proto::format::{self, Format};
use scomo_lwm2m_proto::path::Path;
use scomo_lwm2m_proto::value::{ObjectLink, Resource, Value};
use scomo_lwm2m_proto::{Arguments, Config, Input, Mode, Refusal};

use crate::tree::{DEVICE, PACKAGE, Tree, int, text};
use crate::wire::{
    Build, DELETE, FETCH, GET, IPATCH, LINK, Look, OPAQUE, POST, PUT, SENML_CBOR, SENML_JSON, TEXT, TLV,
    message,
};
use crate::world::World;

/// A client whose server speaks 1.0.
fn registered_1_0() -> World {
    let config = Config { newest: scomo_lwm2m_proto::Version::V1_0, ..Config::new("test") };
    World::registered_with(Tree::new().server(1), config)
}

#[test]
fn reading_gives_the_format_that_fits_or_the_one_asked_for() {
    let mut world = World::registered();
    let read = world.ask(message(GET).path("/3/0/9"));
    assert_eq!((read.code().as_str(), read.number(12), read.text().as_str()), ("2.05", Some(0), "80"));
    for (accept, body) in [
        (TLV, &b"\xc1\x09\x50"[..]),
        (60, b"\x18\x50"),
        (SENML_JSON, br#"[{"bn":"/3/0/9","v":80}]"#),
        (SENML_CBOR, b"\x81\xa2\x21\x66/3/0/9\x02\x18\x50"),
        (11543, br#"{"bn":"/3/0/","e":[{"n":"9","v":80}]}"#),
    ] {
        let read = world.ask(message(GET).path("/3/0/9").accept(accept));
        assert_eq!((read.code().as_str(), read.number(12)), ("2.05", Some(u32::from(accept))));
        assert_eq!(read.payload, body, "{accept}");
    }
    let instance = world.ask(message(GET).path("/9/0"));
    assert_eq!(instance.number(12), Some(112));
    let decoded =
        format::decode(Format::SenmlCbor, Path::instance(9, 0), &instance.payload, &[&PACKAGE]).unwrap();
    let ids: Vec<_> = decoded.entries.iter().filter_map(|entry| entry.path.resource_id()).collect();
    assert_eq!(ids, [0, 7, 8, 9], "what cannot be read is left out");
    let several = world.ask(message(GET).path("/3/0/11").accept(TLV));
    assert_eq!(several.payload, b"\x83\x0b\x41\x00\x00");
    let one = world.ask(message(GET).path("/3/0/11/0"));
    assert_eq!(one.text(), "0");
    world.tree.instances.remove(&Path::instance(9, 0));
    let none = world.ask(message(GET).path("/9").accept(TLV));
    assert_eq!((none.code().as_str(), none.payload.len()), ("2.05", 0));
}

/// Each request has its code, and changes nothing.
fn refused<const N: usize>(requests: [(Packet, &str); N]) {
    for (request, code) in requests {
        let mut world = World::registered();
        let before = world.tree.instances.clone();
        let what = format!("{} {:?}", request.code(), request.texts(11));
        assert_eq!(world.ask(request).code(), code, "{what}");
        assert_eq!(world.tree.instances, before, "{what}: nothing has changed");
        assert!(world.tree.executed.is_empty());
    }
}

#[test]
fn what_cannot_be_read_or_written_is_refused_with_the_code_for_it() {
    let plain = message;
    refused([
        (plain(GET), "4.00"),
        (plain(GET).path("/1/2/3/4/5"), "4.02"),
        (plain(GET).path("/x"), "4.04"),
        (plain(GET).path("/77"), "4.04"),
        (plain(GET).path("/9/7"), "4.04"),
        (plain(GET).path("/9/0/99"), "4.04"),
        (plain(GET).path("/9/0/13"), "4.04"),
        (plain(GET).path("/9/0/2"), "4.05"),
        (plain(GET).path("/9/0/4"), "4.05"),
        (plain(GET).path("/3/0/9/0"), "4.05"),
        (plain(GET).path("/3/0/11/5"), "4.04"),
        (plain(GET).path("/0"), "4.01"),
        (plain(GET).path("/0/1/5"), "4.01"),
        (plain(GET).path("/21"), "4.01"),
        (plain(GET).path("/3/0").accept(TEXT), "4.06"),
        (plain(GET).path("/3/0/9").accept(OPAQUE), "4.06"),
        (plain(GET).path("/3/0/9").accept(999), "4.06"),
        (plain(GET).path("/3/0/11").accept(TEXT), "4.06"),
        (plain(PUT).path("/9").format(TLV).body(b"\xc1\x07\x00"), "4.05"),
        (plain(PUT).path("/3/0/9").format(TEXT).body("1"), "4.05"),
        (plain(PUT).path("/9/0/4").format(TEXT).body("1"), "4.05"),
        (plain(PUT).path("/3/0").format(TLV).body(b"\xc1\x0f\x41\xc1\x09\x01"), "4.05"),
        (plain(PUT).path("/3/0/15").format(999).body("x"), "4.15"),
        (plain(PUT).path("/3/0/15").format(LINK).body("x"), "4.15"),
        (plain(PUT).path("/3/0/15").format(OPAQUE).body("x"), "4.15"),
        (plain(PUT).path("/3/0").body("x"), "4.15"),
        (plain(PUT).path("/3/0/15"), "4.00"),
        (plain(PUT).path("/1/1/1").format(TEXT).body("x"), "4.00"),
        (plain(PUT).path("/9/0/17").format(SENML_JSON).body(r#"[{"bn":"/9/0/17","vlo":"1:0"}]"#), "4.00"),
        (plain(PUT).path("/1/1/1").format(SENML_JSON).body(r#"[{"bn":"/1/1/1/0","v":1}]"#), "4.00"),
        (plain(PUT).path("/3/0/15").format(SENML_JSON).body(r#"[{"bn":"/3/0/16","vs":"x"}]"#), "4.00"),
        (plain(PUT).path("/0/1/0").format(TEXT).body("x"), "4.01"),
    ]);
}

#[test]
fn what_else_cannot_be_done_is_refused_with_the_code_for_it() {
    let plain = message;
    refused([
        (plain(POST).path("/9/0/7"), "4.05"),
        (plain(POST).path("/9/0/99"), "4.04"),
        (plain(POST).path("/9/0/4").format(TLV), "4.15"),
        (plain(POST).path("/9/0/4").body("0='"), "4.00"),
        (plain(POST).path("/3"), "4.05"),
        (plain(POST).path("/9").format(TLV).body(b"\x08\x00\x03\xc1\x08\x00"), "4.00"),
        (plain(POST).path("/9").body(b"\xc1\x08\x00"), "4.15"),
        (plain(POST).path("/9").format(TLV).body(b"\x00\x01\x00\x02"), "4.00"),
        (plain(POST).path("/bs"), "4.05"),
        (plain(POST).path("/77"), "4.04"),
        (plain(DELETE).path("/9"), "4.05"),
        (plain(DELETE).path("/9/0/7"), "4.05"),
        (plain(DELETE).path("/3/0"), "4.05"),
        (plain(DELETE).path("/9/5"), "4.04"),
        (plain(6).path("/3/0/15"), "4.05"),
        (plain(GET).path("/3/0/9").option(1, b"x"), "4.02"),
        (plain(GET).path("/3/0/9").option(9, b"x"), "4.02"),
        (plain(GET).path("/3/0/9").accept(0).accept(0), "4.02"),
        (plain(GET).path("/3/0/9").option(17, b"\0\0\0\0\0"), "4.02"),
        (plain(GET).path("/3/0/9").block2(0, false, 7), "4.02"),
        (plain(FETCH).format(SENML_JSON).body(r#"[{"n":"/0/0/0"}]"#), "4.01"),
        (plain(FETCH).format(TLV).body(b""), "4.15"),
        (plain(FETCH).format(SENML_JSON).body("[]"), "4.00"),
        (plain(FETCH).format(SENML_JSON).accept(TLV).body(r#"[{"n":"/3/0"}]"#), "4.06"),
        (plain(FETCH).format(SENML_JSON).body(r#"[{"n":"/77/0"}]"#), "4.04"),
        (plain(FETCH).path("/3").format(SENML_JSON).body(r#"[{"n":"/3/0"}]"#), "4.05"),
        (plain(IPATCH).format(SENML_JSON).body(r#"[{"n":"/3/0/9","v":1}]"#), "4.05"),
        (plain(IPATCH).format(SENML_JSON).body(r#"[{"n":"/3/0/99","v":1}]"#), "4.04"),
        (plain(IPATCH).format(SENML_JSON).body(r#"[{"n":"/0/1/0","vs":"x"}]"#), "4.01"),
    ]);
}

#[test]
fn in_1_0_there_are_no_resource_instances_and_no_composites() {
    let mut world = registered_1_0();
    assert_eq!(world.ask(message(GET).path("/3/0/11/0")).code(), "4.05");
    assert_eq!(world.ask(message(FETCH).format(SENML_JSON).body(r#"[{"n":"/3/0"}]"#)).code(), "4.05");
    assert_eq!(world.ask(message(GET).path("/3/0")).number(12), Some(u32::from(TLV)));
}

#[test]
fn an_address_and_elective_options_are_ignored() {
    let mut world = World::registered();
    let request = message(GET).path("/3/0/9").option(11, b"");
    let request = request.option(3, b"host").option(7, b"\x16\x33").option(258, b"").option(2, b"x");
    assert_eq!(world.ask(request).text(), "80");
    let request = message(GET).path("/3/0").option(11, b"").path("/9");
    assert_eq!(world.ask(request).code(), "4.04", "only an empty segment at the end is left out");
}

#[test]
fn writing_replaces_or_adds() {
    let mut world = World::registered();
    let link = |instance| Value::Link(ObjectLink { object: 14, instance });
    world.tree.set(Path::resource(9, 0, 17), Resource::Multiple([(0, link(0))].into()));
    let body = br#"[{"bn":"/9/0/17/","n":"5","vlo":"14:5"}]"#;
    assert_eq!(world.ask(message(POST).path("/9/0").format(SENML_JSON).body(body)).code(), "2.04");
    let both = Resource::Multiple([(0, link(0)), (5, link(5))].into());
    assert_eq!(world.tree.instances[&Path::instance(9, 0)][&17], both);
    assert_eq!(world.ask(message(PUT).path("/9/0/17").format(SENML_JSON).body(body)).code(), "2.04");
    let one = Resource::Multiple([(5, link(5))].into());
    assert_eq!(world.tree.instances[&Path::instance(9, 0)][&17], one);
    let last = world.tree.writes.last().unwrap();
    assert_eq!((last.mode, last.target), (Mode::Replace, Path::resource(9, 0, 17)));
    assert_eq!(world.ask(message(PUT).path("/3/0/15").format(TEXT).body("CET")).code(), "2.04");
    assert_eq!(world.ask(message(PUT).path("/3/0/15").body("EET")).code(), "2.04", "text needs no format");
    assert_eq!(world.tree.instances[&Path::instance(3, 0)][&15], text("EET"));
    let unknown = b"\xc1\x63\x00\xc1\x0f\x41";
    assert_eq!(world.ask(message(POST).path("/3/0").format(TLV).body(unknown)).code(), "2.04");
    assert_eq!(world.tree.instances[&Path::instance(3, 0)][&15], text("A"), "what is unknown is left out");
}

#[test]
fn execute_has_arguments_and_a_format_that_does_not_matter() {
    let mut world = World::registered();
    assert_eq!(world.ask(message(POST).path("/9/0/4").option(12, &[0]).body("1='a',0")).code(), "2.04");
    let arguments = Arguments::parse(b"1='a',0").unwrap();
    assert_eq!(world.tree.executed, [(Path::resource(9, 0, 4), arguments)]);
}

#[test]
fn instances_are_created_and_deleted() {
    let mut world = World::registered();
    let named = world.ask(message(POST).path("/9").format(TLV).body(b"\x08\x07\x03\xc1\x08\x01"));
    assert_eq!((named.code().as_str(), named.texts(8).len()), ("2.01", 0), "who names it knows where it is");
    assert_eq!(world.tree.instances[&Path::instance(9, 7)][&8], crate::tree::yes(true));
    let unnamed = world.ask(message(POST).path("/9").format(TLV).body(b"\xc1\x08\x01"));
    assert_eq!(unnamed.texts(8), ["9", "1"]);
    let senml = world.ask(message(POST).path("/9").format(SENML_JSON).body(r#"[{"bn":"/9/3/8","vb":true}]"#));
    assert_eq!(senml.code(), "2.01");
    assert_eq!(world.ask(message(DELETE).path("/9/7")).code(), "2.02");
    let left: Vec<_> = world.tree.instances.keys().filter(|path| path.object_id() == Some(9)).collect();
    assert_eq!(left, [&Path::instance(9, 0), &Path::instance(9, 1), &Path::instance(9, 3)]);
}

#[test]
fn discover_lists_what_is_there_and_what_was_attached() {
    let mut world = World::registered();
    let discover = |world: &mut World, path: &str| world.ask(message(GET).path(path).accept(LINK)).text();
    assert_eq!(
        discover(&mut world, "/9"),
        "</9>,</9/0>,</9/0/0>,</9/0/2>,</9/0/3>,</9/0/4>,</9/0/7>,</9/0/8>,</9/0/9>"
    );
    assert!(discover(&mut world, "/1").starts_with("</1>;ver=1.1,</1/1>,</1/1/0>"));
    assert_eq!(discover(&mut world, "/3/0/11"), "</3/0/11>;dim=1,</3/0/11/0>");
    let attributes = |path: &str, queries: &[&str]| {
        queries.iter().fold(message(PUT).path(path), |request, query| request.query(query))
    };
    assert_eq!(world.ask(attributes("/9", &["pmin=1"])).code(), "2.04");
    assert_eq!(world.ask(attributes("/9/0", &["pmax=60"])).code(), "2.04");
    assert_eq!(world.ask(attributes("/9/0/7", &["gt=2", "st=1.5"])).code(), "2.04");
    assert_eq!(discover(&mut world, "/9/0/7"), "</9/0/7>;pmin=1;pmax=60;gt=2;st=1.5");
    let object = discover(&mut world, "/9");
    assert!(object.starts_with("</9>;pmin=1,</9/0>;pmax=60,</9/0/0>,"), "{object}");
    assert!(object.contains("</9/0/7>;gt=2;st=1.5,"), "{object}");
    assert!(discover(&mut world, "/9/0").starts_with("</9/0>;pmin=1;pmax=60,</9/0/0>"));
    assert_eq!(world.ask(attributes("/9/0/7", &["gt", "st", "bad=1"])).code(), "4.00");
    assert_eq!(world.ask(attributes("/9/0", &["gt=1"])).code(), "4.00", "no number stands there");
    assert_eq!(world.ask(attributes("/9/0/0", &["gt=1"])).code(), "4.00", "nor there");
    assert_eq!(world.ask(attributes("/9/0/7", &["gt", "st"])).code(), "2.04");
    assert_eq!(discover(&mut world, "/9/0/7"), "</9/0/7>;pmin=1;pmax=60");
    assert_eq!(world.ask(message(GET).path("/").accept(LINK)).code(), "4.00");
    assert_eq!(world.ask(message(GET).path("/8").accept(LINK)).code(), "4.04");
    let mut old = registered_1_0();
    assert!(
        discover(&mut old, "/1").starts_with("</1>,</1/1>"),
        "the objects of the enabler are those of 1.0"
    );
    assert_eq!(discover(&mut old, "/3/0/11"), "</3/0/11>;dim=1");
}

#[test]
fn composites_read_and_write_several_things() {
    let mut world = World::registered();
    let body = br#"[{"n":"/3/0/9"},{"n":"/9/0/7"},{"n":"/77"},{"n":"/9/0/4"}]"#;
    let read = world.ask(message(FETCH).format(SENML_JSON).body(body));
    assert_eq!(read.text(), r#"[{"n":"/3/0/9","v":80},{"n":"/9/0/7","v":0}]"#);
    let read = world.ask(message(FETCH).format(SENML_JSON).accept(SENML_CBOR).body(body));
    let decoded = format::decode(Format::SenmlCbor, Path::ROOT, &read.payload, &[&DEVICE, &PACKAGE]).unwrap();
    assert_eq!(decoded.entries.len(), 2);
    let body = br#"[{"n":"/3/0/15","vs":"CET"},{"n":"/9/0/8","vb":true}]"#;
    assert_eq!(world.ask(message(IPATCH).format(SENML_JSON).body(body)).code(), "2.04");
    let write = world.tree.writes.last().unwrap();
    assert_eq!(
        (write.target, write.entries.len()),
        (Path::ROOT, 2),
        "one call, so that it is all or nothing"
    );
}

#[test]
fn access_control_is_asked_for_every_instance() {
    let mut world = World::registered();
    world.tree.instances.insert(Path::instance(9, 1), [(7, int(4))].into());
    world.tree.denied = vec![(1, Path::instance(9, 0)), (1, Path::object(9))];
    for request in [
        message(GET).path("/9/0"),
        message(GET).path("/9/0/7"),
        message(GET).path("/9/0").accept(LINK),
        message(PUT).path("/9/0/8").format(TEXT).body("1"),
        message(PUT).path("/9/0").query("pmin=1"),
        message(POST).path("/9/0/4"),
        message(POST).path("/9"),
        message(DELETE).path("/9/0"),
        message(IPATCH).format(SENML_JSON).body(r#"[{"n":"/9/0/8","vb":true}]"#),
        message(PUT).path("/9/0/2").format(OPAQUE).body("x"),
    ] {
        assert_eq!(world.ask(request).code(), "4.01");
    }
    let object = world.ask(message(GET).path("/9").accept(SENML_JSON));
    assert_eq!(object.text(), r#"[{"bn":"/9/","n":"1/7","v":4}]"#, "what is permitted is read");
    assert!(!world.ask(message(GET).path("/9").accept(LINK)).text().contains("/9/0"));
    world.tree.denied.push((1, Path::instance(9, 1)));
    let nothing = world.ask(message(GET).path("/9").accept(TLV));
    assert_eq!((nothing.code().as_str(), nothing.payload.len()), ("2.05", 0));
    assert_eq!(world.ask(message(GET).path("/9").accept(LINK)).code(), "4.01");
}

#[test]
fn a_refusal_of_the_objects_has_its_code() {
    for (refusal, code) in [
        (Refusal::BadRequest, "4.00"),
        (Refusal::Unauthorized, "4.01"),
        (Refusal::NotFound, "4.04"),
        (Refusal::NotAllowed, "4.05"),
        (Refusal::NotAcceptable, "4.06"),
        (Refusal::TooLarge, "4.13"),
        (Refusal::Failed, "5.00"),
    ] {
        let mut world = World::registered();
        world.tree.refuse = Some(refusal);
        for request in [
            message(POST).path("/9/0/4"),
            message(PUT).path("/3/0/15").format(TEXT).body("x"),
            message(POST).path("/9"),
            message(DELETE).path("/9/0"),
            message(PUT).path("/9/0/2").format(OPAQUE).body("x"),
        ] {
            assert_eq!(world.ask(request).code(), code);
        }
        assert!(world.take(1).is_empty(), "nothing has changed, and nobody is told");
    }
}

#[test]
fn what_takes_long_is_acknowledged_first() {
    let mut world = World::registered();
    world.tree.later = true;
    let request = message(POST).path("/9/0/4").id(700).token(&[1, 2]);
    world.receive(1, &request);
    assert!(world.take(1).is_empty());
    world.pass(1_000);
    let acknowledgement = world.take_one(1);
    assert_eq!((acknowledgement.code().as_str(), acknowledgement.header.message_id), ("0.00", 700));
    world.receive(1, &request);
    assert_eq!(world.take_one(1), acknowledgement, "a duplicate is acknowledged again");
    let call = world.tree.calls.remove(0);
    world.input(Input::Completed { call, result: Ok(()) });
    let response = world.take_one(1);
    assert_eq!((response.code().as_str(), response.get_token()), ("2.04", &[1, 2][..]));
    assert_ne!(response.header.message_id, 700);
    world.pass(3_000);
    assert_eq!(world.take_one(1), response, "it is repeated until it is acknowledged");
    let id = response.header.message_id;
    world.receive(1, &crate::wire::empty(coap_lite::MessageType::Acknowledgement, id));
    world.pass(60_000);
    assert!(world.take(1).is_empty());
    assert_eq!(world.tree.executed.len(), 1);
    // An answer that nobody waits for any more is ignored.
    world.input(Input::Completed { call, result: Ok(()) });
    assert!(world.take(1).is_empty());
}

#[test]
fn what_is_quick_enough_needs_one_message() {
    let mut world = World::registered();
    world.tree.later = true;
    world.receive(1, &message(POST).path("/9").id(700));
    world.pass(500);
    let call = world.tree.calls.remove(0);
    world.input(Input::Completed { call, result: Err(Refusal::NotAllowed) });
    let response = world.take_one(1);
    assert_eq!((response.code().as_str(), response.header.message_id), ("4.05", 700));
}
