//! The long list: an inventory of many components, as a server asks for it every day.

use scomo_syncml::message::{Command, Format, Item, Meta};
use scomo_syncml::{Config, Encoding, Input, decode};

use crate::external;
use crate::world::{Reply, World, alert, config, get};

const COMPONENTS: usize = 200;

/// A device with that many components, each with what SCOMO wants to know of it.
fn device(encoding: Encoding, string_table: bool) -> World {
    let mut world = World::new(Config { string_table, ..config(encoding) });
    for number in 0..COMPONENTS {
        let root = format!("./SCM/Inventory/Deployed/component-{number}");
        let mut put = |name: &str, format, value: &str| {
            world.tree.put(&format!("{root}/{name}"), format, value.as_bytes());
        };
        put("ID", Format::Chr, &format!("component-{number}"));
        put("PkgIDRef", Format::Chr, &format!("package-{number}"));
        put("Name", Format::Chr, "A component");
        put("Version", Format::Chr, "1.2.3");
        put("State", Format::Int, "20");
        put("Status", Format::Int, "10");
        put("Operations/Activate", Format::Null, "");
        put("Operations/Remove", Format::Null, "");
    }
    world.input(Input::Start);
    world
}

/// Everything that the device lists, and how many bytes it takes for it.
fn list(world: &mut World) -> (Vec<Item>, usize) {
    let meta = Meta { max_msg_size: Some(16_384), ..Meta::default() };
    let mut reply = Reply { requests: vec![get("./SCM?list=StructData")], ..world.reply() };
    reply.header.meta = meta;
    world.send(&reply);
    let (mut items, mut bytes) = (Vec::new(), 0);
    loop {
        assert!(world.bytes() <= 16_384);
        bytes += world.bytes();
        if world.encoding == Encoding::Wbxml {
            let binary = &world.sent.as_ref().unwrap().0.body;
            let back = external::pipe("wbxml2xml", &["-m", "0", "-k", "-o", "-", "-"], binary);
            assert_eq!(decode(&back, Encoding::Xml).unwrap(), *world.body());
        }
        for command in &world.body().commands {
            if let Command::Results(results) = command {
                items.extend(results.items.iter().cloned());
            }
        }
        if world.body().last {
            return (items, bytes);
        }
        world.serve_more(vec![alert(1222, &[])]);
    }
}

#[test]
fn an_inventory_is_the_same_in_every_encoding_and_half_as_long_in_the_short_one() {
    let (items, xml) = list(&mut device(Encoding::Xml, false));
    assert_eq!(items.len(), 3 + COMPONENTS * 10);
    let (plain_items, plain) = list(&mut device(Encoding::Wbxml, false));
    let (short_items, short) = list(&mut device(Encoding::Wbxml, true));
    assert!(items == plain_items && items == short_items);
    assert!(plain * 100 < xml * 50, "{plain} of {xml} bytes");
    assert!(short * 100 < xml * 45, "{short} of {xml} bytes");
}
