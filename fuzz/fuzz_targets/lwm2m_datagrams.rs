//! A server that says anything: datagrams cut from any bytes, one after another, to a client that it has registered.

#![no_main]

use libfuzzer_sys::fuzz_target;
use scomo_lwm2m_proto::model::{Access, ObjectModel, ResourceModel};
use scomo_lwm2m_proto::path::Path;
use scomo_lwm2m_proto::time::Millis;
use scomo_lwm2m_proto::value::{Entry, Kind, Resource, Value};
use scomo_lwm2m_proto::{
    Arguments, CallId, Client, Config, Input, Objects, Operation, Origin, Output, Peer, Refusal, Reply,
    Transaction, UploadId, Write,
};

const fn model(id: u16, kind: Kind, access: Access) -> ResourceModel {
    ResourceModel::new(id, kind, access)
}

static SECURITY: ObjectModel = ObjectModel {
    id: 0,
    version: "1.0",
    creatable: false,
    resources: &[
        model(0, Kind::Text, Access::Bootstrap),
        model(1, Kind::Boolean, Access::Bootstrap),
        model(2, Kind::Integer, Access::Bootstrap),
        model(10, Kind::Integer, Access::Bootstrap),
    ],
};
static SERVER: ObjectModel = ObjectModel {
    id: 1,
    version: "1.0",
    creatable: false,
    resources: &[
        model(0, Kind::Integer, Access::R),
        model(1, Kind::Integer, Access::Rw),
        model(8, Kind::Integer, Access::E),
    ],
};
static PACKAGE: ObjectModel = ObjectModel {
    id: 9,
    version: "1.0",
    creatable: true,
    resources: &[
        model(0, Kind::Text, Access::Rw),
        model(2, Kind::Opaque, Access::W).streamed(),
        model(4, Kind::Integer, Access::E),
        model(7, Kind::Integer, Access::R).confirmed(),
        model(17, Kind::Link, Access::Rw).multiple(),
    ],
};

/// A device that always says the same, and answers every third call later.
#[derive(Default)]
struct Device {
    calls: u32,
    later: Vec<CallId>,
}

impl Device {
    fn reply(&mut self, call: CallId) -> Reply {
        self.calls += 1;
        if self.calls % 3 == 0 {
            self.later.push(call);
            return Reply::Later;
        }
        Reply::Done
    }
}

impl Objects for Device {
    fn models(&self) -> Vec<&'static ObjectModel> {
        vec![&SECURITY, &SERVER, &PACKAGE]
    }

    fn instances(&self, _: u16) -> Vec<u16> {
        vec![1]
    }

    fn resources(&self, object: u16, _: u16) -> Vec<u16> {
        let model = self.models().into_iter().find(|model| model.id == object);
        model.into_iter().flat_map(|model| model.resources).map(|resource| resource.id).collect()
    }

    fn read(&self, path: Path) -> Result<Resource, Refusal> {
        Ok(match *path.ids() {
            [0, _, 0] => Value::Text("coap://s".to_owned()),
            [0, _, 1] => Value::Boolean(false),
            [0, _, 2] => Value::Integer(3),
            [0, _, 10] | [1, _, 0] => Value::Integer(1),
            [9, _, 0] => Value::Text("x".repeat(2000)),
            [9, _, 7] => Value::Integer(i64::from(self.calls)),
            [9, _, 17] => return Ok(Resource::Multiple([].into())),
            _ => return Err(Refusal::NotFound),
        }
        .into())
    }

    fn permits(&self, _: u16, _: Operation, _: u16, _: Option<u16>) -> bool {
        true
    }

    fn write(&mut self, call: CallId, _: Write) -> Reply {
        self.reply(call)
    }

    fn execute(&mut self, call: CallId, _: u16, _: Path, _: &Arguments) -> Reply {
        self.reply(call)
    }

    fn create(&mut self, call: CallId, _: u16, _: Path, _: Vec<Entry>) -> Reply {
        self.reply(call)
    }

    fn delete(&mut self, call: CallId, _: Origin, _: Path) -> Reply {
        self.reply(call)
    }

    fn open(&mut self, _: UploadId, _: u16, _: Path, _: Option<u64>) -> Result<(), Refusal> {
        Ok(())
    }

    fn chunk(&mut self, call: CallId, _: UploadId, _: u64, _: &[u8]) -> Reply {
        self.reply(call)
    }

    fn close(&mut self, call: CallId, _: UploadId) -> Reply {
        self.reply(call)
    }

    fn abort(&mut self, _: UploadId) {}

    fn transaction(&mut self, _: Transaction) -> Result<(), Refusal> {
        Ok(())
    }
}

/// What the client sent last.
fn drain(client: &mut Client, device: &mut Device) -> Vec<u8> {
    let mut last = Vec::new();
    while let Some(output) = client.output() {
        match output {
            Output::Connect { peer, .. } => {
                client.handle(Millis(0), Input::Connected { peer, resumed: true }, device);
            }
            Output::Datagram { bytes, .. } => last = bytes,
            Output::Close { .. } | Output::Event(_) => {}
        }
    }
    last
}

fuzz_target!(|bytes: &[u8]| {
    let mut device = Device::default();
    let Ok(mut client) = Client::new(Config::new("fuzz"), 1) else { return };
    client.handle(Millis(0), Input::Tick, &mut device);
    let register = drain(&mut client, &mut device);
    let created = [&[0x68, 0x41], &register[2..12], b"\x82rd"].concat();
    let mut now = 0;
    for datagram in std::iter::once(created.as_slice()).chain(bytes.split(|byte| *byte == 0xfe)) {
        let input = Input::Datagram { peer: Peer(1), bytes: datagram };
        client.handle(Millis(now), input, &mut device);
        drain(&mut client, &mut device);
        now += datagram.first().map_or(0, |byte| u64::from(*byte) * 10);
        client.handle(Millis(now), Input::Tick, &mut device);
        for call in std::mem::take(&mut device.later) {
            client.handle(Millis(now), Input::Completed { call, result: Ok(()) }, &mut device);
        }
        drain(&mut client, &mut device);
    }
});
