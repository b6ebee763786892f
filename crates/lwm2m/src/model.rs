//! What an object is made of, as data: whoever serves an object writes its table down as a constant.

use crate::value::Kind;

/// An object and its resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectModel {
    /// Its identifier.
    pub id: u16,
    /// Its version, such as `1.1`; `1.0` is not announced.
    pub version: &'static str,
    /// Whether servers may create and delete instances. A client may still refuse each single one.
    pub creatable: bool,
    /// Its resources, in any order.
    pub resources: &'static [ResourceModel],
}

/// A resource of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourceModel {
    /// Its identifier.
    pub id: u16,
    /// Its data type; without meaning for what is only executed.
    pub kind: Kind,
    /// What servers may do with it.
    pub access: Access,
    /// Whether it holds several values.
    pub multiple: bool,
    /// How it is treated beyond its type.
    pub handling: Handling,
}

/// What servers may do with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read.
    R,
    /// Write.
    W,
    /// Read and write.
    Rw,
    /// Execute.
    E,
    /// Nothing but bootstrap.
    Bootstrap,
}

/// How a resource is treated beyond its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handling {
    /// Nothing special.
    Plain,
    /// Writes arrive in pieces, see [`crate::Objects::open`]: the value is too large for memory.
    Stream,
    /// Notifications of it are confirmable: losing one would hide a state.
    Confirmed,
}

impl ResourceModel {
    /// A resource with one value and nothing special.
    #[must_use]
    pub const fn new(id: u16, kind: Kind, access: Access) -> Self {
        Self { id, kind, access, multiple: false, handling: Handling::Plain }
    }

    /// The same with several values.
    #[must_use]
    pub const fn multiple(self) -> Self {
        Self { multiple: true, ..self }
    }

    /// The same with [`Handling::Stream`]; for opaque resources.
    #[must_use]
    pub const fn streamed(self) -> Self {
        Self { handling: Handling::Stream, ..self }
    }

    /// The same with [`Handling::Confirmed`].
    #[must_use]
    pub const fn confirmed(self) -> Self {
        Self { handling: Handling::Confirmed, ..self }
    }

    /// Whether servers may read it.
    #[must_use]
    pub const fn readable(&self) -> bool {
        matches!(self.access, Access::R | Access::Rw)
    }

    /// Whether servers may write it.
    #[must_use]
    pub const fn writable(&self) -> bool {
        matches!(self.access, Access::W | Access::Rw)
    }
}

impl ObjectModel {
    /// The resource `id`.
    #[must_use]
    pub fn resource(&self, id: u16) -> Option<&ResourceModel> {
        self.resources.iter().find(|resource| resource.id == id)
    }
}
