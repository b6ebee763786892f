//! `org.scomo1.DeploymentComponent`.
//!
//! Generated from dbus/xml by dbus/tests/codegen.rs; edit the XML and run
//! `UPDATE_EXPECT=1 cargo test -p scomo-dbus --test codegen`.

#[allow(unused_imports, reason = "not every interface uses every type")]
use zbus::{ObjectPath, OwnedObjectPath};

use crate::properties::{Properties, PropertyMap, WrongType, put, take};
#[allow(unused_imports, reason = "not every interface uses every type")]
use crate::options::{OptionMap, Options};

/// Properties of `org.scomo1.DeploymentComponent`.
///
/// A Deployment Component: software that is installed (SCOMO `Inventory/Deployed/\<X>`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeploymentComponent {
    /// SCOMO ID; the same across versions.
    pub id: String,
    /// PkgID of the package it came with; empty: it came by other means.
    pub pkg_id_ref: String,
    /// For people.
    pub name: String,
    /// For people.
    pub description: String,
    /// SCOMO Version; empty: none.
    pub version: String,
    /// `os`, `container` or `files`.
    pub component_type: String,
    /// URI of the environment it is for; empty: any.
    pub env_type: String,
    /// Release id: the digest that names exactly this software with these settings.
    pub release: String,
    /// Version that a rollback would bring back; empty: none.
    pub previous_version: String,
    /// Bytes once installed; 0 when not known.
    pub size: u64,
    /// Since when this release is deployed, milliseconds since 1970.
    pub since: u64,
    /// SCOMO State: 10 inactive, 20 active.
    pub state: i32,
    /// State in words: `inactive`, `active`.
    pub state_name: String,
    /// SCOMO Status: 10 idle, 20 remove failed, 30 remove in progress, 40 activate failed, 50 activate in progress, 60 deactivate failed, 70 deactivate in progress.
    pub status: i32,
    /// Status in words: `idle`, `remove-failed`, `removing`, `activate-failed`, `activating`, `deactivate-failed`, `deactivating`.
    pub status_name: String,
    /// Why the component is not as its state says; empty: it is.
    pub message: String,
    /// The licence, as the package says.
    pub license: String,
    /// The copyright notice, as the package says.
    pub copyright: String,
    /// Who made it, as the package says.
    pub manufacturer: String,
    /// Who built it, as the package says.
    pub creator: String,
    /// When it was built, as the package says.
    pub creation_date: String,
    /// When it was released, as the package says.
    pub release_date: String,
    /// What is new, as the package says.
    pub release_notes: String,
}

impl Properties for DeploymentComponent {
    const INTERFACE: &'static str = "org.scomo1.DeploymentComponent";

    fn to_map(&self) -> PropertyMap {
        let mut map = PropertyMap::new();
        put(&mut map, "ID", self.id.clone());
        put(&mut map, "PkgIDRef", self.pkg_id_ref.clone());
        put(&mut map, "Name", self.name.clone());
        put(&mut map, "Description", self.description.clone());
        put(&mut map, "Version", self.version.clone());
        put(&mut map, "ComponentType", self.component_type.clone());
        put(&mut map, "EnvType", self.env_type.clone());
        put(&mut map, "Release", self.release.clone());
        put(&mut map, "PreviousVersion", self.previous_version.clone());
        put(&mut map, "Size", self.size);
        put(&mut map, "Since", self.since);
        put(&mut map, "State", self.state);
        put(&mut map, "StateName", self.state_name.clone());
        put(&mut map, "Status", self.status);
        put(&mut map, "StatusName", self.status_name.clone());
        put(&mut map, "Message", self.message.clone());
        put(&mut map, "License", self.license.clone());
        put(&mut map, "Copyright", self.copyright.clone());
        put(&mut map, "Manufacturer", self.manufacturer.clone());
        put(&mut map, "Creator", self.creator.clone());
        put(&mut map, "CreationDate", self.creation_date.clone());
        put(&mut map, "ReleaseDate", self.release_date.clone());
        put(&mut map, "ReleaseNotes", self.release_notes.clone());
        map
    }

    fn from_map(map: &OptionMap) -> Result<Self, WrongType> {
        Ok(Self {
            id: take(map, "ID")?,
            pkg_id_ref: take(map, "PkgIDRef")?,
            name: take(map, "Name")?,
            description: take(map, "Description")?,
            version: take(map, "Version")?,
            component_type: take(map, "ComponentType")?,
            env_type: take(map, "EnvType")?,
            release: take(map, "Release")?,
            previous_version: take(map, "PreviousVersion")?,
            size: take(map, "Size")?,
            since: take(map, "Since")?,
            state: take(map, "State")?,
            state_name: take(map, "StateName")?,
            status: take(map, "Status")?,
            status_name: take(map, "StatusName")?,
            message: take(map, "Message")?,
            license: take(map, "License")?,
            copyright: take(map, "Copyright")?,
            manufacturer: take(map, "Manufacturer")?,
            creator: take(map, "Creator")?,
            creation_date: take(map, "CreationDate")?,
            release_date: take(map, "ReleaseDate")?,
            release_notes: take(map, "ReleaseNotes")?,
        })
    }
}

/// Client of `org.scomo1.DeploymentComponent`.
#[zbus::proxy(interface = "org.scomo1.DeploymentComponent", default_service = "org.scomo1", assume_defaults = false)]
pub trait DeploymentComponent {
    /// Starts the component, or makes an OS the one that boots next.
    ///
    /// Option `request-id` (s): the same request sent again under the same id is carried out once and answers with the job that it started.
    ///
    /// Options `report-to`, `report-uri`, `report-correlator` (s): keeps a report of the end for this receiver, see Reports.
    #[zbus(allow_interactive_auth)]
    fn activate(&self, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;

    /// Stops the component; it stays installed.
    ///
    /// Option `request-id` (s): the same request sent again under the same id is carried out once and answers with the job that it started.
    ///
    /// Options `report-to`, `report-uri`, `report-correlator` (s): keeps a report of the end for this receiver, see Reports.
    #[zbus(allow_interactive_auth)]
    fn deactivate(&self, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;

    /// Stops the component and takes it off the device.
    ///
    /// Option `request-id` (s): the same request sent again under the same id is carried out once and answers with the job that it started.
    ///
    /// Options `report-to`, `report-uri`, `report-correlator` (s): keeps a report of the end for this receiver, see Reports.
    #[zbus(allow_interactive_auth)]
    fn remove(&self, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;

    /// SCOMO ID; the same across versions.
    #[zbus(property(emits_changed_signal = "const"), name = "ID")]
    fn id(&self) -> zbus::Result<String>;

    /// PkgID of the package it came with; empty: it came by other means.
    #[zbus(property, name = "PkgIDRef")]
    fn pkg_id_ref(&self) -> zbus::Result<String>;

    /// For people.
    #[zbus(property, name = "Name")]
    fn name(&self) -> zbus::Result<String>;

    /// For people.
    #[zbus(property, name = "Description")]
    fn description(&self) -> zbus::Result<String>;

    /// SCOMO Version; empty: none.
    #[zbus(property, name = "Version")]
    fn version(&self) -> zbus::Result<String>;

    /// `os`, `container` or `files`.
    #[zbus(property, name = "ComponentType")]
    fn component_type(&self) -> zbus::Result<String>;

    /// URI of the environment it is for; empty: any.
    #[zbus(property, name = "EnvType")]
    fn env_type(&self) -> zbus::Result<String>;

    /// Release id: the digest that names exactly this software with these settings.
    #[zbus(property, name = "Release")]
    fn release(&self) -> zbus::Result<String>;

    /// Version that a rollback would bring back; empty: none.
    #[zbus(property, name = "PreviousVersion")]
    fn previous_version(&self) -> zbus::Result<String>;

    /// Bytes once installed; 0 when not known.
    #[zbus(property, name = "Size")]
    fn size(&self) -> zbus::Result<u64>;

    /// Since when this release is deployed, milliseconds since 1970.
    #[zbus(property, name = "Since")]
    fn since(&self) -> zbus::Result<u64>;

    /// SCOMO State: 10 inactive, 20 active.
    #[zbus(property, name = "State")]
    fn state(&self) -> zbus::Result<i32>;

    /// State in words: `inactive`, `active`.
    #[zbus(property, name = "StateName")]
    fn state_name(&self) -> zbus::Result<String>;

    /// SCOMO Status: 10 idle, 20 remove failed, 30 remove in progress, 40 activate failed, 50 activate in progress, 60 deactivate failed, 70 deactivate in progress.
    #[zbus(property, name = "Status")]
    fn status(&self) -> zbus::Result<i32>;

    /// Status in words: `idle`, `remove-failed`, `removing`, `activate-failed`, `activating`, `deactivate-failed`, `deactivating`.
    #[zbus(property, name = "StatusName")]
    fn status_name(&self) -> zbus::Result<String>;

    /// Why the component is not as its state says; empty: it is.
    #[zbus(property, name = "Message")]
    fn message(&self) -> zbus::Result<String>;

    /// The licence, as the package says.
    #[zbus(property, name = "License")]
    fn license(&self) -> zbus::Result<String>;

    /// The copyright notice, as the package says.
    #[zbus(property, name = "Copyright")]
    fn copyright(&self) -> zbus::Result<String>;

    /// Who made it, as the package says.
    #[zbus(property, name = "Manufacturer")]
    fn manufacturer(&self) -> zbus::Result<String>;

    /// Who built it, as the package says.
    #[zbus(property, name = "Creator")]
    fn creator(&self) -> zbus::Result<String>;

    /// When it was built, as the package says.
    #[zbus(property, name = "CreationDate")]
    fn creation_date(&self) -> zbus::Result<String>;

    /// When it was released, as the package says.
    #[zbus(property, name = "ReleaseDate")]
    fn release_date(&self) -> zbus::Result<String>;

    /// What is new, as the package says.
    #[zbus(property, name = "ReleaseNotes")]
    fn release_notes(&self) -> zbus::Result<String>;
}
