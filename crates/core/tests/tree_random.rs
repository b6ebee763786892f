//! Random edits of the tree, between steps of jobs: nothing panics, the limits hold, and what can be listed can be
//! read and exported.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::install_from;
use common::tree::{Device, add, device, server};
use proptest::prelude::*;
use roxmltree::Document;
use scomo_core::command::Then;
use scomo_core::tree::edit::{Edit, Given, What};
use scomo_core::tree::uri::Selection;
use scomo_core::tree::{Format, Property, Subject, TreeVersion, Value};

#[derive(Debug, Clone)]
enum Act {
    Edits(Subject, Vec<Edit>),
    Install(&'static str),
    Steps(usize),
    Version(TreeVersion),
}

/// Nodes that can be edited somehow, `*` being a name.
const NODES: &[&str] = &[
    "",
    "/Ext",
    "/Ext/*",
    "/Ext/*/*",
    "/Inventory/Ext/*",
    "/Inventory/CheckUpdateFreq",
    "/Download/*",
    "/Download/*",
    "/Download/*/PkgID",
    "/Download/*/PkgURL",
    "/Download/*/PkgURL",
    "/Download/*/Name",
    "/Download/*/Status",
    "/Download/*/Reboot",
    "/Download/*/Ext/*",
    "/Download/*/Operations/Download",
    "/Download/*/Operations/DownloadInstall",
    "/Download/Whitelist/*/Name",
    "/Download/Blacklist/*/Name",
    "/Download/Blacklist/*/Version",
    "/Download/Whitelist/*/HashInfo/Value",
    "/Inventory/Delivered/*",
    "/Inventory/Delivered/*/Data",
    "/Inventory/Delivered/*/Name",
    "/Inventory/Delivered/*/Ext/*/*",
    "/Inventory/Delivered/*/Operations/Install",
    "/Inventory/Delivered/*/Operations/Remove",
    "/Inventory/Deployed/*",
    "/Inventory/Deployed/*/ID",
    "/Inventory/Deployed/*/AvailableVersion",
    "/Inventory/Deployed/*/Ext/*",
    "/Inventory/Deployed/*/MetaData/Icon/*/IconFile",
    "/Inventory/Deployed/*/MOReferences/*/MOID",
    "/Inventory/Deployed/*/Operations/Activate",
    "/Inventory/Deployed/*/Operations/Deactivate",
    "/Inventory/Deployed/*/Operations/Remove",
    "/Inventory/Deployed/*/Operations/Blacklist",
    "/Inventory/Deployed/*/Operations/Whitelist",
    "/Inventory/Nowhere/*",
];

fn uris() -> impl Strategy<Value = String> {
    let usual = prop::sample::select(vec!["p1", "p2", "db"]);
    let odd = prop::sample::select(vec!["Ext", "_Ext", "a%2Fb", "%3CX%3E", "..", "%C3%A9", "", "%2"]);
    let name = || prop_oneof![8 => usual.clone(), 1 => odd.clone()];
    let query =
        prop_oneof![20 => Just(""), 1 => Just("?prop=ACL"), 1 => Just("?list=TNDS"), 1 => Just("?prop=Name")];
    (prop::sample::select(NODES), name(), name(), query).prop_map(|(node, first, second, query)| {
        let node = node.replacen('*', first, 1).replacen('*', second, 1);
        format!("./SCOMO{node}{query}")
    })
}

fn given() -> impl Strategy<Value = Given> {
    let value = prop_oneof![
        4 => Just(Value::Null),
        8 => prop::sample::select(vec!["", "test:p1", "1", "db", "Get=s&Replace=*"]).prop_map(Value::from),
        1 => prop::sample::select(vec!["\u{0}", "é<&>\r\u{fffe}"]).prop_map(Value::from),
        1 => (0..60_000usize).prop_map(|n| Value::from("x".repeat(n).as_str())),
        1 => any::<i32>().prop_map(Value::Int),
        2 => prop::collection::vec(any::<u8>(), 0..5).prop_map(|bytes| Value::from(bytes.as_slice())),
    ];
    let format = prop_oneof![
        12 => Just(None),
        2 => Just(Some(Format::Node)),
        1 => prop::sample::select(Format::ALL.to_vec()).prop_map(Some),
    ];
    (format, value).prop_map(|(format, value)| Given { format, mime: String::new(), value })
}

fn edits() -> impl Strategy<Value = Edit> {
    let property = prop_oneof![
        3 => Just(Property::Acl),
        3 => Just(Property::Name),
        1 => prop::sample::select(Property::ALL.to_vec()),
    ];
    let text =
        prop::sample::select(vec!["", "p1", "p3", "w", "Ext", "Add=*&Replace=s", "Get=t&Exec=*", "a\u{1}"]);
    let what = prop_oneof![
        8 => given().prop_map(What::Add),
        3 => given().prop_map(What::Replace),
        2 => Just(What::Delete),
        4 => Just(What::Exec { correlator: String::new() }),
        1 => Just(What::Data { source: "file:///x".into() }),
        3 => (property, text).prop_map(|(property, value)| What::Set { property, value: value.into() }),
    ];
    (uris(), what).prop_map(|(uri, what)| {
        let what = match what {
            // What is executed is mostly a primitive, and of those nothing else is asked.
            What::Exec { .. } | What::Delete if !uri.contains("/Operations/") => What::Delete,
            _ if uri.contains("/Operations/") => What::Exec { correlator: String::new() },
            What::Add(_) | What::Replace(_) if uri.ends_with("/Data") => {
                What::Data { source: "file:///x".into() }
            }
            what => what,
        };
        Edit { uri, what }
    })
}

fn acts() -> impl Strategy<Value = Act> {
    let subject = prop_oneof![3 => Just(Subject::Local), 1 => Just(server("s"))];
    prop_oneof![
        20 => (subject, prop_oneof![4 => prop::collection::vec(edits(), 1), 1 => prop::collection::vec(edits(), 2..4)]).prop_map(|(who, edits)| Act::Edits(who, edits)),
        3 => prop::sample::select(vec!["p1", "p2", "os1"]).prop_map(Act::Install),
        4 => (1..20usize).prop_map(Act::Steps),
        1 => prop::sample::select(vec![TreeVersion::V1_0, TreeVersion::V1_1]).prop_map(Act::Version),
    ]
}

/// What holds whatever was written.
fn check(device: &Device) {
    device.life.check();
    device.life.state.tree.check().unwrap();
    for uri in device.uris() {
        let below = uri.strip_prefix("./SCOMO").unwrap().trim_start_matches('/');
        match device.get(below) {
            Ok(_) | Err(405) => {}
            Err(status) => panic!("{uri} is listed, but reading it gives {status}"),
        }
    }
    let text = device.tnds("", &Selection::default());
    let document = Document::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let nodes = document.descendants().filter(|node| node.has_tag_name(("syncml:dmddf1.2", "Node"))).count();
    assert_eq!(nodes, device.uris().len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn random_edits_keep_the_tree_whole(history in prop::collection::vec(acts(), 1..40)) {
        let mut device = device();
        device.install("p1");
        device.edit(add("Download/p2/PkgURL", "test:p2"));
        for act in history {
            match act {
                // A refusal is as good as an acceptance: what holds afterwards decides.
                Act::Edits(subject, edits) => drop(device.edits_as(&subject, &edits)),
                Act::Install(id) => drop(device.life.command(install_from(id, Then::Install))),
                Act::Steps(n) => {
                    for _ in 0..n {
                        device.life.step();
                    }
                }
                Act::Version(version) => device.settings.version = version,
            }
            check(&device);
        }
    }
}
