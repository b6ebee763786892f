//! `org.scomo1.Download` as the bus sees it; what the methods do is elsewhere.
//!
//! Generated from dbus/xml by dbus/tests/codegen.rs; edit the XML and run
//! `UPDATE_EXPECT=1 cargo test -p scomo-dbus --test codegen`.

#![allow(unused_imports, reason = "not every interface uses every type")]

use scomo_dbus::{Download, Error, OptionMap};
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::{ObjectPath, OwnedFd, OwnedObjectPath, interface};

use super::super::Served;

#[interface(name = "org.scomo1.Download", introspection_docs = false)]
impl Served<Download> {
    #[zbus(out_args("job"))]
    async fn download(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<OwnedObjectPath, Error> {
        self.on_download(options, &header).await
    }

    #[zbus(out_args("job"))]
    async fn download_install(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<OwnedObjectPath, Error> {
        self.on_download_install(options, &header).await
    }

    #[zbus(out_args("job"))]
    async fn download_install_inactive(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<OwnedObjectPath, Error> {
        self.on_download_install_inactive(options, &header).await
    }

    async fn delete(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<(), Error> {
        self.on_delete(options, &header).await
    }

    #[zbus(property(emits_changed_signal = "const"), name = "PkgID")]
    fn pkg_id(&self) -> String {
        self.look(|p| p.pkg_id.clone())
    }

    #[zbus(property, name = "Name")]
    fn name(&self) -> String {
        self.look(|p| p.name.clone())
    }

    #[zbus(property, name = "PkgURL")]
    fn pkg_url(&self) -> String {
        self.look(|p| p.pkg_url.clone())
    }

    #[zbus(property, name = "Description")]
    fn description(&self) -> String {
        self.look(|p| p.description.clone())
    }

    #[zbus(property, name = "EnvType")]
    fn env_type(&self) -> String {
        self.look(|p| p.env_type.clone())
    }

    #[zbus(property, name = "PkgType")]
    fn pkg_type(&self) -> String {
        self.look(|p| p.pkg_type.clone())
    }

    #[zbus(property, name = "Status")]
    fn status(&self) -> i32 {
        self.look(|p| p.status)
    }

    #[zbus(property, name = "StatusName")]
    fn status_name(&self) -> String {
        self.look(|p| p.status_name.clone())
    }
}
