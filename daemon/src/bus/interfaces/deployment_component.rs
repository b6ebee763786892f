//! `org.scomo1.DeploymentComponent` as the bus sees it; what the methods do is elsewhere.
//!
//! Generated from dbus/xml by dbus/tests/codegen.rs; edit the XML and run
//! `UPDATE_EXPECT=1 cargo test -p scomo-dbus --test codegen`.

#![allow(unused_imports, reason = "not every interface uses every type")]

use scomo_dbus::{DeploymentComponent, Error, OptionMap};
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::{ObjectPath, OwnedFd, OwnedObjectPath, interface};

use super::super::Served;

#[interface(name = "org.scomo1.DeploymentComponent", introspection_docs = false)]
impl Served<DeploymentComponent> {
    #[zbus(out_args("job"))]
    async fn activate(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<OwnedObjectPath, Error> {
        self.on_activate(options, &header).await
    }

    #[zbus(out_args("job"))]
    async fn deactivate(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<OwnedObjectPath, Error> {
        self.on_deactivate(options, &header).await
    }

    #[zbus(out_args("job"))]
    async fn remove(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<OwnedObjectPath, Error> {
        self.on_remove(options, &header).await
    }

    #[zbus(property(emits_changed_signal = "const"), name = "ID")]
    fn id(&self) -> String {
        self.look(|p| p.id.clone())
    }

    #[zbus(property, name = "PkgIDRef")]
    fn pkg_id_ref(&self) -> String {
        self.look(|p| p.pkg_id_ref.clone())
    }

    #[zbus(property, name = "Name")]
    fn name(&self) -> String {
        self.look(|p| p.name.clone())
    }

    #[zbus(property, name = "Description")]
    fn description(&self) -> String {
        self.look(|p| p.description.clone())
    }

    #[zbus(property, name = "Version")]
    fn version(&self) -> String {
        self.look(|p| p.version.clone())
    }

    #[zbus(property, name = "ComponentType")]
    fn component_type(&self) -> String {
        self.look(|p| p.component_type.clone())
    }

    #[zbus(property, name = "EnvType")]
    fn env_type(&self) -> String {
        self.look(|p| p.env_type.clone())
    }

    #[zbus(property, name = "Release")]
    fn release(&self) -> String {
        self.look(|p| p.release.clone())
    }

    #[zbus(property, name = "PreviousVersion")]
    fn previous_version(&self) -> String {
        self.look(|p| p.previous_version.clone())
    }

    #[zbus(property, name = "Size")]
    fn size(&self) -> u64 {
        self.look(|p| p.size)
    }

    #[zbus(property, name = "Since")]
    fn since(&self) -> u64 {
        self.look(|p| p.since)
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

    #[zbus(property, name = "Message")]
    fn message(&self) -> String {
        self.look(|p| p.message.clone())
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
