//! A server that says anything: messages cut from any bytes, one after another, in one session.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use scomo_syncml::message::Format;
use scomo_syncml::{
    Answer, Code, Config, Content, Encoding, Input, Node, NodeUri, Output, Refusal, Session, Tree, Value,
};

struct Device;

impl Tree for Device {
    fn get(&mut self, _: &NodeUri) -> Result<Node, Code> {
        Ok(Node { mime: None, content: Content::Leaf(Format::Chr, vec![b'x'; 3000]) })
    }

    fn add(&mut self, _: &NodeUri, _: Value) -> Result<(), Refusal> {
        Ok(())
    }

    fn replace(&mut self, _: &NodeUri, _: Value) -> Result<(), Refusal> {
        Err(Code::NOT_FOUND.into())
    }

    fn delete(&mut self, _: &NodeUri) -> Result<(), Code> {
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Code> {
        Ok(())
    }
}

fn config() -> Config {
    Config {
        device_id: "d".to_owned(),
        server_uri: "s".to_owned(),
        encoding: Encoding::Xml,
        string_table: false,
        session_id: "1".to_owned(),
        server_initiated: false,
        device_info: Vec::new(),
        client: None,
        server: None,
        max_message: 16 << 10,
        max_object: 64 << 10,
        response_timeout: Duration::from_secs(1),
        interaction_timeout: Duration::from_secs(1),
        messages_max: 50,
        seed: [0; 32],
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut session = Session::new(config());
    session.handle(Duration::ZERO, Input::Start, &mut Device);
    let mut bodies = bytes.split(|byte| *byte == 0);
    // The envelope is given, so that the fuzzer spends its time on commands.
    for number in 1.. {
        while let Some(output) = session.poll() {
            match output {
                Output::Ask(_) => session.handle(Duration::ZERO, Input::Answer(Answer::Yes), &mut Device),
                Output::Done(_) => return,
                Output::Send(_) | Output::Event(_) => {}
            }
        }
        let Some(body) = bodies.next() else { return };
        let mut message = format!(
            "<SyncML><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto><SessionID>1</SessionID>\
             <MsgID>{number}</MsgID><Target><LocURI>d</LocURI></Target></SyncHdr><SyncBody>"
        )
        .into_bytes();
        message.extend_from_slice(body);
        message.extend_from_slice(b"</SyncBody></SyncML>");
        session.handle(Duration::ZERO, Input::Message { body: &message, hmac: None }, &mut Device);
    }
});
