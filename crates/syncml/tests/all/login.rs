//! Who is who: every scheme, good and wrong, challenged and not, both ways, and which nonces are to be stored.

use scomo_syncml::auth::{Credentials, HmacHeader, Scheme};
use scomo_syncml::message::{Command, Meta, Status};
use scomo_syncml::{ClientLogin, Code, Config, Encoding, Event, Input, ServerLogin};

use crate::world::{Reply, World, add, chal, config, get, report};

/// Base64 of a nonce.
const NONCE_1: &str = "bm9uY2UtMQ==";
const NONCE_2: &str = "bm9uY2UtMg==";
const BASIC: &str = "syncml:auth-basic";
const MD5: &str = "syncml:auth-md5";
const MAC: &str = "syncml:auth-MAC";

fn device() -> Credentials {
    Credentials::new("dev1", "secret1")
}

fn server() -> Credentials {
    Credentials::new("srv1", "srvsecret")
}

fn with_client(schemes: &[Scheme], nonce: Option<&[u8]>) -> Config {
    let client =
        ClientLogin { credentials: device(), schemes: schemes.to_vec(), nonce: nonce.map(<[u8]>::to_vec) };
    Config { client: Some(client), ..config(Encoding::Xml) }
}

fn with_server(scheme: Scheme, nonce: Option<&[u8]>) -> Config {
    let login = ServerLogin { credentials: server(), scheme, nonce: nonce.map(<[u8]>::to_vec) };
    Config { server: Some(login), ..config(Encoding::Xml) }
}

fn started(config: Config) -> World {
    let mut world = World::new(config);
    world.input(Input::Start);
    world
}

/// The `Cred` of the client's last message.
fn cred(world: &World) -> Option<String> {
    world.body().header.cred.as_ref().map(|cred| cred.data.clone())
}

fn challenge(world: &World, code: u16, kind: &str, nonce: &str) -> Reply {
    let codes = ["Alert", "Replace"].map(|name| (name.to_owned(), Code(code)));
    Reply { code: Code(code), chal: chal(kind, nonce), codes: codes.to_vec(), ..world.reply() }
}

/// What the client says about the server's header, with its challenge.
fn header_status(world: &World) -> (u16, Option<Meta>) {
    let Command::Status(Status { cmd, code, chal, .. }) = &world.body().commands[0] else { panic!() };
    assert_eq!(cmd, "SyncHdr");
    (code.0, chal.clone())
}

fn nonce_in(chal: Option<Meta>) -> Vec<u8> {
    let text = chal.and_then(|chal| chal.next_nonce).expect("a nonce");
    base64::Engine::decode(&base64::prelude::BASE64_STANDARD, text).unwrap()
}

#[test]
fn basic_is_sent_at_once_and_no_more_when_it_is_accepted_for_the_session() {
    let mut world = started(with_client(&[Scheme::Basic], None));
    assert_eq!(cred(&world), device().cred_data(Scheme::Basic, b""));
    assert_eq!(world.body().header.source.name.as_deref(), Some("dev1"));
    world.send(&Reply { code: Code(212), requests: vec![get("./A/B")], ..world.reply() });
    assert_eq!(cred(&world), None);
    world.end();
    assert!(world.events.is_empty());
}

#[test]
fn credentials_that_are_good_for_one_message_are_sent_with_each() {
    let mut world = started(with_client(&[Scheme::Md5], Some(b"stored")));
    assert_eq!(cred(&world), device().cred_data(Scheme::Md5, b"stored"));
    let reply = Reply { chal: chal(MD5, NONCE_1), requests: vec![get("./A/B")], ..world.reply() };
    world.send(&reply);
    assert_eq!(cred(&world), device().cred_data(Scheme::Md5, b"nonce-1"));
    assert_eq!(world.events, [Event::ClientNonce(b"nonce-1".to_vec())]);
    // Without a new nonce the old one stays.
    world.serve(vec![get("./A/B")]);
    assert_eq!(cred(&world), device().cred_data(Scheme::Md5, b"nonce-1"));
    world.end();
}

#[test]
fn a_challenge_is_answered_with_the_same_message_and_credentials() {
    let mut world = World::new(with_client(&[Scheme::Md5, Scheme::Basic], None));
    world.session.report(report(5, "x")).unwrap();
    world.input(Input::Start);
    assert_eq!(cred(&world), None);
    let mut refusal = challenge(&world, 407, MD5, NONCE_1);
    refusal.header.resp_uri = Some("https://dm.example/dm?sid=1".to_owned());
    world.send(&refusal);
    assert_eq!(world.said(), ["SyncHdr 200", "Alert 1201", "Replace", "Alert 1226 [./SCM/X:xml=x]", "Final"]);
    assert_eq!(cred(&world), device().cred_data(Scheme::Md5, b"nonce-1"));
    assert_eq!(world.sent.as_ref().unwrap().0.uri, "https://dm.example/dm?sid=1");
    assert_eq!(world.body().header.session_id, "A1");
    // The refused report was not confirmed by the refusal.
    assert_eq!(world.events, [Event::ClientNonce(b"nonce-1".to_vec())]);
    world.send(&Reply { code: Code(212), chal: chal(MD5, NONCE_2), ..world.reply() });
    assert_eq!(world.events[1..], [Event::ClientNonce(b"nonce-2".to_vec()), Event::AlertAccepted(5)]);
    assert!(matches!(world.done, Some(Ok(()))));
}

#[test]
fn a_stale_nonce_is_replaced_and_a_wrong_secret_is_given_up() {
    let mut world = started(with_client(&[Scheme::Md5], Some(b"stale")));
    world.send(&challenge(&world, 401, MD5, NONCE_1));
    assert_eq!(cred(&world), device().cred_data(Scheme::Md5, b"nonce-1"));
    world.send(&challenge(&world, 401, MD5, NONCE_2));
    assert_eq!(cred(&world), device().cred_data(Scheme::Md5, b"nonce-2"));
    world.send(&challenge(&world, 401, MD5, NONCE_1));
    assert_eq!((world.error().as_str(), world.messages), ("Refused(Code(401))", 3));
}

#[test]
fn basic_that_is_wrong_is_not_repeated() {
    let mut world = started(with_client(&[Scheme::Basic], None));
    world.send(&challenge(&world, 401, BASIC, ""));
    assert_eq!((world.error().as_str(), world.messages), ("Refused(Code(401))", 1));
}

#[test]
fn a_weaker_or_unknown_scheme_is_not_used() {
    // Not permitted at all.
    let mut world = started(with_client(&[Scheme::Md5], None));
    world.send(&challenge(&world, 407, BASIC, ""));
    assert_eq!(world.error(), "Challenge");
    let mut world = started(with_client(&[Scheme::Md5], None));
    world.send(&challenge(&world, 407, "syncml:auth-X509", ""));
    assert_eq!(world.error(), "Challenge");
    // Permitted, but credentials of another kind were sent already: wrong ones, or good ones long ago.
    let mut world = started(with_client(&[Scheme::Md5, Scheme::Basic], Some(b"n")));
    world.send(&Reply { code: Code(212), requests: vec![get("./A/B")], ..world.reply() });
    world.send(&challenge(&world, 407, BASIC, ""));
    assert_eq!(world.error(), "Challenge");
    let mut world = started(with_client(&[Scheme::Md5, Scheme::Basic], Some(b"n")));
    world.send(&challenge(&world, 401, BASIC, ""));
    assert_eq!(world.error(), "Challenge");
    let mut world = started(with_client(&[Scheme::Md5, Scheme::Basic], None));
    world.send(&challenge(&world, 407, MD5, NONCE_1));
    world.send(&challenge(&world, 407, BASIC, ""));
    assert_eq!(world.error(), "Challenge");
}

#[test]
fn a_challenge_in_the_middle_repeats_what_was_not_taken() {
    let mut world = started(with_client(&[Scheme::Md5], Some(b"n")));
    world.serve(vec![get("./A/B")]);
    let before = world.answers();
    world.send(&challenge(&world, 401, MD5, NONCE_1));
    assert_eq!(world.answers(), before);
    assert_eq!(cred(&world), device().cred_data(Scheme::Md5, b"nonce-1"));
    world.end();
}

/// The client's HMAC header must prove its last message with this nonce.
fn assert_proves(world: &World, nonce: &[u8]) {
    let outgoing = &world.sent.as_ref().unwrap().0;
    let header = HmacHeader::parse(outgoing.hmac.as_deref().expect("a header")).unwrap();
    assert!(device().accept_mac(&header, nonce, &outgoing.body));
    assert_eq!(cred(world), None);
    assert_eq!(world.body().header.source.name.as_deref(), Some(header.user.as_str()));
}

#[test]
fn every_message_with_hmac_has_a_nonce_of_its_own() {
    let mut world = started(with_client(&[Scheme::Mac], None));
    assert_eq!(world.sent.as_ref().unwrap().0.hmac, None);
    world.send(&challenge(&world, 407, MAC, NONCE_1));
    assert_proves(&world, b"nonce-1");
    world.send(&Reply { chal: chal(MAC, NONCE_2), requests: vec![get("./A/B")], ..world.reply() });
    assert_proves(&world, b"nonce-2");
    world.send(&Reply { chal: chal(MAC, NONCE_1), requests: vec![get("./A/B")], ..world.reply() });
    assert_proves(&world, b"nonce-1");
    // A server that forgets the nonce can not be answered.
    world.serve(vec![get("./A/B")]);
    assert_eq!(world.error(), "NoNonce");
    let stored: Vec<&Event> = world.events.iter().collect();
    let nonce = |nonce: &[u8]| Event::ClientNonce(nonce.to_vec());
    assert_eq!(stored, [&nonce(b"nonce-1"), &nonce(b"nonce-2"), &nonce(b"nonce-1")]);
}

#[test]
fn a_stored_nonce_proves_the_first_message_with_hmac() {
    let mut world = started(with_client(&[Scheme::Mac], Some(b"stored")));
    assert_proves(&world, b"stored");
    world.send(&Reply { chal: chal(MAC, NONCE_1), ..world.reply() });
    assert!(matches!(world.done, Some(Ok(()))));
    assert_eq!(world.events, [Event::ClientNonce(b"nonce-1".to_vec())]);
}

fn prove(reply: Reply, scheme: Scheme, nonce: &[u8]) -> Reply {
    let mut reply = reply;
    reply.header.cred = server().cred(scheme, nonce);
    reply
}

#[test]
fn a_server_that_proves_itself_is_served() {
    for (scheme, kind) in [(Scheme::Basic, None), (Scheme::Md5, Some(MD5))] {
        let mut world = started(with_server(scheme, Some(b"known")));
        let reply = prove(Reply { requests: vec![add("./A/N", "1")], ..world.reply() }, scheme, b"known");
        world.send(&reply);
        assert_eq!(world.answers(), ["Add 200"]);
        let (code, chal) = header_status(&world);
        assert_eq!((code, chal.as_ref().and_then(|chal| chal.mime.as_deref())), (212, kind));
        assert!(world.events.is_empty(), "the server does not have the new nonce yet");
        // Accepted for the session: no more credentials are needed, and no second nonce is given.
        world.serve(vec![add("./A/M", "1")]);
        assert_eq!((world.answers(), header_status(&world)), (vec!["Add 200".to_owned()], (212, None)));
        let expected: Vec<Event> = kind.map(|_| Event::ServerNonce(nonce_in(chal))).into_iter().collect();
        assert_eq!(world.events, expected);
        world.end();
    }
}

#[test]
fn a_server_that_does_not_prove_itself_is_challenged_and_nothing_is_carried_out() {
    for (wrong, code) in [(false, 407), (true, 401)] {
        let mut world = started(with_server(Scheme::Md5, Some(b"known")));
        let command = vec![add("./A/N", "1")];
        let mut reply = Reply { requests: command.clone(), ..world.reply() };
        if wrong {
            reply = prove(reply, Scheme::Md5, b"other");
        }
        world.send(&reply);
        assert_eq!(world.said(), [format!("SyncHdr {code}"), format!("Add {code}"), "Final".to_owned()]);
        assert_eq!(world.tree.text("./A/N"), None);
        let nonce = nonce_in(header_status(&world).1);
        let reply = prove(Reply { requests: command, ..world.reply() }, Scheme::Md5, &nonce);
        world.send(&reply);
        assert_eq!(world.answers(), ["Add 200"]);
        assert_eq!(world.events, [Event::ServerNonce(nonce.clone())]);
        let next = nonce_in(header_status(&world).1);
        assert_ne!(next, nonce, "a nonce is used once");
        world.end();
        assert_eq!(world.events[1..], [Event::ServerNonce(next)]);
    }
}

#[test]
fn a_server_that_never_proves_itself_is_left() {
    let mut world = started(with_server(Scheme::Md5, None));
    for _ in 0..2 {
        world.serve(vec![add("./A/N", "1")]);
        assert_eq!(world.said()[0], "SyncHdr 407");
    }
    world.serve(vec![add("./A/N", "1")]);
    assert_eq!((world.error().as_str(), world.messages), ("ServerNotAuthenticated", 3));
    // One that wants nothing is not challenged.
    let mut world = started(with_server(Scheme::Md5, None));
    world.serve(vec![]);
    assert_eq!((world.error().as_str(), world.messages), ("ServerNotAuthenticated", 1));
    assert_eq!(world.tree.text("./A/N"), None);
}

#[test]
fn a_server_that_is_not_proven_confirms_no_report() {
    let mut world = World::new(with_server(Scheme::Md5, Some(b"known")));
    world.session.report(report(5, "x")).unwrap();
    world.input(Input::Start);
    world.serve(vec![get("./A/B")]);
    assert!(world.events.is_empty());
}

#[test]
fn a_server_with_hmac_proves_every_message() {
    let mut world = started(with_server(Scheme::Mac, Some(b"known")));
    let mut nonce = b"known".to_vec();
    for _ in 0..3 {
        let mut reply = Reply { requests: vec![add("./A/B/x", "1")], ..world.reply() };
        let proof = HmacHeader { user: "srv1".to_owned(), mac: server().mac(&nonce, &world.encode(&reply)) };
        reply.hmac = Some(proof.to_string());
        world.send(&reply);
        let (code, chal) = header_status(&world);
        assert_eq!(code, 200);
        assert_eq!(world.answers(), ["Add 405"]);
        let next = nonce_in(chal);
        assert_ne!(next, nonce);
        nonce = next;
    }
    // The proof of an older message, and none.
    let mut replayed = Reply { requests: vec![add("./A/N", "1")], ..world.reply() };
    replayed.hmac = Some(
        HmacHeader { user: "srv1".to_owned(), mac: server().mac(b"known", &world.encode(&replayed)) }
            .to_string(),
    );
    world.send(&replayed);
    assert_eq!(world.said()[..2], ["SyncHdr 401", "Add 401"]);
    world.serve(vec![add("./A/N", "1")]);
    assert_eq!(world.said()[..2], ["SyncHdr 407", "Add 407"]);
    world.serve(vec![add("./A/N", "1")]);
    assert_eq!(world.error(), "ServerNotAuthenticated");
    assert_eq!(world.tree.text("./A/N"), None);
}

#[test]
fn without_a_nonce_of_ours_no_proof_counts() {
    let mut world = started(with_server(Scheme::Md5, None));
    let reply = prove(Reply { requests: vec![add("./A/N", "1")], ..world.reply() }, Scheme::Md5, b"");
    world.send(&reply);
    assert_eq!(world.said()[0], "SyncHdr 401");
    let mut world = started(with_server(Scheme::Mac, None));
    let mut reply = Reply { requests: vec![add("./A/N", "1")], ..world.reply() };
    reply.hmac = Some(
        HmacHeader { user: "srv1".to_owned(), mac: server().mac(b"", &world.encode(&reply)) }.to_string(),
    );
    world.send(&reply);
    assert_eq!(world.said()[0], "SyncHdr 401");
}

#[test]
fn both_sides_may_challenge_at_once() {
    let both = Config { server: with_server(Scheme::Md5, None).server, ..with_client(&[Scheme::Md5], None) };
    let mut world = started(both);
    // As some servers do: their credentials come with the challenge, made with a nonce that we do not know.
    let refusal = prove(challenge(&world, 407, MD5, NONCE_1), Scheme::Md5, b"theirs");
    world.send(&refusal);
    assert_eq!(world.said(), ["SyncHdr 401", "Alert 1201", "Replace", "Final"]);
    assert!(world.events.is_empty(), "a nonce of an unproven server is not stored");
    let nonce = nonce_in(header_status(&world).1);
    let reply = Reply { code: Code(212), requests: vec![add("./A/N", "1")], ..world.reply() };
    world.send(&prove(reply, Scheme::Md5, &nonce));
    assert_eq!(world.answers(), ["Add 200"]);
    assert_eq!(world.events, [Event::ClientNonce(b"nonce-1".to_vec()), Event::ServerNonce(nonce)]);
    world.end();
}

#[test]
fn a_challenge_that_does_not_end_its_package_is_answered_with_a_whole_one() {
    let mut world = started(with_client(&[Scheme::Md5], None));
    world.send(&Reply { last: false, ..challenge(&world, 407, MD5, NONCE_1) });
    assert_eq!(world.said(), ["SyncHdr 200", "Alert 1201", "Replace", "Final"]);
}

#[test]
fn a_challenge_between_the_pieces_of_an_object_repeats_the_piece() {
    let mut world = started(with_client(&[Scheme::Md5], Some(b"n")));
    let value: String = ('a'..='z').cycle().take(4000).collect();
    world.tree.put("./A/Big", scomo_syncml::message::Format::Chr, value.as_bytes());
    let mut reply = Reply { requests: vec![get("./A/Big")], ..world.reply() };
    reply.header.meta.max_msg_size = Some(2000);
    world.send(&reply);
    let mut joined = String::new();
    let mut challenges = 0;
    loop {
        let pieces = || {
            world.body().commands.iter().filter_map(|command| match command {
                Command::Results(results) => results.items[0].text(),
                _ => None,
            })
        };
        let piece: String = pieces().collect();
        if challenges < 8 && challenges % 2 == 0 {
            // Not taken: the same must come again.
            world.send(&Reply { last: false, ..challenge(&world, 401, MD5, NONCE_1) });
            let again = world.said().into_iter().find(|said| said.starts_with("Results")).unwrap();
            assert!(again.contains(&piece), "{again}");
            challenges += 1;
            continue;
        }
        challenges += 1;
        joined.push_str(&piece);
        if world.body().last {
            break;
        }
        world.serve_more(vec![]);
    }
    assert!(joined == value && challenges > 4);
}
