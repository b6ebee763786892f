//! `org.scomo1.DeliveryPackage`.
//!
//! Generated from dbus/xml by dbus/tests/codegen.rs; edit the XML and run
//! `UPDATE_EXPECT=1 cargo test -p scomo-dbus --test codegen`.

#[allow(unused_imports, reason = "not every interface uses every type")]
use zbus::{ObjectPath, OwnedObjectPath};

use crate::properties::{Properties, PropertyMap, WrongType, put, take};
#[allow(unused_imports, reason = "not every interface uses every type")]
use crate::options::{OptionMap, Options};

/// Properties of `org.scomo1.DeliveryPackage`.
///
/// A Delivery Package that is on the device (SCOMO `Inventory/Delivered/\<X>`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryPackage {
    /// SCOMO PkgID.
    pub pkg_id: String,
    /// For people.
    pub name: String,
    /// Version that the package gives itself; empty when not known.
    pub version: String,
    /// For people.
    pub description: String,
    /// URI of the environment it is for; empty: any.
    pub env_type: String,
    /// Media type of the package; empty when not known.
    pub pkg_type: String,
    /// Where it came from.
    pub source: String,
    /// Digest of what its signature covers; empty until it was verified.
    pub digest: String,
    /// Key that verified it; empty when it was not verified yet, or when its source is allowed to be unsigned.
    pub signed_by: String,
    /// Ids of the components it holds, in switching order.
    pub components: Vec<String>,
    /// SCOMO State: 10 delivered, 20 installed.
    pub state: i32,
    /// State in words: `delivered`, `installed`.
    pub state_name: String,
    /// SCOMO Status: 10 idle, 20 remove failed, 30 remove in progress, 40 install in progress, 50 install failed and the package is kept, 60 install failed and the package is gone (not used).
    pub status: i32,
    /// Status in words: `idle`, `remove-failed`, `removing`, `installing`, `install-failed`, `install-failed-no-data`.
    pub status_name: String,
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

impl Properties for DeliveryPackage {
    const INTERFACE: &'static str = "org.scomo1.DeliveryPackage";

    fn to_map(&self) -> PropertyMap {
        let mut map = PropertyMap::new();
        put(&mut map, "PkgID", self.pkg_id.clone());
        put(&mut map, "Name", self.name.clone());
        put(&mut map, "Version", self.version.clone());
        put(&mut map, "Description", self.description.clone());
        put(&mut map, "EnvType", self.env_type.clone());
        put(&mut map, "PkgType", self.pkg_type.clone());
        put(&mut map, "Source", self.source.clone());
        put(&mut map, "Digest", self.digest.clone());
        put(&mut map, "SignedBy", self.signed_by.clone());
        put(&mut map, "Components", self.components.clone());
        put(&mut map, "State", self.state);
        put(&mut map, "StateName", self.state_name.clone());
        put(&mut map, "Status", self.status);
        put(&mut map, "StatusName", self.status_name.clone());
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
            pkg_id: take(map, "PkgID")?,
            name: take(map, "Name")?,
            version: take(map, "Version")?,
            description: take(map, "Description")?,
            env_type: take(map, "EnvType")?,
            pkg_type: take(map, "PkgType")?,
            source: take(map, "Source")?,
            digest: take(map, "Digest")?,
            signed_by: take(map, "SignedBy")?,
            components: take(map, "Components")?,
            state: take(map, "State")?,
            state_name: take(map, "StateName")?,
            status: take(map, "Status")?,
            status_name: take(map, "StatusName")?,
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

/// Client of `org.scomo1.DeliveryPackage`.
#[zbus::proxy(interface = "org.scomo1.DeliveryPackage", default_service = "org.scomo1", assume_defaults = false)]
pub trait DeliveryPackage {
    /// Installs the package; its components become active.
    ///
    /// Option `request-id` (s): the same request sent again under the same id is carried out once and answers with the job that it started.
    ///
    /// Options `retry-failed` (b): also a package that failed on this device before; `ignore-window` (b): maintenance windows do not count, which needs the right to approve.
    ///
    /// Options `report-to`, `report-uri`, `report-correlator` (s): keeps a report of the end for this receiver, see Reports.
    #[zbus(allow_interactive_auth)]
    fn install(&self, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;

    /// Installs the package; its components stay inactive.
    ///
    /// Option `request-id` (s): the same request sent again under the same id is carried out once and answers with the job that it started.
    ///
    /// Options `retry-failed` (b): also a package that failed on this device before; `ignore-window` (b): maintenance windows do not count, which needs the right to approve.
    ///
    /// Options `report-to`, `report-uri`, `report-correlator` (s): keeps a report of the end for this receiver, see Reports.
    #[zbus(allow_interactive_auth)]
    fn install_inactive(&self, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;

    /// Deletes the package. Installed components stay as they are.
    ///
    /// Option `request-id` (s): the same request sent again under the same id is carried out once and answers with the job that it started.
    ///
    /// Options `report-to`, `report-uri`, `report-correlator` (s): keeps a report of the end for this receiver, see Reports.
    #[zbus(allow_interactive_auth)]
    fn remove(&self, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;

    /// SCOMO PkgID.
    #[zbus(property(emits_changed_signal = "const"), name = "PkgID")]
    fn pkg_id(&self) -> zbus::Result<String>;

    /// For people.
    #[zbus(property, name = "Name")]
    fn name(&self) -> zbus::Result<String>;

    /// Version that the package gives itself; empty when not known.
    #[zbus(property, name = "Version")]
    fn version(&self) -> zbus::Result<String>;

    /// For people.
    #[zbus(property, name = "Description")]
    fn description(&self) -> zbus::Result<String>;

    /// URI of the environment it is for; empty: any.
    #[zbus(property, name = "EnvType")]
    fn env_type(&self) -> zbus::Result<String>;

    /// Media type of the package; empty when not known.
    #[zbus(property, name = "PkgType")]
    fn pkg_type(&self) -> zbus::Result<String>;

    /// Where it came from.
    #[zbus(property, name = "Source")]
    fn source(&self) -> zbus::Result<String>;

    /// Digest of what its signature covers; empty until it was verified.
    #[zbus(property, name = "Digest")]
    fn digest(&self) -> zbus::Result<String>;

    /// Key that verified it; empty when it was not verified yet, or when its source is allowed to be unsigned.
    #[zbus(property, name = "SignedBy")]
    fn signed_by(&self) -> zbus::Result<String>;

    /// Ids of the components it holds, in switching order.
    #[zbus(property, name = "Components")]
    fn components(&self) -> zbus::Result<Vec<String>>;

    /// SCOMO State: 10 delivered, 20 installed.
    #[zbus(property, name = "State")]
    fn state(&self) -> zbus::Result<i32>;

    /// State in words: `delivered`, `installed`.
    #[zbus(property, name = "StateName")]
    fn state_name(&self) -> zbus::Result<String>;

    /// SCOMO Status: 10 idle, 20 remove failed, 30 remove in progress, 40 install in progress, 50 install failed and the package is kept, 60 install failed and the package is gone (not used).
    #[zbus(property, name = "Status")]
    fn status(&self) -> zbus::Result<i32>;

    /// Status in words: `idle`, `remove-failed`, `removing`, `installing`, `install-failed`, `install-failed-no-data`.
    #[zbus(property, name = "StatusName")]
    fn status_name(&self) -> zbus::Result<String>;

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
