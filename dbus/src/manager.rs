//! `org.scomo1.Manager`.
//!
//! Generated from dbus/xml by dbus/tests/codegen.rs; edit the XML and run
//! `UPDATE_EXPECT=1 cargo test -p scomo-dbus --test codegen`.

#[allow(unused_imports, reason = "not every interface uses every type")]
use zbus::{Fd, ObjectPath, OwnedObjectPath};

use crate::properties::{Properties, PropertyMap, WrongType, put, take};
#[allow(unused_imports, reason = "not every interface uses every type")]
use crate::options::{OptionMap, Options};

/// Properties of `org.scomo1.Manager`.
///
/// The entry: adds and installs packages, lists jobs, and says how the device is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manager {
    /// Version of the daemon.
    pub version: String,
    /// Empty: normal. Otherwise why the daemon only answers questions and changes nothing, for example a damaged database.
    pub safe_mode: String,
    /// Empty: normal. Otherwise why what happens cannot be stored at the moment, for example a full disk; the daemon tries again by itself.
    pub store_trouble: String,
    /// Release id of the booted OS; empty when it is not one that this service installed.
    pub booted: String,
    /// Whether a job waits for a reboot.
    pub pending_reboot: bool,
    /// Whether there is something for Rollback to bring back.
    pub rollback_possible: bool,
    /// Jobs that have not ended, oldest first.
    pub jobs: Vec<OwnedObjectPath>,
}

impl Properties for Manager {
    const INTERFACE: &'static str = "org.scomo1.Manager";

    fn to_map(&self) -> PropertyMap {
        let mut map = PropertyMap::new();
        put(&mut map, "Version", self.version.clone());
        put(&mut map, "SafeMode", self.safe_mode.clone());
        put(&mut map, "StoreTrouble", self.store_trouble.clone());
        put(&mut map, "Booted", self.booted.clone());
        put(&mut map, "PendingReboot", self.pending_reboot);
        put(&mut map, "RollbackPossible", self.rollback_possible);
        put(&mut map, "Jobs", self.jobs.clone());
        map
    }

    fn from_map(map: &OptionMap) -> Result<Self, WrongType> {
        Ok(Self {
            version: take(map, "Version")?,
            safe_mode: take(map, "SafeMode")?,
            store_trouble: take(map, "StoreTrouble")?,
            booted: take(map, "Booted")?,
            pending_reboot: take(map, "PendingReboot")?,
            rollback_possible: take(map, "RollbackPossible")?,
            jobs: take(map, "Jobs")?,
        })
    }
}

/// Client of `org.scomo1.Manager`.
#[zbus::proxy(interface = "org.scomo1.Manager", default_service = "org.scomo1", default_path = "/org/scomo1")]
pub trait Manager {
    /// Registers a Delivery Package that can be downloaded from `url` under the name `pkg_id`; when that is empty, a name is made from the URL. Nothing is fetched yet.
    ///
    /// URLs: `docker://host/repository:tag` or `@sha256:…`, `oci:/path[:reference]`, `file:/path/x.scomo`, `ostree+https://host/repository?ref=…`.
    ///
    /// Options `name`, `description`, `env-type`, `pkg-type` (s): what the SCOMO leaves of the same names say until the package itself says better.
    #[zbus(allow_interactive_auth)]
    fn add_download(&self, pkg_id: &str, url: &str, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;

    /// Takes a `.scomo` archive from the file descriptor `data`, read to its end, and keeps it as the delivered package `pkg_id`.
    ///
    /// Answers when the archive is on the disk; it is verified when it is installed.
    ///
    /// Options `name`, `description`, `env-type`, `pkg-type` (s): what the SCOMO leaves of the same names say until the package itself says better.
    #[zbus(allow_interactive_auth)]
    fn deliver(&self, pkg_id: &str, data: Fd<'_>, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;

    /// Downloads and installs the package at `source` in one job: AddDownload and DownloadInstall for people. A package of the same PkgID in the Download branch is replaced.
    ///
    /// Option `pkg-id` (s): the SCOMO PkgID; without it one is made from the source.
    ///
    /// Option `inactive` (b): install without starting anything.
    ///
    /// Option `download-only` (b): install nothing; the package becomes a delivered one.
    ///
    /// Option `request-id` (s): the same request sent again under the same id is carried out once and answers with the job that it started.
    #[zbus(allow_interactive_auth)]
    fn install(&self, source: &str, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;

    /// Brings back what was deployed before the last install that was confirmed, as one transaction.
    ///
    /// Option `request-id` (s): the same request sent again under the same id is carried out once and answers with the job that it started.
    #[zbus(allow_interactive_auth)]
    fn rollback(&self, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;

    /// Takes the booted OS as healthy without waiting for its health window. Refused with NothingToConfirm when no OS is on trial.
    ///
    /// No options are known yet.
    #[zbus(allow_interactive_auth)]
    fn confirm_boot(&self, options: Options<'_>) -> zbus::Result<()>;

    /// Deletes stored data that no installed release, and none kept for a rollback, needs. It also happens by itself after each job.
    ///
    /// Option `request-id` (s): the same request sent again under the same id is carried out once and answers with the job that it started.
    #[zbus(allow_interactive_auth)]
    fn collect_garbage(&self, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;

    /// The last lines of a component's output, oldest first. Only for callers that may change things: output may hold secrets.
    ///
    /// Option `lines` (u): how many, 100 without it, at most 10000.
    #[zbus(allow_interactive_auth)]
    fn logs(&self, component: &str, options: Options<'_>) -> zbus::Result<String>;

    /// Jobs that ended, newest first. Keys of an entry: `Job` (t), `Primitive`, `TargetKind`, `Target`, `User` (s), `Uid` (u), `Result` (s), `ResultCode` (u), `FailureKind`, `Message` (s), `Changed` (as), `Started` and `Finished` (t), milliseconds since 1970.
    ///
    /// Option `limit` (u): how many, 50 without it; the device remembers 200.
    #[zbus(allow_interactive_auth)]
    fn history(&self, options: Options<'_>) -> zbus::Result<Vec<OptionMap>>;

    /// A job was accepted. Its object exists when this is sent.
    #[zbus(signal)]
    fn job_new(&self, job: ObjectPath<'_>) -> zbus::Result<()>;

    /// A job ended and left `Jobs`. `result` and `code` are its Result and ResultCode. Its object stays for a while, see Job.
    #[zbus(signal)]
    fn job_removed(&self, job: ObjectPath<'_>, result: &str, code: u32) -> zbus::Result<()>;

    /// Version of the daemon.
    #[zbus(property(emits_changed_signal = "const"), name = "Version")]
    fn version(&self) -> zbus::Result<String>;

    /// Empty: normal. Otherwise why the daemon only answers questions and changes nothing, for example a damaged database.
    #[zbus(property, name = "SafeMode")]
    fn safe_mode(&self) -> zbus::Result<String>;

    /// Empty: normal. Otherwise why what happens cannot be stored at the moment, for example a full disk; the daemon tries again by itself.
    #[zbus(property, name = "StoreTrouble")]
    fn store_trouble(&self) -> zbus::Result<String>;

    /// Release id of the booted OS; empty when it is not one that this service installed.
    #[zbus(property, name = "Booted")]
    fn booted(&self) -> zbus::Result<String>;

    /// Whether a job waits for a reboot.
    #[zbus(property, name = "PendingReboot")]
    fn pending_reboot(&self) -> zbus::Result<bool>;

    /// Whether there is something for Rollback to bring back.
    #[zbus(property, name = "RollbackPossible")]
    fn rollback_possible(&self) -> zbus::Result<bool>;

    /// Jobs that have not ended, oldest first.
    #[zbus(property, name = "Jobs")]
    fn jobs(&self) -> zbus::Result<Vec<OwnedObjectPath>>;
}
