//! Serialized trees in both encodings.

use scomo_syncml::limits::TNDS_NODES_MAX;
use scomo_syncml::message::{Command, Format};
use scomo_syncml::{Encoding, Tnds, TndsNode, decode, decode_tnds, encode, encode_tnds};

use crate::samples;

const BOTH: [Encoding; 2] = [Encoding::Xml, Encoding::Wbxml];

#[test]
fn a_tree_comes_back_in_both_encodings() {
    for encoding in BOTH {
        let bytes = encode_tnds(&samples::tree(), encoding);
        assert_eq!(decode_tnds(&bytes).unwrap(), samples::tree(), "{encoding:?}");
    }
}

#[test]
fn a_tree_inside_a_message_comes_back() {
    for encoding in BOTH {
        let message = samples::with_tree(encoding);
        let mut back = decode(&encode(&message, encoding).unwrap(), encoding).unwrap();
        assert_eq!(back, message);
        let Command::Request(add) = back.commands.remove(0) else { panic!() };
        assert_eq!(decode_tnds(add.items[0].data.as_deref().unwrap()).unwrap(), samples::tree());
    }
}

#[test]
fn the_known_start_of_a_binary_tree_is_written() {
    let bytes = encode_tnds(&Tnds::default(), Encoding::Wbxml);
    let mut expected = b"\x02\x00\x00\x6A\x1B-//OMA//DTD-DM-DDF 1.2//EN\0".to_vec();
    expected.extend(b"\x00\x02\x60\x77\x031.2\0\x01\x01");
    assert_eq!(bytes, expected);
}

#[test]
fn text_that_xml_cannot_carry_travels_as_base64() {
    let leaf = |format| TndsNode {
        name: "a".to_owned(),
        format: Some(format),
        value: Some(vec![0x1B, b'[']),
        ..TndsNode::default()
    };
    let tree = |format| Tnds { nodes: vec![leaf(format)], ..Tnds::default() };
    let xml = encode_tnds(&tree(Format::Chr), Encoding::Xml);
    assert!(String::from_utf8(xml.clone()).unwrap().contains("<Format><b64/></Format>"));
    assert_eq!(decode_tnds(&xml).unwrap(), tree(Format::Bin));
}

#[test]
fn bad_trees_are_refused() {
    let node = |inner: &str| decode_tnds(format!("<MgmtTree><Node>{inner}</Node></MgmtTree>").as_bytes());
    assert!(
        node("<NodeName>a</NodeName><RTProperties><Format><b64/></Format></RTProperties><Value>*</Value>")
            .is_err()
    );
    assert!(node("<Value><b/></Value>").is_err());
    assert!(node("<RTProperties><VerNo>70000</VerNo></RTProperties>").is_err());
    assert!(node(&"<Node>".repeat(40)).is_err());
    assert!(decode_tnds(b"").is_err());
    assert!(decode_tnds(b"<SyncML/>").is_err());
    assert!(decode_tnds(&b"<MgmtTree>".repeat(2)).is_err());
    let many = "<Node/>".repeat(TNDS_NODES_MAX + 1);
    assert!(decode_tnds(format!("<MgmtTree>{many}</MgmtTree>").as_bytes()).is_err());
    let unknown =
        node("<NodeName> a </NodeName><Frob/><RTProperties><Format><frob/></Format></RTProperties>").unwrap();
    assert_eq!(unknown.nodes[0].format, Some(Format::Other("frob".to_owned())));
}
