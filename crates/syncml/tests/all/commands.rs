//! Every command on every kind of node, as the session hands it to the tree and answers it.

use scomo_syncml::limits::{CORRELATOR_BYTES_MAX, SEGMENTS_MAX, URI_BYTES_MAX};
use scomo_syncml::message::{Format, Header, Item, Location, Meta, Request, Verb};
use scomo_syncml::{Code, Encoding, Executed, Execution, Tnds, TndsNode, decode_tnds, encode_tnds};

use crate::tree::uri;
use crate::world::{BOTH, Reply, World, add, copy, delete, exec, get, replace, request};

/// What one command gets for an answer.
fn answer(command: Request) -> Vec<String> {
    let mut world = World::started(Encoding::Xml);
    world.serve(vec![command]);
    world.answers()
}

fn code(command: Request) -> String {
    answer(command).remove(0)
}

#[test]
fn every_command_has_its_code_on_every_kind_of_node() {
    let missing = "./A/None";
    let (leaf, interior, root, property, below) = ("./A/B", "./A", ".", "./A/B?prop=Type", "./A/B/Below");
    let table: [(&str, [u16; 6]); 6] = [
        // Get, Add, Replace, Delete, Copy onto, Exec
        (missing, [404, 200, 404, 404, 200, 404]),
        (leaf, [200, 418, 200, 200, 200, 405]),
        (interior, [200, 418, 405, 200, 403, 405]),
        (root, [200, 418, 405, 405, 403, 405]),
        (property, [406, 405, 405, 405, 405, 405]),
        (below, [404, 405, 404, 404, 200, 404]),
    ];
    for (target, codes) in table {
        let copied = if codes[4] == 403 { copy("./A", target) } else { copy("./A/C", target) };
        let commands =
            [get(target), add(target, "v"), replace(target, "v"), delete(target), copied, exec(target, "")];
        for (command, expected) in commands.into_iter().zip(codes) {
            let name = command.verb.name().to_owned();
            assert_eq!(code(command), format!("{name} {expected}"), "{target}");
        }
    }
}

#[test]
fn targets_that_are_no_uri_are_refused_before_the_tree_sees_them() {
    let long = format!("./{}", "a".repeat(URI_BYTES_MAX));
    let deep = "a/".repeat(SEGMENTS_MAX) + "a";
    for (target, expected) in
        [("./A/../B", 400), ("/A", 400), ("", 400), ("./A//B", 400), (&long, 414), (&deep, 414)]
    {
        for command in
            [get(target), add(target, "v"), delete(target), exec(target, ""), copy("./A/B", target)]
        {
            let name = command.verb.name().to_owned();
            assert_eq!(code(command), format!("{name} {expected}"), "{target}");
        }
    }
    assert_eq!(code(copy("./A/../B", "./A/N")), "Copy 400");
    assert_eq!(code(copy("./A/B?prop=ACL", "./A/N")), "Copy 405");
}

#[test]
fn commands_that_lack_something_are_incomplete() {
    for verb in [Verb::Get, Verb::Add, Verb::Replace, Verb::Delete, Verb::Copy, Verb::Exec] {
        assert_eq!(code(Request::new(verb.clone())), format!("{} 412", verb.name()));
        let without_target = Request { items: vec![Item::default()], ..Request::new(verb.clone()) };
        assert_eq!(code(without_target), format!("{} 412", verb.name()));
    }
    assert_eq!(code(request(Verb::Copy, &[("./A/N", "")])), "Copy 412");
    assert_eq!(code(request(Verb::Exec, &[("./A/B", ""), ("./A/C", "")])), "Exec 412");
}

#[test]
fn properties_are_read_and_changed() {
    assert_eq!(answer(get("./A/B?prop=Name")), ["Get 200", "Results ./A/B?prop=Name=B"]);
    assert_eq!(answer(get("./A?prop=Format")), ["Get 200", "Results ./A?prop=Format=node"]);
    assert_eq!(code(get("./A/B?prop=VerNo")), "Get 406");
    assert_eq!(code(get("./A/B?prop=Colour")), "Get 406");
    assert_eq!(code(get("./A/B?list=Everything")), "Get 406");
    assert_eq!(code(get("./None?prop=Name")), "Get 404");
    assert_eq!(code(replace("./A/B?prop=Format", "int")), "Replace 405");
    assert_eq!(code(replace("./A/B?list=Struct", "x")), "Replace 405");
    assert_eq!(code(replace("./A/B?prop=Title", "x")), "Replace 406");
    let mut world = World::started(Encoding::Xml);
    world.serve(vec![replace("./A/B?prop=Name", " Z ")]);
    assert_eq!((world.answers()[0].as_str(), world.tree.text("./A/Z")), ("Replace 200", Some("b")));
}

#[test]
fn lists_show_the_nodes_below() {
    let structure = "Results ./A/Long:node, ./A/Long/X";
    assert_eq!(answer(get("./A/Long?list=Struct")), ["Get 200", structure]);
    let data = "Results ./A/Long:node, ./A/Long/X=x";
    assert_eq!(answer(get("./A/Long?list=StructData")), ["Get 200", data]);
}

#[test]
fn names_with_special_characters_come_back_escaped() {
    let mut world = World::started(Encoding::Xml);
    world.serve(vec![add("./A/50%25%3F", "v"), get("./A/50%25%3F"), get("./A?list=Struct")]);
    assert_eq!(world.answers()[2], "Results ./A/50%25%3F=v");
    assert!(world.answers()[4].contains("./A/50%25%3F"), "{:?}", world.answers());
}

#[test]
fn binary_values_travel_as_each_encoding_can_carry_them() {
    for (encoding, expected) in
        [(Encoding::Xml, "Results ./A/Bin:b64=AAH/"), (Encoding::Wbxml, "Results ./A/Bin:bin")]
    {
        let mut world = World::started(encoding);
        world.tree.put("./A/Bin", Format::Bin, &[0, 1, 0xFF]);
        world.serve(vec![get("./A/Bin")]);
        assert_eq!(world.answers(), ["Get 200", expected]);
    }
    // Text with a character that XML forbids must not spoil the message.
    let mut world = World::started(Encoding::Xml);
    world.tree.put("./A/Odd", Format::Chr, b"a\x1Bb");
    world.serve(vec![get("./A/Odd")]);
    assert_eq!(world.answers()[1], "Results ./A/Odd:b64=YRti");
}

fn typed(command: Request, format: &str, mime: &str) -> Request {
    Request { meta: Meta::typed(Format::named(format), mime), ..command }
}

#[test]
fn values_are_decoded_and_keep_their_format() {
    let mut world = World::started(Encoding::Xml);
    let own = Item {
        meta: Some(Box::new(Meta { format: Some(Format::Int), ..Meta::default() })),
        ..typed_item("./A/I", "7")
    };
    let mixed = Request {
        items: vec![own, typed_item("./A/T", "t")],
        ..typed(Request::new(Verb::Add), "chr", "a/b")
    };
    world.serve(vec![
        typed(add("./A/D", "AAH/"), "b64", "application/x"),
        typed(add("./A/Node", ""), "node", "urn:x"),
        typed(add("./A/Bad", "@@@"), "b64", "application/x"),
        typed(add("./A/Odd", "x"), "colour", "application/x"),
        mixed,
    ]);
    assert_eq!(world.answers(), ["Add 200", "Add 200", "Add 400", "Add 415", "Add 200"]);
    assert_eq!(world.tree.nodes[&uri("./A/D")], (Format::Bin, vec![0, 1, 0xFF]));
    assert_eq!(world.tree.nodes[&uri("./A/Node")].0, Format::Node);
    assert_eq!(world.tree.nodes[&uri("./A/I")].0, Format::Int);
    assert_eq!(world.tree.nodes[&uri("./A/T")].0, Format::Chr);
}

fn typed_item(target: &str, data: &str) -> Item {
    Item { target: Some(Location::new(target)), data: Some(data.as_bytes().to_vec()), ..Item::default() }
}

#[test]
fn a_parent_that_cannot_be_made_is_named() {
    assert_eq!(code(add("./No/Such/Node", "v")), "Add 404 [./No/Such]");
}

#[test]
fn exec_answers_what_the_tree_says() {
    let mut world = World::started(Encoding::Xml);
    world.tree.exec = Some(Executed { code: Code::ACCEPTED, items: Vec::new() });
    let asked = Request { correlator: Some("corr42".to_owned()), ..exec("./A/B", "argument") };
    let too_long = Request { correlator: Some("c".repeat(CORRELATOR_BYTES_MAX + 1)), ..exec("./A/B", "") };
    world.serve(vec![asked, exec("./A/C", ""), too_long]);
    assert_eq!(world.answers(), ["Exec 202", "Exec 202", "Exec 413"]);
    let with = Execution { correlator: Some("corr42".to_owned()), argument: Some(b"argument".to_vec()) };
    let without = Execution { correlator: None, argument: None };
    assert_eq!(world.tree.executed, [("./A/B".to_owned(), with), ("./A/C".to_owned(), without)]);
    // A result at once, in the manner of SCOMO.
    let made = Item {
        target: Some(Location::new("./SCM/Inventory/Deployed/C1")),
        source: Some(Location::new("./A/B")),
        ..Item::default()
    };
    world.tree.exec = Some(Executed { code: Code(1200), items: vec![made] });
    world.serve(vec![exec("./A/B", "")]);
    assert_eq!(world.answers(), ["Exec 1200 [./SCM/Inventory/Deployed/C1./A/B]"]);
}

fn with_object_limit(world: &World, size: u64) -> Header {
    Header { meta: Meta { max_obj_size: Some(size), ..Meta::default() }, ..world.reply().header }
}

#[test]
fn objects_larger_than_the_server_takes_are_not_sent() {
    let mut world = World::started(Encoding::Xml);
    world.tree.put("./A/Big", Format::Chr, &[b'x'; 101]);
    world.tree.put("./A/Fits", Format::Chr, &[b'x'; 100]);
    let requests = vec![get("./A/Big"), get("./A/Fits")];
    world.send(&Reply { header: with_object_limit(&world, 100), requests, ..world.reply() });
    assert_eq!(world.answers()[..2], ["Get 413", "Get 200"]);
    // The limit stays until there is another.
    world.serve(vec![get("./A/Big")]);
    assert_eq!(world.answers(), ["Get 413"]);
    world.send(&Reply {
        header: with_object_limit(&world, 101),
        requests: vec![get("./A/Big")],
        ..world.reply()
    });
    assert_eq!(world.answers()[0], "Get 200");
}

fn tnds(encoding: Encoding, names: &[&str]) -> Vec<u8> {
    let leaf = |name: &&str| TndsNode {
        name: (*name).to_owned(),
        format: Some(Format::Bin),
        value: Some(vec![0, 0xFF]),
        ..TndsNode::default()
    };
    let children = names.iter().map(leaf).collect();
    let node = TndsNode { format: Some(Format::Node), children, ..TndsNode::default() };
    encode_tnds(&Tnds { nodes: vec![node], ..Tnds::default() }, encoding)
}

#[test]
fn trees_are_added_replaced_and_read() {
    for encoding in BOTH {
        let mut world = World::started(encoding);
        let format = if encoding == Encoding::Xml { "xml" } else { "bin" };
        let bring = |verb, data: Vec<u8>| {
            let item = Item { data: Some(data), ..typed_item("./New", "") };
            typed(Request { items: vec![item], ..Request::new(verb) }, format, encoding.tnds_type())
        };
        world.serve(vec![bring(Verb::Add, tnds(encoding, &["a", "b"])), get("./New?list=TNDS+Format+Value")]);
        assert_eq!(world.answers()[..2], ["Add 200", "Get 200"]);
        let scomo_syncml::message::Command::Results(results) = &world.body().commands[3] else { panic!() };
        let meta = results.items[0].meta.as_deref().unwrap();
        assert_eq!(meta.mime.as_deref(), Some(encoding.tnds_type()));
        let back = decode_tnds(results.items[0].data.as_deref().unwrap()).unwrap();
        assert_eq!(back.nodes[0].children[1].value, Some(vec![0, 0xFF]));
        world.serve(vec![
            bring(Verb::Add, tnds(encoding, &["a"])),
            bring(Verb::Replace, tnds(encoding, &["b", "c"])),
            bring(Verb::Replace, b"<MgmtTree>".to_vec()),
            typed(replace("./New", ""), format, encoding.tnds_type()),
        ]);
        assert_eq!(world.answers(), ["Add 418", "Replace 200", "Replace 400", "Replace 412"]);
        assert!(
            world.tree.nodes.contains_key(&uri("./New/c")) && !world.tree.nodes.contains_key(&uri("./New/a"))
        );
    }
}

#[test]
fn a_server_cannot_fill_the_memory_with_what_it_asks_for() {
    let mut world = World::unchecked(Encoding::Xml);
    world.tree.put("./A/Big", Format::Chr, &vec![b'x'; 1 << 20]);
    world.serve((0..20).map(|_| get("./A/Big")).collect());
    let mut answers = Vec::new();
    for _ in 0..8 {
        answers.extend(world.answers().into_iter().filter(|said| said.starts_with("Get")));
        // It asks for more while it has not taken what it asked for.
        world.serve_more(vec![get("./A/Big")]);
    }
    // The first of the twenty is still under way, and all that fit wait behind it.
    assert_eq!(answers[0], "Get 200");
    assert!(answers[1..].iter().all(|said| said == "Get 413"), "{answers:?}");
}

#[test]
fn a_server_that_asks_and_never_takes_is_left() {
    let mut world = World::unchecked(Encoding::Wbxml);
    let meta = Meta { max_msg_size: Some(1000), ..Meta::default() };
    let header = Header { meta, ..world.reply().header };
    let requests: Vec<Request> = (0..400).map(|_| delete("./No")).collect();
    world.send(&Reply { header, requests: requests.clone(), ..world.reply() });
    while world.done.is_none() {
        assert!(world.messages < 199);
        world.serve_more(requests.clone());
    }
    assert_eq!(world.error(), "Flooded");
}
