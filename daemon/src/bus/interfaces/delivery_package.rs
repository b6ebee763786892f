//! `org.scomo1.DeliveryPackage` as the bus sees it; what the methods do is elsewhere.
//!
//! Generated from dbus/xml by dbus/tests/codegen.rs; edit the XML and run
//! `UPDATE_EXPECT=1 cargo test -p scomo-dbus --test codegen`.

#![allow(unused_imports, reason = "not every interface uses every type")]

use scomo_dbus::{DeliveryPackage, Error, OptionMap};
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::{ObjectPath, OwnedFd, OwnedObjectPath, interface};

use super::super::Served;

#[interface(name = "org.scomo1.DeliveryPackage", introspection_docs = false)]
impl Served<DeliveryPackage> {
    #[zbus(out_args("job"))]
    async fn install(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<OwnedObjectPath, Error> {
        self.on_install(options, &header).await
    }

    #[zbus(out_args("job"))]
    async fn install_inactive(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<OwnedObjectPath, Error> {
        self.on_install_inactive(options, &header).await
    }

    #[zbus(out_args("job"))]
    async fn remove(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<OwnedObjectPath, Error> {
        self.on_remove(options, &header).await
    }

    #[zbus(property(emits_changed_signal = "const"), name = "PkgID")]
    fn pkg_id(&self) -> String {
        self.look(|p| p.pkg_id.clone())
    }

    #[zbus(property, name = "Name")]
    fn name(&self) -> String {
        self.look(|p| p.name.clone())
    }

    #[zbus(property, name = "Version")]
    fn version(&self) -> String {
        self.look(|p| p.version.clone())
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

    #[zbus(property, name = "Source")]
    fn source(&self) -> String {
        self.look(|p| p.source.clone())
    }

    #[zbus(property, name = "Digest")]
    fn digest(&self) -> String {
        self.look(|p| p.digest.clone())
    }

    #[zbus(property, name = "SignedBy")]
    fn signed_by(&self) -> String {
        self.look(|p| p.signed_by.clone())
    }

    #[zbus(property, name = "Components")]
    fn components(&self) -> Vec<String> {
        self.look(|p| p.components.clone())
    }

    #[zbus(property, name = "State")]
    fn state(&self) -> i32 {
        self.look(|p| p.state)
    }

    #[zbus(property, name = "StateName")]
    fn state_name(&self) -> String {
        self.look(|p| p.state_name.clone())
    }

    #[zbus(property, name = "Status")]
    fn status(&self) -> i32 {
        self.look(|p| p.status)
    }

    #[zbus(property, name = "StatusName")]
    fn status_name(&self) -> String {
        self.look(|p| p.status_name.clone())
    }

    #[zbus(property, name = "License")]
    fn license(&self) -> String {
        self.look(|p| p.license.clone())
    }

    #[zbus(property, name = "Copyright")]
    fn copyright(&self) -> String {
        self.look(|p| p.copyright.clone())
    }

    #[zbus(property, name = "Manufacturer")]
    fn manufacturer(&self) -> String {
        self.look(|p| p.manufacturer.clone())
    }

    #[zbus(property, name = "Creator")]
    fn creator(&self) -> String {
        self.look(|p| p.creator.clone())
    }

    #[zbus(property, name = "CreationDate")]
    fn creation_date(&self) -> String {
        self.look(|p| p.creation_date.clone())
    }

    #[zbus(property, name = "ReleaseDate")]
    fn release_date(&self) -> String {
        self.look(|p| p.release_date.clone())
    }

    #[zbus(property, name = "ReleaseNotes")]
    fn release_notes(&self) -> String {
        self.look(|p| p.release_notes.clone())
    }
}
