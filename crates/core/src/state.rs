//! The state: rebuilt from facts and from nothing else, by [`crate::apply()`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::command::{Caller, Gate, PackageLeaves, ReportTo, Terms};
use crate::effect::Target;
use crate::failure::{Failure, ResultCode};
use crate::id::{BootId, ComponentId, Digest, JobId, Millis, PackageId, RequestId};
use crate::requirement::compare_versions;
use crate::spec::{ComponentKind, Content, Release};
use crate::status::{ComponentState, ComponentStatus, DeliveredState, DeliveredStatus, DownloadStatus};
use crate::tree::overlay::Overlay;

/// Most packages in each branch: a tree must stay small enough for one reply.
pub const PACKAGES_MAX: usize = 64;
/// Most components on a device: the whole tree must fit into one message of the bus (128 MiB) and be shown at once.
pub const COMPONENTS_MAX: usize = 1024;
/// Finished jobs that are remembered.
pub const HISTORY_MAX: usize = 200;
/// Request ids that are remembered.
pub const REQUESTS_MAX: usize = 64;
/// Reports that wait for their acknowledgement; then the oldest goes, because the newest says how the device is.
pub const REPORTS_MAX: usize = 256;
/// Packages whose failure is remembered.
pub const FAILED_MAX: usize = 32;
/// Longest source URL in bytes.
pub const SOURCE_BYTES_MAX: usize = 2048;

/// Everything the device knows durably.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The Download branch: packages in state Not Downloaded, or being fetched.
    pub downloads: BTreeMap<PackageId, Download>,
    /// The Delivered branch.
    pub delivered: BTreeMap<PackageId, Delivered>,
    /// The Deployed branch.
    pub components: BTreeMap<ComponentId, Component>,
    /// The job under way: one at a time.
    pub job: Option<Job>,
    /// Finished jobs, oldest first.
    pub history: VecDeque<JobRecord>,
    /// Number of the newest job.
    pub last_job: u64,
    /// What `Rollback` goes back to: the before-images of the last confirmed install.
    pub rollback: BTreeMap<ComponentId, Option<Component>>,
    /// The boot in which the process started last.
    pub boot: Option<BootId>,
    /// Components whose reality differs from their state and that are to be set right.
    pub drift: BTreeMap<ComponentId, Retry>,
    /// Kinds whose stored data should be collected.
    pub garbage: BTreeMap<ComponentKind, Retry>,
    /// Every kind that was ever stored here.
    pub kinds: BTreeSet<ComponentKind>,
    /// Requests that were taken, oldest first.
    pub requests: VecDeque<(RequestId, JobId)>,
    /// Reports that nobody acknowledged yet, oldest first.
    pub reports: VecDeque<Report>,
    /// Number of the newest report.
    pub last_report: u64,
    /// Packages, by the digest of their content, whose software was installed and proved bad.
    pub failed: BTreeMap<Digest, FailedPackage>,
    /// A job succeeded that wants the device to be restarted.
    pub reboot_wanted: Option<JobId>,
    /// What was written into the SCOMO tree beside all this.
    #[serde(skip_serializing_if = "Overlay::is_empty")]
    pub tree: Overlay,
}

/// How a job ended, for whoever asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Its number; rises by one.
    pub id: u64,
    /// When the job ended.
    pub at: Millis,
    /// The job.
    pub job: JobId,
    /// What it did.
    pub primitive: Primitive,
    /// Who is to be told, and in which words.
    pub to: ReportTo,
    /// SCOMO `PkgID` or component `ID` that the primitive was invoked on.
    pub identifier: String,
    /// How it ended.
    pub code: ResultCode,
    /// Nodes that it made, to be named in the report.
    pub nodes: Vec<ReportNode>,
}

/// A node that a job made or updated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReportNode {
    /// `Inventory/Delivered/<x>`.
    Delivered(PackageId),
    /// `Inventory/Deployed/<x>`.
    Deployed(ComponentId),
}

/// A package that was installed and proved bad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedPackage {
    /// When.
    pub at: Millis,
    /// Why.
    pub failure: Failure,
}

/// How often something was tried, and when it may be tried again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Tries so far.
    pub attempts: u32,
    /// Not before.
    pub not_before: Millis,
}

/// A package of the Download branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Download {
    /// SCOMO `PkgURL`.
    pub source: String,
    /// What whoever added it says.
    pub leaves: PackageLeaves,
    /// SCOMO `Status`.
    pub status: DownloadStatus,
    /// It was made for one job and goes with it, however that ends.
    #[serde(default)]
    pub transient: bool,
}

/// A package of the Delivered branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// Where it came from.
    pub source: String,
    /// What whoever added it says.
    pub leaves: PackageLeaves,
    /// SCOMO `State`.
    pub state: DeliveredState,
    /// SCOMO `Status`.
    pub status: DeliveredStatus,
    /// What it holds, verified and stored. None: it was pushed and nobody looked at it yet.
    pub content: Option<Content>,
    /// Its components were replaced by a later install, or its own install failed and nobody but that job asked for
    /// it: the next install that succeeds takes it away, unless it can be rolled back to.
    pub superseded: bool,
}

/// A Deployment Component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// SCOMO `PkgIDRef`; None: it came by other means.
    pub package: Option<PackageId>,
    /// SCOMO `PkgIDRef` when the `PkgID` differed from the name of the package's node.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pkg_id: String,
    /// The release that is deployed.
    pub release: Release,
    /// SCOMO `State`.
    pub state: ComponentState,
    /// SCOMO `Status`.
    pub status: ComponentStatus,
    /// Since when this release is deployed.
    pub since: Millis,
    /// Why the component is not as its state says, if so.
    pub failure: Option<Failure>,
}

impl Component {
    /// What the backend must make of it.
    #[must_use]
    pub fn target(&self) -> Target {
        match self.state {
            ComponentState::Inactive => Target::Inactive(self.release.clone()),
            ComponentState::Active => Target::Active(self.release.clone()),
        }
    }

    fn same_software(&self, other: &Self) -> bool {
        self.release.id == other.release.id && self.state == other.state
    }
}

/// What a job does, by its SCOMO name where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Primitive {
    /// `Download`.
    Download,
    /// `DownloadInstall`.
    DownloadInstall,
    /// `DownloadInstallInactive`.
    DownloadInstallInactive,
    /// `Install`.
    Install,
    /// `InstallInactive`.
    InstallInactive,
    /// `Remove` on a package.
    RemovePackage,
    /// `Activate`.
    Activate,
    /// `Deactivate`.
    Deactivate,
    /// `Remove` on a component.
    RemoveComponent,
    /// Back to the roll back point.
    Rollback,
    /// Deleting what is not needed.
    CollectGarbage,
}

impl Primitive {
    /// Every primitive.
    pub const ALL: [Self; 11] = [
        Self::Download,
        Self::DownloadInstall,
        Self::DownloadInstallInactive,
        Self::Install,
        Self::InstallInactive,
        Self::RemovePackage,
        Self::Activate,
        Self::Deactivate,
        Self::RemoveComponent,
        Self::Rollback,
        Self::CollectGarbage,
    ];

    /// The name used on the bus.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Download => "Download",
            Self::DownloadInstall => "DownloadInstall",
            Self::DownloadInstallInactive => "DownloadInstallInactive",
            Self::Install => "Install",
            Self::InstallInactive => "InstallInactive",
            Self::RemovePackage | Self::RemoveComponent => "Remove",
            Self::Activate => "Activate",
            Self::Deactivate => "Deactivate",
            Self::Rollback => "Rollback",
            Self::CollectGarbage => "CollectGarbage",
        }
    }

    /// Whether components of a package are deployed by it.
    #[must_use]
    pub fn installs(self) -> bool {
        self.installs_to().is_some()
    }

    /// The state that it gives the components of a package.
    #[must_use]
    pub fn installs_to(self) -> Option<ComponentState> {
        match self {
            Self::DownloadInstall | Self::Install => Some(ComponentState::Active),
            Self::DownloadInstallInactive | Self::InstallInactive => Some(ComponentState::Inactive),
            Self::Download
            | Self::RemovePackage
            | Self::Activate
            | Self::Deactivate
            | Self::RemoveComponent
            | Self::Rollback
            | Self::CollectGarbage => None,
        }
    }

    /// Whether it works on a package of the Download branch.
    #[must_use]
    pub fn downloads(self) -> bool {
        matches!(self, Self::Download | Self::DownloadInstall | Self::DownloadInstallInactive)
    }
}

/// What a job works on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobTarget {
    /// A package.
    Package(PackageId),
    /// A component.
    Component(ComponentId),
    /// All of the device.
    Device,
}

/// A job under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// What it does.
    pub primitive: Primitive,
    /// On what.
    pub target: JobTarget,
    /// SCOMO `PkgID` or `ID` of the target when the job began.
    #[serde(default)]
    pub identifier: String,
    /// For whom.
    pub caller: Caller,
    /// On which terms.
    #[serde(default)]
    pub terms: Terms,
    /// Gates that it may pass.
    #[serde(default)]
    pub permitted: BTreeSet<Gate>,
    /// Since when.
    pub started: Millis,
    /// What was resolved; also what an install starts from.
    pub content: Option<Content>,
    /// How many releases of the content are on the device.
    pub fetched: usize,
    /// The package is in the Delivered branch.
    pub delivered: bool,
    /// The transaction; None until it is planned.
    pub changes: Option<Vec<Change>>,
    /// The step under way.
    pub step: Step,
    /// Whether it runs, and since which try.
    pub run: Run,
    /// Why the transaction is being reversed.
    pub reverting: Option<Failure>,
    /// How often the process ended in the middle of this job, since it began or since reverting began.
    pub interruptions: u32,
}

impl Job {
    /// Whether the job must wait at a gate.
    #[must_use]
    pub fn stops_at(&self, gate: Gate) -> bool {
        self.terms.gates.contains(&gate) && !self.permitted.contains(&gate)
    }
}

/// What step a job is at. Derived by [`crate::decide::next_step`]; stored so that an attempt is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Finding and verifying the package.
    Resolve,
    /// Waiting at a gate.
    Await(Gate),
    /// Bringing the n-th release onto the device.
    Fetch(usize),
    /// Preparing the n-th change.
    Stage(usize),
    /// Switching the n-th change.
    Switch(usize),
    /// Waiting for a reboot.
    AwaitBoot,
    /// Watching the health of all active changes.
    Probe,
    /// Making the n-th change final in the boot loader.
    Confirm(usize),
    /// Reversing the n-th change.
    Revert(usize),
    /// Deleting what is not needed.
    Collect,
}

impl Step {
    /// The name used on the bus.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolving",
            Self::Await(Gate::Download) => "awaiting-download",
            Self::Await(Gate::Boot) => "awaiting-boot",
            Self::Await(Gate::Install) => "awaiting-install",
            Self::Fetch(_) => "fetching",
            Self::Stage(_) => "staging",
            Self::Switch(_) => "switching",
            Self::AwaitBoot => "reboot-pending",
            Self::Probe => "probing",
            Self::Confirm(_) => "confirming",
            Self::Revert(_) => "reverting",
            Self::Collect => "collecting",
        }
    }
}

/// Whether a step runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Run {
    /// The last step is done; the next is not started. Never seen between two inputs.
    Idle,
    /// It runs; this is its n-th attempt, from 1.
    Attempt(u32),
    /// The n-th attempt failed; the next is due at a time.
    Waiting {
        /// Attempts so far.
        attempts: u32,
        /// When the next is due.
        until: Millis,
    },
}

/// One component in a transaction: from what, to what, and how far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The component.
    pub id: ComponentId,
    /// Its kind.
    pub kind: ComponentKind,
    /// What is deployed before; kept whole until the job ends.
    pub before: Option<Component>,
    /// What shall be deployed.
    pub after: Option<Component>,
    /// `after` can be switched to.
    pub staged: bool,
    /// Switching began: reality may be anything between `before` and `after`.
    pub touched: bool,
    /// `after` is switched to.
    pub switched: bool,
    /// It takes a reboot for `after` to be real.
    pub reboot_needed: bool,
    /// `after` proved healthy.
    pub healthy: bool,
    /// `after` is final.
    pub confirmed: bool,
    /// `before` was brought back.
    pub reverted: bool,
}

impl Change {
    /// A change of which nothing is done yet.
    #[must_use]
    pub fn new(id: ComponentId, before: Option<Component>, after: Option<Component>) -> Option<Self> {
        let kind = after.as_ref().or(before.as_ref())?.release.spec.kind;
        let before_id = before.as_ref().map(|c| &c.release.id);
        let staged = after.as_ref().is_none_or(|after| Some(&after.release.id) == before_id);
        Some(Self {
            id,
            kind,
            before,
            after,
            staged,
            touched: false,
            switched: false,
            reboot_needed: false,
            healthy: false,
            confirmed: false,
            reverted: false,
        })
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match (&self.before, &self.after) {
            (None, None) => true,
            (Some(before), Some(after)) => before.same_software(after),
            _ => false,
        }
    }

    /// What the backend must make of the component going forward.
    #[must_use]
    pub fn forward(&self) -> Target {
        self.after.as_ref().map_or(Target::Absent, Component::target)
    }

    /// What the backend must make of the component going back.
    #[must_use]
    pub fn backward(&self) -> Target {
        self.before.as_ref().map_or(Target::Absent, Component::target)
    }

    /// Whether the component is active afterwards, so that its health matters.
    #[must_use]
    pub fn ends_active(&self) -> bool {
        self.after.as_ref().is_some_and(|c| c.state == ComponentState::Active)
    }
}

/// A finished job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// Its number.
    pub id: JobId,
    /// What it did.
    pub primitive: Primitive,
    /// On what.
    pub target: JobTarget,
    /// For whom.
    pub caller: Caller,
    /// From when.
    pub started: Millis,
    /// Until when.
    pub finished: Millis,
    /// How it ended.
    pub code: ResultCode,
    /// Why, if not well.
    pub failure: Option<Failure>,
    /// Components that changed, `id version` each, for people.
    pub changed: Vec<String>,
}

impl State {
    /// Every release that must stay whole on the device.
    #[must_use]
    pub fn kept_releases(&self) -> Vec<&Release> {
        let deployed = self.components.values().map(|c| &c.release);
        let delivered = self.delivered.values().filter_map(|d| d.content.as_ref()).flat_map(|c| &c.releases);
        let rollback = self.rollback.values().flatten().map(|c| &c.release);
        let job = self.job.iter().flat_map(|job| {
            let content = job.content.iter().flat_map(|c| &c.releases);
            let changes = job.changes.iter().flatten();
            let images = changes.flat_map(|c| c.before.iter().chain(&c.after)).map(|c| &c.release);
            content.chain(images)
        });
        let mut seen = BTreeSet::new();
        deployed.chain(delivered).chain(rollback).chain(job).filter(|r| seen.insert(&r.id)).collect()
    }

    /// Whether the release is an older version of a component than the deployed one.
    #[must_use]
    pub fn is_downgrade(&self, release: &Release) -> bool {
        let deployed = self.components.get(&release.spec.id).map(|component| &component.release.spec.version);
        deployed.is_some_and(|deployed| compare_versions(&release.spec.version, deployed).is_lt())
    }

    /// The job that a request was taken as, if it was.
    #[must_use]
    pub fn request_job(&self, request: &RequestId) -> Option<JobId> {
        self.requests.iter().find(|(id, _)| id == request).map(|(_, job)| *job)
    }

    /// Whether a component of the package, in the very release that it holds, is deployed.
    #[must_use]
    pub fn is_deployed(&self, id: &PackageId, content: &Content) -> bool {
        self.components.values().any(|component| {
            component.package.as_ref() == Some(id)
                && content.releases.iter().any(|release| release.id == component.release.id)
        })
    }
}
