//! The door to the objects: what the client asks of whoever serves them.
//!
//! The client checks a request before it asks: paths exist, operations fit the models, values have their data types,
//! access is permitted. What is left to the objects is meaning: whether the state allows it, and doing it.

use crate::args::Arguments;
use crate::model::ObjectModel;
use crate::path::Path;
use crate::value::{Entry, Resource};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The server with this Short Server ID.
    Server(u16),
    /// The bootstrap server, or a bootstrap pack: it may write everything.
    Bootstrap,
}

/// Names a call that is answered later, with [`crate::Input::Completed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub(crate) u64);

/// Names a large value that arrives in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadId(pub(crate) u64);

/// The answer of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// It is done, durably where that matters.
    Done,
    /// The answer comes with [`crate::Input::Completed`]. Not for bootstrap, which is answered at once.
    Later,
    /// It is refused, and nothing has changed.
    Refused(Refusal),
}

/// Why an object refuses, as a server is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 4.00: the value is out of range, or the arguments make no sense.
    #[error("the request makes no sense here")]
    BadRequest,
    /// 4.01: this server may not do it.
    #[error("this server may not do that")]
    Unauthorized,
    /// 4.04: it is not there.
    #[error("there is no such thing")]
    NotFound,
    /// 4.05: not in this state, or not at all.
    #[error("that cannot be done in this state")]
    NotAllowed,
    /// 4.06: at the end of a bootstrap: the configuration contradicts itself.
    #[error("the configuration is not acceptable")]
    NotAcceptable,
    /// 4.13: there is no room for it.
    #[error("there is no room for it")]
    TooLarge,
    /// 5.00: it should work and does not.
    #[error("the device failed to do it")]
    Failed,
}

/// What a server wants to do, for access control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Read, Observe, Write-Attributes.
    Read,
    /// Write.
    Write,
    /// Execute.
    Execute,
    /// Delete.
    Delete,
    /// Create.
    Create,
    /// Discover: permitted to whoever may do anything at all.
    Discover,
}

/// How a write treats what it does not mention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// What is not mentioned below the target is reset or removed, where it is optional.
    Replace,
    /// What is not mentioned stays.
    Update,
}

/// A write. All of it is done, or nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// Who writes. For [`Origin::Bootstrap`] missing instances are created, and everything may be written.
    pub origin: Origin,
    /// What was addressed: an instance, a resource, a resource instance; the root for a composite write; an object
    /// for bootstrap.
    pub target: Path,
    /// How to treat what is not mentioned. In [`Mode::Update`] the values of a multiple resource are added to those
    /// that are there; in [`Mode::Replace`] they take their place, unless the target is one resource instance.
    pub mode: Mode,
    /// Instances that the payload names. For bootstrap, also those without any resource are created.
    pub instances: Vec<Path>,
    /// The new values.
    pub entries: Vec<Entry>,
}

/// A step of a bootstrap. Everything between begin and end is one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transaction {
    /// Writes and deletions of the bootstrap server follow. Reading shows them at once.
    Begin,
    /// Make them durable; refuse with [`Refusal::NotAcceptable`] if they cannot be used.
    Commit,
    /// Forget them.
    RollBack,
}

/// Serves the objects. Each call is short: what takes long answers [`Reply::Later`].
pub trait Objects {
    /// The objects that are supported, in the order of their identifiers. Object 0 and object 1 are among them.
    fn models(&self) -> Vec<&'static ObjectModel>;

    /// The instances of an object, in order.
    fn instances(&self, object: u16) -> Vec<u16>;

    /// The resources that an instance has, also those that can only be written or executed, in order.
    fn resources(&self, object: u16, instance: u16) -> Vec<u16>;

    /// What is in a resource. Also asked for accounts (objects 0 and 1), which no server may read.
    fn read(&self, path: Path) -> Result<Resource, Refusal>;

    /// Whether access control permits `operation`. `instance` is none for Create. [`crate::access::permits`] is the
    /// algorithm of the specification, over object 2.
    fn permits(&self, server: u16, operation: Operation, object: u16, instance: Option<u16>) -> bool;

    /// Writes values.
    fn write(&mut self, call: CallId, write: Write) -> Reply;

    /// Executes the resource `path`. The client itself executes resources 4, 8 and 9 of object 1.
    fn execute(&mut self, call: CallId, server: u16, path: Path, arguments: &Arguments) -> Reply;

    /// Creates the instance `path`, which is not there, with these values. `server` becomes its owner.
    fn create(&mut self, call: CallId, server: u16, path: Path, entries: Vec<Entry>) -> Reply;

    /// Deletes the instance `path`.
    fn delete(&mut self, call: CallId, origin: Origin, path: Path) -> Reply;

    /// A server begins to write `path`, a resource with [`crate::model::Handling::Stream`]. `size` is what it says
    /// that will come in bytes, in the encoding of its format; it may say nothing, or not the truth. While another
    /// upload of the same resource is open, refuse with [`Refusal::NotAllowed`].
    fn open(&mut self, upload: UploadId, server: u16, path: Path, size: Option<u64>) -> Result<(), Refusal>;

    /// The next bytes of it. Pieces come in order and without gaps.
    fn chunk(&mut self, call: CallId, upload: UploadId, offset: u64, bytes: &[u8]) -> Reply;

    /// All bytes have come: the value is whole.
    fn close(&mut self, call: CallId, upload: UploadId) -> Reply;

    /// No more bytes will come: forget it. Comes at most once for each upload that was opened, and never after a
    /// successful [`Self::close`].
    fn abort(&mut self, upload: UploadId);

    /// A bootstrap begins or ends.
    fn transaction(&mut self, step: Transaction) -> Result<(), Refusal>;
}
