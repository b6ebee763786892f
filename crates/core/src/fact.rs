//! Facts: the only durable truth. Append-only; a variant, once released, keeps its meaning for ever.

use serde::{Deserialize, Serialize};

use crate::command::{Caller, Gate, PackageLeaves, Terms};
use crate::failure::{Failure, ResultCode};
use crate::id::{BootId, ComponentId, JobId, Millis, PackageId};
use crate::spec::{ComponentKind, Content, Release};
use crate::state::{Change, JobTarget, Primitive, State, Step};
use crate::tree::overlay::Write;

/// Something that happened.
// Few of these exist at a time: boxing the large variant would only make the code harder to read.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum Fact {
    /// The whole state at some moment; stands for every fact before it.
    Checkpoint {
        /// The state.
        state: Box<State>,
    },
    /// The process started.
    Started {
        /// When.
        at: Millis,
        /// In which boot.
        boot: BootId,
        /// Components to be set right.
        drift: Vec<ComponentId>,
        /// Active OS components that are not what is booted.
        fell_back: Vec<ComponentId>,
        /// Kinds with stored or running things that nothing asks for.
        garbage: Vec<ComponentKind>,
    },
    /// A package came into the Download branch, or replaced one there.
    DownloadAdded {
        /// The package.
        id: PackageId,
        /// Its URL.
        source: String,
        /// What the caller says of it.
        leaves: PackageLeaves,
        /// It goes with the job that it was added for.
        #[serde(default)]
        transient: bool,
    },
    /// A package left the Download branch.
    DownloadDeleted {
        /// The package.
        id: PackageId,
    },
    /// A pushed package came into the Delivered branch.
    DeliveredAdded {
        /// The package.
        id: PackageId,
        /// Where its bytes are.
        source: String,
        /// What the caller says of it.
        leaves: PackageLeaves,
    },
    /// A package left the Delivered branch.
    DeliveredDeleted {
        /// The package.
        id: PackageId,
    },
    /// A package of the Download branch got other leaves.
    DownloadSet {
        /// The package.
        id: PackageId,
        /// Its URL.
        source: String,
        /// What the caller says of it.
        leaves: PackageLeaves,
    },
    /// A package of the Delivered branch got other leaves.
    DeliveredSet {
        /// The package.
        id: PackageId,
        /// What the caller says of it.
        leaves: PackageLeaves,
    },
    /// A package of the Delivered branch got its bytes, or other ones.
    DataSet {
        /// The package.
        id: PackageId,
        /// Where they are.
        source: String,
    },
    /// A component that came by other means was found active on the device.
    Adopted {
        /// When.
        at: Millis,
        /// What it is.
        release: Release,
    },
    /// The SCOMO tree was edited where the engine keeps no values of its own.
    TreeWritten {
        /// When.
        at: Millis,
        /// The management server that did it; empty: somebody on this device.
        by: String,
        /// What is different now.
        writes: Vec<Write>,
    },
    /// A report arrived where it was meant to.
    ReportAcknowledged {
        /// Its number.
        id: u64,
    },
    /// A job began.
    JobStarted {
        /// Its number.
        job: JobId,
        /// When.
        at: Millis,
        /// What it does.
        primitive: Primitive,
        /// On what.
        target: JobTarget,
        /// For whom.
        caller: Caller,
        /// On which terms.
        terms: Terms,
    },
    /// The job may pass a gate.
    Permitted {
        /// Which.
        gate: Gate,
    },
    /// An attempt at a step began. Durable before the effect runs, so that a crash costs an attempt.
    StepStarted {
        /// Which step.
        step: Step,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// The attempt failed; the next is due later.
    StepFailed {
        /// Why.
        failure: Failure,
        /// When the next is due.
        retry_at: Millis,
    },
    /// The process ended in the middle of the job.
    Interrupted,
    /// The package is verified and pinned.
    Resolved {
        /// What it holds.
        content: Content,
    },
    /// The n-th release is on the device.
    Fetched {
        /// Which.
        index: usize,
        /// Its installed size in bytes.
        size: u64,
    },
    /// The job's package is in the Delivered branch, whole.
    PackageDelivered,
    /// The transaction is fixed.
    Planned {
        /// Its changes.
        changes: Vec<Change>,
    },
    /// The n-th change can be switched to.
    Staged {
        /// Which.
        index: usize,
    },
    /// The n-th change is switched.
    Switched {
        /// Which.
        index: usize,
        /// Whether it takes a reboot.
        reboot_needed: bool,
    },
    /// The device booted what the transaction wanted.
    Booted {
        /// The boot.
        boot: BootId,
    },
    /// The n-th change proved healthy.
    Healthy {
        /// Which.
        index: usize,
    },
    /// What was switched must be switched and watched again: the device or the process restarted.
    Unsettled,
    /// The n-th change is final in the boot loader.
    Confirmed {
        /// Which.
        index: usize,
    },
    /// The transaction is the truth now. The old versions are only kept to roll back to.
    Committed {
        /// When.
        at: Millis,
    },
    /// The transaction failed and is being reversed.
    RevertStarted {
        /// Why.
        failure: Failure,
    },
    /// The n-th change is reversed.
    Reverted {
        /// Which.
        index: usize,
        /// Whether it takes a reboot.
        reboot_needed: bool,
    },
    /// The job ended.
    JobFinished {
        /// When.
        at: Millis,
        /// How.
        code: ResultCode,
        /// Why, if not well.
        failure: Option<Failure>,
    },
    /// Setting a component right, or not.
    Restored {
        /// Which.
        id: ComponentId,
        /// Why it failed, if it did.
        failure: Option<Failure>,
        /// When it is tried again, if it is.
        retry_at: Option<Millis>,
    },
    /// Stored data of a kind was collected, or not.
    Collected {
        /// Which kind.
        kind: ComponentKind,
        /// When it is tried again, if it failed and is.
        retry_at: Option<Millis>,
    },
}

impl Fact {
    /// The name of the variant, for logs and diagrams.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Checkpoint { .. } => "Checkpoint",
            Self::Started { .. } => "Started",
            Self::DownloadAdded { .. } => "DownloadAdded",
            Self::DownloadDeleted { .. } => "DownloadDeleted",
            Self::DeliveredAdded { .. } => "DeliveredAdded",
            Self::DeliveredDeleted { .. } => "DeliveredDeleted",
            Self::DownloadSet { .. } => "DownloadSet",
            Self::DeliveredSet { .. } => "DeliveredSet",
            Self::DataSet { .. } => "DataSet",
            Self::Adopted { .. } => "Adopted",
            Self::TreeWritten { .. } => "TreeWritten",
            Self::ReportAcknowledged { .. } => "ReportAcknowledged",
            Self::JobStarted { .. } => "JobStarted",
            Self::Permitted { .. } => "Permitted",
            Self::StepStarted { .. } => "StepStarted",
            Self::StepFailed { .. } => "StepFailed",
            Self::Interrupted => "Interrupted",
            Self::Resolved { .. } => "Resolved",
            Self::Fetched { .. } => "Fetched",
            Self::PackageDelivered => "PackageDelivered",
            Self::Planned { .. } => "Planned",
            Self::Staged { .. } => "Staged",
            Self::Switched { .. } => "Switched",
            Self::Booted { .. } => "Booted",
            Self::Healthy { .. } => "Healthy",
            Self::Unsettled => "Unsettled",
            Self::Confirmed { .. } => "Confirmed",
            Self::Committed { .. } => "Committed",
            Self::RevertStarted { .. } => "RevertStarted",
            Self::Reverted { .. } => "Reverted",
            Self::JobFinished { .. } => "JobFinished",
            Self::Restored { .. } => "Restored",
            Self::Collected { .. } => "Collected",
        }
    }
}
