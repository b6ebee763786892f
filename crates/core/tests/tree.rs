//! The SCOMO tree's behaviour: what can be read, and what happens to nodes while jobs run.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeSet;

use common::component;
use common::tree::{Device, add, add_interior, device, exec, replace, server, set};
use scomo_core::command::{Command, Then};
use scomo_core::spec::{Icon, Metadata};
use scomo_core::tree::edit::{Edit, What};
use scomo_core::tree::nodes::NODES;
use scomo_core::tree::uri::Selection;
use scomo_core::tree::{Property, Subject};

#[test]
fn an_empty_device_has_the_required_nodes() {
    let device = device();
    device.is("", "Download Inventory Ext");
    device.is("Download", "Whitelist Blacklist Ext");
    device.is("Inventory", "Delivered Deployed Blacklisted Whitelisted Ext");
    device.is("Inventory/Delivered", "Ext");
    assert_eq!(device.get("Inventory/Nothing"), Err(404));
}

#[test]
fn a_server_makes_a_package_and_starts_it() {
    let mut device = device();
    assert_eq!(device.edit(add_interior("Download/p1")), 200);
    assert_eq!(device.edit(add_interior("Download/p1")), 418);
    device.is("Download/p1", "PkgID PkgURL Status Operations Ext");
    device.is("Download/p1/Operations", "Download DownloadInstall DownloadInstallInactive Ext");
    device.is("Download/p1/PkgID", "p1");
    device.is("Download/p1/Status", "10");
    assert_eq!(device.edit(exec("Download/p1/Operations/DownloadInstall")), 412, "there is no PkgURL");
    assert_eq!(device.edit(add("Download/p1/PkgURL", "test:p1")), 200, "it is empty until somebody sets it");
    assert_eq!(device.edit(add("Download/p1/PkgURL", "test:p1")), 418);
    assert_eq!(device.edit(replace("Download/p1/Name", "N")), 404);
    assert_eq!(device.edit(add("Download/p1/Name", "N")), 200);
    assert_eq!(device.edit(exec("Download/p1/Operations/DownloadInstall")), 200);
    device.is("Download/p1/Status", "30");
    device.life.settle();
    assert_eq!(device.get("Download/p1"), Err(404));
    device.is("Inventory/Deployed", "db web Ext");
    device.is("Inventory/Delivered/p1/Name", "N");
    assert_eq!(device.get("Inventory/Delivered/p1/Data"), Err(405));
}

/// Packages that bring everything a package can say of itself.
fn rich_device() -> Device {
    let mut device = device();
    let metadata = Metadata {
        license: "MIT".into(),
        copyright: "(c) <us> & co".into(),
        manufacturer: "Maker".into(),
        creator: "Writer".into(),
        creation_date: "20260101".into(),
        release_date: "20260102".into(),
        release_notes: "new".into(),
        validity_period: "20270101".into(),
        licensed_user_name: "All".into(),
        last_updated: String::new(),
        component_owner: "Owner".into(),
        management_scope: Some(1),
        icons: vec![Icon { name: "small".into(), data: vec![1, 2, 255] }],
    };
    let content = device.life.world.offered.get_mut("p1").unwrap();
    content.info.metadata = metadata.clone();
    for release in &mut content.releases {
        release.spec.metadata = metadata.clone();
        release.spec.name = format!("{} by name", release.spec.id);
        release.spec.description = "D".into();
        release.spec.env_type = "urn:env".into();
    }
    device
}

/// A server describes a package to download, with every leaf.
fn describe(device: &mut Device, id: &str) {
    let at = |leaf: &str| format!("Download/{id}/{leaf}");
    let edits = [
        add(&at("PkgID"), &format!("{id}-id")),
        add(&at("PkgURL"), &format!("test:{id}")),
        add(&at("Name"), "N"),
        add(&at("Description"), "D"),
        add(&at("EnvType"), "urn:e"),
        add(&at("PkgType"), "application/x"),
        add(&at("InstallParams"), "a=b;c=d"),
        add(&at("Reboot"), "0"),
    ];
    device.edits_as(&Subject::Local, &edits).unwrap();
}

#[test]
fn every_node_of_the_table_can_be_read() {
    let mut device = rich_device();
    device.settings.sha256_numbers.insert(7);
    describe(&mut device, "p1");
    assert_eq!(device.edit(exec("Download/p1/Operations/DownloadInstall")), 200);
    device.life.settle();
    describe(&mut device, "p2");
    let edits = [
        add("Inventory/Delivered/p1/Reboot", "0"),
        add("Download/Whitelist/w/Name", "db"),
        add("Download/Whitelist/w/Version", "1"),
        add("Download/Whitelist/w/HashInfo/Algorithm", "7"),
        add("Download/Whitelist/w/HashInfo/Value", &"0a".repeat(32)),
        add("Download/Blacklist/b/Name", "db"),
        add("Download/Blacklist/b/Version", "0"),
        add("Inventory/CheckUpdateFreq", "7"),
        add("Inventory/Deployed/CheckUpdateAlertType", "1"),
        add("Inventory/Deployed/db/MOReferences/m/MOID", "urn:m"),
        add("Inventory/Deployed/db/MOReferences/m/MOLocation", "./M"),
    ];
    let (delivered, rest) = edits.split_first().unwrap();
    assert_eq!(device.edit(delivered.clone()), 405, "a delivered package has no such leaf");
    device.edits_as(&Subject::Local, rest).unwrap();
    let names = ["p1", "p2", "db", "web", "w", "b", "m", "small"];
    let mut seen = BTreeSet::new();
    for uri in device.uris() {
        let below = uri.strip_prefix("./SCOMO").unwrap().trim_start_matches('/');
        let generic = below.split('/').map(|name| if names.contains(&name) { "<X>" } else { name });
        seen.insert(generic.collect::<Vec<_>>().join("/"));
        match device.get(below) {
            Ok(_) => {}
            Err(405) => assert!(below.ends_with("/Data"), "{uri}"),
            Err(status) => panic!("{uri}: {status}"),
        }
    }
    let table: BTreeSet<String> = NODES.iter().map(|node| node.path.to_owned()).collect();
    assert_eq!(seen, table);
    for (uri, value) in [
        ("Inventory/Deployed/db/MetaData/License", "MIT"),
        ("Inventory/Deployed/db/MetaData/ManagementScope", "1"),
        ("Inventory/Deployed/db/MetaData/LastUpdated", "19700101T000000Z"),
        ("Inventory/Deployed/db/MetaData/Icon/small/IconFile", "AQL/"),
        ("Inventory/Deployed/db/Size", "10"),
        ("Inventory/Deployed/db/ComponentType", "application/vnd.oci.image.manifest.v1+json"),
        ("Inventory/Deployed/db/EnvType", "urn:env"),
        ("Inventory/Deployed/db/PkgIDRef", "p1-id"),
        ("Inventory/Deployed/db/Name", "db by name"),
        ("Inventory/Delivered/p1/MetaData/Creator", "Writer"),
        ("Inventory/Blacklisted", "db@0"),
        ("Inventory/Whitelisted", "db@1"),
        ("Download/p2/InstallParams", "a=b;c=d"),
    ] {
        device.is(uri, value);
    }
    let location = device.get("Inventory/Deployed/db/InstalledLocation").unwrap();
    assert!(location.starts_with("container:sha256:"), "{location}");
}

#[test]
fn an_installed_size_saturates() {
    let mut device = device();
    device.life.command(common::install_from("p1", Then::Install)).unwrap();
    device.life.settle();
    device.life.state.components.get_mut(&component("db")).unwrap().release.size = 1 << 31;
    device.is("Inventory/Deployed/db/Size", "2147483647");
}

/// The values that a client sees which looks at leaves after every step; absent ones as `-`.
fn polled(device: &mut Device, leaves: &[&str]) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    loop {
        let values = leaves.iter().map(|leaf| device.get(leaf).unwrap_or_else(|_| "-".into()));
        let values = values.collect::<Vec<_>>().join(" ");
        if seen.last() != Some(&values) {
            seen.push(values);
        }
        if !device.life.step() {
            return seen;
        }
    }
}

const PACKAGE: [&str; 3] =
    ["Download/p1/Status", "Inventory/Delivered/p1/Status", "Inventory/Delivered/p1/State"];

#[test]
fn a_client_that_polls_sees_every_status() {
    let mut device = device();
    describe(&mut device, "p1");
    device.edit(exec("Download/p1/Operations/DownloadInstall"));
    assert_eq!(polled(&mut device, &PACKAGE), ["30 - -", "40 40 10", "50 40 10", "- 10 20"]);
}

#[test]
fn a_download_that_fails_leaves_its_node_and_nothing_else() {
    let mut device = device();
    describe(&mut device, "none");
    device.edit(exec("Download/none/Operations/Download"));
    let leaves = ["Download/none/Status", "Inventory/Delivered/none/Status"];
    assert_eq!(polled(&mut device, &leaves), ["30 -", "20 -"]);
    device.is("Inventory/Delivered", "Ext");
}

#[test]
fn table_3_download_only() {
    let mut device = device();
    describe(&mut device, "p1");
    device.edit(exec("Download/p1/Operations/Download"));
    device.life.settle();
    assert_eq!(device.get("Download/p1"), Err(404), "SHOULD be removed");
    for (leaf, value) in [
        ("PkgID", "p1-id"),
        ("Name", "N"),
        ("Description", "D"),
        ("EnvType", "urn:e"),
        ("PkgType", "application/x"),
        ("InstallParams", "a=b;c=d"),
        ("State", "10"),
        ("Status", "10"),
    ] {
        device.is(&format!("Inventory/Delivered/p1/{leaf}"), value);
    }
    device.is("Inventory/Deployed", "Ext");
}

#[test]
fn table_3_an_install_that_fails_keeps_what_was_delivered() {
    let mut device = device();
    device.life.world.sick.insert(common::release("web", "1").id);
    describe(&mut device, "p1");
    device.edit(exec("Download/p1/Operations/DownloadInstallInactive"));
    device.life.settle();
    device.is("Inventory/Deployed/db/State", "10");
    let mut device = self::device();
    device.life.world.sick.insert(common::release("web", "1").id);
    describe(&mut device, "p1");
    device.edit(exec("Download/p1/Operations/DownloadInstall"));
    device.life.settle();
    device.is("Download/p1/Status", "60");
    device.is("Inventory/Delivered/p1/Status", "50");
    device.is("Inventory/Delivered/p1/State", "10");
    device.is("Inventory/Deployed", "Ext");
}

/// A server pushes a package.
fn push(device: &mut Device, id: &str) {
    let data = What::Data { source: format!("file:///spool/{id}") };
    let put = Edit { uri: format!("./SCOMO/Inventory/Delivered/{id}/Data"), what: data };
    assert_eq!(device.edit(put), 200, "its parent is made with it");
}

#[test]
fn table_4_an_install_that_fails_keeps_the_package() {
    let mut device = device();
    device.life.world.sick.insert(common::release("web", "1").id);
    push(&mut device, "p1");
    device.edit(exec("Inventory/Delivered/p1/Operations/Install"));
    assert_eq!(polled(&mut device, &PACKAGE), ["- 40 10", "- 50 10"]);
    device.is("Inventory/Deployed", "Ext");
}

#[test]
fn table_4_install_and_remove_of_a_delivered_package() {
    let mut device = device();
    push(&mut device, "p1");
    device.edit(exec("Inventory/Delivered/p1/Operations/InstallInactive"));
    assert_eq!(polled(&mut device, &PACKAGE), ["- 40 10", "- 10 20"]);
    device.is("Inventory/Deployed", "db web Ext");
    device.is("Inventory/Deployed/db/State", "10");
    assert_eq!(device.edit(exec("Inventory/Delivered/p1/Operations/Install")), 403, "it is installed");
    assert_eq!(device.edit(exec("Inventory/Delivered/p1/Operations/Remove")), 200);
    assert_eq!(device.get("Inventory/Delivered/p1"), Err(404));
    device.is("Inventory/Deployed/db/State", "10");
    device.is("Inventory/Deployed/db/PkgIDRef", "p1");
}

#[test]
fn a_thousand_components_are_listed_in_one_walk() {
    let mut device = rich_device();
    device.install("p1");
    let state = &mut device.life.state;
    let one = state.components[&component("db")].clone();
    state.components = (0..1000).map(|n| (component(&format!("component-{n}")), one.clone())).collect();
    let start = std::time::Instant::now();
    let uris = device.uris();
    println!("{} nodes in {:?}", uris.len(), start.elapsed());
    let start = std::time::Instant::now();
    let text = device.tnds("", &Selection::default());
    println!("{} bytes of TNDS in {:?}", text.len(), start.elapsed());
    assert!(uris.len() > 36_000, "{}", uris.len());
    let distinct: BTreeSet<&String> = uris.iter().collect();
    assert_eq!(distinct.len(), uris.len());
}

#[test]
fn components_change_their_state_and_go() {
    let mut device = device();
    device.life.command(common::install_from("p1", Then::InstallInactive)).unwrap();
    device.life.settle();
    let leaves = ["Inventory/Deployed/db/Status", "Inventory/Deployed/db/State"];
    assert_eq!(device.edit(exec("Inventory/Deployed/db/Operations/Activate")), 200);
    assert_eq!(polled(&mut device, &leaves), ["50 10", "10 20"]);
    assert_eq!(device.edit(exec("Inventory/Deployed/db/Operations/Deactivate")), 200);
    assert_eq!(polled(&mut device, &leaves), ["70 20", "10 10"]);
    device.edit(add("Inventory/Deployed/db/Ext/Colour", "red"));
    assert_eq!(device.edit(exec("Inventory/Deployed/db/Operations/Remove")), 200);
    assert_eq!(polled(&mut device, &leaves), ["30 10", "- -"]);
    assert!(device.life.state.tree.is_empty(), "what was written below it went with it");
}

#[test]
fn the_active_os_offers_only_what_it_can() {
    let mut device = device();
    device.life.command(common::install_from("os1", Then::Install)).unwrap();
    device.life.settle();
    device.life.reboot();
    device.life.settle();
    device.is("Inventory/Deployed/os/State", "20");
    device.is("Inventory/Deployed/os/Operations", "Activate Blacklist Whitelist Ext");
    assert_eq!(device.edit(exec("Inventory/Deployed/os/Operations/Remove")), 404);
}

#[test]
fn an_update_of_a_component_keeps_its_node() {
    let mut device = device();
    for id in ["p1", "p2"] {
        device.life.command(common::install_from(id, Then::Install)).unwrap();
        device.life.settle();
        device.edit(add("Inventory/Deployed/db/Ext/Colour", "red"));
        device.edit(replace("Inventory/Deployed/db/AvailableVersion", "2"));
    }
    device.is("Inventory/Deployed", "db web Ext");
    device.is("Inventory/Deployed/db/Version", "2");
    device.is("Inventory/Deployed/db/PkgIDRef", "p2");
    device.is("Inventory/Deployed/db/Ext/Colour", "red");
    device.life.command(Command::Rollback).unwrap();
    device.life.settle();
    device.is("Inventory/Deployed/db/AvailableVersion", "");
}

#[test]
fn an_exec_tells_its_server_how_it_ended() {
    let mut device = device();
    describe(&mut device, "p1");
    assert_eq!(device.edit(set("", Property::Acl, "Exec=s&Get=*")), 200);
    assert_eq!(device.edit_as(&server("other"), exec("Download/p1/Operations/Download")), 425);
    assert_eq!(device.edit_as(&server("s"), exec("Download/p1/Operations/Download")), 200);
    device.life.settle();
    let report = device.life.state.reports.back().unwrap();
    assert_eq!((report.to.to.as_str(), report.to.correlator.as_str()), ("s", "c1"));
    assert_eq!(report.to.uri, "./SCOMO/Download/p1/Operations/Download");
    assert_eq!((report.identifier.as_str(), report.code.0), ("p1-id", 1200));
}

#[test]
fn a_server_gives_a_component_another_id() {
    let mut device = device();
    device.life.command(common::install_from("p1", Then::Install)).unwrap();
    device.life.settle();
    assert_eq!(device.edit(replace("Inventory/Deployed/db/ID", "web")), 418);
    assert_eq!(device.edit(replace("Inventory/Deployed/db/ID", "theirs")), 200);
    assert_eq!(device.edit(replace("Inventory/Deployed/web/ID", "theirs")), 418);
    device.is("Inventory/Deployed/db/ID", "theirs");
    assert_eq!(device.edit(replace("Inventory/Deployed/db/ID", "")), 415);
}
