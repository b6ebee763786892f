//! `org.scomo1.Manager`.
//!
//! Generated from dbus/xml by dbus/tests/codegen.rs; edit the XML and run
//! `UPDATE_EXPECT=1 cargo test -p scomo-dbus --test codegen`.

#[allow(unused_imports, reason = "not every interface uses every type")]
use zbus::{Fd, OwnedFd, ObjectPath, OwnedObjectPath};

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
    /// Whether the device is to be restarted, for a job that waits for it or for one that ended.
    pub reboot_wanted: bool,
    /// For people: what a restart that is wanted waits for; empty: nothing, or none is wanted.
    pub reboot_waits_for: String,
    /// Who holds updates back, oldest first: what, who, why, user id, process id, since (milliseconds since 1970).
    pub inhibitors: Vec<(String, String, String, u32, u32, u64)>,
    /// Agents through which people can be asked.
    pub agents: u32,
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
        put(&mut map, "RebootWanted", self.reboot_wanted);
        put(&mut map, "RebootWaitsFor", self.reboot_waits_for.clone());
        put(&mut map, "Inhibitors", self.inhibitors.clone());
        put(&mut map, "Agents", self.agents);
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
            reboot_wanted: take(map, "RebootWanted")?,
            reboot_waits_for: take(map, "RebootWaitsFor")?,
            inhibitors: take(map, "Inhibitors")?,
            agents: take(map, "Agents")?,
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
    ///
    /// Options `install-params` (s), `key=value;key=value`, and `reboot` (i): the SCOMO leaves InstallParams and Reboot; what they may hold is a matter of the device's policy.
    #[zbus(allow_interactive_auth)]
    fn add_download(&self, pkg_id: &str, url: &str, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;

    /// Takes a `.scomo` archive from the file descriptor `data`, read to its end, and keeps it as the delivered package `pkg_id`.
    ///
    /// Answers when the archive is on the disk; it is verified when it is installed.
    ///
    /// Options `name`, `description`, `env-type`, `pkg-type` (s): what the SCOMO leaves of the same names say until the package itself says better.
    ///
    /// Options `install-params` (s), `key=value;key=value`, and `reboot` (i): the SCOMO leaves InstallParams and Reboot; what they may hold is a matter of the device's policy.
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
    ///
    /// Options `retry-failed` (b): also a package that failed on this device before; `ignore-window` (b): maintenance windows do not count, which needs the right to approve.
    ///
    /// Options `report-to`, `report-uri`, `report-correlator` (s): keeps a report of the end for this receiver, see Reports.
    #[zbus(allow_interactive_auth)]
    fn install(&self, source: &str, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;

    /// Brings back what was deployed before the last install that was confirmed, as one transaction.
    ///
    /// Option `request-id` (s): the same request sent again under the same id is carried out once and answers with the job that it started.
    ///
    /// Options `report-to`, `report-uri`, `report-correlator` (s): keeps a report of the end for this receiver, see Reports.
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

    /// Holds updates back until the last copy of `lock` is closed, by whatever end of the program. `what` is `download`, `install`, `reboot`, or several of them with colons between; `why` is shown to people. What is under way already goes on.
    ///
    /// Option `who` (s): name of the program, for people; without it the name of the user.
    ///
    /// At most 32 of one user and 128 in all.
    #[zbus(allow_interactive_auth)]
    fn inhibit(&self, what: &str, why: &str, options: Options<'_>) -> zbus::Result<OwnedFd>;

    /// Makes the caller's object `path`, which has the interface Agent, the one that people are asked through, until the caller leaves the bus. Of several agents the newest is asked first.
    ///
    /// No options are known yet.
    #[zbus(allow_interactive_auth)]
    fn register_agent(&self, path: ObjectPath<'_>, options: Options<'_>) -> zbus::Result<()>;

    /// Asks people through an agent. `kind` is `display`, `confirm`, `input` or `choice`; `choices` is for the last one.
    ///
    /// Keys of the answer: `Answered` (b), and, as the kind has it, `Yes` (b), `Text` (s) or `Chosen` (au). When no agent is there, or none answers in time, `Answered` is false and the others are what `default` says, if it is given.
    ///
    /// Options `timeout-s` (u): 60 without it, at most 600; `default` (b, s or au); `multiple`, `hidden` (b); `max-length` (u): see Agent.
    #[zbus(allow_interactive_auth)]
    fn ask_user(&self, kind: &str, text: &str, choices: &[&str], options: Options<'_>) -> zbus::Result<OptionMap>;

    /// Lets a job that waits for permission, or for a restart, go on: windows, approval and consent do not count for it any more. Inhibitors and hooks do. Refused with WrongState when it does not wait.
    ///
    /// No options are known yet.
    #[zbus(allow_interactive_auth)]
    fn approve(&self, job: u64, options: Options<'_>) -> zbus::Result<()>;

    /// Ends a job that waits for permission, with SCOMO result code 1401. Refused with WrongState when it does not wait.
    ///
    /// Option `reason` (s): for people.
    #[zbus(allow_interactive_auth)]
    fn refuse(&self, job: u64, options: Options<'_>) -> zbus::Result<()>;

    /// Restarts the device now, whether an update wants it or not. Refused with Busy while a job works, and with Inhibited while somebody holds it back or a hook refuses.
    ///
    /// Option `ignore-inhibitors` (b): nobody holds it back.
    #[zbus(allow_interactive_auth)]
    fn reboot(&self, options: Options<'_>) -> zbus::Result<()>;

    /// How the device is configured to update itself. Keys: `Download`, `Install`, `Reboot` (s): when, as in the configuration; `Windows` (as) and `TimeZone` (s); `WindowOpen` (b); `NextWindow` (t), when the next one opens, milliseconds since 1970, 0: one is open or there is none.
    ///
    /// No options are known yet.
    #[zbus(allow_interactive_auth)]
    fn policy(&self, options: Options<'_>) -> zbus::Result<OptionMap>;

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

    /// Whether the device is to be restarted, for a job that waits for it or for one that ended.
    #[zbus(property, name = "RebootWanted")]
    fn reboot_wanted(&self) -> zbus::Result<bool>;

    /// For people: what a restart that is wanted waits for; empty: nothing, or none is wanted.
    #[zbus(property, name = "RebootWaitsFor")]
    fn reboot_waits_for(&self) -> zbus::Result<String>;

    /// Who holds updates back, oldest first: what, who, why, user id, process id, since (milliseconds since 1970).
    #[zbus(property, name = "Inhibitors")]
    fn inhibitors(&self) -> zbus::Result<Vec<(String, String, String, u32, u32, u64)>>;

    /// Agents through which people can be asked.
    #[zbus(property, name = "Agents")]
    fn agents(&self) -> zbus::Result<u32>;

    /// Whether there is something for Rollback to bring back.
    #[zbus(property, name = "RollbackPossible")]
    fn rollback_possible(&self) -> zbus::Result<bool>;

    /// Jobs that have not ended, oldest first.
    #[zbus(property, name = "Jobs")]
    fn jobs(&self) -> zbus::Result<Vec<OwnedObjectPath>>;
}
