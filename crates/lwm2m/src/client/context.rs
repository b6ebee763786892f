//! What the operations of one server see of the client, and what they leave for it to do.

use std::collections::VecDeque;

use crate::attributes::Table;
use crate::coap::message::Code;
use crate::model::{ObjectModel, ResourceModel};
use crate::objects::{CallId, Objects, Operation, UploadId};
use crate::path::Path;
use crate::time::{Millis, Random};

use super::config::{Config, Version};
use super::{Event, Output};

/// Gives every call and upload a number of its own.
#[derive(Debug, Default)]
pub(crate) struct Ids(u64);

impl Ids {
    pub(crate) fn call(&mut self) -> CallId {
        CallId(self.next())
    }

    pub(crate) fn upload(&mut self) -> UploadId {
        UploadId(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.saturating_add(1);
        self.0
    }
}

/// What an operation leaves to do once it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Something at or below the path may have another value.
    Changed(Path),
    /// The instance is new.
    Created(Path),
    /// The instance is gone.
    Deleted(Path),
    /// The server with this Short Server ID wants an update of its registration.
    Update(u16),
    /// It wants no registration for a while.
    Disable(u16),
    /// A bootstrap is wanted.
    Bootstrap,
    /// A bootstrap is committed.
    Bootstrapped,
    /// The last attempt to register with this server failed.
    Failed(u16),
}

/// What all servers of a client share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) ids: Ids,
    pub(crate) effects: Vec<Effect>,
    pub(crate) outputs: VecDeque<Output>,
    random: Random,
}

impl Shared {
    pub(crate) fn new(config: Config, seed: u64) -> Self {
        Self {
            config,
            ids: Ids::default(),
            effects: Vec::new(),
            outputs: VecDeque::new(),
            random: Random::new(seed),
        }
    }

    /// What one server sees of it, for one input.
    pub(crate) fn env<'a>(&'a mut self, now: Millis, objects: &'a mut dyn Objects) -> Env<'a> {
        Env {
            objects,
            config: &self.config,
            ids: &mut self.ids,
            effects: &mut self.effects,
            outputs: &mut self.outputs,
            random: &mut self.random,
            now,
        }
    }
}

/// What a server sees of the client.
pub(crate) struct Env<'a> {
    pub(crate) objects: &'a mut dyn Objects,
    pub(crate) config: &'a Config,
    pub(crate) ids: &'a mut Ids,
    pub(crate) effects: &'a mut Vec<Effect>,
    pub(crate) outputs: &'a mut VecDeque<Output>,
    pub(crate) random: &'a mut Random,
    pub(crate) now: Millis,
}

impl Env<'_> {
    pub(crate) fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Randomness for an association.
    pub(crate) fn fork(&mut self) -> Random {
        Random::new(self.random.next())
    }

    /// The surroundings of an operation that the server `server` asks for.
    pub(crate) fn context<'b>(
        &'b mut self,
        attributes: &'b mut Table,
        server: u16,
        version: Version,
    ) -> Context<'b> {
        Context {
            models: self.objects.models(),
            objects: &mut *self.objects,
            config: self.config,
            ids: &mut *self.ids,
            effects: &mut *self.effects,
            attributes,
            server,
            version,
            now: self.now,
        }
    }
}

/// The surroundings of an operation.
pub(crate) struct Context<'a> {
    pub(crate) objects: &'a mut dyn Objects,
    pub(crate) config: &'a Config,
    pub(crate) ids: &'a mut Ids,
    pub(crate) effects: &'a mut Vec<Effect>,
    pub(crate) attributes: &'a mut Table,
    pub(crate) models: Vec<&'static ObjectModel>,
    /// Short Server ID of the server that asks.
    pub(crate) server: u16,
    /// Version of its registration.
    pub(crate) version: Version,
    pub(crate) now: Millis,
}

impl Context<'_> {
    /// The object of a path, or 4.04.
    pub(crate) fn object(&self, path: &Path) -> Result<&'static ObjectModel, Code> {
        let found = self.models.iter().find(|model| Some(model.id) == path.object_id());
        found.copied().ok_or(Code::NOT_FOUND)
    }

    /// The resource of a path of an instance that is there, or 4.04. It need not hold a value.
    pub(crate) fn resource(&self, path: &Path) -> Result<&'static ResourceModel, Code> {
        let object = self.object(path)?;
        path.resource_id().and_then(|id| object.resource(id)).ok_or(Code::NOT_FOUND)
    }

    /// Whether the instance of a path is there, and the server may do `operation` with it (4.04 before 4.01).
    pub(crate) fn enter(&self, path: &Path, operation: Operation) -> Result<(), Code> {
        let object = self.object(path)?;
        let instance = path.instance_id();
        if instance.is_some_and(|id| !self.objects.instances(object.id).contains(&id)) {
            return Err(Code::NOT_FOUND);
        }
        if self.permits(operation, object.id, instance) { Ok(()) } else { Err(Code::UNAUTHORIZED) }
    }

    pub(crate) fn permits(&self, operation: Operation, object: u16, instance: Option<u16>) -> bool {
        self.objects.permits(self.server, operation, object, instance)
    }

    /// Whether the resource of a path is there, or 4.04.
    pub(crate) fn instantiated(&self, path: &Path) -> Result<(), Code> {
        match *path.ids() {
            [object, instance, resource, ..]
                if !self.objects.resources(object, instance).contains(&resource) =>
            {
                Err(Code::NOT_FOUND)
            }
            _ => Ok(()),
        }
    }
}
