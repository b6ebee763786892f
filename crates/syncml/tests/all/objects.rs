//! Large objects, both ways.

use scomo_syncml::limits::{ARGUMENT_BYTES_MAX, TNDS_BYTES_MAX};
use scomo_syncml::message::{Command, Format, Header, Item, Meta, Request, Verb};
use scomo_syncml::{Code, Encoding, Event, Executed, Input, Tnds, TndsNode, encode_tnds};

use crate::tree::uri;
use crate::world::{BOTH, Reply, World, add, alert, get, item, report, request};

/// A piece of an object.
fn piece(verb: Verb, target: &str, data: &str, size: Option<u64>, more: bool) -> Request {
    let meta = size.map(|size| Box::new(Meta { size: Some(size), ..Meta::default() }));
    let item = Item { data: Some(data.as_bytes().to_vec()), meta, more, ..item(target, "") };
    Request { items: vec![item], ..Request::new(verb) }
}

fn of(format: Format, request: Request) -> Request {
    Request { meta: Meta { format: Some(format), ..Meta::default() }, ..request }
}

fn replacing(data: &str, size: Option<u64>, more: bool) -> Request {
    piece(Verb::Replace, "./A/B", data, size, more)
}

#[test]
fn pieces_are_joined() {
    for encoding in BOTH {
        let mut world = World::started(encoding);
        world.serve_more(vec![get("./A/C"), replacing("abc", Some(8), true)]);
        assert_eq!(world.said(), ["SyncHdr 200", "Get 200", "Results ./A/C=c", "Replace 213", "Alert 1222"]);
        assert_eq!(world.tree.text("./A/B"), Some("b"));
        world.serve_more(vec![replacing("de", None, true)]);
        assert_eq!(world.said(), ["SyncHdr 200", "Replace 213", "Alert 1222"]);
        world.serve(vec![replacing("fgh", None, false), get("./A/B")]);
        assert_eq!(
            world.said(),
            ["SyncHdr 200", "Replace 200", "Get 200", "Results ./A/B=abcdefgh", "Final"]
        );
        world.end();
        assert_eq!(world.tree.objects_dropped, 0);
    }
}

#[test]
fn base64_is_cut_anywhere() {
    let text = "AAECAwQFBgcICQ==";
    for cut in 1..text.len() {
        let mut world = World::started(Encoding::Xml);
        let (first, second) = text.split_at(cut);
        world.serve_more(vec![of(Format::B64, replacing(first, Some(16), true))]);
        assert_eq!(world.answers(), ["Replace 213", "Alert 1222"]);
        world.serve(vec![of(Format::B64, replacing(second, None, false))]);
        assert_eq!(world.answers(), ["Replace 200"]);
        assert_eq!(world.tree.nodes[&uri("./A/B")], (Format::Bin, (0..10).collect()));
    }
    let mut world = World::started(Encoding::Xml);
    world.serve_more(vec![of(Format::B64, replacing("AA*AAAAA", Some(12), true))]);
    assert_eq!(world.answers(), ["Replace 400", "Alert 1222"]);
    world.serve(vec![of(Format::B64, replacing("AAAA", None, false))]);
    assert_eq!((world.answers()[0].as_str(), world.tree.objects_dropped), ("Replace 400", 1));
}

#[test]
fn a_server_that_says_final_too_early_still_gets_asked_for_the_rest() {
    let mut world = World::started(Encoding::Xml);
    world.serve(vec![replacing("abc", Some(4), true)]);
    assert_eq!(world.said(), ["SyncHdr 200", "Replace 213", "Alert 1222"]);
    world.serve(vec![replacing("d", None, false)]);
    assert_eq!(world.tree.text("./A/B"), Some("abcd"));
}

#[test]
fn an_object_of_another_size_than_announced_changes_nothing() {
    for (first, second) in [("abc", "d"), ("abc", "def"), ("abcdef", "")] {
        let mut world = World::started(Encoding::Xml);
        world.serve_more(vec![replacing(first, Some(5), true)]);
        let early = first.len() > 5;
        assert_eq!(world.answers()[0], if early { "Replace 424" } else { "Replace 213" });
        world.serve(vec![replacing(second, None, false)]);
        assert_eq!(world.answers(), ["Replace 424"]);
        assert_eq!((world.tree.text("./A/B"), world.tree.objects_dropped), (Some("b"), 1));
    }
}

#[test]
fn an_object_that_cannot_be_taken_is_refused_at_its_first_piece_and_its_rest_is_dropped() {
    let tnds = |size| Request {
        meta: Meta::typed(Format::Xml, Encoding::Xml.tnds_type()),
        ..piece(Verb::Add, "./New", "<", Some(size), true)
    };
    let cases = [
        (replacing("abc", None, true), 411),
        (replacing("abc", Some(100_001), true), 413),
        (piece(Verb::Replace, "./None", "abc", Some(6), true), 404),
        (piece(Verb::Replace, "./A/../B", "abc", Some(6), true), 400),
        (piece(Verb::Replace, "./A/B?prop=ACL", "abc", Some(ARGUMENT_BYTES_MAX + 1), true), 413),
        (piece(Verb::Exec, "./A/B", "abc", Some(ARGUMENT_BYTES_MAX + 1), true), 413),
        (of(Format::Other("x".to_owned()), replacing("abc", Some(6), true)), 415),
        (tnds(TNDS_BYTES_MAX + 1), 413),
    ];
    for (first, code) in cases {
        let mut world = World::started(Encoding::Xml);
        let name = first.verb.name().to_owned();
        world.serve_more(vec![first.clone()]);
        assert_eq!(world.answers(), [format!("{name} {code}"), "Alert 1222".to_owned()]);
        let target = &first.items[0].target.as_ref().unwrap().uri;
        world.serve_more(vec![piece(first.verb.clone(), target, "def", None, true)]);
        assert_eq!(world.answers()[0], format!("{name} {code}"));
        world.serve(vec![piece(first.verb.clone(), target, "ghi", None, false), get("./A/B")]);
        assert_eq!(
            world.answers(),
            [format!("{name} {code}"), "Get 200".to_owned(), "Results ./A/B=b".to_owned()]
        );
    }
}

#[test]
fn a_device_that_fills_up_says_so_and_keeps_what_it_had() {
    let mut world = World::started(Encoding::Xml);
    world.serve_more(vec![replacing("full!", Some(10), true)]);
    assert_eq!(world.answers()[0], "Replace 420");
    world.serve(vec![replacing("abcde", None, false)]);
    assert_eq!(world.answers(), ["Replace 420"]);
    assert_eq!((world.tree.text("./A/B"), world.tree.objects_dropped), (Some("b"), 1));
}

#[test]
fn another_command_breaks_an_object() {
    let others = [
        (get("./A/C"), vec!["Get 200", "Results ./A/C=c"]),
        (piece(Verb::Replace, "./A/C", "x", None, false), vec!["Replace 200"]),
        (piece(Verb::Add, "./A/B", "x", None, false), vec!["Add 418"]),
    ];
    for (other, answers) in others {
        let mut world = World::started(Encoding::Xml);
        world.serve_more(vec![replacing("abc", Some(6), true)]);
        world.serve(vec![other]);
        let mut expected = answers;
        expected.push("Alert 1225 [./A/B]");
        assert_eq!(world.answers(), expected);
        assert_eq!((world.tree.text("./A/B"), world.tree.objects_dropped), (Some("b"), 1));
        world.end();
    }
}

#[test]
fn a_second_object_inside_a_command_breaks_the_first() {
    let mut world = World::started(Encoding::Xml);
    let mut two = replacing("abc", Some(6), true);
    two.items.extend(piece(Verb::Replace, "./A/C", "xyz", Some(6), true).items);
    world.serve_more(vec![two]);
    assert_eq!(world.answers(), ["Replace 213", "Alert 1225 [./A/B]", "Alert 1222"]);
    world.serve(vec![piece(Verb::Replace, "./A/C", "uvw", None, false)]);
    assert_eq!((world.tree.text("./A/B"), world.tree.text("./A/C")), (Some("b"), Some("xyzuvw")));
}

#[test]
fn an_object_whose_next_piece_does_not_come_is_broken() {
    let mut world = World::started(Encoding::Xml);
    world.serve_more(vec![replacing("abc", Some(6), true)]);
    world.serve(vec![]);
    assert_eq!(world.said(), ["SyncHdr 200", "Alert 1225 [./A/B]", "Final"]);
    world.end();
    assert_eq!(world.tree.objects_dropped, 1);
}

#[test]
fn an_object_is_dropped_when_the_session_ends() {
    for end in [Input::Lost, Input::Message { body: b"x", hmac: None }] {
        let mut world = World::started(Encoding::Xml);
        world.serve_more(vec![replacing("abc", Some(6), true)]);
        world.input(end);
        assert!(world.done.is_some());
        assert_eq!((world.tree.text("./A/B"), world.tree.objects_dropped), (Some("b"), 1));
    }
}

#[test]
fn an_object_cannot_be_part_of_an_atomic() {
    let mut world = World::started(Encoding::Xml);
    let inner = vec![add("./A/N", "1"), replacing("abc", Some(6), true)];
    world.serve(vec![Request { inner, ..Request::new(Verb::Atomic) }]);
    assert_eq!(world.answers(), ["Atomic 507", "Add 216", "Replace 412"]);
}

#[test]
fn a_whole_object_above_the_limit_is_refused() {
    let mut config = crate::world::config(Encoding::Xml);
    config.max_object = 5;
    let mut world = World::new(config);
    world.input(Input::Start);
    world.serve(vec![replacing("123456", None, false), replacing("12345", None, false)]);
    assert_eq!(world.answers(), ["Replace 413", "Replace 200"]);
}

#[test]
fn trees_and_arguments_come_in_pieces_too() {
    let node = TndsNode { format: Some(Format::Chr), value: Some(b"v".to_vec()), ..TndsNode::default() };
    let tree = encode_tnds(&Tnds { nodes: vec![node], ..Tnds::default() }, Encoding::Xml);
    let tree = String::from_utf8(tree).unwrap();
    let (first, second) = tree.split_at(40);
    let tnds = |request| Request { meta: Meta::typed(Format::Xml, Encoding::Xml.tnds_type()), ..request };
    let mut world = World::started(Encoding::Xml);
    world.tree.exec = Some(Executed { code: Code::OK, items: Vec::new() });
    let size = u64::try_from(tree.len()).unwrap();
    world.serve_more(vec![tnds(piece(Verb::Add, "./New", first, Some(size), true))]);
    world.serve_more(vec![
        tnds(piece(Verb::Add, "./New", second, None, false)),
        piece(Verb::Exec, "./A/B", "ar", Some(4), true),
    ]);
    assert_eq!(world.answers(), ["Add 200", "Exec 213", "Alert 1222"]);
    world.serve(vec![piece(Verb::Exec, "./A/B", "gu", None, false)]);
    assert_eq!(world.tree.text("./New"), Some("v"));
    assert_eq!(world.tree.executed[0].1.argument.as_deref(), Some(b"argu".as_slice()));
}

/// A session with a server that takes messages of this size only, which asks for something.
fn asked(encoding: Encoding, size: u64, value: (Format, &[u8]), requests: Vec<Request>) -> World {
    let mut world = World::started(encoding);
    world.tree.put("./A/Big", value.0, value.1);
    let meta = Meta { max_msg_size: Some(size), ..Meta::default() };
    let header = Header { meta, ..world.reply().header };
    world.send(&Reply { header, requests, ..world.reply() });
    world
}

/// Collects the pieces that the client sends, answering as a server does, until the package ends.
fn collect(world: &mut World, limit: usize) -> (Vec<u8>, Option<u64>, usize) {
    let (mut data, mut size, mut pieces) = (Vec::new(), None, 0);
    loop {
        assert!(world.bytes() <= limit, "{} bytes", world.bytes());
        let results = world.body().commands.iter().find_map(|command| match command {
            Command::Results(results) => Some(results.items[0].clone()),
            Command::Request(request) if request.data.as_deref() == Some("1226") => {
                Some(request.items[0].clone())
            }
            _ => None,
        });
        if let Some(item) = results {
            let announced = item.meta.as_ref().and_then(|meta| meta.size);
            assert_eq!(announced.is_some(), pieces == 0, "the size is in the first piece only");
            size = size.or(announced);
            assert_eq!(item.more, !world.body().last, "{:?}", world.said());
            data.extend(item.data.unwrap());
            pieces += 1;
        }
        if world.body().last {
            return (data, size, pieces);
        }
        let codes =
            vec![("Results".to_owned(), Code::CHUNK_STORED), ("Alert".to_owned(), Code::CHUNK_STORED)];
        world.send(&Reply { requests: vec![alert(1222, &[])], codes, last: false, ..world.reply() });
    }
}

#[test]
fn results_that_do_not_fit_go_in_pieces() {
    let text: String = (0..2000).map(|n| format!("<é&{n}>")).collect();
    let binary: Vec<u8> = (0..=255).cycle().take(5000).collect();
    for encoding in BOTH {
        for (format, value) in [(Format::Chr, text.as_bytes()), (Format::Bin, binary.as_slice())] {
            let mut world = asked(encoding, 2000, (format.clone(), value), vec![get("./A/Big")]);
            let (data, size, pieces) = collect(&mut world, 2000);
            assert_eq!(size, u64::try_from(data.len()).ok());
            assert!(pieces > 3, "{pieces} pieces");
            let raw = encoding == Encoding::Wbxml || format == Format::Chr;
            let expected = if raw {
                value.to_vec()
            } else {
                base64::Engine::encode(&base64::prelude::BASE64_STANDARD, value).into_bytes()
            };
            assert_eq!(data, expected);
            world.end();
        }
    }
}

#[test]
fn what_stands_before_and_behind_a_large_result_is_sent_in_order() {
    let requests = vec![get("./A/B"), get("./A/Big"), get("./A/C")];
    let mut world = asked(Encoding::Xml, 1500, (Format::Chr, &[b'x'; 3000]), requests);
    let mut results = Vec::new();
    let mut statuses = 0;
    loop {
        for said in world.said() {
            statuses += usize::from(said == "Get 200");
            if let Some(text) = said.strip_prefix("Results ") {
                results.push(text.split('=').next().unwrap().to_owned());
            }
        }
        if world.body().last {
            break;
        }
        world.serve_more(vec![alert(1222, &[])]);
    }
    results.dedup();
    assert_eq!((results.join(" "), statuses), ("./A/B ./A/Big ./A/C".to_owned(), 3));
}

#[test]
fn a_large_result_that_the_server_does_not_want_is_broken_off() {
    for code in [413, 416, 424, 500] {
        let mut world = asked(Encoding::Xml, 1500, (Format::Chr, &[b'x'; 5000]), vec![get("./A/Big")]);
        assert!(world.said().iter().any(|said| said.ends_with("...")));
        let codes = vec![("Results".to_owned(), Code(code))];
        world.send(&Reply { requests: vec![alert(1222, &[])], codes, last: false, ..world.reply() });
        assert_eq!(world.said(), ["SyncHdr 200", "Alert 200", "Final"]);
        assert_eq!(world.events, [Event::CommandRefused("Results".to_owned(), Code(code))]);
        world.end();
    }
    let mut world = asked(Encoding::Xml, 1500, (Format::Chr, &[b'x'; 5000]), vec![get("./A/Big")]);
    world.serve_more(vec![alert(1225, &[])]);
    assert_eq!(world.said(), ["SyncHdr 200", "Alert 200", "Final"]);
}

#[test]
fn a_long_report_goes_in_pieces_and_is_confirmed_by_the_last() {
    let mut world = World::started(Encoding::Xml);
    world.session.report(report(9, &"r".repeat(3000))).unwrap();
    let meta = Meta { max_msg_size: Some(1500), ..Meta::default() };
    let header = Header { meta, ..world.reply().header };
    world.send(&Reply { header, ..world.reply() });
    let (data, size, pieces) = collect(&mut world, 1500);
    assert_eq!((data.len(), size), (3000, Some(3000)));
    assert!(pieces > 2 && world.events.is_empty());
    world.end();
    assert_eq!(world.events, [Event::AlertAccepted(9)]);
}

#[test]
fn a_long_report_that_is_refused_halfway_is_handed_back() {
    let mut world = World::started(Encoding::Xml);
    world.session.report(report(9, &"r".repeat(3000))).unwrap();
    let meta = Meta { max_msg_size: Some(1500), ..Meta::default() };
    let header = Header { meta, ..world.reply().header };
    world.send(&Reply { header, ..world.reply() });
    let codes = vec![("Alert".to_owned(), Code(413))];
    world.send(&Reply { codes, last: false, ..world.reply() });
    assert_eq!(world.events, [Event::AlertRefused(9, Code(413))]);
}

#[test]
fn names_too_long_for_any_message_end_the_session() {
    let long = format!("./A/{}", "n".repeat(250));
    let mut world = World::started(Encoding::Xml);
    world.tree.put(&long, Format::Chr, b"v");
    let meta = Meta { max_msg_size: Some(1000), ..Meta::default() };
    let header = Header { meta, ..world.reply().header };
    world.send(&Reply { header, requests: vec![request(Verb::Get, &[(&long, "")])], ..world.reply() });
    assert_eq!(world.error(), "PeerTooSmall");
}
