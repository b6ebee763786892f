//! Objects in memory: what a test looks at and turns knobs on.

use std::collections::BTreeMap;

use scomo_lwm2m_proto::model::{Access, ObjectModel, ResourceModel};
use scomo_lwm2m_proto::path::Path;
use scomo_lwm2m_proto::value::{Entry, Kind, Resource, Value};
use scomo_lwm2m_proto::{
    Arguments, CallId, Mode, Objects, Operation, Origin, Refusal, Reply, Transaction, UploadId, Write,
};

use Access::{Bootstrap, E, R, Rw, W};
use Kind::{Boolean, Integer, Link, Opaque, Text};

const fn model(id: u16, kind: Kind, access: Access) -> ResourceModel {
    ResourceModel::new(id, kind, access)
}

pub static SECURITY: ObjectModel = ObjectModel {
    id: 0,
    version: "1.0",
    creatable: false,
    resources: &[
        model(0, Text, Bootstrap),
        model(1, Boolean, Bootstrap),
        model(2, Integer, Bootstrap),
        model(3, Opaque, Bootstrap),
        model(4, Opaque, Bootstrap),
        model(5, Opaque, Bootstrap),
        model(10, Integer, Bootstrap),
        model(11, Integer, Bootstrap),
        model(12, Integer, Bootstrap),
    ],
};
pub static SERVER: ObjectModel = ObjectModel {
    id: 1,
    version: "1.1",
    creatable: false,
    resources: &[
        model(0, Integer, R),
        model(1, Integer, Rw),
        model(2, Integer, Rw),
        model(3, Integer, Rw),
        model(4, Integer, E),
        model(5, Integer, Rw),
        model(6, Boolean, Rw),
        model(7, Text, Rw),
        model(8, Integer, E),
        model(9, Integer, E),
        model(13, Integer, Bootstrap),
        model(14, Integer, Bootstrap),
        model(15, Boolean, Bootstrap),
        model(16, Boolean, Bootstrap),
        model(17, Integer, Bootstrap),
        model(18, Integer, Bootstrap),
        model(19, Integer, Bootstrap),
        model(20, Integer, Bootstrap),
        model(23, Boolean, Rw),
    ],
};
pub static DEVICE: ObjectModel = ObjectModel {
    id: 3,
    version: "1.0",
    creatable: false,
    resources: &[
        model(0, Text, R),
        model(4, Integer, E),
        model(9, Integer, R),
        model(11, Integer, R).multiple(),
        model(15, Text, Rw),
        model(16, Text, R),
    ],
};
pub static PACKAGE: ObjectModel = ObjectModel {
    id: 9,
    version: "1.0",
    creatable: true,
    resources: &[
        model(0, Text, R),
        model(2, Opaque, W).streamed(),
        model(3, Text, W),
        model(4, Integer, E),
        model(7, Integer, R).confirmed(),
        model(8, Boolean, Rw),
        model(9, Integer, R),
        model(13, Link, Rw),
        model(17, Link, Rw).multiple(),
    ],
};

static NEWER: ObjectModel = ObjectModel { id: 19, version: "1.1", creatable: false, resources: &[] };

type Instances = BTreeMap<Path, BTreeMap<u16, Resource>>;

#[derive(Default)]
pub struct Tree {
    pub instances: Instances,
    backup: Option<Instances>,
    /// Answer with [`Reply::Later`] from now on.
    pub later: bool,
    pub calls: Vec<CallId>,
    /// Refuse everything that changes something.
    pub refuse: Option<Refusal>,
    pub denied: Vec<(u16, Path)>,
    pub executed: Vec<(Path, Arguments)>,
    pub writes: Vec<Write>,
    uploads: BTreeMap<UploadId, (Path, Vec<u8>)>,
    pub uploaded: Vec<(Path, Vec<u8>)>,
    pub opened: usize,
    pub aborted: usize,
    pub largest_chunk: usize,
    pub refuse_commit: bool,
    /// Support object 19 in a version above 1.0.
    pub newer: bool,
}

pub fn text(text: &str) -> Resource {
    Value::Text(text.to_owned()).into()
}

pub fn int(number: i64) -> Resource {
    Value::Integer(number).into()
}

pub fn yes(yes: bool) -> Resource {
    Value::Boolean(yes).into()
}

impl Tree {
    /// A device with one package.
    pub fn new() -> Self {
        let mut tree = Self::default();
        let device = [(0, text("scomo")), (9, int(80)), (15, text("UTC")), (16, text("U"))];
        tree.instances.insert(Path::instance(3, 0), device.into());
        let errors = Resource::Multiple([(0, Value::Integer(0))].into());
        tree.set(Path::resource(3, 0, 11), errors);
        tree.instances
            .insert(Path::instance(9, 0), [(0, text("")), (7, int(0)), (8, yes(false)), (9, int(0))].into());
        tree
    }

    /// Adds the account `id` of a server without encryption.
    pub fn server(mut self, id: u16) -> Self {
        let security =
            [(0, text("coap://server.example")), (1, yes(false)), (2, int(3)), (10, int(i64::from(id)))];
        self.instances.insert(Path::instance(0, id), security.into());
        let server = [(0, int(i64::from(id))), (1, int(300)), (6, yes(true)), (7, text("U"))];
        self.instances.insert(Path::instance(1, id), server.into());
        self
    }

    /// Adds the account of a bootstrap server as instance 0 of object 0.
    pub fn bootstrap_server(mut self) -> Self {
        let security = [(0, text("coap://bootstrap.example")), (1, yes(true)), (2, int(3)), (11, int(5))];
        self.instances.insert(Path::instance(0, 0), security.into());
        self
    }

    pub fn set(&mut self, path: Path, resource: impl Into<Resource>) {
        let instance = self.instances.entry(path.prefix(2)).or_default();
        instance.insert(path.resource_id().unwrap(), resource.into());
    }

    pub fn with(mut self, path: Path, resource: impl Into<Resource>) -> Self {
        self.set(path, resource);
        self
    }

    fn reply(&mut self, call: CallId) -> Reply {
        if let Some(refusal) = self.refuse {
            return Reply::Refused(refusal);
        }
        if self.later {
            self.calls.push(call);
            return Reply::Later;
        }
        Reply::Done
    }

    fn put(&mut self, entries: Vec<Entry>) {
        entries.into_iter().for_each(|Entry { path, resource }| self.set(path, resource));
    }
}

impl Objects for Tree {
    fn models(&self) -> Vec<&'static ObjectModel> {
        let mut models = vec![&SECURITY, &SERVER, &DEVICE, &PACKAGE];
        models.extend(self.newer.then_some(&NEWER));
        models
    }

    fn instances(&self, object: u16) -> Vec<u16> {
        let paths = self.instances.keys().filter(|path| path.object_id() == Some(object));
        paths.filter_map(Path::instance_id).collect()
    }

    fn resources(&self, object: u16, instance: u16) -> Vec<u16> {
        let Some(values) = self.instances.get(&Path::instance(object, instance)) else { return Vec::new() };
        let model = self.models().into_iter().find(|model| model.id == object).unwrap();
        let there =
            model.resources.iter().filter(|r| values.contains_key(&r.id) || matches!(r.access, E | W));
        there.map(|resource| resource.id).collect()
    }

    fn read(&self, path: Path) -> Result<Resource, Refusal> {
        let values = self.instances.get(&path.prefix(2)).ok_or(Refusal::NotFound)?;
        values.get(&path.resource_id().unwrap()).cloned().ok_or(Refusal::NotFound)
    }

    fn permits(&self, server: u16, _: Operation, object: u16, instance: Option<u16>) -> bool {
        let path = instance.map_or(Path::object(object), |instance| Path::instance(object, instance));
        !self.denied.contains(&(server, path))
    }

    fn write(&mut self, call: CallId, write: Write) -> Reply {
        self.writes.push(write.clone());
        let reply = self.reply(call);
        if reply == Reply::Done {
            for instance in &write.instances {
                self.instances.entry(*instance).or_default();
            }
            for entry in write.entries {
                let old = self.read(entry.path);
                match (write.mode, old, entry.resource) {
                    (Mode::Update, Ok(Resource::Multiple(mut old)), Resource::Multiple(new)) => {
                        old.extend(new);
                        self.set(entry.path, Resource::Multiple(old));
                    }
                    (_, _, resource) => self.set(entry.path, resource),
                }
            }
        }
        reply
    }

    fn execute(&mut self, call: CallId, _: u16, path: Path, arguments: &Arguments) -> Reply {
        self.executed.push((path, arguments.clone()));
        self.reply(call)
    }

    fn create(&mut self, call: CallId, _: u16, path: Path, entries: Vec<Entry>) -> Reply {
        let reply = self.reply(call);
        if reply == Reply::Done {
            self.instances.insert(path, [(7, int(0))].into());
            self.put(entries);
        }
        reply
    }

    fn delete(&mut self, call: CallId, _: Origin, path: Path) -> Reply {
        let reply = self.reply(call);
        if reply == Reply::Done {
            self.instances.remove(&path);
        }
        reply
    }

    fn open(&mut self, upload: UploadId, _: u16, path: Path, _: Option<u64>) -> Result<(), Refusal> {
        if let Some(refusal) = self.refuse {
            return Err(refusal);
        }
        self.opened += 1;
        self.set(path.prefix(2).child(7).unwrap(), int(1));
        self.uploads.insert(upload, (path, Vec::new()));
        Ok(())
    }

    fn chunk(&mut self, call: CallId, upload: UploadId, offset: u64, bytes: &[u8]) -> Reply {
        let (_, all) = self.uploads.get_mut(&upload).expect("the upload is open");
        assert_eq!(usize::try_from(offset).unwrap(), all.len(), "pieces come without gaps");
        all.extend_from_slice(bytes);
        self.largest_chunk = self.largest_chunk.max(bytes.len());
        self.reply(call)
    }

    fn close(&mut self, call: CallId, upload: UploadId) -> Reply {
        let reply = self.reply(call);
        if !matches!(reply, Reply::Refused(_)) {
            let (path, bytes) = self.uploads.remove(&upload).expect("the upload is open");
            self.set(path.prefix(2).child(7).unwrap(), int(2));
            self.uploaded.push((path, bytes));
        }
        reply
    }

    fn abort(&mut self, upload: UploadId) {
        let (path, _) = self.uploads.remove(&upload).expect("the upload is open");
        self.set(path.prefix(2).child(7).unwrap(), int(0));
        self.aborted += 1;
    }

    fn transaction(&mut self, step: Transaction) -> Result<(), Refusal> {
        match step {
            Transaction::Begin => self.backup = Some(self.instances.clone()),
            Transaction::Commit if self.refuse_commit => return Err(Refusal::NotAcceptable),
            Transaction::Commit => self.backup = None,
            Transaction::RollBack => self.instances = self.backup.take().expect("a transaction is open"),
        }
        Ok(())
    }
}
