//! Messages that several tests use, and random ones.

use proptest::collection::vec;
use proptest::prelude::*;
use scomo_syncml::message::{
    Command, Cred, Format, Header, Item, Location, Message, Meta, Request, Results, Status, Verb,
};
use scomo_syncml::{Code, Encoding, Tnds, TndsNode, encode_tnds};

/// A client's first message.
pub const PACKAGE_1: &str = r#"<?xml version="1.0" encoding="UTF-8"?><SyncML xmlns="SYNCML:SYNCML1.2"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto><SessionID>A1</SessionID><MsgID>1</MsgID><Target><LocURI>https://dm.example/dm</LocURI></Target><Source><LocURI>urn:test:dev1</LocURI><LocName>dev1</LocName></Source><Cred><Meta><Format xmlns="syncml:metinf">b64</Format><Type xmlns="syncml:metinf">syncml:auth-md5</Type></Meta><Data>Zz6EivR3yeaaENcRN6lpAQ==</Data></Cred><Meta><MaxMsgSize xmlns="syncml:metinf">16384</MaxMsgSize><MaxObjSize xmlns="syncml:metinf">4194304</MaxObjSize></Meta></SyncHdr><SyncBody><Alert><CmdID>1</CmdID><Data>1201</Data></Alert><Replace><CmdID>2</CmdID><Item><Source><LocURI>./DevInfo/DevId</LocURI></Source><Data>urn:test:dev1</Data></Item><Item><Source><LocURI>./DevInfo/Lang</LocURI></Source><Data>en</Data></Item></Replace><Final/></SyncBody></SyncML>"#;

/// A client's alert with a result, as SCOMO has it.
pub const PACKAGE_3: &str = r#"<?xml version="1.0" encoding="UTF-8"?><SyncML xmlns="SYNCML:SYNCML1.2"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto><SessionID>A1</SessionID><MsgID>2</MsgID><Target><LocURI>https://dm.example/dm?sid=1&amp;x=2</LocURI></Target><Source><LocURI>urn:test:dev1</LocURI></Source></SyncHdr><SyncBody><Status><CmdID>1</CmdID><MsgRef>1</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><TargetRef>urn:test:dev1</TargetRef><SourceRef>https://dm.example/dm</SourceRef><Chal><Meta><Format xmlns="syncml:metinf">b64</Format><Type xmlns="syncml:metinf">syncml:auth-md5</Type><NextNonce xmlns="syncml:metinf">bm9uY2U=</NextNonce></Meta></Chal><Data>212</Data></Status><Status><CmdID>2</CmdID><MsgRef>1</MsgRef><CmdRef>4</CmdRef><Cmd>Get</Cmd><Data>200</Data></Status><Results><CmdID>3</CmdID><MsgRef>1</MsgRef><CmdRef>4</CmdRef><Item><Source><LocURI>./SCM</LocURI></Source><Meta><Format xmlns="syncml:metinf">node</Format></Meta><Data>Download/Inventory</Data></Item><Item><Source><LocURI>./SCM/Empty</LocURI></Source><Data/></Item></Results><Alert><CmdID>4</CmdID><Data>1226</Data><Correlator>corr42</Correlator><Item><Target><LocURI>./SCM/Inventory/Deployed/C1</LocURI></Target><Source><LocURI>./SCM/Download/P1/Operations/DownloadInstall</LocURI></Source><Meta><Format xmlns="syncml:metinf">xml</Format><Type xmlns="syncml:metinf">urn:oma:at:scomo:1.0:OperationComplete</Type><Mark xmlns="syncml:metinf">warning</Mark></Meta><Data>&lt;ResultCode&gt;1200&lt;/ResultCode&gt;&lt;Identifier&gt;c1-id&lt;/Identifier&gt;</Data></Item></Alert><Final/></SyncBody></SyncML>"#;

/// A server's package with every kind of command.
pub const PACKAGE_4: &str = r#"<?xml version="1.0" encoding="UTF-8"?><SyncML xmlns="SYNCML:SYNCML1.2"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto><SessionID>A1</SessionID><MsgID>1</MsgID><Target><LocURI>urn:test:dev1</LocURI></Target><Source><LocURI>https://dm.example/dm</LocURI></Source><RespURI>https://dm.example/dm?sid=1</RespURI></SyncHdr><SyncBody><Status><CmdID>1</CmdID><MsgRef>1</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><Data>212</Data></Status><Sequence><CmdID>2</CmdID><Add><CmdID>3</CmdID><Meta><Format xmlns="syncml:metinf">chr</Format><Type xmlns="syncml:metinf">text/plain</Type></Meta><Item><Target><LocURI>./SCM/Download/P1/PkgID</LocURI></Target><Data>p1 &lt;é€&gt;</Data></Item></Add><Copy><CmdID>4</CmdID><Item><Target><LocURI>./A</LocURI></Target><Source><LocURI>./B</LocURI></Source></Item></Copy><Atomic><CmdID>5</CmdID><Delete><CmdID>6</CmdID><Item><Target><LocURI>./A</LocURI></Target></Item></Delete></Atomic></Sequence><Exec><CmdID>7</CmdID><Correlator>c</Correlator><Item><Target><LocURI>./SCM/X</LocURI></Target></Item></Exec><Replace><CmdID>8</CmdID><Item><Target><LocURI>./SCM/D</LocURI></Target><Meta><Format xmlns="syncml:metinf">b64</Format><Size xmlns="syncml:metinf">12</Size></Meta><Data>AAEC</Data><MoreData/></Item></Replace></SyncBody></SyncML>"#;

pub const MESSAGES: [&str; 3] = [PACKAGE_1, PACKAGE_3, PACKAGE_4];

/// A serialized tree with every kind of node.
pub fn tree() -> Tnds {
    let leaf = |name: &str, format, value: &[u8]| TndsNode {
        name: name.to_owned(),
        format: Some(format),
        kind: Some("text/plain".to_owned()),
        value: Some(value.to_vec()),
        ..TndsNode::default()
    };
    let children = vec![
        leaf("Name", Format::Chr, "a <b> & é".as_bytes()),
        TndsNode {
            size: Some(2),
            title: Some("t".to_owned()),
            version: Some(7),
            ..leaf("Number", Format::Int, b"42")
        },
        TndsNode {
            timestamp: Some("20010711T163817Z".to_owned()),
            ..leaf("Data", Format::Bin, &[0, 1, 0xFF])
        },
        leaf("Empty", Format::Chr, b""),
        TndsNode { name: "Run".to_owned(), format: Some(Format::Null), ..TndsNode::default() },
    ];
    let root = TndsNode {
        name: "SCM".to_owned(),
        path: Some(".".to_owned()),
        acl: Some("Get=*&Replace=a+b".to_owned()),
        format: Some(Format::Node),
        kind: Some("urn:oma:mo:oma-scomo:1.0".to_owned()),
        children,
        ..TndsNode::default()
    };
    Tnds { manufacturer: Some("M".to_owned()), model: Some("X".to_owned()), nodes: vec![root] }
}

/// A message that brings a serialized tree.
pub fn with_tree(encoding: Encoding) -> Message {
    let format = if encoding == Encoding::Xml { Format::Xml } else { Format::Bin };
    let item = Item {
        target: Some(Location::new("./SCM")),
        meta: Some(Box::new(Meta::typed(format, encoding.tnds_type()))),
        data: Some(encode_tnds(&tree(), encoding)),
        ..Item::default()
    };
    let add = Request { id: "1".to_owned(), items: vec![item], ..Request::new(Verb::Add) };
    Message { header: header(), commands: vec![Command::Request(add)], last: true }
}

pub fn header() -> Header {
    Header {
        ver_dtd: "1.2".to_owned(),
        ver_proto: "DM/1.2".to_owned(),
        session_id: "1".to_owned(),
        msg_id: "1".to_owned(),
        target: Location::new("urn:dev"),
        source: Location::new("https://dm.example/"),
        ..Header::default()
    }
}

fn word() -> impl Strategy<Value = String> {
    "[!-~]([ -~éß€😀]{0,12}[!-~])?"
}

/// What stands between elements without meaning: no leading or trailing blanks.
fn location() -> impl Strategy<Value = Location> {
    (word(), proptest::option::of(word())).prop_map(|(uri, name)| Location { uri, name })
}

fn meta() -> impl Strategy<Value = Meta> {
    let format = prop_oneof![Just("bin"), Just("chr"), Just("node"), Just("odd")].prop_map(Format::named);
    let format = proptest::option::of(format);
    let texts = vec(proptest::option::of(word()), 3);
    let numbers = vec(proptest::option::of(any::<u64>()), 3);
    (format, texts, numbers).prop_map(|(format, texts, numbers)| Meta {
        format,
        mime: texts[0].clone(),
        mark: texts[1].clone(),
        next_nonce: texts[2].clone(),
        size: numbers[0],
        max_msg_size: numbers[1],
        max_obj_size: numbers[2],
    })
}

/// Text that XML carries, blanks and line ends included.
fn data() -> impl Strategy<Value = Vec<u8>> {
    "[\t\n\r -~é\u{2028}😀]{0,40}".prop_map(String::into_bytes)
}

fn item() -> impl Strategy<Value = Item> {
    let places = (proptest::option::of(location()), proptest::option::of(location()));
    let about = meta().prop_map(|meta| (!meta.is_empty()).then(|| Box::new(meta)));
    (places, about, proptest::option::of(data()), any::<bool>())
        .prop_map(|((target, source), meta, data, more)| Item { target, source, meta, data, more })
}

fn request() -> impl Strategy<Value = Request> {
    let verb = prop_oneof![
        Just(Verb::Add),
        Just(Verb::Replace),
        Just(Verb::Get),
        Just(Verb::Exec),
        Just(Verb::Alert)
    ];
    let leaf = (verb, word(), meta(), proptest::option::of(word()), vec(item(), 0..3)).prop_map(
        |(verb, id, meta, text, items)| Request {
            data: text.clone().filter(|_| verb == Verb::Alert),
            correlator: text,
            id,
            meta,
            items,
            ..Request::new(verb)
        },
    );
    leaf.prop_recursive(3, 8, 3, |inner| {
        let verb = prop_oneof![Just(Verb::Sequence), Just(Verb::Atomic)];
        (verb, word(), vec(inner, 0..3)).prop_map(|(verb, id, inner)| Request {
            id,
            inner,
            ..Request::new(verb)
        })
    })
}

fn command() -> impl Strategy<Value = Command> {
    let refs = || (word(), word(), word(), word());
    let status = (refs(), vec(word(), 0..3), any::<u16>(), proptest::option::of(meta()), vec(item(), 0..2))
        .prop_map(|((id, message, cmd_ref, cmd), target_refs, code, chal, items)| {
            let (msg_ref, source_refs) = (Some(message), target_refs.clone());
            let chal = chal.filter(|chal| !chal.is_empty());
            Command::Status(Status {
                id,
                msg_ref,
                cmd_ref,
                cmd,
                target_refs,
                source_refs,
                chal,
                code: Code(code),
                items,
            })
        });
    let results = (refs(), meta(), vec(item(), 1..4)).prop_map(|((id, message, cmd_ref, _), meta, items)| {
        Command::Results(Results { id, msg_ref: Some(message), cmd_ref, meta, items })
    });
    prop_oneof![request().prop_map(Command::Request), status, results]
}

/// Any message that both encodings can carry.
pub fn any_message() -> impl Strategy<Value = Message> {
    let header = (vec(word(), 5), location(), location(), proptest::option::of((meta(), word())), meta());
    let header = header.prop_map(|(texts, target, source, cred, meta)| Header {
        ver_dtd: texts[0].clone(),
        ver_proto: texts[1].clone(),
        session_id: texts[2].clone(),
        msg_id: texts[3].clone(),
        resp_uri: Some(texts[4].clone()),
        target,
        source,
        cred: cred.map(|(meta, data)| Cred { meta, data }),
        meta,
    });
    (header, vec(command(), 0..5), any::<bool>()).prop_map(|(header, commands, last)| Message {
        header,
        commands,
        last,
    })
}
