//! Messages in both encodings: what is read, what is written, what is refused.

use proptest::prelude::*;
use scomo_syncml::limits::{COMMANDS_MAX, DEPTH_MAX, ITEMS_MAX, MESSAGE_BYTES_MAX};
use scomo_syncml::message::{Command, Format, Item, Message, Request, Verb};
use scomo_syncml::{Code, Encoding, SyncmlError, decode, encode};

use crate::samples::{self, MESSAGES, PACKAGE_1, PACKAGE_3, PACKAGE_4, header};

fn xml(text: &str) -> Result<Message, SyncmlError> {
    decode(text.as_bytes(), Encoding::Xml)
}

fn wbxml(bytes: &[u8]) -> Result<Message, SyncmlError> {
    decode(bytes, Encoding::Wbxml)
}

/// A message whose body holds this.
fn body(inner: &str) -> String {
    format!("<SyncML><SyncHdr/><SyncBody>{inner}</SyncBody></SyncML>")
}

/// The commands of such a message.
fn commands(inner: &str) -> Vec<Command> {
    xml(&body(inner)).unwrap().commands
}

fn request(inner: &str) -> Request {
    match commands(inner).remove(0) {
        Command::Request(request) => request,
        other => panic!("{other:?}"),
    }
}

fn refused(result: Result<Message, SyncmlError>) -> String {
    result.expect_err("must be refused").to_string()
}

#[test]
fn what_is_written_is_what_was_read() {
    for text in MESSAGES {
        let message = xml(text).unwrap();
        assert_eq!(String::from_utf8(encode(&message, Encoding::Xml).unwrap()).unwrap(), text);
        let binary = encode(&message, Encoding::Wbxml).unwrap();
        assert_eq!(wbxml(&binary).unwrap(), message);
        // "No more than 45 % of the XML": holds for whole messages, with their long texts, too.
        assert!(binary.len() * 100 < text.len() * 45, "{} of {}", binary.len(), text.len());
    }
}

#[test]
fn every_part_of_a_message_is_seen() {
    let message = xml(PACKAGE_4).unwrap();
    assert!(!message.last && xml(PACKAGE_1).unwrap().last);
    assert_eq!(message.header.resp_uri.as_deref(), Some("https://dm.example/dm?sid=1"));
    let Command::Status(status) = &message.commands[0] else { panic!() };
    assert_eq!((status.code, status.cmd_ref.as_str(), status.cmd.as_str()), (Code(212), "0", "SyncHdr"));
    let Command::Request(sequence) = &message.commands[1] else { panic!() };
    let verbs: Vec<&Verb> = sequence.inner.iter().map(|inner| &inner.verb).collect();
    assert_eq!(verbs, [&Verb::Add, &Verb::Copy, &Verb::Atomic]);
    assert_eq!(sequence.inner[0].items[0].text(), Some("p1 <é€>"));
    assert_eq!(sequence.inner[2].inner[0].verb, Verb::Delete);
    let Command::Request(replace) = &message.commands[3] else { panic!() };
    let item = &replace.items[0];
    let meta = item.meta.as_deref().unwrap();
    assert_eq!((meta.format.clone(), meta.size, item.more), (Some(Format::B64), Some(12), true));
}

#[test]
fn the_known_start_of_a_binary_message_is_written() {
    let binary = encode(&xml(PACKAGE_1).unwrap(), Encoding::Wbxml).unwrap();
    let mut start =
        b"\x02\xA4\x01\x6A\x00\x6D\x6C\x71\x031.2\0\x01\x72\x03DM/1.2\0\x01\x65\x03A1\0\x01\x5B\x031\0\x01"
            .to_vec();
    start.extend(
        b"\x6E\x57\x03https://dm.example/dm\0\x01\x01\x67\x57\x03urn:test:dev1\0\x01\x56\x03dev1\0\x01\x01",
    );
    start.extend(b"\x4E\x5A\x00\x01\x47\x03b64\0\x01\x53\x03syncml:auth-md5\0\x01\x01\x00\x00\x4F\x03Zz6");
    assert_eq!(binary[..start.len()], start);
    assert!(binary.ends_with(b"\x12\x01\x01"));
}

#[test]
fn order_namespaces_blanks_comments_and_sections_make_no_difference() {
    let odd = r#"<?xml version='1.0'?>
        <!DOCTYPE SyncML PUBLIC "-//SYNCML//DTD SyncML 1.2//EN" "x.dtd">
        <!-- a comment --><s:SyncML xmlns:s='SYNCML:SYNCML1.2'>
        <s:SyncBody> <s:Replace><s:Item><s:Data><![CDATA[a<b]]>&amp;&#x63;</s:Data>
          <s:Meta xmlns='syncml:metinf'><Type>
             text/plain </Type><Format>chr</Format></s:Meta>
          <s:Target> ./A </s:Target></s:Item><s:CmdID> 7 </s:CmdID></s:Replace><s:Final> </s:Final></s:SyncBody>
        <s:SyncHdr><s:Source><s:LocURI>s</s:LocURI></s:Source><s:Unknown><x y="z"/></s:Unknown><s:MsgID>2</s:MsgID></s:SyncHdr>
        </s:SyncML> "#;
    let message = xml(odd).unwrap();
    assert_eq!((message.header.msg_id.as_str(), message.header.source.uri.as_str()), ("2", "s"));
    let Command::Request(replace) = &message.commands[0] else { panic!() };
    let item = &replace.items[0];
    assert_eq!((replace.id.as_str(), item.text(), message.last), ("7", Some("a<b&c"), true));
    assert_eq!(item.target.as_ref().unwrap().uri, "./A");
    let meta = item.meta.as_deref().unwrap();
    assert_eq!((meta.mime.as_deref(), meta.format.clone()), (Some("text/plain"), Some(Format::Chr)));
    let with_mark = format!("\u{feff}{}", body(""));
    assert!(xml(&with_mark).is_ok());
}

#[test]
fn samples_with_holes_are_read() {
    let Command::Status(status) = commands("<Status><Cmd>SyncHdr</Cmd><Data> 212 </Data></Status>").remove(0)
    else {
        panic!()
    };
    assert_eq!((status.cmd_ref.as_str(), status.msg_ref, status.code), ("0", None, Code(212)));
    assert_eq!(request("<Frob><CmdID>1</CmdID></Frob>").verb, Verb::Other("Frob".to_owned()));
    assert_eq!(request("<Search><CmdID>1</CmdID></Search>").verb, Verb::Other("Search".to_owned()));
    assert_eq!(request("<Get><CmdID>1</CmdID><Item><Data/></Item></Get>").items[0].data, Some(Vec::new()));
    let wrapped = request("<Add><CmdID>1</CmdID><Meta><MetInf><Type>t</Type></MetInf></Meta></Add>");
    assert_eq!(wrapped.meta.mime.as_deref(), Some("t"));
}

#[test]
fn line_ends_become_one_and_those_that_are_written_come_back() {
    assert_eq!(
        request("<Add><Item><Data>a\r\nb\rc&#13;d</Data></Item></Add>").items[0].text(),
        Some("a\nb\nc\rd")
    );
}

#[test]
fn a_tree_may_stand_as_elements() {
    let tree = "<MgmtTree xmlns='syncml:dmddf1.2'><VerDTD>1.2</VerDTD><Node><NodeName>a&amp;b</NodeName></Node></MgmtTree>";
    let request = request(&format!("<Add><CmdID>1</CmdID><Item><Data> {tree} </Data></Item></Add>"));
    let text = request.items[0].text().unwrap().trim().to_owned();
    assert_eq!(text, tree.replace('\'', "\""));
    assert!(refused(xml(&body("<Add><Item><Data><b/></Data></Item></Add>"))).contains("CDATA"));
    assert!(refused(xml(&body(&format!("<Add><Item><Data>x{tree}</Data></Item></Add>")))).contains("CDATA"));
}

#[test]
fn entities_of_ones_own_are_refused() {
    let bomb = r#"<!DOCTYPE SyncML [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>"#;
    assert!(refused(xml(&format!("{bomb}{}", body("")))).contains("of its own"));
    for entity in ["&b;", "&#0;", "&#1;", "&#xFFFE;", "&#xD800;", "&#x110000;", "&nbsp;"] {
        let text = body(&format!("<Add><Item><Data>{entity}</Data></Item></Add>"));
        assert!(refused(xml(&text)).contains("entity"), "{entity}");
    }
}

#[test]
fn xml_that_is_not_well_formed_is_refused() {
    for end in 1..PACKAGE_1.len() {
        assert!(xml(&PACKAGE_1[..end]).is_err(), "the first {end} bytes");
    }
    for bad in
        ["", " ", "x", "<SyncML/>", "<SyncML><SyncHdr/></SyncML>", "<SyncML><SyncBody/></SyncML>", "<a/>"]
    {
        assert!(xml(bad).is_err(), "{bad}");
    }
    assert!(refused(xml(&format!("{}<SyncML/>", body("")))).contains("not a"));
    assert!(refused(xml(&format!("{}x", body("")))).contains("not a"));
    assert!(xml("<SyncML><SyncHdr></SyncML></SyncHdr>").is_err());
    assert!(refused(decode(b"<SyncML>\xFF", Encoding::Xml)).contains("UTF-8"));
    assert!(refused(xml(&body("\u{0}"))).contains("control"));
    assert!(refused(xml(&body("<Status><Data>x</Data></Status>"))).contains("number"));
    assert!(refused(xml(&body("<Status><Data>65536</Data></Status>"))).contains("number"));
    assert!(refused(xml(&body("<Status/>"))).contains("no Data"));
    assert!(refused(xml(&body("<Add><Meta><Size>-1</Size></Meta></Add>"))).contains("number"));
}

#[test]
fn nesting_is_limited_in_both_encodings() {
    let nested = |depth: usize| body(&format!("{}{}", "<Atomic>".repeat(depth), "</Atomic>".repeat(depth)));
    assert!(xml(&nested(DEPTH_MAX - 2)).is_ok());
    assert!(refused(xml(&nested(DEPTH_MAX - 1))).contains("nested"));
    let unknown = format!("<SyncML>{}", "<x>".repeat(1_000_000));
    assert!(refused(xml(&unknown)).contains("nested"));
    let mut binary = b"\x02\xA4\x01\x6A\x00\x6D\x6C\x01\x6B".to_vec();
    binary.extend([0x48].repeat(1_000_000));
    assert!(refused(wbxml(&binary)).contains("nested"));
}

#[test]
fn numbers_of_commands_and_items_are_limited() {
    let many = |count: usize, what: &str| xml(&body(&what.repeat(count)));
    assert_eq!(many(COMMANDS_MAX, "<Get/>").unwrap().commands.len(), COMMANDS_MAX);
    assert!(refused(many(COMMANDS_MAX + 1, "<Get/>")).contains("commands"));
    let items = |count: usize| xml(&body(&format!("<Get>{}</Get>", "<Item/>".repeat(count))));
    assert!(items(ITEMS_MAX).is_ok());
    assert!(refused(items(ITEMS_MAX + 1)).contains("items"));
    let refs = "<TargetRef/>".repeat(ITEMS_MAX + 1);
    assert!(refused(xml(&body(&format!("<Status>{refs}<Data>200</Data></Status>")))).contains("items"));
    assert!(refused(decode(&vec![b' '; MESSAGE_BYTES_MAX + 1], Encoding::Xml)).contains("bytes"));
}

#[test]
fn a_string_of_the_table_cannot_be_repeated_without_end() {
    // One string of 64 KiB, named in three bytes each time.
    let mut binary = b"\x02\xA4\x01\x6A\x84\x80\x00".to_vec();
    binary.extend([b'a'].repeat(64 << 10));
    binary.extend(b"\x6D\x6C\x01\x6B\x54\x01");
    binary.extend(b"\x45\x54\x4F");
    binary.extend(b"\x83\x00".repeat(300));
    assert!(refused(wbxml(&binary)).contains("repetitions"));
}

/// A binary message around the content of an item's Data.
fn binary(start: &[u8], data: &[u8]) -> Vec<u8> {
    let mut binary = start.to_vec();
    binary.extend(b"\x6D\x6C\x01\x6B\x45\x54\x4F");
    binary.extend(data);
    binary.extend(b"\x01\x01\x01\x01\x01");
    binary
}

const PLAIN: &[u8] = b"\x02\xA4\x01\x6A\x00";

fn data_of(binary: &[u8]) -> Option<Vec<u8>> {
    match wbxml(binary).unwrap().commands.remove(0) {
        Command::Request(request) => request.items.into_iter().next().and_then(|item: Item| item.data),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_form_of_header_and_text_in_wbxml_is_read() {
    let formal = b"-//SYNCML//DTD SyncML 1.2//EN";
    let mut by_name = b"\x02\x00\x00\x6A\x1D".to_vec();
    by_name.extend(formal);
    for version in 0..=3 {
        assert_eq!(data_of(&binary(&[version, 0xA4, 0x01, 0x6A, 0], b"\x03ab\0")), Some(b"ab".to_vec()));
    }
    // The table of some servers is not ended by a zero.
    assert_eq!(data_of(&binary(&by_name, b"\xC3\x03a\0b")), Some(b"a\0b".to_vec()));
    assert_eq!(
        data_of(&binary(b"\x03\x01\x6A\x00", b"\x03ab\0\x02\x80\x01"[..4].as_ref())),
        Some(b"ab".to_vec())
    );
    let table = b"\x03\xA4\x01\x6A\x05ab\0cd";
    let pieces = b"\x83\x00\x83\x03\x02\x81\x69\x03x\0\x83\x05\xC3\x01y";
    assert_eq!(data_of(&binary(table, pieces)), Some("abcdéxy".as_bytes().to_vec()));
    // The page stays until it is switched, and an empty element has no end.
    let paged = b"\x02\xA4\x01\x6A\x00\x6D\x6C\x01\x6B\x45\x5A\x00\x01\x47\x03bin\0\x01\x13\x01\x00\x00\x54\x0F\x34\x01\x01\x12\x01\x01";
    let message = wbxml(paged).unwrap();
    let Command::Request(add) = &message.commands[0] else { panic!() };
    assert_eq!((add.meta.format.clone(), add.meta.mime.as_deref()), (Some(Format::Bin), Some("")));
    assert!(add.items[0].more && message.last);
}

#[test]
fn malformed_wbxml_is_refused() {
    let good = encode(&xml(PACKAGE_3).unwrap(), Encoding::Wbxml).unwrap();
    for end in 0..good.len() {
        assert!(wbxml(&good[..end]).is_err(), "the first {end} bytes");
    }
    let behind = [good, vec![1]].concat();
    assert!(refused(wbxml(&behind)).contains("behind the root"));
    let start: [(&[u8], &str); 7] = [
        (b"\x04\xA4\x01\x6A\x00", "version"),
        (b"\x02\xA4\x02\x6A\x00", "public identifier"),
        (b"\x02\x00\x00\x6A\x03abc", "public identifier"),
        (b"\x02\x00\x09\x6A\x03abc", "outside of the table"),
        (b"\x02\xA4\x01\x04\x00", "character set"),
        (b"\x02\xA4\x01\x6A\xFF\x7F", "middle of an element"),
        (b"\x02\xA4\x01\x6A\xFF\xFF\xFF\xFF\x7F", "32 bits"),
    ];
    for (start, reason) in start {
        assert!(refused(wbxml(&binary(start, b""))).contains(reason), "{reason}");
    }
    let data: [(&[u8], &str); 14] = [
        (b"\x30", "unknown tag"),
        (b"\x00\x03\x05", "unknown tag"),
        (b"\x00\x02\x3D", "unknown tag"),
        (b"\xC5", "attributes"),
        (b"\x04\x00", "does not use"),
        (b"\x44\x00", "does not use"),
        (b"\x43", "does not use"),
        (b"\xC0", "does not use"),
        (b"\x81\x00", "does not use"),
        (b"\x02\x00", "no character"),
        (b"\x02\x83\xB0\x00", "no character"),
        (b"\x03\xFF\0", "not UTF-8"),
        (b"\x83\x01", "outside of the table"),
        (b"\xC3\xFF\x7Fabc", "middle of an element"),
    ];
    for (data, reason) in data {
        assert!(refused(wbxml(&binary(PLAIN, data))).contains(reason), "{reason} {data:?}");
    }
    assert!(refused(wbxml(b"\x02\xA4\x01\x6A\x00\x03a\0")).contains("outside of the root"));
    assert!(refused(wbxml(b"\x02\xA4\x01\x6A\x00\x01")).contains("without a start"));
    assert!(refused(wbxml(b"\x02\xA4\x01\x6A\x00\x6C\x01")).contains("not a SyncML"));
}

#[test]
fn binary_data_is_not_bent_into_xml() {
    let item = |data: &[u8]| Item { data: Some(data.to_vec()), ..Item::default() };
    for bad in [&[0xFF][..], b"a\0b", b"\x1B[m", "\u{fffe}".as_bytes()] {
        let add = Request { items: vec![item(bad)], ..Request::new(Verb::Add) };
        let message = Message { header: header(), commands: vec![Command::Request(add)], last: true };
        assert!(matches!(encode(&message, Encoding::Xml), Err(SyncmlError::Binary)));
        assert_eq!(wbxml(&encode(&message, Encoding::Wbxml).unwrap()).unwrap(), message);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_message_comes_back(message in samples::any_message()) {
        for encoding in [Encoding::Xml, Encoding::Wbxml] {
            let bytes = encode(&message, encoding).unwrap();
            prop_assert_eq!(decode(&bytes, encoding).unwrap(), message.clone());
        }
    }

    #[test]
    fn rubbish_is_refused_quietly(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes, Encoding::Xml);
        let _ = wbxml(&[PLAIN, &bytes].concat());
    }
}
