//! Second opinions: libwbxml's converters in every option set, and xmllint against a DTD of our own.

use std::io::Write;
use std::process::{Command, Stdio};

use scomo_syncml::{Encoding, Tnds, decode, decode_tnds, encode};

use crate::samples::{self, MESSAGES};

/// What a program writes when it is given this.
pub fn pipe(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let (output, status) = run(program, arguments, input);
    assert!(status, "{program} {arguments:?}: {}", String::from_utf8_lossy(&output));
    output
}

fn run(program: &str, arguments: &[&str], input: &[u8]) -> (Vec<u8>, bool) {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child =
        command.spawn().unwrap_or_else(|error| panic!("{program}: {error}; 'make setup' installs it"));
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let failed = !output.status.success();
    (if failed { output.stderr } else { output.stdout }, !failed)
}

/// Fails unless the message follows the content models.
pub fn validate(message: &[u8]) {
    let dtd = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/all/dm.dtd");
    pipe("xmllint", &["--noout", "--nonet", "--dtdvalid", dtd, "-"], message);
}

/// Every set that one can make of these options.
fn sets<'a>(choices: &[&[&[&'a str]]]) -> Vec<Vec<&'a str>> {
    choices.iter().fold(vec![Vec::new()], |sets, choice| {
        let with = |set: &Vec<&'a str>| {
            choice.iter().map(|more| [set.as_slice(), more].concat()).collect::<Vec<_>>()
        };
        sets.iter().flat_map(with).collect()
    })
}

#[test]
fn xml2wbxml_agrees_in_every_option_set() {
    let versions: &[&[&str]] = &[&["-v", "1.0"], &["-v", "1.1"], &["-v", "1.2"], &["-v", "1.3"], &[]];
    let options = sets(&[versions, &[&[], &["-k"]], &[&[], &["-n"]], &[&[], &["-a"]]]);
    assert_eq!(options.len(), 40);
    for text in MESSAGES {
        let message = decode(text.as_bytes(), Encoding::Xml).unwrap();
        for set in &options {
            let binary = pipe("xml2wbxml", &[set.as_slice(), &["-o", "-", "-"]].concat(), text.as_bytes());
            assert_eq!(decode(&binary, Encoding::Wbxml).unwrap(), message, "{set:?}");
        }
    }
}

#[test]
fn wbxml2xml_agrees_in_every_option_set() {
    let modes: &[&[&str]] = &[&["-m", "0"], &["-m", "1"], &["-m", "1", "-i", "4"], &["-m", "2"], &[]];
    let options = sets(&[modes, &[&[], &["-k"]], &[&[], &["-l", "SYNCML12"]], &[&[], &["-c", "UTF-8"]]]);
    assert_eq!(options.len(), 40);
    for text in MESSAGES {
        let message = decode(text.as_bytes(), Encoding::Xml).unwrap();
        let binary = encode(&message, Encoding::Wbxml).unwrap();
        for set in &options {
            let back = pipe("wbxml2xml", &[set.as_slice(), &["-o", "-", "-"]].concat(), &binary);
            assert_eq!(decode(&back, Encoding::Xml).unwrap(), message, "{set:?}");
        }
    }
}

/// A tree without the binary value, which libwbxml writes into XML as it is.
fn text_tree() -> Tnds {
    let mut tree = samples::tree();
    tree.nodes[0].children.retain(|node| node.name != "Data");
    tree
}

#[test]
fn libwbxml_agrees_on_trees() {
    let xml = scomo_syncml::encode_tnds(&text_tree(), Encoding::Xml);
    let declared = [b"<?xml version=\"1.0\"?>".as_slice(), &xml].concat();
    for set in sets(&[&[&[], &["-v", "1.1"], &["-v", "1.2"]], &[&[], &["-n"]]]) {
        let binary = pipe("xml2wbxml", &[set.as_slice(), &["-o", "-", "-"]].concat(), &declared);
        assert_eq!(decode_tnds(&binary).unwrap(), text_tree(), "{set:?}");
    }
    let binary = scomo_syncml::encode_tnds(&text_tree(), Encoding::Wbxml);
    let back = pipe("wbxml2xml", &["-m", "0", "-o", "-", "-"], &binary);
    assert_eq!(decode_tnds(&back).unwrap(), text_tree());
}

#[test]
fn what_is_written_follows_the_content_models() {
    for text in MESSAGES {
        let message = decode(text.as_bytes(), Encoding::Xml).unwrap();
        validate(&encode(&message, Encoding::Xml).unwrap());
    }
    validate(&encode(&samples::with_tree(Encoding::Xml), Encoding::Xml).unwrap());
}

#[test]
fn the_content_models_can_refuse() {
    let dtd = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/all/dm.dtd");
    let swapped = MESSAGES[0].replace("<VerDTD>1.2</VerDTD>", "").replace("<SyncBody>", "<SyncBody><Final/>");
    assert!(!run("xmllint", &["--noout", "--nonet", "--dtdvalid", dtd, "-"], swapped.as_bytes()).1);
}
