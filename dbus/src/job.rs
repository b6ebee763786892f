//! `org.scomo1.Job`.
//!
//! Generated from dbus/xml by dbus/tests/codegen.rs; edit the XML and run
//! `UPDATE_EXPECT=1 cargo test -p scomo-dbus --test codegen`.

#[allow(unused_imports, reason = "not every interface uses every type")]
use zbus::{ObjectPath, OwnedObjectPath};

use crate::properties::{Properties, PropertyMap, WrongType, put, take};
#[allow(unused_imports, reason = "not every interface uses every type")]
use crate::options::{OptionMap, Options};

/// Properties of `org.scomo1.Job`.
///
/// One piece of work. After its end the object stays until 16 newer jobs have ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Job {
    /// Number of the job; rises by one and is never used again.
    pub id: u64,
    /// What it does: `Download`, `DownloadInstall`, `DownloadInstallInactive`, `Install`, `InstallInactive`, `Activate`, `Deactivate`, `Remove`, `Rollback`, `CollectGarbage`.
    pub primitive: String,
    /// What it works on: `package`, `component` or `device`.
    pub target_kind: String,
    /// PkgID or component ID that it works on; empty: the whole device.
    pub target: String,
    /// Who asked for it.
    pub user: String,
    /// User id of who asked for it.
    pub uid: u32,
    /// When it began, milliseconds since 1970.
    pub started: u64,
    /// When it ended, milliseconds since 1970; 0 while it runs.
    pub finished: u64,
    /// What it does now: `resolving`, `awaiting-download`, `fetching`, `staging`, `awaiting-boot`, `awaiting-install`, `switching`, `reboot-pending`, `probing`, `confirming`, `reverting`, `collecting`, or `finished`.
    pub phase: String,
    /// Component that the phase works on; empty: none or all.
    pub component: String,
    /// How often the phase was tried, from 1; 0 when the job has ended.
    pub attempt: u32,
    /// When the phase is tried again, milliseconds since 1970; 0: it is not waiting.
    pub retry_at: u64,
    /// 0 to 100 over all phases. 100 only when the result is durable.
    pub percent: u32,
    /// Bytes moved or unpacked so far in this phase.
    pub bytes_done: u64,
    /// Bytes of this phase in all; 0 when not known.
    pub bytes_total: u64,
    /// Bytes of this phase that did not have to be moved because they were there.
    pub bytes_reused: u64,
    /// For people: what it is at, or why it failed or is being reversed.
    pub message: String,
    /// For people: what it waits for, for example a maintenance window; empty: nothing.
    pub waiting_for: String,
    /// Whether it waits for a reboot.
    pub reboot_needed: bool,
    /// `running`, `done`, `failed` or `cancelled`.
    pub result: String,
    /// Kind of the failure, for example `no-space`; empty: none.
    pub failure_kind: String,
    /// SCOMO result code; 0 while it runs.
    pub result_code: u32,
    /// Components that it changed, for people; filled when it ends.
    pub changed: Vec<String>,
}

impl Properties for Job {
    const INTERFACE: &'static str = "org.scomo1.Job";

    fn to_map(&self) -> PropertyMap {
        let mut map = PropertyMap::new();
        put(&mut map, "Id", self.id);
        put(&mut map, "Primitive", self.primitive.clone());
        put(&mut map, "TargetKind", self.target_kind.clone());
        put(&mut map, "Target", self.target.clone());
        put(&mut map, "User", self.user.clone());
        put(&mut map, "Uid", self.uid);
        put(&mut map, "Started", self.started);
        put(&mut map, "Finished", self.finished);
        put(&mut map, "Phase", self.phase.clone());
        put(&mut map, "Component", self.component.clone());
        put(&mut map, "Attempt", self.attempt);
        put(&mut map, "RetryAt", self.retry_at);
        put(&mut map, "Percent", self.percent);
        put(&mut map, "BytesDone", self.bytes_done);
        put(&mut map, "BytesTotal", self.bytes_total);
        put(&mut map, "BytesReused", self.bytes_reused);
        put(&mut map, "Message", self.message.clone());
        put(&mut map, "WaitingFor", self.waiting_for.clone());
        put(&mut map, "RebootNeeded", self.reboot_needed);
        put(&mut map, "Result", self.result.clone());
        put(&mut map, "FailureKind", self.failure_kind.clone());
        put(&mut map, "ResultCode", self.result_code);
        put(&mut map, "Changed", self.changed.clone());
        map
    }

    fn from_map(map: &OptionMap) -> Result<Self, WrongType> {
        Ok(Self {
            id: take(map, "Id")?,
            primitive: take(map, "Primitive")?,
            target_kind: take(map, "TargetKind")?,
            target: take(map, "Target")?,
            user: take(map, "User")?,
            uid: take(map, "Uid")?,
            started: take(map, "Started")?,
            finished: take(map, "Finished")?,
            phase: take(map, "Phase")?,
            component: take(map, "Component")?,
            attempt: take(map, "Attempt")?,
            retry_at: take(map, "RetryAt")?,
            percent: take(map, "Percent")?,
            bytes_done: take(map, "BytesDone")?,
            bytes_total: take(map, "BytesTotal")?,
            bytes_reused: take(map, "BytesReused")?,
            message: take(map, "Message")?,
            waiting_for: take(map, "WaitingFor")?,
            reboot_needed: take(map, "RebootNeeded")?,
            result: take(map, "Result")?,
            failure_kind: take(map, "FailureKind")?,
            result_code: take(map, "ResultCode")?,
            changed: take(map, "Changed")?,
        })
    }
}

/// Client of `org.scomo1.Job`.
#[zbus::proxy(interface = "org.scomo1.Job", default_service = "org.scomo1", assume_defaults = false)]
pub trait Job {
    /// Asks the job to stop and be reversed. Possible before the switch, while a reboot is awaited and during the health window; otherwise refused with TooLate.
    ///
    /// No options are known yet.
    #[zbus(allow_interactive_auth)]
    fn cancel(&self, options: Options<'_>) -> zbus::Result<()>;

    /// Number of the job; rises by one and is never used again.
    #[zbus(property(emits_changed_signal = "const"), name = "Id")]
    fn id(&self) -> zbus::Result<u64>;

    /// What it does: `Download`, `DownloadInstall`, `DownloadInstallInactive`, `Install`, `InstallInactive`, `Activate`, `Deactivate`, `Remove`, `Rollback`, `CollectGarbage`.
    #[zbus(property(emits_changed_signal = "const"), name = "Primitive")]
    fn primitive(&self) -> zbus::Result<String>;

    /// What it works on: `package`, `component` or `device`.
    #[zbus(property(emits_changed_signal = "const"), name = "TargetKind")]
    fn target_kind(&self) -> zbus::Result<String>;

    /// PkgID or component ID that it works on; empty: the whole device.
    #[zbus(property(emits_changed_signal = "const"), name = "Target")]
    fn target(&self) -> zbus::Result<String>;

    /// Who asked for it.
    #[zbus(property(emits_changed_signal = "const"), name = "User")]
    fn user(&self) -> zbus::Result<String>;

    /// User id of who asked for it.
    #[zbus(property(emits_changed_signal = "const"), name = "Uid")]
    fn uid(&self) -> zbus::Result<u32>;

    /// When it began, milliseconds since 1970.
    #[zbus(property(emits_changed_signal = "const"), name = "Started")]
    fn started(&self) -> zbus::Result<u64>;

    /// When it ended, milliseconds since 1970; 0 while it runs.
    #[zbus(property, name = "Finished")]
    fn finished(&self) -> zbus::Result<u64>;

    /// What it does now: `resolving`, `awaiting-download`, `fetching`, `staging`, `awaiting-boot`, `awaiting-install`, `switching`, `reboot-pending`, `probing`, `confirming`, `reverting`, `collecting`, or `finished`.
    #[zbus(property, name = "Phase")]
    fn phase(&self) -> zbus::Result<String>;

    /// Component that the phase works on; empty: none or all.
    #[zbus(property, name = "Component")]
    fn component(&self) -> zbus::Result<String>;

    /// How often the phase was tried, from 1; 0 when the job has ended.
    #[zbus(property, name = "Attempt")]
    fn attempt(&self) -> zbus::Result<u32>;

    /// When the phase is tried again, milliseconds since 1970; 0: it is not waiting.
    #[zbus(property, name = "RetryAt")]
    fn retry_at(&self) -> zbus::Result<u64>;

    /// 0 to 100 over all phases. 100 only when the result is durable.
    #[zbus(property, name = "Percent")]
    fn percent(&self) -> zbus::Result<u32>;

    /// Bytes moved or unpacked so far in this phase.
    #[zbus(property, name = "BytesDone")]
    fn bytes_done(&self) -> zbus::Result<u64>;

    /// Bytes of this phase in all; 0 when not known.
    #[zbus(property, name = "BytesTotal")]
    fn bytes_total(&self) -> zbus::Result<u64>;

    /// Bytes of this phase that did not have to be moved because they were there.
    #[zbus(property, name = "BytesReused")]
    fn bytes_reused(&self) -> zbus::Result<u64>;

    /// For people: what it is at, or why it failed or is being reversed.
    #[zbus(property, name = "Message")]
    fn message(&self) -> zbus::Result<String>;

    /// For people: what it waits for, for example a maintenance window; empty: nothing.
    #[zbus(property, name = "WaitingFor")]
    fn waiting_for(&self) -> zbus::Result<String>;

    /// Whether it waits for a reboot.
    #[zbus(property, name = "RebootNeeded")]
    fn reboot_needed(&self) -> zbus::Result<bool>;

    /// `running`, `done`, `failed` or `cancelled`.
    #[zbus(property, name = "Result")]
    fn result(&self) -> zbus::Result<String>;

    /// Kind of the failure, for example `no-space`; empty: none.
    #[zbus(property, name = "FailureKind")]
    fn failure_kind(&self) -> zbus::Result<String>;

    /// SCOMO result code; 0 while it runs.
    #[zbus(property, name = "ResultCode")]
    fn result_code(&self) -> zbus::Result<u32>;

    /// Components that it changed, for people; filled when it ends.
    #[zbus(property, name = "Changed")]
    fn changed(&self) -> zbus::Result<Vec<String>>;
}
