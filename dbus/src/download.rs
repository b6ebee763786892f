//! `org.scomo1.Download`.
//!
//! Generated from dbus/xml by dbus/tests/codegen.rs; edit the XML and run
//! `UPDATE_EXPECT=1 cargo test -p scomo-dbus --test codegen`.

#[allow(unused_imports, reason = "not every interface uses every type")]
use zbus::{ObjectPath, OwnedObjectPath};

use crate::properties::{Properties, PropertyMap, WrongType, put, take};
#[allow(unused_imports, reason = "not every interface uses every type")]
use crate::options::{OptionMap, Options};

/// Properties of `org.scomo1.Download`.
///
/// A Delivery Package that can be downloaded (SCOMO `Download/\<X>`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Download {
    /// SCOMO PkgID.
    pub pkg_id: String,
    /// For people.
    pub name: String,
    /// Where it is fetched from.
    pub pkg_url: String,
    /// For people.
    pub description: String,
    /// URI of the environment it is for; empty: any.
    pub env_type: String,
    /// Media type of the package; empty when not known.
    pub pkg_type: String,
    /// SCOMO Status: 10 idle, 20 download failed, 30 downloading, 40 download complete, 50 install in progress, 60 install failed and the package is kept, 70 install failed and the package is gone (not used).
    pub status: i32,
    /// Status in words: `idle`, `download-failed`, `downloading`, `downloaded`, `installing`, `install-failed`, `install-failed-no-data`.
    pub status_name: String,
}

impl Properties for Download {
    const INTERFACE: &'static str = "org.scomo1.Download";

    fn to_map(&self) -> PropertyMap {
        let mut map = PropertyMap::new();
        put(&mut map, "PkgID", self.pkg_id.clone());
        put(&mut map, "Name", self.name.clone());
        put(&mut map, "PkgURL", self.pkg_url.clone());
        put(&mut map, "Description", self.description.clone());
        put(&mut map, "EnvType", self.env_type.clone());
        put(&mut map, "PkgType", self.pkg_type.clone());
        put(&mut map, "Status", self.status);
        put(&mut map, "StatusName", self.status_name.clone());
        map
    }

    fn from_map(map: &OptionMap) -> Result<Self, WrongType> {
        Ok(Self {
            pkg_id: take(map, "PkgID")?,
            name: take(map, "Name")?,
            pkg_url: take(map, "PkgURL")?,
            description: take(map, "Description")?,
            env_type: take(map, "EnvType")?,
            pkg_type: take(map, "PkgType")?,
            status: take(map, "Status")?,
            status_name: take(map, "StatusName")?,
        })
    }
}

/// Client of `org.scomo1.Download`.
#[zbus::proxy(interface = "org.scomo1.Download", default_service = "org.scomo1", assume_defaults = false)]
pub trait Download {
    /// Fetches the package and keeps it as a delivered package.
    ///
    /// Option `request-id` (s): the same request sent again under the same id is carried out once and answers with the job that it started.
    ///
    /// Options `retry-failed` (b): also a package that failed on this device before; `ignore-window` (b): maintenance windows do not count, which needs the right to approve.
    ///
    /// Options `report-to`, `report-uri`, `report-correlator` (s): keeps a report of the end for this receiver, see Reports.
    #[zbus(allow_interactive_auth)]
    fn download(&self, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;

    /// Fetches and installs the package; its components become active.
    ///
    /// Option `request-id` (s): the same request sent again under the same id is carried out once and answers with the job that it started.
    ///
    /// Options `retry-failed` (b): also a package that failed on this device before; `ignore-window` (b): maintenance windows do not count, which needs the right to approve.
    ///
    /// Options `report-to`, `report-uri`, `report-correlator` (s): keeps a report of the end for this receiver, see Reports.
    #[zbus(allow_interactive_auth)]
    fn download_install(&self, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;

    /// Fetches and installs the package; its components stay inactive.
    ///
    /// Option `request-id` (s): the same request sent again under the same id is carried out once and answers with the job that it started.
    ///
    /// Options `retry-failed` (b): also a package that failed on this device before; `ignore-window` (b): maintenance windows do not count, which needs the right to approve.
    ///
    /// Options `report-to`, `report-uri`, `report-correlator` (s): keeps a report of the end for this receiver, see Reports.
    #[zbus(allow_interactive_auth)]
    fn download_install_inactive(&self, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;

    /// Forgets the package. Refused while a job works on it.
    ///
    /// No options are known yet.
    #[zbus(allow_interactive_auth)]
    fn delete(&self, options: Options<'_>) -> zbus::Result<()>;

    /// SCOMO PkgID.
    #[zbus(property(emits_changed_signal = "const"), name = "PkgID")]
    fn pkg_id(&self) -> zbus::Result<String>;

    /// For people.
    #[zbus(property, name = "Name")]
    fn name(&self) -> zbus::Result<String>;

    /// Where it is fetched from.
    #[zbus(property, name = "PkgURL")]
    fn pkg_url(&self) -> zbus::Result<String>;

    /// For people.
    #[zbus(property, name = "Description")]
    fn description(&self) -> zbus::Result<String>;

    /// URI of the environment it is for; empty: any.
    #[zbus(property, name = "EnvType")]
    fn env_type(&self) -> zbus::Result<String>;

    /// Media type of the package; empty when not known.
    #[zbus(property, name = "PkgType")]
    fn pkg_type(&self) -> zbus::Result<String>;

    /// SCOMO Status: 10 idle, 20 download failed, 30 downloading, 40 download complete, 50 install in progress, 60 install failed and the package is kept, 70 install failed and the package is gone (not used).
    #[zbus(property, name = "Status")]
    fn status(&self) -> zbus::Result<i32>;

    /// Status in words: `idle`, `download-failed`, `downloading`, `downloaded`, `installing`, `install-failed`, `install-failed-no-data`.
    #[zbus(property, name = "StatusName")]
    fn status_name(&self) -> zbus::Result<String>;
}
