//! The node table against the facts of the specification, and the documents that are made of it.
//!
//! `data/scomo-nodes.tsv` holds what the DDFs of SCOMO 1.0 and 1.1 say of each node. The generated document is
//! `docs/generated/tree.md`; the test fails when it drifts (`UPDATE_EXPECT=1` writes it anew).

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use roxmltree::{Document, Node, ParsingOptions};
use scomo_core::tree::export::{ddf, device_ddf};
use scomo_core::tree::nodes::{Branch, NODES};
use scomo_core::tree::{Settings, TreeVersion};

/// What is said of a node: status, occurrence, format, access, type.
type Facts = [String; 5];

fn specified(version: TreeVersion) -> BTreeMap<String, Facts> {
    let text = include_str!("data/scomo-nodes.tsv");
    let first = if version == TreeVersion::V1_0 { 1 } else { 5 };
    let rows = text.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    rows.filter(|row| row[first] != "-")
        .map(|row| {
            let [status, occurrence, format, access] = [0, 1, 2, 3].map(|i| row[first + i].to_owned());
            (row[0].to_owned(), [status, occurrence, format, access, row[9].to_owned()])
        })
        .collect()
}

/// What a DDF says, by path.
fn described(text: &str) -> BTreeMap<String, Facts> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).unwrap();
    let mut facts = BTreeMap::new();
    let tree = document.root_element();
    assert_eq!(child(tree, "VerDTD").text(), Some("1.2"));
    collect(child(tree, "Node"), "", &mut facts);
    facts
}

fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Node<'a, 'i> {
    let mut named = node.children().filter(|child| child.has_tag_name(name));
    let first = named.next().unwrap_or_else(|| panic!("no {name}"));
    assert!(named.next().is_none() || name == "Node", "one {name}");
    first
}

fn collect(node: Node<'_, '_>, above: &str, facts: &mut BTreeMap<String, Facts>) {
    let name = child(node, "NodeName").text().filter(|_| !above.is_empty()).unwrap_or("<X>");
    let path = if above.is_empty() { name.to_owned() } else { format!("{above}/{name}") };
    let status = node.children().find(Node::is_comment).and_then(|c| c.text()).unwrap();
    let properties = child(node, "DFProperties");
    let names = |of: &str| {
        let elements = child(properties, of).children().filter(Node::is_element);
        elements.map(|e| e.tag_name().name().to_owned()).collect::<BTreeSet<_>>()
    };
    let one = |of: &str| names(of).into_iter().next().unwrap();
    let kind = child(properties, "DFType").children().find(Node::is_element).unwrap();
    let access = names("AccessType").into_iter().collect::<Vec<_>>().join("|");
    let of_type = format!("{}:{}", kind.tag_name().name(), kind.text().unwrap_or_default());
    let status = status.strip_prefix("Status: ").unwrap().to_owned();
    let twice = facts.insert(path.clone(), [status, one("Occurrence"), one("DFFormat"), access, of_type]);
    assert!(twice.is_none(), "{path} is there once");
    for below in node.children().filter(|child| child.has_tag_name("Node")) {
        collect(below, &path, facts);
    }
}

#[test]
fn the_table_is_the_ddf_of_1_1() {
    let specified = specified(TreeVersion::V1_1);
    assert_eq!(specified.len(), 107);
    let described = described(&ddf(TreeVersion::V1_1));
    for (path, facts) in &specified {
        assert_eq!(described.get(path), Some(facts), "{path}");
    }
    assert_eq!(described, specified);
}

#[test]
fn the_nodes_of_1_0_are_those_of_the_strict_tree() {
    let (specified, described) = (specified(TreeVersion::V1_0), described(&ddf(TreeVersion::V1_0)));
    assert_eq!(described.keys().collect::<Vec<_>>(), specified.keys().collect::<Vec<_>>());
    assert_eq!(specified.len(), 54);
    for (path, [status, occurrence, format, access, _]) in &specified {
        let [our_status, our_occurrence, our_format, our_access, _] = &described[path];
        assert_eq!((our_status, our_format), (status, format), "{path}");
        if path != "<X>/Inventory/Delivered/<X>" {
            assert_eq!(our_occurrence, occurrence, "{path}");
        }
        let ours: Vec<&str> = our_access.split('|').collect();
        let kept = access == "No Get" || access.split('|').all(|wanted| ours.contains(&wanted));
        assert!(kept, "{path}: no access type of 1.0 is missing");
    }
    assert_eq!(described["<X>"][4], "DDFName:urn:oma:mo:oma-scomo:1.0");
}

#[test]
fn the_device_takes_what_is_specified_and_more() {
    let settings = Settings { root: "./Vendor/SCOMO".into(), ..Settings::default() };
    let text = device_ddf(&settings);
    let described = described(&text);
    for (path, [_, _, format, access, _]) in specified(TreeVersion::V1_1) {
        let [_, _, our_format, our_access, _] = &described[&path];
        assert_eq!(*our_format, format);
        let ours: Vec<&str> = our_access.split('|').collect();
        assert!(access.split('|').all(|wanted| ours.contains(&wanted)), "{path}");
    }
    assert_eq!(described["<X>/Inventory/Delivered/<X>"][1], "ZeroOrMore");
    assert_eq!(described["<X>/Download/<X>"][3], "Add|Delete|Get");
    assert!(text.contains("<NodeName>SCOMO</NodeName>") && text.contains("<Path>./Vendor</Path>"));
}

#[test]
fn every_row_is_reached_from_the_root() {
    fn count(branch: &'static Branch) -> usize {
        1 + branch.children.iter().map(count).sum::<usize>()
    }
    assert_eq!(count(Branch::root()), NODES.len());
    for node in &NODES {
        assert!(!node.title.is_empty() && !node.title.ends_with('.'), "{}", node.path);
    }
}

fn document() -> String {
    let mut text = String::from(
        "# Nodes of the SCOMO tree\n\nGenerated by `cargo test -p scomo-core --test nodes`; do not edit.\n\n\
         Access: commands of the 1.1 DDF, then in brackets those that this client takes beside\n\
         (Add and Delete of the node itself). Why: [scomo-1.1.md](../scomo-1.1.md).\n\
         Status and occurrence are those of the 1.1 DDF; *new* nodes are not in the 1.0 tree.\n\n\
         | Node below the SCOMO root | Format | Status | Occurrence | Access | What it is |\n\
         |---|---|---|---|---|---|\n",
    );
    for node in &NODES {
        let path = if node.path.is_empty() { "(root)" } else { node.path };
        let new = if node.since == TreeVersion::V1_1 { " *new*" } else { "" };
        let status = if node.required { "Required" } else { "Optional" };
        let join = |names: Vec<&str>| names.join(" ");
        let mut access = join(node.access.names().collect());
        let extra = join(node.extra.names().collect());
        if !extra.is_empty() {
            write!(access, " [{extra}]").unwrap();
        }
        let (format, occurrence) = (node.format.as_str(), node.occurrence.as_str());
        writeln!(text, "| `{path}`{new} | {format} | {status} | {occurrence} | {access} | {} |", node.title)
            .unwrap();
    }
    text
}

#[test]
fn the_document_is_up_to_date() {
    expect_test::expect_file!["../../../docs/generated/tree.md"].assert_eq(&document());
}
