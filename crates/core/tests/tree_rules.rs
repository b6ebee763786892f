//! Rules of the SCOMO tree: access control, lists, edits that belong together, sub-trees of vendors, limits, editions.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::package;
use common::tree::{Device, add, add_interior, delete, device, exec, replace, server, set};
use scomo_core::command::Then;
use scomo_core::failure::{FailureKind, ResultCode};
use scomo_core::spec::{ICONS_BYTES_MAX, PackageManifest};
use scomo_core::tree::base64;
use scomo_core::tree::edit::{Edit, Given, What};
use scomo_core::tree::export::tnds;
use scomo_core::tree::overlay::{LEAF_BYTES_MAX, NODES_MAX, TITLE_BYTES_MAX};
use scomo_core::tree::uri::Selection;
use scomo_core::tree::{Format, Property, Subject, Tree, TreeVersion, Value};

fn acl(device: &Device, uri: &str) -> String {
    device.property(uri, Property::Acl).unwrap()
}

#[test]
fn the_nearest_list_counts_and_no_other() {
    let mut device = device();
    let s = server("s");
    assert_eq!(device.get_as(&s, "Download/Ext"), Ok(String::new()), "everybody may read and add by default");
    assert_eq!(device.edit_as(&s, add("Download/Ext/a", "1")), 200);
    assert_eq!(device.edit_as(&s, replace("Download/Ext/a", "2")), 425);
    assert_eq!(device.edit(set("Download/Ext", Property::Acl, "Replace=s&Get=t")), 200);
    assert_eq!(device.edit_as(&s, replace("Download/Ext/a", "2")), 200);
    assert_eq!(device.get_as(&s, "Download/Ext/a"), Err(425), "lists are not merged");
    assert_eq!(device.get_as(&server("t"), "Download/Ext/a").as_deref(), Ok("2"));
    assert_eq!(acl(&device, "Download/Ext/a"), "");
    assert_eq!(acl(&device, "Download/Ext"), "Get=t&Replace=s");
    assert_eq!(device.edit_as(&server("t"), set("Download/Ext", Property::Acl, "")), 425);
    assert_eq!(
        device.edit_as(&s, set("Download/Ext/a", Property::Acl, "Get=s")),
        200,
        "by the parent's list"
    );
    assert_eq!(device.edit_as(&s, set("Download/Ext", Property::Acl, "Get")), 400);
    assert_eq!(device.edit_as(&s, set("Download/Ext", Property::Acl, "")), 200);
    let other =
        Edit { uri: "./SCOMO/Download/Ext?prop=ACL".into(), what: What::Replace(Given::value("Get=u")) };
    assert_eq!(device.edit(other), 200);
    assert_eq!(acl(&device, "Download/Ext"), "Get=u");
}

#[test]
fn a_leaf_cannot_hand_out_rights_on_itself() {
    let mut device = device();
    device.edit(add("Ext/a", "1"));
    device.edit(set("Ext/a", Property::Acl, "Replace=s"));
    assert_eq!(device.edit_as(&server("s"), set("Ext/a", Property::Acl, "Get=s")), 425);
    assert_eq!(device.edit_as(&server("s"), replace("Ext/a", "2")), 200);
}

#[test]
fn who_makes_a_package_owns_it() {
    let mut device = device();
    let s = server("s");
    assert_eq!(device.edit_as(&s, add_interior("Download/p1")), 200);
    assert_eq!(acl(&device, "Download/p1"), "Add=s&Delete=s&Replace=s");
    assert_eq!(device.edit_as(&s, add("Download/p1/PkgURL", "test:p1")), 200);
    assert_eq!(device.edit_as(&server("t"), add("Download/p1/Name", "N")), 425);
    assert_eq!(
        device.edit_as(&s, exec("Download/p1/Operations/Download")),
        425,
        "it gives itself the right first"
    );
    assert_eq!(device.edit_as(&s, set("Download/p1", Property::Acl, "Add=s&Exec=s&Get=s&Replace=s")), 200);
    assert_eq!(device.edit_as(&s, exec("Download/p1/Operations/Download")), 200);
    assert_eq!(device.edit_as(&s, delete("Download/p1")), 425);
    assert_eq!(device.edit_as(&server("*"), add_interior("Download/p2")), 200);
    assert_eq!(acl(&device, "Download/p2"), "", "a name that means everybody is no name");
}

#[test]
fn rights_follow_a_package_to_its_components() {
    let mut device = device();
    device.edit(add("Download/p1/PkgURL", "test:p1"));
    device.edit(set("Download/p1", Property::Acl, "Exec=s&Replace=s"));
    device.edit(set("Download/p1/Operations/DownloadInstall", Property::Acl, "Exec=t"));
    device.edit(exec("Download/p1/Operations/DownloadInstall"));
    device.life.settle();
    for node in ["Inventory/Delivered/p1", "Inventory/Deployed/db", "Inventory/Deployed/web"] {
        assert_eq!(acl(&device, node), "Add=*&Exec=s&Get=*&Replace=s", "added to what is inherited");
        assert_eq!(acl(&device, &format!("{node}/Operations")), "");
        assert_eq!(acl(&device, &format!("{node}/Operations/Remove")), "Add=*&Exec=s+t&Get=*&Replace=s");
        assert_eq!(acl(&device, &format!("{node}/Status")), "", "others inherit");
    }
    assert_eq!(device.edit_as(&server("t"), exec("Inventory/Deployed/db/Operations/Deactivate")), 200);
    device.life.settle();
    assert_eq!(device.edit_as(&server("u"), exec("Inventory/Deployed/db/Operations/Activate")), 425);
}

#[test]
fn rights_follow_a_delivered_package_too_and_nothing_is_copied_from_nothing() {
    let mut device = device();
    device.edit(add("Download/p1/PkgURL", "test:p1"));
    device.edit(exec("Download/p1/Operations/Download"));
    device.life.settle();
    assert_eq!(acl(&device, "Inventory/Delivered/p1"), "");
    device.edit(set("Inventory/Delivered/p1", Property::Acl, "Exec=s"));
    device.edit(exec("Inventory/Delivered/p1/Operations/Install"));
    device.life.settle();
    assert_eq!(acl(&device, "Inventory/Deployed/db"), "Add=*&Exec=s&Get=*");
    assert_eq!(acl(&device, "Inventory/Deployed/db/Operations/Remove"), "");
    // An update does not make the node anew.
    device.edit(set("Inventory/Deployed/db", Property::Acl, "Exec=mine"));
    device.life.command(common::install_from("p2", Then::Install)).unwrap();
    device.life.settle();
    assert_eq!(acl(&device, "Inventory/Deployed/db"), "Exec=mine");
}

#[test]
fn rights_that_do_not_fit_together_are_not_copied() {
    let mut device = device();
    let many = |letter: &str| format!("Exec={}", letter.repeat(1000));
    device.edit(add("Download/p1/PkgURL", "test:p1"));
    assert_eq!(device.edit(set("", Property::Acl, &many("a"))), 200);
    assert_eq!(device.edit(set("Download/p1", Property::Acl, &many("b"))), 200);
    device.edit(exec("Download/p1/Operations/Download"));
    device.life.settle();
    assert_eq!(acl(&device, "Inventory/Delivered/p1"), "", "fewer rights are the safe side");
}

#[test]
fn icons_of_a_package_have_limits() {
    let check = |icons: &[(&str, usize)]| {
        let icons: Vec<_> = icons
            .iter()
            .map(|(name, size)| serde_json::json!({"name": name, "data": base64::encode(&vec![7; *size])}))
            .collect();
        let manifest = serde_json::json!({
            "schemaVersion": 1,
            "id": "p",
            "metadata": {"icons": icons, "managementScope": 1, "componentOwner": "o"},
            "components": [{
                "id": "c",
                "type": "container",
                "payload": {"kind": "image", "digest": format!("sha256:{}", "0".repeat(64)), "size": 1},
            }],
        });
        let manifest: PackageManifest = serde_json::from_value(manifest).unwrap();
        let back = serde_json::from_value(serde_json::to_value(&manifest).unwrap());
        assert_eq!(back.ok().as_ref(), Some(&manifest));
        manifest.check().is_ok()
    };
    let half = ICONS_BYTES_MAX / 2;
    assert!(check(&[("a", half), ("b", half)]) && check(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)]));
    assert!(!check(&[("a", half), ("b", half + 1)]), "too many bytes");
    assert!(!check(&[("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 1)]), "too many icons");
    assert!(!check(&[("a", 1), ("a", 1)]) && !check(&[("", 1)]), "each has a name of its own");
}

#[test]
fn what_is_black_is_not_installed() {
    let mut device = device();
    device.edit(add("Download/Blacklist/b/Name", "web"));
    device.edit(add("Download/Blacklist/b/Version", "2"));
    assert_eq!(device.install("p2"), ResultCode::INSTALL_FAILED);
    assert_eq!(device.life.last().failure.as_ref().unwrap().kind, FailureKind::Forbidden);
    assert!(device.life.world.stored.is_empty(), "it was not even downloaded");
    assert_eq!(device.install("p1"), ResultCode::SUCCESS);
    device.edit(delete("Download/Blacklist/b"));
    assert_eq!(device.install("p2"), ResultCode::SUCCESS);
}

#[test]
fn a_whitelist_with_entries_allows_only_those_and_black_beats_white() {
    let mut device = device();
    device.edit(add("Download/Whitelist/w/Version", "1"));
    assert_eq!(device.install("p1"), ResultCode::INSTALL_FAILED, "an entry without a name allows nothing");
    device.edit(add("Download/Whitelist/w/Name", "db"));
    assert_eq!(device.install("p1"), ResultCode::INSTALL_FAILED, "web is not there");
    device.edit(add("Download/Whitelist/v/Name", "web"));
    assert_eq!(device.install("p1"), ResultCode::SUCCESS);
    assert_eq!(device.install("p2"), ResultCode::INSTALL_FAILED, "db is there in version 1 only");
    device.edit(replace("Download/Whitelist/w/Version", "2"));
    device.edit(add("Download/Blacklist/b/Name", "db"));
    assert_eq!(device.install("p2"), ResultCode::INSTALL_FAILED);
}

#[test]
fn a_hash_names_one_package_or_payload() {
    let mut device = device();
    let digest = device.life.world.offered["p1"].digest.to_string();
    let hex = digest.strip_prefix("sha256:").unwrap();
    assert_eq!(
        device.edit(add("Download/Whitelist/w/HashInfo/Algorithm", "3")),
        415,
        "no number has a meaning"
    );
    device.settings.sha256_numbers.insert(3);
    assert_eq!(device.edit(add("Download/Whitelist/w/HashInfo/Value", "0a")), 415);
    device.edit(add("Download/Whitelist/w/Name", "db"));
    device.edit(add("Download/Whitelist/w/HashInfo/Value", hex));
    device.edit(add("Download/Whitelist/v/Name", "web"));
    assert_eq!(device.install("p1"), ResultCode::INSTALL_FAILED, "the hash is not complete");
    device.edit(add("Download/Whitelist/w/HashInfo/Algorithm", "3"));
    assert_eq!(device.install("p1"), ResultCode::SUCCESS);
    assert_eq!(device.install("p2"), ResultCode::INSTALL_FAILED, "another package has another hash");
}

#[test]
fn a_component_is_put_on_the_lists() {
    let mut device = device();
    device.install("p1");
    assert_eq!(device.edit(exec("Inventory/Deployed/db/Operations/Blacklist")), 200);
    assert_eq!(device.edit(exec("Inventory/Deployed/db/Operations/Blacklist")), 200);
    device.is("Inventory/Blacklisted", "db@1");
    device.is("Download/Blacklist/db@1/Name", "db");
    device.is("Inventory/Deployed/db/State", "20");
    assert_eq!(device.edit(exec("Inventory/Deployed/db/Operations/Deactivate")), 200);
    device.life.settle();
    assert_eq!(device.edit(exec("Inventory/Deployed/db/Operations/Activate")), 200);
    assert_eq!(device.life.last().code, ResultCode::ACTIVATE_FAILED);
    device.is("Inventory/Deployed/db/Status", "40");
    assert_eq!(device.edit(exec("Inventory/Deployed/db/Operations/Whitelist")), 200);
    device.is("Inventory/Blacklisted", "");
    device.is("Inventory/Whitelisted", "db");
    assert_eq!(device.edit(exec("Inventory/Deployed/db/Operations/Activate")), 200);
    device.life.settle();
    assert_eq!(device.life.last().code, ResultCode::SUCCESS);
}

#[test]
fn a_new_entry_takes_no_name_that_is_taken() {
    let mut device = device();
    device.install("p1");
    device.edit(add("Download/Blacklist/db@1/Name", "something else"));
    assert_eq!(device.edit(exec("Inventory/Deployed/db/Operations/Blacklist")), 200);
    device.is("Inventory/Blacklisted", "db@1,something else");
    device.is("Download/Blacklist/db@1/Name", "something else");
    device.settings.list_separator = ' ';
    device.is("Inventory/Blacklisted", "db@1 something else");
}

#[test]
fn edits_given_together_are_made_together_or_not_at_all() {
    let mut device = device();
    let edits = [
        add("Download/p1/PkgURL", "test:p1"),
        add("Download/p1/Ext/x", "1"),
        replace("Download/p1/Name", "N"),
        add("Ext/y", "1"),
    ];
    assert_eq!(device.edits_as(&Subject::Local, &edits), Err((2, 404)));
    device.is("Download", "Whitelist Blacklist Ext");
    let edits = [edits[0].clone(), edits[1].clone(), add("Download/p1/Name", "N"), edits[3].clone()];
    assert_eq!(device.edits_as(&Subject::Local, &edits), Ok(()));
    device.is("Download/p1/Ext/x", "1");
    let edits = [replace("Ext/y", "2"), exec("Download/p1/Operations/Download")];
    assert_eq!(device.edits_as(&Subject::Local, &edits), Err((1, 500)));
    device.is("Ext/y", "1");
}

#[test]
fn vendors_add_sub_trees() {
    let mut device = device();
    let bytes =
        Given { format: Some(Format::Bin), mime: "image/png".into(), value: Value::from(&[0u8, 255][..]) };
    let put = |given| Edit { uri: "./SCOMO/Inventory/Ext/Vendor/Logo".into(), what: What::Add(given) };
    assert_eq!(device.edit(put(bytes)), 200, "parents are made too");
    device.is("Inventory/Ext", "Vendor");
    device.is("Inventory/Ext/Vendor/Logo", "AP8=");
    assert_eq!(device.property("Inventory/Ext/Vendor/Logo", Property::Type).as_deref(), Ok("image/png"));
    assert_eq!(device.property("Inventory/Ext/Vendor/Logo", Property::Size).as_deref(), Ok("2"));
    assert_eq!(device.property("Inventory/Ext/Vendor", Property::Size), Err(406));
    assert_eq!(device.edit(add("Inventory/Ext/Vendor/Logo/x", "1")), 405, "its parent is a leaf");
    assert_eq!(device.edit(replace("Inventory/Ext/Vendor", "1")), 405);
    assert_eq!(device.edit(add("Inventory/Ext/a-b", "1")), 200);
    assert_eq!(device.edit(add("Inventory/Ext/a/b", "1")), 200);
    assert_eq!(device.edit(delete("Inventory/Ext/a")), 200);
    device.is("Inventory/Ext", "Vendor a-b");
    assert_eq!(device.edit(delete("Inventory/Ext")), 405, "it is built in");
    assert_eq!(device.edit(add("Inventory/Vendor/x", "1")), 405, "outside of Ext nothing is added");
    assert_eq!(
        device.edit(add("Inventory/Ext", "")),
        200,
        "adding what is there unasked is as good as making it"
    );
}

#[test]
fn nodes_made_at_run_time_can_be_renamed() {
    let mut device = device();
    device.edit(add("Download/p1/PkgURL", "test:p1"));
    device.edit(add("Download/p1/Ext/x", "1"));
    device.edit(add("Download/Whitelist/w/Name", "db"));
    assert_eq!(device.edit(set("Download/p1", Property::Name, "other/name")), 200);
    device.is("Download/other%2Fname/Ext/x", "1");
    device.is("Download/other%2Fname/PkgID", "p1");
    assert_eq!(device.get("Download/p1"), Err(404));
    assert_eq!(device.edit(set("Download/other%2Fname", Property::Name, "Ext")), 418);
    assert_eq!(device.edit(set("Download/Whitelist/w", Property::Name, "v")), 200);
    device.is("Download/Whitelist/v/Name", "db");
    assert_eq!(device.edit(set("Download/Whitelist", Property::Name, "v")), 405);
    device.edit(set("Download/other%2Fname", Property::Name, "p1"));
    assert!(device.life.state.downloads[&package("p1")].leaves.pkg_id.is_empty());
    device.edit(delete("Download/Whitelist/v"));
    device.edit(exec("Download/p1/Operations/DownloadInstall"));
    assert_eq!(device.edit(set("Download/p1", Property::Name, "q")), 403, "a job works on it");
    device.life.settle();
    assert_eq!(device.edit(set("Inventory/Deployed/db", Property::Name, "q")), 405);
}

#[test]
fn properties_say_what_happened_to_a_node() {
    let mut device = device();
    assert_eq!(device.property("", Property::Name).as_deref(), Ok("SCOMO"));
    assert_eq!(device.property("", Property::Type).as_deref(), Ok("urn:oma:mo:oma-scomo:1.1"));
    assert_eq!(device.property("Ext", Property::TStamp), Err(406));
    device.edit(add("Ext/a", "1"));
    assert_eq!(device.property("Ext/a", Property::VerNo).as_deref(), Ok("1"));
    device.edit(replace("Ext/a", "2"));
    assert_eq!(device.property("Ext/a", Property::VerNo).as_deref(), Ok("2"));
    assert_eq!(device.property("Ext/a", Property::TStamp).as_deref(), Ok("19700101T000000Z"));
    assert_eq!(device.edit(set("Ext/a", Property::Title, "A title")), 200);
    assert_eq!(device.property("Ext/a", Property::Title).as_deref(), Ok("A title"));
    assert_eq!(device.edit(set("Ext/a", Property::Title, &"x".repeat(TITLE_BYTES_MAX + 1))), 413);
    assert_eq!(device.edit(set("Ext/a", Property::VerNo, "7")), 405);
    assert_eq!(device.property("Ext/a", Property::Format).as_deref(), Ok("chr"));
}

#[test]
fn values_have_the_format_of_their_node() {
    let mut device = device();
    assert_eq!(device.edit(add("Inventory/CheckUpdateFreq", "often")), 415);
    assert_eq!(device.edit(add("Inventory/CheckUpdateFreq", "-1")), 415);
    assert_eq!(device.edit(add("Inventory/CheckUpdateFreq", "7")), 200);
    assert_eq!(device.edit(add("Download/p1/Reboot", "9")), 415, "the value means nothing here");
    assert_eq!(device.edit(add("Download/p1/InstallParams", "quiet")), 415, "it is no key=value");
    assert_eq!(device.edit(add("Download/p1/InstallParams", "quiet=1")), 200);
    assert_eq!(device.edit(add("Ext/a", "a\u{0}b")), 415);
    assert_eq!(device.edit(add("Ext/a", &"x".repeat(LEAF_BYTES_MAX + 1))), 413);
    assert_eq!(device.edit(add("Inventory/Delivered/p1/Data", "x")), 500, "bytes come as a file");
    assert_eq!(device.edit(add("Download/p1/Status", "99")), 418);
    assert_eq!(device.edit(add(&format!("Ext/{}", "x".repeat(256)), "1")), 414);
    assert_eq!(device.edit(add("Ext//x", "1")), 400);
    assert_eq!(device.edit(delete("")), 405);
    assert_eq!(device.edit(Edit { uri: "./FUMO".into(), what: What::Delete }), 404);
}

#[test]
fn a_pkg_id_is_there_once() {
    let mut device = device();
    device.edit(add("Download/p1/PkgID", "a"));
    assert_eq!(device.edit(add("Inventory/Delivered/d/PkgID", "a")), 418);
    assert_eq!(device.edit(add("Inventory/Delivered/d/PkgID", "b")), 200);
    assert_eq!(device.edit(replace("Download/p1/PkgID", "b")), 418);
    assert_eq!(device.edit(delete("Download/p1/PkgID")), 405, "a package has one");
}

#[test]
fn optional_leaves_come_and_go() {
    let mut device = device();
    assert_eq!(device.edit(add("Download/p1/Name", "")), 200);
    device.is("Download/p1/Name", "");
    assert_eq!(device.edit(replace("Download/p1/Name", "N")), 200);
    device.is("Download/p1/Name", "N");
    assert_eq!(device.edit(delete("Download/p1/Name")), 200);
    assert_eq!(device.get("Download/p1/Name"), Err(404));
    assert_eq!(device.edit(delete("Download/p1")), 200);
    assert!(device.life.state.tree.is_empty());
}

#[test]
fn the_tree_has_limits() {
    let mut device = device();
    let mut made = 0;
    for chunk in 0.. {
        let edits: Vec<Edit> = (0..200).map(|n| add(&format!("Ext/n{chunk}-{n}"), "")).collect();
        match device.edits_as(&Subject::Local, &edits) {
            Ok(()) => made += 200,
            Err(refused) => {
                assert_eq!(refused, (NODES_MAX - made, 420));
                break;
            }
        }
    }
    assert_eq!(device.edit(delete("Ext/n0-0")), 200, "deleting is always possible");
    let big = "x".repeat(LEAF_BYTES_MAX);
    let fits = (0..100).take_while(|n| device.edit(add(&format!("Download/Ext/{n}"), &big)) == 200).count();
    assert!((1..20).contains(&fits), "{fits}");
}

#[test]
fn the_strict_tree_has_no_newer_nodes() {
    let mut device = device();
    device.edit(add("Download/p1/PkgURL", "test:p1"));
    device.edit(add("Download/Whitelist/w/Name", "db"));
    device.settings.version = TreeVersion::V1_0;
    device.is("Download", "p1 Ext");
    device.is("Inventory", "Delivered Deployed Ext");
    assert_eq!(device.get("Download/Whitelist/w/Name"), Err(404));
    assert_eq!(device.edit(add("Download/p1/Reboot", "1")), 405);
    assert_eq!(device.edit(add("Download/p1/Name", "N")), 200);
    assert_eq!(device.property("", Property::Type).as_deref(), Ok("urn:oma:mo:oma-scomo:1.0"));
    assert!(!device.tnds("", &Selection::default()).contains("Whitelist"));
    assert_eq!(device.install("p1"), ResultCode::INSTALL_FAILED, "the lists hold whatever is shown");
}

#[test]
fn a_sub_tree_is_serialized() {
    let mut device = device();
    device.edit(add("Ext/a/b", "<1> & \r\n2"));
    device.edit(add("Ext/c", "3"));
    device.edit(set("Ext/c", Property::Acl, "Get=s"));
    let selection =
        Selection { properties: vec![Property::Acl, Property::Format, Property::Type], values: true };
    expect_test::expect![[r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <MgmtTree xmlns="syncml:dmddf1.2">
          <VerDTD>1.2</VerDTD>
          <Node>
            <NodeName>Ext</NodeName>
            <Path>./SCOMO</Path>
            <RTProperties>
              <Format><node/></Format>
              <Type>
                <DDFName/>
              </Type>
            </RTProperties>
            <Node>
              <NodeName>a</NodeName>
              <RTProperties>
                <Format><node/></Format>
                <Type>
                  <DDFName/>
                </Type>
              </RTProperties>
              <Node>
                <NodeName>b</NodeName>
                <RTProperties>
                  <Format><chr/></Format>
                  <Type>
                    <MIME>text/plain</MIME>
                  </Type>
                </RTProperties>
                <Value>&lt;1&gt; &amp; &#13;
        2</Value>
              </Node>
            </Node>
            <Node>
              <NodeName>c</NodeName>
              <RTProperties>
                <ACL>Get=s</ACL>
                <Format><chr/></Format>
                <Type>
                  <MIME>text/plain</MIME>
                </Type>
              </RTProperties>
              <Value>3</Value>
            </Node>
          </Node>
        </MgmtTree>
    "#]]
    .assert_eq(&device.tnds("Ext", &selection));
    let as_other = {
        let subject = server("t");
        let tree = Tree::new(&device.life.state, &device.settings, &subject);
        tnds(&tree, &tree.uri("./SCOMO/Ext").unwrap(), &selection).unwrap()
    };
    assert!(!as_other.contains("<NodeName>c"), "what cannot be read is left out");
}
