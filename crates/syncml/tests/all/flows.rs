//! Whole sessions: packages, several messages, ends of every kind, loss, duplicates, hostile headers.

use std::time::Duration;

use scomo_syncml::limits::MESSAGE_OVERSHOOT;
use scomo_syncml::message::{Command, Header, Meta, Request, Verb};
use scomo_syncml::{Code, Encoding, Event, Input};

use crate::world::{BOTH, Reply, SERVER, World, add, alert, config, get, report, request};

fn started() -> World {
    World::started(Encoding::Xml)
}

#[test]
fn a_session_goes_through_its_packages() {
    for encoding in BOTH {
        let mut world = World::started(encoding);
        assert_eq!(world.said(), ["Alert 1201", "Replace", "Final"]);
        let header = &world.body().header;
        assert_eq!((header.session_id.as_str(), header.msg_id.as_str()), ("A1", "1"));
        assert_eq!((header.meta.max_msg_size, header.meta.max_obj_size), (Some(16_384), Some(100_000)));
        world.serve(vec![get("./A/B"), get("./A")]);
        let expected =
            ["SyncHdr 200", "Get 200", "Results ./A/B=b", "Get 200", "Results ./A:node=B/C/Long", "Final"];
        assert_eq!(world.said(), expected);
        world.serve(vec![add("./A/N", "new")]);
        assert_eq!(world.said(), ["SyncHdr 200", "Add 200", "Final"]);
        assert_eq!(world.tree.text("./A/N"), Some("new"));
        world.end();
        assert_eq!(world.messages, 3);
    }
}

#[test]
fn a_notified_session_says_so() {
    let mut world = World::new(scomo_syncml::Config { server_initiated: true, ..config(Encoding::Xml) });
    world.input(Input::Start);
    assert_eq!(world.said()[0], "Alert 1200");
}

#[test]
fn a_session_without_commands_ends_after_package_2() {
    let mut world = started();
    world.end();
    assert_eq!((world.messages, world.session.deadline()), (1, None));
}

#[test]
fn statuses_name_message_command_and_node() {
    let mut world = started();
    world.serve(vec![get("./Missing"), request(Verb::Get, &[("./A/B", ""), ("./No", "")])]);
    assert_eq!(world.answers(), ["Get 404", "Get 200", "Get 404", "Results ./A/B=b"]);
    let statuses: Vec<_> = world
        .body()
        .commands
        .iter()
        .filter_map(|command| match command {
            Command::Status(status) => {
                Some((status.msg_ref.clone().unwrap(), status.cmd_ref.clone(), status.target_refs.clone()))
            }
            _ => None,
        })
        .collect();
    let of = |id: &str, target: &str| ("1".to_owned(), id.to_owned(), vec![target.to_owned()]);
    assert_eq!(
        statuses,
        [of("0", "urn:test:dev1"), of("101", "./Missing"), of("102", "./A/B"), of("102", "./No")]
    );
    // When all items went the same way one status names none.
    world.serve(vec![request(Verb::Get, &[("./A/B", ""), ("./A/C", "")])]);
    assert_eq!(world.answers(), ["Get 200", "Results ./A/B=b, ./A/C=c"]);
}

#[test]
fn a_package_of_the_server_may_have_several_messages() {
    let mut world = started();
    world.serve_more(vec![add("./A/N", "1")]);
    assert_eq!(world.said(), ["SyncHdr 200", "Add 200", "Alert 1222"]);
    world.serve_more(vec![]);
    assert_eq!(world.said(), ["SyncHdr 200", "Alert 1222"]);
    world.serve(vec![alert(1222, &[])]);
    assert_eq!(world.said(), ["SyncHdr 200", "Alert 200", "Final"]);
    world.end();
}

#[test]
fn the_rest_of_the_session_goes_where_the_server_says() {
    let mut world = started();
    assert_eq!(world.sent.as_ref().unwrap().0.uri, SERVER);
    let mut reply = Reply { requests: vec![get("./A/B")], ..world.reply() };
    reply.header.resp_uri = Some(format!("{SERVER}?sid=s1&x"));
    world.send(&reply);
    assert_eq!(world.sent.as_ref().unwrap().0.uri, format!("{SERVER}?sid=s1&x"));
    world.serve(vec![get("./A/B")]);
    assert_eq!(world.body().header.target.uri, format!("{SERVER}?sid=s1&x"));
    let mut long = world.reply();
    long.header.resp_uri = Some("h".repeat(3000));
    world.send(&long);
    assert!(world.error().contains("Header(Code(414))"), "{}", world.error());
}

/// The server takes messages of this size only.
fn with_limit(world: &World, size: u64) -> Header {
    Header { meta: Meta { max_msg_size: Some(size), ..Meta::default() }, ..world.reply().header }
}

#[test]
fn long_answers_are_spread_over_messages_that_the_server_can_take() {
    for encoding in BOTH {
        let mut world = World::started(encoding);
        for number in 0..60 {
            let name = format!("./A/N{number:02}");
            world.tree.put(&name, scomo_syncml::message::Format::Chr, &[b'v'; 40]);
        }
        let mut requests: Vec<Request> = vec![get("./A?list=StructData")];
        requests.extend((0..20).map(|_| get("./A/Missing")));
        world.send(&Reply { header: with_limit(&world, 1500), requests, ..world.reply() });
        let (mut items, mut missing, mut messages) = (0, 0, 0);
        loop {
            assert!(world.bytes() <= 1500, "{}", world.bytes());
            let said = world.said();
            messages += 1;
            items += said.iter().map(|text| text.matches("=vvv").count()).sum::<usize>();
            missing += said.iter().filter(|text| *text == "Get 404").count();
            assert_eq!(said[0], "SyncHdr 200");
            if world.body().last {
                break;
            }
            assert_eq!(said.last().map(String::as_str), Some("Alert 1222"));
            world.serve_more(vec![alert(1222, &[])]);
        }
        assert_eq!((items, missing), (60, 20));
        assert!(messages > 3, "{messages} messages");
    }
}

#[test]
fn a_server_that_takes_too_small_messages_is_left() {
    let mut world = started();
    world.send(&Reply { header: with_limit(&world, 999), ..world.reply() });
    assert_eq!(world.error(), "PeerTooSmall");
}

#[test]
fn a_little_more_than_announced_is_taken_and_much_more_is_not() {
    let padded = |bytes: usize| {
        let mut world = started();
        let mut body = world.encode(&world.reply());
        body.resize(bytes, b' ');
        world.input(Input::Message { body: &body, hmac: None });
        world
    };
    assert!(matches!(padded(16_384 + MESSAGE_OVERSHOOT).done, Some(Ok(()))));
    assert_eq!(padded(16_384 + MESSAGE_OVERSHOOT + 1).error(), "TooLarge");
}

#[test]
fn an_abort_of_the_server_ends_the_session_without_an_answer() {
    let mut world = started();
    world.serve(vec![add("./A/N", "1"), alert(1223, &[])]);
    assert_eq!((world.error().as_str(), world.messages), ("AbortedByServer", 1));
    assert_eq!(world.tree.text("./A/N"), None);
}

#[test]
fn our_abort_tells_what_was_done_and_that_no_more_is() {
    let mut world = started();
    world.input(Input::Abort);
    assert!(world.done.is_none());
    world.serve(vec![add("./A/N", "1")]);
    assert_eq!(world.said(), ["SyncHdr 200", "Add 215", "Alert 1223", "Final"]);
    assert_eq!((world.error().as_str(), world.tree.text("./A/N")), ("Aborted", None));

    let mut world = started();
    world.serve(vec![add("./A/N", "1"), alert(1101, &["", "Go on?"]), add("./A/M", "2")]);
    world.input(Input::Abort);
    assert_eq!(world.said(), ["SyncHdr 200", "Add 200", "Alert 214", "Add 215", "Alert 1223", "Final"]);
    assert_eq!(world.error(), "Aborted");

    let mut fresh = World::new(config(Encoding::Xml));
    fresh.input(Input::Abort);
    assert_eq!((fresh.error().as_str(), fresh.messages), ("Aborted", 0));
}

#[test]
fn silence_ends_the_session_at_its_deadline() {
    let mut world = started();
    let deadline = world.session.deadline().unwrap();
    assert_eq!(deadline, world.now + Duration::from_secs(30));
    world.now = deadline - Duration::from_millis(1);
    world.input(Input::Time);
    assert!(world.done.is_none() && world.session.is_waiting());
    world.now = deadline;
    world.input(Input::Time);
    assert_eq!(world.error(), "TimedOut");
}

#[test]
fn a_lost_connection_ends_the_session_at_every_message() {
    for lost_at in 1..4 {
        let mut world = started();
        for message in 1..4 {
            if message == lost_at {
                world.input(Input::Lost);
                break;
            }
            world.serve(vec![get("./A/B")]);
        }
        assert_eq!((world.error().as_str(), world.messages), ("Lost", lost_at));
    }
}

#[test]
fn duplicates_and_old_messages_are_not_carried_out_again() {
    let mut world = started();
    let first = Reply { requests: vec![add("./A/N", "1")], ..world.reply() };
    let bytes = world.encode(&first);
    world.send(&first);
    world.tree.nodes.remove(&crate::tree::uri("./A/N"));
    world.input(Input::Message { body: &bytes, hmac: None });
    assert_eq!(world.events, [Event::MessageIgnored]);
    assert_eq!((world.tree.text("./A/N"), world.messages), (None, 2));
    // A new number, but about an older message of ours.
    let mut late = Reply { requests: vec![add("./A/N", "1")], ..world.reply() };
    late.header.msg_id = "9".to_owned();
    let late = String::from_utf8(world.encode(&late)).unwrap().replacen("<MsgRef>2<", "<MsgRef>1<", 1);
    world.input(Input::Message { body: late.as_bytes(), hmac: None });
    assert_eq!(world.events.len(), 2);
    assert!(world.session.is_waiting() && world.tree.text("./A/N").is_none());
    // The right answer still counts.
    world.end();
}

#[test]
fn a_message_that_nobody_waits_for_does_nothing() {
    let mut world = started();
    world.serve(vec![alert(1101, &["", "Sure?"])]);
    let unasked = world.encode(&Reply { requests: vec![add("./A/N", "1")], ..world.reply() });
    world.input(Input::Message { body: &unasked, hmac: None });
    assert_eq!((world.tree.text("./A/N"), world.asked.len()), (None, 1));
    world.input(Input::Start);
    assert!(world.done.is_none());
}

#[test]
fn headers_that_are_not_for_us_are_refused() {
    type Change = fn(&mut Header);
    let cases: [(Change, u16); 6] = [
        (|header| header.ver_dtd = "1.1".to_owned(), 505),
        (|header| header.ver_proto = "DM/1.1".to_owned(), 513),
        (|header| header.session_id = "A2".to_owned(), 400),
        (|header| header.session_id = String::new(), 400),
        (|header| header.msg_id = String::new(), 400),
        (|header| header.target.uri = "urn:test:dev2".to_owned(), 404),
    ];
    for (change, code) in cases {
        let mut world = started();
        let mut reply = Reply { requests: vec![add("./A/N", "1")], ..world.reply() };
        change(&mut reply.header);
        world.send(&reply);
        assert_eq!(world.said(), [format!("SyncHdr {code}"), "Alert 1223".to_owned(), "Final".to_owned()]);
        assert_eq!(world.error(), format!("Header(Code({code}))"));
        assert_eq!(world.tree.text("./A/N"), None);
    }
}

#[test]
fn a_command_without_a_number_cannot_be_answered() {
    let mut world = started();
    let reply = Reply { requests: vec![add("./A/N", "1")], ..world.reply() };
    let bytes = String::from_utf8(world.encode(&reply)).unwrap().replace("<CmdID>101</CmdID>", "");
    world.input(Input::Message { body: bytes.as_bytes(), hmac: None });
    assert_eq!((world.error().as_str(), world.tree.text("./A/N")), ("Header(Code(400))", None));
}

#[test]
fn what_cannot_be_read_ends_the_session() {
    for body in ["", "<html/>", "<SyncML><SyncHdr/>"] {
        let mut world = started();
        world.input(Input::Message { body: body.as_bytes(), hmac: None });
        assert!(world.error().starts_with("Unreadable"), "{}", world.error());
    }
}

#[test]
fn a_header_that_the_server_refuses_ends_the_session() {
    for code in [400, 403, 404, 503, 513, 407, 401] {
        let mut world = started();
        world.send(&Reply { code: Code(code), requests: vec![add("./A/N", "1")], ..world.reply() });
        assert_eq!(world.error(), format!("Refused(Code({code}))"));
        assert_eq!(world.tree.text("./A/N"), None);
    }
}

#[test]
fn a_server_cannot_keep_a_device_for_ever() {
    let mut world = started();
    while world.done.is_none() {
        world.serve(vec![get("./A/B")]);
    }
    assert_eq!((world.error().as_str(), world.messages), ("TooManyMessages(200)", 200));
}

#[test]
fn unknown_commands_and_alerts_are_told_apart_from_known_ones() {
    let mut world = started();
    let put = Request::new(Verb::Other("Put".to_owned()));
    world.serve(vec![put, alert(1999, &[]), alert(1105, &[]), Request::new(Verb::Alert), add("./A/N", "1")]);
    assert_eq!(world.answers(), ["Put 406", "Alert 406", "Alert 406", "Alert 412", "Add 200"]);
}

#[test]
fn a_report_rides_in_the_first_message_and_is_confirmed() {
    for (code, event) in [
        (200, Some(Event::AlertAccepted(7))),
        (202, Some(Event::AlertAccepted(7))),
        (213, None),
        (415, Some(Event::AlertRefused(7, Code(415)))),
    ] {
        let mut world = World::new(config(Encoding::Xml));
        world.session.report(report(7, "<ResultCode>1200</ResultCode>")).unwrap();
        world.input(Input::Start);
        assert_eq!(world.said()[2], "Alert 1226 [./SCM/X:xml=<ResultCode>1200</ResultCode>]");
        let Command::Request(request) = &world.body().commands[2] else { panic!() };
        assert_eq!(request.correlator.as_deref(), Some("c7"));
        // Alert 1201 gets the code, too; that must not confuse anybody.
        world.send(&Reply { codes: vec![("Alert".to_owned(), Code(code))], ..world.reply() });
        assert_eq!(world.events, Vec::from_iter(event));
        assert!(matches!(world.done, Some(Ok(()))));
    }
}

#[test]
fn a_report_without_a_status_is_not_confirmed() {
    let mut world = World::new(config(Encoding::Xml));
    world.session.report(report(7, "x")).unwrap();
    world.input(Input::Start);
    let bytes = String::from_utf8(world.encode(&world.reply())).unwrap();
    let start = bytes.rfind("<Status>").unwrap();
    let without = format!("{}<Final/></SyncBody></SyncML>", &bytes[..start]);
    world.input(Input::Message { body: without.as_bytes(), hmac: None });
    assert!(world.events.is_empty() && matches!(world.done, Some(Ok(()))));
}

#[test]
fn a_report_during_the_session_goes_with_the_next_message() {
    let mut world = started();
    world.session.report(report(1, "x")).unwrap();
    world.serve(vec![]);
    assert_eq!(world.said(), ["SyncHdr 200", "Alert 1226 [./SCM/X:xml=x]", "Final"]);
    world.end();
    assert_eq!(world.events, [Event::AlertAccepted(1)]);
    assert!(world.session.report(scomo_syncml::Alert { items: vec![binary()], ..report(2, "") }).is_err());
}

fn binary() -> scomo_syncml::message::Item {
    scomo_syncml::message::Item { data: Some(vec![0]), ..Default::default() }
}

#[test]
fn reports_that_do_not_fit_together_go_in_several_messages() {
    let mut world = started();
    for token in 0..4 {
        world.session.report(report(token, &"r".repeat(400))).unwrap();
    }
    world.send(&Reply { header: with_limit(&world, 1500), ..world.reply() });
    let mut sent = 0;
    loop {
        sent += world.said().iter().filter(|text| text.starts_with("Alert 1226")).count();
        assert!(world.bytes() <= 1500);
        if world.body().last {
            break;
        }
        world.serve_more(vec![alert(1222, &[])]);
    }
    assert_eq!(sent, 4);
    world.end();
    let accepted: Vec<Event> = (0..4).map(Event::AlertAccepted).collect();
    assert_eq!(world.events, accepted);
}

#[test]
fn a_report_of_several_items_that_fits_no_message_is_handed_back() {
    let mut world = started();
    let mut long = report(3, &"r".repeat(700));
    long.items.push(long.items[0].clone());
    world.session.report(long).unwrap();
    world.send(&Reply { header: with_limit(&world, 1500), requests: vec![get("./A/B")], ..world.reply() });
    assert_eq!(world.answers(), ["Get 200", "Results ./A/B=b"]);
    assert_eq!(world.events, [Event::AlertRefused(3, Code(413))]);
}

#[test]
fn refused_device_information_is_told() {
    let mut world = started();
    world.send(&Reply { codes: vec![("Replace".to_owned(), Code(500))], ..world.reply() });
    assert_eq!(world.events, [Event::CommandRefused("Replace".to_owned(), Code(500))]);
}

#[test]
fn a_report_of_which_one_item_is_refused_is_refused() {
    let mut world = World::new(config(Encoding::Xml));
    world.session.report(report(7, "x")).unwrap();
    world.input(Input::Start);
    let bytes = String::from_utf8(world.encode(&world.reply())).unwrap();
    let second = "<Status><CmdID>9</CmdID><MsgRef>1</MsgRef><CmdRef>3</CmdRef><Cmd>Alert</Cmd><Data>415</Data></Status>";
    let bytes = bytes.replace("<Final/>", &format!("{second}<Final/>"));
    world.input(Input::Message { body: bytes.as_bytes(), hmac: None });
    assert_eq!(world.events, [Event::AlertRefused(7, Code(415))]);
}

#[test]
fn a_report_larger_than_the_server_takes_is_handed_back() {
    let mut world = started();
    world.session.report(report(3, &"r".repeat(101))).unwrap();
    world.session.report(report(4, &"r".repeat(100))).unwrap();
    let meta = Meta { max_obj_size: Some(100), ..Meta::default() };
    world.send(&Reply { header: Header { meta, ..world.reply().header }, ..world.reply() });
    assert_eq!(world.answers().len(), 1);
    world.end();
    assert_eq!(world.events, [Event::AlertRefused(3, Code(413)), Event::AlertAccepted(4)]);
}

#[test]
fn servers_that_count_oddly_or_say_little_are_understood() {
    // The same number again, but clearly the answer to our newest message.
    let mut world = started();
    world.serve(vec![get("./A/B")]);
    world.message = 0;
    world.serve(vec![add("./A/N", "1")]);
    assert_eq!((world.answers(), world.events.len()), (vec!["Add 200".to_owned()], 0));
    // No status for our header: then only the number tells.
    let silent = |world: &World, id: &str, name: &str| {
        let header = Header { msg_id: id.to_owned(), ..world.reply().header };
        let request = Request { id: "7".to_owned(), ..add(name, "1") };
        let message =
            scomo_syncml::message::Message { header, commands: vec![Command::Request(request)], last: true };
        scomo_syncml::encode(&message, Encoding::Xml).unwrap()
    };
    let mut world = started();
    for (id, name, sent) in
        [("1", "./A/N", 2), ("1", "./A/M", 2), ("2", "./A/O", 3), ("x", "./A/P", 4), ("x", "./A/Q", 4)]
    {
        let body = silent(&world, id, name);
        world.input(Input::Message { body: &body, hmac: None });
        assert_eq!(world.messages, sent, "{name}");
    }
    assert_eq!(world.events, [Event::MessageIgnored, Event::MessageIgnored]);
    assert!(world.tree.text("./A/M").is_none() && world.tree.text("./A/Q").is_none());
}

#[test]
fn a_report_that_a_server_took_before_it_aborts_is_confirmed() {
    let mut world = World::new(config(Encoding::Xml));
    world.session.report(report(7, "x")).unwrap();
    world.input(Input::Start);
    world.serve(vec![alert(1223, &[])]);
    let events = std::mem::take(&mut world.events);
    assert_eq!((world.error().as_str(), events), ("AbortedByServer", vec![Event::AlertAccepted(7)]));
}

#[test]
fn a_device_without_information_sends_no_empty_command() {
    let mut world = World::new(scomo_syncml::Config { device_info: Vec::new(), ..config(Encoding::Xml) });
    world.input(Input::Start);
    assert_eq!(world.said(), ["Alert 1201", "Final"]);
}
