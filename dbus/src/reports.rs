//! `org.scomo1.Reports`.
//!
//! Generated from dbus/xml by dbus/tests/codegen.rs; edit the XML and run
//! `UPDATE_EXPECT=1 cargo test -p scomo-dbus --test codegen`.

#[allow(unused_imports, reason = "not every interface uses every type")]
use zbus::{ObjectPath, OwnedObjectPath};

use crate::properties::{Properties, PropertyMap, WrongType, put, take};
#[allow(unused_imports, reason = "not every interface uses every type")]
use crate::options::{OptionMap, Options};

/// Properties of `org.scomo1.Reports`.
///
/// The outbox: how jobs ended whose caller wanted to be told (options `report-to` and the like). A report stays, also over restarts, until it is acknowledged; of more than 256 the oldest goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reports {
    /// How many reports nobody acknowledged.
    pub pending: u32,
}

impl Properties for Reports {
    const INTERFACE: &'static str = "org.scomo1.Reports";

    fn to_map(&self) -> PropertyMap {
        let mut map = PropertyMap::new();
        put(&mut map, "Pending", self.pending);
        map
    }

    fn from_map(map: &OptionMap) -> Result<Self, WrongType> {
        Ok(Self {
            pending: take(map, "Pending")?,
        })
    }
}

/// Client of `org.scomo1.Reports`.
#[zbus::proxy(interface = "org.scomo1.Reports", default_service = "org.scomo1", default_path = "/org/scomo1")]
pub trait Reports {
    /// The reports that nobody acknowledged, oldest first. Keys of a report: `Id`, `Job`, `Time` (t, milliseconds since 1970), `To`, `Uri`, `Correlator`, `Primitive`, `Identifier` (s: SCOMO PkgID or component ID), `ResultCode` (u), `Nodes` (as: paths of the objects that the job made).
    ///
    /// Option `to` (s): only those for this receiver.
    #[zbus(allow_interactive_auth)]
    fn list(&self, options: Options<'_>) -> zbus::Result<Vec<OptionMap>>;

    /// Says that a report arrived where it was meant to. Refused with UnknownReport when there is none.
    ///
    /// No options are known yet.
    #[zbus(allow_interactive_auth)]
    fn acknowledge(&self, id: u64, options: Options<'_>) -> zbus::Result<()>;

    /// A report came in. It is in the list when this is sent.
    #[zbus(signal)]
    fn added(&self, id: u64) -> zbus::Result<()>;

    /// How many reports nobody acknowledged.
    #[zbus(property, name = "Pending")]
    fn pending(&self) -> zbus::Result<u32>;
}
