//! Datagrams as independent servers and clients have sent them, byte by byte.

use scomo_lwm2m_proto::path::Path;
use scomo_lwm2m_proto::{Config, Input};

use crate::tree::{Tree, int, text};
use crate::world::World;

/// Bytes from hexadecimal digits and quoted text.
fn bytes(text: &str) -> Vec<u8> {
    let mut all = Vec::new();
    for (number, part) in text.split('"').enumerate() {
        if number % 2 == 1 {
            all.extend(part.as_bytes());
            continue;
        }
        let digits: Vec<u8> = part.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        all.extend(pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()));
    }
    all
}

/// What the client answers to a datagram.
fn answer(world: &mut World, request: &str) -> Vec<u8> {
    world.receive_bytes(1, &bytes(request));
    world.take_one(1).to_bytes_unlimited().unwrap()
}

#[test]
fn what_a_server_asks_is_answered_to_the_byte() {
    let mut world = World::registered();
    world.tree.set(Path::resource(3, 0, 9), int(100));
    for (request, expected) in [
        // Read with SenML JSON, and with TLV.
        (r#"44 01 0001 00000001 | B1 "3" 01 "0" 01 "9" | 61 6E"#, "64 45 0001 00000001 | C1 6E FF 5B7B"),
        (
            r#"44 01 0002 00000002 | B1 "3" 01 "0" 01 "9" | 62 2D16"#,
            "64 45 0002 00000002 | C2 2D16 FF C10964",
        ),
        // Execute without a content format, and with the number 0 in a needless byte.
        (r#"44 02 0003 00000003 | B1 "3" 01 "0" 01 "4""#, "64 44 0003 00000003"),
        (r#"44 02 0004 00000004 | B1 "3" 01 "0" 01 "4" | 11 00"#, "64 44 0004 00000004"),
        // Write-Attributes.
        (r#"44 03 0005 00000005 | B1 "3" 01 "0" 01 "9" | 46 "pmin=1" 06 "pmax=5""#, "64 44 0005 00000005"),
        // Observe.
        (
            r#"44 01 0006 00000006 | 60 | 51 "3" 01 "0" 01 "9""#,
            r#"64 45 0006 00000006 | 61 01 | 60 FF "100""#,
        ),
    ] {
        let found = answer(&mut world, request);
        let expected = bytes(expected);
        assert!(found.starts_with(&expected), "{request}: {found:02x?}");
    }
    assert_eq!(world.tree.executed.len(), 2);
    world.change(Path::resource(3, 0, 9), int(99));
    world.pass(1_000);
    let told = world.take_one(1).to_bytes_unlimited().unwrap();
    assert_eq!(told[..2], bytes("54 45"), "a notification without confirmation");
    assert_eq!(told[4..], bytes(r#"00000006 | 61 02 | 60 FF "99""#));
}

#[test]
fn an_empty_package_is_read_as_an_independent_client_writes_it() {
    let mut world = World::registered();
    let empty = [(0, text("")), (1, text("")), (7, int(0)), (9, int(0))];
    world.tree.instances.insert(Path::instance(9, 0), empty.into());
    let found = answer(&mut world, r#"44 01 0001 00000001 | B1 "9" 01 "0" | 62 2D16"#);
    assert_eq!(found, bytes("64 45 0001 00000001 | C2 2D16 FF C000 C10700 C10900"));
}

#[test]
fn the_requests_of_the_client_have_the_expected_bytes() {
    let mut tree = Tree::new().server(1);
    tree.instances.retain(|path, _| path.object_id() != Some(9) && path.object_id() != Some(3));
    let mut world = World::new(tree);
    world.input(Input::Tick);
    let register = world.take_one(1).to_bytes_unlimited().unwrap();
    assert_eq!(register[..2], bytes("48 02"));
    let expected = r#"B2 "rd" | 11 28 | 39 "lwm2m=1.1" 07 "ep=test" 06 "lt=300" | FF"#;
    assert!(register[12..].starts_with(&bytes(expected)), "{register:02x?}");

    let mut world = World::with(Tree::new().bootstrap_server(), Config::new("testlwm2mclient"));
    world.input(Input::Tick);
    world.pass(5_000);
    let request = world.take_one(0).to_bytes_unlimited().unwrap();
    assert_eq!(request[12..], bytes(r#"B2 "bs" | 4D 05 "ep=testlwm2mclient" | 07 "pct=112""#));
}
