//! Commands and other inputs, and why a command is refused.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::effect::{EffectOk, Inventory};
use crate::failure::Failure;
use crate::id::{BootId, ComponentId, JobId, PackageId, RequestId};
use crate::pending::TaskKey;
use crate::spec::ComponentKind;
use crate::tree::edit::Edit;
use crate::tree::{Settings, Subject, TreeError};

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
    /// SCOMO `PkgID`, when it differs from the name of the node.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pkg_id: String,
    /// SCOMO `InstallParams`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub install_params: String,
    /// SCOMO `Reboot`; None: the leaf is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reboot: Option<i32>,
}

impl PackageLeaves {
    /// The SCOMO `PkgID` of the package whose node has the name `id`.
    #[must_use]
    pub fn pkg_id<'a>(&'a self, id: &'a PackageId) -> &'a str {
        if self.pkg_id.is_empty() { id.as_str() } else { &self.pkg_id }
    }
}

/// A point that a job must not pass before somebody permits it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// Before the first payload is fetched. The package is verified and what it holds is known.
    Download,
    /// Before the first switch, when the device must have restarted. Opened by a restart and by nothing else.
    Boot,
    /// Before the first switch. Everything is staged.
    Install,
}

impl Gate {
    /// Every gate, in the order in which a job meets them.
    pub const ALL: [Self; 3] = [Self::Download, Self::Boot, Self::Install];

    /// The name used on the bus.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Boot => "boot",
            Self::Install => "install",
        }
    }
}

/// Who is to be told how a job ended (SCOMO 1.0 section 8.6), in the words of the front-end that asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportTo {
    /// The front-end or server that is to be told.
    pub to: String,
    /// URI of the primitive that was invoked.
    pub uri: String,
    /// The correlator that came with it; empty: none.
    pub correlator: String,
}

/// On which terms a command is carried out: what its caller and the device's configuration add to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
    /// The same id twice is carried out once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// A durable report of the end is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportTo>,
    /// A package that failed before may be tried again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub retry_failed: bool,
    /// Whoever asked may not replace software by an older version.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_downgrade: bool,
    /// Where the job waits until it is permitted to go on.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub gates: BTreeSet<Gate>,
    /// Somebody who may approve updates said that maintenance windows do not count for it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ignore_window: bool,
    /// The device must restart after the job succeeded.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reboot_after: bool,
    /// What it installs belongs to the device itself: the components have an empty `PkgIDRef`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub factory: bool,
    /// Found before the start: the job begins and ends with this, so that whoever asked gets its result code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Failure>,
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
    /// Gives a package of the Download branch other leaves, and another URL. Refused while a job works on it.
    SetDownload {
        /// The package.
        id: PackageId,
        /// Its URL; empty: not known yet.
        source: String,
        /// What the caller says of it.
        leaves: PackageLeaves,
    },
    /// Gives a package of the Delivered branch other leaves. Refused while a job works on it.
    SetDelivered {
        /// The package.
        id: PackageId,
        /// What the caller says of it.
        leaves: PackageLeaves,
    },
    /// Gives a delivered package that is not installed its bytes, or other ones (SCOMO `Data`).
    SetData {
        /// The package.
        id: PackageId,
        /// Where the bytes are: a `file:` URL in the spool.
        source: String,
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
    /// Lets a job pass a gate at which it waits.
    Permit {
        /// The job.
        job: JobId,
        /// The gate; never [`Gate::Boot`].
        gate: Gate,
    },
    /// Ends a job that waits at a gate, because it may not pass.
    Refuse {
        /// The job.
        job: JobId,
        /// Why.
        failure: Failure,
    },
    /// A report arrived where it was meant to.
    AcknowledgeReport {
        /// Its number.
        id: u64,
    },
    /// Ends a job. Allowed before the switch, while a reboot is awaited, and during the health window.
    Cancel {
        /// The job.
        job: JobId,
    },
    /// Takes the booted OS as healthy without waiting for its health window.
    ConfirmBoot,
    /// Edits the SCOMO tree: all of it or nothing.
    Tree {
        /// How the tree of this device is.
        settings: Box<Settings>,
        /// On whose behalf.
        subject: Subject,
        /// The edits, each made on what the ones before it left.
        edits: Vec<Edit>,
    },
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
        /// On which terms.
        terms: Terms,
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
    /// No such report, or it was acknowledged.
    #[error("there is no report {0}; 'scomoctl reports' shows what waits")]
    UnknownReport(u64),
    /// The job does not wait at that gate.
    #[error("job {job} does not wait for permission to {gate}; 'scomoctl jobs' shows what it does")]
    NotAtGate {
        /// The job.
        job: JobId,
        /// The gate.
        gate: &'static str,
    },
    /// A package lacks what the primitive needs.
    #[error("package '{id}' has no {leaf} yet; give it one first")]
    Incomplete {
        /// The package.
        id: PackageId,
        /// The SCOMO leaf that is empty.
        leaf: &'static str,
    },
    /// Another package has the same `PkgID`.
    #[error("package '{other}' has the PkgID '{pkg_id}' too; every PkgID may be there once")]
    DuplicatePkgId {
        /// The `PkgID`.
        pkg_id: String,
        /// The other package.
        other: PackageId,
    },
    /// Another component needs it.
    #[error("component '{id}' is required by '{by}'; deactivate or remove that one first")]
    Required {
        /// The component asked for.
        id: ComponentId,
        /// The active component that requires it.
        by: ComponentId,
    },
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
    /// An edit of the SCOMO tree is not possible; none of those given with it is made.
    #[error("edit {} of the tree is not possible", index + 1)]
    Tree {
        /// Which edit, from 0.
        index: usize,
        /// Why.
        #[source]
        error: Box<TreeError>,
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
