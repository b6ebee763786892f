//! `org.scomo1.Reports` as the bus sees it; what the methods do is elsewhere.
//!
//! Generated from dbus/xml by dbus/tests/codegen.rs; edit the XML and run
//! `UPDATE_EXPECT=1 cargo test -p scomo-dbus --test codegen`.

#![allow(unused_imports, reason = "not every interface uses every type")]

use scomo_dbus::{Reports, Error, OptionMap};
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::{ObjectPath, OwnedFd, OwnedObjectPath, interface};

use super::super::Served;

#[interface(name = "org.scomo1.Reports", introspection_docs = false)]
impl Served<Reports> {
    #[zbus(out_args("reports"))]
    async fn list(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<Vec<OptionMap>, Error> {
        self.on_list(options, &header).await
    }

    async fn acknowledge(&self, id: u64, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<(), Error> {
        self.on_acknowledge(id, options, &header).await
    }

    #[zbus(signal)]
    pub async fn added(emitter: &SignalEmitter<'_>, id: u64) -> zbus::Result<()>;

    #[zbus(property, name = "Pending")]
    fn pending(&self) -> u32 {
        self.look(|p| p.pending)
    }
}
