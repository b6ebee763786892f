//! Commands and other inputs, and why a command is refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::effect::{EffectOk, Inventory};
use crate::failure::Failure;
use crate::id::{BootId, ComponentId, JobId, PackageId, RequestId};
use crate::pending::TaskKey;
use crate::spec::ComponentKind;

/// Who asked. Shown in the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// Numeric user id on this device.
    pub uid: u32,
    /// Name of the user or front-end.
    pub name: String,
}

/// Leaf values that whoever adds a package gives it; each may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PackageLeaves {
    /// SCOMO `Name`.
    pub name: String,
    /// SCOMO `Description`.
    pub description: String,
    /// SCOMO `EnvType`.
    pub env_type: String,
    /// SCOMO `PkgType`.
    pub pkg_type: String,
}

/// Everything that can be asked of the device, by whatever front-end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Command {
    /// Makes a package known (state Not Downloaded). Allowed always, unless the id is taken in the Download branch.
    AddDownload {
        /// The new package.
        id: PackageId,
        /// Its URL.
        source: String,
        /// What the caller says of it.
        leaves: PackageLeaves,
    },
    /// Forgets a package of the Download branch. Refused while a job works on it.
    DeleteDownload {
        /// The package.
        id: PackageId,
    },
    /// Makes a package known whose bytes were pushed to the device (state Delivered).
    AddDelivered {
        /// The new package.
        id: PackageId,
        /// Where the bytes are: a `file:` URL in the spool.
        source: String,
        /// What the caller says of it.
        leaves: PackageLeaves,
    },
    /// SCOMO `Download`, `DownloadInstall` or `DownloadInstallInactive`, on a package of the Download branch.
    Fetch {
        /// The package.
        id: PackageId,
        /// What follows the download.
        then: Then,
    },
    /// For people: `AddDownload` (replacing one of the same id) and `Fetch` in one.
    FetchFrom {
        /// The package.
        id: PackageId,
        /// Its URL.
        source: String,
        /// What follows the download.
        then: Then,
    },
    /// SCOMO `Install`, on a package in state Delivered.
    Install {
        /// The package.
        id: PackageId,
    },
    /// SCOMO `InstallInactive`, on a package in state Delivered.
    InstallInactive {
        /// The package.
        id: PackageId,
    },
    /// SCOMO `Remove` on a package. Its components stay.
    RemovePackage {
        /// The package.
        id: PackageId,
    },
    /// SCOMO `Activate`, on an inactive component.
    Activate {
        /// The component.
        id: ComponentId,
    },
    /// SCOMO `Deactivate`, on an active component that is not the OS.
    Deactivate {
        /// The component.
        id: ComponentId,
    },
    /// SCOMO `Remove` on a component that is not the active OS.
    RemoveComponent {
        /// The component.
        id: ComponentId,
    },
    /// Back to what was deployed before the last install, as one transaction.
    Rollback,
    /// Ends a job. Allowed before the switch, while a reboot is awaited, and during the health window.
    Cancel {
        /// The job.
        job: JobId,
    },
    /// Takes the booted OS as healthy without waiting for its health window.
    ConfirmBoot,
    /// Deletes stored data that nothing needs. It also happens by itself after each job.
    CollectGarbage,
}

/// What follows a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// Nothing: the package is Delivered.
    Stop,
    /// Its components are installed and active.
    Install,
    /// Its components are installed and inactive.
    InstallInactive,
}

/// Anything from outside that may change the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "input", rename_all = "kebab-case")]
pub enum Input {
    /// Somebody asks for something.
    Command {
        /// Who.
        caller: Caller,
        /// The same id twice is carried out once.
        request: Option<RequestId>,
        /// What.
        command: Command,
    },
    /// The process started: always the first input of a process.
    ProcessStarted {
        /// The kernel's boot.
        boot: BootId,
        /// What each backend found. A kind whose backend could not look is absent, and nothing is concluded of it.
        found: BTreeMap<ComponentKind, Inventory>,
    },
    /// An effect ended.
    Outcome {
        /// Which; an outcome of a task that is no longer wanted is ignored.
        task: TaskKey,
        /// How.
        result: Result<EffectOk, Failure>,
    },
    /// Time passed: a deadline may be due.
    Tick,
}

/// Why a command is refused. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// No such package in that branch.
    #[error("there is no package '{id}' {branch}; 'scomoctl list' shows what there is")]
    UnknownPackage {
        /// The id asked for.
        id: PackageId,
        /// Where it was looked for.
        branch: &'static str,
    },
    /// No such component.
    #[error("there is no component '{0}'; 'scomoctl list' shows what there is")]
    UnknownComponent(ComponentId),
    /// No such job, or it has ended.
    #[error("job {0} does not run; 'scomoctl jobs' shows what does")]
    UnknownJob(JobId),
    /// The id is taken.
    #[error("package '{0}' exists already; remove it first or choose another id")]
    Exists(PackageId),
    /// Another job runs.
    #[error("job {job} ({primitive}) is under way; wait for it or cancel it with 'scomoctl cancel {job}'")]
    Busy {
        /// The job under way.
        job: JobId,
        /// What it does.
        primitive: &'static str,
    },
    /// The primitive does not apply to the present state.
    #[error("{primitive} is not possible: {what} is {state}")]
    WrongState {
        /// The primitive asked for.
        primitive: &'static str,
        /// What it was asked of.
        what: String,
        /// The state it is in.
        state: &'static str,
    },
    /// The active OS cannot be stopped or removed.
    #[error("'{0}' is the active OS: install another OS instead of deactivating or removing this one")]
    OsInUse(ComponentId),
    /// The job is past the point where it can be cancelled.
    #[error("job {0} is past the point of cancelling; let it end, then use 'scomoctl rollback'")]
    TooLate(JobId),
    /// There is nothing to roll back to.
    #[error(
        "there is nothing to roll back to: no install was confirmed since the last roll back point was used up"
    )]
    NothingToRollBack,
    /// No OS is on trial.
    #[error("no OS is on trial: there is nothing to confirm")]
    NothingToConfirm,
    /// A named limit is reached.
    #[error("the device keeps at most {max} {what}; remove some first")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How many.
        max: usize,
    },
    /// A text given by the caller is over its limit.
    #[error("{what} has at most {max} bytes")]
    TooLong {
        /// Which text.
        what: &'static str,
        /// How many.
        max: usize,
    },
}
